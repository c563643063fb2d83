#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::panic
)]

use etherparse::{IpNumber, PacketBuilder, TcpOptionElement, VlanId};
use proptest::prelude::*;

use super::*;
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

const PAYLOAD: &[u8] = b"\x30\x0a\x00\x03a/bhello";
/// The builder leaves it so.
const ID: u16 = 0;

pub(super) fn frame(link_type: LinkType, bytes: &[u8]) -> Frame<'_> {
    Frame {
        time: Timestamp::from_nanos(1_000),
        link_type,
        wire_length: bytes.len() as u32,
        bytes,
        tap: 3,
        file: 2,
        number: 77,
    }
}

fn dissect_one(frame: &Frame<'_>) -> Result<(Seen, WireStatistics), Skip> {
    let mut dissector = Dissector::new(WireLimits::default());
    let seen = Seen::of(dissector.dissect(frame))?;
    Ok((seen, dissector.statistics().clone()))
}

/// A segment without its borrow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) ends: String,
    pub(super) sequence: u32,
    pub(super) flags: TcpFlags,
    pub(super) payload: Vec<u8>,
    pub(super) payload_length: u32,
    pub(super) identification: u32,
    pub(super) frame: u64,
    options: (Option<u8>, Option<u16>),
}

impl Seen {
    pub(super) fn of(dissection: Dissection<'_>) -> Result<Self, Skip> {
        match dissection {
            Dissection::Skipped(skip) => Err(skip),
            Dissection::Tcp(s) => Ok(Self {
                ends: format!("{} > {}", s.source, s.destination),
                sequence: s.sequence,
                flags: s.flags,
                payload: s.payload.to_vec(),
                payload_length: s.payload_length,
                identification: s.ip_identification,
                frame: s.frame,
                options: (s.window_scale, s.maximum_segment_size),
            }),
        }
    }
}

const V4: &str = "10.0.0.1:40000 > 10.0.0.2:1883";
const V6: &str = "[fe80::1]:40000 > [fe80::2]:1883";
const SIX_ONE: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
const SIX_TWO: [u8; 16] = [0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

pub(super) fn tcp_in_ipv4(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 1883, 1000, 500)
        .ack(2000)
        .psh()
        .options(&[TcpOptionElement::Timestamp(7, 8)])
        .unwrap()
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

pub(super) fn tcp_in_ipv6(payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    PacketBuilder::ipv6(SIX_ONE, SIX_TWO, 64)
        .tcp(40_000, 1883, 1000, 500)
        .ack(2000)
        .psh()
        .write(&mut bytes, payload)
        .unwrap();
    bytes
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn ethernet(ether_type: u16, payload: &[u8]) -> Vec<u8> {
    joined(&[&[2; 12], &ether_type.to_be_bytes(), payload])
}

/// An IPv4 header without options around `payload`.
fn ipv4_around(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let total = (20 + payload.len()) as u16;
    let [high, low] = total.to_be_bytes();
    joined(&[
        &[
            0x45, 0, high, low, 0, 9, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2,
        ],
        payload,
    ])
}

fn ipv6_around(next: u8, payload: &[u8]) -> Vec<u8> {
    let [high, low] = (payload.len() as u16).to_be_bytes();
    joined(&[
        &[0x60, 0, 0, 0, high, low, next, 64],
        &SIX_ONE,
        &SIX_TWO,
        payload,
    ])
}

fn udp_around(destination: u16, payload: &[u8]) -> Vec<u8> {
    let length = (8 + payload.len()) as u16;
    joined(&[
        &55_555_u16.to_be_bytes(),
        &destination.to_be_bytes(),
        &length.to_be_bytes(),
        &[0, 0],
        payload,
    ])
}

fn vxlan(port: u16) -> Vec<u8> {
    let inner = ethernet(0x0800, &tcp_in_ipv4(PAYLOAD));
    let vxlan = joined(&[&[8, 0, 0, 0, 0, 0, 42, 0], &inner]);
    ethernet(0x0800, &ipv4_around(17, &udp_around(port, &vxlan)))
}

fn gre(flags: u16, options: usize, protocol: u16, inner: &[u8]) -> Vec<u8> {
    let header = joined(&[
        &flags.to_be_bytes(),
        &protocol.to_be_bytes(),
        &vec![0; options],
    ]);
    ethernet(0x0800, &ipv4_around(47, &joined(&[&header, inner])))
}

/// Every way to carry a segment: name, link type, bytes, tunnels, and the ends expected.
fn encapsulations() -> Vec<(&'static str, LinkType, Vec<u8>, bool, &'static str)> {
    let (four, six) = (tcp_in_ipv4(PAYLOAD), tcp_in_ipv6(PAYLOAD));
    let e = LinkType::ETHERNET;
    let mut tagged = Vec::new();
    PacketBuilder::ethernet2([1; 6], [2; 6])
        .double_vlan(VlanId::try_new(10).unwrap(), VlanId::try_new(20).unwrap())
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .tcp(40_000, 1883, 1000, 500)
        .write(&mut tagged, PAYLOAD)
        .unwrap();
    let tags = |types: &[u16], inner: &[u8]| {
        let mut bytes = vec![2; 12];
        for ether_type in types {
            bytes.extend(ether_type.to_be_bytes());
            bytes.extend([0, 42]);
        }
        joined(&[&bytes, &[8, 0], inner])
    };
    let snap = joined(&[&[0xaa, 0xaa, 3, 0, 0, 0, 8, 0], &four]);
    let [l1, l2] = (four.len() as u16 + 2).to_be_bytes();
    let sll = |protocol: u16, inner: &[u8]| {
        joined(&[
            &[0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0],
            &protocol.to_be_bytes(),
            inner,
        ])
    };
    let sll2 = |protocol: u16, inner: &[u8]| {
        joined(&[
            &protocol.to_be_bytes(),
            &[0, 0, 0, 0, 0, 2, 0, 1, 0, 6],
            &[0; 8],
            inner,
        ])
    };
    let extensions = joined(&[&[43, 0, 0, 0, 0, 0, 0, 0], &[60, 0, 0, 0, 0, 0, 0, 0]]);
    let extensions = joined(&[
        &extensions,
        &[51, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ]);
    let auth = joined(&[&[6, 1, 0, 0], &[0; 8], &six[40..]]);
    let atomic = joined(&[&[6, 0, 0, 0, 0, 0, 0, 9], &six[40..]]);
    vec![
        ("ethernet ipv4", e, ethernet(0x0800, &four), false, V4),
        ("ethernet ipv6", e, ethernet(0x86dd, &six), false, V6),
        ("802.1Q", e, tags(&[0x8100], &four), false, V4),
        ("QinQ by etherparse", e, tagged, false, V4),
        ("QinQ 88a8", e, tags(&[0x88a8, 0x8100], &four), false, V4),
        (
            "QinQ 9100 and three tags",
            e,
            tags(&[0x9100, 0x9200, 0x8100], &four),
            false,
            V4,
        ),
        (
            "802.3 SNAP",
            e,
            ethernet(snap.len() as u16, &snap),
            false,
            V4,
        ),
        (
            "mpls",
            e,
            ethernet(0x8847, &joined(&[&[0, 1, 0, 64, 0, 2, 1, 64], &four])),
            false,
            V4,
        ),
        (
            "pppoe",
            e,
            ethernet(0x8864, &joined(&[&[0x11, 0, 0, 1, l1, l2, 0, 0x21], &four])),
            false,
            V4,
        ),
        (
            "null little",
            LinkType::NULL,
            joined(&[&[2, 0, 0, 0], &four]),
            false,
            V4,
        ),
        (
            "null big",
            LinkType::NULL,
            joined(&[&[0, 0, 0, 2], &four]),
            false,
            V4,
        ),
        (
            "null 24",
            LinkType::NULL,
            joined(&[&[24, 0, 0, 0], &six]),
            false,
            V6,
        ),
        (
            "null 28",
            LinkType::NULL,
            joined(&[&[0, 0, 0, 28], &six]),
            false,
            V6,
        ),
        (
            "null 30",
            LinkType::NULL,
            joined(&[&[30, 0, 0, 0], &six]),
            false,
            V6,
        ),
        (
            "loop",
            LinkType::LOOP,
            joined(&[&[0, 0, 0, 24], &six]),
            false,
            V6,
        ),
        ("raw", LinkType::RAW, four.clone(), false, V4),
        ("raw 6", LinkType::RAW, six.clone(), false, V6),
        ("raw 12", LinkType::RAW_BSD, four.clone(), false, V4),
        ("raw 14", LinkType::RAW_OPENBSD, six.clone(), false, V6),
        ("ipv4", LinkType::IPV4, four.clone(), false, V4),
        ("ipv6", LinkType::IPV6, six.clone(), false, V6),
        ("sll", LinkType::LINUX_SLL, sll(0x0800, &four), false, V4),
        (
            "sll vlan",
            LinkType::LINUX_SLL,
            sll(0x8100, &joined(&[&[0, 7, 0x86, 0xdd], &six])),
            false,
            V6,
        ),
        ("sll llc", LinkType::LINUX_SLL, sll(4, &snap), false, V4),
        ("sll2", LinkType::LINUX_SLL2, sll2(0x86dd, &six), false, V6),
        ("vxlan", e, vxlan(4789), true, V4),
        ("vxlan linux", e, vxlan(8472), true, V4),
        ("gre", e, gre(0, 0, 0x0800, &four), true, V4),
        ("gre all", e, gre(0xb000, 12, 0x86dd, &six), true, V6),
        ("gre key", e, gre(0x2000, 4, 0x0800, &four), true, V4),
        (
            "gre ethernet",
            e,
            gre(0, 0, 0x6558, &ethernet(0x0800, &four)),
            true,
            V4,
        ),
        ("ip in ip", LinkType::RAW, ipv4_around(4, &four), true, V4),
        ("6in4", LinkType::RAW, ipv4_around(41, &six), true, V6),
        ("4in6", LinkType::RAW, ipv6_around(4, &four), true, V4),
        (
            "ipv6 extensions",
            LinkType::RAW,
            // Hop-by-hop, routing, destination options, authentication.
            ipv6_around(
                0,
                &joined(&[&extensions[..16], &[51, 0, 0, 0, 0, 0, 0, 0], &auth]),
            ),
            false,
            V6,
        ),
        (
            "atomic fragment",
            LinkType::RAW,
            ipv6_around(44, &atomic),
            false,
            V6,
        ),
    ]
}

#[test]
fn every_encapsulation_yields_the_segment() {
    for (name, link_type, bytes, tunnelled, ends) in encapsulations() {
        let (seen, statistics) = dissect_one(&frame(link_type, &bytes)).expect(name);
        assert_eq!(seen.ends, ends, "{name}");
        assert_eq!(seen.payload, PAYLOAD, "{name}");
        assert_eq!(seen.payload_length as usize, PAYLOAD.len(), "{name}");
        assert_eq!((seen.sequence, seen.frame), (1000, 77), "{name}");
        assert_eq!(statistics.tunnelled, u64::from(tunnelled), "{name}");
        assert_eq!((statistics.frames, statistics.segments), (1, 1), "{name}");
    }
}

/// A snap length anywhere: first `Truncated`, then a segment whose payload grows and whose
/// other fields do not change.
#[test]
fn a_cut_at_every_byte_is_a_result() {
    for (name, link_type, bytes, _, _) in encapsulations() {
        let (whole, _) = dissect_one(&frame(link_type, &bytes)).expect(name);
        let mut seen_before = None;
        for cut in 0..=bytes.len() {
            let cut_frame = Frame {
                wire_length: bytes.len() as u32,
                ..frame(link_type, &bytes[..cut])
            };
            match dissect_one(&cut_frame) {
                Err(Skip::Truncated(_)) => assert_eq!(seen_before, None, "{name} cut at {cut}"),
                Err(other) => panic!("{name} cut at {cut}: {other}"),
                Ok((seen, statistics)) => {
                    assert_eq!(
                        whole.payload[..seen.payload.len()],
                        seen.payload,
                        "{name} {cut}"
                    );
                    let left_out = seen.payload.len() < PAYLOAD.len();
                    assert_eq!(statistics.truncated_payloads, u64::from(left_out));
                    assert!(Some(seen.payload.len()) >= seen_before, "{name} {cut}");
                    seen_before = Some(seen.payload.len());
                    let payload = whole.payload.clone();
                    assert_eq!(Seen { payload, ..seen }, whole, "{name} {cut}");
                }
            }
        }
        assert_eq!(seen_before, Some(PAYLOAD.len()), "{name}");
    }
}

/// The same cut in a frame that was that short on the wire: never a panic, and never more
/// payload than there is.
#[test]
fn a_frame_short_on_the_wire_is_not_truncated() {
    for (name, link_type, bytes, _, _) in encapsulations() {
        for cut in 0..bytes.len() {
            match dissect_one(&frame(link_type, &bytes[..cut])) {
                Err(Skip::Malformed(_) | Skip::NotIp) => {}
                Err(other) => panic!("{name} cut at {cut}: {other}"),
                Ok((seen, statistics)) => {
                    assert_eq!(
                        seen.payload.len(),
                        seen.payload_length as usize,
                        "{name} {cut}"
                    );
                    assert!(
                        statistics.clamped_lengths == 1 || name.contains("pppoe"),
                        "{name}"
                    );
                }
            }
        }
    }
}

#[test]
fn options_of_a_syn_are_read_and_no_others() {
    let build = |syn: bool| {
        let mut bytes = Vec::new();
        let step = PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .tcp(40_000, 1883, 1000, 500)
            .options(&[
                TcpOptionElement::MaximumSegmentSize(1460),
                TcpOptionElement::Noop,
                TcpOptionElement::WindowScale(7),
            ])
            .unwrap();
        let step = if syn { step.syn() } else { step.ack(5) };
        step.write(&mut bytes, &[]).unwrap();
        bytes
    };
    let (syn, _) = dissect_one(&frame(LinkType::RAW, &build(true))).unwrap();
    assert_eq!(syn.options, (Some(7), Some(1460)));
    assert!(syn.flags.syn() && !syn.flags.ack());
    let (ack, _) = dissect_one(&frame(LinkType::RAW, &build(false))).unwrap();
    assert_eq!(ack.options, (None, None));
    assert_eq!(ack.flags, TcpFlags::ACK);
}

#[test]
fn padding_trailer_and_fcs_are_no_payload() {
    for (ether_type, packet) in [(0x0800, tcp_in_ipv4(b"x")), (0x86dd, tcp_in_ipv6(b"x"))] {
        let padded = joined(&[&ethernet(ether_type, &packet), &[0xee; 12]]);
        let (seen, statistics) = dissect_one(&frame(LinkType::ETHERNET, &padded)).unwrap();
        assert_eq!((&*seen.payload, seen.payload_length), (&b"x"[..], 1));
        assert_eq!(statistics.clamped_lengths, 0);
    }
}

#[test]
fn an_ip_length_of_zero_means_the_rest_of_the_frame() {
    let mut four = tcp_in_ipv4(PAYLOAD);
    four[2..4].fill(0);
    let mut six = tcp_in_ipv6(PAYLOAD);
    six[4..6].fill(0);
    for bytes in [four, six] {
        let (seen, _) = dissect_one(&frame(LinkType::RAW, &bytes)).unwrap();
        assert_eq!((&*seen.payload, seen.payload_length), (PAYLOAD, 12));
    }
    // More than 64 KiB, cut by a snap length.
    let mut large = tcp_in_ipv4(PAYLOAD);
    large[2..4].fill(0);
    let wire_length = 100_000;
    let large = Frame {
        wire_length,
        ..frame(LinkType::RAW, &large)
    };
    let (seen, _) = dissect_one(&large).unwrap();
    assert_eq!(
        (&*seen.payload, seen.payload_length),
        (PAYLOAD, 100_000 - 20 - 32)
    );
}

#[test]
fn an_ip_length_beyond_the_frame_is_clamped_and_counted() {
    let mut bytes = tcp_in_ipv4(PAYLOAD);
    bytes[2..4].copy_from_slice(&1500_u16.to_be_bytes());
    let (seen, statistics) = dissect_one(&frame(LinkType::RAW, &bytes)).unwrap();
    assert_eq!((seen.payload_length, statistics.clamped_lengths), (12, 1));
    // With a frame that was long enough it is a snap length that cut.
    let cut = Frame {
        wire_length: 1500,
        ..frame(LinkType::RAW, &bytes)
    };
    let (seen, statistics) = dissect_one(&cut).unwrap();
    assert_eq!(
        (seen.payload_length, statistics.clamped_lengths),
        (1500 - 52, 0)
    );
    assert_eq!(statistics.truncated_payloads, 1);
}

#[test]
fn contradictions_are_malformed() {
    let four = tcp_in_ipv4(PAYLOAD);
    let edited = |at: usize, byte: u8| {
        let mut bytes = four.clone();
        bytes[at] = byte;
        dissect_one(&frame(LinkType::IPV4, &bytes)).map(|(seen, _)| seen.payload.len())
    };
    assert_eq!(
        edited(0, 0x44),
        Err(Skip::Malformed(Layer::Ipv4)),
        "header of 16 bytes"
    );
    assert_eq!(
        edited(0, 0x65),
        Err(Skip::Malformed(Layer::Ipv4)),
        "version 6"
    );
    assert_eq!(
        edited(3, 19),
        Err(Skip::Malformed(Layer::Ipv4)),
        "total length below header"
    );
    assert_eq!(
        edited(32, 0x40),
        Err(Skip::Malformed(Layer::Tcp)),
        "data offset 4"
    );
    assert_eq!(
        edited(32, 0xf0),
        Err(Skip::Malformed(Layer::Tcp)),
        "data offset beyond the data"
    );
    assert_eq!(edited(32, 0xb0), Ok(0), "data offset just at the end");
}

#[test]
fn what_is_not_tcp_says_what_it_is() {
    let skip = |link_type, bytes: &[u8]| dissect_one(&frame(link_type, bytes)).unwrap_err();
    assert_eq!(
        skip(LinkType::ETHERNET, &ethernet(0x0806, &[0; 28])),
        Skip::NotIp
    );
    assert_eq!(
        skip(LinkType::ETHERNET, &ethernet(3, &[0x42, 0x42, 3])),
        Skip::NotIp
    );
    let udp = ipv4_around(17, &udp_around(53, b"?"));
    let ports = Some((55_555, 53));
    assert_eq!(
        skip(LinkType::RAW, &udp),
        Skip::NotTcp {
            protocol: 17,
            ports
        }
    );
    assert_eq!(
        skip(LinkType::RAW, &udp).to_string(),
        "UDP from port 55555 to port 53"
    );
    let no_vxlan = ipv4_around(17, &udp_around(4789, &[0; 60]));
    let ports = Some((55_555, 4789));
    assert_eq!(
        skip(LinkType::RAW, &no_vxlan),
        Skip::NotTcp {
            protocol: 17,
            ports
        }
    );
    let icmp = ipv4_around(1, &[8, 0, 0, 0]);
    assert_eq!(
        skip(LinkType::RAW, &icmp),
        Skip::NotTcp {
            protocol: 1,
            ports: None
        }
    );
}

#[test]
fn nesting_has_a_limit() {
    let mut packet = tcp_in_ipv4(PAYLOAD);
    for depth in 1..=6 {
        packet = ipv4_around(4, &packet);
        let result = dissect_one(&frame(LinkType::RAW, &packet)).map(|(seen, _)| seen.ends);
        match depth {
            1..=4 => assert_eq!(result, Ok(V4.to_owned())),
            _ => assert_eq!(result, Err(Skip::NestedTooDeep)),
        }
    }
    // 30 KiB of nothing but tags, labels, or extension headers.
    let tags = [0x81, 0x00, 0, 1].repeat(8000);
    assert_eq!(
        dissect_one(&frame(LinkType::ETHERNET, &joined(&[&[2; 12], &tags]))).unwrap_err(),
        Skip::NestedTooDeep
    );
    let labels = ethernet(0x8847, &[0, 1, 0, 64].repeat(8000));
    assert_eq!(
        dissect_one(&frame(LinkType::ETHERNET, &labels)).unwrap_err(),
        Skip::NestedTooDeep
    );
    let options = ipv6_around(60, &[60, 0, 0, 0, 0, 0, 0, 0].repeat(4000));
    assert_eq!(
        dissect_one(&frame(LinkType::RAW, &options)).unwrap_err(),
        Skip::NestedTooDeep
    );
}

#[test]
fn unsupported_link_types_are_counted_by_number_and_bounded() {
    let mut dissector = Dissector::new(WireLimits::default());
    for number in 0..100 {
        for _ in 0..3 {
            dissector.dissect(&frame(LinkType(1000 + number), &[0; 40]));
        }
    }
    let counts = &dissector.statistics().unsupported_link_types;
    assert_eq!(counts.counted[0], (LinkType(1000), 3));
    assert_eq!(
        (counts.counted.len(), counts.others, counts.total()),
        (16, 84 * 3, 300)
    );
    let mut sum = dissector.statistics().clone();
    sum.merge(dissector.statistics());
    assert_eq!((sum.frames, sum.unsupported_link_types.total()), (600, 600));
}

#[test]
fn endpoints_read_as_in_a_url() {
    let (seen, _) = dissect_one(&frame(LinkType::RAW, &tcp_in_ipv6(b""))).unwrap();
    assert_eq!(seen.ends, V6);
    assert_eq!(seen.identification, u32::from(ID));
}

const LINK_TYPES: [u16; 11] = [0, 1, 12, 14, 101, 108, 113, 228, 229, 276, 147];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn arbitrary_bytes_never_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
        extra in 0_u32..100,
    ) {
        for link_type in LINK_TYPES {
            let mut dissector = Dissector::new(WireLimits::default());
            let frame = frame(LinkType(link_type), &bytes);
            let frame = Frame { wire_length: frame.wire_length + extra, ..frame };
            dissector.dissect(&frame);
        }
    }

    /// Valid frames with some bytes changed reach far deeper than arbitrary bytes do. One
    /// dissector sees them all, so that fragments meet.
    #[test]
    fn damaged_frames_never_panic_and_are_counted_once(
        edits in proptest::collection::vec(
            (any::<prop::sample::Index>(), any::<prop::sample::Index>(), any::<u8>()), 1..60),
    ) {
        let all = encapsulations();
        let mut dissector = Dissector::new(WireLimits::default());
        for (which, at, byte) in &edits {
            let (_, link_type, mut bytes, _, _) = which.get(&all).clone();
            let at = at.index(bytes.len());
            bytes[at] = *byte;
            if let Dissection::Tcp(segment) = dissector.dissect(&frame(link_type, &bytes)) {
                prop_assert!(segment.payload.len() <= segment.payload_length as usize);
            }
        }
        let s = dissector.statistics();
        let sum = s.segments + s.non_ip + s.non_tcp + s.truncated + s.malformed
            + s.nested_too_deep + s.mirrored_frames + s.fragments_held + s.fragments_duplicate
            + s.fragments_dropped + s.unsupported_link_types.total();
        prop_assert_eq!(sum, s.frames);
        prop_assert_eq!(s.frames, edits.len() as u64);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// The same for the options of a SYN.
    #[test]
    fn quick_options_are_the_general_ones(
        pieces in proptest::collection::vec(
            prop_oneof![
                Just(vec![1]),
                any::<[u8; 2]>().prop_map(|[a, b]| vec![2, 4, a, b]),
                any::<u8>().prop_map(|shift| vec![3, 3, shift]),
                Just(vec![4, 2]),
                any::<[u8; 8]>().prop_map(|times| [&[8, 10], times.as_slice()].concat()),
                proptest::collection::vec(0_u8..12, 1..6),
            ],
            0..6,
        ),
    ) {
        let mut options = pieces.concat();
        options.resize(options.len().next_multiple_of(4).min(40), 0);
        let mut bytes = Vec::new();
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).tcp(1883, 40_000, 77, 500);
        builder.syn().options_raw(&options).unwrap().write(&mut bytes, &[]).unwrap();
        let frame = frame(LinkType::ETHERNET, &bytes);
        let mut quick = Segment::EMPTY;
        prop_assert!(super::quick::segment(&frame, &mut quick).is_some());
        let mut general = Dissector::new(WireLimits::default());
        let Dissection::Tcp(segment) = general.dissect_any(&frame) else {
            panic!("the general way finds no segment");
        };
        prop_assert_eq!(format!("{quick:?}"), format!("{segment:?}"));
    }

    /// The short way for usual frames is the general way, whatever is in the headers.
    #[test]
    fn the_quick_way_is_the_general_way(
        version_six: bool,
        edits in proptest::collection::vec((0_usize..90, any::<u8>()), 0..6),
        length in 0_usize..120,
        payload in proptest::collection::vec(any::<u8>(), 0..20),
    ) {
        let builder = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let builder = if version_six {
            builder.ipv6([1; 16], [3; 16], 9)
        } else {
            builder.ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9)
        };
        let builder = builder.tcp(1883, 40_000, 77, 500).ack(99);
        let mut bytes = Vec::new();
        builder.write(&mut bytes, &payload).unwrap();
        for (at, byte) in edits {
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
        }
        bytes.truncate(length.max(20));
        let frame = frame(LinkType::ETHERNET, &bytes);
        let limits = WireLimits { mirror_window: None, ..WireLimits::default() };
        let mut general = Dissector::new(limits);
        // What stood in the place before does not show.
        let mut quick = Segment {
            ip_identification: 1,
            hop_limit: 2,
            window_scale: Some(3),
            maximum_segment_size: Some(4),
            ..Segment::EMPTY
        };
        if super::quick::segment(&frame, &mut quick).is_some() {
            let Dissection::Tcp(segment) = general.dissect_any(&frame) else {
                panic!("the general way finds no segment");
            };
            prop_assert_eq!(format!("{quick:?}"), format!("{segment:?}"));
        }
    }
}

/// The protocol numbers that the tests write as numbers are the ones meant.
#[test]
fn numbers_agree_with_etherparse() {
    let numbers = [
        (IpNumber::IPV4, 4),
        (IpNumber::IPV6, 41),
        (IpNumber::GRE, 47),
        (IpNumber::IPV6_FRAGMENTATION_HEADER, 44),
        (IpNumber::AUTHENTICATION_HEADER, 51),
        (IpNumber::IPV6_DESTINATION_OPTIONS, 60),
    ];
    for (theirs, ours) in numbers {
        assert_eq!(theirs.0, ours);
    }
}
