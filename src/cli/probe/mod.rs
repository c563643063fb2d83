//! `mqttscope probe`

mod args;
mod baseline;
mod beside;
mod check;
mod failure;
mod faults;
pub(super) mod manifest;
pub(super) mod progress;
mod security;
mod settings;
mod site;
pub(super) mod store;
mod table;

use std::collections::BTreeSet;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::probe::check::quick;
use crate::probe::clock::{self, Epoch};
use crate::probe::rows::{self, Labels};
use crate::probe::tally::Tally;
use crate::probe::{self, blocks::Placed};
use crate::probe::{CellError, CellPlan, run_cell};
use crate::results::{CellRow, Manifest, PROBE_SCHEMA};

use super::error::Failure;
use super::experiment::SAMPLE_BYTES;
use super::output::free_bytes;
use super::terminal::complain;

pub(super) use args::{ProbeArgs, SecurityArgs};
pub(super) use failure::ProbeFailure;
pub(super) use security::security;

use baseline::Floor;
use beside::Beside;
use manifest::RunPlan;
use progress::Progress;
use settings::Settings;
use store::{Earlier, Store};

pub(super) fn run(arguments: &ProbeArgs) -> Result<(), Failure> {
    if arguments.check {
        return check::run(arguments);
    }
    let mut run = Run::new(arguments)?;
    run.knock()?;
    run.ask();
    if !arguments.no_baseline && run.manifest.baseline.is_none() {
        run.baseline()?;
    }
    let outcome = run.measure();
    run.end(arguments, outcome)
}

/// A run under way.
struct Run {
    settings: Settings,
    manifest: Manifest,
    epoch: Epoch,
    store: Option<Store>,
    directory: Option<std::path::PathBuf>,
    /// Those of all cells that are finished.
    rows: Vec<CellRow>,
    interrupt: Arc<AtomicBool>,
}

impl Run {
    fn new(arguments: &ProbeArgs) -> Result<Self, Failure> {
        match &arguments.resume {
            Some(path) => Self::resume(arguments, path),
            None => Self::begin(arguments),
        }
    }

    fn begin(arguments: &ProbeArgs) -> Result<Self, Failure> {
        let seed = arguments.design.seed.unwrap_or_else(rand::random);
        let settings = Settings::new(arguments, seed)?;
        let epoch = Epoch::read();
        let started = epoch.timestamp(clock::now()).as_nanos();
        let plan = RunPlan::new(arguments, &settings);
        let manifest = manifest::new(&plan, &settings, epoch, started);
        let store = (arguments.output.as_deref())
            .map(|path| {
                let store = Store::create(path, arguments.force, settings.formulas, &manifest)?;
                room(path, &settings)?;
                Ok::<_, Failure>(store)
            })
            .transpose()?;
        Ok(Self {
            settings,
            manifest,
            epoch,
            store,
            directory: arguments.output.clone(),
            rows: Vec::new(),
            interrupt: interrupt()?,
        })
    }

    fn resume(arguments: &ProbeArgs, path: &Path) -> Result<Self, Failure> {
        let earlier = Earlier::read(path, PROBE_SCHEMA)?;
        let plan: RunPlan = serde_json::from_value(earlier.manifest.plan.clone()).map_err(|e| {
            ProbeFailure::NoRun {
                path: path.to_owned(),
                detail: format!("the plan in manifest.json: {e}"),
            }
        })?;
        let settings = Settings::of(&plan, arguments)?;
        let manifest = earlier.manifest.clone();
        // The offset of the first run would lead elsewhere after a restart of the machine.
        let epoch = Epoch::read();
        let store = Store::resume(path, &earlier, settings.formulas, &manifest)?;
        Ok(Self {
            settings,
            manifest,
            epoch,
            store: Some(store),
            directory: Some(path.to_owned()),
            rows: earlier.cells,
            interrupt: interrupt()?,
        })
    }

    /// Whether the broker lets us in at all, before anything takes time.
    fn knock(&self) -> Result<(), Failure> {
        let cells = self.settings.design.cells();
        let Some((placed, plan)) = cells.first() else {
            return Ok(());
        };
        let settings = &self.settings;
        probe::knock(plan, &settings.dialect, &settings.site.connector)
            .map_err(|error| self.failure(placed.cell, error))
    }

    /// What is cheap to ask the broker before it is measured.
    fn ask(&mut self) {
        let design = &self.settings.design;
        if !self.manifest.checks.is_empty() {
            return;
        }
        let site = check::site(&self.settings, &design.base.topic_prefix);
        let verdicts = quick(&site, design.qos.contains(&2));
        manifest::learn_broker(&mut self.manifest, verdicts);
    }

    /// The tool's own floor. Where the embedded broker is measured anyway there is no other.
    fn baseline(&mut self) -> Result<(), Failure> {
        if self.settings.embedded.is_some() {
            return Ok(());
        }
        let (design, timeout) = (&self.settings.design, self.settings.timeout);
        let floors = baseline::measure(design, timeout, &|| !progress::is_set(&self.interrupt))?;
        self.manifest.baseline = serde_json::to_value(floors).ok();
        Ok(())
    }

    /// Measures the cells that are missing, until one cannot be measured.
    fn measure(&mut self) -> Result<(), Failure> {
        let cells = self.settings.design.cells();
        let finished: BTreeSet<u32> = self.rows.iter().map(|row| row.cell).collect();
        let progress = Progress::new(cells.len(), finished.len());
        let mut beside = Beside::default();
        for (placed, plan) in &cells {
            if finished.contains(&placed.cell) {
                continue;
            }
            let row = self.cell(*placed, plan, &progress, &mut beside);
            match row {
                Ok(row) => progress.end(&row),
                Err(failure) => {
                    progress.finish();
                    return Err(failure);
                }
            }
        }
        progress.finish();
        Ok(())
    }

    fn cell(
        &mut self,
        placed: Placed,
        plan: &CellPlan,
        progress: &Progress,
        beside: &mut Beside,
    ) -> Result<CellRow, Failure> {
        progress.begin(plan);
        let mut watch = |state| {
            progress.show(state);
            !progress::is_set(&self.interrupt)
        };
        let (dialect, connector) = (&self.settings.dialect, &self.settings.site.connector);
        let sys_before = beside.read(&self.settings);
        let before = self.settings.site.counts();
        self.settings.site.begin_cell();
        let result = run_cell(plan, dialect, connector, &mut watch)
            .map_err(|error| self.failure(placed.cell, error))?;
        let tally = Tally::new(&result);
        let labels = Labels {
            placed,
            part: "probe".into(),
            link: None,
            packet_loss: None,
            fault: self.settings.faults.describe().map(Arc::from),
            client: plan.client.name().into(),
            epoch: self.epoch,
        };
        let row = rows::cell(&result, &tally, &labels);
        if let Some(store) = &mut self.store {
            store.add(&result, &labels, &row)?;
        }
        self.note(&result, &tally);
        beside.keep(&mut self.manifest, &result, sys_before, &self.settings);
        let cut = self.settings.site.counts().cut - before.cut;
        if cut > 0 {
            let text = format!("cell {}: the proxy cut {cut} connections", placed.cell);
            self.manifest.notes.push(text);
        }
        self.rows.push(row.clone());
        Ok(row)
    }

    /// What the tables have no place for.
    fn note(&mut self, result: &crate::probe::CellResult, tally: &Tally) {
        let manifest = &mut self.manifest;
        let cell = result.plan.cell;
        // The check before the run held PUBREL back and is certain. Messages that came before the stamp
        // behind a PUBREL's write are none: the scheduler may let broker and receiver run first.
        let is_open = manifest.broker.qos2_forwarded_at.is_none() && tally.doubts.is_empty();
        if let Some(at) = tally.qos2_forwarded_at().filter(|_| is_open) {
            manifest.broker.qos2_forwarded_at = Some(at.into());
        }
        let mut note = |text: String| manifest.notes.push(format!("cell {cell}: {text}"));
        if let Some(step) = result.clock_step_ns {
            let step = crate::time::TimeDelta::from_nanos(step);
            note(format!(
                "the system's clock was set by {step} meanwhile; stamps are monotonic and not \
                 touched by that"
            ));
        }
        let unexpected: u64 = (result.publishers.iter())
            .map(|publisher| publisher.unexpected_acknowledgements)
            .sum();
        if unexpected > 0 {
            note(format!(
                "the broker acknowledged {unexpected} packet identifiers that were not in flight"
            ));
        }
        let foreign: u64 = (result.publishers.iter().map(|publisher| publisher.foreign))
            .chain(
                result
                    .subscribers
                    .iter()
                    .map(|subscriber| subscriber.foreign),
            )
            .sum();
        if foreign > 0 {
            note(format!(
                "{foreign} packets came that are none of this cell's"
            ));
        }
        let granted = result.subscribers.iter().map(|s| s.granted_qos).min();
        if let Some(granted) = granted.filter(|qos| *qos < result.plan.subscriber_qos) {
            note(format!("the broker granted QoS {granted} only"));
        }
        let reconnects: u32 = (result
            .publishers
            .iter()
            .map(|publisher| publisher.reconnects))
        .chain(
            result
                .subscribers
                .iter()
                .map(|subscriber| subscriber.reconnects),
        )
        .sum();
        if reconnects > 0 {
            let resumed: u32 = (result.publishers.iter().map(|publisher| publisher.resumed))
                .chain(
                    result
                        .subscribers
                        .iter()
                        .map(|subscriber| subscriber.resumed),
                )
                .sum();
            note(format!(
                "{reconnects} reconnections, {resumed} of them with the session; {} messages sent \
                 again",
                tally.resent
            ));
        }
    }

    fn failure(&self, cell: u32, error: CellError) -> Failure {
        match error {
            CellError::Interrupted => ProbeFailure::Interrupted {
                finished: self.rows.len(),
                planned: self.settings.design.cells().len(),
                // Of no cell nothing is kept.
                directory: self.directory.clone().filter(|_| !self.rows.is_empty()),
            },
            error => ProbeFailure::Cell {
                broker: self.settings.site.name.clone(),
                cell,
                finished: u32::try_from(self.rows.len()).unwrap_or(u32::MAX),
                error,
            },
        }
        .into()
    }

    /// Keeps what is finished, prints it, and says how it went.
    fn end(mut self, arguments: &ProbeArgs, outcome: Result<(), Failure>) -> Result<(), Failure> {
        self.manifest.cells_finished = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if outcome.is_ok() {
            self.manifest.ended_ns = Some(self.epoch.timestamp(clock::now()).as_nanos());
        }
        let drift = Epoch::read().offset_ns - self.epoch.offset_ns;
        self.manifest.clock.drift_ns = Some(drift);
        if self.rows.is_empty() {
            // Nothing is worth keeping, and earlier results stay as they are.
            return outcome;
        }
        for note in &self.manifest.notes {
            complain("note", note);
        }
        if let Some(store) = self.store.take() {
            store.finish(&self.manifest, &self.rows)?;
        }
        let text = if arguments.json {
            table::json(&self.manifest, &self.rows).map_err(|e| Failure::stdout(e.into()))?
        } else {
            let floors = self.manifest.baseline.clone().unwrap_or_default();
            let floors: Vec<Floor> = serde_json::from_value(floors).unwrap_or_default();
            let mut text = table::render(&self.rows);
            if !floors.is_empty() {
                text.push_str(&baseline::render(&floors));
            }
            text
        };
        io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(Failure::stdout)?;
        outcome?;
        let held = self.settings.fail_on.check(&self.rows);
        match self.rows.iter().filter(|row| !row.valid).count() {
            0 => held,
            invalid => Err(ProbeFailure::Invalid(invalid).into()),
        }
    }
}

fn interrupt() -> Result<Arc<AtomicBool>, Failure> {
    progress::interrupt().map_err(|error| ProbeFailure::Plan(error.to_string()).into())
}

/// Whether the samples have room, found before the first message goes out.
fn room(path: &Path, settings: &Settings) -> Result<(), Failure> {
    let rows: u64 = (settings.design.cells().iter())
        .map(|(_, plan)| plan.receptions())
        .sum();
    let needed = rows.saturating_mul(SAMPLE_BYTES);
    match free_bytes(path) {
        Some(free) if needed > free => {
            let path = path.to_owned();
            Err(ProbeFailure::NoRoom { path, needed, free }.into())
        }
        _ => Ok(()),
    }
}
