//! `mqttscope study --from`: the captures and samples of an earlier run, analysed again.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::args::StudyArgs;
use super::failure::StudyFailure;
use super::run::{limit, recount, run_plan};
use super::settings::Settings;
use super::summary;
use crate::cli::error::Failure;
use crate::cli::experiment::{Samples, write_table};
use crate::cli::output::{OutputDirectory, Results, ZSTD_LEVEL};
use crate::cli::probe::store::json;
use crate::cli::rendering;
use crate::report::TableSource;
use crate::results::{CellRow, Manifest, Row, STUDY_SCHEMA, SampleRow, read_table};
use crate::study::{CellPackets, StudyCell, file_name, judge};

pub(super) fn run(arguments: &StudyArgs, from: &Path) -> Result<(), Failure> {
    let earlier = Earlier::read(from)?;
    let settings = Settings::of(run_plan(&earlier.manifest, from)?)?;
    let out = arguments.output.clone().unwrap_or_default();
    let mut output = OutputDirectory::open(&out, arguments.force)?;
    write_table(&mut output, earlier.samples.values().flatten())?;
    let cells: BTreeMap<u32, &StudyCell> = (settings.design.cells.iter())
        .map(|cell| (cell.placed.cell, cell))
        .collect();
    let mut rows = earlier.cells;
    for row in &mut rows {
        let samples = earlier
            .samples
            .get(&row.cell)
            .map(Vec::as_slice)
            .unwrap_or_default();
        recount(row, samples);
        let capture = capture_of(from, row.cell);
        if let (Some(cell), Some(capture)) = (cells.get(&row.cell), capture) {
            let packets = CellPackets::read(&capture, &cell.plan)
                .map_err(|error| no_study(from, error.to_string()))?;
            judge(row, cell, samples, &packets, limit(&settings));
        }
    }
    write_table(&mut output, &rows)?;
    let samples = Samples::read(&output, &rows)?;
    samples.histograms(&mut output, &rows)?;
    samples.effects(&mut output, &rows, earlier.manifest.seed)?;
    samples.correlations(&mut output, &rows, earlier.manifest.seed)?;
    output.write("manifest.json", &json(&earlier.manifest))?;
    let experiment = rendering::experiment(earlier.manifest, &output, &out)?;
    rendering::write_experiment(&mut output, &experiment)?;
    if arguments.compress {
        output.compress("samples.csv")?;
    }
    output.commit()?;
    let text = summary::render(&rows, &out);
    io::stdout()
        .lock()
        .write_all(text.as_bytes())
        .map_err(Failure::stdout)
}

fn no_study(path: &Path, detail: String) -> StudyFailure {
    StudyFailure::NoStudy {
        path: path.to_owned(),
        detail,
    }
}

/// The tables of an earlier run.
struct Earlier {
    manifest: Manifest,
    cells: Vec<CellRow>,
    samples: BTreeMap<u32, Vec<SampleRow>>,
}

impl Earlier {
    fn read(path: &Path) -> Result<Self, Failure> {
        let fail = |detail: String| no_study(path, detail);
        let mut text = Vec::new();
        open(path, "manifest.json")?
            .read_to_end(&mut text)
            .map_err(|error| fail(format!("manifest.json: {error}")))?;
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|error| fail(format!("manifest.json: {error}")))?;
        if manifest.schema != STUDY_SCHEMA {
            return Err(fail(format!("manifest.json is {:?}", manifest.schema)).into());
        }
        let mut cells: Vec<CellRow> = Vec::new();
        read_table(open(path, CellRow::FILE)?, |row| cells.push(row))
            .map_err(|error| fail(error.to_string()))?;
        let mut samples: BTreeMap<u32, Vec<SampleRow>> = BTreeMap::new();
        read_table(open(path, SampleRow::FILE)?, |row: SampleRow| {
            samples.entry(row.cell).or_default().push(row);
        })
        .map_err(|error| fail(error.to_string()))?;
        Ok(Self {
            manifest,
            cells,
            samples,
        })
    }
}

fn open(path: &Path, name: &str) -> Result<Box<dyn Read>, Failure> {
    match Results(path).open(name) {
        Ok(Some(mut table)) => {
            // The reader borrows the path; a table of a study is small enough.
            let mut bytes = Vec::new();
            table
                .read_to_end(&mut bytes)
                .map_err(|error| no_study(path, format!("{name}: {error}")))?;
            Ok(Box::new(io::Cursor::new(bytes)))
        }
        Ok(None) => Err(no_study(path, format!("there is no {name}")).into()),
        Err(error) => Err(no_study(path, format!("{name}: {error}")).into()),
    }
}

/// The capture of a cell: below `captures/`, or beside the tables.
fn capture_of(path: &Path, cell: u32) -> Option<PathBuf> {
    let name = file_name(cell);
    let places = [path.join("captures").join(&name), path.join(&name)];
    places.into_iter().find(|place| place.is_file())
}

/// Puts beside the captures what `--from` needs of a run.
pub(super) fn export(directory: &Path, captures: &Path) -> Result<(), Failure> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| Failure::Write { path, source }
    };
    for name in ["manifest.json", CellRow::FILE] {
        let to = captures.join(name);
        fs::copy(directory.join(name), &to).map_err(failed(&to))?;
    }
    let packed = format!("{}.zst", SampleRow::FILE);
    let to = captures.join(&packed);
    if directory.join(&packed).is_file() {
        fs::copy(directory.join(&packed), &to).map_err(failed(&to))?;
    } else {
        let from = directory.join(SampleRow::FILE);
        let input = File::open(&from).map_err(failed(&from))?;
        let output = File::create(&to).map_err(failed(&to))?;
        zstd::stream::copy_encode(input, output, ZSTD_LEVEL).map_err(failed(&to))?;
    }
    Ok(())
}
