//! The link layer: from a frame's first byte to IP.

use etherparse::{Ethernet2HeaderSlice, SingleVlanHeaderSlice};

use super::cursor::{Cursor, Outcome, Walk};
use super::ip;
use super::skip::{Layer, Skip};
use crate::frame::LinkType;

/// VLAN tags followed in a row. Networks stack two, rarely three.
const MAX_TAGS: usize = 8;
/// MPLS labels followed in a row.
const MAX_LABELS: usize = 16;

/// EtherTypes, as the IEEE numbers them.
mod ether_type {
    pub(super) const IPV4: u16 = 0x0800;
    pub(super) const IPV6: u16 = 0x86dd;
    pub(super) const VLAN: u16 = 0x8100;
    pub(super) const PROVIDER_BRIDGING: u16 = 0x88a8;
    pub(super) const QINQ_OLD: u16 = 0x9100;
    pub(super) const QINQ_OLDER: u16 = 0x9200;
    pub(super) const MPLS: u16 = 0x8847;
    pub(super) const MPLS_UPSTREAM: u16 = 0x8848;
    pub(super) const PPPOE_SESSION: u16 = 0x8864;
    pub(super) const TRANSPARENT_ETHERNET_BRIDGING: u16 = 0x6558;
    /// What Linux puts into a cooked header for a frame that starts with LLC.
    pub(super) const LINUX_LLC: u16 = 0x0004;
    /// Below this the field is an 802.3 length.
    pub(super) const FIRST: u16 = 0x0600;
}

/// Walks a frame from its first byte.
pub(super) fn frame<'a>(walk: &mut Walk, link_type: LinkType, cursor: Cursor<'a>) -> Outcome<'a> {
    match link_type {
        LinkType::ETHERNET => ethernet(walk, cursor),
        LinkType::NULL | LinkType::LOOP => loopback(walk, cursor),
        LinkType::RAW | LinkType::RAW_BSD | LinkType::RAW_OPENBSD => ip::any(walk, cursor),
        LinkType::IPV4 => ip::ipv4(walk, cursor),
        LinkType::IPV6 => ip::ipv6(walk, cursor),
        LinkType::LINUX_SLL => linux_cooked(walk, cursor),
        LinkType::LINUX_SLL2 => linux_cooked_v2(walk, cursor),
        other => Err(Skip::UnsupportedLinkType(other)),
    }
}

/// Ethernet II, or 802.3 with a length in place of the EtherType.
pub(super) fn ethernet<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let Ok(header) = Ethernet2HeaderSlice::from_slice(cursor.bytes) else {
        return Err(cursor.shortage(14, Layer::Link));
    };
    let rest = cursor.after(14, Layer::Link)?;
    protocol(walk, header.ether_type().0, rest)
}

/// What follows an EtherType, with any tags in between.
pub(super) fn protocol<'a>(
    walk: &mut Walk,
    mut ether_type: u16,
    mut cursor: Cursor<'a>,
) -> Outcome<'a> {
    for _ in 0..=MAX_TAGS {
        match ether_type {
            ether_type::IPV4 => return ip::ipv4(walk, cursor),
            ether_type::IPV6 => return ip::ipv6(walk, cursor),
            ether_type::VLAN
            | ether_type::PROVIDER_BRIDGING
            | ether_type::QINQ_OLD
            | ether_type::QINQ_OLDER => {
                let Ok(tag) = SingleVlanHeaderSlice::from_slice(cursor.bytes) else {
                    return Err(cursor.shortage(4, Layer::Vlan));
                };
                ether_type = tag.ether_type().0;
                cursor = cursor.after(4, Layer::Vlan)?;
            }
            ether_type::MPLS | ether_type::MPLS_UPSTREAM => return mpls(walk, cursor),
            ether_type::PPPOE_SESSION => return pppoe(walk, cursor),
            ether_type::TRANSPARENT_ETHERNET_BRIDGING => {
                walk.enter_tunnel()?;
                return ethernet(walk, cursor);
            }
            ether_type::LINUX_LLC => (ether_type, cursor) = logical_link(cursor)?,
            length if length < ether_type::FIRST => {
                (ether_type, cursor) = logical_link(cursor.limit(usize::from(length)))?;
            }
            _ => return Err(Skip::NotIp),
        }
    }
    Err(Skip::NestedTooDeep)
}

/// LLC (IEEE 802.2): SNAP with an EtherType is followed, everything else is not IP.
fn logical_link(cursor: Cursor<'_>) -> Result<(u16, Cursor<'_>), Skip> {
    let (service_points, rest) = cursor.take::<2>(Layer::Link)?;
    if *service_points != [0xaa, 0xaa] {
        return Err(Skip::NotIp);
    }
    // Control field (unnumbered information), then the organization code of SNAP.
    let ([control, o1, o2, o3, high, low], rest) = rest.take::<6>(Layer::Link)?;
    match (*control, [*o1, *o2, *o3], u16::from_be_bytes([*high, *low])) {
        // An 802.3 length has no place here.
        (0x03, [0, 0, 0], ether_type) if ether_type >= ether_type::FIRST => Ok((ether_type, rest)),
        _ => Err(Skip::NotIp),
    }
}

/// BSD loopback: the address family in the byte order of the capturing host, which is not
/// known, or (LOOP, and some writers of NULL) in network byte order. The families of one order
/// are no families of the other, so both are tried.
fn loopback<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let (family, rest) = cursor.take::<4>(Layer::Link)?;
    let little = u32::from_le_bytes(*family);
    let family = little.min(little.swap_bytes());
    match family {
        2 => ip::ipv4(walk, rest),
        // NetBSD and OpenBSD, FreeBSD, macOS; Linux, from tools that write NULL there.
        24 | 28 | 30 | 10 => ip::ipv6(walk, rest),
        _ => Err(Skip::NotIp),
    }
}

/// Linux cooked capture v1: 16 bytes, the protocol in the last two.
fn linux_cooked<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    // By hand: etherparse refuses hardware types it does not know, and the protocol field
    // of those still is an EtherType.
    let ([.., high, low], rest) = cursor.take::<16>(Layer::Link)?;
    protocol(walk, u16::from_be_bytes([*high, *low]), rest)
}

/// Linux cooked capture v2: 20 bytes, the protocol in the first two.
fn linux_cooked_v2<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let ([high, low, ..], rest) = cursor.take::<20>(Layer::Link)?;
    protocol(walk, u16::from_be_bytes([*high, *low]), rest)
}

/// MPLS (RFC 3032): labels down to the bottom of the stack, then IP if its first nibble says so
/// (what routers do as well; a pseudowire starts with 0).
fn mpls<'a>(walk: &mut Walk, mut cursor: Cursor<'a>) -> Outcome<'a> {
    for _ in 0..MAX_LABELS {
        let ([_, _, bottom, _], rest) = cursor.take::<4>(Layer::Mpls)?;
        cursor = rest;
        if bottom & 1 == 1 {
            return ip::any(walk, cursor);
        }
    }
    Err(Skip::NestedTooDeep)
}

/// A PPPoE session (RFC 2516, 4) with the PPP protocol number behind it.
fn pppoe<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let ([version, code, _, _, high, low], rest) = cursor.take::<6>(Layer::Pppoe)?;
    if (*version, *code) != (0x11, 0) {
        return Err(Skip::NotIp);
    }
    let rest = rest.limit(usize::from(u16::from_be_bytes([*high, *low])));
    let (protocol, rest) = rest.take::<2>(Layer::Pppoe)?;
    match u16::from_be_bytes(*protocol) {
        0x0021 => ip::ipv4(walk, rest),
        0x0057 => ip::ipv6(walk, rest),
        _ => Err(Skip::NotIp),
    }
}
