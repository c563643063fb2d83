use super::*;
use crate::results::{Formulas, Hash64, Row, RowWriter};
use crate::time::{TimeDelta, Timestamp};
use proptest::prelude::*;
use std::sync::Arc;

fn written<R: Row>(rows: &[R], formulas: Formulas) -> String {
    let mut writer = RowWriter::new::<R>(Vec::new(), formulas).expect("a vector");
    for row in rows {
        writer.write(row).expect("a vector");
    }
    String::from_utf8(writer.finish().expect("a vector")).expect("UTF-8")
}

fn read<R: Record>(table: &str) -> Result<Vec<R>, RecordError> {
    let mut rows = Vec::new();
    read_table(table.as_bytes(), |row| rows.push(row))?;
    Ok(rows)
}

fn sample(topic: &str, response: Option<i64>) -> SampleRow {
    SampleRow {
        cell: 3,
        block: 1,
        repetition: 2,
        sequence: 41,
        publisher: "p".into(),
        subscriber: "s".into(),
        topic: topic.into(),
        qos: 2,
        qos_subscribed: 1,
        payload_bytes: 16_384,
        payload_hash: Some(Hash64(0xab)),
        link: None,
        planned_ns: Timestamp::from_nanos(1_700_000_000_000_000_001),
        sent_ns: Some(Timestamp::from_nanos(1_700_000_000_000_000_101)),
        outcome: Outcome::Late,
        duplicates: 1,
        response_ns: response.map(TimeDelta::from_nanos),
        send_lag_ns: Some(TimeDelta::from_nanos(100)),
        ..SampleRow::default()
    }
}

/// What scripts are written against.
#[test]
fn outcomes_know_their_places() {
    let counts = [1, 2, 3, 4, 5, 6, 7];
    for (place, outcome) in Outcome::ALL.into_iter().enumerate() {
        assert_eq!(outcome.place(), place);
        assert_eq!(outcome.of(&counts), place as u64 + 1);
    }
}

#[test]
fn headers_begin_as_the_reference_says() {
    for (columns, header) in [
        (
            SampleRow::COLUMNS,
            "cell,block,repetition,sequence,publisher,subscriber,topic,qos,qos_subscribed,\
             payload_bytes,payload_hash,link,planned_ns,sent_ns,written_ns,puback_ns,pubrec_ns,\
             pubrel_ns,pubcomp_ns,received_ns,subscriber_ack_ns,outcome,duplicates,response_ns,\
             service_ns,send_lag_ns,subscriber_pubrel_ns,subscriber_pubcomp_ns,qos_received,resent,\
             suppressed,reordered",
        ),
        (
            CorrelationRow::COLUMNS,
            "x,y,stratum,method,n,coefficient,ci_low,ci_high,p_value,p_adjusted,note",
        ),
        (
            EffectRow::COLUMNS,
            "quantity,condition_a,condition_b,measure,value,ci_low,ci_high,blocks,note",
        ),
    ] {
        assert_eq!(columns.join(","), header);
    }
    for name in "sent delivered late lost duplicates reordered loss_ratio loss_ci_low loss_ci_high \
                 delay_mean_ns delay_median_ns delay_p95_ns delay_p99_ns delay_max_ns \
                 segment_loss_ratio valid invalid_reason"
        .split(' ')
    {
        assert!(CellRow::COLUMNS.contains(&name), "{name}");
    }
}

#[test]
fn a_sample_is_written_as_the_reference_says() {
    let table = written(&[sample("=a,b", Some(-7))], Formulas::Guard);
    assert_eq!(
        table.lines().nth(1),
        Some(
            "3,1,2,41,p,s,\"'=a,b\",2,1,16384,00000000000000ab,,1700000000000000001,\
             1700000000000000101,,,,,,,,late,1,-7,,100,,,,0,0,0"
        )
    );
}

#[test]
fn texts_are_shared() {
    let rows: Vec<SampleRow> = read(&written(
        &[sample("a", None), sample("a", None)],
        Formulas::Guard,
    ))
    .expect("samples");
    assert!(Arc::ptr_eq(&rows[0].topic, &rows[1].topic));
}

#[test]
fn a_cell_of_another_kind_is_named() {
    let table = written(&[sample("a", None), sample("a", None)], Formulas::Guard);
    let last = table.rfind(",late,").expect("an outcome");
    let damaged = format!("{},mislaid,{}", &table[..last], &table[last + 6..]);
    let error = read::<SampleRow>(&damaged).expect_err("an unknown outcome");
    assert_eq!(
        error.to_string(),
        "samples.csv: row 2: column outcome is missing or holds no value of its kind"
    );
    let error = read::<EffectRow>("quantity\nx\n").expect_err("columns are missing");
    assert!(error.to_string().contains("column blocks"), "{error}");
}

#[test]
fn a_manifest_of_an_older_version_is_read() {
    let manifest: Manifest =
        serde_json::from_str(r#"{"schema":"mqttscope.probe/1","seed":7,"new":1}"#).expect("JSON");
    assert_eq!((manifest.schema.as_str(), manifest.seed), (PROBE_SCHEMA, 7));
    let json = serde_json::to_string(&manifest).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Manifest>(&json).expect("JSON"),
        manifest
    );
}

proptest! {
    #[test]
    fn samples_are_read_back(
        topic in ".{0,20}",
        response in prop::option::of(any::<i64>()),
        outcome in prop::sample::select(Outcome::ALL.to_vec()),
        guarded in any::<bool>(),
    ) {
        let mut row = sample(&topic, response);
        row.outcome = outcome;
        // Without the guard a text that begins with `'=` is not to be told from one with it.
        prop_assume!(guarded || !topic.starts_with('\''));
        let formulas = if guarded { Formulas::Guard } else { Formulas::Keep };
        let rows: Vec<SampleRow> = read(&written(std::slice::from_ref(&row), formulas)).expect("samples");
        prop_assert_eq!(rows, vec![row]);
    }

    #[test]
    fn numbers_keep_every_digit(value in any::<f64>(), low in prop::option::of(-1.0_f64..1.0)) {
        let row = EffectRow {
            quantity: "delay_median_ns".into(),
            value: Some(value),
            ci_low: low,
            blocks: 3,
            ..EffectRow::default()
        };
        let rows: Vec<EffectRow> = read(&written(std::slice::from_ref(&row), Formulas::Guard)).expect("effects");
        let expected = EffectRow { value: Some(value).filter(|v| v.is_finite()), ..row };
        prop_assert_eq!(rows, vec![expected]);
    }
}
