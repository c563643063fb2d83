//! Hostile input through the public interface: what it declares, how much of it there is and how
//! it is ordered must cost neither memory nor a panic, and what can be read beside it is read.
//!
//! Memory is measured: the allocator of this test binary counts what the test's own thread has
//! allocated. Nothing here is timed; quadratic work would make itself felt by a test that does
//! not end.

use std::io::Cursor;

use mqttscope::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, Observer, Options, PacketEvent, Pipeline,
};
use mqttscope::capture::{Capture, Interface, Item, MAX_TAPS, PcapngWriter};
use mqttscope::frame::{Frame, LinkType};
use mqttscope::mqtt::stream::{Input, Output, PacketStream, StreamLimits};
use mqttscope::mqtt::write::{self, Publish};
use mqttscope::mqtt::{PacketType, ProtocolLevel, Subscription, parse, topic};
use mqttscope::session::{
    self, DelayKind, ExchangeOutcome, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards,
};
use mqttscope::tcp::{Event, FlowTable, GapReason, Limits};
use mqttscope::time::{TimeDelta, Timestamp};
use mqttscope::wire::{Endpoint, Segment, TcpFlags};

use allocation::peak_of;

/// Counts what each thread allocates.
#[allow(unsafe_code)]
mod allocation {
    use std::alloc::{GlobalAlloc, Layout, System};
    use std::cell::Cell;

    #[global_allocator]
    static COUNTING: Counting = Counting;

    struct Counting;

    thread_local! {
        static NOW: Cell<isize> = const { Cell::new(0) };
        static PEAK: Cell<isize> = const { Cell::new(0) };
    }

    fn count(change: isize) {
        // A thread that is ending has no counters any more.
        let _ = NOW.try_with(|now| {
            now.set(now.get() + change);
            let _ = PEAK.try_with(|peak| peak.set(peak.get().max(now.get())));
        });
    }

    // SAFETY: everything is left to the system's allocator; only numbers are kept beside it, in
    // thread locals that neither allocate nor have a destructor.
    unsafe impl GlobalAlloc for Counting {
        unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
            count(layout.size() as isize);
            unsafe { System.alloc(layout) }
        }

        unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
            count(-(layout.size() as isize));
            unsafe { System.dealloc(pointer, layout) }
        }

        unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
            // The old block is there until the new one is filled.
            count(size as isize);
            count(-(layout.size() as isize));
            unsafe { System.realloc(pointer, layout, size) }
        }
    }

    /// Runs `work` and tells how many bytes more than before were allocated at its peak.
    pub(crate) fn peak_of<T>(work: impl FnOnce() -> T) -> (T, usize) {
        let before = NOW.get();
        PEAK.set(before);
        let result = work();
        (result, usize::try_from(PEAK.get() - before).unwrap_or(0))
    }
}

const MIB: usize = 1 << 20;
const START: Timestamp = Timestamp::from_nanos(1_700_000_000_000_000_000);
const BROKER: u16 = 1883;

/// Counts what it is told.
#[derive(Default)]
struct Counts {
    packets: Vec<(PacketType, Towards)>,
    malformed: u64,
    bad_lengths: u64,
    connections: u64,
    gaps: u64,
    sessions: u64,
    complete: u64,
    unfinished: u64,
    delays: Vec<TimeDelta>,
    /// Whether packets and delays are only counted in the pipeline's totals.
    quiet: bool,
}

impl Observer for Counts {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        self.malformed += u64::from(event.parsed.malformed.is_some());
        if !self.quiet {
            self.packets
                .push((event.header.packet_type(), event.towards));
        }
    }

    fn bad_length(&mut self, _event: &BadLengthEvent<'_>) {
        self.bad_lengths += 1;
    }

    fn gap(&mut self, _event: &GapEvent<'_>) {
        self.gaps += 1;
    }

    fn repeated(&mut self, _slot: usize, _towards: Towards, _extent: (u64, u64)) {}

    fn connection(&mut self, _event: &ConnectionEvent<'_>) {
        self.connections += 1;
    }

    fn tick(&mut self, _now: Timestamp) {}
}

impl session::Observer for Counts {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        if record.outcome == ExchangeOutcome::Complete {
            self.complete += 1;
        } else {
            self.unfinished += 1;
        }
    }

    fn subscription(&mut self, _record: &SubscriptionRecord<'_>) {}

    fn session(&mut self, _record: &SessionRecord<'_>) {
        self.sessions += 1;
    }

    fn delay(&mut self, _kind: DelayKind, _towards: Towards, delay: TimeDelta) {
        if !self.quiet {
            self.delays.push(delay);
        }
    }
}

/// A pipeline, and a clock that goes on by a microsecond per frame.
struct Tap {
    pipeline: Pipeline,
    counts: Counts,
    time: Timestamp,
    step: TimeDelta,
    frames: u64,
    bytes: Vec<u8>,
}

/// One TCP connection as its two hosts see it.
#[derive(Clone)]
struct Talk {
    client: ([u8; 4], u16),
    server_port: u16,
    /// Next sequence number of client and server.
    next: [u32; 2],
}

impl Talk {
    fn new(number: u32) -> Self {
        let [_, high, middle, _] = number.to_be_bytes();
        Self {
            client: ([10, high, middle, 1], 1024 + (number & 0xff) as u16),
            server_port: BROKER,
            next: [number.wrapping_mul(7919), number.wrapping_mul(104_729)],
        }
    }
}

impl Tap {
    fn new(options: Options) -> Self {
        Self {
            pipeline: Pipeline::new(options),
            counts: Counts::default(),
            time: START,
            step: TimeDelta::from_nanos(1000),
            frames: 0,
            bytes: Vec::new(),
        }
    }

    fn quiet(options: Options) -> Self {
        let mut tap = Self::new(options);
        tap.counts.quiet = true;
        tap
    }

    /// Sends one IPv4 segment. Checksums are left out: the tool does not look at them.
    fn segment(&mut self, talk: &mut Talk, from_server: bool, flags: TcpFlags, payload: &[u8]) {
        let side = usize::from(from_server);
        let (sequence, acknowledgment) = (talk.next[side], talk.next[1 - side]);
        let begins = u32::from(flags.syn() || flags.fin());
        talk.next[side] = sequence.wrapping_add(payload.len() as u32 + begins);
        let (client, server) = (talk.client, ([192, 0, 2, 1], talk.server_port));
        let (source, destination) = if from_server {
            (server, client)
        } else {
            (client, server)
        };
        let length = 40 + payload.len() as u16;
        self.frames += 1;
        let bytes = &mut self.bytes;
        bytes.clear();
        bytes.extend_from_slice(&[0x45, 0]);
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&(self.frames as u16).to_be_bytes());
        bytes.extend_from_slice(&[0, 0, 64, 6, 0, 0]);
        bytes.extend_from_slice(&source.0);
        bytes.extend_from_slice(&destination.0);
        bytes.extend_from_slice(&source.1.to_be_bytes());
        bytes.extend_from_slice(&destination.1.to_be_bytes());
        bytes.extend_from_slice(&sequence.to_be_bytes());
        bytes.extend_from_slice(&acknowledgment.to_be_bytes());
        bytes.extend_from_slice(&[0x50, flags.0, 0xff, 0xff, 0, 0, 0, 0]);
        bytes.extend_from_slice(payload);
        self.time = self.time + self.step;
        let frame = Frame {
            time: self.time,
            link_type: LinkType::IPV4,
            wire_length: self.bytes.len() as u32,
            bytes: &self.bytes,
            tap: 0,
            file: 0,
            number: self.frames,
        };
        self.pipeline.push(&frame, &mut self.counts);
    }

    fn syn(&mut self, talk: &mut Talk) {
        self.segment(talk, false, TcpFlags::SYN, &[]);
    }

    /// SYN, SYN-ACK, CONNECT, CONNACK.
    fn connect(&mut self, talk: &mut Talk, client_id: &[u8]) {
        self.syn(talk);
        self.segment(talk, true, TcpFlags::SYN | TcpFlags::ACK, &[]);
        let mut connect = Vec::new();
        let packet = write::Connect {
            level: ProtocolLevel::V3_1_1,
            clean_start: true,
            keep_alive: 0,
            properties: &[],
            client_id,
            will: None,
            user_name: None,
            password: None,
        };
        write::connect(&mut connect, &packet).unwrap();
        self.client(talk, &connect);
        self.server(talk, &[0x20, 2, 0, 0]);
    }

    /// Sends any number of bytes in segments of at most 60,000.
    fn client(&mut self, talk: &mut Talk, payload: &[u8]) {
        for piece in payload.chunks(60_000) {
            self.segment(talk, false, TcpFlags::ACK | TcpFlags::PSH, piece);
        }
    }

    fn server(&mut self, talk: &mut Talk, payload: &[u8]) {
        for piece in payload.chunks(60_000) {
            self.segment(talk, true, TcpFlags::ACK | TcpFlags::PSH, piece);
        }
    }

    fn finish(&mut self) {
        self.pipeline.finish(&mut self.counts);
    }
}

fn publish(topic: &[u8], qos: u8, packet_id: u16, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let packet = Publish {
        dup: false,
        qos,
        retain: false,
        topic,
        packet_id,
        properties: &[],
        payload,
    };
    write::publish(&mut bytes, ProtocolLevel::V3_1_1, &packet).unwrap();
    bytes
}

#[test]
fn a_declared_length_is_not_allocated() {
    let ((), peak) = peak_of(|| {
        let mut tap = Tap::quiet(Options::default());
        for number in 0..1000 {
            let mut talk = Talk::new(number);
            tap.connect(&mut talk, b"c");
            // 256 MiB are declared, ten bytes are sent.
            tap.client(&mut talk, b"\x30\xff\xff\xff\x7f\0\x01a1234567");
        }
        tap.finish();
        assert_eq!(tap.pipeline.totals().connections, 1000);
        assert_eq!(tap.pipeline.totals().publishes.to_broker, [0; 3]);
    });
    assert!(peak < 16 * MIB, "{peak} bytes");
}

#[test]
fn a_stream_after_a_five_byte_length_is_not_kept() {
    let ((), peak) = peak_of(|| {
        let mut tap = Tap::new(Options::default());
        let mut talk = Talk::new(1);
        tap.connect(&mut talk, b"c");
        tap.client(&mut talk, b"\xc0\0\x30\xff\xff\xff\xff\x7f");
        for _ in 0..1000 {
            tap.client(&mut talk, &[0xff; 60_000]);
        }
        tap.finish();
        assert_eq!(tap.counts.bad_lengths, 1);
        assert_eq!(tap.counts.connections, 1);
        let last = tap.counts.packets.last();
        assert_eq!(last, Some(&(PacketType::Pingreq, Towards::Broker)));
        assert!(tap.pipeline.totals().unsynchronised_bytes >= 60_000_000);
    });
    assert!(peak < 4 * MIB, "{peak} bytes");
}

#[test]
fn a_property_length_past_the_packet_ends_that_packet_only() {
    let mut tap = Tap::new(Options::default());
    let mut talk = Talk::new(1);
    tap.syn(&mut talk);
    tap.segment(&mut talk, true, TcpFlags::SYN | TcpFlags::ACK, &[]);
    tap.client(&mut talk, b"\x10\x0e\0\x04MQTT\x05\x02\0\0\0\0\x01c");
    tap.server(&mut talk, b"\x20\x03\0\0\0");
    // The longest property length there is, then one byte too many, then a property in it.
    tap.client(&mut talk, b"\x30\x07\0\x01a\xff\xff\xff\x7f");
    tap.client(&mut talk, b"\x30\x05\0\x01a\x02\x01");
    tap.client(&mut talk, b"\x30\x08\0\x01a\x04\x26\xff\xff\0");
    tap.client(&mut talk, b"\x30\x04\0\x01a\0");
    tap.finish();
    assert_eq!(tap.counts.malformed, 3);
    assert_eq!(tap.pipeline.totals().publishes.to_broker, [4, 0, 0]);
    assert_eq!(tap.counts.bad_lengths, 0);
}

#[test]
fn topics_of_65_000_levels_match_in_linear_time() {
    let name = b"/".repeat(65_000);
    let plus = [&b"+/".repeat(32_000)[..], b"#"].concat();
    let other = [&name[..64_999], b"x"].concat();
    // A thousand times, so that more than linear work would be felt.
    for _ in 0..1000 {
        assert!(topic::matches(&name, &name));
        assert!(topic::matches(&plus, &name));
        assert!(!topic::matches(&other, &name));
    }

    let mut options = Options::default();
    options.selection.topic = Some(plus.clone());
    let mut tap = Tap::new(options);
    let mut talk = Talk::new(1);
    tap.connect(&mut talk, b"c");
    let mut subscribe = Vec::new();
    let subscriptions = [&plus, &name, &other].map(|filter| Subscription { filter, options: 1 });
    write::subscribe(
        &mut subscribe,
        ProtocolLevel::V3_1_1,
        1,
        &[],
        &subscriptions,
    )
    .unwrap();
    tap.client(&mut talk, &subscribe);
    for packet_id in 1..=20 {
        tap.client(&mut talk, &publish(&name, 1, packet_id, b"x"));
        tap.client(&mut talk, &publish(b"a", 1, packet_id + 20, b"x"));
    }
    tap.finish();
    // The name with one level too few for the filter is not wanted.
    assert_eq!(tap.pipeline.totals().publishes.to_broker, [0, 20, 0]);
}

#[test]
fn a_hundred_thousand_open_packet_identifiers_are_all_followed() {
    let (totals, peak) = peak_of(|| {
        let mut tap = Tap::quiet(Options::default());
        let mut talks = [Talk::new(1), Talk::new(2)];
        for talk in &mut talks {
            tap.connect(talk, b"");
            for packet_id in 1..=50_000 {
                tap.client(talk, &publish(b"a/b", 2, packet_id, b"x"));
            }
        }
        for talk in &mut talks {
            for packet_id in 1..=50_000_u16 {
                let [high, low] = packet_id.to_be_bytes();
                tap.server(talk, &[0x50, 2, high, low]);
                tap.client(talk, &[0x62, 2, high, low]);
                tap.server(talk, &[0x70, 2, high, low]);
            }
        }
        tap.finish();
        (tap.counts.complete, tap.counts.unfinished)
    });
    assert_eq!(totals, (100_000, 0));
    assert!(peak < 128 * MIB, "{peak} bytes");
}

#[test]
fn exchanges_beyond_the_limit_are_dropped_and_counted() {
    let (dropped, peak) = peak_of(|| {
        let mut options = Options::default();
        options.session.exchanges = 1000;
        let mut tap = Tap::quiet(options);
        for number in 0..4 {
            let mut talk = Talk::new(number);
            tap.connect(&mut talk, b"");
            for packet_id in 1..=u16::MAX {
                tap.client(&mut talk, &publish(b"a/b", 1, packet_id, b"x"));
            }
        }
        tap.finish();
        assert_eq!(tap.counts.unfinished, 1000);
        tap.pipeline.dropped().exchanges
    });
    assert_eq!(dropped, 4 * 65_535 - 1000);
    assert!(peak < 4 * MIB, "{peak} bytes");
}

/// Topics were not counted: a million exchanges could keep 64 KiB each.
#[test]
fn long_topics_of_open_exchanges_are_bounded() {
    let (dropped, peak) = peak_of(|| {
        let mut options = Options::default();
        options.session.topic_bytes = 4 * MIB;
        let mut tap = Tap::quiet(options);
        let mut talk = Talk::new(1);
        tap.connect(&mut talk, b"c");
        let topic = b"t".repeat(50_000);
        for packet_id in 1..=2000 {
            tap.client(&mut talk, &publish(&topic, 1, packet_id, b""));
        }
        // What is finished makes room.
        for packet_id in 1..=2000_u16 {
            let [high, low] = packet_id.to_be_bytes();
            tap.server(&mut talk, &[0x40, 2, high, low]);
        }
        tap.client(&mut talk, &publish(&topic, 1, 2001, b""));
        tap.server(&mut talk, &[0x40, 2, 0x07, 0xd1]);
        tap.finish();
        assert_eq!(tap.counts.complete, (4 * MIB / 50_000) as u64 + 1);
        tap.pipeline.dropped().exchanges
    });
    assert_eq!(dropped, 2000 - (4 * MIB / 50_000) as u64);
    assert!(peak < 8 * MIB, "{peak} bytes");
}

/// A chunk was kept of each stream, however many streams there were.
#[test]
fn beginnings_of_packets_in_many_streams_are_bounded() {
    let ((), peak) = peak_of(|| {
        let mut options = Options {
            stream_bytes: MIB,
            ..Options::default()
        };
        options.session.sessions = 100;
        let mut tap = Tap::quiet(options);
        // A SUBSCRIBE of a million bytes, of which 50,000 come.
        let beginning = [&b"\x82\xc0\x84\x3d\0\x01\xff\xff"[..], &[b'f'; 50_000]].concat();
        for number in 0..3000 {
            let mut talk = Talk::new(number);
            tap.connect(&mut talk, b"c");
            tap.client(&mut talk, &beginning);
        }
        assert!(tap.pipeline.limited_streams() > 2900);
        tap.finish();
    });
    assert!(peak < 24 * MIB, "{peak} bytes");
}

/// Only payload was counted, and a byte takes more than a hundred to keep.
#[test]
fn single_bytes_behind_holes_are_bounded() {
    let ((), peak) = peak_of(|| {
        let mut options = Options::default();
        options.tcp.total_backlog_bytes = MIB as u64;
        let mut tap = Tap::quiet(options);
        for number in 0..200 {
            let mut talk = Talk::new(number);
            tap.connect(&mut talk, b"c");
            for _ in 0..2000 {
                talk.next[0] = talk.next[0].wrapping_add(1);
                tap.client(&mut talk, b"x");
            }
        }
        assert!(tap.pipeline.tcp().limited_backlogs > 0);
        tap.finish();
    });
    assert!(peak < 6 * MIB, "{peak} bytes");
}

/// A million connections that begin and never go on.
fn a_million_that_never_finish(first_bytes: &[u8], limit: usize) -> (Tap, usize) {
    let mut options = Options::default();
    options.tcp.connections = limit;
    peak_of(|| {
        let mut tap = Tap::quiet(options);
        for number in 0..1_000_000 {
            let mut talk = Talk::new(number);
            tap.syn(&mut talk);
            if !first_bytes.is_empty() {
                tap.client(&mut talk, first_bytes);
            }
        }
        tap
    })
}

#[test]
fn a_million_syns_stay_within_the_limit_of_connections() {
    let (mut tap, peak) = a_million_that_never_finish(&[], 20_000);
    assert_eq!(tap.pipeline.tcp().connections, 1_000_000);
    assert!(tap.pipeline.tcp().most_connections <= 20_064);
    assert!(tap.pipeline.tcp().evicted_connections >= 979_000);
    assert!(peak < 64 * MIB, "{peak} bytes");
    tap.finish();
    assert_eq!(tap.pipeline.totals().connections, 1_000_000);
    assert_eq!(tap.counts.connections, 1_000_000);
}

#[test]
fn a_million_unfinished_connects_stay_within_the_limit_of_connections() {
    // A CONNECT that says 100 bytes are to come.
    let (mut tap, peak) = a_million_that_never_finish(b"\x10\x64\0\x04MQTT\x04\x02\0\x3c", 20_000);
    assert!(tap.pipeline.tcp().most_connections <= 20_064);
    assert!(peak < 64 * MIB, "{peak} bytes");
    tap.finish();
    assert_eq!(tap.counts.connections, 1_000_000);
    assert_eq!(tap.counts.sessions, 0);
}

/// The sweep for silent connections was slower than a flood of SYNs, so that the table filled.
#[test]
fn half_open_connections_end_when_their_time_is_over() {
    let ((), peak) = peak_of(|| {
        let mut tap = Tap::quiet(Options::default());
        // 1000 new connections a second, for a thousand seconds.
        tap.step = TimeDelta::from_millis(1);
        for number in 0..1_000_000 {
            tap.syn(&mut Talk::new(number));
        }
        assert_eq!(tap.pipeline.tcp().evicted_connections, 0);
        tap.finish();
        assert_eq!(tap.counts.connections, 1_000_000);
        // Those of a minute, and some that the sweep has not come round to.
        let most = tap.pipeline.tcp().most_connections;
        assert!(most < 120_000, "{most} open at once");
    });
    assert!(peak < 256 * MIB, "{peak} bytes");
}

fn segment<'a>(sequence: u32, payload: &'a [u8], length: u32, flags: TcpFlags) -> Segment<'a> {
    let endpoint = |last, port| Endpoint {
        address: [10, 0, 0, last].into(),
        port,
    };
    Segment {
        time: START,
        tap: 0,
        file: 0,
        frame: 1,
        source: endpoint(1, 40_000),
        destination: endpoint(2, BROKER),
        sequence,
        acknowledgment: 1,
        flags,
        window: 1000,
        payload,
        payload_length: length,
        ip_identification: 0,
        hop_limit: 64,
        window_scale: None,
        maximum_segment_size: None,
    }
}

#[test]
fn a_stream_goes_on_past_two_to_the_32() {
    // Each segment is cut by the snap length to one byte of a MiB: 12 GiB of stream.
    let mut table = FlowTable::new(Limits::default());
    let mut sequence = 0xffff_0000_u32;
    let (mut offset, mut given, mut cut) = (0_u64, 0_u64, 0_u64);
    let length = 1 << 20;
    let mut take = |segment: &Segment<'_>, table: &mut FlowTable| {
        let mut delivery = table.push(segment);
        while let Some(event) = delivery.next() {
            match event {
                Event::Data(_, chunk) => {
                    assert_eq!(chunk.offset, offset);
                    given += chunk.bytes.len() as u64;
                    offset += chunk.bytes.len() as u64;
                }
                Event::Gap(_, gap) => {
                    assert_eq!((gap.offset, gap.reason), (offset, GapReason::SnapLength));
                    cut += gap.bytes;
                    offset += gap.bytes;
                }
                Event::Opened(_) => {}
                other => panic!("{other:?}"),
            }
        }
    };
    take(&segment(sequence, &[], 0, TcpFlags::SYN), &mut table);
    sequence = sequence.wrapping_add(1);
    for pair in 0..6 * 1024_u32 {
        let first = segment(sequence, b"a", length, TcpFlags::ACK);
        let next = sequence.wrapping_add(length);
        let second = segment(next, b"b", length, TcpFlags::ACK);
        // Every other pair comes in the wrong order.
        if pair % 2 == 0 {
            take(&second, &mut table);
            take(&first, &mut table);
        } else {
            take(&first, &mut table);
            take(&second, &mut table);
        }
        sequence = next.wrapping_add(length);
    }
    let segments = 2 * 6 * 1024_u64;
    assert_eq!((given, cut), (segments, segments * u64::from(length - 1)));
    assert_eq!(table.backlog_bytes(), 0);
}

#[test]
fn time_running_backwards_gives_negative_delays_and_no_gaps() {
    let mut tap = Tap::new(Options::default());
    tap.step = TimeDelta::from_millis(-10);
    let mut talk = Talk::new(1);
    tap.connect(&mut talk, b"c");
    for packet_id in 1..=10_000_u16 {
        tap.client(&mut talk, &publish(b"a", 1, packet_id, b"x"));
        let [high, low] = packet_id.to_be_bytes();
        tap.server(&mut talk, &[0x40, 2, high, low]);
    }
    tap.finish();
    assert_eq!(tap.counts.complete, 10_000);
    assert_eq!(tap.counts.gaps, 0);
    // One CONNECT and the exchanges.
    assert_eq!(tap.counts.delays.len(), 10_001);
    let backwards = TimeDelta::from_millis(-10);
    assert!(tap.counts.delays.iter().all(|delay| *delay == backwards));
}

#[test]
fn a_clock_from_one_end_of_time_to_the_other_breaks_nothing() {
    let mut tap = Tap::new(Options::default());
    tap.step = TimeDelta::ZERO;
    let mut talk = Talk::new(1);
    for (index, nanos) in [i64::MAX, i64::MIN, 0, i64::MIN, i64::MAX, i64::MIN]
        .into_iter()
        .enumerate()
    {
        tap.time = Timestamp::from_nanos(nanos);
        if index == 0 {
            tap.connect(&mut talk, b"c");
        }
        tap.client(&mut talk, &publish(b"a", 1, index as u16 + 1, b"x"));
    }
    tap.finish();
    assert_eq!(tap.pipeline.totals().publishes.to_broker, [0, 6, 0]);
}

#[test]
fn a_hundred_thousand_ports_are_counted_in_bounded_space() {
    let ((), peak) = peak_of(|| {
        let mut tap = Tap::quiet(Options::default());
        for number in 0..100_000_u32 {
            let mut talk = Talk::new(number);
            talk.server_port = (number as u16).wrapping_add(2000);
            tap.syn(&mut talk);
            tap.client(&mut talk, b"SSH-2.0");
            tap.segment(&mut talk, false, TcpFlags::RST | TcpFlags::ACK, &[]);
        }
        tap.finish();
        let others = tap.pipeline.other().busiest();
        assert!(others.len() <= 65_536);
        let connections: u64 = others.iter().map(|other| other.1).sum();
        let named = tap.pipeline.totals().connections;
        assert_eq!(connections + named, 100_000);
        // Port 1883 once, port 8883 in both rounds.
        assert_eq!(named, 3);
    });
    assert!(peak < 128 * MIB, "{peak} bytes");
}

#[test]
fn a_hundred_thousand_interfaces_fill_the_taps_and_no_more() {
    let mut writer = PcapngWriter::new(Vec::new(), "hostile").unwrap();
    let name = "n".repeat(60_000);
    for number in 0..100_000 {
        let mut interface = Interface::new(LinkType(number as u16));
        if number % 1000 == 0 {
            interface = interface.with_name(&name);
        }
        let interface = writer.add_interface(&interface).unwrap();
        writer
            .write_frame(interface, START, 60, &[0; 4], None)
            .unwrap();
    }
    let file = writer.into_inner().unwrap();
    let ((), peak) = peak_of(|| {
        let mut capture = Capture::from_reader("hostile", Box::new(Cursor::new(file))).unwrap();
        let mut frames = 0;
        while let Some(item) = capture.next_item() {
            let Item::Frame(frame) = item else { continue };
            assert!(usize::from(frame.tap) < MAX_TAPS);
            frames += 1;
        }
        assert_eq!(frames, MAX_TAPS);
        assert_eq!(capture.taps().len(), MAX_TAPS);
        let summary = &capture.files()[0];
        assert_eq!(summary.frames, 100_000);
        assert_eq!(summary.unassigned_frames, 100_000 - MAX_TAPS as u64);
        assert!(summary.link_types.len() <= 64);
        assert_eq!(summary.warnings.len(), 1, "{:?}", summary.warnings);
    });
    assert!(peak < 64 * MIB, "{peak} bytes");
}

#[test]
fn a_packet_in_single_bytes_is_parsed_once() {
    // A million-byte SUBSCRIBE byte by byte: parsing it anew for each would never end.
    let filter = [b'f'; 1000];
    let subscriptions = [Subscription {
        filter: &filter,
        options: 0,
    }; 1000];
    let mut bytes = Vec::new();
    write::subscribe(&mut bytes, ProtocolLevel::V3_1_1, 1, &[], &subscriptions).unwrap();
    let mut stream = PacketStream::new(true);
    let mut packets = 0;
    for byte in bytes.chunks(1) {
        let mut input = Input {
            bytes: byte,
            mark: (),
            segment_start: true,
            segment_end: true,
        };
        let limits = StreamLimits::default();
        while let Some(output) = stream.next(&mut input, ProtocolLevel::V3_1_1, &limits) {
            let Output::Packet(framed) = output else {
                panic!("{output:?}");
            };
            let header = framed.header;
            let parsed = parse(header.first_byte, framed.body, ProtocolLevel::V3_1_1);
            assert!(parsed.is_valid());
            packets += 1;
        }
    }
    assert_eq!(packets, 1);
}

/// Found by fuzzing: the packet that a gap completed was told of, and its connection never was.
#[test]
fn a_gap_in_the_first_bytes_of_an_unnamed_port_tells_of_nothing() {
    let mut tap = Tap::new(Options::default());
    let mut talk = Talk::new(1);
    talk.server_port = 5000;
    tap.syn(&mut talk);
    tap.segment(&mut talk, true, TcpFlags::SYN | TcpFlags::ACK, &[]);
    tap.client(&mut talk, b"\x10\x0d\0\x04M");
    talk.next[0] = talk.next[0].wrapping_add(10);
    tap.client(&mut talk, b"\xc0\0");
    tap.finish();
    assert_eq!(tap.counts.packets, []);
    assert_eq!(tap.counts.gaps, 0);
    assert_eq!(tap.pipeline.totals().connections, 0);
    assert_eq!(tap.pipeline.other().busiest().len(), 1);
}

/// The same, without a gap: a CONNECT that is over before its name is.
#[test]
fn a_connect_too_short_for_its_name_is_none() {
    let mut tap = Tap::new(Options::default());
    let mut talk = Talk::new(1);
    talk.server_port = 5000;
    tap.syn(&mut talk);
    tap.client(&mut talk, b"\x10\x05\0\x04MQT");
    tap.client(&mut talk, b"\xc0\0");
    tap.finish();
    assert_eq!(tap.counts.packets, []);
    assert_eq!(tap.pipeline.totals().connections, 0);
}

/// Where the second block of a Zstandard frame begins (RFC 8878, sections 3.1.1.1 and 3.1.1.2).
fn second_block(packed: &[u8]) -> usize {
    let descriptor = packed[4];
    let single = descriptor & 0x20 != 0;
    let window = usize::from(!single);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
    let first = 5 + window + dictionary + content;
    let header = u32::from_le_bytes([packed[first], packed[first + 1], packed[first + 2], 0]);
    assert_eq!(header & 1, 0, "the first block is not the last");
    let run = header >> 1 & 3 == 1;
    first + 3 + if run { 1 } else { (header >> 3) as usize }
}

/// Found by fuzzing: what an unpacker had unpacked in the call that met the damage was lost, which
/// for a small file was all of it.
#[test]
fn damage_late_in_a_packed_file_leaves_the_frames_before_it() {
    let mut writer = PcapngWriter::new(Vec::new(), "hostile").unwrap();
    let interface = writer
        .add_interface(&Interface::new(LinkType::ETHERNET))
        .unwrap();
    for number in 0..2000_u32 {
        let bytes = number.to_be_bytes().repeat(16);
        writer
            .write_frame(interface, START, 64, &bytes, None)
            .unwrap();
    }
    let mut packed = zstd::encode_all(&writer.into_inner().unwrap()[..], 3).unwrap();
    let second = second_block(&packed);
    // Block type 3 is reserved.
    packed[second] |= 6;
    let mut capture = Capture::from_reader("hostile", Box::new(Cursor::new(packed))).unwrap();
    let mut frames = 0;
    while capture.next_item().is_some() {
        frames += 1;
    }
    // A first block of 128 KiB, and at most 16 KiB of it in the call that failed.
    assert!(frames >= 1150, "{frames} frames");
    assert_eq!(capture.files()[0].warnings.len(), 1);
}
