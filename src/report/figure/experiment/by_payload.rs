//! Delay and loss by length of the payload: a panel for each link, a line for each QoS.

use super::pen::Pen;
use super::{entry, frame, link_title};
use crate::report::experiment::{Condition, Experiment, Level};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{Mark, Marker, Plane};
use crate::report::figure::panels::{Panel, panels};
use crate::report::figure::{Figure, theme};
use crate::results::{CellRow, grouped};
use std::sync::Arc;

/// How much of a payload's room its points take.
const SIDE_BY_SIDE: f64 = 0.36;

/// The conditions of a part by link, payload and QoS.
struct Grid<'e> {
    payloads: Vec<u64>,
    links: Vec<Option<Arc<str>>>,
    levels: Vec<Level>,
    conditions: Vec<Condition<'e>>,
}

/// One condition's place.
type Place<'g, 'e> = (Level, f64, &'g Condition<'e>);

impl<'e> Grid<'e> {
    /// `None` where payloads are no factor.
    fn of(experiment: &'e Experiment) -> Option<Self> {
        let part = experiment.main_part()?;
        let payloads = experiment.payloads(&part);
        (payloads.len() > 1).then(|| Self {
            payloads,
            links: experiment.links(&part),
            levels: experiment.levels(&part),
            conditions: experiment.conditions(&part),
        })
    }

    fn places(&self, link: Option<&str>) -> Vec<Place<'_, 'e>> {
        let mut places = Vec::new();
        let width = SIDE_BY_SIDE / self.levels.len().max(1) as f64;
        for (side, &level) in self.levels.iter().enumerate() {
            for condition in &self.conditions {
                let cell = condition.first;
                if cell.link.as_deref() != link || !level.has(cell) || condition.cells.is_empty() {
                    continue;
                }
                let index = self.payloads.iter().position(|b| *b == cell.payload_bytes);
                // Side by side, so that no whisker hides another.
                let aside = (side as f64 + 0.5) * width - SIDE_BY_SIDE / 2.0;
                places.push((level, index.unwrap_or(0) as f64 + 0.5 + aside, condition));
            }
        }
        places
    }

    fn x(&self) -> Axis {
        Axis::places(self.payloads.iter().map(|bytes| grouped(*bytes)))
    }

    /// A panel for each link.
    fn panels<'g>(
        &'g self,
        y: &Axis,
        draw: impl Fn(&Pen<'_, '_, '_>, &[Place<'g, 'e>]) -> Vec<Marker> + Copy + 'g,
    ) -> Vec<Panel<'g>> {
        let links = self.links.iter().map(Option::as_deref);
        links
            .map(|link| {
                let places = self.places(link);
                Panel {
                    title: link_title(link),
                    x: self.x(),
                    y: y.clone(),
                    draw: Box::new(move |plane: &mut Plane<'_, '_>| {
                        draw(&Pen::new(plane), &places)
                    }),
                }
            })
            .collect()
    }

    fn n(&self) -> String {
        let cells: Vec<&CellRow> = (self.conditions.iter())
            .flat_map(|condition| condition.cells.iter().copied())
            .collect();
        let sent: u64 = cells.iter().map(|cell| cell.sent).sum();
        format!(
            "n = {} messages in {} cells",
            grouped(sent),
            grouped(cells.len() as u64)
        )
    }
}

pub(super) fn delays(experiment: &Experiment) -> Option<Figure> {
    let grid = Grid::of(experiment)?;
    let spread = |condition: &Condition<'_>| condition.spread(|cell| cell.delay_median_ns);
    let spreads = grid.conditions.iter().filter_map(spread);
    let (low, high) = spreads.fold((f64::INFINITY, 0.0_f64), |(low, high), spread| {
        (low.min(spread.low), high.max(spread.high))
    });
    if high <= 0.0 {
        return None;
    }
    let caption = format!(
        "Median delay (received − planned) of a cell: the middle of all blocks, and from the lowest \
         to the highest block. {}.",
        grid.n()
    );
    let draw = |pen: &Pen<'_, '_, '_>, places: &[Place<'_, '_>]| {
        let mut markers = Vec::new();
        for same in places.chunk_by(|a, b| a.0 == b.0) {
            let number = same.first().map_or(0, |(level, ..)| level.number);
            let color = theme::series(number);
            let points: Vec<(f64, _)> = (same.iter())
                .filter_map(|(_, x, condition)| Some((*x, spread(condition)?)))
                .collect();
            let line: Vec<_> = points
                .iter()
                .map(|(x, spread)| (*x, spread.middle))
                .collect();
            pen.line(&line, color, 20);
            for (x, spread) in points {
                pen.line(&[(x, spread.low), (x, spread.high)], color, 12);
                markers.push((number, pen.place((x, spread.middle)), color));
            }
        }
        markers
    };
    Some(panels(
        frame(
            "delay-by-payload",
            "Delay by payload",
            caption,
            grid.levels.iter().map(|l| entry(*l, Mark::Line)).collect(),
        ),
        (2, 300),
        ("payload in bytes →", "median delay"),
        grid.panels(&Axis::delays(low, high), draw),
    ))
}

pub(super) fn losses(experiment: &Experiment) -> Option<Figure> {
    let grid = Grid::of(experiment)?;
    let least = (grid.conditions.iter())
        .map(Condition::never_arrived)
        .filter_map(|share| match share.count {
            0 => share.ci_high,
            _ => share.ci_low,
        });
    let least = least.reduce(f64::min)?;
    let caption = format!(
        "Share of written messages that never arrived, all blocks together, with its 95 % interval \
         (Wilson). An arrow: none was lost, and the share is below its foot (3 / n). {}.",
        grid.n()
    );
    // Room below the lowest foot for its arrow.
    let y = Axis::shares(least / 3.0);
    let lowest = y.start();
    let draw = move |pen: &Pen<'_, '_, '_>, places: &[Place<'_, '_>]| {
        let mut markers = Vec::new();
        for (level, x, condition) in places {
            let share = condition.never_arrived();
            let (Some(ratio), Some(from), Some(to)) = (share.ratio, share.ci_low, share.ci_high)
            else {
                continue;
            };
            let color = theme::series(level.number);
            if share.count == 0 {
                pen.below((*x, to), color);
            } else {
                pen.line(&[(*x, from.max(lowest)), (*x, to)], color, 14);
                markers.push((level.number, pen.place((*x, ratio)), color));
            }
        }
        markers
    };
    Some(panels(
        frame(
            "loss-by-payload",
            "Loss by payload",
            caption,
            grid.levels.iter().map(|l| entry(*l, Mark::Dot)).collect(),
        ),
        (2, 280),
        ("payload in bytes →", "never arrived"),
        grid.panels(&y, draw),
    ))
}
