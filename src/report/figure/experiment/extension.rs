//! The extensions of a study: delay and loss by packet loss, and by outage.

use super::pen::Pen;
use super::{entry, frame};
use crate::report::experiment::{Condition, Experiment, Level, setting};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{Mark, Marker, Plane};
use crate::report::figure::panels::{Panel, panels};
use crate::report::figure::{Figure, theme};
use crate::results::grouped;

/// How much of a setting's room its points take.
const SIDE_BY_SIDE: f64 = 0.36;

pub(super) fn figures(experiment: &Experiment) -> Vec<Figure> {
    let all = [
        (
            "packet_loss",
            "packet-loss",
            "Packet loss: delay and message loss",
            "packets lost each way →",
        ),
        (
            "outage",
            "outage",
            "Outages: delay and message loss",
            "outage of the publisher's link →",
        ),
    ];
    let drawn = all
        .into_iter()
        .filter_map(|(part, name, title, axis)| figure(experiment, part, (name, title), axis));
    drawn.collect()
}

/// A condition with its QoS and its place on the horizontal axis.
type Place<'c, 'e> = (Level, f64, &'c Condition<'e>);

fn figure(
    experiment: &Experiment,
    part: &str,
    (name, title): (&str, &str),
    axis: &str,
) -> Option<Figure> {
    let conditions = experiment.conditions(part);
    let levels = experiment.levels(part);
    let mut settings: Vec<String> = Vec::new();
    for condition in &conditions {
        let setting = setting(condition.first);
        if !settings.contains(&setting) {
            settings.push(setting);
        }
    }
    let width = SIDE_BY_SIDE / levels.len().max(1) as f64;
    let mut places: Vec<Place<'_, '_>> = Vec::new();
    for (side, &level) in levels.iter().enumerate() {
        for condition in conditions
            .iter()
            .filter(|c| level.has(c.first) && !c.cells.is_empty())
        {
            let setting = setting(condition.first);
            let index = settings.iter().position(|known| *known == setting)?;
            let aside = (side as f64 + 0.5) * width - SIDE_BY_SIDE / 2.0;
            places.push((level, index as f64 + 0.5 + aside, condition));
        }
    }
    let delays = places
        .iter()
        .filter_map(|place| place.2.spread(|cell| cell.delay_median_ns));
    let (low, high) = delays.fold((f64::INFINITY, 1.0_f64), |(low, high), spread| {
        (low.min(spread.low), high.max(spread.high))
    });
    let most = places
        .iter()
        .filter_map(|place| place.2.never_arrived().ci_high);
    let most = most.fold(0.01, f64::max);
    if places.is_empty() {
        return None;
    }
    let x = || Axis::places(settings.iter().cloned());
    let drawn = vec![
        Panel {
            title: "median delay of what arrived".to_owned(),
            x: x(),
            y: Axis::delays(low.min(high), high),
            draw: Box::new(|plane: &mut Plane<'_, '_>| delays_of(&Pen::new(plane), &places)),
        },
        Panel {
            title: "messages that never arrived".to_owned(),
            x: x(),
            y: Axis::portions(most),
            draw: Box::new(|plane: &mut Plane<'_, '_>| losses_of(&Pen::new(plane), &places)),
        },
    ];
    let sent: u64 = places.iter().map(|place| place.2.never_arrived().of).sum();
    let caption = format!(
        "Left: a cell's median delay, the middle of the blocks and from the lowest to the highest. Right: \
         all blocks together with the 95 % interval (Wilson). n = {} messages.",
        grouped(sent)
    );
    let legend = levels
        .iter()
        .map(|level| entry(*level, Mark::Line))
        .collect();
    Some(panels(
        frame(name, title, caption, legend),
        (2, 280),
        (axis, ""),
        drawn,
    ))
}

fn delays_of(pen: &Pen<'_, '_, '_>, places: &[Place<'_, '_>]) -> Vec<Marker> {
    let spread = |condition: &Condition<'_>| condition.spread(|cell| cell.delay_median_ns);
    each(pen, places, |condition| {
        let spread = spread(condition)?;
        Some([spread.low, spread.middle, spread.high])
    })
}

fn losses_of(pen: &Pen<'_, '_, '_>, places: &[Place<'_, '_>]) -> Vec<Marker> {
    each(pen, places, |condition| {
        let share = condition.never_arrived();
        Some([share.ci_low?, share.ratio?, share.ci_high?])
    })
}

/// A line for each QoS, with a whisker and a marker at each place.
fn each(
    pen: &Pen<'_, '_, '_>,
    places: &[Place<'_, '_>],
    of: impl Fn(&Condition<'_>) -> Option<[f64; 3]>,
) -> Vec<Marker> {
    let mut markers = Vec::new();
    for same in places.chunk_by(|a, b| a.0 == b.0) {
        let number = same.first().map_or(0, |(level, ..)| level.number);
        let color = theme::series(number);
        let points: Vec<(f64, [f64; 3])> = (same.iter())
            .filter_map(|(_, x, condition)| Some((*x, of(condition)?)))
            .collect();
        let line: Vec<(f64, f64)> = points.iter().map(|(x, [_, y, _])| (*x, *y)).collect();
        pen.line(&line, color, 20);
        for (x, [low, middle, high]) in points {
            pen.line(&[(x, low), (x, high)], color, 12);
            markers.push((number, pen.place((x, middle)), color));
        }
    }
    markers
}
