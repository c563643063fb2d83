//! Frames of a chosen link type through the dissector into the flow table.
//!
//! Input: link type, options, then frames: two bytes (time step and length), the bytes.

use std::collections::HashMap;

use mqttscope::frame::{Frame, LinkType};
use mqttscope::tcp::{Direction, Event, FlowTable, Limits};
use mqttscope::time::{TimeDelta, Timestamp};
use mqttscope::wire::{Dissection, Dissector, WireLimits};

use crate::input::Bytes;

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    b"\x08\x00",
    b"\x86\xdd",
    b"\x81\x00",
    b"\x88\xa8",
    b"\x88\x64\x11\x00",
    b"\x88\x47",
    b"\x45\x00\x00\x28",
    b"\x45\x00\x00\x00",
    b"\x60\x00\x00\x00\x00\x14\x06\x40",
    b"\x00\x00\x40\x00\x40\x06",
    b"\x20\x00\x40\x06",
    b"\x07\x5b",
    b"\x12\xb5",
    b"\x50\x02\xff\xff",
    b"\x50\x12\xff\xff",
    b"\x50\x18\xff\xff",
    b"\x50\x11\xff\xff",
    b"\x50\x14\xff\xff",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\x80\x00\x00\x00",
    b"\x2f\x00",
    b"\x00\x00\x08\x00",
];

/// The link types that are decoded, and one that is not.
pub const LINK_TYPES: [LinkType; 11] = [
    LinkType::ETHERNET,
    LinkType::NULL,
    LinkType::RAW_BSD,
    LinkType::RAW_OPENBSD,
    LinkType::RAW,
    LinkType::LOOP,
    LinkType::LINUX_SLL,
    LinkType::IPV4,
    LinkType::IPV6,
    LinkType::LINUX_SLL2,
    LinkType(147),
];

/// Bounds so small that a short input reaches them.
pub fn tight_limits() -> Limits {
    Limits {
        connections: 3,
        backlog_bytes: 64,
        backlog_segments: 3,
        total_backlog_bytes: 2048,
        acknowledged_patience_segments: 2,
        half_open: TimeDelta::from_secs(1),
        idle: TimeDelta::from_secs(60),
        ..Limits::default()
    }
}

/// Runs one input.
pub fn run(data: &[u8]) {
    let mut input = Bytes(data);
    let link_type = LINK_TYPES[usize::from(input.byte()) % LINK_TYPES.len()];
    let options = input.byte();
    let mut wire = WireLimits::default();
    if options & 1 != 0 {
        wire.mirror_window = None;
    }
    if options & 2 != 0 {
        wire.max_datagrams = 2;
        wire.max_fragments = 3;
        wire.max_fragment_bytes = 4096;
    }
    let limits = if options & 4 != 0 {
        tight_limits()
    } else {
        Limits::default()
    };
    let mut dissector = Dissector::new(wire);
    let mut table = FlowTable::new(limits);
    let mut books = Books::default();
    let mut time = Timestamp::from_nanos(1_700_000_000_000_000_000);
    let (mut number, mut segments) = (0, 0);
    while !input.is_empty() {
        let head = input.two();
        let bytes = input.take(usize::from(head & 0x07ff));
        time = time + time_step((head >> 11) as u8);
        number += 1;
        let cut = if options & 8 != 0 { 1000 } else { 0 };
        let frame = Frame {
            time,
            link_type,
            wire_length: bytes.len() as u32 + cut,
            bytes,
            tap: number as u16 & u16::from(options >> 6),
            file: 0,
            number,
        };
        let Dissection::Tcp(segment) = dissector.dissect(&frame) else {
            continue;
        };
        assert!(segment.payload.len() <= segment.payload_length as usize);
        segments += 1;
        let mut delivery = table.push(&segment);
        while let Some(event) = delivery.next() {
            books.take(&event);
        }
        assert_eq!(table.open_connections(), books.open.len());
        assert!(table.open_connections() <= limits.connections.saturating_add(64));
    }
    let mut delivery = table.finish();
    while let Some(event) = delivery.next() {
        books.take(&event);
    }
    let statistics = dissector.statistics();
    assert_eq!(statistics.frames, number);
    assert_eq!(statistics.segments, segments);
    assert_eq!(table.statistics().segments, segments);
    assert_eq!(table.statistics().connections, books.opened);
    assert!(
        books.open.is_empty(),
        "open after the end: {:?}",
        books.open
    );
    assert_eq!(table.open_connections(), 0);
    assert_eq!(table.backlog_bytes(), 0, "bytes wait after the end");
}

/// 32 steps in time: small ones, some that reach the patience of the reassembly, some backwards.
pub fn time_step(step: u8) -> TimeDelta {
    let nanos = match step & 0x1f {
        small @ 0..=15 => i64::from(small) * 1_000_000,
        16 => 60_000_000,
        17 => 1_500_000_000,
        18 => 6_000_000_000,
        19 => 11_000_000_000,
        20 => 31_000_000_000,
        21 => 61_000_000_000,
        22 => 121_000_000_000,
        23 => 90_000_000_000_000,
        24 => i64::MAX,
        25 => i64::MIN,
        26 => -1,
        27 => -1_000_000,
        28 => -1_000_000_000,
        29 => -100_000_000_000,
        _ => 1,
    };
    TimeDelta::from_nanos(nanos)
}

/// Checks that the events of a table make sense.
#[derive(Default)]
pub struct Books {
    /// By slot: number of the connection, next offset of each direction.
    pub open: HashMap<usize, (u64, [Direct; 2])>,
    /// Connections so far.
    pub opened: u64,
}

/// One direction so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Direct {
    next: u64,
    given: u64,
    missing: u64,
}

impl Books {
    /// Takes one event.
    pub fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Opened(connection) => {
                self.opened += 1;
                assert_eq!(connection.number, self.opened);
                let fresh = (connection.number, [Direct::default(); 2]);
                let before = self.open.insert(connection.slot(), fresh);
                assert!(before.is_none(), "slot in use");
            }
            Event::Data(connection, chunk) => {
                assert!(!chunk.bytes.is_empty(), "an empty chunk");
                let direct = self.direct(connection.slot(), connection.number, chunk.direction);
                assert_eq!(chunk.offset, direct.next, "offset of a chunk");
                direct.next += chunk.bytes.len() as u64;
                direct.given += chunk.bytes.len() as u64;
            }
            Event::Gap(connection, gap) => {
                assert!(gap.bytes > 0, "an empty gap");
                let direct = self.direct(connection.slot(), connection.number, gap.direction);
                assert_eq!(gap.offset, direct.next, "offset of a gap");
                direct.next += gap.bytes;
                direct.missing += gap.bytes;
            }
            Event::Repeated(connection, direction, offset, bytes) => {
                assert!(*bytes > 0, "nothing repeated");
                assert!(offset.checked_add(u64::from(*bytes)).is_some());
                self.direct(connection.slot(), connection.number, *direction);
            }
            Event::Closed(connection, _) => {
                let (number, directs) = self
                    .open
                    .remove(&connection.slot())
                    .expect("closed what was not open");
                assert_eq!(number, connection.number);
                for (direction, direct) in [Direction::Forward, Direction::Reverse]
                    .into_iter()
                    .zip(directs)
                {
                    let statistics = connection.statistics(direction);
                    assert_eq!(statistics.bytes, direct.given, "bytes of {direction:?}");
                    assert_eq!(
                        statistics.gap_bytes, direct.missing,
                        "gaps of {direction:?}"
                    );
                }
            }
        }
    }

    fn direct(&mut self, slot: usize, number: u64, direction: Direction) -> &mut Direct {
        let (known, directs) = self
            .open
            .get_mut(&slot)
            .expect("event of no open connection");
        assert_eq!(*known, number);
        &mut directs[usize::from(direction == Direction::Reverse)]
    }
}
