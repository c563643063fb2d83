//! `mqttscope analyze`

use std::fs::File;
use std::io::{self, Write};
use std::time::Instant;

use crate::analysis::{self, FindingFiles, Lints, TableFiles, Tables};
use crate::capture::{Capture, FileSummary};
use crate::lint::{self, Code};
use crate::report::DiagramOf;
use crate::results::{
    CaptureSummary, Summary, TapSummary, Throughput, escape, finding_severity, render_summary,
};
use crate::time::Timestamp;

use super::args::{AnalyzeArgs, Part};
use super::error::Failure;
use super::fail_on::{FailOn, catalogue};
use super::input::{Input, no_mqtt};
use super::output::OutputDirectory;
use super::rendering::{self, Histograms, Wanted};
use super::terminal::{colors, complain};

pub(super) fn run(arguments: &AnalyzeArgs) -> Result<(), Failure> {
    let began = Instant::now();
    let parts = Parts::new(arguments);
    let fail_on = FailOn::new(&arguments.fail_on)?;
    let diagrams = rendering::diagrams(&arguments.diagrams)?;
    let settings = lint_settings(arguments)?;
    warn_of_idle_options(arguments);
    let mut input = Input::open(&arguments.capture)?;
    let mut output = arguments
        .output
        .as_deref()
        .map(|path| OutputDirectory::open(path, arguments.force))
        .transpose()?;
    let mut lints = Lints::new(settings, input.settings.schemas.clone());
    let mut tables = None;
    if let Some(output) = &mut output
        && parts.need_tables()
    {
        tables = Some(open_tables(output, &input, parts)?);
        lints = open_findings(lints, output, &input, parts)?;
    }
    let mut observers = (tables, lints);
    let pipeline = input.run(&mut observers, |(tables, lints)| {
        !lints.failed() && !tables.as_ref().is_some_and(Tables::failed)
    });
    let (tables, mut lints) = observers;
    if let (Some(tables), Some(output)) = (tables, &output) {
        let path = output.path();
        let finished = tables.finish().and_then(|()| lints.finish());
        finished.map_err(|source| Failure::Write {
            path: path.to_owned(),
            source,
        })?;
    }
    let mut summary = analysis::summary(&pipeline, env!("CARGO_PKG_VERSION"));
    lints.describe(&mut summary);
    describe(&mut summary, &input.capture);
    let bytes = summary.captures.iter().map(|capture| capture.bytes).sum();
    summary.throughput = Some(Throughput::new(
        began.elapsed().as_secs_f64(),
        summary.frames,
        bytes,
    ));
    let json =
        serde_json::to_string_pretty(&summary).map_err(|e| Failure::stdout(e.into()))? + "\n";
    let selects = input.settings.options.selection.topic.is_some();
    let empty = summary.mqtt.packets == 0 && (selects || summary.connections == 0);
    if empty && !arguments.allow_empty {
        // Earlier results in the directory stay as they are.
        input.check()?;
        return Err(Failure::NoMqtt(no_mqtt(&input, &pipeline)));
    }
    if let Some(mut output) = output {
        output.write("summary.json", json.as_bytes())?;
        let histograms = rendering::histograms(&analysis::delays(&pipeline));
        // What the pipeline holds is not needed any more, and the report takes memory too.
        drop(pipeline);
        render(&mut output, parts, (&json, &histograms), &diagrams)?;
        output.commit()?;
    }
    let text = if arguments.json {
        json
    } else {
        render_summary(&summary, catalogue(), colors(arguments.color))
    };
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::stdout)?;
    input.check()?;
    fail_on.check(&summary, &|code| finding_severity(catalogue(), code))
}

/// Options that say how a directory is written do nothing where none is.
fn warn_of_idle_options(arguments: &AnalyzeArgs) {
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
    fn new(arguments: &AnalyzeArgs) -> Self {
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
    input: &Input,
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
    Tables::new(files, input.settings.formulas, input.paths())
        .map(|tables| tables.with_schemas(input.settings.schemas.clone()))
        .map_err(|source| Failure::Write { path, source })
}

fn open_findings(
    lints: Lints<File>,
    output: &mut OutputDirectory,
    input: &Input,
    parts: Parts,
) -> Result<Lints<File>, Failure> {
    let files = FindingFiles {
        findings: parts.create(output, "findings.csv")?,
        topics: parts.create(output, "topics.csv")?,
    };
    let path = output.path().to_owned();
    lints
        .write_to(files, input.settings.formulas, input.paths())
        .map_err(|source| Failure::Write { path, source })
}

fn lint_settings(arguments: &AnalyzeArgs) -> Result<lint::Settings, Failure> {
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

/// Adds what the captures say of themselves.
fn describe(summary: &mut Summary, capture: &Capture) {
    let name = |file: &FileSummary| escape(file.path.as_os_str().as_encoded_bytes()).into_owned();
    summary.captures = capture
        .files()
        .iter()
        .map(|file| CaptureSummary {
            path: name(file),
            format: match file.compression {
                Some(compression) => format!("{} ({compression})", file.container),
                None => file.container.to_string(),
            },
            link_types: file.link_types.iter().map(ToString::to_string).collect(),
            frames: file.frames,
            bytes: file.bytes,
            first_ns: file.first.map(Timestamp::as_nanos),
            last_ns: file.last.map(Timestamp::as_nanos),
            truncated: file.truncated,
            warnings: file.warnings.iter().map(ToString::to_string).collect(),
        })
        .collect();
    summary.taps = (0_u16..)
        .zip(capture.taps())
        .map(|(tap, description)| TapSummary {
            tap,
            paths: description
                .files
                .iter()
                .filter_map(|&file| capture.files().get(file as usize).map(name))
                .collect(),
            interface: description
                .name
                .as_ref()
                .map(|name| escape(name.as_bytes()).into_owned()),
            link_type: description.link_type.to_string(),
        })
        .collect();
    let drops = |file: &FileSummary| match (file.dropped_by_interface, file.dropped_by_system) {
        (None, None) => None,
        (interface, system) => Some(interface.unwrap_or(0).saturating_add(system.unwrap_or(0))),
    };
    summary.capture_drops = capture
        .files()
        .iter()
        .filter_map(drops)
        .fold(None, |sum: Option<u64>, drops| {
            Some(sum.unwrap_or(0).saturating_add(drops))
        });
}
