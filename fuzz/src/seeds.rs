//! The hand-made part of the corpora: pieces of the project's own recordings (`captures/`), and
//! hostile cases. What a fuzzer found is beside it in the corpus and is not written here.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use mqttscope::capture::{
    Capture, Interface, InterfaceStatistics, Item, PcapngWriter, SecretsFormat,
};
use mqttscope::frame::{Frame, LinkType};
use mqttscope::tcp::{Direction, Event, FlowTable, Limits};
use mqttscope::time::Timestamp;
use mqttscope::wire::{Dissection, Dissector, WireLimits};

use crate::targets::pipeline::{operation as op, option};
use crate::targets::wire_tcp::LINK_TYPES;

/// Longest input that is kept.
const LONGEST: usize = 2048;

/// A name and an input.
type Seed = (String, Vec<u8>);

/// Writes all of it.
pub fn write() -> std::io::Result<()> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut recordings: Vec<PathBuf> = fs::read_dir(home.join("../captures"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    recordings.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
    });
    recordings.sort();
    for (target, seeds) in [
        ("container", container(&recordings)?),
        ("wire_tcp", wire_tcp(&recordings)),
        ("mqtt", mqtt(&recordings)),
        ("pipeline", pipeline(&recordings)),
        ("tls", tls()),
        ("websocket", web_socket()),
        ("topic", topic()),
        ("broker", broker()),
        ("payload", payload()),
    ] {
        let directory = home.join("corpus").join(target);
        fs::create_dir_all(&directory)?;
        for (name, mut bytes) in seeds {
            bytes.truncate(LONGEST);
            fs::write(directory.join(name), bytes)?;
        }
    }
    Ok(())
}

fn tls() -> Vec<Seed> {
    use crate::targets::tls::operation as op;
    let handshake = [
        op::CLIENT_HELLO,
        op::SERVER_HELLO,
        op::FINISHED,
        1,
        op::FINISHED,
        0,
    ];
    let said = [op::CONTENT, 0, 9, op::CONTENT, 1, 30, op::CONTENT, 0, 200];
    let lost = [op::LOSE, 0, 5, op::LOSE, 0, 5, op::CONTENT, 0, 7];
    let all = |options: u8, parts: &[&[u8]]| [&[options, 1, 2], parts.concat().as_slice()].concat();
    vec![
        ("content".into(), all(0, &[&handshake, &said])),
        (
            "late-keys".into(),
            all(3, &[&handshake, &said, &[op::KEYS], &said]),
        ),
        ("keys-at-the-end".into(), all(3, &[&handshake, &said])),
        (
            "lost-records".into(),
            all(0, &[&handshake, &said, &lost, &said]),
        ),
        (
            "gap".into(),
            all(0, &[&handshake, &[op::GAP, 1, 0, 50], &said]),
        ),
        (
            "cut-record".into(),
            all(0, &[&handshake, &[op::RAW, 0, 5, 23, 3, 3, 0x40, 0]]),
        ),
        (
            "length-too-long".into(),
            all(0, &[&[op::RAW, 0, 5, 22, 3, 1, 0xff, 0xff]]),
        ),
        (
            "hello-that-ends-early".into(),
            all(0, &[&[op::RAW, 0, 10, 22, 3, 3, 0, 5, 1, 0, 0, 1, 3]]),
        ),
        (
            "key-log".into(),
            b"\xfeCLIENT_RANDOM 00 11\n# x\nRSA 00 11\n\r\nCLIENT_RANDOM zz 1".to_vec(),
        ),
    ]
}

fn web_socket() -> Vec<Seed> {
    let frame = b"\0\x0a\x82\x84\x01\x02\x03\x04abcd\x01\x06\x82\x04abcd";
    let parts = b"\0\x0f\x02\x81\0\0\0\0a\x89\x80\0\0\0\0\x80\x80";
    let long = b"\x01\x0a\x82\x7f\x80\0\0\0\0\0\0\0";
    let longest = b"\x01\x0c\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xffab";
    let gap = b"\0\x08\x82\x84\x01\x02\x03\x04ab\xf0\x02\0\x04\x82\x80\0\0";
    [
        ("frames", 2, &frame[..]),
        ("parts", 2, parts),
        ("length-2-63", 2, long),
        ("longest", 2, longest),
        ("gap", 2, gap),
        ("midstream", 1, frame),
        ("no-upgrade", 0, frame),
    ]
    .map(|(name, options, bytes)| (name.to_owned(), [&[options, 3, 4], bytes].concat()))
    .to_vec()
}

fn broker() -> Vec<Seed> {
    use crate::targets::broker::operation as op;
    let connect = [
        [op::CONNECT, 0, 0b0001_1010],
        [op::CONNECT, 1, 0b0010_0001],
        [op::CONNECT, 2, 0b0111_1110],
    ]
    .concat();
    let subscribe = [
        [op::SUBSCRIBE, 0, 0b0000_1010],
        [op::SUBSCRIBE, 2, 0b0001_0001],
    ]
    .concat();
    let publish = [0x10, 0x11, 0x22, 0x32, 0x59, 0x8a, 0x26].map(|how| [op::PUBLISH, 1, how]);
    let release = [0x22, 0x32, 0x82].map(|how| [op::ACKNOWLEDGE, 1, how]);
    let acknowledge = [0x10, 0x21, 0x23, 0x35, 0x10].map(|how| [op::ACKNOWLEDGE, 0, how]);
    let [publish, release, acknowledge] =
        [publish.concat(), release.concat(), acknowledge.concat()];
    let read = [op::READ, 0, 255, op::READ, 1, 255, op::READ, 2, 30];
    let away = [op::LOSE, 0, 0, op::LOSE, 2, 0, op::TIME, 0, 40];
    let again = [op::CONNECT, 0, 0b0001_1010];
    let bytes = b"\x05\0\0\x0e\x10\x0c\0\x04MQTT\x04\x02\0\0\0\0\x05\0\0\x02\xc0\0";
    let all = [
        connect,
        subscribe,
        publish,
        release,
        read.to_vec(),
        acknowledge,
    ]
    .concat();
    let resumed = [&all[..], &away, &all[9..30], &again, &read].concat();
    let mut seeds: Vec<Seed> = (0..8u8)
        .map(|options| {
            (
                format!("resumed-{options}"),
                [&[options], &resumed[..]].concat(),
            )
        })
        .collect();
    seeds.push(("bytes".into(), [&[0, op::OPEN, 0, 0][..], bytes].concat()));
    let takeover = [op::CONNECT, 3, 0b0001_1010];
    seeds.push((
        "takeover".into(),
        [&[0][..], &all, &takeover, &read].concat(),
    ));
    seeds
}

fn name_of(path: &Path) -> String {
    path.file_stem()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

fn frames(path: &Path, mut take: impl FnMut(&Frame<'_>)) {
    let mut capture = Capture::open(&[path]).expect("a recording can be opened");
    while let Some(item) = capture.next_item() {
        if let Item::Frame(frame) = item {
            take(&frame);
        }
    }
}

fn seed(name: &str, bytes: &[u8]) -> Seed {
    (name.to_owned(), bytes.to_vec())
}

fn container(recordings: &[PathBuf]) -> std::io::Result<Vec<Seed>> {
    let mut seeds = Vec::new();
    for path in recordings.iter().step_by(4) {
        seeds.push((format!("recording-{}", name_of(path)), fs::read(path)?));
    }
    let plain = fs::read(&recordings[0])?;
    let plain = &plain[..1200];
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    gzip.write_all(plain)?;
    let gzip = gzip.finish()?;
    let cut = &gzip[..gzip.len() / 2];
    seeds.push(seed("gzip-cut", cut));
    seeds.push(seed("gzip-twice", &[&gzip[..], &gzip[..]].concat()));
    let zstd = zstd::encode_all(plain, 19)?;
    seeds.push(seed("zstd-cut", &zstd[..zstd.len() / 2]));
    seeds.push(seed("zstd", &zstd));
    let zeros = zstd::encode_all(&vec![0; 1 << 20][..], 19)?;
    seeds.push(seed("zstd-bomb", &zeros));
    let mut bomb = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0".to_vec();
    bomb.resize(1 << 20, 0);
    seeds.push(seed(
        "zstd-empty-records",
        &zstd::encode_all(&bomb[..], 19)?,
    ));
    let mut damaged = zstd::encode_all(&bomb[..], 19)?;
    let late = damaged.len() - 6;
    damaged[late..].fill(0xff);
    seeds.push(seed("zstd-damaged-late", &damaged));
    let header = b"\xd4\xc3\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0";
    let record = b"\0\0\0\0\0\0\0\0\xff\xff\xff\x7f\xff\xff\xff\x7f";
    seeds.push(seed(
        "pcap-record-2gib",
        &[&header[..], record, b"abc"].concat(),
    ));
    let record = b"\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01";
    seeds.push(seed("pcap-record-16mib", &[&header[..], record].concat()));
    let record = b"\xff\xff\xff\xff\xff\xff\xff\xff\x04\0\0\0\0\0\0\0abcd";
    seeds.push(seed(
        "pcap-time-and-length",
        &[&header[..], record, record].concat(),
    ));
    let big = b"\xa1\xb2\x3c\x4d\0\x02\0\x04\0\0\0\0\0\0\0\0\0\x04\0\0\0\0\0\x01\0\0\0\x01\0\0\0\x02\0\0\0\x01\0\0\0\x01x";
    seeds.push(seed("pcap-big-endian", big));
    let modified = b"\x34\xcd\xb2\xa1\x02\0\x04\0\0\0\0\0\0\0\0\0\0\0\x04\0\x01\0\0\0\0\0\0\0\0\0\0\0\x01\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0x";
    seeds.push(seed("pcap-modified", modified));
    seeds.extend(pcapng()?);
    Ok(seeds)
}

fn pcapng() -> std::io::Result<Vec<Seed>> {
    let mut writer = PcapngWriter::new(Vec::new(), "seeds")?;
    for (name, link_type) in [("lo", LinkType::ETHERNET), ("any", LinkType::LINUX_SLL2)] {
        let interface = Interface {
            snap_length: 96,
            description: Some("a description"),
            filter: Some("tcp port 1883"),
            ..Interface::new(link_type).with_name(name)
        };
        writer.add_interface(&interface)?;
    }
    writer.write_secrets(SecretsFormat::TLS_KEY_LOG, b"CLIENT_RANDOM 00 11\n")?;
    for (interface, nanos) in [(0, 5), (1, 3), (0, 1_700_000_000_000_000_000)] {
        let time = Timestamp::from_nanos(nanos);
        writer.write_frame(interface, time, 60, &[7; 21], Some("a comment"))?;
    }
    let statistics = InterfaceStatistics {
        received: Some(9),
        dropped_by_interface: Some(u64::MAX),
        dropped_by_system: Some(u64::MAX),
    };
    writer.write_statistics(0, Timestamp::from_nanos(9), &statistics)?;
    writer.write_statistics(0, Timestamp::from_nanos(9), &statistics)?;
    let whole = writer.into_inner()?;
    let section = |kind: &[u8], body: &[u8]| {
        let length = (body.len() as u32 + 12).to_le_bytes();
        [kind, &length, body, &length].concat()
    };
    let start = section(
        b"\x0a\x0d\x0d\x0a",
        b"\x4d\x3c\x2b\x1a\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff",
    );
    // Time resolutions: 2^-63, 10^-19, 10^-20, and an offset of the most seconds.
    let interface = |options: &[u8]| {
        let body = [b"\x01\0\0\0\0\0\0\0", options, b"\0\0\0\0"].concat();
        section(b"\x01\0\0\0", &body)
    };
    let packet = section(
        b"\x06\0\0\0",
        b"\0\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\x04\0\0\0\x04\0\0\0abcd",
    );
    let mut all = vec![
        seed("pcapng", &whole),
        seed("pcapng-two-sections", &[&whole[..], &whole[..]].concat()),
        seed("pcapng-cut", &whole[..whole.len() - 30]),
    ];
    for (name, options) in [
        ("pcapng-resolution-2-63", &b"\x09\0\x01\0\xbf\0\0\0"[..]),
        ("pcapng-resolution-10-19", b"\x09\0\x01\0\x13\0\0\0"),
        ("pcapng-resolution-10-20", b"\x09\0\x01\0\x14\0\0\0"),
        (
            "pcapng-offset",
            b"\x0e\0\x08\0\xff\xff\xff\xff\xff\xff\xff\x7f",
        ),
        ("pcapng-option-too-long", b"\x02\0\xff\xffabcd"),
    ] {
        let bytes = [&start[..], &interface(options), &packet].concat();
        all.push((name.to_owned(), bytes));
    }
    let simple = section(b"\x03\0\0\0", b"\xff\xff\xff\xffabcd");
    all.push((
        "pcapng-simple".to_owned(),
        [&start[..], &interface(b""), &simple].concat(),
    ));
    let old = section(
        b"\x02\0\0\0",
        b"\0\0\0\0\0\0\0\0\0\0\0\0\x04\0\0\0\x04\0\0\0abcd",
    );
    all.push((
        "pcapng-old-packet".to_owned(),
        [&start[..], &interface(b""), &old].concat(),
    ));
    let unknown = [&start[..], &packet, &b"\x01\0\0\0\x05\0\0\0\x05\0\0\0"[..]].concat();
    all.push(("pcapng-no-interface".to_owned(), unknown));
    let huge = [&start[..], &b"\x06\0\0\0\xfc\xff\xff\xff\0\0\0\0"[..]].concat();
    all.push(("pcapng-block-4gib".to_owned(), huge));
    Ok(all)
}

/// Frames as [`crate::targets::wire_tcp`] reads them.
fn frame_record(into: &mut Vec<u8>, step: u8, bytes: &[u8]) {
    let head = u16::from(step) << 11 | bytes.len() as u16;
    into.extend_from_slice(&head.to_be_bytes());
    into.extend_from_slice(bytes);
}

fn wire_tcp(recordings: &[PathBuf]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (index, path) in recordings.iter().enumerate() {
        let mut bytes = Vec::new();
        frames(path, |frame| {
            if bytes.is_empty() {
                let link_type = LINK_TYPES
                    .iter()
                    .position(|known| *known == frame.link_type)
                    .unwrap_or(0);
                // Every other one with small bounds.
                bytes.extend_from_slice(&[link_type as u8, (index as u8 & 1) << 2]);
            }
            if frame.bytes.len() < 0x800 && bytes.len() + frame.bytes.len() + 2 <= LONGEST {
                frame_record(&mut bytes, 1, frame.bytes);
            }
        });
        seeds.push((format!("recording-{}", name_of(path)), bytes));
    }
    for (link_type, head) in [
        (1, &b"\x02\0\0\0"[..]),
        (5, b"\0\0\0\x02"),
        (6, b"\0\0\0\x01\0\x06\0\0\0\0\0\0\0\0\x08\0"),
        (7, b""),
        (4, b""),
    ] {
        let mut bytes = vec![link_type, 0];
        for (sequence, flags) in [(1_u32, 0x02), (2, 0x18), (u32::MAX - 1, 0x18), (6, 0x11)] {
            frame_record(&mut bytes, 1, &[head, &segment(sequence, flags)].concat());
        }
        seeds.push((format!("link-type-{link_type}"), bytes));
    }
    seeds.push(("fragments".to_owned(), fragments()));
    let mut tunnels = vec![4, 0];
    let gre = b"\x45\0\0\x44\0\x01\0\0\x40\x2f\0\0\x0a\0\0\x01\x0a\0\0\x02\0\0\x08\0";
    frame_record(&mut tunnels, 0, &[&gre[..], &segment(1, 0x18)].concat());
    let nested = b"\x45\0\0\xff\0\x01\0\0\x40\x04\0\0\x0a\0\0\x01\x0a\0\0\x02".repeat(10);
    frame_record(&mut tunnels, 0, &[&nested[..], &segment(1, 0x18)].concat());
    seeds.push(("tunnels".to_owned(), tunnels));
    seeds
}

/// An IPv4 TCP segment with four bytes of payload, without checksums.
fn segment(sequence: u32, flags: u8) -> Vec<u8> {
    let mut bytes = b"\x45\0\0\x2c\0\x01\0\0\x40\x06\0\0\x0a\0\0\x01\x0a\0\0\x02".to_vec();
    bytes.extend_from_slice(b"\x9c\x40\x07\x5b");
    bytes.extend_from_slice(&sequence.to_be_bytes());
    bytes.extend_from_slice(&[0, 0, 0, 1, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    bytes.extend_from_slice(b"\xc0\0\xc0\0");
    bytes
}

/// A segment in three fragments, out of order, one twice and one that overlaps.
fn fragments() -> Vec<u8> {
    let whole = segment(7, 0x18);
    let mut bytes = vec![4, 2];
    for (from, to, more) in [
        (16, 24, false),
        (0, 8, true),
        (0, 8, true),
        (8, 24, true),
        (8, 16, true),
    ] {
        let payload = &whole[20 + from..20 + to];
        let mut frame = whole[..20].to_vec();
        frame[3] = 20 + payload.len() as u8;
        let field = (from as u16 / 8) | u16::from(more) << 13;
        frame[6..8].copy_from_slice(&field.to_be_bytes());
        frame.extend_from_slice(payload);
        frame_record(&mut bytes, 1, &frame);
    }
    bytes
}

/// The two streams of a recording's first connection.
fn streams(path: &Path) -> [Vec<u8>; 2] {
    let mut dissector = Dissector::new(WireLimits::default());
    let mut table = FlowTable::new(Limits::default());
    let mut streams = [Vec::new(), Vec::new()];
    frames(path, |frame| {
        let Dissection::Tcp(segment) = dissector.dissect(frame) else {
            return;
        };
        let mut delivery = table.push(&segment);
        while let Some(event) = delivery.next() {
            if let Event::Data(connection, chunk) = event
                && connection.number == 1
            {
                let side = usize::from(chunk.direction == Direction::Reverse);
                streams[side].extend_from_slice(chunk.bytes);
            }
        }
    });
    streams
}

fn mqtt(recordings: &[PathBuf]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (index, path) in recordings.iter().enumerate() {
        let name = name_of(path);
        let level = match &name {
            name if name.contains("v31-") => 0,
            name if name.contains("v5") => 2,
            _ => 1,
        };
        let [to_broker, to_client] = streams(path);
        for (way, stream) in [("to-broker", to_broker), ("to-client", to_client)] {
            let head = [level | (index as u8 & 1) << 7, index as u8];
            if stream.len() > 8 && seeds.len() < 26 {
                seeds.push((format!("{name}-{way}"), [&head[..], &stream].concat()));
            }
        }
    }
    for (name, stream) in [
        ("declares-256-mib", &b"\x30\xff\xff\xff\x7f\0\x01a12345"[..]),
        ("five-byte-length", b"\xc0\0\x30\xff\xff\xff\xff\x7fabc"),
        ("overlong-length", b"\xc0\x80\0\xd0\x80\x80\x80\0\x30\x85\0\0\x01aXY"),
        ("properties-past-the-end", b"\x30\x06\0\x01a\xff\xff\x7f"),
        ("property-past-the-block", b"\x32\x0b\0\x01a\0\x01\x03\x26\0\xff\xff\xff"),
        ("topic-past-the-end", b"\x30\x04\xff\xffab"),
        ("identifier-zero", b"\x32\x05\0\x01a\0\0\x40\x02\0\0\x62\x02\0\0"),
        ("all-types", b"\0\0\x10\0\x20\0\x30\0\x40\0\x50\0\x60\0\x70\0\x80\0\x90\0\xa0\0\xb0\0\xc0\0\xd0\0\xe0\0\xf0\0"),
        ("payload-format", b"\x30\x0a\0\x01a\x02\x01\x01\xc3\xa9\xc3\xa9"),
        ("subscribe-options", b"\x82\x0c\0\x01\0\0\x01#\xff\0\x02+/\x2e"),
    ] {
        seeds.push((name.to_owned(), [&[0x82, 7], stream].concat()));
    }
    seeds
}

/// Operations as [`crate::targets::pipeline`] reads them.
struct Script(Vec<u8>);

impl Script {
    fn new(options: u8) -> Self {
        Self(vec![options, 1])
    }

    fn send(mut self, operation: u8, how: u8, payload: &[u8]) -> Self {
        for piece in payload.chunks(255) {
            self.0
                .extend_from_slice(&[operation | how << 4, piece.len() as u8]);
            self.0.extend_from_slice(piece);
        }
        self
    }

    fn then(mut self, operation: u8, how: u8) -> Self {
        self.0.push(operation | how << 4);
        self
    }

    fn time(mut self, step: u8) -> Self {
        self.0.extend_from_slice(&[op::TIME, step]);
        self
    }
}

const CONNECT: &[u8] = b"\x10\x0d\0\x04MQTT\x04\0\0\x3c\0\x01c";
const CONNACK: &[u8] = b"\x20\x02\0\0";
const PUBLISH: &[u8] = b"\x34\x07\0\x01a\0\x02xy";

fn pipeline(recordings: &[PathBuf]) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (index, path) in recordings.iter().enumerate().skip(2).step_by(2) {
        let [to_broker, to_client] = streams(path);
        let mut script =
            Script::new([0, option::IPV6, option::MIDSTREAM, option::OTHER_PORT][index / 2 % 4]);
        let pieces = 20 + index * 5;
        let mut sides = [to_broker.chunks(pieces), to_client.chunks(pieces)];
        while script.0.len() < LONGEST - 260 {
            let [client, broker] = &mut sides;
            let (client, broker) = (client.next(), broker.next());
            if client.is_none() && broker.is_none() {
                break;
            }
            script = script.send(op::CLIENT, 1, client.unwrap_or_default());
            script = script.send(op::BROKER, 1, broker.unwrap_or_default());
        }
        let script = script.then(op::FIN, 0).then(op::FIN, 1);
        seeds.push((format!("recording-{}", name_of(path)), script.0));
    }
    let begin = |options| {
        Script::new(options)
            .send(op::CLIENT, 1, CONNECT)
            .send(op::BROKER, 1, CONNACK)
    };
    let cases = [
        (
            "reordered",
            begin(0)
                .send(op::CLIENT_HELD, 0, &PUBLISH[..4])
                .send(op::CLIENT_HELD, 0, &PUBLISH[4..])
                .then(op::RELEASE, 1)
                .then(op::RELEASE, 0)
                .send(op::BROKER, 1, b"\x50\x02\0\x02")
                .then(op::FIN, 2)
                .then(op::FIN, 1),
        ),
        (
            "lost-and-acknowledged",
            begin(0)
                .send(op::CLIENT_LOST, 0, PUBLISH)
                .send(op::CLIENT, 0, PUBLISH)
                .then(op::ACKNOWLEDGE, 1)
                .time(16)
                .send(op::CLIENT, 0, b"\xc0\0"),
        ),
        (
            "lost-within-a-packet",
            begin(0)
                .send(op::CLIENT, 0, b"\x30\x20\0\x01a123")
                .send(op::CLIENT_LOST, 0, b"0123456789")
                .send(op::CLIENT, 0, b"0123456789012345\xc0\0")
                .time(22)
                .then(op::ACKNOWLEDGE, 1),
        ),
        (
            "cut-by-the-snap-length",
            begin(0)
                .send(op::CUT, 2, PUBLISH)
                .send(op::CUT, 1, b"\xd0\0\xd0\0"),
        ),
        (
            "resumed",
            begin(0)
                .send(op::CLIENT, 0, PUBLISH)
                .then(op::RST, 0)
                .then(op::SWITCH, 1)
                .send(op::CLIENT, 1, CONNECT)
                .send(op::BROKER, 1, b"\x20\x02\x01\0")
                .send(op::CLIENT, 1, b"\x3c\x07\0\x01a\0\x02xy")
                .send(op::BROKER, 1, b"\x50\x02\0\x02"),
        ),
        (
            "opened-again",
            begin(0)
                .send(op::CLIENT_HELD, 0, PUBLISH)
                .then(op::OPEN_AGAIN, 3)
                .send(op::CLIENT, 1, CONNECT)
                .then(op::AGAIN, 5)
                .then(op::RELEASE, 0),
        ),
        (
            "tight",
            begin(option::TIGHT)
                .send(
                    op::CLIENT,
                    0,
                    &[b"\x30\x60\0\x02ab".as_slice(), &[b'x'; 92]].concat(),
                )
                .then(op::SWITCH, 1)
                .then(op::SWITCH, 2)
                .then(op::SWITCH, 3)
                .send(op::CLIENT, 0, b"\x10\xff\xff\x7f\0\x04MQTT"),
        ),
        (
            "backwards",
            begin(0)
                .time(29)
                .send(op::CLIENT, 0, PUBLISH)
                .time(25)
                .send(op::BROKER, 1, b"\x50\x02\0\x02")
                .time(24),
        ),
        (
            "roles-the-wrong-way-round",
            Script::new(option::MIDSTREAM)
                .send(op::BROKER, 1, PUBLISH)
                .send(op::BROKER, 1, b"\x90\x03\0\x01\0\xd0\0")
                .send(op::CLIENT, 1, b"\xc0\0"),
        ),
        (
            "tls",
            Script::new(0)
                .send(op::CLIENT, 1, b"\x16\x03\x01\x02\0\x01")
                .send(op::BROKER, 1, b"\x16\x03\x03\0\x7a\x02"),
        ),
        (
            "bad-length",
            begin(0)
                .send(op::CLIENT, 0, b"\x30\xff\xff\xff\xff\x01abc")
                .then(op::FIN, 0),
        ),
        (
            "detected",
            begin(option::OTHER_PORT).send(op::CLIENT, 0, PUBLISH),
        ),
        (
            "gap-before-the-protocol-name",
            Script::new(option::OTHER_PORT)
                .send(op::CLIENT, 1, &CONNECT[..6])
                .send(op::CLIENT_LOST, 0, &CONNECT[6..])
                .send(op::CLIENT, 0, b"\xc0\0"),
        ),
        (
            "connect-too-short-for-its-name",
            Script::new(option::OTHER_PORT)
                .send(op::CLIENT, 1, b"\x10\x05\0\x04MQT")
                .send(op::CLIENT, 0, b"\xc0\0"),
        ),
        (
            "one-sided",
            begin(option::ONE_SIDED)
                .send(op::CLIENT_LOST, 0, PUBLISH)
                .send(op::CLIENT, 1, PUBLISH)
                .time(19)
                .send(op::CLIENT, 1, b"\xc0\0"),
        ),
    ];
    seeds.extend(
        cases
            .into_iter()
            .map(|(name, script)| (name.to_owned(), script.0)),
    );
    let templates: Vec<u8> = (0..29).flat_map(|token| [op::TEMPLATE, token]).collect();
    seeds.push(seed("templates", &[&[0, 1], &templates[..]].concat()));
    seeds
}

fn payload() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = [
        ("empty", &b"\0"[..]),
        ("text", b"\x0021.5 degrees"),
        ("text-nul", b"\0on\0"),
        ("object", b"\0{ \"t\": -21.5e1, \"unit\": \"\\u00b0C\" }"),
        ("array", b"\0[1, [true, null], {}]"),
        ("scalar-declared", b"\x0221.5"),
        ("declared-text", b"\x01a\x07"),
        ("binary", b"\0\xff\xd8\xff\xe0"),
        ("message", b"\0\x12\x02hi\x1a\x05\x0a\x01k\x10\x01\x38\x2a"),
        ("message-nested", b"\0\x0a\x02\x38\x01\x38\x2a"),
        ("message-group", b"\0\x2b\x32\x01\xff\x2c\x38\x2a"),
        ("message-packed", b"\0\x22\x08\0\0\0\0\0\0\xf8\x7f\x38\x01"),
    ]
    .into_iter()
    .map(|(name, bytes)| seed(name, bytes))
    .collect();
    seeds.push(("deep".to_owned(), [&b"\0"[..], &b"[".repeat(1500)].concat()));
    seeds
}

fn topic() -> Vec<Seed> {
    let mut seeds: Vec<Seed> = [
        ("exact", &b"a/b/c\xffa/b/c"[..]),
        ("plus", b"+/b/+\xffa/b/c"),
        ("hash", b"a/#\xffa"),
        ("hash-deep", b"a/#\xffa/b/c/d"),
        ("hash-alone", b"#\xff/"),
        ("hash-not-last", b"a/#/b\xffa/x/b"),
        ("hash-within", b"a#\xffa"),
        ("plus-within", b"a+/b\xffax/b"),
        ("dollar", b"#\xff$SYS/x"),
        ("dollar-plus", b"+/x\xff$SYS/x"),
        ("dollar-named", b"$SYS/#\xff$SYS/x"),
        ("empty-levels", b"//+\xff///"),
        ("slash", b"/\xff/"),
        ("parent-of-empty", b"/#\xff/"),
        ("empty-filter", b"\xffa"),
        ("empty-name", b"#\xff"),
        ("shared", b"$share/g/a/+\xffa/b"),
        ("shared-empty-group", b"$share//a\xffa"),
        ("shared-wildcard", b"$share/+/a\xffa"),
        ("shared-no-filter", b"$share/g\xffa"),
        ("utf-8", b"\xc3\xa9/+\xff\xc3\xa9/x"),
        ("not-utf-8", b"\xc3/\xed\xa0\x80\xff\0"),
    ]
    .into_iter()
    .map(|(name, bytes)| seed(name, bytes))
    .collect();
    let deep = [&b"+/".repeat(500)[..], b"#\xff", &b"a/".repeat(501)].concat();
    seeds.push(("deep".to_owned(), deep));
    seeds
}
