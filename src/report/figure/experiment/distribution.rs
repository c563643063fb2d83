//! Distributions of delays, a panel for each payload and link, a line for each QoS.

use super::{entry, frame};
use crate::report::experiment::{Experiment, Level};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{Entry, Mark, Plane, chart};
use crate::report::figure::delays::staircase;
use crate::report::figure::panels::{Panel, panels};
use crate::report::figure::{Figure, theme};
use crate::results::grouped;
use hdrhistogram::Histogram;

/// More panels than these are too small to read.
const MOST_PANELS: usize = 24;

/// The lines of one panel.
struct Group<'e> {
    title: String,
    lines: Vec<(Level, &'e Histogram<u64>)>,
}

/// By link, then by payload.
fn groups(experiment: &Experiment) -> Vec<Group<'_>> {
    let Some(part) = experiment.main_part() else {
        return Vec::new();
    };
    let (levels, links) = (experiment.levels(&part), experiment.links(&part));
    let conditions = experiment.conditions(&part);
    let mut groups = Vec::new();
    for link in &links {
        for bytes in experiment.payloads(&part) {
            let lines: Vec<(Level, &Histogram<u64>)> = conditions
                .iter()
                .filter(|c| c.first.link == *link && c.first.payload_bytes == bytes)
                .filter_map(|condition| {
                    let level = levels.iter().find(|level| level.has(condition.first))?;
                    let histogram = experiment.delays.get(&condition.number)?;
                    (!histogram.is_empty()).then_some((*level, histogram))
                })
                .collect();
            if !lines.is_empty() {
                let mut title = format!("{} B", grouped(bytes));
                if let Some(link) = link {
                    title = format!("{title}, {link}");
                }
                groups.push(Group { title, lines });
            }
        }
    }
    groups
}

fn extent<'h>(histograms: impl Iterator<Item = &'h Histogram<u64>> + Clone) -> Axis {
    let low = histograms.clone().map(Histogram::min).min();
    let high = histograms.map(Histogram::max).max();
    Axis::delays(low.unwrap_or(1) as f64, high.unwrap_or(1) as f64)
}

pub(super) fn percentiles(experiment: &Experiment) -> Option<Figure> {
    // A few are shown at length; of many only their distributions.
    let groups = groups(experiment);
    let most = groups
        .iter()
        .flat_map(|group| &group.lines)
        .map(|l| l.1.len());
    let quantiles = Axis::quantiles(most.max()?);
    let caption = "Delay (received − planned) that a share of the messages did not exceed. The \
                   last tenth has as much room as the first nine, and so has each tenth of what is \
                   left. All valid cells of a condition together.";
    draw(
        experiment,
        groups,
        ("delay-percentiles", "Delay: percentiles", caption),
        ("share of the messages →", "delay"),
        |delays| (quantiles.clone(), delays),
        |value, share| (share, value),
    )
}

pub(super) fn cumulative(experiment: &Experiment) -> Option<Figure> {
    let caption = "Share of the messages that arrived (vertical) within so long (horizontal). All \
                   valid cells of a condition together.";
    draw(
        experiment,
        groups(experiment),
        ("delay-ecdf", "Delay: cumulative distribution", caption),
        ("delay →", "share of the messages that arrived"),
        |delays| (delays, Axis::cumulative()),
        |value, share| (value, share),
    )
}

fn draw(
    experiment: &Experiment,
    mut groups: Vec<Group<'_>>,
    (name, title, caption): (&str, &str, &str),
    titles: (&str, &str),
    axes: impl Fn(Axis) -> (Axis, Axis),
    place: impl Fn(f64, f64) -> (f64, f64) + Copy,
) -> Option<Figure> {
    let part = experiment.main_part()?;
    let lines = groups
        .iter()
        .flat_map(|group| group.lines.iter().map(|line| line.1));
    let delays = extent(lines.clone());
    let n: u64 = lines.map(Histogram::len).sum();
    let mut caption = format!("{caption} n = {}.", grouped(n));
    if groups.len() > MOST_PANELS {
        caption += &format!(" The first {MOST_PANELS} of {} conditions.", groups.len());
        groups.truncate(MOST_PANELS);
    }
    let (columns, height) = match (groups.len(), experiment.payloads(&part).len()) {
        (0, _) => return None,
        (1, _) => (1, 340),
        (2, _) => (2, 300),
        (3, _) => (3, 260),
        (4, _) => (2, 240),
        // A row for each link.
        (_, 3) => (3, 220),
        _ => (4, 180),
    };
    let legend = experiment.levels(&part);
    let small = columns > 2;
    let drawn = groups.into_iter().map(|group| {
        let (x, y) = axes(delays.clone());
        Panel {
            title: group.title,
            x,
            y,
            draw: Box::new(move |plane: &mut Plane<'_, '_>| {
                let lines = group.lines.iter().enumerate();
                let all = lines.flat_map(|(index, (level, histogram))| {
                    let offset = index as f64 / group.lines.len() as f64;
                    let marked = if small { (2, offset) } else { (4, offset) };
                    staircase(plane, (level.number, histogram), marked, place)
                });
                all.collect()
            }),
        }
    });
    Some(panels(
        frame(
            name,
            title,
            caption,
            legend
                .iter()
                .map(|level| entry(*level, Mark::Line))
                .collect(),
        ),
        (columns, height),
        titles,
        drawn.collect(),
    ))
}

/// How late messages were sent, of all cells.
pub(super) fn send_lag(experiment: &Experiment) -> Option<Figure> {
    let lags: Vec<(u8, &Histogram<u64>)> = (experiment.send_lag.iter())
        .filter(|(_, histogram)| !histogram.is_empty())
        .map(|(qos, histogram)| (*qos, histogram))
        .collect();
    let most = lags.iter().map(|(_, histogram)| histogram.len()).max()?;
    let legend = lags.iter().map(|(qos, histogram)| Entry {
        color: theme::series(usize::from(*qos)),
        mark: Mark::Line,
        number: usize::from(*qos),
        label: format!("QoS {qos} (n = {})", grouped(histogram.len())),
    });
    let caption = "Sent − planned: how late the tester itself was, of all cells, invalid ones too. \
                   It is part of every delay here, and a cell where it is too long is invalid.";
    Some(chart(
        frame(
            "send-lag",
            "Send lag: percentiles",
            caption.to_owned(),
            legend.collect(),
        ),
        (Axis::quantiles(most), "share of the messages →"),
        (extent(lags.iter().map(|lag| lag.1)), "send lag"),
        |plane| {
            let all = lags.iter().flat_map(|(qos, histogram)| {
                let series = (usize::from(*qos), *histogram);
                staircase(plane, series, (5, 0.5), |value, share| (share, value))
            });
            all.collect()
        },
    ))
}
