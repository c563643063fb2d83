//! Frames to TCP segments.
//!
//! A [`Dissector`] takes one [`Frame`](crate::frame::Frame) at a time and answers with the TCP
//! [`Segment`] it carries, or with the reason why there is none ([`Skip`]). It walks Ethernet
//! (II, 802.3 with LLC/SNAP, 802.1Q, QinQ, MPLS, PPPoE), BSD loopback, raw IP and Linux cooked
//! frames, IPv4 and IPv6 with extension headers, and tunnels (VXLAN, GRE, IP in IP); fragments
//! are put together within bounds ([`WireLimits`]) and a frame that a mirror port delivered
//! twice counts once.
//!
//! Two lengths travel with every layer: what the capture holds and what was on the wire. A frame
//! cut by a snap length is therefore a result and not a failure: its headers are decoded as far
//! as they reach, and a segment says how many payload bytes are missing.
//!
//! Lengths follow the IP header, so Ethernet padding, trailers and a captured frame check
//! sequence never reach the payload. Two exceptions, both counted:
//!
//! - a length of 0 (segmentation offload, IPv6 jumbograms) means the rest of the frame;
//! - a length beyond the end of the enclosing layer on the wire is clamped to that end, since no
//!   byte of it can exist in this frame.
//!
//! Checksums are **not** verified: captures of a sending host show them before the network
//! adapter fills them in, so a wrong checksum says nothing about what the receiver got.
//!
//! Nothing is copied and nothing allocated, but for fragments.
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

mod cursor;
mod dissector;
mod fragment;
mod ip;
mod link;
mod mirror;
mod quick;
mod segment;
mod skip;
mod statistics;
mod transport;
mod tunnel;

#[cfg(test)]
mod tests;

pub use dissector::{Dissection, Dissector, WireLimits};
pub use segment::{Endpoint, Segment, TcpFlags};
pub use skip::{Layer, Skip};
pub use statistics::{LinkTypeCounts, WireStatistics};
