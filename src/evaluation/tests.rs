use super::*;
use crate::results::{CorrelationRow, EffectRow, Outcome, SampleRow};
use crate::stats::Random;
use crate::time::{TimeDelta, Timestamp};

const START: i64 = 1_700_000_000_000_000_000;

/// One message of a stream: sent when planned, with this delay, or lost.
fn sample(cell: u32, sequence: u64, delay: Option<i64>, outcome: Outcome) -> SampleRow {
    let planned = Timestamp::from_nanos(START + sequence as i64 * 1_000_000);
    SampleRow {
        cell,
        block: 1,
        sequence,
        publisher: "p".into(),
        subscriber: "s".into(),
        planned_ns: planned,
        sent_ns: (outcome != Outcome::NotWritten).then_some(planned),
        received_ns: delay.map(|delay| planned + TimeDelta::from_nanos(delay)),
        response_ns: delay.map(TimeDelta::from_nanos),
        service_ns: delay.map(TimeDelta::from_nanos),
        outcome,
        ..SampleRow::default()
    }
}

/// A run of `blocks` blocks over QoS, payload and link: the delay is 1 ms, twice that at QoS 2,
/// three times on the wireless link, and noise; `lost` says how many of 40 messages are lost.
fn run(blocks: u32, lost: impl Fn(&CellRow) -> u64) -> (Vec<CellRow>, Messages) {
    let mut random = Random::new(3);
    let (mut cells, mut messages) = (Vec::new(), Messages::new());
    for block in 1..=blocks {
        let mut condition = 0;
        for qos in 0..3 {
            for payload_bytes in [16, 1_024] {
                for link in ["wired", "wireless"] {
                    condition += 1;
                    let mut cell = CellRow {
                        cell: cells.len() as u32 + 1,
                        block,
                        repetition: block,
                        condition,
                        part: "main".into(),
                        qos,
                        qos_subscribed: qos,
                        payload_bytes,
                        link: Some(link.into()),
                        schedule: "poisson".into(),
                        rate_per_s: 100.0,
                        publishers: 1,
                        subscribers: 1,
                        client: "measuring".into(),
                        valid: true,
                        ..CellRow::default()
                    };
                    let scale =
                        if qos == 2 { 2.0 } else { 1.0 } * if link == "wired" { 1.0 } else { 3.0 };
                    for sequence in 0..40 {
                        let delay = (1e6 * scale * (0.9 + 0.2 * random.uniform())) as i64;
                        let row = if sequence < lost(&cell) {
                            sample(cell.cell, sequence, None, Outcome::LostUnconfirmed)
                        } else {
                            sample(cell.cell, sequence, Some(delay), Outcome::Delivered)
                        };
                        messages.push(&row);
                    }
                    messages.sort();
                    recount(&mut cell, messages.of(cells.len() as u32 + 1).unwrap());
                    cells.push(cell);
                }
            }
        }
    }
    (cells, messages)
}

fn effect<'r>(rows: &'r [EffectRow], a: &str, b: &str, measure: &str) -> &'r EffectRow {
    let is = |row: &&EffectRow| {
        (&*row.condition_a, &*row.condition_b, &*row.measure) == (a, b, measure)
            && &*row.quantity == "delay_median_ns"
    };
    rows.iter()
        .find(is)
        .unwrap_or_else(|| panic!("{a} to {b}: {rows:#?}"))
}

fn correlation<'r>(
    rows: &'r [CorrelationRow],
    (x, y): (&str, &str),
    stratum: &str,
    method: &str,
) -> &'r CorrelationRow {
    let is = |row: &&CorrelationRow| {
        (&*row.x, &*row.y, &*row.stratum, &*row.method) == (x, y, stratum, method)
    };
    rows.iter()
        .find(is)
        .unwrap_or_else(|| panic!("{x} {stratum} {method}: {rows:#?}"))
}

#[test]
fn a_cell_is_counted_from_its_messages() {
    let mut messages = Messages::new();
    for sequence in 0..30 {
        messages.push(&sample(
            1,
            sequence,
            Some(5_000_000 + sequence as i64),
            Outcome::Delivered,
        ));
    }
    messages.push(&sample(1, 30, Some(9_000_000_000), Outcome::Late));
    messages.push(&sample(1, 31, None, Outcome::LostUnacknowledged));
    messages.push(&sample(1, 32, None, Outcome::LostAcknowledged));
    messages.push(&sample(1, 33, None, Outcome::NotWritten));
    messages.push(&sample(1, 34, Some(-3), Outcome::Delivered));
    messages.sort();
    let mut row = CellRow::default();
    recount(&mut row, messages.of(1).unwrap());
    assert_eq!(
        (row.planned, row.sent, row.delivered, row.late, row.lost),
        (35, 34, 31, 1, 2)
    );
    assert_eq!(
        (
            row.lost_unacknowledged,
            row.lost_acknowledged,
            row.not_written
        ),
        (1, 1, 1)
    );
    assert_eq!(row.loss_ratio, Some(3.0 / 34.0));
    assert_eq!(row.never_arrived_ratio, Some(2.0 / 34.0));
    assert_eq!(row.delay_negative, 1);
    assert_eq!(row.delay_max_ns, Some(TimeDelta::from_nanos(9_000_000_000)));
    // 32 arrived; in ascending order −3, then 5 ms and on: the 16th is the 15th of those.
    assert_eq!(row.delay_median_ns, Some(TimeDelta::from_nanos(5_000_014)));
    assert_eq!(row.delay_p95_ns, None, "one observation beyond it");
    // The last one was there before message 30, which took so long, and before message 29, sent
    // 5 ms earlier and 5 ms on its way.
    assert_eq!(row.reordered, 2);
}

#[test]
fn effects_are_those_that_were_put_in() {
    let (cells, messages) = run(5, |_| 0);
    let rows = effects(&cells, &messages, 1);
    for (a, b, ratio) in [
        ("qos=2", "qos=0", 2.0),
        ("qos=2", "qos=1", 2.0),
        ("qos=1", "qos=0", 1.0),
        ("qos=2 link=wireless", "qos=0 link=wireless", 2.0),
        ("link=wireless qos=1", "link=wired qos=1", 3.0),
        ("payload_bytes=1024", "payload_bytes=16", 1.0),
        (
            "qos=2 payload_bytes=16 link=wired",
            "qos=0 payload_bytes=16 link=wired",
            2.0,
        ),
    ] {
        let row = effect(&rows, a, b, "ratio");
        let (low, high) = (row.ci_low.unwrap(), row.ci_high.unwrap());
        assert!((row.value.unwrap() / ratio - 1.0).abs() < 0.05, "{row:?}");
        assert!(
            low <= row.value.unwrap() && row.value.unwrap() <= high,
            "{row:?}"
        );
        assert_eq!(row.blocks, 5);
    }
    let difference = effect(&rows, "qos=2 link=wired", "qos=0 link=wired", "difference");
    assert!(
        (difference.value.unwrap() - 1e6).abs() < 5e4,
        "{difference:?}"
    );
    assert!(
        rows.iter()
            .all(|row| &*row.quantity != "never_arrived_ratio"),
        "nothing is lost"
    );
    assert_eq!(effects(&cells, &messages, 1), rows, "the same seed");
}

/// What lost nearly everything has no median delay, and is not told away.
#[test]
fn loss_of_a_cell_without_delay_is_not_called_no_loss() {
    let (mut cells, messages) = run(3, |_| 0);
    let first = &mut cells[0];
    (first.lost, first.never_arrived_ratio) = (first.sent, Some(0.92));
    first.delay_median_ns = None;
    let rows = correlations(&cells, &messages, 1);
    let variables = ("never_arrived_ratio", "delay_median_ns");
    let row = correlation(&rows, variables, "all", "spearman");
    assert_eq!((row.n, row.coefficient), (35, None));
    assert_eq!(
        row.note.as_deref(),
        Some(
            "undefined: no message was lost in any cell that has both values; 1 of 36 cells have \
             no value"
        )
    );
}

#[test]
fn loss_that_never_was_has_no_correlation_and_says_so() {
    let (cells, messages) = run(3, |_| 0);
    let rows = correlations(&cells, &messages, 1);
    let row = correlation(
        &rows,
        ("never_arrived_ratio", "delay_median_ns"),
        "all",
        "spearman",
    );
    assert_eq!((row.n, row.coefficient, row.p_value), (36, None, None));
    assert_eq!(
        row.note.as_deref(),
        Some("undefined: no message was lost in any cell")
    );
    let row = correlation(
        &rows,
        ("lost", "delay_of_last_arrived_ns"),
        "qos=1",
        "point_biserial",
    );
    assert_eq!(row.note.as_deref(), Some("undefined: no message was lost"));
    let row = correlation(&rows, ("qos", "delay_median_ns"), "all", "spearman");
    assert!(
        row.coefficient.unwrap() > 0.2 && row.p_value.unwrap() < 0.1,
        "{row:?}"
    );
    assert!(row.p_adjusted.unwrap() >= row.p_value.unwrap());
}

#[test]
fn loss_that_goes_with_delay_is_found_and_the_coupled_one_marked() {
    let (cells, messages) = run(4, |cell| {
        if cell.link.as_deref() == Some("wireless") {
            8 + u64::from(cell.block)
        } else {
            u64::from(cell.block % 2)
        }
    });
    let rows = correlations(&cells, &messages, 1);
    let row = correlation(
        &rows,
        ("never_arrived_ratio", "delay_median_ns"),
        "all",
        "spearman",
    );
    assert!(row.coefficient.unwrap() > 0.7, "{row:?}");
    assert!(
        row.ci_low.unwrap() > 0.3 && row.p_value.unwrap() < 0.01,
        "{row:?}"
    );
    // With the link held, nothing of it is left.
    let row = correlation(
        &rows,
        ("never_arrived_ratio", "delay_median_ns"),
        "all",
        "partial_spearman",
    );
    assert!(row.coefficient.unwrap().abs() < 0.4, "{row:?}");
    assert!(
        row.note
            .as_deref()
            .unwrap()
            .contains("held: payload_bytes and link")
    );
    let row = correlation(
        &rows,
        ("loss_ratio", "delay_median_ns"),
        "qos=2 link=wired",
        "kendall_tau_b",
    );
    assert!(
        row.note
            .as_deref()
            .unwrap()
            .contains("mechanically coupled"),
        "{row:?}"
    );
}

#[test]
fn what_is_invalid_or_saturated_is_out() {
    let (mut cells, messages) = run(3, |_| 0);
    for cell in cells.iter_mut().filter(|cell| cell.qos == 2) {
        cell.saturated = cell.block == 1;
        cell.valid = false;
    }
    cells[0].saturated = true;
    let rows = correlations(&cells, &messages, 1);
    assert_eq!(
        correlation(
            &rows,
            ("never_arrived_ratio", "delay_median_ns"),
            "all",
            "spearman"
        )
        .n,
        23
    );
    assert!(rows.iter().all(|row| !row.stratum.contains("qos=2")));
    let rows = effects(&cells, &messages, 1);
    assert!(rows.iter().all(|row| !row.condition_a.contains("qos=2")));
    let row = effect(
        &rows,
        "qos=1 payload_bytes=16 link=wired",
        "qos=0 payload_bytes=16 link=wired",
        "ratio",
    );
    assert_eq!(
        (row.blocks, row.ci_low),
        (2, None),
        "too few blocks: {row:?}"
    );
    assert_eq!(row.note.as_deref(), Some("too few blocks for an interval"));
}

#[test]
fn parts_are_not_mixed() {
    let (mut cells, messages) = run(3, |_| 0);
    for cell in cells.iter_mut().filter(|cell| cell.payload_bytes == 16) {
        cell.part = "outage".into();
        cell.fault = Some("outage every 10s for 2s".into());
    }
    let rows = effects(&cells, &messages, 1);
    let row = effect(&rows, "part=outage qos=2", "part=outage qos=0", "ratio");
    assert!((row.value.unwrap() / 2.0 - 1.0).abs() < 0.05, "{row:?}");
    assert!(rows.iter().all(|row| !row.condition_a.contains("fault=")));
}

#[test]
fn a_lost_message_is_held_against_the_delay_before_it() {
    let mut messages = Messages::new();
    for (sequence, delay, outcome) in [
        (0, None, Outcome::LostUnconfirmed),
        (1, Some(7), Outcome::Delivered),
        (2, None, Outcome::LostUnconfirmed),
        (3, None, Outcome::NotWritten),
        (4, Some(9), Outcome::Late),
        (5, None, Outcome::Refused),
        (6, None, Outcome::LostUnacknowledged),
    ] {
        messages.push(&sample(1, sequence, delay, outcome));
    }
    messages.sort();
    let points = messages.of(1).unwrap().lost_after_delay();
    assert_eq!(points, [(1.0, 7.0), (0.0, 7.0), (1.0, 9.0)]);
}

#[test]
fn nothing_gives_nothing() {
    let messages = Messages::new();
    assert!(effects(&[], &messages, 1).is_empty());
    assert!(correlations(&[], &messages, 1).is_empty());
    let all_invalid = vec![CellRow::default(); 3];
    assert!(effects(&all_invalid, &messages, 1).is_empty());
    let rows = correlations(&all_invalid, &messages, 1);
    assert_eq!(rows.len(), 6, "each method says why");
    assert!(
        rows.iter()
            .all(|row| row.coefficient.is_none() && row.note.is_some()),
        "{rows:?}"
    );
}
