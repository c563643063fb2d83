//! Capture filters in libpcap's syntax, for the frames of a file.

use std::fmt;

/// Why a filter cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilterError {
    /// libpcap cannot make sense of the expression.
    Syntax {
        /// As given.
        expression: String,
        /// libpcap's words.
        reason: String,
    },
    /// This build has no libpcap.
    NotBuiltIn,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { expression, reason } => write!(
                f,
                "cannot use the filter '{expression}': {reason} (see pcap-filter(7))"
            ),
            Self::NotBuiltIn => write!(
                f,
                "this build has no capture filters: build it with the feature `live`, which needs \
                 libpcap"
            ),
        }
    }
}

impl std::error::Error for FilterError {}

#[cfg(feature = "live")]
pub use with_libpcap::FrameFilter;
#[cfg(not(feature = "live"))]
pub use without_libpcap::FrameFilter;

#[cfg(feature = "live")]
mod with_libpcap {
    use ::pcap::{BpfProgram, Capture, Dead, Error, Linktype};

    use super::FilterError;
    use crate::frame::{Frame, LinkType};

    /// How many link types have a program; a file with more gets its later ones compiled anew.
    const MAX_PROGRAMS: usize = 64;

    /// A filter, compiled for each link type when the first frame of it comes.
    ///
    /// It sees the captured bytes only: `len`, `greater` and `less` test the captured length.
    pub struct FrameFilter {
        expression: String,
        /// `None` where the expression has no meaning for the link type: nothing matches then.
        programs: Vec<(LinkType, Option<BpfProgram>)>,
    }

    impl FrameFilter {
        /// Checks the expression.
        ///
        /// # Errors
        ///
        /// [`FilterError::Syntax`] if libpcap refuses it for every common link type; the reason is
        /// that for Ethernet.
        pub fn compile(expression: &str) -> Result<Self, FilterError> {
            let mut programs = Vec::new();
            let mut refused = None;
            for link_type in [
                LinkType::ETHERNET,
                LinkType::LINUX_SLL2,
                LinkType::RAW,
                // Wi-Fi with radio information, for expressions like `type mgt`.
                LinkType(127),
            ] {
                match program(expression, link_type) {
                    Ok(program) => {
                        programs.push((link_type, Some(program)));
                        return Ok(Self {
                            expression: expression.to_owned(),
                            programs,
                        });
                    }
                    Err(error) => refused = refused.or(Some(error)),
                }
            }
            Err(FilterError::Syntax {
                expression: expression.to_owned(),
                reason: refused.map(reason).unwrap_or_default(),
            })
        }

        /// Whether the frame passes the filter.
        pub fn matches(&mut self, frame: &Frame<'_>) -> bool {
            let link_type = frame.link_type;
            let known = self
                .programs
                .iter()
                .position(|(known, _)| *known == link_type);
            let at = known.unwrap_or_else(|| {
                self.programs.truncate(MAX_PROGRAMS);
                let program = program(&self.expression, link_type).ok();
                self.programs.push((link_type, program));
                self.programs.len().saturating_sub(1)
            });
            match self.programs.get(at) {
                Some((_, Some(program))) => program.filter(frame.bytes),
                _ => false,
            }
        }
    }

    impl std::fmt::Debug for FrameFilter {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.debug_struct("FrameFilter")
                .field("expression", &self.expression)
                .finish_non_exhaustive()
        }
    }

    fn program(expression: &str, link_type: LinkType) -> Result<BpfProgram, Error> {
        dead(link_type)?.compile(expression, true)
    }

    /// A handle to compile with. libpcap numbers link types as the system does, which differs from
    /// the numbers in files for raw IP only (of the types that are decoded).
    fn dead(link_type: LinkType) -> Result<Capture<Dead>, Error> {
        const RAW: i32 = if cfg!(target_os = "openbsd") { 14 } else { 12 };
        Capture::dead(Linktype(match link_type {
            LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => RAW,
            LinkType(other) => i32::from(other),
        }))
    }

    fn reason(error: Error) -> String {
        match error {
            Error::PcapError(reason) => reason,
            Error::InvalidInputString => "it has a NUL character in it".to_owned(),
            other => other.to_string(),
        }
    }
}

#[cfg(not(feature = "live"))]
mod without_libpcap {
    use super::FilterError;
    use crate::frame::Frame;

    /// A filter; this build has no libpcap to compile one with.
    #[derive(Debug)]
    pub struct FrameFilter(std::convert::Infallible);

    impl FrameFilter {
        /// Says that this build has no filters.
        ///
        /// # Errors
        ///
        /// Always [`FilterError::NotBuiltIn`].
        pub fn compile(_expression: &str) -> Result<Self, FilterError> {
            Err(FilterError::NotBuiltIn)
        }

        /// Whether the frame passes the filter; there is none to ask.
        pub fn matches(&mut self, _frame: &Frame<'_>) -> bool {
            match self.0 {}
        }
    }
}
