use super::*;
use crate::results::{ExchangeRow, RowWriter, SubscriptionRow, Text};
use crate::time::{TimeDelta, Timestamp};
use proptest::prelude::*;

fn subscription(filter: &[u8]) -> SubscriptionRow<'_> {
    SubscriptionRow {
        connection: 7,
        client_id: None,
        filter: Text(filter),
        requested_qos: 1,
        granted_qos: None,
        reason_code: Some(135),
        subscribe_ns: Timestamp::from_nanos(i64::MIN),
        suback_ns: Some(Timestamp::from_nanos(-1)),
        unsubscribe_ns: None,
        tap: 3,
    }
}

#[test]
fn rows_are_read_back() {
    let mut writer = RowWriter::new::<ExchangeRow<'_>>(Vec::new(), Formulas::Guard).unwrap();
    let row = ExchangeRow {
        exchange: u64::from(u32::MAX),
        connection: 2,
        direction: "to_client",
        packet_id: 65_535,
        qos: 2,
        topic: Some(Text(b"=a,b\"\x1b\xff")),
        transmissions: 2,
        publish_ns: Some(Timestamp::from_nanos(1_700_000_000_000_000_001)),
        puback_ns: None,
        pubrec_ns: None,
        pubrel_ns: None,
        pubcomp_ns: None,
        total_ns: Some(TimeDelta::from_nanos(-5)),
        outcome: "complete",
        reason_code: None,
        tap: 0,
        uncertain: false,
    };
    writer.write(&row).unwrap();
    let table = writer.finish().unwrap();
    let mut reader = TableReader::new::<ExchangeRow<'_>>(table.as_slice()).unwrap();
    let [exchange, direction, topic, publish, puback, total, absent] = [
        "exchange",
        "direction",
        "topic",
        "publish_ns",
        "puback_ns",
        "total_ns",
        "not_a_column",
    ]
    .map(|name| reader.column(name));
    let cells = reader.read().unwrap().expect("a row");
    assert_eq!(cells.count(exchange), u64::from(u32::MAX));
    assert_eq!(cells.name(direction), "to_client");
    assert_eq!(cell_bytes(cells.raw(topic)), b"=a,b\"\x1b\xff");
    assert_eq!(cells.text(topic), "=a,b\"\\u{1B}\\xff");
    assert_eq!(cells.integer(publish), Some(1_700_000_000_000_000_001));
    assert_eq!(cells.integer(puback), None);
    assert_eq!(cells.integer(total), Some(-5));
    assert_eq!(cells.raw(absent), b"");
    assert!(reader.read().unwrap().is_none());
}

#[test]
fn numbers_are_numbers_or_nothing() {
    for (cell, value) in [
        (&b""[..], None),
        (b"-", None),
        (b"0", Some(0)),
        (b"-12", Some(-12)),
        (b"9223372036854775807", Some(i64::MAX)),
        (b"-9223372036854775808", Some(i64::MIN)),
        (b"9223372036854775808", None),
        (b"1.5", None),
        (b"1e3", None),
        (b" 1", None),
    ] {
        assert_eq!(integer(cell), value, "{cell:?}");
    }
}

#[test]
fn text_is_readable_and_harmless() {
    for (cell, shown) in [
        ("Küche/温度", "Küche/温度"),
        (r"x\xe2\x80\xaey", r"x\u{202E}y"),
        (r"\x00\x1b[2J", r"\u{0}\u{1B}[2J"),
        (r"\xff\xfe", r"\xff\xfe"),
        (r"C:\\dir", r"C:\dir"),
        ("'=HYPERLINK(1)", "=HYPERLINK(1)"),
        ("''quoted'", "'quoted'"),
        ("'tis", "'tis"),
        ("x\u{202e}y", r"x\u{202E}y"),
    ] {
        assert_eq!(readable(cell.as_bytes()), shown);
    }
}

proptest! {
    #[test]
    fn any_text_is_read_back(filter in prop::collection::vec(any::<u8>(), 0..40)) {
        let mut writer = RowWriter::new::<SubscriptionRow<'_>>(Vec::new(), Formulas::Guard).unwrap();
        writer.write(&subscription(&filter)).unwrap();
        let table = writer.finish().unwrap();
        let mut reader = TableReader::new::<SubscriptionRow<'_>>(table.as_slice()).unwrap();
        let [column, tap] = ["filter", "tap"].map(|name| reader.column(name));
        let cells = reader.read().unwrap().expect("a row");
        prop_assert_eq!(cell_bytes(cells.raw(column)), filter);
        prop_assert_eq!(cells.count(tap), 3);
        prop_assert!(!cells.text(column).chars().any(is_unsafe));
    }

    #[test]
    fn no_input_panics(table in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(mut reader) = TableReader::named("any.csv", table.as_slice()) {
            let column = reader.column("topic");
            while let Ok(Some(cells)) = reader.read() {
                prop_assert!(!cells.text(column).chars().any(is_unsafe));
            }
        }
    }
}
