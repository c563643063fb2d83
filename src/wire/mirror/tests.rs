#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]

use super::super::tests::{frame, tcp_in_ipv4, tcp_in_ipv6};
use super::super::{Dissection, Dissector, Skip, WireLimits};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

const MILLISECOND: i64 = 1_000_000;

/// Feeds `(time in ns, tap, bytes)` and says which of them were taken for copies.
fn copies(frames: &[(i64, u16, &[u8])]) -> Vec<bool> {
    let mut dissector = Dissector::new(WireLimits::default());
    let copies: Vec<bool> = frames
        .iter()
        .map(|(time, tap, bytes)| {
            let time = Timestamp::from_nanos(*time);
            let frame = Frame {
                time,
                tap: *tap,
                ..frame(LinkType::RAW, bytes)
            };
            matches!(
                dissector.dissect(&frame),
                Dissection::Skipped(Skip::Mirrored)
            )
        })
        .collect();
    let counted = copies.iter().filter(|copy| **copy).count() as u64;
    assert_eq!(dissector.statistics().mirrored_frames, counted);
    assert_eq!(
        dissector.statistics().segments,
        frames.len() as u64 - counted
    );
    copies
}

fn with_id(payload: &[u8], identification: u16) -> Vec<u8> {
    let mut bytes = tcp_in_ipv4(payload);
    bytes[4..6].copy_from_slice(&identification.to_be_bytes());
    bytes
}

#[test]
fn a_copy_within_the_window_counts_once() {
    let data = with_id(b"hello", 7);
    let mut routed = data.clone();
    routed[8] -= 1; // time to live
    routed[10] ^= 0xff; // header checksum
    assert_eq!(copies(&[(0, 0, &data), (5_000, 0, &routed)]), [false, true]);
    // Three mirror ports, and a clock that ran backwards a little between them.
    assert_eq!(
        copies(&[
            (9_000, 0, &data),
            (5_000, 0, &data),
            (MILLISECOND, 0, &routed)
        ]),
        [false, true, true]
    );
    assert_eq!(
        copies(&[(0, 0, &data), (2 * MILLISECOND, 0, &data)]),
        [false, true]
    );
    assert_eq!(
        copies(&[(0, 0, &data), (2 * MILLISECOND + 1, 0, &data)]),
        [false, false]
    );
    assert_eq!(
        copies(&[(0, 0, &data), (5_000, 1, &data)]),
        [false, false],
        "another tap"
    );
}

#[test]
fn a_retransmission_has_another_identification() {
    let first = with_id(b"hello", 7);
    let again = with_id(b"hello", 8);
    assert_eq!(
        copies(&[(0, 0, &first), (5_000, 0, &again)]),
        [false, false]
    );
}

#[test]
fn duplicate_acknowledgments_all_count() {
    // IPv4 with identification: they differ in that, and their copies are known.
    let (one, two) = (with_id(b"", 7), with_id(b"", 8));
    assert_eq!(
        copies(&[(0, 0, &one), (10, 0, &one), (20, 0, &two), (30, 0, &two)]),
        [false, true, false, true]
    );
    // Without identification nothing tells a copy from a duplicate acknowledgment.
    for ack in [with_id(b"", 0), tcp_in_ipv6(b"")] {
        assert_eq!(
            copies(&[(0, 0, &ack), (10, 0, &ack), (20, 0, &ack)]),
            [false; 3]
        );
    }
}

#[test]
fn without_identification_data_and_handshakes_are_known_by_their_bytes() {
    for data in [with_id(b"hello", 0), tcp_in_ipv6(b"hello")] {
        assert_eq!(copies(&[(0, 0, &data), (10, 0, &data)]), [false, true]);
    }
    let mut syn = tcp_in_ipv6(b"");
    syn[40 + 13] = 0x02;
    assert_eq!(copies(&[(0, 0, &syn), (10, 0, &syn)]), [false, true]);
}

#[test]
fn other_bytes_are_another_segment() {
    // With an identification: any byte of the addresses and of the TCP header up to the urgent
    // pointer. Without: of the options and the payload too.
    for (identification, end) in [(7, 20 + 18), (0, usize::MAX)] {
        let data = with_id(b"hello", identification);
        let ends = end.min(data.len());
        for at in (12..ends).filter(|at| *at != 20 + 12) {
            let mut other = data.clone();
            other[at] ^= 1;
            let seen = copies(&[(0, 0, &data), (10, 0, &other)]);
            assert_eq!(seen, [false, false], "byte {at}");
        }
    }
}
