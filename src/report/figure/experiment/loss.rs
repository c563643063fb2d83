//! Loss of each condition, with its interval.

use super::frame;
use crate::report::experiment::Experiment;
use crate::report::figure::Figure;
use crate::report::figure::loss::{Share, shares};

/// More rows than these are drawn by payload only.
const MOST_ROWS: usize = 36;

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let part = experiment.main_part()?;
    let levels = experiment.levels(&part);
    let rows: Vec<Share> = (experiment.conditions(&part).iter())
        .filter(|condition| !condition.cells.is_empty())
        .map(|condition| {
            let level = levels.iter().find(|level| level.has(condition.first));
            Share {
                name: condition.label(),
                share: condition.never_arrived(),
                number: level.map_or(0, |level| level.number),
            }
        })
        .collect();
    if rows.is_empty() || rows.len() > MOST_ROWS {
        return None;
    }
    let caption = "Share of written messages that never arrived, all valid cells of a condition \
                   together, with its 95 % interval (Wilson). An arrow: none was lost, and the \
                   share is below its foot (3 / n).";
    Some(shares(
        frame("loss", "Loss by condition", caption.to_owned(), Vec::new()),
        30,
        &rows,
    ))
}
