//! The transport layer: TCP, and UDP for the tunnels in it.

use etherparse::err::tcp::HeaderSliceError as TcpError;
use etherparse::{TcpHeaderSlice, TcpOptionElement, UdpHeaderSlice};

use super::cursor::{Cursor, Found, Network, Outcome, Walk};
use super::segment::{Endpoint, Segment, TcpFlags};
use super::skip::{Layer, Skip};
use super::tunnel;

/// The part of the TCP header that is always there.
const TCP_FIXED: usize = 20;
/// The longest TCP header: 15 words.
const TCP_LONGEST: usize = 60;

/// A TCP segment (RFC 9293, 3.1). The urgent pointer is ignored: MQTT has no use for it.
pub(super) fn tcp<'a>(walk: &Walk, network: &Network, cursor: Cursor<'a>) -> Outcome<'a> {
    match TcpHeaderSlice::from_slice(cursor.bytes) {
        Ok(header) => segment(walk, network, cursor, &header),
        Err(TcpError::Content(_)) => Err(Skip::Malformed(Layer::Tcp)),
        Err(TcpError::Len(error)) => cut_header(walk, network, cursor, error.required_len),
    }
}

/// A header of `needed` bytes that was not captured whole. If only options are missing, the
/// segment's place in the stream is known all the same (a snap length of 64 bytes cuts just
/// there), so they are taken as absent.
#[cold]
fn cut_header<'a>(
    walk: &Walk,
    network: &Network,
    cursor: Cursor<'a>,
    needed: usize,
) -> Outcome<'a> {
    if cursor.length < needed {
        return Err(Skip::Malformed(Layer::Tcp));
    }
    let Some(fixed) = cursor.bytes.first_chunk::<TCP_FIXED>() else {
        return Err(Skip::Truncated(Layer::Tcp));
    };
    let mut padded = [0; TCP_LONGEST];
    for (to, from) in padded.iter_mut().zip(fixed) {
        *to = *from;
    }
    match TcpHeaderSlice::from_slice(&padded) {
        Ok(header) => segment(walk, network, cursor, &header),
        Err(_) => Err(Skip::Malformed(Layer::Tcp)),
    }
}

#[inline]
fn segment<'a>(
    walk: &Walk,
    network: &Network,
    cursor: Cursor<'a>,
    header: &TcpHeaderSlice<'_>,
) -> Outcome<'a> {
    let payload = cursor.after(header.slice().len(), Layer::Tcp)?;
    let flags = TcpFlags(header.slice().get(13).copied().unwrap_or_default());
    let (window_scale, maximum_segment_size) = if flags.syn() {
        handshake_options(header)
    } else {
        (None, None)
    };
    let segment = Segment {
        time: walk.time,
        tap: walk.tap,
        file: walk.file,
        frame: walk.frame,
        source: Endpoint {
            address: network.source,
            port: header.source_port(),
        },
        destination: Endpoint {
            address: network.destination,
            port: header.destination_port(),
        },
        sequence: header.sequence_number(),
        acknowledgment: header.acknowledgment_number(),
        flags,
        window: header.window_size(),
        payload: payload.bytes,
        payload_length: u32::try_from(payload.length).unwrap_or(u32::MAX),
        ip_identification: network.identification,
        hop_limit: network.hop_limit,
        window_scale,
        maximum_segment_size,
    };
    Ok(Found::Segment(segment, cursor.bytes))
}

/// Window scale and maximum segment size, as far as the options can be read.
pub(super) fn handshake_options(header: &TcpHeaderSlice<'_>) -> (Option<u8>, Option<u16>) {
    let (mut window_scale, mut maximum_segment_size) = (None, None);
    for option in header.options_iterator() {
        match option {
            Ok(TcpOptionElement::WindowScale(shift)) => window_scale = Some(shift),
            Ok(TcpOptionElement::MaximumSegmentSize(size)) => maximum_segment_size = Some(size),
            Ok(_) => {}
            // The iterator cannot find the next option behind one that it does not know.
            Err(_) => break,
        }
    }
    (window_scale, maximum_segment_size)
}

/// A UDP datagram (RFC 768): a tunnel, or not for us.
pub(super) fn udp<'a>(walk: &mut Walk, cursor: Cursor<'a>) -> Outcome<'a> {
    let Ok(header) = UdpHeaderSlice::from_slice(cursor.bytes) else {
        return Err(cursor.shortage(8, Layer::Udp));
    };
    let payload = cursor.after(8, Layer::Udp)?;
    if tunnel::is_vxlan(header.destination_port(), payload.bytes) {
        return tunnel::vxlan(walk, payload);
    }
    Err(Skip::NotTcp {
        protocol: 17,
        ports: Some((header.source_port(), header.destination_port())),
    })
}
