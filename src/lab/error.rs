//! Why there is no lab.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What keeps a lab from being built or used.
#[derive(Debug)]
pub enum LabError {
    /// The system allows neither root's nor a user's network namespaces; with the reason.
    NoRights(String),
    /// A step of building the network failed.
    Network {
        /// What was being done.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A file or directory of the run could not be made or written.
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A program is not installed.
    NoProgram {
        /// Its name.
        program: String,
    },
    /// A program did not start, ended early, or did not open its port.
    Program {
        /// Its command line.
        program: String,
        /// What happened.
        trouble: String,
        /// The end of what it wrote.
        log: String,
    },
}

impl LabError {
    /// For `map_err` on a step.
    pub(super) fn network(step: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| Self::Network { step, source }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRights(why) => write!(
                f,
                "an emulated network needs network namespaces, and they are refused here: {why}; \
                 run as root, or use --lab proxy (a TCP proxy: delay, rate and outages, no packet \
                 loss) or --broker URL (a real network)"
            ),
            Self::Network { step, source } => {
                write!(f, "the emulated network: {step}: {source}")
            }
            Self::File { path, source } => write!(f, "{}: {source}", path.display()),
            Self::NoProgram { program } => write!(f, "{program} is not installed"),
            Self::Program {
                program,
                trouble,
                log,
            } => {
                write!(f, "{program} {trouble}")?;
                if log.is_empty() {
                    write!(f, ", and wrote nothing")
                } else {
                    write!(f, "; it wrote:\n{log}")
                }
            }
        }
    }
}

impl std::error::Error for LabError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Network { source, .. } | Self::File { source, .. } => Some(source),
            Self::NoRights(_) | Self::NoProgram { .. } | Self::Program { .. } => None,
        }
    }
}
