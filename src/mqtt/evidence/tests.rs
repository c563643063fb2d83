use super::*;

fn evidence(packet: &[u8]) -> Evidence {
    assert_eq!(usize::from(packet[1]), packet.len() - 2, "{packet:x?}");
    level_evidence(packet[0], &packet[2..])
}

#[test]
fn one_packet_decides() {
    use Evidence::{None, NotV5, V5};
    for (packet, expected) in [
        // Acknowledgments: two bytes fit every level, more only MQTT 5.
        (&b"\x40\x02\x00\x01"[..], None),
        (b"\x40\x03\x00\x01\x10", V5),
        (b"\x40\x03\x00\x01\x11", None), // no reason code of PUBACK
        (b"\x62\x04\x00\x01\x92\x00", V5),
        (b"\x60\x04\x00\x01\x92\x00", None), // wrong flags at both levels
        // CONNACK.
        (b"\x20\x02\x00\x00", NotV5),
        (b"\x20\x02\x01\x00", NotV5),
        (b"\x20\x02\x00\x01", None), // may refuse a CONNECT of MQTT 5
        (b"\x20\x03\x00\x00\x00", V5),
        (b"\x20\x03\x00\x87\x00", V5),
        // CONNECT.
        (b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01a", NotV5),
        (b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x01a", V5),
        (b"\x10\x0d\x00\x04MQTT\x09\x02\x00\x3c\x00\x01a", None),
        // UNSUBACK.
        (b"\xb0\x02\x00\x01", NotV5),
        (b"\xb0\x04\x00\x01\x00\x00", V5),
        // SUBACK: a granted QoS is also a property length.
        (b"\x90\x03\x00\x01\x00", NotV5),
        (b"\x90\x03\x00\x01\x01", NotV5),
        (b"\x90\x04\x00\x01\x00\x00", None),
        (b"\x90\x04\x00\x01\x00\x87", V5),
        (b"\x90\x04\x00\x01\x01\x00", NotV5),
        // SUBSCRIBE and UNSUBSCRIBE.
        (b"\x82\x06\x00\x01\x00\x01a\x00", NotV5),
        (b"\x82\x07\x00\x01\x00\x00\x01a\x00", V5),
        (b"\xa2\x05\x00\x01\x00\x01a", NotV5),
        (b"\xa2\x06\x00\x01\x00\x00\x01a", V5),
        // PUBLISH.
        (b"\x30\x03\x00\x01a", NotV5), // no property length
        (b"\x30\x04\x00\x01a\x00", None),
        (b"\x30\x05\x00\x01a{}", NotV5),
        (b"\x30\x05\x00\x01a\x00x", None),
        (b"\x30\x06\x00\x00\x03\x23\x00\x01", V5), // topic alias instead of a topic
        (b"\x30\x07\x00\x01a\x03\x23\x00\x01", V5),
        (b"\x30\x06\x00\x01a\x02\x01\x01", None), // too short to be sure
        (b"\x30\x07\x00\x01a\x03\x23\x00\x00", None), // alias 0: careless, not impossible
        (b"\x30\x07\x00\x01a\x03\x21\x00\x01", NotV5), // Receive Maximum is none of PUBLISH
        (b"\x30\x05\x00\x01+\x00x", None),
        // Nothing to learn.
        (b"\xc0\x00", None),
        (b"\xd0\x00", None),
        (b"\xe0\x00", None),
        (b"\xe0\x01\x04", V5),
        (b"\xe0\x01\x05", None),
        (b"\xf0\x00", V5),
        (b"\xf0\x01\x77", None),
        (b"\x00\x00", None),
    ] {
        assert_eq!(evidence(packet), expected, "{packet:x?}");
    }
}

#[test]
fn a_publish_decides_before_its_payload_came() {
    let body = b"\x00\x01a{\"temperature\":";
    // A property length of 123 runs past a packet of 100 bytes, and may fit one of 200.
    assert_eq!(level_evidence_prefix(0x30, body, 100), Evidence::NotV5);
    assert_eq!(level_evidence_prefix(0x30, body, 200), Evidence::None);
    assert_eq!(
        level_evidence_prefix(0x30, b"\x00\x01a\x03\x23\x00\x01", 1000),
        Evidence::V5
    );
    assert_eq!(
        level_evidence_prefix(0x30, b"\x00\x01a\x03\x23\x00", 1000),
        Evidence::None
    );
    assert_eq!(level_evidence_prefix(0x40, b"\x00", 2), Evidence::None);
}
