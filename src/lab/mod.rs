//! A small network on one machine: three hosts with the kernel's own TCP, and links between them
//! that this program emulates.
//!
//! The emulator of a link's direction ([`Emulator`]) is pure: packets and times in, packets and
//! times out, all chance from a seed. [`Impairment`] says what it does, [`Profiles`] are such
//! settings by name.
//!
//! A [`Testbed`] puts publisher, broker and subscriber into network namespaces, emulates the two
//! links to the broker in a thread of its own, and records the packets at the hosts' ends of the
//! links. It needs Linux, and root or a user namespace ([`Rights`]).

mod broker;
mod calibration;
mod chance;
mod counters;
mod device;
mod emulator;
mod error;
mod host;
mod impairment;
mod namespace;
mod netlink;
mod pacing;
mod profiles;
mod relay;
mod rights;
mod run_directory;
mod sys;
mod taps;
mod testbed;

pub use broker::{BROKER_PORT, MosquittoSettings, RunningBroker, mosquitto_version};
pub use calibration::{CalibrationSettings, DirectionMeasurement, LinkMeasurement};
pub use counters::{Cause, Counters, LATE_NS};
pub use device::{DeviceKind, InterfaceCounters};
pub use emulator::{Departure, Emulator, MAX_IN_FLIGHT};
pub use error::LabError;
pub use host::{Direction, Host, Link, Toward};
pub use impairment::{Impairment, ImpossibleSetting, Jitter, Loss, Outage, Rate, Reorder};
pub use namespace::Program;
pub use profiles::{Profile, ProfileError, Profiles};
pub use rights::Rights;
pub use taps::TapCounters;
pub use testbed::{LinkCounters, Testbed, TestbedSettings, set_precedence};

#[cfg(test)]
mod tests;
