//! Output files and directories that are either whole or not there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::error::Failure;

/// Everything that this tool writes to an output directory.
const KNOWN: [&str; 9] = [
    "connections.csv",
    "sessions.csv",
    "messages.csv",
    "exchanges.csv",
    "deliveries.csv",
    "subscriptions.csv",
    "findings.csv",
    "topics.csv",
    "summary.json",
];
/// What a file is called until it is whole.
const PARTIAL: &str = ".partial";

/// A directory for results. Files are written aside and renamed when all are whole.
#[derive(Debug)]
pub(super) struct OutputDirectory {
    path: PathBuf,
    begun: Vec<&'static str>,
}

impl OutputDirectory {
    /// Makes the directory, or takes one that is empty or holds earlier results.
    pub(super) fn open(path: &Path, force: bool) -> Result<Self, Failure> {
        let wrap = |source| Failure::Write {
            path: path.to_owned(),
            source,
        };
        if path.exists() && !path.is_dir() {
            return Err(Failure::OutputNotADirectory(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(wrap)?;
        for entry in fs::read_dir(path).map_err(wrap)? {
            let name = entry.map_err(wrap)?.file_name();
            let ours = name
                .to_str()
                .is_some_and(|name| KNOWN.contains(&name.strip_suffix(PARTIAL).unwrap_or(name)));
            if !ours && !force {
                return Err(Failure::OutputInUse {
                    path: path.to_owned(),
                    example: name.into(),
                });
            }
        }
        Ok(Self {
            path: path.to_owned(),
            begun: Vec::new(),
        })
    }

    /// Begins a file; it has its name only after [`OutputDirectory::commit`].
    pub(super) fn create(&mut self, name: &'static str) -> Result<File, Failure> {
        debug_assert!(
            KNOWN.contains(&name),
            "{name} is not in the list of known files"
        );
        let path = self.partial(name);
        self.begun.push(name);
        File::create(&path).map_err(|source| Failure::Write { path, source })
    }

    /// Gives every file its name, and removes earlier results that this run did not write.
    pub(super) fn commit(self) -> Result<(), Failure> {
        for name in &self.begun {
            let path = self.path.join(name);
            fs::rename(self.partial(name), &path)
                .map_err(|source| Failure::Write { path, source })?;
        }
        for name in KNOWN.iter().filter(|name| !self.begun.contains(name)) {
            match fs::remove_file(self.path.join(name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(Failure::Write {
                        path: self.path.join(name),
                        source: error,
                    });
                }
                _ => {}
            }
        }
        Ok(())
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
        for name in &self.begun {
            // It is gone already where the commit went well.
            let _ = fs::remove_file(self.partial(name));
        }
    }
}
