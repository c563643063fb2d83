//! Histograms, figures and the page of a directory: `analyze` and `report` make them alike, from
//! tables, summary and histograms.

use std::collections::BTreeMap;
use std::path::Path;

use hdrhistogram::Histogram;

use crate::report::{self, DiagramOf, Digest, Experiment, Figure, TableSource};
use crate::results::{Manifest, Summary};
use crate::stats::Delays;

use super::args::DiagramArgs;
use super::error::Failure;
use super::fail_on::catalogue;
use super::output::OutputDirectory;
use super::terminal::complain;

/// The log of all histograms, within `histograms/`.
pub(super) const LOG: &str = "histograms/delays.hlog";

/// Histograms by the names of their delays.
pub(super) type Histograms = BTreeMap<String, Histogram<u64>>;

/// What to make.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) plots: bool,
    pub(super) page: bool,
}

/// The connections to draw.
pub(super) fn diagrams(arguments: &DiagramArgs) -> Result<Vec<DiagramOf>, Failure> {
    let parse = |text: &String| {
        let (connection, tap) = text.split_once('@').unwrap_or((text, "0"));
        match (connection.parse(), tap.parse()) {
            (Ok(connection), Ok(tap)) => Ok(DiagramOf { connection, tap }),
            _ => Err(Failure::Diagram(text.clone())),
        }
    };
    arguments.connections.iter().map(parse).collect()
}

/// The histograms of a run by their names.
pub(super) fn histograms(delays: &BTreeMap<String, Delays>) -> Histograms {
    let all = delays.iter();
    all.filter_map(|(name, delays)| Some((name.clone(), delays.histogram()?)))
        .collect()
}

/// The log of the histograms of a run.
pub(super) fn interval_log(histograms: &Histograms, summary: &Summary) -> String {
    let named: Vec<report::Named<'_>> = histograms
        .iter()
        .map(|(name, histogram)| (name.as_str(), histogram))
        .collect();
    let first = summary.captures.iter().filter_map(|c| c.first_ns).min();
    let last = summary.captures.iter().filter_map(|c| c.last_ns).max();
    let (first, last) = (first.unwrap_or(0), last.unwrap_or(0));
    report::interval_log(&named, first, last.saturating_sub(first))
}

/// Writes `histograms/`.
pub(super) fn write_histograms(
    output: &mut OutputDirectory,
    histograms: &Histograms,
    log: &str,
) -> Result<(), Failure> {
    for (name, histogram) in histograms {
        let text = report::percentile_text(histogram);
        output.write(&format!("histograms/{name}.hgrm"), text.as_bytes())?;
    }
    output.write(LOG, log.as_bytes())
}

/// Reads the tables.
pub(super) fn digest(
    summary: Summary,
    log: &[u8],
    tables: &dyn TableSource,
    diagrams: &[DiagramOf],
    path: &Path,
) -> Result<Digest, Failure> {
    let histograms = report::read_interval_log(log);
    let digest = Digest::read(summary, histograms, tables, diagrams).map_err(|error| {
        Failure::Unreadable {
            path: path.to_owned(),
            detail: error.to_string(),
        }
    })?;
    for of in digest.missing_diagrams() {
        let DiagramOf { connection, tap } = of;
        complain(
            "warning",
            &format!(
                "--diagram: there is no connection {connection} at tap {tap} in connections.csv"
            ),
        );
    }
    Ok(digest)
}

/// Writes plots and the page.
pub(super) fn write(
    output: &mut OutputDirectory,
    digest: &Digest,
    wanted: Wanted,
) -> Result<(), Failure> {
    let figures = report::figures(digest);
    if wanted.plots {
        plots(output, &figures)?;
    }
    if wanted.page {
        let page = report::page(digest, &figures, catalogue());
        output.write("report.html", page.as_bytes())?;
    }
    Ok(())
}

fn plots(output: &mut OutputDirectory, figures: &[Figure]) -> Result<(), Failure> {
    for figure in figures {
        let name = &figure.name;
        output.write(&format!("plots/{name}.svg"), figure.svg().as_bytes())?;
        output.write(&format!("plots/{name}.png"), &figure.png())?;
    }
    Ok(())
}

/// Reads the tables of an experiment, a probe or a study.
pub(super) fn experiment(
    manifest: Manifest,
    tables: &dyn TableSource,
    path: &Path,
) -> Result<Experiment, Failure> {
    Experiment::read(manifest, tables).map_err(|error| Failure::UnreadableRun {
        path: path.to_owned(),
        detail: error.to_string(),
    })
}

/// Writes plots and the page of an experiment.
pub(super) fn write_experiment(
    output: &mut OutputDirectory,
    experiment: &Experiment,
) -> Result<(), Failure> {
    let figures = report::experiment_figures(experiment);
    plots(output, &figures)?;
    let page = report::experiment_page(experiment, &figures);
    output.write("report.html", page.as_bytes())
}
