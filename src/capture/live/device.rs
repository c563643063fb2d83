//! Interfaces of this machine.

use std::fmt;

use super::kernel_filter::KernelFilter;

/// How to capture from an interface.
#[derive(Clone, Debug)]
pub struct DeviceSettings {
    /// The interface, as the system names it; `any` for all of them where the system has that.
    pub name: String,
    /// Which frames.
    pub filter: KernelFilter,
    /// Longer frames are cut to so many bytes.
    pub snap_length: u32,
    /// Bytes that the system keeps until they are read.
    pub buffer_bytes: u32,
    /// Frames for others, too, where the interface sees any.
    pub promiscuous: bool,
    /// Each frame at once, not several together. It takes more time and room for each.
    pub immediate: bool,
}

/// An interface that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceInfo {
    /// Its name.
    pub name: String,
    /// What the system says of it.
    pub description: Option<String>,
    /// Its addresses.
    pub addresses: Vec<String>,
    /// `up`, `running`, `loopback`, `wireless`, as far as they apply.
    pub flags: Vec<&'static str>,
}

/// Why nothing can be captured. Each text says what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LiveError {
    /// This build has no libpcap.
    NotBuiltIn,
    /// There is no such interface.
    NoSuchDevice {
        /// As given.
        name: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// The user may not capture.
    NoPermission {
        /// The interface.
        name: String,
    },
    /// The user's filter is not understood.
    Filter {
        /// As given.
        expression: String,
        /// libpcap's words.
        reason: String,
    },
    /// Anything else that libpcap says.
    Open {
        /// The interface.
        name: String,
        /// libpcap's words.
        reason: String,
    },
    /// The interfaces cannot be listed.
    List(String),
}

impl fmt::Display for LiveError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotBuiltIn => f.write_str(
                "this build cannot capture from interfaces: build it with the feature `live`, \
                 which needs libpcap; or let tcpdump do it and read along: \
                 tcpdump -U -w - | mqttscope capture -r -",
            ),
            Self::NoSuchDevice { name, known } if known.is_empty() => {
                write!(
                    f,
                    "there is no interface {name}, nor any other that this user sees"
                )
            }
            Self::NoSuchDevice { name, known } => write!(
                f,
                "there is no interface {name}; there are: {}",
                known.join(", ")
            ),
            Self::NoPermission { name } => write!(f, "this user may not capture on {name}"),
            Self::Filter { expression, reason } => write!(
                f,
                "cannot use the filter '{expression}': {reason} (see pcap-filter(7))"
            ),
            Self::Open { name, reason } => write!(f, "cannot capture on {name}: {reason}"),
            Self::List(reason) => write!(f, "cannot list the interfaces: {reason}"),
        }
    }
}

impl std::error::Error for LiveError {}

#[cfg(feature = "live")]
pub use super::libpcap::{Device, devices};
#[cfg(not(feature = "live"))]
pub use without_libpcap::{Device, devices};

#[cfg(not(feature = "live"))]
mod without_libpcap {
    use std::convert::Infallible;
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use super::{DeviceInfo, DeviceSettings, LiveError};
    use crate::capture::live::{Counters, Filler, TapNote};

    /// An open interface; this build has no libpcap to open one with.
    #[derive(Debug)]
    pub struct Device(Infallible);

    /// The interfaces of this machine.
    ///
    /// # Errors
    ///
    /// Always [`LiveError::NotBuiltIn`].
    pub fn devices() -> Result<Vec<DeviceInfo>, LiveError> {
        Err(LiveError::NotBuiltIn)
    }

    impl Device {
        /// Says that this build opens none.
        ///
        /// # Errors
        ///
        /// Always [`LiveError::NotBuiltIn`].
        pub fn open(_: &DeviceSettings) -> Result<Self, LiveError> {
            Err(LiveError::NotBuiltIn)
        }

        /// What is known of it.
        #[must_use]
        pub fn tap(&self) -> TapNote {
            match self.0 {}
        }

        /// Reads nothing.
        ///
        /// # Errors
        ///
        /// None.
        pub fn run(self, _: Filler, _: &Arc<Counters>, _: &AtomicBool) -> Result<(), String> {
            match self.0 {}
        }
    }
}
