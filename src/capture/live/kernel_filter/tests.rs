//! The expressions against libpcap, on frames as they stand in files: there VLAN tags are part of
//! the frame, as they are on interfaces whose system leaves them.

use super::KernelFilter;
use crate::capture::FrameFilter;
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

fn ethernet(ether_types: &[u16], rest: &[u8]) -> Vec<u8> {
    let mut frame = vec![2; 12];
    let (last, tags) = ether_types.split_last().unwrap();
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 7]);
    }
    frame.extend(last.to_be_bytes());
    frame.extend(rest);
    frame
}

fn ipv4(protocol: u8, fragment: u16, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, u8::try_from(20 + rest.len()).unwrap(), 0, 1];
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
    packet.extend(rest);
    packet
}

fn ipv6(next_header: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = vec![
        0x60,
        0,
        0,
        0,
        0,
        u8::try_from(rest.len()).unwrap(),
        next_header,
        64,
    ];
    packet.extend([1; 32]);
    packet.extend(rest);
    packet
}

/// A TCP or UDP header of a client's segment to a port, with room behind it.
fn transport(port: u16) -> Vec<u8> {
    let mut header = 40_000_u16.to_be_bytes().to_vec();
    header.extend(port.to_be_bytes());
    header.extend([0; 36]);
    header
}

fn passes(expression: &str, bytes: &[u8]) -> bool {
    let frame = Frame {
        time: Timestamp::from_nanos(0),
        link_type: LinkType::ETHERNET,
        wire_length: u32::try_from(bytes.len()).unwrap(),
        bytes,
        tap: 0,
        file: 0,
        number: 1,
    };
    FrameFilter::compile(expression).unwrap().matches(&frame)
}

/// Every way in which TCP can come, by whether its port can be seen from outside.
fn carriers(port: u16) -> Vec<(&'static str, bool, Vec<u8>)> {
    let (tcp, udp) = (transport(port), transport(4789));
    let vlan = |tags: &[u16]| ethernet(tags, &ipv4(6, 0, &tcp));
    vec![
        ("IPv4", true, vlan(&[0x0800])),
        ("IPv6", true, ethernet(&[0x86dd], &ipv6(6, &tcp))),
        ("VLAN", true, vlan(&[0x8100, 0x0800])),
        (
            "VLAN, IPv6",
            true,
            ethernet(&[0x8100, 0x86dd], &ipv6(6, &tcp)),
        ),
        ("two VLANs", false, vlan(&[0x8100, 0x8100, 0x0800])),
        ("QinQ", false, vlan(&[0x88a8, 0x8100, 0x0800])),
        (
            "a later fragment",
            false,
            ethernet(&[0x0800], &ipv4(6, 0x2010, &tcp)),
        ),
        (
            "the same in a VLAN",
            false,
            ethernet(&[0x8100, 0x0800], &ipv4(6, 0x2010, &tcp)),
        ),
        (
            "hop-by-hop options",
            false,
            ethernet(&[0x86dd], &ipv6(0, &tcp)),
        ),
        (
            "a fragment of IPv6",
            false,
            ethernet(&[0x86dd], &ipv6(44, &tcp)),
        ),
        (
            "IP in IP",
            false,
            ethernet(&[0x0800], &ipv4(4, 0, &ipv4(6, 0, &tcp))),
        ),
        (
            "IPv6 in IPv4",
            false,
            ethernet(&[0x0800], &ipv4(41, 0, &ipv6(6, &tcp))),
        ),
        ("GRE", false, ethernet(&[0x0800], &ipv4(47, 0, &tcp))),
        ("GRE over IPv6", false, ethernet(&[0x86dd], &ipv6(47, &tcp))),
        ("VXLAN", false, ethernet(&[0x0800], &ipv4(17, 0, &udp))),
        (
            "VXLAN in a VLAN",
            false,
            ethernet(&[0x8100, 0x0800], &ipv4(17, 0, &udp)),
        ),
        ("MPLS", false, ethernet(&[0x8847], &tcp)),
        ("PPPoE", false, ethernet(&[0x8864], &tcp)),
    ]
}

#[test]
fn nothing_that_may_carry_tcp_is_lost() {
    let all = KernelFilter::default();
    let ports = KernelFilter {
        ports: vec![1883, 8883],
        user: None,
    };
    for (filter, other_port_too) in [(all, true), (ports, false)] {
        let expression = &filter.candidates()[0];
        for (name, _, frame) in carriers(1883) {
            assert!(passes(expression, &frame), "{name}: {expression}");
        }
        for (name, shows_port, frame) in carriers(80) {
            let expected = other_port_too || !shows_port;
            assert_eq!(passes(expression, &frame), expected, "{name}: {expression}");
        }
        for other in [
            ethernet(&[0x0806], &[0; 40]),
            ethernet(&[0x0800], &ipv4(17, 0, &transport(53))),
            ethernet(&[0x0800], &ipv4(1, 0, &[0; 20])),
            ethernet(&[0x86dd], &ipv6(58, &[0; 20])),
            ethernet(&[0x8100, 0x0800], &ipv4(17, 0, &transport(53))),
        ] {
            assert!(!passes(expression, &other), "{other:02x?}");
        }
    }
}

#[test]
fn the_users_expression_narrows_it() {
    let of = |user: &str| KernelFilter {
        ports: Vec::new(),
        user: Some(user.to_owned()),
    };
    let expression = &of("host 10.0.0.2 or port 53").candidates()[0];
    let tcp = |address: u8| {
        let mut packet = ipv4(6, 0, &transport(1883));
        packet[19] = address;
        ethernet(&[0x0800], &packet)
    };
    assert!(passes(expression, &tcp(2)));
    assert!(!passes(expression, &tcp(3)));
    assert!(!passes(
        expression,
        &ethernet(&[0x0800], &ipv4(17, 0, &transport(53)))
    ));
    // Words that change what comes behind them stand alone.
    assert_eq!(of("vlan 7 and tcp").candidates(), ["(vlan 7 and tcp)"]);
    assert_ne!(of("host vlan7.example").candidates().len(), 1);
}

#[test]
fn what_libpcap_cannot_say_is_asked_for_more_simply() {
    let candidates = KernelFilter::default().candidates();
    assert!(
        candidates
            .iter()
            .all(|text| text.starts_with("tcp or ") || text.is_empty())
    );
    assert_eq!(candidates.last().unwrap(), "");
}
