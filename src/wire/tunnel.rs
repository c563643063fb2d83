//! Tunnels that carry whole frames or packets: VXLAN and GRE. (IP in IP needs no header of its
//! own and is in `ip`.)

use super::cursor::{Cursor, Outcome, Walk};
use super::link;
use super::skip::{Layer, Skip};

/// Whether a UDP datagram is VXLAN: the destination port is 4789, as IANA assigns it, or 8472,
/// the default of Linux from before the assignment and still in use, and the I flag is set (any
/// client can have one of these ports by chance).
pub(super) fn is_vxlan(destination_port: u16, payload: &[u8]) -> bool {
    matches!(destination_port, 4789 | 8472) && payload.first().is_none_or(|flags| flags & 8 != 0)
}

/// VXLAN (RFC 7348, 5): 8 bytes, then an Ethernet frame.
pub(super) fn vxlan<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let (_, rest) = cursor.take::<8>(Layer::Vxlan)?;
    walk.enter_tunnel()?;
    link::ethernet(walk, rest)
}

/// GRE (RFC 2784) with key and sequence number (RFC 2890). What it carries is an EtherType,
/// Transparent Ethernet Bridging among them.
pub(super) fn gre<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    const CHECKSUM: u16 = 0x8000;
    const ROUTING: u16 = 0x4000;
    const KEY: u16 = 0x2000;
    const SEQUENCE: u16 = 0x1000;
    const VERSION: u16 = 0x0007;

    let ([f1, f2, p1, p2], mut rest) = cursor.take::<4>(Layer::Gre)?;
    let flags = u16::from_be_bytes([*f1, *f2]);
    // Version 1 carries PPP (PPTP), and source routes ended with RFC 2784.
    if flags & (VERSION | ROUTING) != 0 {
        return Err(Skip::NotTcp {
            protocol: 47,
            ports: None,
        });
    }
    for option in [CHECKSUM, KEY, SEQUENCE] {
        if flags & option != 0 {
            (_, rest) = rest.take::<4>(Layer::Gre)?;
        }
    }
    let protocol = u16::from_be_bytes([*p1, *p2]);
    // Bridging counts itself as the tunnel that it is.
    if protocol != 0x6558 {
        walk.enter_tunnel()?;
    }
    // Small numbers are no 802.3 lengths here.
    if protocol < 0x0600 {
        return Err(Skip::NotIp);
    }
    link::protocol(walk, protocol, rest)
}
