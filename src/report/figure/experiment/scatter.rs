//! Loss against delay, cell by cell, with the fit, and the prober's delays against the packets'.

use super::frame;
use super::pen::Pen;
use crate::report::experiment::{Experiment, coefficient_of, counts, nanos};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{Entry, Mark, Marker, Plane};
use crate::report::figure::panels::{Panel, panels};
use crate::report::figure::{Figure, theme};
use crate::results::{CellRow, counted};
use crate::stats::line;
use std::collections::BTreeSet;
use std::sync::Arc;

/// One cell: the number of its part, its median delay, its share of lost messages.
type Point = (usize, f64, f64);

/// A panel for each QoS.
pub(super) fn loss_and_delay(experiment: &Experiment) -> Option<Figure> {
    // ComBench's part loses packets on the subscriber's side and has a figure of its own.
    let parts = experiment
        .parts()
        .into_iter()
        .filter(|part| &**part != "combench");
    let parts: Vec<Arc<str>> = parts.collect();
    let point = |cell: &CellRow| -> Option<Point> {
        let part = parts.iter().position(|part| *part == cell.part)?;
        let delay = nanos(cell.delay_median_ns)?;
        Some((part, delay.max(1.0), cell.never_arrived_ratio?))
    };
    let cells: Vec<&CellRow> = experiment
        .cells
        .iter()
        .filter(|cell| counts(cell))
        .collect();
    let all: Vec<Point> = cells.iter().filter_map(|cell| point(cell)).collect();
    let low = all.iter().map(|point| point.1).reduce(f64::min)?;
    let high = all.iter().map(|point| point.1).reduce(f64::max)?;
    let most = all.iter().map(|point| point.2).fold(0.01, f64::max);
    let levels: BTreeSet<u8> = cells.iter().map(|cell| cell.qos).collect();
    let drawn = levels.into_iter().map(|qos| {
        let of_qos = cells.iter().filter(|cell| cell.qos == qos);
        let points: Vec<Point> = of_qos.filter_map(|cell| point(cell)).collect();
        Panel {
            title: format!("QoS {qos} (n = {})", points.len()),
            x: Axis::delays(low, high),
            y: Axis::portions(most),
            draw: Box::new(move |plane: &mut Plane<'_, '_>| draw(&Pen::new(plane), &points)),
        }
    });
    let drawn: Vec<Panel<'_>> = drawn.collect();
    let legend = parts.iter().enumerate().map(|(number, part)| Entry {
        color: theme::series(number),
        mark: Mark::Line,
        number,
        label: part.replace('_', " "),
    });
    let caption = format!(
        "Each mark is a cell: the median delay of what arrived, and the share that never arrived. Lines: \
         least squares of the share on the logarithm of the delay, for each part in which messages were \
         lost. {}.",
        counted(all.len() as u64, "cell")
    );
    let mut frame = frame(
        "loss-against-delay",
        "Loss against delay",
        caption,
        legend.collect(),
    );
    frame.description = coefficient_of(experiment);
    Some(panels(
        frame,
        (3, 280),
        ("median delay →", "never arrived"),
        drawn,
    ))
}

fn draw(pen: &Pen<'_, '_, '_>, points: &[Point]) -> Vec<Marker> {
    let parts: BTreeSet<usize> = points.iter().map(|point| point.0).collect();
    for part in parts {
        let of_part = points.iter().filter(|point| point.0 == part);
        let (x, y): (Vec<f64>, Vec<f64>) = of_part.map(|point| (point.1.log10(), point.2)).unzip();
        if y.iter().all(|loss| *loss <= 0.0) {
            continue;
        }
        let Ok(fit) = line(&x, &y) else { continue };
        let low = x.iter().copied().fold(f64::INFINITY, f64::min);
        let high = x.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let at = |x: f64| {
            (
                10_f64.powf(x),
                (fit.intercept + fit.slope * x).clamp(0.0, 1.0),
            )
        };
        // A fit that leaves the range of shares ends there, so it is drawn in steps.
        let steps = (0..=40).map(|step| at(low + (high - low) * f64::from(step) / 40.0));
        pen.line(&steps.collect::<Vec<_>>(), theme::series(part), 16);
    }
    let places = points
        .iter()
        .map(|(part, delay, loss)| (*part, pen.place((*delay, *loss)), theme::series(*part)));
    places.collect()
}

/// The prober's median service time of each cell, and the packets' for the same messages.
pub(super) fn two_measurements(experiment: &Experiment) -> Option<Figure> {
    let parts = experiment.parts();
    let point = |cell: &CellRow| -> Option<Point> {
        let part = parts.iter().position(|part| *part == cell.part)?;
        let wire = nanos(cell.wire_delay_median_ns)?;
        Some((part, wire.max(1.0), nanos(cell.service_median_ns)?.max(1.0)))
    };
    let cells = experiment.cells.iter().filter(|cell| cell.sent > 0);
    let points: Vec<Point> = cells.filter_map(point).collect();
    let ends = points.iter().flat_map(|(_, wire, own)| [*wire, *own]);
    let low = ends.clone().reduce(f64::min)?;
    let high = ends.reduce(f64::max)?;
    let legend = parts.iter().enumerate().map(|(number, part)| Entry {
        color: theme::series(number),
        mark: Mark::Dot,
        number,
        label: part.replace('_', " "),
    });
    let caption = format!(
        "Median delay of each cell: by the packets at the taps (horizontal) and by the prober's stamps \
         (received − sent, vertical). On the line both agree; invalid cells are here too. {}.",
        counted(points.len() as u64, "cell")
    );
    let axis = Axis::delays(low, high);
    let panel = Panel {
        title: String::new(),
        x: axis.clone(),
        y: axis.clone(),
        draw: Box::new(move |plane: &mut Plane<'_, '_>| {
            let pen = Pen::new(plane);
            let (from, to) = (axis.start(), axis.end());
            pen.line(&[(from, from), (to, to)], theme::AXIS, 12);
            let places = points
                .iter()
                .map(|(part, wire, own)| (*part, pen.place((*wire, *own)), theme::series(*part)));
            places.collect()
        }),
    };
    Some(panels(
        frame(
            "prober-against-packets",
            "Prober against packets",
            caption,
            legend.collect(),
        ),
        (1, 380),
        ("by the packets →", "by the prober"),
        vec![panel],
    ))
}
