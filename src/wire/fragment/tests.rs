#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use proptest::prelude::*;

use super::super::tests::{Seen, frame, tcp_in_ipv4, tcp_in_ipv6};
use super::super::{Dissector, Skip};
use super::*;
use crate::frame::{Frame, LinkType};

/// One fragment of the payload of a packet that etherparse built.
fn ipv4_fragment(packet: &[u8], id: u16, start: usize, end: usize) -> Vec<u8> {
    let payload = &packet[20..];
    let end = end.min(payload.len());
    let more = u16::from(end < payload.len()) << 13;
    let mut bytes = packet[..20].to_vec();
    bytes[2..4].copy_from_slice(&((20 + end - start) as u16).to_be_bytes());
    bytes[4..6].copy_from_slice(&id.to_be_bytes());
    bytes[6..8].copy_from_slice(&(more | (start / 8) as u16).to_be_bytes());
    bytes.extend(&payload[start..end]);
    bytes
}

fn ipv6_fragment(packet: &[u8], id: u32, start: usize, end: usize) -> Vec<u8> {
    let payload = &packet[40..];
    let end = end.min(payload.len());
    let more = u16::from(end < payload.len());
    let mut bytes = packet[..40].to_vec();
    bytes[4..6].copy_from_slice(&((8 + end - start) as u16).to_be_bytes());
    bytes[6] = 44;
    bytes.extend([6, 0]);
    bytes.extend((start as u16 | more).to_be_bytes());
    bytes.extend(id.to_be_bytes());
    bytes.extend(&payload[start..end]);
    bytes
}

fn at(time: i64, number: u64, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_nanos(time),
        number,
        ..frame(LinkType::RAW, bytes)
    }
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|n| (n * 7 % 251) as u8).collect()
}

fn feed(dissector: &mut Dissector, time: i64, bytes: &[u8]) -> Result<Seen, Skip> {
    Seen::of(dissector.dissect(&at(time, 1, bytes)))
}

proptest! {
    /// The model: the packet that was cut up. Fragments in any order and any number of times
    /// give it exactly when the last missing one came, in both versions.
    #[test]
    fn any_order_and_duplicates_give_the_packet(
        length in 0_usize..3000,
        mut cuts in proptest::collection::btree_set(1_usize..300, 0..20),
        order in proptest::collection::vec(any::<prop::sample::Index>(), 60),
        six in any::<bool>(),
    ) {
        let payload = pattern(length);
        let packet = if six { tcp_in_ipv6(&payload) } else { tcp_in_ipv4(&payload) };
        let whole = packet.len() - if six { 40 } else { 20 };
        cuts.retain(|cut| cut * 8 < whole);
        prop_assume!(!cuts.is_empty());
        let starts: Vec<usize> = std::iter::once(0).chain(cuts.iter().map(|cut| cut * 8)).collect();
        let fragments: Vec<Vec<u8>> = starts.iter().enumerate().map(|(n, start)| {
            let end = starts.get(n + 1).copied().unwrap_or(whole);
            if six { ipv6_fragment(&packet, 9, *start, end) } else { ipv4_fragment(&packet, 9, *start, end) }
        }).collect();

        let mut dissector = Dissector::new(WireLimits::default());
        let mut missing: Vec<bool> = vec![true; fragments.len()];
        let picks = order.iter().map(|pick| pick.index(fragments.len())).chain(0..fragments.len());
        for (n, pick) in picks.enumerate() {
            let known = !std::mem::replace(&mut missing[pick], false);
            let result = Seen::of(dissector.dissect(&at(n as i64, n as u64, &fragments[pick])));
            if known {
                prop_assert_eq!(result, Err(Skip::FragmentDuplicate));
            } else if missing.contains(&true) {
                prop_assert_eq!(result, Err(Skip::FragmentHeld));
            } else {
                let seen = result.unwrap();
                prop_assert_eq!(&seen.payload, &payload);
                prop_assert_eq!(seen.payload_length as usize, length);
                prop_assert_eq!((seen.frame, seen.identification), (n as u64, 9));
                prop_assert_eq!(dissector.fragments.len(), 0);
                prop_assert_eq!(dissector.fragments.cost(), 0);
                return Ok(());
            }
        }
        prop_assert!(false, "never complete");
    }

    /// IPv4 overlaps: a byte array in which the first writer of each byte wins.
    #[test]
    fn overlaps_in_ipv4_keep_what_came_first(
        ranges in proptest::collection::vec((0_usize..40, 1_usize..20, any::<u8>()), 1..40),
    ) {
        let network = Network {
            source: [10, 0, 0, 1].into(),
            destination: [10, 0, 0, 2].into(),
            identification: 1,
            hop_limit: 64,
        };
        let total = 60 * 8;
        let mut model: Vec<Option<u8>> = vec![None; total];
        let mut table = FragmentTable::new(WireLimits::default());
        let mut statistics = WireStatistics::default();
        let mut into = Vec::new();
        // At the end, one that fills every gap.
        let ranges = ranges.iter().copied().chain([(0, 60, 255)]);
        for (start, length, byte) in ranges {
            let (start, end) = (start * 8, (start + length) * 8);
            let bytes = vec![byte; end - start];
            let fragment = Fragment {
                network,
                protocol: 6,
                offset: start,
                more: end < total,
                payload: Cursor { bytes: &bytes, length: bytes.len() },
            };
            let new = model[start..end].contains(&None);
            for slot in &mut model[start..end] {
                slot.get_or_insert(byte);
            }
            let insertion =
                table.insert(Timestamp::from_nanos(0), 0, &fragment, &mut into, &mut statistics);
            if !model.contains(&None) {
                let Insertion::Complete(whole) = insertion else { panic!("{insertion:?}") };
                prop_assert_eq!(whole.length, total);
                let bytes: Vec<u8> = model.iter().map(|byte| byte.unwrap()).collect();
                prop_assert_eq!(&into, &bytes);
                prop_assert_eq!(table.cost(), 0);
                return Ok(());
            }
            prop_assert_eq!(matches!(insertion, Insertion::Held), new);
        }
    }
}

#[test]
fn an_overlap_in_ipv6_drops_the_datagram_and_what_follows() {
    let packet = tcp_in_ipv6(&pattern(100));
    let mut dissector = Dissector::new(WireLimits::default());
    let mut feed = |start, end| feed(&mut dissector, 0, &ipv6_fragment(&packet, 5, start, end));
    assert_eq!(feed(0, 48), Err(Skip::FragmentHeld));
    assert_eq!(
        feed(0, 48),
        Err(Skip::FragmentDuplicate),
        "an exact copy is no overlap"
    );
    assert_eq!(feed(40, 64), Err(Skip::FragmentDropped));
    assert_eq!(feed(48, 120), Err(Skip::FragmentDropped));
    assert_eq!(dissector.statistics().datagrams_inconsistent, 1);
    // The same range with other bytes is an overlap, too.
    let mut dissector = Dissector::new(WireLimits::default());
    let other = tcp_in_ipv6(&pattern(101)[1..]);
    let first = ipv6_fragment(&packet, 5, 24, 48);
    let second = ipv6_fragment(&other, 5, 24, 48);
    assert_eq!(
        super::tests::feed(&mut dissector, 0, &first),
        Err(Skip::FragmentHeld)
    );
    assert_eq!(
        super::tests::feed(&mut dissector, 0, &second),
        Err(Skip::FragmentDropped)
    );
}

#[test]
fn two_different_ends_drop_the_datagram() {
    let (long, short) = (tcp_in_ipv4(&pattern(200)), tcp_in_ipv4(&pattern(100)));
    let mut dissector = Dissector::new(WireLimits::default());
    let mut feed = |bytes: Vec<u8>| feed(&mut dissector, 0, &bytes);
    assert_eq!(
        feed(ipv4_fragment(&short, 5, 64, 900)),
        Err(Skip::FragmentHeld)
    );
    assert_eq!(
        feed(ipv4_fragment(&long, 5, 64, 900)),
        Err(Skip::FragmentDropped)
    );
    assert_eq!(
        feed(ipv4_fragment(&long, 5, 0, 64)),
        Err(Skip::FragmentDropped)
    );
    assert_eq!(dissector.statistics().datagrams_inconsistent, 1);
    assert_eq!(dissector.statistics().fragments_dropped, 2);
}

#[test]
fn fragments_that_ip_does_not_allow_are_dropped() {
    let packet = tcp_in_ipv4(&pattern(200));
    let mut dissector = Dissector::new(WireLimits::default());
    // Not a multiple of 8 though more follow.
    let odd = ipv4_fragment(&packet, 5, 0, 63);
    assert_eq!(feed(&mut dissector, 0, &odd), Err(Skip::FragmentDropped));
    // Beyond 64 KiB.
    let mut far = ipv4_fragment(&packet, 5, 64, 900);
    far[6..8].copy_from_slice(&0x1fff_u16.to_be_bytes());
    assert_eq!(feed(&mut dissector, 0, &far), Err(Skip::FragmentDropped));
    assert_eq!(dissector.fragments.len(), 0);
    // Of a protocol that nobody asks for.
    let mut icmp = ipv4_fragment(&packet, 5, 0, 64);
    icmp[9] = 1;
    assert_eq!(
        feed(&mut dissector, 0, &icmp),
        Err(Skip::NotTcp {
            protocol: 1,
            ports: None
        })
    );
}

#[test]
fn the_snap_length_cuts_fragments_too() {
    let packet = tcp_in_ipv4(&pattern(200));
    let mut dissector = Dissector::new(WireLimits::default());
    let first = ipv4_fragment(&packet, 5, 0, 120);
    let cut = Frame {
        wire_length: first.len() as u32,
        ..at(0, 1, &first[..20 + 96])
    };
    assert_eq!(Seen::of(dissector.dissect(&cut)), Err(Skip::FragmentHeld));
    let seen = feed(&mut dissector, 0, &ipv4_fragment(&packet, 5, 120, 900)).unwrap();
    assert_eq!(seen.payload, &pattern(200)[..96 - 32]);
    assert_eq!(seen.payload_length, 200);
    assert_eq!(dissector.statistics().truncated_payloads, 1);
}

#[test]
fn a_datagram_waits_only_so_long() {
    let packet = tcp_in_ipv4(&pattern(200));
    let (first, last) = (
        ipv4_fragment(&packet, 5, 0, 64),
        ipv4_fragment(&packet, 5, 64, 900),
    );
    for (wait, whole) in [(30, true), (31, false), (-31, false)] {
        let mut dissector = Dissector::new(WireLimits::default());
        assert_eq!(feed(&mut dissector, 0, &first), Err(Skip::FragmentHeld));
        let result = feed(&mut dissector, wait * 1_000_000_000, &last);
        assert_eq!(result.is_ok(), whole, "{wait} s");
        assert_eq!(dissector.statistics().datagrams_expired, u64::from(!whole));
    }
}

#[test]
fn datagrams_and_bytes_are_bounded_and_the_oldest_goes_first() {
    let packet = tcp_in_ipv4(&pattern(1400));
    let limits = WireLimits {
        max_datagrams: 10,
        max_fragment_bytes: 8 << 10,
        ..WireLimits::default()
    };
    let mut dissector = Dissector::new(limits);
    for id in 0..1000 {
        let first = ipv4_fragment(&packet, id, 0, 64 + 8 * usize::from(id % 100));
        assert_eq!(feed(&mut dissector, 0, &first), Err(Skip::FragmentHeld));
        assert!(dissector.fragments.len() <= 10);
        assert!(dissector.fragments.cost() <= 8 << 10);
    }
    let kept = dissector.fragments.len() as u64;
    assert_eq!(dissector.statistics().datagrams_evicted, 1000 - kept);
    assert!(kept >= 4, "{kept}");
    let last = ipv4_fragment(&packet, 999, 64 + 8 * 99, 9000);
    assert_eq!(
        feed(&mut dissector, 0, &last).unwrap().payload,
        pattern(1400)
    );
}

#[test]
fn a_datagram_has_only_so_many_pieces() {
    let packet = tcp_in_ipv4(&pattern(8000));
    let mut dissector = Dissector::new(WireLimits::default());
    // Every second stretch of 8 bytes, so that nothing joins.
    for n in 0..128 {
        let piece = ipv4_fragment(&packet, 5, n * 16, n * 16 + 8);
        assert_eq!(feed(&mut dissector, 0, &piece), Err(Skip::FragmentHeld));
    }
    let piece = ipv4_fragment(&packet, 5, 128 * 16, 128 * 16 + 8);
    assert_eq!(feed(&mut dissector, 0, &piece), Err(Skip::FragmentDropped));
    assert_eq!(dissector.statistics().datagrams_inconsistent, 1);
    assert_eq!(dissector.fragments.cost(), DATAGRAM_COST);
}

/// An inner datagram in fragments, each of which comes in fragments of the tunnel's packets.
#[test]
fn fragments_within_fragments() {
    let inner = tcp_in_ipv4(&pattern(600));
    let mut dissector = Dissector::new(WireLimits::default());
    let mut results = Vec::new();
    for (id, (start, end)) in [(0, 320), (320, 9000)].into_iter().enumerate() {
        let payload = ipv4_fragment(&inner, 7, start, end);
        let mut outer = inner[..20].to_vec();
        outer[9] = 4;
        outer.extend(payload);
        for (start, end) in [(0, 160), (160, 9000)] {
            let bytes = ipv4_fragment(&outer, 100 + id as u16, start, end);
            results.push(feed(&mut dissector, 0, &bytes));
        }
    }
    let last = results.pop().unwrap().unwrap();
    assert_eq!(last.payload, pattern(600));
    assert_eq!(results, vec![Err(Skip::FragmentHeld); 3]);
    assert_eq!(dissector.statistics().datagrams_reassembled, 3);
    assert_eq!(dissector.fragments.len(), 0);
}
