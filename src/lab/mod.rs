//! A small network on one machine: three hosts with the kernel's own TCP, and links between them
//! that this program emulates.
//!
//! The emulator of a link's direction ([`Emulator`]) is pure: packets and times in, packets and
//! times out, all chance from a seed. [`Impairment`] says what it does, [`Profiles`] are such
//! settings by name.

mod chance;
mod counters;
mod emulator;
mod impairment;
mod profiles;

pub use counters::{Cause, Counters, LATE_NS};
pub use emulator::{Departure, Emulator, MAX_IN_FLIGHT};
pub use impairment::{Impairment, ImpossibleSetting, Jitter, Loss, Outage, Rate, Reorder};
pub use profiles::{Profile, ProfileError, Profiles};

#[cfg(test)]
mod tests;
