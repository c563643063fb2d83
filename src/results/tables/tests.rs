use super::*;
use crate::results::{Formulas, Hash64, Row, RowWriter, Text, unescape};
use crate::time::{TimeDelta, Timestamp};
use proptest::prelude::*;
use std::io::{self, Write};
use std::net::IpAddr;

fn message<'a>(topic: Option<&'a [u8]>, file: &'a [u8]) -> MessageRow<'a> {
    MessageRow {
        message: 7,
        connection: 2,
        direction: "to_broker",
        file: Text(file),
        frame: 41,
        first_ns: Timestamp::from_nanos(1_700_000_000_000_000_001),
        last_ns: Timestamp::from_nanos(-1),
        packet_id: None,
        qos: 0,
        dup: false,
        retain: true,
        topic: topic.map(Text),
        payload_bytes: Some(0),
        payload_kind: None,
        payload_hash: Some(Hash64(0xab)),
        retransmitted: false,
        tap: 0,
    }
}

fn written<R: Row>(rows: &[R], formulas: Formulas) -> String {
    let mut writer = RowWriter::new::<R>(Vec::new(), formulas).expect("a vector");
    for row in rows {
        writer.write(row).expect("a vector");
    }
    String::from_utf8(writer.finish().expect("a vector")).expect("UTF-8")
}

#[test]
fn a_message_is_written_as_the_reference_says() {
    assert_eq!(
        written(
            &[message(Some(b"=a,\"b\"\n"), "Müll.pcap".as_bytes())],
            Formulas::Guard
        ),
        "message,connection,direction,file,frame,first_ns,last_ns,packet_id,qos,dup,retain,topic,\
         payload_bytes,payload_kind,payload_hash,retransmitted,tap\n\
         7,2,to_broker,Müll.pcap,41,1700000000000000001,-1,,0,0,1,\"'=a,\"\"b\"\"\\x0a\",\
         0,,00000000000000ab,0,0\n"
    );
}

/// What scripts are written against.
#[test]
fn headers_are_those_of_the_reference() {
    for (columns, header) in [
        (
            ConnectionRow::COLUMNS,
            "connection,file,client_addr,client_port,broker_addr,broker_port,transport,start_ns,\
             end_ns,end_reason,midstream,protocol_level,protocol_level_basis,client_id,\
             clean_start,keep_alive_s,will_topic,will_qos,will_retain,connack_code,\
             connack_reason,session_present,packets_to_broker,packets_to_client,bytes_to_broker,\
             bytes_to_client,publishes_to_broker,publishes_to_client,rtt_client_side_ns,\
             rtt_broker_side_ns,vantage,retransmitted_segments,out_of_order_segments,\
             capture_gaps,malformed,tls_version,tls_suite,sni,alpn,tap,tls_handshake_ns,\
             tls_records_to_broker,tls_records_to_client,tls_alerts,unread,\
             ended_by,tls_bytes_to_broker,tls_bytes_to_client,\
             tls_largest_record_to_broker_bytes,tls_largest_record_to_client_bytes,\
             tls_client_silence_ns",
        ),
        (
            DeliveryRow::COLUMNS,
            "message,publisher,subscriber,delivered_message,topic,qos_published,qos_delivered,\
             publish_ns,received_ns,delay_ns,residence_ns,turnaround_ns,outcome,basis,\
             payload_hash,tap,candidates,qos_expected,uncertain",
        ),
        (
            TopicRow::COLUMNS,
            "topic,messages,bytes,publishers,subscribers,qos0,qos1,qos2,retained,payload_kind,\
             rate_per_s,first_ns,last_ns,findings,tap,payload_keys",
        ),
        (
            FindingRow::COLUMNS,
            "severity,code,connection,file,frame,time_ns,topic,detail,wireshark_filter,tap",
        ),
        (
            SessionRow::COLUMNS,
            "session,client_id,broker,connections,first_ns,last_ns,resumed,taken_over,\
             will_published,subscriptions,publishes_sent,publishes_received,\
             keep_alive_violations,tap",
        ),
        (
            MessageRow::COLUMNS,
            "message,connection,direction,file,frame,first_ns,last_ns,packet_id,qos,dup,retain,\
             topic,payload_bytes,payload_kind,payload_hash,retransmitted,tap",
        ),
        (
            ExchangeRow::COLUMNS,
            "exchange,connection,direction,packet_id,qos,topic,transmissions,publish_ns,\
             puback_ns,pubrec_ns,pubrel_ns,pubcomp_ns,total_ns,outcome,reason_code,tap,uncertain",
        ),
        (
            SubscriptionRow::COLUMNS,
            "connection,client_id,filter,requested_qos,granted_qos,reason_code,subscribe_ns,\
             suback_ns,unsubscribe_ns,tap",
        ),
        (
            PacketRow::COLUMNS,
            "frame,time_ns,connection,src_addr,src_port,dst_addr,dst_port,direction,packet_type,\
             qos,dup,retain,packet_id,topic,remaining_length,payload_length,protocol_level,\
             client_id,reason_code,note",
        ),
    ] {
        assert_eq!(columns.join(","), header);
    }
}

#[test]
fn file_stands_first_where_there_are_several() {
    let row = PacketRow {
        frame: 3,
        time_ns: Timestamp::from_nanos(5),
        connection: 1,
        src_addr: IpAddr::from([192, 0, 2, 200]),
        src_port: 50_000,
        dst_addr: "2001:db8::1".parse().expect("an address"),
        dst_port: 1883,
        direction: "to_broker",
        packet_type: "SUBSCRIBE",
        qos: None,
        dup: None,
        retain: None,
        packet_id: Some(65_535),
        topic: Some(Text(b"a/# b/+")),
        remaining_length: Some(268_435_455),
        payload_length: None,
        protocol_level: Some(5),
        client_id: None,
        reason_code: None,
        note: Some(Text(b"violation: x")),
    };
    let mut writer =
        RowWriter::with_leading::<PacketRow<'_>>(Vec::new(), Formulas::Guard, &["file"])
            .expect("a vector");
    writer
        .write_after(&Text(b"a.pcap"), &row)
        .expect("a vector");
    let text = String::from_utf8(writer.finish().expect("a vector")).expect("UTF-8");
    let (header, rows) = text.split_once('\n').expect("a header");
    assert!(header.starts_with("file,frame,time_ns,"));
    assert_eq!(
        rows,
        "a.pcap,3,5,1,192.0.2.200,50000,2001:db8::1,1883,to_broker,SUBSCRIBE,,,,65535,a/# b/+,\
         268435455,,5,,,violation: x\n"
    );
}

#[test]
fn a_session_names_its_broker_with_the_port() {
    let row = |broker: &str| SessionRow {
        session: 1,
        client_id: Some(Text(b"-1")),
        broker: broker.parse().expect("an address and a port"),
        connections: 1,
        first_ns: Timestamp::from_nanos(0),
        last_ns: Timestamp::from_nanos(1),
        resumed: 0,
        taken_over: 0,
        will_published: Some(0),
        subscriptions: 3,
        publishes_sent: u64::MAX,
        publishes_received: 0,
        keep_alive_violations: 0,
        tap: 1,
    };
    let text = written(&[row("192.0.2.1:1883"), row("[::1]:8883")], Formulas::Guard);
    let rows: Vec<_> = text.lines().skip(1).collect();
    assert_eq!(
        rows,
        [
            "1,'-1,192.0.2.1:1883,1,0,1,0,0,0,3,18446744073709551615,0,0,1",
            "1,'-1,[::1]:8883,1,0,1,0,0,0,3,18446744073709551615,0,0,1",
        ]
    );
}

/// A negative duration is a number, and numbers are never touched.
#[test]
fn negative_durations_are_not_guarded() {
    let row = ExchangeRow {
        exchange: 1,
        connection: 1,
        direction: "to_client",
        packet_id: 1,
        qos: 2,
        topic: None,
        transmissions: 2,
        publish_ns: None,
        puback_ns: None,
        pubrec_ns: None,
        pubrel_ns: None,
        pubcomp_ns: Some(Timestamp::from_nanos(9)),
        total_ns: Some(TimeDelta::from_nanos(-12)),
        outcome: "complete",
        reason_code: Some(0),
        tap: 0,
        uncertain: true,
    };
    let text = written(&[row], Formulas::Guard);
    assert!(
        text.ends_with("\n1,1,to_client,1,2,,2,,,,,9,-12,complete,0,0,1\n"),
        "{text}"
    );
}

/// A destination that is full after some bytes.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn errors_of_the_destination_are_passed_on() {
    let mut writer = RowWriter::new::<MessageRow<'_>>(Full(200_000), Formulas::Guard)
        .expect("nothing written yet");
    let row = message(Some(b"a"), b"f");
    let failed = (0..10_000).find_map(|_| writer.write(&row).err());
    assert_eq!(
        failed.map(|error| error.kind()),
        Some(io::ErrorKind::StorageFull)
    );
}

proptest! {
    /// Written by us, read by the `csv` crate: the same header, the same cells, over the buffer's
    /// end too.
    #[test]
    fn tables_are_read_back(
        topics in prop::collection::vec(prop::option::of(prop::collection::vec(
            prop_oneof![any::<u8>(), prop::sample::select(b"=',\"\\x0\n".to_vec())], 1..20)), 0..5),
        copies in prop::sample::select(vec![1_usize, 1_000]),
        formulas in prop::sample::select(vec![Formulas::Guard, Formulas::Keep]),
    ) {
        let rows: Vec<_> = topics.iter().map(|topic| message(topic.as_deref(), b"a,b")).collect();
        let rows = rows.repeat(copies);
        let text = written(&rows, formulas);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        prop_assert_eq!(reader.headers().expect("a header"), MessageRow::COLUMNS);
        let records: Vec<_> = reader.byte_records().map(|r| r.expect("a record")).collect();
        prop_assert_eq!(records.len(), rows.len());
        for (record, row) in records.iter().zip(&rows) {
            let topic = unescape(&record[11], formulas).expect("escaped");
            prop_assert_eq!(&topic[..], row.topic.map_or(&b""[..], |topic| topic.0));
            prop_assert_eq!(&record[3], b"a,b");
            prop_assert_eq!(&record[5], b"1700000000000000001");
            prop_assert_eq!(record.len(), MessageRow::COLUMNS.len());
        }
    }
}
