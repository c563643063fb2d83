//! The network layer: IPv4, IPv6 and its extension headers.

use etherparse::err::ip_auth::HeaderSliceError as AuthError;
use etherparse::err::ipv4::HeaderSliceError as Ipv4Error;
use etherparse::err::ipv6::HeaderSliceError as Ipv6Error;
use etherparse::{
    IpAuthHeaderSlice, Ipv4HeaderSlice, Ipv6FragmentHeaderSlice, Ipv6HeaderSlice,
    Ipv6RawExtHeaderSlice,
};

use super::cursor::{Cursor, Found, Network, Outcome, Walk};
use super::fragment::Fragment;
use super::skip::{Layer, Skip};
use super::{transport, tunnel};

/// Extension headers followed in a row. RFC 8200 (4.1) has an order in which each comes once
/// and destination options twice: 7.
const MAX_EXTENSIONS: usize = 16;

/// IP protocol numbers, as IANA assigns them.
mod protocol {
    pub(super) const HOP_BY_HOP: u8 = 0;
    pub(super) const IPV4: u8 = 4;
    pub(super) const TCP: u8 = 6;
    pub(super) const UDP: u8 = 17;
    pub(super) const IPV6: u8 = 41;
    pub(super) const ROUTING: u8 = 43;
    pub(super) const FRAGMENT: u8 = 44;
    pub(super) const GRE: u8 = 47;
    pub(super) const AUTHENTICATION: u8 = 51;
    pub(super) const DESTINATION_OPTIONS: u8 = 60;
    pub(super) const MOBILITY: u8 = 135;
    pub(super) const HOST_IDENTITY: u8 = 139;
    pub(super) const SHIM6: u8 = 140;

    /// Whether a TCP segment can be behind this protocol.
    pub(super) const fn may_lead_to_tcp(number: u8) -> bool {
        matches!(
            number,
            HOP_BY_HOP
                | IPV4
                | TCP
                | UDP
                | IPV6
                | ROUTING
                | FRAGMENT
                | GRE
                | AUTHENTICATION
                | DESTINATION_OPTIONS
                | MOBILITY
                | HOST_IDENTITY
                | SHIM6
        )
    }
}

/// IP of the version that the first nibble names.
pub(super) fn any<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    match cursor.bytes.first().map(|byte| byte >> 4) {
        Some(4) => ipv4(walk, cursor),
        Some(6) => ipv6(walk, cursor),
        Some(_) => Err(Skip::NotIp),
        None => Err(cursor.shortage(1, Layer::Link)),
    }
}

/// An IPv4 packet (RFC 791).
pub(super) fn ipv4<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let header = match Ipv4HeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => header,
        Err(Ipv4Error::Len(error)) => return Err(cursor.shortage(error.required_len, Layer::Ipv4)),
        Err(Ipv4Error::Content(_)) => return Err(Skip::Malformed(Layer::Ipv4)),
    };
    let rest = cursor.after(header.slice().len(), Layer::Ipv4)?;
    let payload = match usize::from(header.total_len()) {
        // Segmentation offload: the length does not fit or was to be filled in later.
        0 => rest,
        total => match total.checked_sub(header.slice().len()) {
            Some(length) => clamp(walk, rest, length),
            None => return Err(Skip::Malformed(Layer::Ipv4)),
        },
    };
    let network = Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        identification: header.identification().into(),
        hop_limit: header.ttl(),
    };
    let protocol = header.protocol().0;
    if header.is_fragmenting_payload() {
        return fragment(Fragment {
            network,
            protocol,
            // In units of 8 bytes.
            offset: usize::from(header.fragments_offset().value()).saturating_mul(8),
            more: header.more_fragments(),
            payload,
        });
    }
    self::payload(walk, &network, protocol, payload)
}

/// An IPv6 packet (RFC 8200).
pub(super) fn ipv6<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let header = match Ipv6HeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => header,
        Err(Ipv6Error::Len(error)) => return Err(cursor.shortage(error.required_len, Layer::Ipv6)),
        Err(Ipv6Error::Content(_)) => return Err(Skip::Malformed(Layer::Ipv6)),
    };
    let rest = cursor.after(header.slice().len(), Layer::Ipv6)?;
    let payload = match usize::from(header.payload_length()) {
        // A jumbogram (RFC 2675) or segmentation offload.
        0 => rest,
        length => clamp(walk, rest, length),
    };
    let network = Network {
        source: header.source_addr().into(),
        destination: header.destination_addr().into(),
        identification: 0,
        hop_limit: header.hop_limit(),
    };
    self::payload(walk, &network, header.next_header().0, payload)
}

/// Narrows `rest` to the length that an IP header declares; see the module's words on lengths.
fn clamp<'a>(walk: &mut Walk, rest: Cursor<'a>, length: usize) -> Cursor<'a> {
    walk.clamped |= length > rest.length;
    rest.limit(length)
}

fn fragment(fragment: Fragment<'_>) -> Outcome<'_> {
    // What cannot end in a segment need not be kept.
    if protocol::may_lead_to_tcp(fragment.protocol) {
        Ok(Found::Fragment(fragment))
    } else {
        Err(Skip::NotTcp {
            protocol: fragment.protocol,
            ports: None,
        })
    }
}

/// What an IP packet carries: extension headers, then a transport or a tunnel.
pub(super) fn payload<'a>(
    walk: &mut Walk,
    network: &Network,
    mut protocol: u8,
    mut cursor: Cursor<'a>,
) -> Outcome<'a> {
    for _ in 0..=MAX_EXTENSIONS {
        match protocol {
            protocol::TCP => return transport::tcp(walk, network, cursor),
            protocol::UDP => return transport::udp(walk, cursor),
            protocol::GRE => return tunnel::gre(walk, cursor),
            protocol::IPV4 => {
                walk.enter_tunnel()?;
                return ipv4(walk, cursor);
            }
            protocol::IPV6 => {
                walk.enter_tunnel()?;
                return ipv6(walk, cursor);
            }
            protocol::FRAGMENT => match fragment_header(network, cursor)? {
                Ok(fragment) => return self::fragment(fragment),
                Err(next) => (protocol, cursor) = next,
            },
            protocol::AUTHENTICATION => (protocol, cursor) = authentication_header(cursor)?,
            protocol::HOP_BY_HOP
            | protocol::ROUTING
            | protocol::DESTINATION_OPTIONS
            | protocol::MOBILITY
            | protocol::HOST_IDENTITY
            | protocol::SHIM6 => (protocol, cursor) = extension_header(cursor)?,
            _ => {
                return Err(Skip::NotTcp {
                    protocol,
                    ports: None,
                });
            }
        }
    }
    Err(Skip::NestedTooDeep)
}

/// An extension header of the common shape: next header, length in units of 8 bytes.
fn extension_header(cursor: Cursor<'_>) -> Result<(u8, Cursor<'_>), Skip> {
    match Ipv6RawExtHeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => Ok((
            header.next_header().0,
            cursor.after(header.slice().len(), Layer::Extension)?,
        )),
        Err(error) => Err(cursor.shortage(error.required_len, Layer::Extension)),
    }
}

/// An authentication header (RFC 4302), which leaves the payload readable.
fn authentication_header(cursor: Cursor<'_>) -> Result<(u8, Cursor<'_>), Skip> {
    match IpAuthHeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => Ok((
            header.next_header().0,
            cursor.after(header.slice().len(), Layer::Extension)?,
        )),
        Err(AuthError::Len(error)) => Err(cursor.shortage(error.required_len, Layer::Extension)),
        Err(AuthError::Content(_)) => Err(Skip::Malformed(Layer::Extension)),
    }
}

/// A fragment header: the fragment, or what follows if the datagram is whole after all (an
/// atomic fragment, which is to be taken on its own: RFC 6946, 4).
#[allow(clippy::type_complexity)]
fn fragment_header<'a>(
    network: &Network,
    cursor: Cursor<'a>,
) -> Result<Result<Fragment<'a>, (u8, Cursor<'a>)>, Skip> {
    let header = match Ipv6FragmentHeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => header,
        Err(error) => return Err(cursor.shortage(error.required_len, Layer::Extension)),
    };
    let payload = cursor.after(header.slice().len(), Layer::Extension)?;
    let protocol = header.next_header().0;
    if !header.is_fragmenting_payload() {
        return Ok(Err((protocol, payload)));
    }
    Ok(Ok(Fragment {
        network: Network {
            identification: header.identification(),
            ..*network
        },
        protocol,
        offset: usize::from(header.fragment_offset().value()).saturating_mul(8),
        more: header.more_fragments(),
        payload,
    }))
}
