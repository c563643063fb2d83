//! A small MQTT broker, embedded: so that the active measurement works with nothing installed, and
//! so that a test can say to the message what is lost, late or never acknowledged.
//!
//! - [`Core`] is the broker without sockets and without a clock: a connection opens, bytes come
//!   in, a connection closes, time passes; out come bytes for connections and wishes to close
//!   them. A test drives it with a made-up clock.
//! - [`Broker`] is the thin shell around it: a listener and a thread of its own.
//! - [`Faults`] is what shall go wrong, message by message.
//!
//! It speaks MQTT 3.1, 3.1.1 and 5: QoS 0, 1 and 2 both ways, retained messages, wills, wildcards,
//! sessions for as long as the process lives, takeover, keep alive, and of MQTT 5 what a
//! measurement uses: session expiry, receive maximum, maximum packet size, message expiry, reason
//! codes, subscription options and identifiers, properties passed on. It has no shared
//! subscriptions, no topic aliases and no enhanced authentication, and says so in its CONNACK and
//! reason codes. It is no broker of record, and nothing to put on a network that is not one's own.
//!
//! What comes in is checked as in the specification and answered with DISCONNECT and the end of
//! the connection; every table and buffer has a limit ([`Limits`]) and every limit a policy.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]

mod acknowledge;
mod config;
mod connect;
mod connection;
mod core;
mod counters;
mod deliver;
mod fault;
mod message;
mod publish;
mod script;
mod session;
mod shell;
mod subscribe;
mod subscriptions;
mod sys;

pub use self::core::Core;
pub use config::{Config, Credentials, Limits, Qos2Forwarding};
pub use connection::{Closing, ConnectionId};
pub use counters::Counters;
pub use fault::{Fault, Faults};
pub use shell::Broker;

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic
)]
mod tests;
