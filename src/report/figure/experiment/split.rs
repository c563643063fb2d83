//! Where delay comes from: the publisher's link, the broker, the subscriber's link, TCP's recovery.

use super::frame;
use super::stack::{Bar, legend, stacked};
use crate::report::experiment::{Experiment, counts, nanos};
use crate::report::figure::Figure;
use crate::results::CellRow;
use crate::stats::middle;
use crate::time::TimeDelta;

/// The shares, in the order of the way.
const SHARES: [&str; 3] = ["publisher's link", "broker", "subscriber's link"];

/// A bar for each QoS and link of the main part.
pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let part = experiment.main_part()?;
    let levels = experiment.levels(&part);
    let mut bars: Vec<Bar> = Vec::new();
    for link in experiment.links(&part) {
        for level in &levels {
            let cells: Vec<&CellRow> = (experiment.cells.iter())
                .filter(|c| c.part == part && c.link == link && level.has(c) && counts(c))
                .collect();
            let label = match &link {
                Some(link) => format!("{}, {link}", level.label()),
                None => level.label(),
            };
            let apart = !bars.is_empty() && Some(level) == levels.first();
            bars.extend(bar(&cells, label, apart));
        }
    }
    if bars.is_empty() {
        return None;
    }
    let caption = "Medians of each share over the messages of a cell, by the packets at the taps; the middle \
                   of all payloads and blocks. At QoS 2 the publisher's share has one round trip more where the \
                   broker forwards at PUBREL. The diamond is the median of the whole way; medians of shares need \
                   not add up to it."
        .to_owned();
    let mut frame = frame(
        "delay-split",
        "Where the delay comes from",
        caption,
        Vec::new(),
    );
    frame.legend = legend(&SHARES, Some("median of the whole way"));
    frame.description =
        "What TCP waited to send again is inside the shares of the links; the table has its \
                         mean for each condition."
            .to_owned();
    Some(stacked(
        frame,
        "time since the PUBLISH left the publisher →",
        &bars,
    ))
}

fn bar(cells: &[&CellRow], label: String, apart: bool) -> Option<Bar> {
    let of = |column: fn(&CellRow) -> Option<TimeDelta>| {
        let values: Vec<f64> = cells
            .iter()
            .filter_map(|cell| nanos(column(cell)))
            .collect();
        middle(&values)
    };
    let shares = [
        of(|cell| cell.publisher_link_ns),
        of(|cell| cell.broker_ns),
        of(|cell| cell.subscriber_link_ns),
    ];
    let numbered = shares.iter().enumerate();
    let parts: Vec<(usize, f64)> = numbered
        .filter_map(|(n, share)| Some((n, (*share)?)))
        .collect();
    (!parts.is_empty()).then(|| Bar {
        label,
        parts,
        mark: of(|cell| cell.wire_delay_median_ns),
        apart,
    })
}
