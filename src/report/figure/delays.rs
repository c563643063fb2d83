//! Distributions of delays: percentiles on HdrHistogram's axis, and cumulative shares.

use super::axis::Axis;
use super::chart::{Entry, Frame, Mark, Marker, Plane, chart, line_style};
use super::{Figure, theme};
use crate::report::digest::Digest;
use crate::results::grouped;
use hdrhistogram::Histogram;
use plotters::series::LineSeries;

/// Delays that are compared in one figure.
struct Group {
    name: &'static str,
    title: &'static str,
    about: &'static str,
    /// Name of a delay, and what the legend calls it.
    members: &'static [(&'static str, &'static str)],
}

const QOS: [&str; 3] = ["QoS 0", "QoS 1", "QoS 2"];

const GROUPS: [Group; 5] = [
    Group {
        name: "delivery",
        title: "Delivery delay",
        about: "From the first byte of the PUBLISH to the broker to the last byte of the PUBLISH \
                to the subscriber, as seen at the tap.",
        members: &[
            ("delivery_qos0", QOS[0]),
            ("delivery_qos1", QOS[1]),
            ("delivery_qos2", QOS[2]),
        ],
    },
    Group {
        name: "residence",
        title: "The broker's own share",
        about: "From the end of the PUBLISH in (at QoS 2 of its PUBREL, where the broker waited \
                for it) to the beginning of the PUBLISH out, at a tap beside the broker.",
        members: &[
            ("residence_qos0", QOS[0]),
            ("residence_qos1", QOS[1]),
            ("residence_qos2", QOS[2]),
        ],
    },
    Group {
        name: "turnaround",
        title: "Turnaround beyond the tap",
        about: "From the end of the PUBLISH in to the beginning of the PUBLISH out, as seen at \
                the tap.",
        members: &[
            ("turnaround_qos0", QOS[0]),
            ("turnaround_qos1", QOS[1]),
            ("turnaround_qos2", QOS[2]),
        ],
    },
    Group {
        name: "handshake",
        title: "Handshakes of QoS 1 and 2",
        about: "From the first byte of the first PUBLISH to the end of PUBACK (QoS 1) or PUBCOMP \
                (QoS 2), by the way of the message.",
        members: &[
            ("puback.to_broker", "QoS 1 to the broker"),
            ("puback.to_client", "QoS 1 to clients"),
            ("qos2_total.to_broker", "QoS 2 to the broker"),
            ("qos2_total.to_client", "QoS 2 to clients"),
        ],
    },
    Group {
        name: "session",
        title: "Answers outside of messages",
        about: "From the first byte of the request to the last of its answer: SYN to ACK, CONNECT \
                to CONNACK, SUBSCRIBE to SUBACK, PINGREQ to PINGRESP.",
        members: &[
            ("tcp_handshake", "TCP handshake"),
            ("connect", "CONNECT"),
            ("subscribe", "SUBSCRIBE"),
            ("ping", "PINGREQ"),
        ],
    },
];

/// One line of a figure.
struct Series<'d> {
    number: usize,
    label: String,
    histogram: &'d Histogram<u64>,
}

pub(super) fn figures(digest: &Digest) -> Vec<Figure> {
    let mut figures = Vec::new();
    for group in &GROUPS {
        let members = group.members.iter().enumerate();
        let series: Vec<Series<'_>> = members
            .filter_map(|(number, (name, label))| {
                let histogram = digest.histograms.get(*name)?;
                let n = grouped(histogram.len());
                (!histogram.is_empty()).then(|| Series {
                    number,
                    label: format!("{label} (n = {n})"),
                    histogram,
                })
            })
            .collect();
        if series.is_empty() {
            continue;
        }
        figures.push(percentiles(group, &series));
        if matches!(group.name, "delivery" | "handshake") {
            figures.push(cumulative(group, &series));
        }
    }
    figures
}

fn frame(group: &Group, series: &[Series<'_>], kind: (&str, &str), caption: &str) -> Frame {
    Frame {
        name: format!("{}-{}", group.name, kind.0),
        title: format!("{}: {}", group.title, kind.1),
        caption: caption.to_owned(),
        description: group.about.to_owned(),
        legend: series
            .iter()
            .map(|series| Entry {
                color: theme::series(series.number),
                mark: Mark::Line,
                number: series.number,
                label: series.label.clone(),
            })
            .collect(),
        height: 380,
    }
}

/// From the shortest to the longest of all series.
fn extent(series: &[Series<'_>]) -> Axis {
    let low = series.iter().map(|series| series.histogram.min()).min();
    let high = series.iter().map(|series| series.histogram.max()).max();
    Axis::delays(low.unwrap_or(1) as f64, high.unwrap_or(1) as f64)
}

fn percentiles(group: &Group, series: &[Series<'_>]) -> Figure {
    let most = series.iter().map(|series| series.histogram.len()).max();
    let caption = "Delay that a share of the observations did not exceed. The last tenth has as \
                   much room as the first nine, and so has each tenth of what is left.";
    chart(
        frame(group, series, ("percentiles", "percentiles"), caption),
        (
            Axis::quantiles(most.unwrap_or(1)),
            "share of the observations →",
        ),
        (extent(series), "delay"),
        |plane| {
            let all = series.iter();
            all.flat_map(|one| draw(plane, one, |value, share| (share, value)))
                .collect()
        },
    )
}

fn cumulative(group: &Group, series: &[Series<'_>]) -> Figure {
    let caption = "Share of the observations (vertical) that took at most so long (horizontal).";
    chart(
        frame(group, series, ("ecdf", "cumulative distribution"), caption),
        (extent(series), "delay →"),
        (Axis::cumulative(), "share of the observations"),
        |plane| {
            let all = series.iter();
            all.flat_map(|one| draw(plane, one, |value, share| (value, share)))
                .collect()
        },
    )
}

fn draw(
    plane: &mut Plane<'_, '_>,
    series: &Series<'_>,
    place: impl Fn(f64, f64) -> (f64, f64),
) -> Vec<Marker> {
    staircase(plane, (series.number, series.histogram), (5, 0.5), place)
}

/// Draws (delay, share of observations up to it) as a staircase, without the steps that nobody
/// can see, and so many markers on it, the first after a part of the distance between them.
pub(super) fn staircase(
    plane: &mut Plane<'_, '_>,
    (number, histogram): (usize, &Histogram<u64>),
    (wanted, first): (usize, f64),
    place: impl Fn(f64, f64) -> (f64, f64),
) -> Vec<Marker> {
    let total = histogram.len() as f64;
    let mut points: Vec<(f64, f64)> = Vec::new();
    let (mut seen, mut share_before) = (0, 0.0);
    let mut last: Option<(i32, i32)> = None;
    for bucket in histogram.iter_recorded() {
        seen += bucket.count_at_value();
        let value = (bucket.value_iterated_to() as f64).max(1.0);
        let share = seen as f64 / total;
        let step = [place(value, share_before), place(value, share)];
        share_before = share;
        let at = plane.backend_coord(&step[1]);
        let near = last.is_some_and(|last| (last.0 - at.0).abs() + (last.1 - at.1).abs() < 6);
        if !near || seen == histogram.len() {
            points.extend(step);
            last = Some(at);
        }
    }
    let color = theme::series(number);
    let line = plane.draw_series(LineSeries::new(points.iter().copied(), line_style(color)));
    debug_assert!(line.is_ok());
    let every = (points.len() / wanted).max(1);
    let skipped = (every as f64 * first) as usize;
    let marked = points.iter().skip(skipped).step_by(every);
    marked
        .map(|point| (number, plane.backend_coord(point), color))
        .collect()
}
