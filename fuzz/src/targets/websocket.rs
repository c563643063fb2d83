//! WebSocket: the upgrade and frames, in one piece against any other pieces; with gaps.
//!
//! Input: options, seed of the pieces, then parts: kind, length, bytes.

use mqttscope::stream::websocket::{MAX_HEAD, Stop, WebSocket};
use mqttscope::stream::{Mark, Passed, Piece, Scratch, Side};

use crate::input::{Bytes, Random};

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    REQUEST,
    RESPONSE,
    b"\x82\x04\x30\x02\0\0",
    b"\x82\x84\x01\x02\x03\x04abcd",
    b"\x02\x01a\x80\x01b",
    b"\x89\x01?",
    b"\x88\x02\x03\xe8",
    b"\x82\x7e\x01\0",
    b"\x82\x7f\x80\0\0\0\0\0\0\0",
    b"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\xc2\x01a",
    b"Sec-WebSocket-Extensions: permessage-deflate\r\n",
    b"\r\n\r\n",
];

/// The client's upgrade.
pub const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Protocol: mqtt\r\n\r\n";

/// The server's answer.
pub const RESPONSE: &[u8] = b"HTTP/1.1 101 X\r\nUpgrade: websocket\r\n\r\n";

/// A chunk that tells nothing.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Mark for Nowhere {
    fn spanning(self, _: Self, _: Self) -> Self {
        self
    }
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Out {
    client: Vec<u8>,
    server: Vec<u8>,
    gaps: usize,
    stop: Option<Stop>,
}

impl Out {
    fn add(&mut self, side: Side, passed: &Passed<'_, Nowhere>) {
        match passed {
            Passed::Bytes(piece) => {
                assert!(!piece.bytes.is_empty());
                match side {
                    Side::Client => self.client.extend(piece.bytes),
                    Side::Server => self.server.extend(piece.bytes),
                }
            }
            Passed::Gap { .. } => self.gaps += 1,
        }
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let whole = read(data, false);
    let (pieces, gaps) = (read(data, true), whole.1);
    if !gaps {
        assert_eq!(whole.0, pieces.0, "in pieces");
    }
}

/// What comes out, and whether anything was missing on the way in.
fn read(data: &[u8], in_pieces: bool) -> (Out, bool) {
    let mut bytes = Bytes(data);
    let options = bytes.byte();
    let mut random = Random::new(u64::from(bytes.two()));
    let midstream = options & 1 != 0;
    let mut socket = if midstream {
        WebSocket::midstream()
    } else {
        WebSocket::new()
    };
    let (mut out, mut scratch, mut sent) = (Out::default(), Scratch::default(), 0);
    let mut missing = midstream;
    if options & 2 != 0 {
        for (side, head) in [(Side::Client, REQUEST), (Side::Server, RESPONSE)] {
            push(&mut socket, side, head, &mut scratch, &mut out);
            sent += head.len();
        }
    }
    while !bytes.is_empty() {
        let kind = bytes.byte();
        let length = usize::from(bytes.byte());
        let side = if kind & 1 == 0 {
            Side::Client
        } else {
            Side::Server
        };
        if kind & 0xf0 == 0xf0 {
            missing = true;
            let count = (length as u64) << (kind & 0x0e);
            socket.gap(side, count, Nowhere, &mut |side, passed| {
                out.add(side, &passed)
            });
            continue;
        }
        let mut part = bytes.take(length);
        sent += part.len();
        while !part.is_empty() {
            let count = if in_pieces {
                1 + random.below(part.len())
            } else {
                part.len()
            };
            let (piece, rest) = part.split_at(count);
            push(&mut socket, side, piece, &mut scratch, &mut out);
            part = rest;
        }
        assert!(socket.buffered() <= 2 * MAX_HEAD);
    }
    assert!(out.client.len() + out.server.len() <= sent);
    out.stop = socket.stopped();
    (out, missing)
}

fn push(
    socket: &mut WebSocket<Nowhere>,
    side: Side,
    bytes: &[u8],
    scratch: &mut Scratch,
    out: &mut Out,
) {
    let piece = Piece {
        bytes,
        mark: Nowhere,
        starts: true,
        ends: true,
    };
    socket.push(side, piece, scratch, &mut |side, passed| {
        out.add(side, &passed)
    });
}
