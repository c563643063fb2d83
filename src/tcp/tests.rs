//! Reassembly against a model: whatever is done to the segments, every chunk carries the bytes
//! that were sent at its offset, and chunks and gaps together cover the stream exactly once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::*;
use crate::wire::{Endpoint, Segment, TcpFlags};

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

fn endpoint(last: u8, port: u16) -> Endpoint {
    Endpoint {
        address: IpAddr::V4(Ipv4Addr::new(10, 0, 0, last)),
        port,
    }
}

fn segment(
    forward: bool,
    sequence: u32,
    acknowledgment: u32,
    flags: u8,
    payload: &[u8],
) -> Segment<'_> {
    let (client, broker) = (endpoint(1, 40_000), endpoint(2, 1883));
    let (source, destination) = if forward {
        (client, broker)
    } else {
        (broker, client)
    };
    Segment {
        time: Timestamp::from_nanos(0),
        tap: 0,
        file: 0,
        frame: 0,
        source,
        destination,
        sequence,
        acknowledgment,
        flags: TcpFlags(flags),
        window: 1000,
        payload,
        payload_length: payload.len() as u32,
        ip_identification: 0,
        hop_limit: 64,
        window_scale: None,
        maximum_segment_size: None,
    }
}

/// An event, owned.
#[derive(Debug, PartialEq, Clone)]
enum Seen {
    Opened,
    Data {
        direction: Direction,
        offset: u64,
        bytes: Vec<u8>,
        first: i64,
        whole: i64,
        frame: u64,
    },
    Gap {
        direction: Direction,
        offset: u64,
        bytes: u64,
        reason: GapReason,
    },
    Repeated(u64, u32),
    Closed(EndReason),
}

impl Seen {
    fn of(chunk: &Chunk<'_>) -> Self {
        Self::Data {
            direction: chunk.direction,
            offset: chunk.offset,
            bytes: chunk.bytes.to_vec(),
            first: chunk.first_seen.as_nanos(),
            whole: chunk.whole.as_nanos(),
            frame: chunk.frame,
        }
    }
}

/// Pushes segments, each one microsecond and one frame after the other.
struct Feeder {
    table: FlowTable,
    now: i64,
    frame: u64,
    seen: Vec<Seen>,
    /// Usual segments take the short way.
    quick: bool,
}

impl Feeder {
    fn new(limits: Limits) -> Self {
        Self {
            quick: true,
            table: FlowTable::new(limits),
            now: 0,
            frame: 0,
            seen: Vec::new(),
        }
    }

    fn push(&mut self, mut segment: Segment<'_>) -> &mut Self {
        self.now += 1000;
        self.frame += 1;
        segment.time = Timestamp::from_nanos(self.now);
        segment.frame = self.frame;
        if self.quick {
            let flow = self.table.hash(&segment);
            match self.table.push_quick(&segment, &flow) {
                Quick::Data(_, chunk) => self.seen.push(Seen::of(&chunk)),
                Quick::Nothing => {}
                Quick::General => drain(self.table.push_hashed(&segment, &flow), &mut self.seen),
            }
        } else {
            drain(self.table.push(&segment), &mut self.seen);
        }
        self
    }

    fn wait(&mut self, millis: i64) -> &mut Self {
        self.now += millis * 1_000_000;
        self
    }

    fn finish(&mut self) -> Vec<Seen> {
        drain(self.table.finish(), &mut self.seen);
        std::mem::take(&mut self.seen)
    }

    fn handshake(&mut self, client: u32, broker: u32) -> &mut Self {
        self.push(segment(true, client, 0, SYN, b""))
            .push(segment(
                false,
                broker,
                client.wrapping_add(1),
                SYN | ACK,
                b"",
            ))
            .push(segment(
                true,
                client.wrapping_add(1),
                broker.wrapping_add(1),
                ACK,
                b"",
            ))
    }
}

fn drain(mut delivery: Delivery<'_, '_>, seen: &mut Vec<Seen>) {
    while let Some(event) = delivery.next() {
        seen.push(match event {
            Event::Opened(_) => Seen::Opened,
            Event::Data(_, chunk) => Seen::of(&chunk),
            Event::Gap(_, gap) => Seen::Gap {
                direction: gap.direction,
                offset: gap.offset,
                bytes: gap.bytes,
                reason: gap.reason,
            },
            Event::Repeated(_, _, offset, bytes) => Seen::Repeated(offset, bytes),
            Event::Closed(_, reason) => Seen::Closed(reason),
        });
    }
}

/// Checks chunks and gaps of one direction against the bytes sent; returns the bytes in gaps.
fn check(seen: &[Seen], wanted: Direction, sent: &[u8]) -> u64 {
    let (mut position, mut missing) = (0_u64, 0);
    for event in seen {
        match event {
            Seen::Data {
                direction,
                offset,
                bytes,
                first,
                whole,
                ..
            } if *direction == wanted => {
                assert_eq!(*offset, position, "chunks and gaps follow each other");
                let from = usize::try_from(position).unwrap();
                assert_eq!(bytes, &sent[from..from + bytes.len()]);
                assert!(first <= whole);
                position += bytes.len() as u64;
            }
            Seen::Gap {
                direction,
                offset,
                bytes,
                ..
            } if *direction == wanted => {
                assert_eq!(*offset, position);
                position += bytes;
                missing += bytes;
            }
            _ => {}
        }
    }
    assert_eq!(
        position,
        sent.len() as u64,
        "the whole stream is accounted for"
    );
    missing
}

fn data(seen: &[Seen]) -> Vec<u8> {
    seen.iter()
        .filter_map(|event| match event {
            Seen::Data { bytes, .. } => Some(bytes.as_slice()),
            _ => None,
        })
        .flatten()
        .copied()
        .collect()
}

fn gaps(seen: &[Seen]) -> Vec<(u64, u64, GapReason)> {
    seen.iter()
        .filter_map(|event| match event {
            Seen::Gap {
                offset,
                bytes,
                reason,
                ..
            } => Some((*offset, *bytes, *reason)),
            _ => None,
        })
        .collect()
}

#[test]
fn handshake_gives_both_halves_of_the_round_trip() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.push(segment(true, 100, 0, SYN, b""));
    feeder
        .wait(3)
        .push(segment(false, 500, 101, SYN | ACK, b""));
    feeder.wait(20).push(segment(true, 101, 501, ACK, b""));
    let connection = feeder.table.connection(0).unwrap();
    assert_eq!(
        connection.round_trip_beyond(),
        Some(TimeDelta::from_nanos(3_001_000))
    );
    assert_eq!(
        connection.round_trip_before(),
        Some(TimeDelta::from_nanos(20_001_000))
    );
    assert_eq!(
        connection.handshake_time,
        Some(TimeDelta::from_nanos(23_002_000))
    );
    assert!(!connection.midstream());
}

#[test]
fn a_repeated_syn_gives_no_round_trip_from_an_ambiguous_answer() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.push(segment(true, 100, 0, SYN, b""));
    feeder.wait(1000).push(segment(true, 100, 0, SYN, b""));
    feeder.push(segment(false, 500, 101, SYN | ACK, b""));
    assert_eq!(
        feeder.table.connection(0).unwrap().round_trip_beyond(),
        None
    );
    assert_eq!(feeder.table.statistics().connections, 1);
}

#[test]
fn out_of_order_bytes_are_whole_when_the_hole_is_filled() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(u32::MAX - 3, 7);
    feeder.push(segment(true, u32::MAX, 8, ACK, b"cd"));
    feeder.push(segment(true, u32::MAX - 2, 8, ACK, b"ab"));
    let seen = feeder.finish();
    assert_eq!(data(&seen), b"abcd");
    assert_eq!(
        seen[2],
        Seen::Data {
            direction: Direction::Forward,
            offset: 2,
            bytes: b"cd".to_vec(),
            first: 4000,
            whole: 5000,
            frame: 5
        }
    );
    assert_eq!(gaps(&seen), []);
}

#[test]
fn acknowledged_bytes_that_never_show_up_are_missing_from_the_capture() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    feeder.push(segment(true, 6, 1, ACK, b"fg"));
    feeder.push(segment(false, 1, 8, ACK, b""));
    assert_eq!(gaps(&feeder.seen), [], "they may still turn up");
    feeder.wait(60);
    for _ in 0..8 {
        assert_eq!(gaps(&feeder.seen), []);
        feeder.push(segment(false, 1, 8, ACK, b""));
    }
    assert_eq!(gaps(&feeder.seen), [(2, 3, GapReason::MissingFromCapture)]);
    feeder.push(segment(true, 8, 1, ACK, b"h"));
    assert_eq!(data(&feeder.finish()), b"abfgh");
}

#[test]
fn frames_captured_in_swapped_order_are_no_gap() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 3, 1, ACK, b"cd"));
    feeder.push(segment(false, 1, 5, ACK, b""));
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    let seen = feeder.finish();
    assert_eq!(
        (data(&seen).as_slice(), gaps(&seen).len()),
        (b"abcd".as_slice(), 0)
    );
}

#[test]
fn bytes_missing_at_the_end_are_named() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    feeder.push(segment(false, 1, 13, ACK, b""));
    let seen = feeder.finish();
    assert_eq!(gaps(&seen), [(2, 10, GapReason::MissingFromCapture)]);
    assert_eq!(seen.last(), Some(&Seen::Closed(EndReason::CaptureEnded)));
}

#[test]
fn a_hole_open_at_the_end_is_the_captures_end_and_at_a_reset_a_loss() {
    for (reset, reason) in [(false, GapReason::CaptureEnded), (true, GapReason::Lost)] {
        let mut feeder = Feeder::new(Limits::default());
        feeder.handshake(0, 0);
        feeder.push(segment(true, 5, 1, ACK, b"ef"));
        if reset {
            feeder.push(segment(true, 7, 1, RST | ACK, b""));
        }
        let seen = feeder.finish();
        assert_eq!(gaps(&seen), [(0, 4, reason)]);
        assert_eq!(data(&seen), b"ef");
    }
}

#[test]
fn what_is_sent_again_is_told() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"abcd"));
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    feeder.push(segment(true, 3, 1, ACK, b"cdef"));
    let seen = feeder.finish();
    assert!(seen.contains(&Seen::Repeated(0, 2)));
    assert!(seen.contains(&Seen::Repeated(2, 2)));
    assert_eq!(data(&seen), b"abcdef");
}

#[test]
fn fin_with_data_closes_and_the_last_acknowledgment_is_no_gap() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, FIN | ACK, b"bye"));
    feeder.push(segment(false, 1, 5, FIN | ACK, b""));
    feeder.push(segment(true, 5, 2, ACK, b""));
    assert_eq!(feeder.table.open_connections(), 0);
    let seen = feeder.finish();
    assert_eq!(data(&seen), b"bye");
    assert_eq!(gaps(&seen), []);
    assert_eq!(
        seen.iter()
            .filter(|event| matches!(event, Seen::Closed(EndReason::Fin)))
            .count(),
        1
    );
}

#[test]
fn port_reuse_begins_a_new_connection_and_a_repeated_syn_does_not() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"old"));
    feeder.handshake(0, 0);
    assert_eq!(feeder.table.statistics().connections, 1);
    feeder.handshake(90_000, 70_000);
    feeder.push(segment(true, 90_001, 70_001, ACK, b"new"));
    let seen = feeder.finish();
    assert_eq!(feeder.table.statistics().connections, 2);
    assert_eq!(data(&seen), b"oldnew");
    assert!(seen.contains(&Seen::Closed(EndReason::Replaced)));
}

#[test]
fn a_forged_reset_far_away_is_not_obeyed() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    feeder.push(segment(true, 0x4000_0000, 1, RST, b""));
    feeder.push(segment(true, 3, 1, ACK, b"cd"));
    assert_eq!(data(&feeder.finish()), b"abcd");
    assert_eq!(feeder.table.statistics().connections, 1);
}

#[test]
fn keep_alive_probes_are_no_retransmissions() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    feeder.push(segment(true, 1, 1, ACK, b"ab"));
    feeder.push(segment(false, 1, 3, ACK, b""));
    feeder.wait(60_000).push(segment(true, 2, 1, ACK, b"\0"));
    feeder.push(segment(false, 1, 3, ACK, b""));
    let statistics = feeder
        .table
        .connection(0)
        .unwrap()
        .statistics(Direction::Forward);
    assert_eq!(
        (
            statistics.keep_alive_probes,
            statistics.retransmitted_segments
        ),
        (1, 0)
    );
    assert_eq!(data(&feeder.finish()), b"ab");
}

#[test]
fn a_probe_before_the_first_data_seen_midstream_is_no_gap() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.push(segment(true, 9, 1, ACK, b""));
    feeder.push(segment(false, 1, 10, ACK, b"x"));
    feeder.push(segment(true, 9, 2, ACK, b""));
    feeder.push(segment(true, 10, 2, ACK, b"y"));
    let seen = feeder.finish();
    assert_eq!(
        (data(&seen).as_slice(), gaps(&seen).len()),
        (b"xy".as_slice(), 0)
    );
}

#[test]
fn the_snap_length_leaves_gaps_of_known_size() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.handshake(0, 0);
    let mut cut = segment(true, 1, 1, ACK, b"abc");
    cut.payload_length = 10;
    feeder.push(cut);
    let mut empty = segment(true, 11, 1, ACK, b"");
    empty.payload_length = 4;
    feeder.push(empty).push(segment(true, 15, 1, ACK, b"z"));
    let seen = feeder.finish();
    assert_eq!(
        gaps(&seen),
        [
            (3, 7, GapReason::SnapLength),
            (10, 4, GapReason::SnapLength)
        ]
    );
    assert_eq!(data(&seen), b"abcz");
}

#[test]
fn one_sided_captures_wait_and_then_say_so() {
    let mut feeder = Feeder::new(Limits::default());
    feeder.push(segment(true, 0, 0, SYN, b""));
    feeder.push(segment(true, 5, 1, ACK, b"ef"));
    feeder.wait(11_000).push(segment(true, 7, 1, ACK, b"gh"));
    let seen = feeder.finish();
    assert_eq!(gaps(&seen), [(0, 4, GapReason::OneSided)]);
    assert_eq!(data(&seen), b"efgh");
}

#[test]
fn connections_beyond_the_limit_evict_the_idlest() {
    let limits = Limits {
        connections: 10,
        ..Limits::default()
    };
    let mut feeder = Feeder::new(limits);
    for port in 0..1000_u16 {
        let mut syn = segment(true, 1, 0, SYN, b"");
        syn.source.port = 10_000 + port;
        feeder.push(syn);
        assert!(feeder.table.open_connections() <= 10);
    }
    assert_eq!(feeder.table.statistics().evicted_connections, 990);
    let closed = feeder
        .finish()
        .iter()
        .filter(|event| matches!(event, Seen::Closed(_)))
        .count();
    assert_eq!(closed, 1000);
}

#[test]
fn half_open_connections_expire() {
    let mut feeder = Feeder::new(Limits::default());
    for port in 0..100_u16 {
        let mut syn = segment(true, 1, 0, SYN, b"");
        syn.source.port = 10_000 + port;
        feeder.push(syn);
    }
    feeder.wait(61_000);
    for _ in 0..3000 {
        feeder.push(segment(true, 1, 0, SYN, b""));
    }
    assert_eq!(feeder.table.open_connections(), 1);
}

#[test]
fn what_waits_is_bounded() {
    let limits = Limits {
        backlog_bytes: 1000,
        total_backlog_bytes: 1500,
        ..Limits::default()
    };
    let mut feeder = Feeder::new(limits);
    feeder.handshake(0, 0);
    let block = [7_u8; 100];
    for index in 0..50 {
        feeder.push(segment(true, 2 + index * 100, 1, ACK, &block));
    }
    let seen = feeder.finish();
    assert_eq!(gaps(&seen), [(0, 1, GapReason::LimitReached)]);
    assert_eq!(data(&seen).len(), 5000);
}

/// What may happen to a segment on its way to the tap.
#[derive(Clone, Debug)]
struct Fate {
    length: usize,
    overlap: usize,
    delay: usize,
    copies: usize,
    lost: bool,
}

fn fates() -> impl Strategy<Value = Vec<Fate>> {
    let fate = (
        1_usize..90,
        0_usize..40,
        0_usize..6,
        0_usize..3,
        prop::bool::weighted(0.1),
    )
        .prop_map(|(length, overlap, delay, copies, lost)| Fate {
            length,
            overlap,
            delay,
            copies: 1 + copies / 2,
            lost,
        });
    prop::collection::vec(fate, 1..60)
}

/// Segments of `sent` as (offset, bytes), in the order of their arrival at the tap.
fn arrivals<'a>(sent: &'a [u8], fates: &[Fate]) -> Vec<(usize, &'a [u8])> {
    let mut arrivals = Vec::new();
    let mut position = 0;
    for (index, fate) in fates.iter().enumerate() {
        let end = (position + fate.length).min(sent.len());
        let start = position.saturating_sub(fate.overlap);
        for copy in 0..fate.copies {
            if !fate.lost {
                arrivals.push((index + fate.delay * (copy + 1), start, &sent[start..end]));
            }
        }
        position = end;
    }
    arrivals.sort_by_key(|&(order, ..)| order);
    arrivals
        .into_iter()
        .map(|(_, start, bytes)| (start, bytes))
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Random splits, overlaps, copies, losses, order and wrap.
    #[test]
    fn every_chunk_is_what_was_sent(isn: u32, seed: u64, fates in fates(), acknowledged: bool, fin: bool) {
        let total: usize = fates.iter().map(|fate| fate.length).sum();
        let sent: Vec<u8> = (0..total as u64)
            .map(|i| (i.wrapping_mul(0x9E37_79B9_7F4A_7C15).wrapping_add(seed) >> 56) as u8)
            .collect();
        let mut feeder = Feeder::new(Limits::default());
        feeder.handshake(isn, 77);
        let base = isn.wrapping_add(1);
        for (offset, bytes) in arrivals(&sent, &fates) {
            feeder.push(segment(true, base.wrapping_add(offset as u32), 78, ACK, bytes));
        }
        let end = base.wrapping_add(total as u32);
        if fin {
            feeder.push(segment(true, end, 78, FIN | ACK, b""));
        }
        if acknowledged {
            feeder.push(segment(false, 78, end, ACK, b""));
        } else if !fin {
            // Nothing tells of a loss at the end; say where the stream ended.
            feeder.push(segment(true, end, 78, FIN | ACK, b""));
        }
        let seen = feeder.finish();
        let mut arrived = vec![false; total];
        for (offset, bytes) in arrivals(&sent, &fates) {
            arrived[offset..offset + bytes.len()].fill(true);
        }
        // The acknowledgment of one more byte than was seen can be that of a missed FIN.
        let single_tail = acknowledged && !fin && !arrived[total - 1] && arrived[..total - 1].last() != Some(&false);
        if single_tail {
            arrived.pop();
        }
        let missing = check(&seen, Direction::Forward, &sent[..arrived.len()]);
        prop_assert_eq!(missing, arrived.iter().filter(|&&seen| !seen).count() as u64);
    }

    /// Nothing that a sender can write into the headers makes the table panic, loop or grow.
    #[test]
    fn arbitrary_segments_are_survived(headers in prop::collection::vec(
        (any::<bool>(), any::<u32>(), any::<u32>(), any::<u8>(), 0_usize..20, 0_u32..50, any::<u8>()), 0..200)) {
        let payload = [1_u8; 20];
        let limits = Limits { connections: 3, backlog_segments: 8, ..Limits::default() };
        let mut feeder = Feeder::new(limits);
        let mut general = Feeder { quick: false, ..Feeder::new(limits) };
        for (forward, sequence, acknowledgment, flags, length, more, port) in headers {
            let mut segment = segment(forward, sequence % 300, acknowledgment % 300, flags, &payload[..length]);
            segment.payload_length += more;
            segment.source.port += u16::from(port % 3);
            feeder.push(segment);
            general.push(segment);
        }
        let seen = feeder.finish();
        prop_assert_eq!(&seen, &general.finish(), "the short way is the general way");
        prop_assert_eq!(feeder.table.statistics(), general.table.statistics());
        let opened = seen.iter().filter(|event| matches!(event, Seen::Opened)).count();
        let closed = seen.iter().filter(|event| matches!(event, Seen::Closed(_))).count();
        prop_assert_eq!(opened, closed);
        prop_assert_eq!(feeder.table.open_connections(), 0);
        prop_assert_eq!(feeder.table.backlog_bytes(), 0);
    }
}
