//! TLS: a small program makes both sides of a connection of TLS 1.3, with anything between its
//! records, and gaps. Whatever comes out was sent in a sealed record, in that order; without gaps
//! it is the same in any pieces. Or, a key log in any pieces.
//!
//! Input: options, seed of the pieces, then operations.

use mqttscope::stream::tls::{KeyLog, Keys, Tls, TlsLimits};
use mqttscope::stream::{Mark, Passed, Piece, Scratch, Side};
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Prk};

use crate::input::{Bytes, Random};

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    &[
        operation::CLIENT_HELLO,
        operation::SERVER_HELLO,
        operation::FINISHED,
        1,
        operation::FINISHED,
        0,
    ],
    &[operation::CONTENT, 0, 20],
    &[operation::CONTENT, 1, 20],
    &[operation::LOSE, 0, 3],
    &[operation::GAP, 0, 9],
    &[operation::KEYS],
    &[operation::RAW, 0, 5, 23, 3, 3, 0, 30],
    &[operation::RAW, 1, 7, 21, 3, 3, 0, 2, 2, 48],
    b"\x16\x03\x01\0\x05\x01\0\0\x01a",
    b"\x14\x03\x03\0\x01\x01",
    b"\xfe",
    b"CLIENT_RANDOM ",
    b"CLIENT_TRAFFIC_SECRET_0 ",
    b"0707070707070707070707070707070707070707070707070707070707070707 ",
    b"\n",
];

/// What the program can do. All but hellos and keys are followed by a side.
pub mod operation {
    /// A ClientHello.
    pub const CLIENT_HELLO: u8 = 0;
    /// A ServerHello of TLS 1.3.
    pub const SERVER_HELLO: u8 = 1;
    /// A sealed Finished: the side goes on with the secrets for content.
    pub const FINISHED: u8 = 2;
    /// A sealed record with so many bytes of content.
    pub const CONTENT: u8 = 3;
    /// A sealed record that is missing from the capture.
    pub const LOSE: u8 = 4;
    /// So many bytes are missing.
    pub const GAP: u8 = 5;
    /// The secrets become known.
    pub const KEYS: u8 = 6;
    /// So many bytes as they stand.
    pub const RAW: u8 = 7;
}

/// A chunk that tells nothing.
#[derive(Clone, Copy, Debug)]
struct Nowhere;

impl Mark for Nowhere {
    fn spanning(self, _: Self, _: Self) -> Self {
        self
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF-Expand-Label of RFC 8446, section 7.1.
fn expand<const N: usize>(secret: u8, label: &str) -> [u8; N] {
    let label = format!("tls13 {label}");
    let lengths = [0, N as u8, label.len() as u8];
    let info = [&lengths[..], label.as_bytes(), &[0]];
    let mut out = [0; N];
    let secret = Prk::new_less_safe(HKDF_SHA256, &[secret; 32]);
    secret
        .expand(&info, Length(N))
        .unwrap()
        .fill(&mut out)
        .unwrap();
    out
}

/// One side, as it sends.
struct Sender {
    secrets: [u8; 2],
    finished: usize,
    number: u64,
}

impl Sender {
    const fn new(secrets: [u8; 2]) -> Self {
        Self {
            secrets,
            finished: 0,
            number: 0,
        }
    }

    fn seal(&mut self, content_type: u8, content: &[u8]) -> Vec<u8> {
        let secret = self.secrets[self.finished];
        let key = UnboundKey::new(&AES_128_GCM, &expand::<16>(secret, "key")).unwrap();
        let mut nonce: [u8; 12] = expand(secret, "iv");
        let counted = nonce[4..].iter_mut().zip(self.number.to_be_bytes());
        counted.for_each(|(place, byte)| *place ^= byte);
        self.number += 1;
        let mut sealed = content.to_vec();
        sealed.push(content_type);
        let length = (sealed.len() as u16 + 16).to_be_bytes();
        let header = [23, 3, 3, length[0], length[1]];
        let nonce = Nonce::assume_unique_for_key(nonce);
        LessSafeKey::new(key)
            .seal_in_place_append_tag(nonce, Aad::from(header), &mut sealed)
            .unwrap();
        [&header[..], &sealed].concat()
    }
}

fn hello(kind: u8) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend([7; 32]);
    body.push(0);
    match kind {
        1 => body.extend([0, 2, 0x13, 1, 1, 0, 0, 0]),
        _ => body.extend([0x13, 1, 0, 0, 6, 0, 43, 0, 2, 3, 4]),
    }
    let length = body.len() as u8;
    [&[22, 3, 3, 0, length + 4, kind, 0, 0, length], &body[..]].concat()
}

fn secrets() -> KeyLog {
    let mut log = KeyLog::new();
    for (label, secret) in [
        ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1_u8),
        ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2),
        ("CLIENT_TRAFFIC_SECRET_0", 3),
        ("SERVER_TRAFFIC_SECRET_0", 4),
    ] {
        let (random, secret) = ("07".repeat(32), format!("{secret:02x}").repeat(32));
        log.push(format!("{label} {random} {secret}\n").as_bytes());
    }
    log
}

#[derive(Default)]
struct Run {
    /// By side: client, server.
    sent: [Vec<u8>; 2],
    came: [Vec<u8>; 2],
    missing: bool,
    late_keys: bool,
}

/// Runs one input.
pub fn run(data: &[u8]) {
    if let Some((0xfe, text)) = data.split_first().map(|(first, rest)| (*first, rest)) {
        return key_log(text);
    }
    let whole = connection(data, false);
    for (sent, came) in whole.sent.iter().zip(&whole.came) {
        let mut sent = sent.iter();
        assert!(
            came.iter().all(|byte| sent.any(|other| other == byte)),
            "nothing of the kind was sent"
        );
    }
    if !whole.missing {
        let pieces = connection(data, true);
        assert_eq!(whole.came, pieces.came, "in pieces");
    }
}

fn connection(data: &[u8], in_pieces: bool) -> Run {
    let mut bytes = Bytes(data);
    let options = bytes.byte();
    let mut random = Random::new(u64::from(bytes.two()));
    let (empty, full) = (KeyLog::new(), secrets());
    let limits = TlsLimits {
        waiting_bytes: 1 << 14,
    };
    let mut run = Run {
        late_keys: options & 1 != 0,
        ..Run::default()
    };
    let mut senders = [Sender::new([1, 3]), Sender::new([2, 4])];
    let (mut tls, mut scratch) = (Tls::new(), Scratch::default());
    while !bytes.is_empty() {
        let kind = bytes.byte() % 8;
        if kind == operation::KEYS {
            run.late_keys = false;
            continue;
        }
        let log = if run.late_keys { &empty } else { &full };
        let keys = Keys {
            log,
            more: options & 2 != 0,
            limits,
        };
        let (side, index) = match kind {
            operation::CLIENT_HELLO => (Side::Client, 0),
            operation::SERVER_HELLO => (Side::Server, 1),
            _ if bytes.byte() & 1 == 0 => (Side::Client, 0),
            _ => (Side::Server, 1),
        };
        let sender = &mut senders[index];
        let mut lost = 0;
        let part = match kind {
            operation::CLIENT_HELLO => hello(1),
            operation::SERVER_HELLO => hello(2),
            operation::FINISHED => {
                let sealed = sender.seal(22, &[20, 0, 0, 1, 0]);
                sender.finished = 1;
                sender.number = 0;
                sealed
            }
            operation::CONTENT | operation::LOSE => {
                let count = usize::from(bytes.byte());
                let content: Vec<u8> = (0..count).map(|_| sender.number as u8).collect();
                run.sent[index].extend(&content);
                let sealed = sender.seal(23, &content);
                if kind == operation::LOSE {
                    lost = sealed.len() as u64;
                }
                sealed
            }
            operation::GAP => {
                lost = u64::from(bytes.two());
                Vec::new()
            }
            _ => {
                let count = usize::from(bytes.byte());
                bytes.take(count).to_vec()
            }
        };
        let mut pass = |side: Side, passed: Passed<'_, Nowhere>| {
            if let Passed::Bytes(piece) = passed {
                run.came[usize::from(side == Side::Server)].extend(piece.bytes);
            }
        };
        if lost > 0 {
            run.missing = true;
            tls.gap(side, lost, Nowhere, keys, &mut scratch, &mut pass);
        } else {
            let mut rest = part.as_slice();
            while !rest.is_empty() {
                let count = if in_pieces {
                    1 + random.below(rest.len())
                } else {
                    rest.len()
                };
                let (piece, others) = rest.split_at(count);
                let piece = Piece {
                    bytes: piece,
                    mark: Nowhere,
                    starts: true,
                    ends: true,
                };
                tls.push(side, piece, keys, &mut scratch, &mut pass);
                rest = others;
            }
        }
        assert!(
            tls.buffered() <= (1 << 14) + (300 << 10),
            "{} bytes wait",
            tls.buffered()
        );
    }
    let keys = Keys {
        log: &full,
        more: false,
        limits,
    };
    let mut pass = |side: Side, passed: Passed<'_, Nowhere>| {
        if let Passed::Bytes(piece) = passed {
            run.came[usize::from(side == Side::Server)].extend(piece.bytes);
        }
    };
    tls.finish(keys, &mut scratch, &mut pass);
    run
}

/// The same lines in any pieces are the same secrets.
fn key_log(text: &[u8]) {
    let mut random = Random::new(text.len() as u64);
    let mut whole = KeyLog::new();
    whole.push(text);
    whole.end();
    let mut pieces = KeyLog::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, others) = rest.split_at(1 + random.below(rest.len()));
        pieces.push(piece);
        rest = others;
    }
    pieces.end();
    assert_eq!(whole.statistics(), pieces.statistics());
    assert_eq!(whole.len(), pieces.len());
}
