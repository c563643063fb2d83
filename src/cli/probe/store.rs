//! The directory of a run: rows are added cell by cell, and what an interrupted run has finished
//! can be read back.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::cli::error::Failure;
use crate::cli::experiment::Samples;
use crate::cli::output::OutputDirectory;
use crate::cli::rendering;
use crate::probe::CellResult;
use crate::probe::rows::{self, Labels};
use crate::results::{CellRow, Formulas, Manifest, RowWriter, SampleRow, read_table};

use super::failure::ProbeFailure;

/// An output directory with the tables of a run.
pub(in crate::cli) struct Store {
    output: OutputDirectory,
    samples: RowWriter<File>,
    cells: RowWriter<File>,
    compressed: bool,
}

/// What an earlier, interrupted run left.
pub(in crate::cli) struct Earlier {
    pub(in crate::cli) manifest: Manifest,
    pub(in crate::cli) cells: Vec<CellRow>,
    samples: Option<PathBuf>,
}

impl Store {
    /// Makes the directory and begins its tables: whatever is wrong with it shows now.
    pub(in crate::cli) fn create(
        path: &Path,
        force: bool,
        formulas: Formulas,
        manifest: &Manifest,
    ) -> Result<Self, Failure> {
        Self::begin(OutputDirectory::open(path, force)?, formulas, manifest)
    }

    fn begin(
        mut output: OutputDirectory,
        formulas: Formulas,
        manifest: &Manifest,
    ) -> Result<Self, Failure> {
        let failed = failure(output.path());
        // It is in place from the start, so that a run that is killed can go on.
        output.write("manifest.json", &json(manifest))?;
        let samples = RowWriter::new::<SampleRow>(output.create("samples.csv")?, formulas);
        let cells = RowWriter::new::<CellRow>(output.create("cells.csv")?, formulas);
        let mut store = Self {
            output,
            samples: samples.map_err(&failed)?,
            cells: cells.map_err(&failed)?,
            compressed: false,
        };
        store.flush()?;
        Ok(store)
    }

    /// Takes up the directory of an earlier run: its finished cells come first.
    pub(in crate::cli) fn resume(
        path: &Path,
        earlier: &Earlier,
        formulas: Formulas,
        manifest: &Manifest,
    ) -> Result<Self, Failure> {
        // A partial file of a run that was killed would be overwritten while it is read.
        let aside = earlier.samples.as_ref().map(|samples| {
            let file = tempfile::tempfile_in(path)?;
            io::copy(&mut File::open(samples)?, &mut &file)?;
            Ok(file)
        });
        let aside = aside.transpose().map_err(failure(path))?;
        let mut store = Self::begin(OutputDirectory::open(path, false)?, formulas, manifest)?;
        if let Some(mut file) = aside {
            io::Seek::rewind(&mut file).map_err(failure(path))?;
            store.copy(file, &earlier.cells)?;
        }
        for cell in &earlier.cells {
            store.cells.write(cell).map_err(failure(path))?;
        }
        store.flush()?;
        // The earlier run's own may just have been written over.
        store.output.keep_unfinished();
        Ok(store)
    }

    /// Copies the samples of finished cells. A row that was cut off ends it: it is of a cell that
    /// was not finished.
    fn copy(&mut self, file: File, cells: &[CellRow]) -> Result<(), Failure> {
        let failed = failure(self.output.path());
        let mut result = Ok(());
        let finished: std::collections::BTreeSet<u32> = cells.iter().map(|row| row.cell).collect();
        let samples = &mut self.samples;
        let _ = read_table::<SampleRow>(BufReader::new(file), |row| {
            if result.is_ok() && finished.contains(&row.cell) {
                result = samples.write(&row);
            }
        });
        result.map_err(failed)
    }

    /// Adds a finished cell. Its samples are in the file before the cell itself is.
    pub(in crate::cli) fn add(
        &mut self,
        result: &CellResult,
        labels: &Labels,
        row: &CellRow,
    ) -> Result<(), Failure> {
        let failed = failure(self.output.path());
        rows::samples(result, labels, |row| self.samples.write(row)).map_err(&failed)?;
        self.samples.flush().map_err(&failed)?;
        self.cells.write(row).map_err(&failed)?;
        self.cells.flush().map_err(&failed)?;
        self.output.keep_unfinished();
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        let failed = failure(self.output.path());
        self.samples.flush().map_err(&failed)?;
        self.cells.flush().map_err(&failed)
    }

    /// Makes what follows from the tables, and gives everything its name.
    pub(in crate::cli) fn finish(
        mut self,
        manifest: &Manifest,
        cells: &[CellRow],
    ) -> Result<(), Failure> {
        self.flush()?;
        let samples = Samples::read(&self.output, cells)?;
        samples.histograms(&mut self.output, cells)?;
        samples.effects(&mut self.output, cells, manifest.seed)?;
        samples.correlations(&mut self.output, cells, manifest.seed)?;
        self.output.write("manifest.json", &json(manifest))?;
        let path = self.output.path().to_owned();
        let experiment = rendering::experiment(manifest.clone(), &self.output, &path)?;
        rendering::write_experiment(&mut self.output, &experiment)?;
        if self.compressed {
            self.output.compress("samples.csv")?;
        }
        self.output.commit()
    }

    /// Whether there will be samples.csv.zst in place of samples.csv.
    #[cfg(target_os = "linux")]
    pub(in crate::cli) const fn compress(&mut self, wanted: bool) {
        self.compressed = wanted;
    }
}

pub(in crate::cli) fn json(manifest: &Manifest) -> Vec<u8> {
    // A manifest has text keys only, so this does not fail.
    let mut text = serde_json::to_vec_pretty(manifest).unwrap_or_default();
    text.push(b'\n');
    text
}

fn failure(path: &Path) -> impl Fn(io::Error) -> Failure + use<> {
    let path = path.to_owned();
    move |source| Failure::Write {
        path: path.clone(),
        source,
    }
}

impl Earlier {
    /// Reads what a run left: finished files, or those of a run that was killed.
    pub(in crate::cli) fn read(path: &Path, schema: &str) -> Result<Self, Failure> {
        let no_run = |detail: String| ProbeFailure::NoRun {
            path: path.to_owned(),
            detail,
        };
        // A run that goes on writes aside what it will replace in the end, and may have been killed
        // before it had as much again.
        let aside = cells_in(&path.join("cells.csv.partial"));
        let whole = cells_in(&path.join("cells.csv"));
        let ending = if aside.len() > whole.len() || !path.join("manifest.json").exists() {
            ".partial"
        } else {
            ""
        };
        let find = |name: &str| {
            let path = path.join(format!("{name}{ending}"));
            path.exists().then_some(path)
        };
        let manifest = find("manifest.json").ok_or_else(|| no_run("no manifest.json".into()))?;
        let text = std::fs::read(manifest).map_err(|error| no_run(error.to_string()))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| no_run(format!("manifest.json: {error}")))?;
        if manifest.schema != schema {
            return Err(no_run(format!("manifest.json is {:?}", manifest.schema)).into());
        }
        Ok(Self {
            manifest,
            cells: if ending.is_empty() { whole } else { aside },
            samples: find("samples.csv"),
        })
    }
}

/// The cells of a table, whose last row may be cut off; none where there is no table.
fn cells_in(path: &Path) -> Vec<CellRow> {
    let mut cells = Vec::new();
    if let Ok(file) = File::open(path) {
        let _ = read_table::<CellRow>(BufReader::new(file), |row| cells.push(row));
    }
    cells
}
