//! The MQTT codec: one for MQTT 3.1 (level 3), 3.1.1 (level 4) and 5 (level 5).
//!
//! The protocol level is an argument and not a second tree of types: most packets differ only by
//! the property block that MQTT 5 added. The codec borrows from the bytes it is given, allocates
//! nothing while it parses, knows no clock, no socket and no other module of this crate.
//!
//! It is lenient, because it watches other people's traffic instead of ending it: [`parse`] gives
//! every field that can be read, the rules that the packet breaks as [`Violations`], and where the
//! bytes stop making sense as [`Malformed`]. Both name the clause of the specification.
//!
//! - [`parse_fixed_header`] and [`parse`] / [`parse_prefix`]: bytes to [`Packet`].
//! - [`topic`]: names, filters, matching.
//! - [`mod@write`]: packets to bytes, valid ones or not.
//! - [`level_evidence`]: what one packet says about the level when the CONNECT was not seen.
//!
//! Clauses in brackets, `[MQTT-3.3.1-4]`, are the numbered statements of *MQTT Version 3.1.1*
//! (OASIS Standard, 29 October 2014) and *MQTT Version 5.0* (OASIS Standard, 7 March 2019).
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod evidence;
mod forwarded;
mod header;
mod malformed;
mod packet;
mod packet_type;
mod parse;
mod property;
mod reader;
mod reason;
pub mod stream;
mod text;
pub mod topic;
mod violation;
pub mod write;

pub use evidence::{Evidence, level_evidence, level_evidence_prefix};
pub use forwarded::{Altered, Forwarded};
pub use header::{FixedHeader, HeaderResult, MAXIMUM_REMAINING_LENGTH, parse_fixed_header};
pub use malformed::{Field, Malformed, MalformedReason};
pub use packet::{
    Acknowledgment, Auth, Connack, Connect, Disconnect, Filters, Packet, Publish, Secret, Suback,
    Subscribe, Subscription, Subscriptions, Unsuback, Unsubscribe, Will,
};
pub use packet_type::{PacketType, ProtocolLevel};
pub use parse::{Parsed, Prefix, parse, parse_into, parse_prefix};
pub use property::{Properties, Property, PropertyId, PropertyIter, PropertyOwner};
pub use reason::reason_text;
pub use violation::{Severity, Violation, ViolationIter, Violations};
