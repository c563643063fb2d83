//! What `analyze` and `capture` have in common: an analysis from its arguments to the directory
//! and the summary, whatever its frames come from.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::analysis::{self, FindingFiles, Lints, Pipeline, TableFiles, Tables};
use crate::lint::{self, Code};
use crate::report::DiagramOf;
use crate::results::{Summary, finding_severity, render_summary};

use super::args::{Part, ResultArgs};
use super::error::Failure;
use super::fail_on::{FailOn, catalogue};
use super::output::OutputDirectory;
use super::rendering::{self, Histograms, Wanted};
use super::settings::Settings;
use super::terminal::{colors, complain};

/// What is told of packets: tables, where a directory is wanted, and findings.
pub(super) type Observers = (Option<Tables<File>>, Lints<File>);

/// The form in which the summary goes to standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SummaryForm {
    /// For people.
    Text,
    /// `summary.json`'s content.
    Json,
    /// One line of JSON that says that it is the summary.
    JsonLine,
}

/// Results to be made, their arguments checked.
pub(super) struct Analysis {
    parts: Parts,
    fail_on: FailOn,
    diagrams: Vec<DiagramOf>,
    lints: lint::Settings,
    output: Option<OutputDirectory>,
}

impl Analysis {
    /// Checks the arguments: nothing is opened.
    pub(super) fn new(arguments: &ResultArgs) -> Result<Self, Failure> {
        warn_of_idle_options(arguments);
        Ok(Self {
            parts: Parts::new(arguments),
            fail_on: FailOn::new(&arguments.fail_on)?,
            diagrams: rendering::diagrams(&arguments.diagrams)?,
            lints: lint_settings(arguments)?,
            output: None,
        })
    }

    /// Makes or takes the directory, if one is wanted.
    pub(super) fn open_directory(&mut self, arguments: &ResultArgs) -> Result<(), Failure> {
        self.output = arguments
            .output
            .as_deref()
            .map(|path| OutputDirectory::open(path, arguments.force))
            .transpose()?;
        Ok(())
    }

    /// The directory, if it was made now.
    pub(super) fn made_directory(&self) -> Option<&Path> {
        let output = self.output.as_ref()?;
        output.is_new().then(|| output.path())
    }

    /// Begins the tables. `paths` are those of the captures.
    pub(super) fn observers(
        &mut self,
        settings: &Settings,
        paths: &[Vec<u8>],
    ) -> Result<Observers, Failure> {
        let mut lints = Lints::new(self.lints.clone(), settings.schemas.clone());
        let mut tables = None;
        if let Some(output) = &mut self.output
            && self.parts.need_tables()
        {
            tables = Some(open_tables(output, settings, paths.to_vec(), self.parts)?);
            lints = open_findings(lints, output, settings, paths.to_vec(), self.parts)?;
        }
        Ok((tables, lints))
    }

    /// Whether the tables can still be written.
    pub(super) fn goes_on((tables, lints): &Observers) -> bool {
        !lints.failed() && !tables.as_ref().is_some_and(Tables::failed)
    }

    /// Ends the tables, and sums up. What the captures say of themselves is the caller's.
    pub(super) fn summarise(
        &self,
        (tables, mut lints): Observers,
        pipeline: &Pipeline,
    ) -> Result<Summary, Failure> {
        if let (Some(tables), Some(output)) = (tables, &self.output) {
            let path = output.path();
            let finished = tables.finish().and_then(|()| lints.finish());
            finished.map_err(|source| Failure::Write {
                path: path.to_owned(),
                source,
            })?;
        }
        let mut summary = analysis::summary(pipeline, env!("CARGO_PKG_VERSION"));
        lints.describe(&mut summary);
        self.let_go(lints);
        Ok(summary)
    }

    /// What is not needed any more makes room for the report, where there will be one. Where not,
    /// the process gives all of it back at once, and soon: to take tables of a hundred thousand
    /// topics and clients apart first would take longer than all that is left to do.
    fn let_go<T>(&self, tables: T) {
        if self.output.is_some() && self.parts.need_report() {
            drop(tables);
        } else {
            std::mem::forget(tables);
        }
    }

    /// Writes the rest of the directory, gives its files their names, and prints the summary.
    pub(super) fn finish(
        mut self,
        summary: &Summary,
        pipeline: Pipeline,
        arguments: &ResultArgs,
        form: SummaryForm,
    ) -> Result<FailOn, Failure> {
        let json =
            serde_json::to_string_pretty(summary).map_err(|e| Failure::stdout(e.into()))? + "\n";
        let delays = self.output.is_some().then(|| analysis::delays(&pipeline));
        self.let_go(pipeline);
        if let Some(mut output) = self.output.take() {
            output.write("summary.json", json.as_bytes())?;
            let histograms = rendering::histograms(&delays.unwrap_or_default());
            render(
                &mut output,
                self.parts,
                (&json, &histograms),
                &self.diagrams,
            )?;
            output.commit()?;
        }
        let text = match form {
            SummaryForm::Json => json,
            SummaryForm::Text => render_summary(summary, catalogue(), colors(arguments.color)),
            SummaryForm::JsonLine => json_line(summary).map_err(|e| Failure::stdout(e.into()))?,
        };
        io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(Failure::stdout)?;
        Ok(self.fail_on)
    }
}

/// `{"type":"summary",` and the summary's own members.
fn json_line(summary: &Summary) -> serde_json::Result<String> {
    #[derive(serde::Serialize)]
    struct Line<'a> {
        r#type: &'static str,
        #[serde(flatten)]
        summary: &'a Summary,
    }
    let line = Line {
        r#type: "summary",
        summary,
    };
    Ok(serde_json::to_string(&line)? + "\n")
}

/// Whether there is nothing to tell of.
pub(super) fn is_empty(summary: &Summary, settings: &Settings) -> bool {
    let selects = settings.options.selection.topic.is_some();
    summary.mqtt.packets == 0 && (selects || summary.connections == 0)
}

/// Holds the summary to the thresholds.
pub(super) fn check(fail_on: &FailOn, summary: &Summary) -> Result<(), Failure> {
    fail_on.check(summary, &|code| finding_severity(catalogue(), code))
}

/// Options that say how a directory is written do nothing where none is.
fn warn_of_idle_options(arguments: &ResultArgs) {
    let idle: Vec<&str> = [
        (!arguments.only.is_empty(), "--only"),
        (arguments.no_messages, "--no-messages"),
        (!arguments.diagrams.connections.is_empty(), "--diagram"),
        (arguments.force, "--force"),
    ]
    .into_iter()
    .filter_map(|(given, name)| (given && arguments.output.is_none()).then_some(name))
    .collect();
    if !idle.is_empty() {
        let names = idle.join(", ");
        complain(
            "warning",
            &format!("without -o DIR nothing is written: {names} has no effect"),
        );
    }
}

/// What to write to the directory.
#[derive(Clone, Copy, Debug)]
struct Parts {
    tables: bool,
    messages: bool,
    histograms: bool,
    wanted: Wanted,
}

impl Parts {
    fn new(arguments: &ResultArgs) -> Self {
        let only = &arguments.only;
        let wants = |part| only.is_empty() || only.contains(&part);
        Self {
            tables: wants(Part::Tables),
            messages: !arguments.no_messages,
            histograms: wants(Part::Histograms),
            wanted: Wanted {
                plots: wants(Part::Plots),
                page: wants(Part::Report),
            },
        }
    }

    const fn need_report(self) -> bool {
        self.wanted.plots || self.wanted.page
    }

    const fn need_tables(self) -> bool {
        self.tables || self.need_report()
    }

    /// Begins a table: one that nobody asked for is there until the report is made of it.
    fn create(self, output: &mut OutputDirectory, name: &str) -> Result<File, Failure> {
        if self.tables {
            output.create(name)
        } else {
            output.create_passing(name)
        }
    }
}

/// Histograms, plots and page, from what the directory has so far.
fn render(
    output: &mut OutputDirectory,
    parts: Parts,
    (json, histograms): (&str, &Histograms),
    diagrams: &[DiagramOf],
) -> Result<(), Failure> {
    // As `report` will read it.
    let summary = serde_json::from_str(json).map_err(|e| Failure::stdout(e.into()))?;
    let log = rendering::interval_log(histograms, &summary);
    if parts.histograms {
        rendering::write_histograms(output, histograms, &log)?;
    }
    if !parts.need_report() {
        return Ok(());
    }
    let path = output.path().to_owned();
    let digest = rendering::digest(summary, log.as_bytes(), &*output, diagrams, &path)?;
    rendering::write(output, &digest, parts.wanted)
}

fn open_tables(
    output: &mut OutputDirectory,
    settings: &Settings,
    paths: Vec<Vec<u8>>,
    parts: Parts,
) -> Result<Tables<File>, Failure> {
    let mut create = |name| parts.create(output, name);
    let files = TableFiles {
        connections: create("connections.csv")?,
        sessions: create("sessions.csv")?,
        messages: parts.messages.then(|| create("messages.csv")).transpose()?,
        exchanges: create("exchanges.csv")?,
        deliveries: create("deliveries.csv")?,
        subscriptions: create("subscriptions.csv")?,
    };
    let path = output.path().to_owned();
    Tables::new(files, settings.formulas, paths)
        .map(|tables| tables.with_schemas(settings.schemas.clone()))
        .map_err(|source| Failure::Write { path, source })
}

fn open_findings(
    lints: Lints<File>,
    output: &mut OutputDirectory,
    settings: &Settings,
    paths: Vec<Vec<u8>>,
    parts: Parts,
) -> Result<Lints<File>, Failure> {
    let files = FindingFiles {
        findings: parts.create(output, "findings.csv")?,
        topics: parts.create(output, "topics.csv")?,
    };
    let path = output.path().to_owned();
    lints
        .write_to(files, settings.formulas, paths)
        .map_err(|source| Failure::Write { path, source })
}

fn lint_settings(arguments: &ResultArgs) -> Result<lint::Settings, Failure> {
    let mut settings = lint::Settings {
        user_names: arguments.show_credentials,
        ..lint::Settings::default()
    };
    for text in &arguments.thresholds {
        settings.thresholds.set(text).map_err(Failure::Threshold)?;
    }
    for name in &arguments.ignore {
        let code = Code::named(name).ok_or_else(|| Failure::Code(name.clone()))?;
        settings.ignored.push(code);
    }
    Ok(settings)
}
