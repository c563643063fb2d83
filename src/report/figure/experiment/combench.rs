//! The curve that ComBench published beside ours.

use super::frame;
use super::pen::Pen;
use crate::report::experiment::Experiment;
use crate::report::experiment::combench::{PUBLISHED, curve};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{Entry, Mark, chart};
use crate::report::figure::{Figure, theme};
use crate::results::{grouped, percent};

const NAMES: [&str; 3] = [
    "ours, at the last message",
    "ours, 60 s after it",
    "published (when it was counted is not stated)",
];

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let curve = curve(experiment);
    if curve.is_empty() {
        return None;
    }
    let messages: u64 = curve.iter().map(|step| step.messages).sum();
    let caption = format!(
        "QoS 0, messages missing by packet loss on the subscriber's link. Ours: the mean of the runs with its \
         95 % interval (bootstrap over runs; a run is one subscriber's connection in one cell). n = {} messages.",
        grouped(messages)
    );
    let legend = NAMES.iter().enumerate().map(|(number, label)| Entry {
        color: theme::series(number),
        mark: Mark::Line,
        number,
        label: (*label).to_owned(),
    });
    let mut losses: Vec<f64> = PUBLISHED.iter().map(|(loss, _)| *loss).collect();
    losses.extend(curve.iter().map(|step| step.packet_loss));
    losses.sort_by(f64::total_cmp);
    losses.dedup_by(|a, b| (*a - *b).abs() < 1e-9);
    let place = |loss: f64| {
        let index = losses.iter().position(|known| (known - loss).abs() < 1e-9);
        index.unwrap_or(0) as f64 + 0.5
    };
    let x = Axis::places(losses.iter().map(|loss| {
        let text = percent(*loss);
        format!("{} %", text.trim_end_matches(".0"))
    }));
    let high = curve.iter().flat_map(|step| step.missing);
    let high = high
        .map(|(value, interval)| interval.map_or(value, |i| i.1))
        .fold(0.81, f64::max);
    Some(chart(
        frame(
            "combench",
            "ComBench's curve, measured again",
            caption,
            legend.collect(),
        ),
        (x, "packets lost →"),
        (Axis::portions(high), "messages missing"),
        |plane| {
            let pen = Pen::new(plane);
            let mut markers = Vec::new();
            for wait in 0..2 {
                let color = theme::series(wait);
                let at = |loss: f64| place(loss) + (wait as f64 - 0.5) * 0.1;
                let line: Vec<(f64, f64)> = (curve.iter())
                    .map(|step| (at(step.packet_loss), step.missing[wait].0))
                    .collect();
                pen.line(&line, color, 20);
                for step in &curve {
                    let (value, interval) = step.missing[wait];
                    let x = at(step.packet_loss);
                    if let Some((low, high)) = interval {
                        pen.line(&[(x, low), (x, high)], color, 12);
                    }
                    markers.push((wait, pen.place((x, value)), color));
                }
            }
            let line: Vec<(f64, f64)> = PUBLISHED.iter().map(|(l, m)| (place(*l), *m)).collect();
            pen.line(&line, theme::series(2), 20);
            markers.extend(
                line.iter()
                    .map(|point| (2, pen.place(*point), theme::series(2))),
            );
            markers
        },
    ))
}
