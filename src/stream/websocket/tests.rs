#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use proptest::prelude::*;

use super::super::testing::{Chunk, Collected};
use super::*;

const REQUEST: &[u8] = b"GET /mqtt HTTP/1.1\r\nHost: broker\r\nUpgrade: WebSocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Protocol: chat, mqtt\r\n\
    Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n";
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
    Connection: Upgrade\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// A frame: first byte, payload, and from a client with a mask.
fn frame(first_byte: u8, payload: &[u8], side: Side) -> Vec<u8> {
    let mask_bit = if side == Side::Client { 0x80 } else { 0 };
    let mut bytes = vec![first_byte];
    match payload.len() {
        length @ 0..126 => bytes.push(mask_bit | length as u8),
        length @ 126..65536 => {
            bytes.push(mask_bit | 126);
            bytes.extend((length as u16).to_be_bytes());
        }
        length => {
            bytes.push(mask_bit | 127);
            bytes.extend((length as u64).to_be_bytes());
        }
    }
    if side == Side::Client {
        let mask = [0x37, 0xfa, 0x21, 0x3d];
        bytes.extend(mask);
        bytes.extend(
            payload
                .iter()
                .zip(mask.iter().cycle())
                .map(|(byte, key)| byte ^ key),
        );
    } else {
        bytes.extend(payload);
    }
    bytes
}

struct Reader {
    socket: WebSocket<Chunk>,
    scratch: Scratch,
    collected: Collected,
    chunks: usize,
}

impl Reader {
    fn new(socket: WebSocket<Chunk>) -> Self {
        Self {
            socket,
            scratch: Scratch::default(),
            collected: Collected::default(),
            chunks: 0,
        }
    }

    fn upgraded() -> Self {
        let mut reader = Self::new(WebSocket::new());
        reader.push(Side::Client, REQUEST);
        reader.push(Side::Server, RESPONSE);
        assert_eq!(reader.socket.asks_for_mqtt(), Some(true));
        assert_eq!(reader.socket.offered(), Some(Subprotocol::Mqtt));
        assert_eq!(reader.socket.selected(), Some(Subprotocol::Mqtt));
        assert_eq!(reader.socket.stopped(), None);
        reader
    }

    /// A segment.
    fn push(&mut self, side: Side, bytes: &[u8]) {
        let piece = Piece {
            bytes,
            mark: Chunk::new(self.chunks),
            starts: true,
            ends: true,
        };
        self.chunks += 1;
        let Self {
            socket,
            scratch,
            collected,
            ..
        } = self;
        socket.push(side, piece, scratch, &mut |side, passed| {
            collected.add(side, passed)
        });
    }

    fn gap(&mut self, side: Side, bytes: u64) {
        let Self {
            socket, collected, ..
        } = self;
        let mark = Chunk::new(self.chunks);
        socket.gap(side, bytes, mark, &mut |side, passed| {
            collected.add(side, passed)
        });
    }
}

#[test]
fn payload_is_handed_on_with_the_chunk_that_it_came_in() {
    let mut reader = Reader::upgraded();
    let bytes = frame(0x82, b"abcdefgh", Side::Client);
    reader.push(Side::Client, &bytes[..3]);
    reader.push(Side::Client, &bytes[3..8]);
    reader.push(Side::Client, &bytes[8..]);
    assert_eq!(reader.collected.client, b"abcdefgh");
    let chunk = |seen, first, last| Chunk { seen, first, last };
    // The frame's header began in chunk 2.
    let marks: Vec<_> = reader
        .collected
        .pieces
        .iter()
        .map(|(_, _, mark)| *mark)
        .collect();
    assert_eq!(marks, [chunk(3, 2, 3), chunk(4, 4, 4)]);
}

#[test]
fn control_frames_stand_between_the_parts_of_a_message() {
    let mut reader = Reader::upgraded();
    let mut bytes = frame(0x02, b"one ", Side::Client);
    bytes.extend(frame(0x89, b"ping", Side::Client));
    bytes.extend(frame(0x00, b"two ", Side::Client));
    bytes.extend(frame(0x8a, b"", Side::Client));
    bytes.extend(frame(0x80, &vec![b'x'; 70_000], Side::Client));
    bytes.extend(frame(0x82, b"", Side::Client));
    reader.push(Side::Client, &bytes);
    assert!(reader.collected.client.starts_with(b"one two xx"));
    assert_eq!(reader.collected.client.len(), 70_008);
    assert_eq!(reader.socket.statistics().frames, 4);
    // After a close frame nothing counts.
    reader.push(Side::Client, &frame(0x88, b"\x03\xe8bye", Side::Client));
    reader.push(Side::Client, b"anything");
    assert_eq!(reader.collected.client.len(), 70_008);
    assert_eq!(reader.socket.stopped(), None);
}

#[test]
fn what_cannot_be_read_is_named() {
    let refused = RESPONSE.to_vec();
    let refused = String::from_utf8(refused).unwrap().replace("101", "403");
    let deflate = String::from_utf8(RESPONSE.to_vec()).unwrap().replace(
        "\r\n\r\n",
        "\r\nSec-WebSocket-Extensions: foo, permessage-deflate; server_no_context_takeover\r\n\r\n",
    );
    for (response, stop) in [
        (refused.as_bytes(), Stop::Refused { status: 403 }),
        (deflate.as_bytes(), Stop::Compressed),
        (b"SSH-2.0-OpenSSH", Stop::BadHead),
    ] {
        let mut reader = Reader::new(WebSocket::new());
        reader.push(Side::Client, REQUEST);
        reader.push(Side::Server, response);
        assert_eq!(reader.socket.stopped(), Some(stop));
    }
    for (request, stop) in [
        (
            b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".as_slice(),
            Stop::NotAnUpgrade,
        ),
        (
            b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n",
            Stop::NotAnUpgrade,
        ),
        (b"POST / HTTP/1.1\r\n\r\n", Stop::NotAnUpgrade),
        (b"GET \xff\r\n\r\n", Stop::BadHead),
    ] {
        let mut reader = Reader::new(WebSocket::new());
        reader.push(Side::Client, request);
        assert_eq!(reader.socket.stopped(), Some(stop), "{request:?}");
    }
    let mut reader = Reader::new(WebSocket::new());
    let endless = [
        b"GET / HTTP/1.1\r\n".as_slice(),
        &b"a: b\r\n".repeat(10_000),
    ]
    .concat();
    endless
        .chunks(7)
        .for_each(|part| reader.push(Side::Client, part));
    assert_eq!(reader.socket.stopped(), Some(Stop::BadHead));
    assert_eq!(reader.socket.buffered(), 0);
}

/// Found by fuzzing: the HTTP parser passes over empty lines and takes HTTP/1.0, but only a head
/// that came in one piece got as far as that.
#[test]
fn a_head_is_judged_the_same_in_any_pieces() {
    let request = [b"\r\n".as_slice(), REQUEST].concat();
    let response = String::from_utf8(RESPONSE.to_vec()).unwrap();
    let response = response.replace("HTTP/1.1", "HTTP/1.0").into_bytes();
    let post = b"POST / HTTP/1.1\r\n\r\n".to_vec();
    for (side, head, stop) in [
        (Side::Client, request, Stop::NotAnUpgrade),
        (Side::Client, post, Stop::NotAnUpgrade),
        (Side::Server, response, Stop::BadHead),
    ] {
        for size in [1, 3, head.len()] {
            let mut reader = Reader::new(WebSocket::new());
            for part in head.chunks(size) {
                reader.push(side, part);
            }
            assert_eq!(reader.socket.stopped(), Some(stop), "{side:?} by {size}");
        }
    }
}

#[test]
fn frames_against_the_rules_are_named() {
    for (bytes, stop) in [
        (b"\xc2\x01a".as_slice(), Stop::Compressed),
        (b"\xa2\x01a", Stop::BadFrame),
        (b"\x83\x01a", Stop::BadFrame),
        (b"\x09\x01a", Stop::BadFrame),
        (b"\x89\x7e\x01\x00", Stop::BadFrame),
        (b"\x82\x7f\x80\0\0\0\0\0\0\0", Stop::BadLength),
        (b"\x82\x7f\xff", Stop::BadLength),
    ] {
        let mut reader = Reader::upgraded();
        reader.push(Side::Server, bytes);
        assert_eq!(reader.socket.stopped(), Some(stop), "{bytes:?}");
    }
    // The longest frame there may be is read as it comes.
    let mut reader = Reader::upgraded();
    reader.push(
        Side::Server,
        b"\x81\x7f\x7f\xff\xff\xff\xff\xff\xff\xffbeginning",
    );
    reader.push(Side::Server, b" and more");
    assert_eq!(reader.collected.server, b"beginning and more");
    assert_eq!(reader.socket.buffered(), 0);
    // Wrong, and no reason to stop.
    reader.push(Side::Client, &frame(0x82, b"bare", Side::Server));
    reader.push(Side::Client, b"\x82\xfe\0\x01\0\0\0\0L");
    assert_eq!(reader.collected.client, b"bareL");
    let statistics = reader.socket.statistics();
    let counted = (
        statistics.text_frames,
        statistics.wrongly_masked,
        statistics.long_lengths,
    );
    assert_eq!(counted, (1, 1, 1));
}

#[test]
fn a_gap_within_a_payload_leaves_the_frames_in_step() {
    let mut reader = Reader::upgraded();
    let bytes = frame(0x82, b"0123456789", Side::Client);
    reader.push(Side::Client, &bytes[..8]);
    reader.gap(Side::Client, 5);
    reader.push(Side::Client, &bytes[13..]);
    reader.push(Side::Client, &frame(0x82, b"next", Side::Client));
    assert_eq!(reader.collected.client, b"01789next");
    assert_eq!(reader.collected.gaps, [(Side::Client, Some(5))]);
}

#[test]
fn behind_another_gap_frames_are_taken_where_a_segment_begins_with_them() {
    let mut reader = Reader::upgraded();
    let bytes = frame(0x82, b"0123456789", Side::Client);
    reader.push(Side::Client, &bytes[..8]);
    reader.gap(Side::Client, 50);
    reader.push(Side::Client, b"\x82 is the rest of something");
    let two = [
        frame(0x82, b"one", Side::Client),
        frame(0x82, b"two", Side::Client),
    ]
    .concat();
    // Not all of it is in the segment, so nobody knows whether it is a frame.
    reader.push(Side::Client, &two[..two.len() - 1]);
    reader.push(Side::Client, &two);
    reader.push(Side::Client, &frame(0x82, b"three", Side::Client));
    assert_eq!(reader.collected.client, b"01onetwothree");
    assert_eq!(reader.collected.gaps, [(Side::Client, None)]);
    assert!(reader.socket.statistics().skipped_bytes > 0);
    let mut reader = Reader::new(WebSocket::midstream());
    reader.push(Side::Server, b"rest");
    reader.push(
        Side::Server,
        &frame(0x82, b"masked by a server", Side::Client),
    );
    reader.push(Side::Server, &frame(0x82, b"first", Side::Server));
    assert_eq!(reader.collected.server, b"first");
    // The request is not there, the response is.
    let mut reader = Reader::new(WebSocket::new());
    reader.gap(Side::Client, 200);
    reader.push(Side::Server, RESPONSE);
    reader.push(Side::Client, &frame(0x82, b"first", Side::Client));
    reader.push(Side::Server, &frame(0x82, b"second", Side::Server));
    assert_eq!(reader.collected.client, b"first");
    assert_eq!(reader.collected.server, b"second");
    assert_eq!(reader.socket.asks_for_mqtt(), None);
}

proptest! {
    #[test]
    fn any_segments_give_the_same_bytes(
        messages in prop::collection::vec((any::<bool>(), 0_usize..400), 1..12),
        sizes in prop::collection::vec(1_usize..60, 1..8),
    ) {
        let mut streams = [REQUEST.to_vec(), RESPONSE.to_vec()];
        let mut expected = [Vec::new(), Vec::new()];
        for (number, (by_client, length)) in messages.into_iter().enumerate() {
            let (index, side) = if by_client { (0, Side::Client) } else { (1, Side::Server) };
            let payload = vec![number as u8; length];
            streams[index].extend(frame(0x82, &payload, side));
            streams[index].extend(frame(0x89, b"?", side));
            expected[index].extend(payload);
        }
        let mut reader = Reader::new(WebSocket::new());
        for (stream, side) in streams.iter().zip([Side::Client, Side::Server]) {
            let mut rest = stream.as_slice();
            for size in sizes.iter().cycle() {
                let (part, others) = rest.split_at((*size).min(rest.len()));
                reader.push(side, part);
                rest = others;
                if rest.is_empty() { break; }
            }
        }
        prop_assert_eq!(reader.socket.stopped(), None);
        prop_assert_eq!(&reader.collected.client, &expected[0]);
        prop_assert_eq!(&reader.collected.server, &expected[1]);
    }

    #[test]
    fn anything_is_survived(
        start in 0_usize..3,
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..80)), 0..20),
    ) {
        let mut reader = match start {
            0 => Reader::new(WebSocket::new()),
            1 => Reader::new(WebSocket::midstream()),
            _ => Reader::upgraded(),
        };
        let mut total = 0;
        for (by_client, bytes) in parts {
            total += bytes.len();
            let side = if by_client { Side::Client } else { Side::Server };
            if bytes.len() % 7 == 6 {
                reader.gap(side, bytes.len() as u64);
            } else {
                reader.push(side, &bytes);
            }
        }
        prop_assert!(reader.collected.client.len() + reader.collected.server.len() <= total);
        prop_assert!(reader.socket.buffered() <= 2 * MAX_HEAD);
    }
}
