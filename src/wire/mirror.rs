//! Frames that a mirror port delivered twice.
//!
//! A switch that mirrors both the port where a frame comes in and the one where it goes out
//! shows it twice; so does a capture on every interface of a router or a bridge. Counted twice,
//! every frame would look retransmitted. The copies may differ in MAC addresses, VLAN tags,
//! tunnels and hop limit; the TCP bytes and the identification are the same, and they come
//! within microseconds.
//!
//! **IPv4 with an identification other than 0**: a segment is a copy if tap, addresses,
//! identification and TCP bytes are those of one seen at most the window (2 ms) before. A real
//! retransmission, or a second identical acknowledgment, is a new datagram and has an
//! identification of its own.
//!
//! **No identification** (IPv6; IPv4 stacks that leave it 0 where fragmentation is forbidden,
//! RFC 6864): a pure acknowledgment is never taken for a copy, since two of them with the same
//! bytes are what duplicate acknowledgments are, and a copy of one does no harm beyond being
//! counted. Segments with payload, SYN, FIN or RST are copies if their TCP bytes are the same,
//! options included. A retransmission within 2 ms and within the same tick of the timestamp
//! option would be taken for a copy: it carries nothing new, so the stream is right all the
//! same, and retransmission timers are far longer.
//!
//! "TCP bytes" are ports, both numbers, flags, window, checksum and payload length, as a 64-bit
//! hash; options and payload are stood for by the TCP checksum. Without an identification the
//! options and the first 16 bytes of payload are part of the hash too. The table is small and of fixed size; on a very busy link
//! an entry can be replaced before the copy comes, and then the copy counts as a
//! retransmission, as it would without the filter.

use std::net::IpAddr;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::cursor::within;
use super::segment::{Segment, TcpFlags};
use crate::time::{TimeDelta, Timestamp};

/// Sets in the table; a power of two. With four sights each, a set is one cache line, and the
/// table (16 KiB) stays in a core's nearest cache. There is room for the frames of 2 ms at half a
/// million a second, less the sets that happen to be full.
const SETS: usize = 256;
/// Payload bytes that are part of the fingerprint.
const HASHED_PAYLOAD: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Sight {
    fingerprint: u64,
    time: Timestamp,
}

/// The last sights whose fingerprints fall here, newest first.
#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Set([Sight; 4]);

/// Remembers what was seen last.
#[derive(Debug)]
pub(super) struct MirrorFilter {
    window: TimeDelta,
    sets: Vec<Set>,
}

impl MirrorFilter {
    pub(super) fn new(window: TimeDelta) -> Self {
        let never = Sight {
            fingerprint: 0,
            time: Timestamp::from_nanos(i64::MIN),
        };
        Self {
            window,
            sets: vec![Set([never; 4]); SETS],
        }
    }

    /// Whether this segment is the copy of one seen before; if not, it is remembered.
    /// `tcp` begins at the TCP header.
    #[inline(always)]
    pub(super) fn is_copy(&mut self, segment: &Segment<'_>, tcp: &[u8]) -> bool {
        const ALONE: u8 = TcpFlags::SYN.0 | TcpFlags::FIN.0 | TcpFlags::RST.0;
        if segment.ip_identification == 0
            && segment.payload_length == 0
            && segment.flags.0 & ALONE == 0
        {
            return false;
        }
        let fingerprint = fingerprint(segment, tcp);
        // The hash has no weak bits, so any of them do as the index.
        let index = usize::from(fingerprint as u16) % SETS;
        let Some(Set(sights)) = self.sets.get_mut(index) else {
            return false;
        };
        let seen = sights.iter().any(|sight| {
            sight.fingerprint == fingerprint && within(segment.time, sight.time, self.window)
        });
        if !seen {
            let newest = Sight {
                fingerprint,
                time: segment.time,
            };
            let [first, second, third, _] = *sights;
            *sights = [newest, first, second, third];
        }
        seen
    }
}

#[inline(always)]
fn fingerprint(segment: &Segment<'_>, tcp: &[u8]) -> u64 {
    // Odd constants with well-spread bits (those of splitmix64 and xxHash).
    const A: u64 = 0x9e37_79b9_7f4a_7c15;
    const B: u64 = 0xc2b2_ae3d_27d4_eb4f;
    const C: u64 = 0x1656_67b1_9e37_79f9;
    let pair = |high: u32, low: u32| u64::from(high) << 32 | u64::from(low);
    let ports = u32::from(segment.source.port) << 16 | u32::from(segment.destination.port);
    let checksum = match tcp.get(16..18) {
        Some(&[high, low]) => u16::from_be_bytes([high, low]),
        _ => 0,
    };
    // The checksum covers the addresses too; they are added where it may not be filled in.
    let addresses = fold(segment.source.address)
        .rotate_left(32)
        .wrapping_add(fold(segment.destination.address));
    let control =
        u32::from(checksum) << 16 | u32::from(segment.window) ^ u32::from(segment.flags.0) << 7;
    let numbers = pair(segment.sequence, segment.acknowledgment) ^ addresses.wrapping_mul(A);
    let rest = pair(segment.ip_identification, ports)
        ^ pair(segment.payload_length, control).wrapping_mul(C);
    let header = mix(numbers, rest ^ B).wrapping_add(u64::from(segment.tap).wrapping_mul(A));
    if segment.ip_identification != 0 {
        return header;
    }
    let options = tcp.len().saturating_sub(segment.payload.len());
    let hashed = options.saturating_add(HASHED_PAYLOAD);
    xxh3_64_with_seed(tcp.get(..hashed).unwrap_or(tcp), header)
}

/// Both halves of the product: every bit of the result depends on all bits.
fn mix(one: u64, other: u64) -> u64 {
    let product = u128::from(one).wrapping_mul(u128::from(other));
    (product >> 64) as u64 ^ product as u64
}

fn fold(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => u64::from(u32::from(address)),
        IpAddr::V6(address) => {
            let bits = u128::from(address);
            (bits as u64).rotate_left(31) ^ (bits >> 64) as u64
        }
    }
}

#[cfg(test)]
mod tests;
