//! `mqttscope report`

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::report::{self, DiagramOf, Digest};
use crate::results::{Manifest, PROBE_SCHEMA, SCHEMA, STUDY_SCHEMA, Summary, escape};

use super::args::ReportArgs;
use super::error::Failure;
use super::fail_on::{FailOn, catalogue};
use super::output::{OutputDirectory, Results};
use super::rendering::{self, LOG, Wanted};

pub(super) fn run(arguments: &ReportArgs) -> Result<(), Failure> {
    match manifest(&arguments.directory)? {
        Some(manifest) => experiment(arguments, manifest),
        None => analysis(arguments),
    }
}

/// The manifest of a directory of an experiment; of an analysis there is none.
fn manifest(path: &Path) -> Result<Option<Manifest>, Failure> {
    let no_results = |detail: String| Failure::NoResults {
        path: path.to_owned(),
        detail: format!("manifest.json: {detail}"),
    };
    let json = match fs::read(path.join("manifest.json")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        json => json.map_err(|error| no_results(error.to_string()))?,
    };
    let manifest: Manifest =
        serde_json::from_slice(&json).map_err(|error| no_results(error.to_string()))?;
    if ![PROBE_SCHEMA, STUDY_SCHEMA].contains(&manifest.schema.as_str()) {
        let schema = escape(manifest.schema.as_bytes());
        return Err(no_results(format!(
            "its schema is \"{schema}\", not {PROBE_SCHEMA} or {STUDY_SCHEMA}"
        )));
    }
    Ok(Some(manifest))
}

/// Plots and page of a probe or a study.
fn experiment(arguments: &ReportArgs, manifest: Manifest) -> Result<(), Failure> {
    let not_here = |option: &'static str| Failure::OfAnalysisOnly {
        option,
        path: arguments.directory.clone(),
    };
    if arguments.compare.is_some() {
        return Err(not_here("--compare"));
    }
    if !arguments.diagrams.connections.is_empty() {
        return Err(not_here("--diagram"));
    }
    if !arguments.fail_on.expressions.is_empty() {
        return Err(not_here("--fail-on"));
    }
    let directory = arguments.directory.as_path();
    let read = rendering::experiment(manifest, &Results(directory), directory)?;
    let target = arguments.output.as_deref().unwrap_or(directory);
    let mut output = OutputDirectory::add_to(target)?;
    rendering::write_experiment(&mut output, &read)?;
    output.commit()
}

/// Plots and page of an analysis, or two of them side by side.
fn analysis(arguments: &ReportArgs) -> Result<(), Failure> {
    let fail_on = FailOn::new(&arguments.fail_on)?;
    let diagrams = rendering::diagrams(&arguments.diagrams)?;
    let directory = arguments.directory.as_path();
    let digest = read(directory, &diagrams)?;
    let target = arguments.output.as_deref().unwrap_or(directory);
    let mut output = OutputDirectory::add_to(target)?;
    if let Some(other) = &arguments.compare {
        let other_digest = read(other, &[])?;
        let names = [directory, other].map(|path| path.display().to_string());
        let comparison = report::compare(&digest, &other_digest, names, catalogue());
        output.write("compare.html", comparison.page().as_bytes())?;
        output.commit()?;
        io::stdout()
            .lock()
            .write_all(comparison.text().as_bytes())
            .map_err(Failure::stdout)?;
    } else {
        let wanted = Wanted {
            plots: true,
            page: true,
        };
        rendering::write(&mut output, &digest, wanted)?;
        output.commit()?;
    }
    fail_on.check(digest.summary(), &|code| digest.severity(code, catalogue()))
}

/// A directory of results, read.
fn read(path: &Path, diagrams: &[DiagramOf]) -> Result<Digest, Failure> {
    let no_results = |detail: String| Failure::NoResults {
        path: path.to_owned(),
        detail,
    };
    let json = fs::read(path.join("summary.json"))
        .map_err(|error| no_results(format!("summary.json: {error}")))?;
    let summary: Summary = serde_json::from_slice(&json)
        .map_err(|error| no_results(format!("summary.json: {error}")))?;
    if summary.schema != SCHEMA {
        let schema = summary.schema;
        return Err(no_results(format!(
            "summary.json is {schema}, not {SCHEMA}"
        )));
    }
    let log = match fs::read(path.join(LOG)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(error) => {
            return Err(Failure::Unreadable {
                path: path.join(LOG),
                detail: error.to_string(),
            });
        }
        Ok(log) => log,
    };
    rendering::digest(summary, &log, &Results(path), diagrams, path)
}
