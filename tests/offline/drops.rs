//! Frames that the capture itself lost: what was under way meanwhile proves nothing by absence.

use crate::tool::recordings;
use mqttscope::analysis::{Lints, Observer, Options, Pipeline, TableFiles, Tables, summary};
use mqttscope::capture::{Capture, Item};
use mqttscope::results::{Formulas, Summary};
use mqttscope::time::Timestamp;

/// The times of its first and last frame.
fn span(name: &str) -> (i64, i64) {
    let mut capture = Capture::open(&[recordings().join(name)]).unwrap();
    let mut times = Vec::new();
    while let Some(item) = capture.next_item() {
        if let Item::Frame(frame) = item {
            times.push(frame.time.as_nanos());
        }
    }
    (*times.first().unwrap(), *times.last().unwrap())
}

/// A recording as if frames had been lost in those spans; `cut`: it ends after so many frames.
fn analyze(name: &str, lost: &[(i64, i64)], cut: usize) -> (Summary, Vec<u8>, Vec<u8>) {
    let (mut exchanges, mut deliveries) = (Vec::new(), Vec::new());
    let files = TableFiles {
        connections: &mut Vec::new(),
        sessions: &mut Vec::new(),
        messages: None,
        exchanges: &mut exchanges,
        deliveries: &mut deliveries,
        subscriptions: &mut Vec::new(),
    };
    let tables = Tables::new(files, Formulas::Keep, vec![b"capture".to_vec()]).unwrap();
    let lints: Lints<Vec<u8>> = Lints::new(Default::default(), Default::default());
    let mut observers = (tables, lints);
    let options = Options {
        deadline: mqttscope::time::TimeDelta::from_millis(200),
        ..Options::default()
    };
    let mut pipeline = Pipeline::new(options);
    for &(from, until) in lost {
        pipeline.missed_frames(Timestamp::from_nanos(from), Timestamp::from_nanos(until));
    }
    let mut capture = Capture::open(&[recordings().join(name)]).unwrap();
    let mut last = Timestamp::from_nanos(0);
    for _ in 0..cut {
        let Some(Item::Frame(frame)) = capture.next_item() else {
            break;
        };
        last = frame.time;
        pipeline.push(&frame, &mut observers);
    }
    // Time enough for everything to be decided.
    let later = last + mqttscope::time::TimeDelta::from_secs(60);
    pipeline.advance(later, &mut observers);
    pipeline.finish(&mut observers);
    observers.tick(later);
    observers.0.finish().unwrap();
    (summary(&pipeline, "test"), exchanges, deliveries)
}

fn outcomes(table: &[u8]) -> Vec<(String, String)> {
    let mut reader = csv::Reader::from_reader(table);
    let headers = reader.headers().unwrap().clone();
    let place = |name| headers.iter().position(|header| header == name).unwrap();
    let (outcome, uncertain) = (place("outcome"), place("uncertain"));
    let rows = reader.records().map(Result::unwrap);
    rows.map(|row| (row[outcome].to_owned(), row[uncertain].to_owned()))
        .collect()
}

/// The broker of this recording loses messages. If the capture lost frames, too, nobody knows.
#[test]
fn a_message_is_not_called_lost_where_frames_are_missing() {
    let name = "loss.pcap";
    let (first, last) = span(name);
    let (whole, _, deliveries) = analyze(name, &[], usize::MAX);
    let lost = |table: &[u8], what: &str| {
        let rows = outcomes(table);
        rows.iter().filter(|(outcome, _)| outcome == what).count()
    };
    let before = lost(&deliveries, "lost");
    assert!(before > 0);
    assert!(whole.uncertain.is_empty());
    let (summary, _, deliveries) = analyze(name, &[(first, last)], usize::MAX);
    assert_eq!(lost(&deliveries, "lost"), 0);
    assert!(lost(&deliveries, "undetermined") >= before);
    assert_eq!(summary.loss.message.unwrap().all.count, 0);
    let marked = outcomes(&deliveries);
    let uncertain = marked
        .iter()
        .filter(|(_, uncertain)| uncertain == "1")
        .count();
    assert_eq!(summary.uncertain["deliveries"], uncertain as u64);
    // What was seen whole stays what it was, with a mark.
    assert!(marked.contains(&("delivered".to_owned(), "1".to_owned())));
    // Frames that were lost before anything or after everything change nothing.
    let minutes = 60_000_000_000;
    for elsewhere in [
        (first - 2, first - 1),
        (last + 2 * minutes, last + 3 * minutes),
    ] {
        let (summary, _, deliveries) = analyze(name, &[elsewhere], usize::MAX);
        assert_eq!(lost(&deliveries, "lost"), before);
        assert!(summary.uncertain.is_empty());
    }
}

/// An exchange without its end is unknown if the end may be among what was lost, and one that is
/// complete stays complete.
#[test]
fn an_exchange_is_not_called_unfinished_where_frames_are_missing() {
    let name = "qos2-v311-ipv4.pcap";
    let (first, last) = span(name);
    let mut unfinished = 0;
    for cut in 10..60 {
        let (_, exchanges, _) = analyze(name, &[], cut);
        let (_, marked, _) = analyze(name, &[(first, last)], cut);
        let (exchanges, marked) = (outcomes(&exchanges), outcomes(&marked));
        assert_eq!(exchanges.len(), marked.len());
        for (exchange, marked) in exchanges.iter().zip(&marked) {
            assert_eq!((exchange.1.as_str(), marked.1.as_str()), ("0", "1"));
            if exchange.0 == "complete" {
                assert_eq!(marked.0, "complete");
            } else {
                assert_eq!(marked.0, "unknown", "{exchange:?}");
                unfinished += 1;
            }
        }
    }
    assert!(unfinished > 0);
}
