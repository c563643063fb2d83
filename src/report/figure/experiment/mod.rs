//! The figures of an experiment.

mod by_payload;
mod combench;
mod distribution;
mod effects;
mod extension;
mod legs;
mod loss;
mod matrix;
mod pen;
mod scatter;
mod split;
mod stack;
mod testbed;

use super::chart::{Entry, Frame, Mark};
use super::{Figure, theme};
use crate::report::experiment::{Experiment, Level};

/// Every figure that an experiment has values for, in the order of its page.
#[must_use]
pub fn experiment_figures(experiment: &Experiment) -> Vec<Figure> {
    let mut figures = Vec::new();
    figures.extend(testbed::figure(experiment));
    figures.extend(by_payload::delays(experiment));
    figures.extend(distribution::percentiles(experiment));
    figures.extend(distribution::cumulative(experiment));
    figures.extend(effects::figure(experiment));
    figures.extend(legs::figure(experiment));
    figures.extend(by_payload::losses(experiment));
    figures.extend(loss::figure(experiment));
    if experiment.is_study() {
        figures.extend(scatter::loss_and_delay(experiment));
        figures.extend(matrix::figure(experiment));
    }
    figures.extend(extension::figures(experiment));
    figures.extend(combench::figure(experiment));
    figures.extend(split::figure(experiment));
    figures.extend(scatter::two_measurements(experiment));
    figures.extend(distribution::send_lag(experiment));
    figures
}

/// A frame without a height of its own.
fn frame(name: &str, title: &str, caption: String, legend: Vec<Entry>) -> Frame {
    Frame {
        name: name.to_owned(),
        title: title.to_owned(),
        caption,
        description: String::new(),
        legend,
        height: 320,
    }
}

/// The legend's entry of a QoS.
fn entry(level: Level, mark: Mark) -> Entry {
    Entry {
        color: theme::series(level.number),
        mark,
        number: level.number,
        label: level.label(),
    }
}

/// `wired`, or what there is to say without a link.
fn link_title(link: Option<&str>) -> String {
    link.map_or_else(String::new, |link| format!("{link} link"))
}
