//! Every format variant against known frames, damage of every kind, and many files.

use std::fs;
use std::io::{self, Read, Write};

use proptest::prelude::*;

use super::*;
use crate::frame::LinkType;
use crate::time::Timestamp;

const SECOND: i64 = 1_000_000_000;

/// A frame with its own bytes: time, tap, file, number, wire length, bytes.
type Owned = (i64, u16, u32, u64, u32, Vec<u8>);

fn drain(capture: &mut Capture) -> Vec<Owned> {
    let mut frames = Vec::new();
    while let Some(item) = capture.next_item() {
        if let Item::Frame(f) = item {
            let time = f.time.as_nanos();
            frames.push((
                time,
                f.tap,
                f.file,
                f.number,
                f.wire_length,
                f.bytes.to_vec(),
            ));
        }
    }
    frames
}

fn open(bytes: &[u8]) -> Result<Capture, CaptureError> {
    Capture::from_reader("test", Box::new(io::Cursor::new(bytes.to_vec())))
}

fn read(bytes: &[u8]) -> (Vec<Owned>, FileSummary, Vec<TapSummary>) {
    let mut capture = open(bytes).unwrap();
    let frames = drain(&mut capture);
    (frames, capture.files()[0].clone(), capture.taps().to_vec())
}

fn times(frames: &[Owned]) -> Vec<i64> {
    frames.iter().map(|frame| frame.0).collect()
}

/// Writes integers in one byte order.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Little,
    Big,
}

impl Order {
    fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    }
    fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    }
    fn u64(self, value: u64) -> [u8; 8] {
        if self == Self::Little {
            value.to_le_bytes()
        } else {
            value.to_be_bytes()
        }
    }
    fn words(self, values: &[u32]) -> Vec<u8> {
        values.iter().flat_map(|&value| self.u32(value)).collect()
    }
    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let total = self.u32(body.len() as u32 + 12);
        [&self.u32(kind)[..], &total, &body, &total].concat()
    }
    fn section(self) -> Vec<u8> {
        let body = [
            &self.u32(0x1a2b_3c4d)[..],
            &self.u16(1),
            &self.u16(0),
            &[0xff; 8],
        ]
        .concat();
        self.block(0x0a0d_0d0a, &body)
    }
    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [&self.u16(code)[..], &self.u16(value.len() as u16), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }
    fn interface(self, link_type: u16, snap: u32, options: &[u8]) -> Vec<u8> {
        let body = [&self.u16(link_type)[..], &[0; 2], &self.u32(snap), options].concat();
        self.block(1, &body)
    }
    fn packet(
        self,
        interface: u32,
        stamp: u64,
        wire: u32,
        bytes: &[u8],
        options: &[u8],
    ) -> Vec<u8> {
        let head = [
            interface,
            (stamp >> 32) as u32,
            stamp as u32,
            bytes.len() as u32,
            wire,
        ];
        let mut body = [&self.words(&head)[..], bytes].concat();
        body.resize(body.len().next_multiple_of(4), 0);
        body.extend_from_slice(options);
        self.block(6, &body)
    }
}

/// A pcap file with records (seconds, fraction, wire length, bytes).
fn pcap(order: Order, magic: u32, link: u32, records: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
    let mut file = order.u32(magic).to_vec();
    file.extend([order.u16(2), order.u16(4)].concat());
    file.extend(order.words(&[0, 0, 65_535, link]));
    for (seconds, fraction, wire, bytes) in records {
        file.extend(order.words(&[*seconds, *fraction, bytes.len() as u32, *wire]));
        if magic == 0xa1b2_cd34 {
            file.extend([9; 8]);
        }
        file.extend_from_slice(bytes);
    }
    file
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(bytes).unwrap();
    packer.finish().unwrap()
}

const RECORDS: &[(u32, u32, u32, &[u8])] =
    &[(10, 5, 3, b"abc"), (11, 6, 9, b""), (12, 7, 4, b"wxyz")];

fn simple() -> Vec<u8> {
    pcap(Order::Little, 0xa1b2_c3d4, 1, RECORDS)
}

/// Two sections of either byte order with every kind of block.
fn rich() -> Vec<u8> {
    let mut file = Vec::new();
    for (order, start) in [(Order::Little, 1_u64), (Order::Big, 2)] {
        let name = [order.option(2, b"eth0"), order.option(9, &[9])].concat();
        let comment = [order.option(1, b"hello"), order.option(0, b"")].concat();
        file.extend(order.section());
        file.extend(order.interface(1, 0, &name));
        file.extend(order.interface(101, 64, &order.option(14, &order.u64(100))));
        file.extend(order.block(0xbad, &[7; 40]));
        let keys = [&order.words(&[0x544c_534b, 5])[..], b"keys!"].concat();
        file.extend(order.block(10, &keys));
        file.extend(order.packet(0, start * SECOND as u64 + 1, 70, b"first", &comment));
        file.extend(order.packet(1, start * 1_000_000, 2, b"E\0", &[]));
        file.extend(order.block(3, &[&order.u32(3)[..], b"spb"].concat()));
        let old = [&order.u16(0)[..], &order.u16(0)].concat();
        let old = [&old[..], &order.words(&[0, 77, 3, 3]), b"old"].concat();
        file.extend(order.block(2, &old));
        let drops = [
            order.option(5, &order.u64(3)),
            order.option(7, &order.u64(4)),
        ]
        .concat();
        file.extend(order.block(5, &[&order.words(&[0, 0, 0])[..], &drops].concat()));
    }
    file
}

#[test]
fn pcap_in_every_order_and_resolution() {
    for order in [Order::Little, Order::Big] {
        for (magic, unit, container) in [
            (0xa1b2_c3d4, 1_000, Container::Pcap),
            (0xa1b2_3c4d, 1, Container::NanosecondPcap),
            (0xa1b2_cd34, 1_000, Container::ModifiedPcap),
        ] {
            let (frames, file, taps) = read(&pcap(order, magic, 0xf400_0071, RECORDS));
            let expected: Vec<Owned> = vec![
                (10 * SECOND + 5 * unit, 0, 0, 1, 3, b"abc".to_vec()),
                (11 * SECOND + 6 * unit, 0, 0, 2, 9, b"".to_vec()),
                (12 * SECOND + 7 * unit, 0, 0, 3, 4, b"wxyz".to_vec()),
            ];
            assert_eq!(frames, expected);
            assert_eq!(file.container, container);
            assert_eq!(taps[0].link_type, LinkType::LINUX_SLL);
            assert_eq!((file.truncated, file.warnings.len()), (false, 0));
            assert_eq!(file.first.unwrap().as_nanos(), expected[0].0);
            assert_eq!(file.last.unwrap().as_nanos(), expected[2].0);
        }
    }
}

#[test]
fn captured_more_than_the_wire_had_raises_the_wire_length() {
    let (frames, ..) = read(&pcap(
        Order::Little,
        0xa1b2_c3d4,
        1,
        &[(0, 0, 2, b"abcdef")],
    ));
    assert_eq!((frames[0].4, frames[0].5.len()), (6, 6));
}

#[test]
fn pcapng_with_sections_of_either_order() {
    let (frames, file, taps) = read(&rich());
    let mut expected = Vec::new();
    for (section, number) in [(1_i64, 2), (2, 7)] {
        let first = section * SECOND + 1;
        let second = (section + 100) * SECOND;
        expected.extend([
            (first, 0, 0, number, 70, b"first".to_vec()),
            (second, 1, 0, number + 1, 2, b"E\0".to_vec()),
            (second, 0, 0, number + 2, 3, b"spb".to_vec()),
            (77, 0, 0, number + 3, 3, b"old".to_vec()),
        ]);
    }
    assert_eq!(frames, expected);
    assert_eq!(taps.len(), 2, "a later section goes on with the taps");
    assert_eq!(taps[0].name.as_deref(), Some("eth0"));
    assert_eq!(
        (taps[1].link_type, taps[1].snap_length),
        (LinkType::RAW, 64)
    );
    assert_eq!(file.dropped_by_interface, Some(6));
    assert_eq!(file.dropped_by_system, Some(8));
    assert_eq!((file.untimed_frames, file.out_of_order_frames), (2, 2));
    assert_eq!(file.bytes, rich().len() as u64);
}

#[test]
fn secrets_are_handed_out() {
    let file = rich();
    let mut capture = open(&file).unwrap();
    let mut seen = 0;
    while let Some(item) = capture.next_item() {
        if let Item::Secrets { format, bytes, .. } = item {
            assert_eq!((format, bytes), (SecretsFormat::TLS_KEY_LOG, &b"keys!"[..]));
            seen += 1;
        }
    }
    assert_eq!(seen, 2);
}

#[test]
fn time_resolutions() {
    let order = Order::Big;
    for (resolution, stamp, nanos) in [
        (0_u8, 3_u64, 3 * SECOND),
        (3, 3, 3_000_000),
        (9, u64::MAX, i64::MAX),
        (12, 3_999, 3),
        (0x80, 5, 5 * SECOND),
        (0x80 | 10, 1 << 9, SECOND / 2),
        (0x80 | 63, 1 << 62, SECOND / 2),
        (0xff, u64::MAX, 0),
        (0x7f, u64::MAX, 0),
    ] {
        let mut file = order.section();
        file.extend(order.interface(1, 0, &order.option(9, &[resolution])));
        file.extend(order.packet(0, stamp, 1, b"x", &[]));
        let (frames, file, _) = read(&file);
        assert_eq!(times(&frames), [nanos], "{resolution:#x}");
        assert_eq!(!file.warnings.is_empty(), resolution & 0x7f > 63);
    }
}

#[test]
fn negative_time_offset_goes_before_1970() {
    let order = Order::Little;
    let mut file = order.section();
    file.extend(order.interface(1, 0, &order.option(14, &order.u64(-2_i64 as u64))));
    file.extend(order.packet(0, 1_000_000, 1, b"x", &[]));
    assert_eq!(times(&read(&file).0), [-SECOND]);
}

#[test]
fn packed_files_are_told_by_their_content() {
    let plain = rich();
    let middle = plain.len() / 2;
    // gzip members and zstd frames can follow one another.
    let members = [gzip(&plain[..middle]), gzip(&plain[middle..])].concat();
    let frames = [&plain[..middle], &plain[middle..]].map(|p| zstd::encode_all(p, 1).unwrap());
    for (packed, compression) in [
        (members, Compression::Gzip),
        (frames.concat(), Compression::Zstd),
    ] {
        let (frames, file, _) = read(&packed);
        assert_eq!(frames, read(&plain).0);
        assert_eq!(file.compression, Some(compression));
        assert!(!file.truncated);
    }
}

/// Where the header, records and blocks of a file end.
fn boundaries(file: &[u8]) -> Vec<usize> {
    let mut order = if file[0] == 0xa1 {
        Order::Big
    } else {
        Order::Little
    };
    let number = |order, at: usize| {
        let field = file[at..at + 4].try_into().unwrap();
        let number = if order == Order::Little {
            u32::from_le_bytes(field)
        } else {
            u32::from_be_bytes(field)
        };
        number as usize
    };
    let pcapng = file[0] == 0x0a;
    let mut ends = vec![if pcapng { 0 } else { 24 }];
    while let Some(&at) = ends.last().filter(|&&at| at < file.len()) {
        if file[at..].starts_with(&[0x0a, 0x0d, 0x0d, 0x0a]) {
            order = if file[at + 8] == 0x4d {
                Order::Little
            } else {
                Order::Big
            };
        }
        ends.push(match (pcapng, file[2]) {
            (true, _) => at + number(order, at + 4),
            (false, 0xcd) => at + 24 + number(order, at + 8),
            (false, _) => at + 16 + number(order, at + 8),
        });
    }
    ends
}

#[test]
fn a_file_cut_anywhere_yields_a_prefix_and_says_so() {
    for (whole, packed) in [
        (simple(), false),
        (pcap(Order::Big, 0xa1b2_cd34, 1, RECORDS), false),
        (rich(), false),
        (gzip(&rich()), true),
        (zstd::encode_all(&rich()[..], 1).unwrap(), true),
    ] {
        let (all, ..) = read(&whole);
        let mut most = 0;
        for cut in 0..whole.len() {
            match open(&whole[..cut]) {
                Ok(mut capture) => {
                    let frames = drain(&mut capture);
                    assert_eq!(frames, all[..frames.len()], "cut at {cut}");
                    assert!(frames.len() >= most);
                    most = frames.len();
                    let file = &capture.files()[0];
                    assert!(file.warnings.iter().all(|w| w.kind == WarningKind::NoTime));
                    if file.compression.is_some() {
                        assert!(file.truncated, "cut at {cut}");
                    } else {
                        let between = boundaries(&whole).contains(&cut);
                        assert_eq!(file.truncated, !between, "cut at {cut}");
                        assert_eq!(file.bytes, cut as u64);
                    }
                }
                // Unpackers work in blocks: before the first is whole there is nothing to read.
                Err(CaptureError::Unpack { .. }) => assert!(packed && most == 0),
                Err(error) => assert!(cut < 4, "cut at {cut}: {error}"),
            }
        }
        assert!(packed || most + 1 >= all.len());
    }
}

#[test]
fn damage_stops_reading_with_a_warning_where_it_is() {
    let good = pcap(Order::Little, 0xa1b2_c3d4, 1, RECORDS);
    let bad = [&good[..], &Order::Little.words(&[1, 1, 0xffff_fff0, 1])].concat();
    let (frames, file, _) = read(&bad);
    assert_eq!(frames.len(), 3);
    assert_eq!(file.warnings.len(), 1);
    assert_eq!(file.warnings[0].offset, good.len() as u64);
    assert_eq!(
        file.warnings[0].kind,
        WarningKind::RecordLength(0xffff_fff0)
    );

    let order = Order::Little;
    let mut good = [order.section(), order.interface(1, 0, &[])].concat();
    good.extend(order.packet(0, 1, 1, b"x", &[]));
    for length in [0, 3, 8, 13, 30, 0x7fff_fffc, u32::MAX] {
        for kind in [6, 0xbad] {
            let bad = [&good[..], &order.words(&[kind, length]), &[0; 64]].concat();
            let (frames, file, _) = read(&bad);
            assert_eq!(frames.len(), 1, "{length}");
            assert_eq!(file.warnings[0].offset, good.len() as u64);
            assert_eq!(file.warnings[0].kind, WarningKind::BlockLength(length));
        }
    }
    for kind in [1, 5, 6, 10, 0xbad] {
        let mut block = order.block(kind, &[0; 40]);
        *block.last_mut().unwrap() = 1;
        let (frames, file, _) = read(&[&good[..], &block, &good].concat());
        assert_eq!(frames.len(), 1);
        let differ = matches!(
            file.warnings[0].kind,
            WarningKind::BlockLengthsDiffer { first: 52, .. }
        );
        assert!(differ, "{:?}", file.warnings);
        assert_eq!(file.warnings[0].offset, good.len() as u64);
    }
}

#[test]
fn blocks_that_contradict_themselves_are_skipped_and_counted() {
    let order = Order::Big;
    let mut file = [order.section(), order.interface(1, 0, &[])].concat();
    file.extend(order.packet(7, 1, 1, b"unknown interface", &[]));
    file.extend(order.block(6, &order.words(&[0, 0, 1, 0xffff_ffff, 1, 0])));
    file.extend(order.block(10, &order.words(&[1, 0xffff_ffff, 0])));
    file.extend(order.block(5, &order.words(&[9, 0, 0])));
    file.extend(order.packet(0, 2, 1, b"x", &[]));
    let (frames, file, _) = read(&file);
    assert_eq!(frames, [(2_000, 0, 0, 3, 1, b"x".to_vec())]);
    assert_eq!((file.frames, file.unassigned_frames), (3, 2));
    let kinds: Vec<_> = file
        .warnings
        .iter()
        .map(|w| (w.kind.clone(), w.count))
        .collect();
    assert_eq!(
        kinds,
        [
            (WarningKind::UnknownInterface(7), 1),
            (WarningKind::BlockContent(6), 3)
        ]
    );
}

#[test]
fn interfaces_beyond_the_cap_are_counted() {
    let order = Order::Little;
    let mut file = order.section();
    let interface = order.interface(1, 0, &[]);
    for _ in 0..MAX_TAPS + 10 {
        file.extend_from_slice(&interface);
    }
    file.extend(order.packet(MAX_TAPS as u32 - 1, 1, 1, b"x", &[]));
    file.extend(order.packet(MAX_TAPS as u32, 1, 1, b"x", &[]));
    let (frames, file, taps) = read(&file);
    assert_eq!(
        (frames.len(), file.unassigned_frames, taps.len()),
        (1, 1, MAX_TAPS)
    );
    assert_eq!(file.warnings[0].count, 11);
}

#[test]
fn memory_stays_flat_on_a_gzip_bomb_and_on_long_unknown_blocks() {
    let order = Order::Little;
    let mut plain = [order.section(), order.interface(1, 0, &[])].concat();
    plain.extend(order.block(0xbad, &vec![0; 12 << 20]));
    plain.extend(order.packet(0, 1, 1, b"x", &[]));
    let packed = gzip(&plain);
    assert!(packed.len() < plain.len() / 100);
    assert_eq!(read(&packed).0.len(), 1);

    // The longest record but one in a stream of short ones: the buffer shrinks back after it.
    let mut buffer = buffer::Buffer::new(Box::new(io::repeat(7).take(40 << 20)), 1 << 10);
    assert!(buffer.fill(12 << 20));
    buffer.consume(12 << 20, 0);
    assert!(buffer.skip(20 << 20));
    assert!(buffer.fill(1));
    assert!(buffer.first(usize::MAX).len() <= 1 << 10);
}

#[test]
fn a_record_is_handed_out_before_more_is_read() {
    // Panics when asked for more than it was given.
    struct Live(Vec<Vec<u8>>);
    impl Read for Live {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let chunk = self.0.remove(0);
            buffer[..chunk.len()].copy_from_slice(&chunk);
            Ok(chunk.len())
        }
    }
    let file = simple();
    let live = Live(vec![file[..24].to_vec(), file[24..24 + 19].to_vec()]);
    let mut capture = Capture::from_reader("-", Box::new(live)).unwrap();
    assert!(matches!(capture.next_item(), Some(Item::Frame(frame)) if frame.bytes == b"abc"));
}

#[test]
fn a_failing_read_ends_the_file_with_a_warning() {
    struct Fails;
    impl Read for Fails {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let reader = io::Cursor::new(simple()).chain(Fails);
    let mut capture = Capture::from_reader("x", Box::new(reader)).unwrap();
    assert_eq!(drain(&mut capture).len(), 3);
    assert!(capture.next_item().is_none());
    let file = &capture.files()[0];
    assert!(file.truncated);
    assert_eq!(
        file.warnings[0].kind,
        WarningKind::Read("the disk is gone".into())
    );

    let error = Capture::from_reader("x", Box::new(Fails)).err().unwrap();
    assert!(matches!(error, CaptureError::Read { .. }));
}

#[test]
fn what_is_no_capture_is_named() {
    for (bytes, says) in [
        (&b""[..], "x is empty"),
        (b"ab", "is no pcap"),
        (b"snoop\0\0\0\0\0\0\x02", "snoop"),
        (b"GMBU\x01\x02\x03\x04", "Network Monitor"),
        (b"\xfd7zXZ\0\0\0", "unpack it first"),
        (b"{\"a\": 1}\n", "but text"),
        (
            &[0x0a, 0x0d, 0x0d, 0x0a, 28, 0, 0, 0, 1, 2, 3, 4],
            "is no pcap",
        ),
        (&[0x1f, 0x8b, 8, 0, 9, 9], "cannot be unpacked"),
        (&gzip(b""), "empty once unpacked (gzip)"),
        (&gzip(b"hello, world"), "once unpacked (gzip) but text"),
    ] {
        let error = Capture::from_reader("x", Box::new(io::Cursor::new(bytes.to_vec())));
        let text = error.err().unwrap().to_string();
        assert!(text.contains(says), "{text}");
    }
}

fn at(seconds: &[u32]) -> Vec<u8> {
    let records: Vec<_> = seconds.iter().map(|&s| (s, 0, 1, &b"x"[..])).collect();
    pcap(Order::Little, 0xa1b2_c3d4, 1, &records)
}

#[test]
fn files_are_merged_by_time_and_keep_their_own_order() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    fs::write(path("a.pcap"), at(&[1, 5, 3, 9])).unwrap();
    fs::write(path("b.pcap"), at(&[2, 4, 8])).unwrap();
    fs::write(path("c.pcap"), at(&[])).unwrap();
    let mut capture = Capture::open(&[path("a.pcap"), path("b.pcap"), path("c.pcap")]).unwrap();
    let order: Vec<_> = drain(&mut capture)
        .iter()
        .map(|f| (f.0 / SECOND, f.1, f.2))
        .collect();
    assert_eq!(
        order,
        [
            (1, 0, 0),
            (2, 1, 1),
            (4, 1, 1),
            (5, 0, 0),
            (3, 0, 0),
            (8, 1, 1),
            (9, 0, 0)
        ]
    );
    assert_eq!(capture.files()[0].out_of_order_frames, 1);
    assert_eq!((capture.files().len(), capture.taps().len()), (3, 3));
}

#[test]
fn a_rotated_series_is_one_tap_in_the_order_of_its_frames() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    // A ring that has wrapped: the file without a number is the latest but one.
    fs::write(path("x.pcap"), at(&[7, 8])).unwrap();
    fs::write(path("x.pcap1"), gzip(&at(&[9, 10]))).unwrap();
    fs::write(path("x.pcap2"), at(&[1, 2])).unwrap();
    fs::write(path("y.pcap"), at(&[3, 9])).unwrap();
    fs::write(path("notes.txt"), "no capture").unwrap();
    fs::write(path("zero.pcap"), "").unwrap();
    let mut capture = Capture::open(&[directory.path()]).unwrap();
    let frames: Vec<_> = drain(&mut capture)
        .iter()
        .map(|f| (f.0 / SECOND, f.1, f.2))
        .collect();
    assert_eq!(
        frames,
        [
            (1, 0, 2),
            (2, 0, 2),
            (3, 1, 3),
            (7, 0, 0),
            (8, 0, 0),
            (9, 0, 1),
            (9, 1, 3),
            (10, 0, 1)
        ]
    );
    assert_eq!(capture.taps()[0].files, [0, 1, 2]);
    assert_eq!(capture.skipped_files(), 2);
    assert!(capture.files().iter().all(|file| file.warnings.is_empty()));
}

#[test]
fn overlapping_files_of_a_series_are_told() {
    let directory = tempfile::tempdir().unwrap();
    let paths = ["x.pcap", "x.pcap1"].map(|name| directory.path().join(name));
    fs::write(&paths[0], at(&[1, 8])).unwrap();
    fs::write(&paths[1], at(&[2, 9])).unwrap();
    let mut capture = Capture::open(&paths).unwrap();
    assert_eq!(
        times(&drain(&mut capture)),
        [1, 8, 2, 9].map(|s| s * SECOND)
    );
    assert_eq!(
        capture.files()[1].warnings[0].kind,
        WarningKind::SeriesOverlap
    );
}

#[test]
fn more_files_than_may_be_open_are_all_read() {
    let directory = tempfile::tempdir().unwrap();
    let count = MAX_OPEN_FILES + 20;
    for index in 0..count {
        let name = directory.path().join(format!("tap-{index:04}-.pcap"));
        fs::write(name, at(&[index as u32, 1_000])).unwrap();
    }
    let mut capture = Capture::open(&[directory.path()]).unwrap();
    let frames = drain(&mut capture);
    assert_eq!(frames.len(), 2 * count);
    let late = capture
        .files()
        .iter()
        .filter(|file| !file.warnings.is_empty());
    assert_eq!(late.count(), 20);
    for file in capture.files() {
        assert_eq!((file.frames, file.out_of_order_frames), (2, 0));
    }
}

#[test]
fn bad_paths_fail_before_the_first_frame() {
    let directory = tempfile::tempdir().unwrap();
    let good = directory.path().join("good.pcap");
    fs::write(&good, at(&[1])).unwrap();
    let missing = directory.path().join("missing.pcap");
    let error = Capture::open(&[&good, &missing]).err().unwrap();
    assert!(
        error.to_string().contains("missing.pcap does not exist"),
        "{error}"
    );

    let empty = directory.path().join("sub");
    fs::create_dir(&empty).unwrap();
    fs::write(empty.join("a.txt"), "text").unwrap();
    let error = Capture::open(&[&good, &empty]).err().unwrap();
    assert!(matches!(
        error,
        CaptureError::NoCaptureInDirectory { skipped: 1, .. }
    ));

    let none: [&str; 0] = [];
    assert!(matches!(
        Capture::open(&none),
        Err(CaptureError::NothingNamed)
    ));
    assert!(matches!(
        Capture::open(&["-", "-"]),
        Err(CaptureError::StdinTwice)
    ));
}

#[test]
fn the_writer_refuses_what_it_cannot_write() {
    let mut writer = PcapngWriter::new(Vec::new(), "test").unwrap();
    let time = Timestamp::from_nanos(1);
    assert!(writer.write_frame(0, time, 1, b"x", None).is_err());
    writer
        .add_interface(&Interface::new(LinkType::ETHERNET))
        .unwrap();
    let long = vec![0; MAX_RECORD as usize];
    assert!(writer.write_frame(0, time, 1, &long, None).is_err());
}

#[cfg(feature = "live")]
#[test]
fn filters_are_compiled_for_each_link_type() {
    // IPv4 and UDP from port 53 to port 9.
    let ip = b"\x45\0\0\x1c\0\0\0\0\x40\x11\0\0\x0a\0\0\x01\x0a\0\0\x02\0\x35\0\x09\0\x08\0\0";
    let ethernet = [&[0; 12][..], &[8, 0], ip].concat();
    let frame = |link_type, bytes| Frame {
        time: Timestamp::default(),
        link_type,
        wire_length: 60,
        bytes,
        tap: 0,
        file: 0,
        number: 1,
    };
    for (expression, passes) in [
        ("udp port 53", true),
        ("tcp", false),
        ("host 10.0.0.2", true),
    ] {
        let mut filter = FrameFilter::compile(expression).unwrap();
        for (link_type, bytes) in [(LinkType::ETHERNET, &ethernet[..]), (LinkType::RAW, ip)] {
            assert_eq!(
                filter.matches(&frame(link_type, bytes)),
                passes,
                "{expression}"
            );
        }
        assert!(!filter.matches(&frame(LinkType(65_000), ip)));
    }
    let error = FrameFilter::compile("prot 53").unwrap_err().to_string();
    assert!(
        error.contains("'prot 53'") && error.contains("syntax error"),
        "{error}"
    );
}

#[cfg(not(feature = "live"))]
#[test]
fn a_build_without_libpcap_says_so() {
    let error = FrameFilter::compile("tcp").unwrap_err();
    assert_eq!(error, FilterError::NotBuiltIn);
    assert!(error.to_string().contains("live"));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        frames in prop::collection::vec(
            (0_u32..3, 0..i64::MAX, any::<u32>(), prop::collection::vec(any::<u8>(), 0..300),
             prop::option::of("[a-z ]{0,20}")),
            0..40,
        ),
        secrets in prop::collection::vec(any::<u8>(), 0..50),
    ) {
        let mut writer = PcapngWriter::new(Vec::new(), "mqttscope").unwrap();
        let links = [LinkType::ETHERNET, LinkType::RAW, LinkType::LINUX_SLL2];
        for (index, link_type) in links.into_iter().enumerate() {
            let name = format!("if{index}");
            let interface = Interface { filter: Some("tcp"), ..Interface::new(link_type) };
            let number = writer.add_interface(&interface.with_name(&name)).unwrap();
            prop_assert_eq!(number, index as u32);
        }
        writer.write_secrets(SecretsFormat::TLS_KEY_LOG, &secrets).unwrap();
        for (interface, time, wire, bytes, comment) in &frames {
            let time = Timestamp::from_nanos(*time);
            writer.write_frame(*interface, time, *wire, bytes, comment.as_deref()).unwrap();
        }
        let statistics = InterfaceStatistics { dropped_by_system: Some(4), ..Default::default() };
        writer.write_statistics(1, Timestamp::from_nanos(0), &statistics).unwrap();
        let (read, file, taps) = read(&writer.into_inner().unwrap());
        let expected: Vec<Owned> = frames.iter().enumerate().map(|(at, (tap, time, wire, bytes, _))| {
            let wire = (*wire).max(bytes.len() as u32);
            (*time, *tap as u16, 0, at as u64 + 1, wire, bytes.clone())
        }).collect();
        prop_assert_eq!(read, expected);
        prop_assert_eq!(file.dropped_by_system, Some(4));
        prop_assert!(file.warnings.is_empty() && !file.truncated);
        prop_assert_eq!(taps[2].name.as_deref(), Some("if2"));
        prop_assert_eq!(taps[2].link_type, links[2]);
    }

    #[test]
    fn damaged_bytes_never_panic_and_keep_what_comes_before(
        which in 0..3_usize,
        at in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 1..12),
    ) {
        let whole = [simple(), rich(), gzip(&rich())][which].clone();
        let mut file = whole.clone();
        let at = at.index(file.len());
        for (byte, noise) in file[at..].iter_mut().zip(&noise) {
            *byte = *noise;
        }
        if let Ok(mut capture) = open(&file) {
            let frames = drain(&mut capture);
            let intact = open(&whole[..at]).map(|mut before| drain(&mut before)).unwrap_or_default();
            prop_assert!(frames.starts_with(&intact) || capture.files()[0].compression.is_some());
        }
    }

    #[test]
    fn any_bytes_behind_a_magic_are_read_without_panic(
        magic in prop::sample::select(vec![0xa1b2_c3d4_u32, 0xd4c3_b2a1, 0xa1b2_cd34, 0x0a0d_0d0a]),
        rest in prop::collection::vec(any::<u8>(), 0..400),
    ) {
        let mut file = magic.to_le_bytes().to_vec();
        if magic == 0x0a0d_0d0a {
            file = Order::Big.section();
        }
        file.extend(rest);
        if let Ok(mut capture) = open(&file) {
            let frames = drain(&mut capture);
            let bytes: usize = frames.iter().map(|frame| frame.5.len()).sum();
            prop_assert!(bytes <= file.len());
        }
    }

    #[test]
    fn merging_loses_nothing_and_orders_sorted_files(
        mut files in prop::collection::vec(prop::collection::vec(0_u32..1000, 0..20), 1..6),
    ) {
        files.iter_mut().for_each(|times| times.sort_unstable());
        let readers = files.iter().map(|times| {
            let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(at(times)));
            ("x".to_owned(), reader)
        });
        let mut capture = Capture::from_readers(readers.collect()).unwrap();
        let read = times(&drain(&mut capture));
        let mut expected: Vec<i64> = files.concat().iter().map(|&s| i64::from(s) * SECOND).collect();
        expected.sort_unstable();
        prop_assert_eq!(read, expected);
    }
}
