//! Frames to TCP segments.
use crate::time::Timestamp;
use std::fmt;
/// One end of a TCP connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// a
    pub address: std::net::IpAddr,
    /// p
    pub port: u16,
}
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        std::net::SocketAddr::new(self.address, self.port).fmt(f)
    }
}
/// flags
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpFlags(pub u8);
impl TcpFlags {
    /// f
    pub fn fin(self) -> bool {
        self.0 & 1 != 0
    }
    /// s
    pub fn syn(self) -> bool {
        self.0 & 2 != 0
    }
    /// r
    pub fn rst(self) -> bool {
        self.0 & 4 != 0
    }
    /// p
    pub fn psh(self) -> bool {
        self.0 & 8 != 0
    }
    /// a
    pub fn ack(self) -> bool {
        self.0 & 16 != 0
    }
}
/// A TCP segment as it was seen.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Segment<'a> {
    pub time: Timestamp,
    pub tap: u16,
    pub file: u32,
    pub frame: u64,
    pub source: Endpoint,
    pub destination: Endpoint,
    pub sequence: u32,
    pub acknowledgment: u32,
    pub flags: TcpFlags,
    pub window: u16,
    pub payload: &'a [u8],
    pub payload_length: u32,
    pub ip_identification: u32,
    pub hop_limit: u8,
    pub window_scale: Option<u8>,
    pub maximum_segment_size: Option<u16>,
}
