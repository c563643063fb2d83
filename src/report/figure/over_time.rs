//! Delays and messages over the time of the capture.

use super::axis::{Axis, plain};
use super::chart::{Entry, Frame, Mark, Marker, Plane, chart, line_style};
use super::{Figure, theme};
use crate::report::digest::{DelaySeries, Digest, SLICES, Slices};
use crate::results::{date, grouped, span};
use crate::time::TimeDelta;
use plotters::series::LineSeries;
use plotters::style::Color;
use std::collections::BTreeMap;

/// What the horizontal axis is called: its unit, and when it begins.
fn axis(slices: Slices) -> (Axis, String) {
    let (axis, unit) = Axis::elapsed(slices.seconds());
    let title = format!("time since {} UTC [{unit}] →", date(slices.from));
    (axis, title)
}

pub(super) fn delays(digest: &Digest) -> Vec<Figure> {
    let deliveries = digest.deliveries.as_ref().map(|table| &table.series);
    let exchanges = digest.exchanges.as_ref().map(|table| &table.series);
    [
        (
            deliveries,
            ("delivery-over-time", "Delivery delay over time"),
            &[
                ("delivery_qos0", "QoS 0"),
                ("delivery_qos1", "QoS 1"),
                ("delivery_qos2", "QoS 2"),
            ][..],
        ),
        (
            exchanges,
            ("handshake-over-time", "Handshakes of QoS 1 and 2 over time"),
            &[
                ("puback.to_broker", "QoS 1 to the broker"),
                ("puback.to_client", "QoS 1 to clients"),
                ("qos2_total.to_broker", "QoS 2 to the broker"),
                ("qos2_total.to_client", "QoS 2 to clients"),
            ][..],
        ),
    ]
    .into_iter()
    .filter_map(|(table, names, members)| delay_figure(digest.slices, table?, names, members))
    .collect()
}

fn delay_figure(
    slices: Slices,
    table: &BTreeMap<&'static str, DelaySeries>,
    (name, title): (&str, &str),
    members: &[(&str, &str)],
) -> Option<Figure> {
    let members = members.iter().enumerate();
    let series: Vec<(usize, &str, &DelaySeries)> = members
        .filter_map(|(number, (name, label))| Some((number, *label, table.get(name)?)))
        .filter(|(_, _, series)| series.count > 0)
        .collect();
    let extremes: Vec<(f64, f64)> = series.iter().filter_map(|s| s.2.extremes()).collect();
    let low = extremes.iter().map(|(low, _)| *low).reduce(f64::min)?;
    let high = extremes.iter().map(|(_, high)| *high).reduce(f64::max)?;
    let (x, x_title) = axis(slices);
    let single = series.iter().all(|(_, _, s)| s.points().is_some());
    let caption = if single {
        "Each mark is one observation, at the time at which its PUBLISH began.".to_owned()
    } else {
        let slice = TimeDelta::from_nanos(slices.length / SLICES as i64);
        format!(
            "Median (thick line) and 99th percentile (thin line) of each of {SLICES} equal slices \
             of {slice}, by the time at which the PUBLISH began; of slices with few observations \
             the 99th percentile is their longest."
        )
    };
    let legend = series
        .iter()
        .map(|(number, label, series)| Entry {
            color: theme::series(*number),
            mark: if single { Mark::Dot } else { Mark::Line },
            number: *number,
            label: format!("{label} (n = {})", grouped(series.count)),
        })
        .collect();
    let frame = Frame {
        name: name.to_owned(),
        title: title.to_owned(),
        caption,
        description: String::new(),
        legend,
        height: 340,
    };
    Some(chart(
        frame,
        (x, &x_title),
        (Axis::delays(low, high), "delay"),
        |plane| {
            let mut markers = Vec::new();
            for (number, _, series) in &series {
                markers.extend(match series.points().filter(|_| single) {
                    Some(points) => place_points(plane, *number, &points),
                    None => draw_quantiles(plane, *number, series, slices),
                });
            }
            markers
        },
    ))
}

fn place_points(plane: &Plane<'_, '_>, number: usize, points: &[(f64, f64)]) -> Vec<Marker> {
    let place = |(time, delay): &(f64, f64)| plane.backend_coord(&(*time, delay.max(1.0)));
    points
        .iter()
        .map(|point| (number, place(point), theme::series(number)))
        .collect()
}

/// Lines break where a slice has nothing.
fn draw_quantiles(
    plane: &mut Plane<'_, '_>,
    number: usize,
    series: &DelaySeries,
    slices: Slices,
) -> Vec<Marker> {
    let quantiles = series.quantiles();
    let color = theme::series(number);
    let apart = slices.slice_seconds() * 8.0;
    for run in quantiles.chunk_by(|a, b| b.at - a.at <= apart) {
        let high = run.iter().map(|slice| (slice.at, slice.high));
        let thin = LineSeries::new(high, color.mix(0.75).stroke_width(10));
        let median = run.iter().map(|slice| (slice.at, slice.median));
        let thick = LineSeries::new(median, line_style(color));
        for line in [thin, thick] {
            let drawn = plane.draw_series(line);
            debug_assert!(drawn.is_ok());
        }
    }
    let every = (quantiles.len() / 6).max(1);
    let offset = (number * every / 6).min(quantiles.len().saturating_sub(1));
    let marked = quantiles.iter().skip(offset).step_by(every);
    marked
        .map(|slice| {
            let place = plane.backend_coord(&(slice.at, slice.median));
            (number, place, color)
        })
        .collect()
}

pub(super) fn messages(digest: &Digest) -> Option<Figure> {
    let messages = digest.messages.as_ref()?;
    if messages.totals.iter().all(|total| *total == 0) {
        return None;
    }
    let slices = digest.slices;
    // A short capture has fewer, longer slices, so that single messages do not look like storms.
    let total: u64 = messages.totals.iter().sum();
    let merged = match total {
        ..=200 => 8,
        201..=2_000 => 4,
        _ => 1,
    };
    let seconds = slices.slice_seconds() * merged as f64;
    let rates: Vec<Vec<(f64, f64)>> = messages
        .per_slice
        .iter()
        .map(|counts| {
            let sums = counts.chunks(merged).enumerate();
            sums.flat_map(|(index, counts)| {
                let rate = counts.iter().sum::<u64>() as f64 / seconds;
                let from = index as f64 * seconds;
                [(from, rate), (from + seconds, rate)]
            })
            .collect()
        })
        .collect();
    let highest = rates.iter().flatten().map(|(_, rate)| *rate);
    let highest = highest.fold(0.0, f64::max);
    let (x, x_title) = axis(slices);
    let slice = span(TimeDelta::from_nanos((seconds * 1e9) as i64));
    let labels = ["to the broker", "to clients"];
    let frame = Frame {
        name: "messages-over-time".to_owned(),
        title: "Messages over time".to_owned(),
        caption: format!(
            "PUBLISH packets per second, resent ones included, in {} equal slices of {slice}.",
            SLICES / merged
        ),
        description: String::new(),
        legend: (0..2)
            .map(|way| Entry {
                color: theme::series(way),
                mark: Mark::Line,
                number: way,
                label: format!("{} (n = {})", labels[way], grouped(messages.totals[way])),
            })
            .collect(),
        height: 300,
    };
    Some(chart(
        frame,
        (x, &x_title),
        (Axis::amounts(highest, plain), "PUBLISH packets per second"),
        |plane| {
            let mut markers = Vec::new();
            for (way, rates) in rates.iter().enumerate() {
                let color = theme::series(way);
                let points = rates.iter().copied();
                let drawn = plane.draw_series(LineSeries::new(points, line_style(color)));
                debug_assert!(drawn.is_ok());
                let every = (rates.len() / 6).max(1);
                let marked = rates.iter().skip(every / 2 * (1 + way)).step_by(every);
                markers.extend(marked.map(|point| (way, plane.backend_coord(point), color)));
            }
            markers
        },
    ))
}
