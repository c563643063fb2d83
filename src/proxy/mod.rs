//! A TCP proxy that is a bad link: delay, a rate limit, outages, resets and stalls by a schedule.
//!
//! It needs no rights: it listens on loopback, connects to the target and passes bytes on. So what
//! an outage does to sessions, redelivery and messages can be measured against any broker. It is
//! no emulation of a network: packets are not lost one by one, and the TCP connections on its two
//! sides are two.
//!
//! - [`Conditions`] and its parts ([`Periodic`], [`Rate`]): what people write, as in
//!   `every 10s for 2s` and `64kB/s`, and what that means at a time; no clock, no socket.
//! - [`Proxy`]: the proxy itself, on a thread of its own that waits with `ppoll` and a timer slack
//!   of 1 ns and then spins the last bit, because a delay of 20 ms has to be one.

mod conditions;
mod intake;
mod lane;
mod pair;
mod relay;
mod server;
mod text;

pub use conditions::{Conditions, Happening, Periodic};
pub use server::{Counts, Occurrence, Proxy};
pub use text::{ConditionError, Problem, Rate, parse_duration};
