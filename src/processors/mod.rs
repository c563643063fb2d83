//! The machine's processors while something is measured: who has them first, and that they stay
//! awake.

mod awake;
#[cfg(target_os = "linux")]
mod schedule;

pub use awake::KeepAwake;
#[cfg(target_os = "linux")]
pub use schedule::{Schedule, raise_ordinary_priority, set_schedule};
