//! A study that is measured.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::args::StudyArgs;
use super::failure::StudyFailure;
use super::settings::{RunPlan, Settings};
use super::{manifest, summary};
use crate::cli::error::Failure;
use crate::cli::experiment::SAMPLE_BYTES;
use crate::cli::output::free_bytes;
use crate::cli::probe::manifest::learn_broker;
use crate::cli::probe::progress::{self, Progress};
use crate::cli::probe::store::{Earlier, Store};
use crate::cli::terminal::complain;
use crate::evaluation::{self, Messages};
use crate::lab;
use crate::probe::check::{Site, quick};
use crate::probe::clock::{self, Epoch};
use crate::probe::distrust::Doubt;
use crate::probe::rows::{self, Labels};
use crate::probe::tally::Tally;
use crate::probe::{self, CellError, CellResult, Dialect, Direct, run_cell};
use crate::results::{CellRow, Formulas, Manifest, STUDY_SCHEMA, SampleRow};
use crate::study::{Bed, CellPackets, Seen, StudyCell, StudyError, file_name, judge, keep};
use crate::time::TimeDelta;

pub(super) fn run(arguments: &StudyArgs) -> Result<(), Failure> {
    let mut run = Run::new(arguments)?;
    let outcome = run.measure();
    run.end(outcome)
}

/// What would be measured, and how long that takes.
pub(super) fn announcement(settings: &Settings) -> String {
    let design = &settings.design;
    let minutes = |seconds: f64| {
        if seconds < 90.0 {
            format!("{seconds:.0} s")
        } else {
            format!("{:.0} minutes", (seconds / 60.0).ceil())
        }
    };
    let parts: Vec<String> = ["main", "packet_loss", "outage", "combench"]
        .into_iter()
        .filter_map(|part| {
            let count = design.cells.iter().filter(|cell| cell.part == part).count();
            (count > 0).then(|| format!("{part} {count}"))
        })
        .collect();
    format!(
        "{} cells in {} blocks ({}): about {}, at most {}",
        design.cells.len(),
        design.blocks,
        parts.join(", "),
        minutes(design.seconds(&settings.run.plan)),
        minutes(design.longest_s() + 60.0),
    )
}

/// Learns which broker it is that somebody else runs.
fn ask(manifest: &mut Manifest, broker: &Direct, dialect: &Dialect, settings: &Settings) {
    let cells = &settings.design.cells;
    let Some(first) = cells.first() else { return };
    let site = Site {
        connector: broker,
        dialect,
        topic_prefix: &first.plan.topic_prefix,
        run: rand::random(),
    };
    let with_qos2 = cells.iter().any(|cell| cell.plan.qos == 2);
    learn_broker(manifest, quick(&site, with_qos2));
}

/// A run under way.
struct Run {
    settings: Settings,
    dialect: Dialect,
    manifest: Manifest,
    epoch: Epoch,
    bed: Bed,
    store: Store,
    directory: PathBuf,
    /// Where captures go; none where there are none.
    captures: Option<PathBuf>,
    /// They are in a directory of their own, which has to be enough for `--from`.
    apart: bool,
    rows: Vec<CellRow>,
    interrupt: Arc<AtomicBool>,
}

impl Run {
    fn new(arguments: &StudyArgs) -> Result<Self, Failure> {
        let earlier = match &arguments.resume {
            Some(path) => Some((path.clone(), Earlier::read(path, STUDY_SCHEMA)?)),
            None => None,
        };
        let settings = match &earlier {
            Some((path, earlier)) => Settings::of(run_plan(&earlier.manifest, path)?)?,
            None => Settings::new(arguments)?,
        };
        let dialect = settings.dialect()?;
        // Before any thread is started.
        let rights = super::rights(&settings).map_err(|error| failure(&[], &settings, error))?;
        let real_time = settings.is_emulated() && lab::set_precedence(true);
        let epoch = Epoch::read();
        complain("note", &announcement(&settings));
        let directory = (earlier.as_ref().map(|(path, _)| path))
            .or(arguments.output.as_ref())
            .cloned()
            .unwrap_or_default();
        let mut manifest = match &earlier {
            Some((_, earlier)) => earlier.manifest.clone(),
            None => {
                let started = epoch.timestamp(clock::now()).as_nanos();
                manifest::new(&settings, epoch, started)
            }
        };
        let rows = earlier
            .as_ref()
            .map(|(_, e)| e.cells.clone())
            .unwrap_or_default();
        if let (Some(first), Some(broker)) = (settings.design.cells.first(), settings.network()?) {
            probe::knock(&first.plan, &dialect, &broker)
                .map_err(|error| failure(&rows, &settings, StudyError::Cell(error)))?;
        }
        // Whatever is wrong with the directory shows before anything takes time.
        let mut store = match &earlier {
            Some((path, earlier)) => Store::resume(path, earlier, Formulas::Guard, &manifest)?,
            None => Store::create(&directory, arguments.force, Formulas::Guard, &manifest)?,
        };
        store.compress(arguments.compress);
        let captures = (settings.is_emulated() && !arguments.no_captures).then(|| {
            arguments
                .captures
                .clone()
                .unwrap_or_else(|| directory.join("captures"))
        });
        room(&directory, &settings, captures.is_some())?;
        if let Some(captures) = &captures {
            prepare(captures, earlier.is_none())?;
        }
        let interrupt = progress::interrupt().map_err(Failure::Signals)?;
        let (bed, broker) = Bed::new(&settings.bed(epoch.offset_ns)?)
            .map_err(|error| failure(&rows, &settings, error))?;
        manifest::built(&mut manifest, rights, bed.device(), broker);
        if let Bed::Network(broker) = &bed {
            ask(&mut manifest, broker, &dialect, &settings);
        }
        let priority = if real_time { "real-time" } else { "ordinary" };
        manifest.options.insert("priority".into(), priority.into());
        Ok(Self {
            settings,
            dialect,
            manifest,
            epoch,
            bed,
            store,
            directory,
            captures,
            apart: arguments.captures.is_some(),
            rows,
            interrupt,
        })
    }

    /// Measures the links, and then the cells that are missing.
    fn measure(&mut self) -> Result<(), StudyError> {
        let cells = self.settings.design.cells.clone();
        let finished: BTreeSet<u32> = self.rows.iter().map(|row| row.cell).collect();
        if finished.len() == cells.len() {
            return Ok(());
        }
        self.calibrate()?;
        let progress = Progress::new(cells.len(), finished.len());
        let mut outcome = Ok(());
        for cell in &cells {
            if finished.contains(&cell.placed.cell) {
                continue;
            }
            match self.cell(cell, &progress) {
                Ok(row) => {
                    progress.end(&row);
                    self.rows.push(row);
                }
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
        }
        progress.finish();
        outcome
    }

    fn calibrate(&mut self) -> Result<(), StudyError> {
        let plan = &self.settings.run.plan;
        if !plan.trust.calibrate {
            return Ok(());
        }
        let interrupt = Arc::clone(&self.interrupt);
        let mut told = false;
        let mut goes_on = |_: usize, of: usize| {
            if !std::mem::replace(&mut told, true) {
                complain("note", &format!("measuring {of} links first"));
            }
            !progress::is_set(&interrupt)
        };
        let (links, trouble) =
            self.bed
                .calibrate(&self.settings.design, plan.seed, &mut goes_on)?;
        self.manifest.links = links;
        if trouble.is_empty() {
            Ok(())
        } else {
            Err(StudyError::Links(trouble))
        }
    }

    fn cell(&mut self, cell: &StudyCell, progress: &Progress) -> Result<CellRow, StudyError> {
        progress.begin(&cell.plan);
        let recording = self.bed.recording();
        self.bed.begin(cell, recording.as_deref())?;
        let result = self.run_cell(cell, progress);
        // A broker that ended is the reason for whatever the clients say.
        let seen = self.bed.end()?;
        let result = result?;
        let labels = self.labels(cell);
        let mut row = self.row(cell, &result, &labels, &seen);
        let mut samples: Vec<SampleRow> = Vec::new();
        let _ = rows::samples(&result, &labels, |sample| {
            samples.push(sample.clone());
            Ok::<(), std::convert::Infallible>(())
        });
        recount(&mut row, &samples);
        if let Some(recording) = &recording {
            self.packets(&mut row, cell, &samples, recording)?;
        }
        self.store
            .add(&result, &labels, &row)
            .map_err(|error| self.write_error(&error))?;
        Ok(row)
    }

    fn run_cell(
        &mut self,
        cell: &StudyCell,
        progress: &Progress,
    ) -> Result<CellResult, StudyError> {
        let connector = self.bed.connector(cell);
        let (mut begun, mut trouble) = (false, None);
        let (bed, interrupt) = (&mut self.bed, &self.interrupt);
        let result = run_cell(&cell.plan, &self.dialect, &*connector, &mut |state| {
            if !std::mem::replace(&mut begun, true)
                && let Err(error) = bed.disturb(cell)
            {
                trouble = Some(error);
                return false;
            }
            progress.show(state);
            !progress::is_set(interrupt)
        });
        match trouble {
            Some(error) => Err(error),
            None => result.map_err(StudyError::Cell),
        }
    }

    fn labels(&self, cell: &StudyCell) -> Labels {
        Labels {
            placed: cell.placed,
            part: cell.part.into(),
            link: Some(Arc::clone(&cell.link)),
            packet_loss: cell.packet_loss,
            fault: self.bed.fault(cell).map(Arc::from),
            client: "measuring".into(),
            epoch: self.epoch,
        }
    }

    fn row(
        &mut self,
        cell: &StudyCell,
        result: &CellResult,
        labels: &Labels,
        seen: &Seen,
    ) -> CellRow {
        let mut tally = Tally::new(result);
        if cell.is_disturbed() {
            // Where packets are lost on purpose, what has not come after the plan's wait is lost.
            tally
                .doubts
                .retain(|doubt| !matches!(doubt, Doubt::NotDrained(_)));
        }
        // What an invalid cell shows of the broker may be its own doing. The check of a broker on a real
        // network held PUBREL back, and is certain.
        let is_sound = tally.doubts.is_empty() && seen.doubts.is_empty();
        let is_certain =
            matches!(self.bed, Bed::Network(_)) && self.manifest.broker.qos2_forwarded_at.is_some();
        if let Some(at) = tally
            .qos2_forwarded_at()
            .filter(|_| is_sound && !is_certain)
        {
            self.manifest.broker.qos2_forwarded_at = Some(at.into());
        }
        if let Some(step) = result.clock_step_ns {
            self.manifest.notes.push(format!(
                "cell {}: the system's clock was set by {} meanwhile; stamps are monotonic and not \
                 touched by that",
                cell.placed.cell,
                TimeDelta::from_nanos(step)
            ));
        }
        let mut row = rows::cell(result, &tally, labels);
        if !seen.doubts.is_empty() {
            let mut reasons: Vec<String> =
                row.invalid_reason.iter().map(|r| r.to_string()).collect();
            reasons.extend(seen.doubts.iter().cloned());
            row.valid = false;
            row.invalid_reason = Some(reasons.join("; ").into());
        }
        row
    }

    /// Keeps the capture, and writes what it says into the row: of what is kept, so that it says
    /// the same when it is read again.
    fn packets(
        &self,
        row: &mut CellRow,
        cell: &StudyCell,
        samples: &[SampleRow],
        recording: &Path,
    ) -> Result<(), StudyError> {
        let snap_length = self.settings.run.plan.snap_length;
        let kept = match &self.captures {
            Some(captures) => {
                let kept = captures.join(file_name(cell.placed.cell));
                keep(recording, &kept, snap_length)?;
                kept
            }
            None => recording.to_owned(),
        };
        let packets = CellPackets::read(&kept, &cell.plan)?;
        judge(row, cell, samples, &packets, limit(&self.settings));
        // The next one takes its place, and the directory goes with the lab.
        let _ = fs::remove_file(recording);
        Ok(())
    }

    fn write_error(&self, error: &Failure) -> StudyError {
        StudyError::Write {
            path: self.directory.clone(),
            source: io::Error::other(error.to_string()),
        }
    }

    /// Keeps what is finished, and says how it went.
    fn end(mut self, outcome: Result<(), StudyError>) -> Result<(), Failure> {
        lab::set_precedence(false);
        let planned = self.settings.design.cells.len();
        self.manifest.cells_finished = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        if outcome.is_ok() {
            self.manifest.ended_ns = Some(self.epoch.timestamp(clock::now()).as_nanos());
        }
        self.manifest.clock.drift_ns = Some(Epoch::read().offset_ns - self.epoch.offset_ns);
        let failed = outcome.map_err(|error| match error {
            StudyError::Cell(CellError::Interrupted) => StudyFailure::Interrupted {
                finished: self.rows.len(),
                planned,
                directory: self.directory.clone(),
            },
            error => StudyFailure::Run {
                finished: self.rows.len(),
                planned,
                directory: self.directory.clone(),
                error,
            },
        });
        if self.rows.is_empty() {
            return Ok(failed?);
        }
        for note in &self.manifest.notes {
            complain("note", note);
        }
        self.rows.sort_by_key(|row| row.cell);
        if let Err(failure) = self.store.finish(&self.manifest, &self.rows) {
            let advice =
                "finished cells are kept; when that is mended, go on with: mqttscope study";
            complain(
                "note",
                &format!("{advice} --resume {}", self.directory.display()),
            );
            return Err(failure);
        }
        if let Some(captures) = self.captures.as_ref().filter(|_| self.apart) {
            super::again::export(&self.directory, captures)?;
        }
        let text = summary::render(&self.rows, &self.directory);
        io::stdout()
            .lock()
            .write_all(text.as_bytes())
            .map_err(Failure::stdout)?;
        failed?;
        match self.rows.iter().filter(|row| !row.valid).count() {
            0 => Ok(()),
            invalid => Err(StudyFailure::Invalid {
                invalid,
                of: self.rows.len(),
            }
            .into()),
        }
    }
}

/// By how much stamps and packets may differ.
pub(super) fn limit(settings: &Settings) -> TimeDelta {
    TimeDelta::from_nanos((settings.run.plan.trust.packets_ms * 1e6) as i64)
}

/// Counts the samples of one cell again, as it will be done when they are read from the table.
pub(super) fn recount(row: &mut CellRow, samples: &[SampleRow]) {
    let mut messages = Messages::new();
    samples.iter().for_each(|sample| messages.push(sample));
    messages.sort();
    if let Some(messages) = messages.of(row.cell) {
        evaluation::recount(row, messages);
    }
}

/// The plan of an earlier run.
pub(super) fn run_plan(manifest: &Manifest, path: &Path) -> Result<RunPlan, Failure> {
    serde_json::from_value(manifest.plan.clone()).map_err(|error| {
        StudyFailure::NoStudy {
            path: path.to_owned(),
            detail: format!("the plan in manifest.json: {error}"),
        }
        .into()
    })
}

fn failure(rows: &[CellRow], settings: &Settings, error: impl Into<StudyError>) -> Failure {
    StudyFailure::Run {
        finished: rows.len(),
        planned: settings.design.cells.len(),
        directory: PathBuf::new(),
        error: error.into(),
    }
    .into()
}

/// Makes the directory for captures; of a new run, those of an earlier one go.
fn prepare(captures: &Path, new: bool) -> Result<(), Failure> {
    let failed = |source| Failure::Write {
        path: captures.to_owned(),
        source,
    };
    fs::create_dir_all(captures).map_err(failed)?;
    if !new {
        return Ok(());
    }
    for entry in fs::read_dir(captures).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let name = path
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default();
        if name.starts_with("cell-") && name.contains(".pcapng.zst") {
            fs::remove_file(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Bytes that all packets of a message take at the taps besides its payload, about.
const AROUND_BYTES: u64 = 3_000;

/// Whether captures and samples have room.
fn room(path: &Path, settings: &Settings, captures: bool) -> Result<(), Failure> {
    let needed: u64 = (settings.design.cells.iter())
        .map(|cell| {
            let captured = if captures {
                // Two links, two taps each.
                4 * cell.plan.payload_bytes as u64 + AROUND_BYTES
            } else {
                0
            };
            cell.plan
                .receptions()
                .saturating_mul(SAMPLE_BYTES + captured)
        })
        .sum();
    match free_bytes(path) {
        Some(free) if needed > free => {
            let path = path.to_owned();
            Err(StudyFailure::NoRoom { path, needed, free }.into())
        }
        _ => Ok(()),
    }
}
