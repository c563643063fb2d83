//! `mqttscope report`

use std::fs;
use std::io::{self, Write};
use std::path::Path;

use crate::report::{self, DiagramOf, Digest};
use crate::results::{SCHEMA, Summary};

use super::args::ReportArgs;
use super::error::Failure;
use super::fail_on::{FailOn, catalogue};
use super::output::{OutputDirectory, Results};
use super::rendering::{self, LOG, Wanted};

pub(super) fn run(arguments: &ReportArgs) -> Result<(), Failure> {
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
