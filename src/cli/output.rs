//! Output files and directories that are either whole or not there.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};

use crate::report::TableSource;

use super::error::Failure;

/// Bytes that may still be written where a path is; `None` where the system does not say.
pub(super) fn free_bytes(path: &Path) -> Option<u64> {
    let system = nix::sys::statvfs::statvfs(path).ok()?;
    Some(
        system
            .blocks_available()
            .saturating_mul(system.fragment_size()),
    )
}

/// Everything that this tool writes to an output directory itself.
const KNOWN: [&str; 17] = [
    "manifest.json",
    "samples.csv",
    "samples.csv.zst",
    "cells.csv",
    "correlations.csv",
    "effects.csv",
    "connections.csv",
    "sessions.csv",
    "messages.csv",
    "exchanges.csv",
    "deliveries.csv",
    "subscriptions.csv",
    "topics.csv",
    "findings.csv",
    "summary.json",
    "report.html",
    "compare.html",
];
/// Directories within it, and the extensions of what this tool writes there.
const DIRECTORIES: [(&str, [&str; 2]); 2] =
    [("histograms", ["hgrm", "hlog"]), ("plots", ["svg", "png"])];
/// The directory of a study's captures. They are written one by one while it runs.
const CAPTURES: (&str, &str) = ("captures", "zst");
/// A good level for a table that is written once.
pub(super) const ZSTD_LEVEL: i32 = 19;
/// What a file is called until it is whole.
const PARTIAL: &str = ".partial";

/// What becomes of earlier results that a run does not write again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Earlier {
    /// They are of another run and go.
    Removed,
    /// They stay, but for earlier figures.
    Kept,
}

/// A directory for results. Files are written aside and renamed when all are whole.
#[derive(Debug)]
pub(super) struct OutputDirectory {
    path: PathBuf,
    begun: Vec<String>,
    /// Of those begun, what is needed only until the commit.
    passing: Vec<String>,
    earlier: Earlier,
    new: bool,
    /// What was begun stays although it was not committed.
    stays: bool,
}

impl OutputDirectory {
    /// Makes the directory, or takes one that is empty or holds earlier results, which the new
    /// ones replace.
    pub(super) fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        if path.exists() && !path.is_dir() {
            return Err(Failure::OutputNotADirectory(path.to_owned()));
        }
        let new = !path.exists();
        fs::create_dir_all(path).map_err(write_failure(path))?;
        if let Some(example) = foreign(path)?.filter(|_| !force) {
            return Err(Failure::OutputInUse {
                path: path.to_owned(),
                example,
            });
        }
        Ok(Self {
            path: path.to_owned(),
            begun: Vec::new(),
            passing: Vec::new(),
            earlier: Earlier::Removed,
            new,
            stays: false,
        })
    }

    /// Takes a directory to add to what it holds, or to replace parts of it.
    pub(super) fn add_to(path: &Path) -> Result<Self, Failure> {
        if path.exists() && !path.is_dir() {
            return Err(Failure::OutputNotADirectory(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(write_failure(path))?;
        Ok(Self {
            path: path.to_owned(),
            begun: Vec::new(),
            passing: Vec::new(),
            earlier: Earlier::Kept,
            new: false,
            stays: false,
        })
    }

    /// Begins a file; it has its name only after [`OutputDirectory::commit`].
    pub(super) fn create(&mut self, name: &str) -> Result<File, Failure> {
        debug_assert!(is_ours(name), "{name} is not in the list of known files");
        let path = self.partial(name);
        if let Some(directory) = path.parent() {
            fs::create_dir_all(directory).map_err(write_failure(directory))?;
        }
        if !self.begun.iter().any(|begun| begun == name) {
            self.begun.push(name.to_owned());
        }
        File::create(&path).map_err(write_failure(&path))
    }

    /// Begins a file that is gone after the commit.
    pub(super) fn create_passing(&mut self, name: &str) -> Result<File, Failure> {
        let file = self.create(name)?;
        self.passing.push(name.to_owned());
        Ok(file)
    }

    /// Writes a whole file; it has its name only after [`OutputDirectory::commit`].
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), Failure> {
        let mut file = self.create(name)?;
        let path = self.path.join(name);
        file.write_all(bytes).map_err(write_failure(&path))
    }

    /// From now on what was begun stays, with `.partial` behind its names, if it cannot be
    /// committed: it took long to measure.
    pub(super) const fn keep_unfinished(&mut self) {
        self.stays = true;
    }

    /// Puts `NAME.zst` in the place of a file that was begun.
    pub(super) fn compress(&mut self, name: &str) -> Result<(), Failure> {
        let from = self.partial(name);
        let input = File::open(&from).map_err(write_failure(&from))?;
        let packed = format!("{name}.zst");
        let output = self.create(&packed)?;
        let path = self.path.join(&packed);
        zstd::stream::copy_encode(BufReader::new(input), output, ZSTD_LEVEL)
            .map_err(write_failure(&path))?;
        self.passing.push(name.to_owned());
        Ok(())
    }

    /// Gives every file its name, and removes earlier results that this run did not write.
    pub(super) fn commit(mut self) -> Result<(), Failure> {
        for name in std::mem::take(&mut self.passing) {
            let path = self.partial(&name);
            self.begun.retain(|begun| *begun != name);
            fs::remove_file(&path).map_err(write_failure(&path))?;
        }
        for name in &self.begun {
            let path = self.path.join(name);
            fs::rename(self.partial(name), &path).map_err(write_failure(&path))?;
        }
        for name in self.outdated()? {
            let path = self.path.join(name);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(write_failure(&path)(error));
                }
                _ => {}
            }
        }
        // They go if nothing is in them.
        for (directory, _) in DIRECTORIES {
            let _ = fs::remove_dir(self.path.join(directory));
        }
        Ok(())
    }

    /// Earlier results that do not belong to what was written now.
    fn outdated(&self) -> Result<Vec<String>, Failure> {
        let mut names: Vec<String> = Vec::new();
        if self.earlier == Earlier::Removed {
            names.extend(KNOWN.map(str::to_owned));
        }
        for (directory, _) in DIRECTORIES {
            let prefix = format!("{directory}/");
            // A page comes with its figures, and there may be none.
            let replaced = self.begun.iter().any(|name| {
                name.starts_with(&prefix) || (directory == "plots" && name == "report.html")
            });
            let path = self.path.join(directory);
            if !path.is_dir() || (self.earlier == Earlier::Kept && !replaced) {
                continue;
            }
            for entry in fs::read_dir(&path).map_err(write_failure(&path))? {
                let name = entry.map_err(write_failure(&path))?.file_name();
                names.extend(name.to_str().map(|name| format!("{prefix}{name}")));
            }
        }
        names.retain(|name| is_ours(name) && !self.begun.contains(name));
        Ok(names)
    }

    /// It was made for these results.
    pub(super) const fn is_new(&self) -> bool {
        self.new
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn partial(&self, name: &str) -> PathBuf {
        self.path.join(format!("{name}{PARTIAL}"))
    }
}

impl Drop for OutputDirectory {
    /// What was begun and not committed goes.
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        for name in &self.begun {
            // It is gone already where the commit went well.
            let _ = fs::remove_file(self.partial(name));
        }
        for (directory, _) in DIRECTORIES {
            let _ = fs::remove_dir(self.path.join(directory));
        }
    }
}

/// What was begun, and nothing that an earlier run left.
impl TableSource for OutputDirectory {
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        if !self.begun.iter().any(|begun| begun == name) {
            return Ok(None);
        }
        let file = File::open(self.partial(name))?;
        Ok(Some(Box::new(BufReader::new(file))))
    }
}

/// A directory of results, to read from.
#[derive(Debug)]
pub(super) struct Results<'p>(pub(super) &'p Path);

impl TableSource for Results<'_> {
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        match File::open(self.0.join(name)) {
            Ok(file) => Ok(Some(Box::new(BufReader::new(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.open_packed(name),
            Err(error) => Err(error),
        }
    }
}

impl Results<'_> {
    /// The table as a large one is kept: `NAME.zst`.
    fn open_packed(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>> {
        match File::open(self.0.join(format!("{name}.zst"))) {
            Ok(file) => Ok(Some(Box::new(zstd::Decoder::new(file)?))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Whether this tool writes files of this name, with `/` between a directory and what is in it.
fn is_ours(name: &str) -> bool {
    match name.split_once('/') {
        None => KNOWN.contains(&name),
        Some((directory, name)) => {
            let extension = name.rsplit_once('.').map(|(_, extension)| extension);
            if directory == CAPTURES.0 {
                return extension == Some(CAPTURES.1);
            }
            DIRECTORIES.iter().any(|(known, extensions)| {
                *known == directory && extension.is_some_and(|e| extensions.contains(&e))
            })
        }
    }
}

/// Something in the directory that this tool did not write, if there is any.
fn foreign(path: &Path) -> Result<Option<PathBuf>, Failure> {
    for entry in fs::read_dir(path).map_err(write_failure(path))? {
        let entry = entry.map_err(write_failure(path))?;
        let name = entry.file_name();
        let text = name.to_str().unwrap_or_default();
        let directory = text == CAPTURES.0 || DIRECTORIES.iter().any(|(known, _)| *known == text);
        if directory && entry.path().is_dir() {
            let within = entry.path();
            for file in fs::read_dir(&within).map_err(write_failure(&within))? {
                let file = file.map_err(write_failure(&within))?.file_name();
                let relative = format!("{text}/{}", file.to_str().unwrap_or_default());
                if !is_ours(relative.strip_suffix(PARTIAL).unwrap_or(&relative)) {
                    return Ok(Some(Path::new(text).join(file)));
                }
            }
        } else if !is_ours(text.strip_suffix(PARTIAL).unwrap_or(text)) {
            return Ok(Some(name.into()));
        }
    }
    Ok(None)
}

fn write_failure(path: &Path) -> impl Fn(io::Error) -> Failure {
    let path = path.to_owned();
    move |source| Failure::Write {
        path: path.clone(),
        source,
    }
}
