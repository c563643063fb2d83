use super::*;

fn complete(bytes: &[u8]) -> FixedHeader {
    match parse_fixed_header(bytes) {
        HeaderResult::Complete(header) => header,
        other => panic!("{other:?}"),
    }
}

/// Table 1-1 of MQTT 5 (2.4 of 3.1.1): the least and the greatest value of each length.
#[test]
fn remaining_length_table() {
    for (bytes, value) in [
        (&[0x00][..], 0),
        (&[0x7f], 127),
        (&[0x80, 0x01], 128),
        (&[0xff, 0x7f], 16_383),
        (&[0x80, 0x80, 0x01], 16_384),
        (&[0xff, 0xff, 0x7f], 2_097_151),
        (&[0x80, 0x80, 0x80, 0x01], 2_097_152),
        (&[0xff, 0xff, 0xff, 0x7f], 268_435_455),
    ] {
        let packet = [&[0x30], bytes].concat();
        let header = complete(&packet);
        assert_eq!(header.remaining_length, value);
        assert_eq!(usize::from(header.header_length), packet.len());
        assert!(!header.overlong, "{bytes:x?}");
        assert!(header.violations().is_empty());
        for cut in 0..packet.len() {
            assert_eq!(parse_fixed_header(&packet[..cut]), HeaderResult::Incomplete);
        }
    }
}

/// [MQTT-1.5.5-1] "The encoded value MUST use the minimum number of bytes necessary to represent
/// the value."
#[test]
fn overlong_remaining_length() {
    for bytes in [&[0x30, 0x83, 0x80, 0x00][..], &[0x30, 0x83, 0x00]] {
        let header = complete(bytes);
        assert_eq!(header.remaining_length, 3);
        assert!(header.overlong);
        assert!(header.violations().contains(Violation::OverlongInteger));
    }
}

/// 2.2.3 of 3.1.1: "the maximum number of bytes in the Remaining Length field is four."
#[test]
fn fifth_length_byte() {
    let bytes = [0x30, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_eq!(parse_fixed_header(&bytes), HeaderResult::Malformed);
    assert_eq!(parse_fixed_header(&bytes[..5]), HeaderResult::Malformed);
    assert_eq!(parse_fixed_header(&bytes[..4]), HeaderResult::Incomplete);
}
