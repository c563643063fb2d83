//! Delay histograms as files: HdrHistogram's percentile text, and its interval log.
//!
//! The formats are those of HdrHistogram for Java: `outputPercentileDistribution` with five
//! steps per halving, which its plotters read, and `HistogramLogWriter` 1.3 with compressed V2
//! payloads, which its log tools read.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use crate::stats::HIGHEST_TRACKED;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};

/// Nanoseconds of one unit of the percentile text: its values are microseconds, with three
/// decimals, so nothing is lost.
const NANOS_PER_UNIT: f64 = 1_000.0;
/// Nanoseconds of one unit of the interval log's column of maxima, as its readers expect.
const NANOS_PER_LOG_UNIT: f64 = 1_000_000.0;
/// Rows of the percentile text per halving of what is left.
const STEPS_PER_HALVING: u32 = 5;

/// One histogram with its name.
pub type Named<'h> = (&'h str, &'h Histogram<u64>);

/// A histogram of nothing, from 1 ns to 1 h with three significant digits.
pub(super) fn empty() -> Histogram<u64> {
    let highest = HIGHEST_TRACKED.as_nanos().unsigned_abs();
    Histogram::new_with_bounds(1, highest, 3).expect("these bounds are allowed")
}

/// `NAME.hgrm`: the percentile text of one histogram of nanoseconds, in microseconds.
#[must_use]
pub fn percentile_text(histogram: &Histogram<u64>) -> String {
    let mut out = String::from("       Value     Percentile TotalCount 1/(1-Percentile)\n\n");
    for Row {
        value,
        percentile,
        count,
    } in rows(histogram)
    {
        let value = value as f64 / NANOS_PER_UNIT;
        let share = percentile / 100.0;
        // Writes to a string do not fail.
        _ = if percentile < 100.0 {
            let inverse = 1.0 / (1.0 - share);
            writeln!(out, "{value:12.3} {share:2.12} {count:10} {inverse:14.2}")
        } else {
            writeln!(out, "{value:12.3} {share:2.12} {count:10}")
        };
    }
    let (mean, deviation) = if histogram.is_empty() {
        (0.0, 0.0)
    } else {
        (histogram.mean(), histogram.stdev())
    };
    _ = write!(
        out,
        "#[Mean    = {:12.3}, StdDeviation   = {:12.3}]\n\
         #[Max     = {:12.3}, Total count    = {:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]\n",
        mean / NANOS_PER_UNIT,
        deviation / NANOS_PER_UNIT,
        histogram.max() as f64 / NANOS_PER_UNIT,
        histogram.len(),
        buckets(histogram),
        SUB_BUCKETS,
    );
    out
}

/// A row of the percentile text.
struct Row {
    value: u64,
    percentile: f64,
    count: u64,
}

/// As HdrHistogram's `PercentileIterator` goes: a row for each step that the counts reach, with
/// twice as many steps after each halving of what is left, and one for all.
fn rows(histogram: &Histogram<u64>) -> Vec<Row> {
    let mut rows = Vec::new();
    let (total, mut count, mut percentile) = (histogram.len(), 0, 0.0_f64);
    for bucket in histogram.iter_recorded() {
        count += bucket.count_at_value();
        let value = bucket.value_iterated_to();
        while 100.0 * count as f64 / total as f64 >= percentile && percentile < 100.0 {
            rows.push(Row {
                value,
                percentile,
                count,
            });
            let halvings = (100.0 / (100.0 - percentile)).log2().floor() as i32;
            percentile += 100.0 / (f64::from(STEPS_PER_HALVING) * 2_f64.powi(halvings + 1));
            if count == total {
                break;
            }
        }
    }
    rows.push(Row {
        value: histogram.max(),
        percentile: 100.0,
        count: total,
    });
    rows
}

/// Values that three significant digits tell apart in the lowest bucket.
const SUB_BUCKETS: u64 = 2_048;

/// How many doublings lead from the lowest bucket to the highest value.
fn buckets(histogram: &Histogram<u64>) -> u32 {
    let mut reached = SUB_BUCKETS;
    let mut buckets = 1;
    while reached <= histogram.high() && buckets < 64 {
        reached = reached.saturating_mul(2);
        buckets += 1;
    }
    buckets
}

/// `delays.hlog`: an interval log with one line per histogram, tagged with its name. Every line
/// is of the same interval: from `start` (nanoseconds since the Unix epoch), as long as the
/// capture.
#[must_use]
pub fn interval_log(histograms: &[Named<'_>], start: i64, length: i64) -> String {
    let start_s = start.max(0) as f64 / 1e9;
    let length_s = Duration::from_nanos(length.max(0).unsigned_abs()).as_secs_f64();
    let mut out = String::from(
        "#[mqttscope: delays in nanoseconds, one line per delay; Interval_Max in milliseconds]\n\
         #[Histogram log format version 1.3]\n",
    );
    _ = write!(
        out,
        "#[StartTime: {start_s:.3} (seconds since epoch)]\n\
         #[BaseTime: {start_s:.3} (seconds since epoch)]\n\
         \"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n"
    );
    let mut serializer = V2DeflateSerializer::new();
    let mut payload = Vec::new();
    for (name, histogram) in histograms {
        // The same bounds for all, so that a reader can add them up.
        let mut bounded = empty();
        for bucket in histogram.iter_recorded() {
            let added = bounded.record_n(
                bucket.value_iterated_to().min(bounded.high()),
                bucket.count_at_value(),
            );
            debug_assert!(added.is_ok(), "within the bounds");
        }
        payload.clear();
        serializer
            .serialize(&bounded, &mut payload)
            .expect("a histogram in memory");
        _ = writeln!(
            out,
            "Tag={name},0.000,{length_s:.3},{:.3},{}",
            bounded.max() as f64 / NANOS_PER_LOG_UNIT,
            BASE64_STANDARD.encode(&payload)
        );
    }
    out
}

/// The histograms of an interval log by their tags. Lines without a tag, and what cannot be
/// decoded, are left out: a figure is then missing, and the rest is shown.
#[must_use]
pub fn read_interval_log(log: &[u8]) -> BTreeMap<String, Histogram<u64>> {
    let lines: Vec<u8> = log
        .split_inclusive(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"\"StartTimestamp\""))
        .flatten()
        .copied()
        .collect();
    let mut histograms = BTreeMap::new();
    let mut deserializer = Deserializer::new();
    for entry in IntervalLogIterator::new(&lines) {
        let Ok(LogEntry::Interval(line)) = entry else {
            continue;
        };
        let Some(tag) = line.tag() else { continue };
        let Ok(payload) = BASE64_STANDARD.decode(line.encoded_histogram()) else {
            continue;
        };
        if let Ok(histogram) = deserializer.deserialize::<u64, _>(&mut payload.as_slice()) {
            histograms.insert(tag.as_str().to_owned(), histogram);
        }
    }
    histograms
}

#[cfg(test)]
mod tests {
    use super::*;

    fn some() -> Histogram<u64> {
        let mut histogram = Histogram::new(3).unwrap();
        for value in 1..=10_000_u64 {
            histogram.record(value * 1_000).unwrap();
        }
        histogram
    }

    #[test]
    fn the_percentile_text_is_as_plotters_expect() {
        let text = percentile_text(&some());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0].split_whitespace().count(), 4);
        assert_eq!(lines[1], "");
        let median = lines
            .iter()
            .find(|line| line.contains(" 0.500000000000 "))
            .expect("the median");
        let cells: Vec<f64> = median
            .split_whitespace()
            .map(|cell| cell.parse().unwrap())
            .collect();
        // Microseconds; a bucket is at most a thousandth wide.
        assert!((cells[0] - 5_000.0).abs() <= 5.0, "{median}");
        assert_eq!(cells[3], 2.0);
        assert!(text.contains("Total count    =        10000]"), "{text}");
        assert!(!text.contains("inf") && !text.contains("NaN"), "{text}");
        let empty = percentile_text(&empty());
        assert!(!empty.contains("NaN"), "{empty}");
    }

    #[test]
    fn logs_are_read_back() {
        let (many, mut one) = (some(), empty());
        one.record(3_600_000_000_000).unwrap();
        let log = interval_log(&[("ping", &one), ("puback.to_broker", &many)], 1_000, 5_000);
        let read = read_interval_log(log.as_bytes());
        assert_eq!(read.len(), 2);
        let counts = |histogram: &Histogram<u64>| -> Vec<(u64, u64)> {
            let buckets = histogram.iter_recorded();
            buckets
                .map(|b| (b.value_iterated_to(), b.count_at_value()))
                .collect()
        };
        assert_eq!(counts(&read["puback.to_broker"]), counts(&many));
        assert_eq!(counts(&read["ping"]), counts(&one));
        assert!(read_interval_log(b"Tag=x,1,2,3,!!!\nnonsense\n").is_empty());
    }
}
