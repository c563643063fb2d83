#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use proptest::prelude::*;

use super::super::testing::{Chunk, Collected};
use super::keys::{Suite, TLS_1_2};
use super::*;

const RANDOM: [u8; 32] = [7; 32];
const SERVER_RANDOM: [u8; 32] = [9; 32];
const AES_128: u16 = 0x1301;
const ECDHE_AES_128: u16 = 0xc02f;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A record that is not encrypted.
fn record(content_type: u8, content: &[u8]) -> Vec<u8> {
    let length = (content.len() as u16).to_be_bytes();
    [&[content_type, 3, 3], &length[..], content].concat()
}

fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = (body.len() as u32).to_be_bytes();
    [&[kind], &length[1..], body].concat()
}

fn extension(kind: u16, data: &[u8]) -> Vec<u8> {
    [
        &kind.to_be_bytes()[..],
        &(data.len() as u16).to_be_bytes(),
        data,
    ]
    .concat()
}

fn client_hello(extensions: &[Vec<u8>]) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(RANDOM);
    body.extend([0, 0, 4, 0x13, 0x01, 0xc0, 0x2f, 1, 0]);
    let extensions = extensions.concat();
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(22, &message(1, &body))
}

fn server_hello(version: u16, suite: u16) -> Vec<u8> {
    let mut body = vec![3, 3];
    body.extend(SERVER_RANDOM);
    body.push(0);
    body.extend(suite.to_be_bytes());
    body.push(0);
    let extensions = match version {
        TLS_1_3 => extension(43, &TLS_1_3.to_be_bytes()),
        _ => extension(16, b"\0\x05\x04mqtt"),
    };
    body.extend((extensions.len() as u16).to_be_bytes());
    body.extend(extensions);
    record(22, &message(2, &body))
}

const LABELS: [(&str, u8); 5] = [
    ("CLIENT_HANDSHAKE_TRAFFIC_SECRET", 1),
    ("SERVER_HANDSHAKE_TRAFFIC_SECRET", 2),
    ("CLIENT_TRAFFIC_SECRET_0", 3),
    ("SERVER_TRAFFIC_SECRET_0", 4),
    ("CLIENT_EARLY_TRAFFIC_SECRET", 5),
];

/// The secrets whose label contains `only`.
fn key_log(only: &str) -> KeyLog {
    let mut log = KeyLog::new();
    for (label, byte) in LABELS.iter().filter(|(label, _)| label.contains(only)) {
        log.push(format!("{label} {} {}\n", hex(&RANDOM), hex(&[*byte; 32])).as_bytes());
    }
    log.push(format!("CLIENT_RANDOM {} {}\n", hex(&RANDOM), hex(&[6; 48])).as_bytes());
    log
}

/// Makes records with one of the secrets.
fn sealer(secret: u8) -> Opener {
    let suite = Suite::new(AES_128, TLS_1_3).unwrap();
    suite.opener(&Secret::new(&[secret; 32]).unwrap()).unwrap()
}

struct Reader {
    tls: Tls<Chunk>,
    scratch: Scratch,
    collected: Collected,
    log: KeyLog,
    more: bool,
    chunks: usize,
}

impl Reader {
    fn new(log: KeyLog) -> Self {
        Self {
            tls: Tls::new(),
            scratch: Scratch::default(),
            collected: Collected::default(),
            log,
            more: false,
            chunks: 0,
        }
    }

    /// TLS 1.3, up to the end of the handshake.
    fn tls_1_3(log: KeyLog) -> Self {
        let mut reader = Self::new(log);
        reader.push(Side::Client, &client_hello(&[]));
        reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
        reader.push(Side::Server, &record(20, &[1]));
        let encrypted_extensions =
            message(8, &[&[0, 9][..], &extension(16, b"\0\x03\x02ab")].concat());
        let flight = [
            encrypted_extensions,
            message(11, &[0; 300]),
            message(20, &[0; 32]),
        ]
        .concat();
        let mut server = sealer(2);
        reader.push(Side::Server, &server.seal(22, &flight[..100], 0));
        reader.push(Side::Server, &server.seal(22, &flight[100..], 5));
        reader.push(Side::Client, &record(20, &[1]));
        reader.push(Side::Client, &sealer(1).seal(22, &message(20, &[0; 32]), 0));
        reader
    }

    fn step(&mut self, step: impl FnOnce(&mut Tls<Chunk>, Keys<'_>, &mut Scratch, &mut Collected)) {
        let keys = Keys {
            log: &self.log,
            more: self.more,
            limits: TlsLimits {
                waiting_bytes: 4000,
            },
        };
        step(&mut self.tls, keys, &mut self.scratch, &mut self.collected);
    }

    fn push(&mut self, side: Side, bytes: &[u8]) {
        let piece = Piece {
            bytes,
            mark: Chunk::new(self.chunks),
            starts: true,
            ends: true,
        };
        self.chunks += 1;
        self.step(|tls, keys, scratch, collected| {
            tls.push(side, piece, keys, scratch, &mut |side, passed| {
                collected.add(side, passed)
            });
        });
    }

    fn gap(&mut self, side: Side, bytes: u64) {
        let mark = Chunk::new(self.chunks);
        self.step(|tls, keys, scratch, collected| {
            let pass = &mut |side, passed: Passed<'_, Chunk>| collected.add(side, passed);
            tls.gap(side, bytes, mark, keys, scratch, pass);
        });
    }

    fn finish(&mut self) {
        self.step(|tls, keys, scratch, collected| {
            tls.finish(keys, scratch, &mut |side, passed| {
                collected.add(side, passed)
            });
        });
    }
}

#[test]
fn tls_1_3_from_handshake_to_key_update() {
    let mut reader = Reader::tls_1_3(key_log(""));
    let (mut client, mut server) = (sealer(3), sealer(4));
    reader.push(Side::Server, &server.seal(22, &message(4, &[0; 60]), 0));
    reader.push(Side::Client, &client.seal(23, b"padded ", 40));
    // Two records in one segment, one record in three.
    let two = [client.seal(23, b"two ", 0), client.seal(23, b"records ", 0)].concat();
    reader.push(Side::Client, &two);
    let one = server.seal(23, b"answer", 0);
    for part in [&one[..3], &one[3..8], &one[8..]] {
        reader.push(Side::Server, part);
    }
    reader.push(Side::Client, &client.seal(22, &message(24, &[0]), 0));
    let suite = Suite::new(AES_128, TLS_1_3).unwrap();
    let next = suite.next_secret(&Secret::new(&[3; 32]).unwrap()).unwrap();
    let mut client = suite.opener(&next).unwrap();
    reader.push(Side::Client, &client.seal(23, b"and new keys", 0));
    reader.push(Side::Client, &client.seal(21, &[1, 0], 0));
    assert_eq!(reader.tls.stopped(), None);
    assert_eq!(reader.collected.client, b"padded two records and new keys");
    assert_eq!(reader.collected.server, b"answer");
    let facts = reader.tls.facts();
    assert_eq!(facts.version.as_deref(), Some("TLS 1.3"));
    assert_eq!(facts.suite.as_deref(), Some("TLS_AES_128_GCM_SHA256"));
    assert_eq!(facts.protocol.as_deref(), Some(&b"ab"[..]));
    assert_eq!(facts.key_updates, 1);
    assert_eq!(
        facts.alerts.first().and_then(|alert| alert.name()),
        Some("close_notify")
    );
    assert_eq!(
        (facts.begun.unwrap().seen, facts.established.unwrap().seen),
        (0, 6)
    );
    // The answer came in chunks 10 to 12: its bytes in the last two, its header in the first.
    let answer: Vec<_> = reader
        .collected
        .pieces
        .iter()
        .filter(|piece| piece.0 == Side::Server)
        .collect();
    let chunk = |seen| Chunk {
        seen,
        first: 10,
        last: 12,
    };
    assert_eq!(
        answer,
        [&(Side::Server, 3, chunk(11)), &(Side::Server, 3, chunk(12))]
    );
    assert_eq!(reader.tls.buffered(), 0);
}

#[test]
fn what_a_bystander_sees_without_keys() {
    let mut reader = Reader::new(KeyLog::new());
    let hello = [
        extension(0, b"\0\x0b\0\0\x08a.broker"),
        // Cannot be parsed, and hides nothing.
        extension(16, b"\0\xff\x04mqtt"),
        extension(0x3a3a, b""),
        extension(16, b"\0\x08\x04mqtt\x02h2"),
    ];
    reader.push(Side::Client, &client_hello(&hello));
    reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
    reader.push(Side::Server, &sealer(2).seal(22, b"....", 0));
    reader.push(Side::Client, &record(21, &[2, 48]));
    reader.push(Side::Client, &sealer(1).seal(22, b"....", 0));
    reader.push(Side::Client, &sealer(3).seal(23, &[0; 5000], 0));
    assert_eq!(reader.tls.stopped(), Some(Stop::NoKeys));
    let facts = reader.tls.facts();
    assert_eq!(facts.server_name.as_deref(), Some(&b"a.broker"[..]));
    assert_eq!(facts.offered_protocols, [b"mqtt".to_vec(), b"h2".to_vec()]);
    assert_eq!((facts.client_records, facts.server_records), (4, 2));
    assert_eq!(facts.established.map(|mark| mark.seen), Some(4));
    assert_eq!(reader.tls.buffered(), 0);
    assert!(reader.collected.pieces.is_empty());
}

/// TLS 1.2 with AES-GCM: nonces that are sent along, and a second handshake.
#[test]
fn tls_1_2_until_it_is_renegotiated() {
    let suite = Suite::new(ECDHE_AES_128, TLS_1_2).unwrap();
    let master = Secret::new(&[6; 48]).unwrap();
    let sealer = |side| {
        suite
            .opener_from_master(&master, side, &RANDOM, &SERVER_RANDOM)
            .unwrap()
    };
    let (mut client, mut server) = (sealer(Side::Client), sealer(Side::Server));
    let mut reader = Reader::new(key_log(""));
    reader.push(Side::Client, &client_hello(&[]));
    let flight = [
        server_hello(TLS_1_2, ECDHE_AES_128),
        record(22, &message(14, b"")),
    ]
    .concat();
    reader.push(Side::Server, &flight);
    reader.push(Side::Client, &record(22, &message(16, &[0; 66])));
    for (side, sealer) in [(Side::Client, &mut client), (Side::Server, &mut server)] {
        reader.push(side, &record(20, &[1]));
        reader.push(side, &sealer.seal(22, &message(20, &[0; 12]), 0));
        reader.push(side, &sealer.seal(23, b"hello", 0));
    }
    assert_eq!(
        (
            reader.collected.client.as_slice(),
            reader.collected.server.as_slice()
        ),
        (&b"hello"[..], &b"hello"[..])
    );
    assert_eq!(reader.tls.facts().protocol.as_deref(), Some(&b"mqtt"[..]));
    assert_eq!(reader.tls.stopped(), None);
    reader.push(Side::Client, &client.seal(22, &client_hello(&[])[5..], 0));
    assert_eq!(reader.tls.stopped(), Some(Stop::Renegotiation));
    let mut reader = Reader::new(key_log(""));
    reader.push(Side::Client, &client_hello(&[]));
    reader.push(Side::Server, &server_hello(TLS_1_2, 0xc013));
    reader.push(Side::Client, &record(20, &[1]));
    reader.push(Side::Client, &record(22, &[0; 40]));
    assert_eq!(reader.tls.stopped(), Some(Stop::Suite(0xc013)));
    assert_eq!(
        reader.tls.stopped().unwrap().to_string(),
        "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA is not decrypted"
    );
}

#[test]
fn records_wait_for_their_keys_and_keep_their_order() {
    let mut reader = Reader::new(KeyLog::new());
    reader.more = true;
    reader.push(Side::Client, &client_hello(&[]));
    reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
    reader.push(Side::Server, &sealer(2).seal(22, &message(20, &[0; 32]), 0));
    reader.push(Side::Client, &sealer(1).seal(22, &message(20, &[0; 32]), 0));
    let (mut client, mut server) = (sealer(3), sealer(4));
    for number in 0..10_u8 {
        reader.push(Side::Client, &client.seal(23, &[number], 0));
        reader.push(Side::Server, &server.seal(23, &[number], 0));
    }
    assert!(reader.collected.pieces.is_empty());
    assert!(reader.tls.buffered() > 0);
    reader.log = key_log("");
    reader.push(Side::Client, &client.seal(23, b"!", 0));
    assert_eq!(reader.tls.buffered(), 0);
    let seen: Vec<usize> = reader
        .collected
        .pieces
        .iter()
        .map(|(_, _, mark)| mark.seen)
        .collect();
    assert_eq!(seen, (4..25).collect::<Vec<_>>());
    // Nothing comes any more, but the keys do.
    let mut reader = Reader::new(KeyLog::new());
    reader.more = true;
    reader.push(Side::Client, &client_hello(&[]));
    reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
    reader.push(Side::Server, &sealer(2).seal(22, &message(20, &[0; 32]), 0));
    reader.push(Side::Server, &sealer(4).seal(23, b"last words", 0));
    reader.log = key_log("");
    reader.finish();
    assert_eq!(reader.collected.server, b"last words");
}

#[test]
fn no_more_waits_than_may() {
    let mut reader = Reader::new(KeyLog::new());
    reader.more = true;
    reader.push(Side::Client, &client_hello(&[]));
    reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
    for _ in 0..100 {
        reader.push(Side::Server, &sealer(2).seal(22, &[0; 100], 0));
        assert!(reader.tls.buffered() <= 4000);
    }
    assert_eq!(reader.tls.stopped(), Some(Stop::LateKeys));
    assert_eq!(reader.tls.buffered(), 0);
    assert_eq!(reader.tls.facts().server_records, 101);
}

#[test]
fn the_wrong_key_ends_decryption() {
    let mut wrong = KeyLog::new();
    for (label, byte) in LABELS {
        wrong.push(format!("{label} {} {}\n", hex(&RANDOM), hex(&[byte + 1; 32])).as_bytes());
    }
    let reader = Reader::tls_1_3(wrong);
    assert_eq!(reader.tls.stopped(), Some(Stop::WrongKey));
    // The right key, and one bit that is not.
    let mut reader = Reader::tls_1_3(key_log(""));
    let mut damaged = sealer(3).seal(23, b"hello", 0);
    *damaged.last_mut().unwrap() ^= 1;
    reader.push(Side::Client, &damaged);
    assert_eq!(reader.tls.stopped(), Some(Stop::WrongKey));
    assert!(reader.collected.pieces.is_empty());
    // Only one side's secrets.
    let reader = Reader::tls_1_3(key_log("SERVER"));
    assert_eq!(reader.tls.stopped(), Some(Stop::MissingSecret));
}

#[test]
fn secrets_of_the_handshake_can_be_done_without() {
    let mut reader = Reader::tls_1_3(key_log("TRAFFIC_SECRET_0"));
    assert_eq!(reader.tls.stopped(), None);
    reader.push(Side::Client, &sealer(3).seal(23, b"hello", 0));
    reader.push(Side::Server, &sealer(4).seal(23, b"hello", 0));
    assert_eq!(reader.collected.client, b"hello");
    assert_eq!(reader.collected.server, b"hello");
}

#[test]
fn early_data_is_handed_on_if_the_server_takes_it() {
    for accepted in [true, false] {
        let mut reader = Reader::new(key_log(""));
        reader.push(Side::Client, &client_hello(&[extension(42, b"")]));
        let mut early = sealer(5);
        reader.push(Side::Client, &early.seal(23, b"early ", 0));
        reader.push(Side::Server, &server_hello(TLS_1_3, AES_128));
        let extensions = if accepted {
            extension(42, b"")
        } else {
            Vec::new()
        };
        let body = [&(extensions.len() as u16).to_be_bytes()[..], &extensions].concat();
        let mut server = sealer(2);
        reader.push(Side::Server, &server.seal(22, &message(8, &body), 0));
        reader.push(Side::Server, &server.seal(22, &message(20, &[0; 32]), 0));
        if accepted {
            reader.push(Side::Client, &early.seal(22, &message(5, b""), 0));
        }
        reader.push(Side::Client, &sealer(1).seal(22, &message(20, &[0; 32]), 0));
        reader.push(Side::Client, &sealer(3).seal(23, b"later", 0));
        let expected = if accepted { "early later" } else { "later" };
        assert_eq!(reader.tls.stopped(), None);
        assert_eq!(reader.collected.client, expected.as_bytes());
        assert!(reader.tls.facts().early_data);
    }
}

#[test]
fn behind_a_gap_the_next_record_tells_its_number() {
    let mut reader = Reader::tls_1_3(key_log(""));
    let mut client = sealer(3);
    let records: Vec<_> = (0..20_u8).map(|n| client.seal(23, &[n; 50], 0)).collect();
    reader.push(Side::Client, &records[0]);
    // Within one record: its header is there.
    reader.push(Side::Client, &records[1][..30]);
    reader.gap(Side::Client, 20);
    reader.push(Side::Client, &records[1][50..]);
    reader.push(Side::Client, &records[2]);
    // From the middle of one to the middle of another.
    reader.push(Side::Client, &records[3][..30]);
    reader.gap(Side::Client, 60 + 5 * 72 - 30);
    reader.push(Side::Client, &records[8][40..]);
    reader.push(Side::Client, &records[9]);
    reader.push(Side::Client, &records[10]);
    assert_eq!(reader.tls.stopped(), None);
    let expected: Vec<u8> = [0_u8, 2, 9, 10].iter().flat_map(|n| [*n; 50]).collect();
    assert_eq!(reader.collected.client, expected);
    assert_eq!(
        reader.collected.gaps,
        [(Side::Client, None), (Side::Client, None)]
    );
    // More is missing than the gap says, so no number fits.
    reader.gap(Side::Client, 1);
    reader.push(Side::Client, &records[19]);
    assert_eq!(reader.tls.stopped(), Some(Stop::Gap));
    // Without the hellos there is nothing to go by.
    let mut reader = Reader::new(key_log(""));
    reader.push(Side::Client, &client_hello(&[]));
    reader.gap(Side::Server, 100);
    assert_eq!(reader.tls.stopped(), Some(Stop::HandshakeUnseen));
}

#[test]
fn what_is_not_tls_is_told_at_once() {
    for (bytes, stop) in [
        (b"\x10\x10\0\x04MQTT".as_slice(), Stop::NotTls),
        (b"\x16\x03\x01\xff\xff", Stop::NotTls),
        (
            b"\x17\x03\x03\0\x20................................",
            Stop::NotTls,
        ),
        (b"\x16\x03\x03\0\x05\x01\0\0\x01a", Stop::Malformed),
    ] {
        let mut reader = Reader::new(key_log(""));
        reader.push(Side::Client, bytes);
        assert_eq!(reader.tls.stopped(), Some(stop), "{bytes:?}");
    }
}

#[test]
fn key_logs_hold_anything() {
    let good = format!("CLIENT_TRAFFIC_SECRET_0 {} {}", hex(&RANDOM), hex(&[1; 48]));
    let upper = format!(
        "CLIENT_RANDOM {} {}",
        hex(&[8; 32]).to_uppercase(),
        hex(&[6; 48])
    );
    let short = format!("CLIENT_RANDOM {} {}", hex(&RANDOM), hex(&[6; 32]));
    let exporter = format!("EXPORTER_SECRET {} {}", hex(&RANDOM), hex(&[6; 32]));
    let endless = "A".repeat(1 << 20);
    let text = format!(
        "# a comment\r\n\n{good}\r\n{endless}\n{upper}\n{short}\n{exporter}\nRSA aa bb\n\
         CLIENT_RANDOM xyz 00\n\u{fffd}\nCLIENT_RANDOM\n{good} and more\n{upper}"
    );
    let read = |size: usize| {
        let mut log = KeyLog::new();
        text.as_bytes().chunks(size).for_each(|part| log.push(part));
        log.end();
        log
    };
    let expected = KeyLogStatistics {
        secrets: 3,
        others: 4,
        malformed: 6,
        forgotten: 0,
    };
    for size in [1, 7, 1000, usize::MAX] {
        let log = read(size);
        assert_eq!(log.statistics(), &expected, "in parts of {size}");
        assert_eq!(log.len(), 2);
        assert!(log.knows(&RANDOM) && log.knows(&[8; 32]));
    }
}

#[test]
fn a_key_log_of_many_sessions_is_bounded() {
    let mut log = KeyLog::new();
    let sessions = MAX_SESSIONS + 1000;
    let mut random = [0; 32];
    for number in 0..sessions {
        random[..8].copy_from_slice(&(number as u64).to_be_bytes());
        log.insert_for_test(random);
    }
    assert_eq!(log.len(), MAX_SESSIONS);
    assert_eq!(log.statistics().forgotten, 1000);
    assert!(log.knows(&random) && !log.knows(&[0; 32]));
}

fn conversation() -> Vec<(Side, Vec<u8>)> {
    let (mut client, mut server) = (sealer(3), sealer(4));
    let mut said = vec![
        (Side::Client, client_hello(&[])),
        (Side::Server, server_hello(TLS_1_3, AES_128)),
        (Side::Server, sealer(2).seal(22, &message(20, &[0; 32]), 0)),
        (Side::Client, sealer(1).seal(22, &message(20, &[0; 32]), 0)),
    ];
    for number in 0..6_u8 {
        said.push((
            Side::Client,
            client.seal(23, &vec![number; 40 * usize::from(number)], 3),
        ));
        said.push((Side::Server, server.seal(23, &[number; 3], 0)));
    }
    said
}

proptest! {
    #[test]
    fn damage_never_makes_content(
        place in any::<prop::sample::Index>(),
        bit in 0_u8..8,
        cut in any::<prop::sample::Index>(),
        missing in 0_u64..600,
        size in 1_usize..200,
    ) {
        let said = conversation();
        let mut whole = Reader::new(key_log(""));
        said.iter().for_each(|(side, bytes)| whole.push(*side, bytes));
        prop_assert_eq!(whole.tls.stopped(), None);
        let mut reader = Reader::new(key_log(""));
        let (damaged, gap) = (place.index(said.len()), cut.index(said.len()));
        for (number, (side, bytes)) in said.iter().enumerate() {
            let mut bytes = bytes.clone();
            if number == damaged {
                let at = place.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            if number == gap {
                reader.gap(*side, missing);
            }
            bytes.chunks(size).for_each(|part| reader.push(*side, part));
            prop_assert!(reader.tls.buffered() < 40_000);
        }
        reader.finish();
        // What comes out was sent, in that order: bytes are told apart by their record.
        let in_order = |ours: &[u8], sent: &[u8]| {
            let mut sent = sent.iter();
            ours.iter().all(|byte| sent.any(|other| other == byte))
        };
        prop_assert!(in_order(&reader.collected.client, &whole.collected.client));
        prop_assert!(in_order(&reader.collected.server, &whole.collected.server));
    }

    #[test]
    fn anything_is_survived(
        parts in prop::collection::vec((any::<bool>(), prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        hello in any::<bool>(),
    ) {
        let mut reader = if hello { Reader::tls_1_3(key_log("")) } else { Reader::new(key_log("")) };
        reader.more = true;
        for (by_client, bytes) in parts {
            let side = if by_client { Side::Client } else { Side::Server };
            match bytes.len() % 5 {
                0 => reader.gap(side, bytes.len() as u64),
                1 => reader.push(side, &record(23, &bytes)),
                2 => reader.push(side, &record(22, &bytes)),
                _ => reader.push(side, &bytes),
            }
        }
        reader.finish();
        prop_assert!(reader.collected.pieces.is_empty());
    }
}
