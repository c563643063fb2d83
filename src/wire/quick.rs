//! The usual frame in one look: Ethernet, IPv4 or IPv6 without options, extensions or fragments,
//! a TCP segment, all of it captured. Everything else takes the general way,
//! which comes to the same for these.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use etherparse::TcpHeaderSlice;

use super::segment::{Segment, TcpFlags};
use super::transport;
use crate::frame::{Frame, LinkType};

/// Length of an Ethernet header.
const ETHERNET: usize = 14;
/// Length of a TCP header without options.
const TCP: usize = 20;
/// IP's protocol number of TCP.
const TCP_PROTOCOL: u8 = 6;

/// Writes the segment of a usual frame `into` its place, since moving it costs as much as making
/// it; gives its bytes from the TCP header on.
#[inline(always)]
pub(super) fn segment<'a>(frame: &Frame<'a>, into: &mut Segment<'a>) -> Option<&'a [u8]> {
    if frame.link_type != LinkType::ETHERNET {
        return None;
    }
    match frame.bytes.get(12..15)? {
        [0x08, 0x00, 0x45] => ipv4(frame, into),
        [0x86, 0xdd, version] if version >> 4 == 6 => ipv6(frame, into),
        _ => None,
    }
}

/// RFC 791, section 3.1.
#[inline(always)]
fn ipv4<'a>(frame: &Frame<'a>, into: &mut Segment<'a>) -> Option<&'a [u8]> {
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
    into.ip_identification = u32::from(u16::from_be_bytes([i0, i1]));
    into.hop_limit = hops;
    tcp_segment(frame, addresses, tcp, into)
}

/// RFC 8200, section 3.
#[inline(always)]
fn ipv6<'a>(frame: &Frame<'a>, into: &mut Segment<'a>) -> Option<&'a [u8]> {
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
    into.ip_identification = 0;
    into.hop_limit = *hops;
    tcp_segment(frame, addresses, tcp, into)
}

/// RFC 9293, section 3.1.
#[inline(always)]
fn tcp_segment<'a>(
    frame: &Frame<'a>,
    [source, destination]: [IpAddr; 2],
    tcp: &'a [u8],
    into: &mut Segment<'a>,
) -> Option<&'a [u8]> {
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
    (into.window_scale, into.maximum_segment_size) = if flags.syn() {
        handshake_options(tcp)?
    } else {
        (None, None)
    };
    into.time = frame.time;
    into.tap = frame.tap;
    into.file = frame.file;
    into.frame = frame.number;
    into.source.address = source;
    into.source.port = u16::from_be_bytes([s0, s1]);
    into.destination.address = destination;
    into.destination.port = u16::from_be_bytes([d0, d1]);
    into.sequence = u32::from_be_bytes([q0, q1, q2, q3]);
    into.acknowledgment = u32::from_be_bytes([a0, a1, a2, a3]);
    into.flags = flags;
    into.window = u16::from_be_bytes([w0, w1]);
    into.payload = payload;
    into.payload_length = u32::try_from(payload.len()).ok()?;
    Some(tcp)
}

#[inline(never)]
fn handshake_options(tcp: &[u8]) -> Option<(Option<u8>, Option<u16>)> {
    let header = TcpHeaderSlice::from_slice(tcp).ok()?;
    let usual = usual_options(header.options());
    Some(usual.unwrap_or_else(|| transport::handshake_options(&header)))
}

/// Window scale and maximum segment size among the options that nearly every SYN has (RFC 9293,
/// section 3.2, RFC 7323, RFC 2018); `None` where there is another one.
fn usual_options(mut options: &[u8]) -> Option<(Option<u8>, Option<u16>)> {
    let (mut window_scale, mut maximum_segment_size) = (None, None);
    loop {
        options = match options {
            [] | [0, ..] => return Some((window_scale, maximum_segment_size)),
            [1, rest @ ..] | [4, 2, rest @ ..] | [8, 10, _, _, _, _, _, _, _, _, rest @ ..] => rest,
            [2, 4, high, low, rest @ ..] => {
                maximum_segment_size = Some(u16::from_be_bytes([*high, *low]));
                rest
            }
            [3, 3, shift, rest @ ..] => {
                window_scale = Some(*shift);
                rest
            }
            _ => return None,
        };
    }
}
