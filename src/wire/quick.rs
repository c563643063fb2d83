//! The usual frame in one look: Ethernet, IPv4 or IPv6 without options, extensions or fragments,
//! a TCP segment, all of it captured. Everything else takes the general way,
//! which comes to the same for these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::TcpHeaderSlice;

use super::segment::{Endpoint, Segment, TcpFlags};
use super::transport;
use crate::frame::{Frame, LinkType};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of a TCP header without options.
const TCP: usize = 20;
/// IP's protocol number of TCP.
const TCP_PROTOCOL: u8 = 6;

/// The segment of a usual frame, and its bytes from the TCP header on.
#[inline(always)]
pub(super) fn segment<'a>(frame: &Frame<'a>) -> Option<(Segment<'a>, &'a [u8])> {
    if frame.link_type != LinkType::ETHERNET {
        return None;
    }
    match frame.bytes.get(12..15)? {
        [0x08, 0x00, 0x45] => ipv4(frame),
        [0x86, 0xdd, version] if version >> 4 == 6 => ipv6(frame),
        _ => None,
    }
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4<'a>(frame: &Frame<'a>) -> Option<(Segment<'a>, &'a [u8])> {
    const HEADER: usize = 20;
    let header: &[u8; HEADER] = frame.bytes.get(ETHERNET..)?.first_chunk()?;
    let [
        _,
        _,
        l0,
        l1,
        i0,
        i1,
        f0,
        f1,
        hops,
        protocol,
        _,
        _,
        s0,
        s1,
        s2,
        s3,
        d0,
        d1,
        d2,
        d3,
    ] = *header;
    // Neither "more fragments" nor an offset.
    if protocol != TCP_PROTOCOL || u16::from_be_bytes([f0, f1]) & 0x3fff != 0 {
        return None;
    }
    let total = usize::from(u16::from_be_bytes([l0, l1]));
    let end = ETHERNET.checked_add(total)?;
    let tcp = frame.bytes.get(ETHERNET + HEADER..end)?;
    let addresses = [
        IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
        IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
    ];
    tcp_segment(frame, addresses, tcp, u16::from_be_bytes([i0, i1]), hops)
}

/// RFC 8200, section 3.
#[inline(always)]
fn ipv6<'a>(frame: &Frame<'a>) -> Option<(Segment<'a>, &'a [u8])> {
    const HEADER: usize = 40;
    let header: &[u8; HEADER] = frame.bytes.get(ETHERNET..)?.first_chunk()?;
    let [_, _, _, _, l0, l1, next, hops, addresses @ ..] = header;
    let length = usize::from(u16::from_be_bytes([*l0, *l1]));
    // A length of 0 is a jumbogram or offloading.
    if *next != TCP_PROTOCOL || length == 0 {
        return None;
    }
    let end = (ETHERNET + HEADER).checked_add(length)?;
    let tcp = frame.bytes.get(ETHERNET + HEADER..end)?;
    let (source, destination) = addresses.split_first_chunk::<16>()?;
    let addresses = [
        IpAddr::V6(Ipv6Addr::from(*source)),
        IpAddr::V6(Ipv6Addr::from(*destination.first_chunk::<16>()?)),
    ];
    tcp_segment(frame, addresses, tcp, 0, *hops)
}

/// RFC 9293, section 3.1.
#[inline(always)]
fn tcp_segment<'a>(
    frame: &Frame<'a>,
    [source, destination]: [IpAddr; 2],
    tcp: &'a [u8],
    identification: u16,
    hop_limit: u8,
) -> Option<(Segment<'a>, &'a [u8])> {
    let header: &[u8; TCP] = tcp.first_chunk()?;
    let [
        s0,
        s1,
        d0,
        d1,
        q0,
        q1,
        q2,
        q3,
        a0,
        a1,
        a2,
        a3,
        offset,
        flags,
        w0,
        w1,
        ..,
    ] = *header;
    let flags = TcpFlags(flags);
    let length = usize::from(offset >> 4).checked_mul(4)?;
    if length < TCP {
        return None;
    }
    let payload = tcp.get(length..)?;
    let (window_scale, maximum_segment_size) = if flags.syn() {
        handshake_options(tcp)?
    } else {
        (None, None)
    };
    let segment = Segment {
        time: frame.time,
        tap: frame.tap,
        file: frame.file,
        frame: frame.number,
        source: Endpoint {
            address: source,
            port: u16::from_be_bytes([s0, s1]),
        },
        destination: Endpoint {
            address: destination,
            port: u16::from_be_bytes([d0, d1]),
        },
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        acknowledgment: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        payload,
        payload_length: u32::try_from(payload.len()).ok()?,
        ip_identification: u32::from(identification),
        hop_limit,
        window_scale,
        maximum_segment_size,
    };
    Some((segment, tcp))
}

#[cold]
#[inline(never)]
fn handshake_options(tcp: &[u8]) -> Option<(Option<u8>, Option<u16>)> {
    let header = TcpHeaderSlice::from_slice(tcp).ok()?;
    Some(transport::handshake_options(&header))
}
