//! From what was named on a command line to open streams.

use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};

use super::error::CaptureError;
use super::source::{Recognised, recognise};

/// An input that was named, or found in a named directory.
pub(crate) struct Input {
    pub(crate) path: PathBuf,
    /// Index of the directory among [`Inputs::directories`].
    pub(crate) directory: Option<usize>,
}

/// A directory that was named.
pub(crate) struct Directory {
    path: PathBuf,
    pub(crate) captures: u64,
    pub(crate) skipped: u64,
}

/// Everything that was named, directories replaced by their files.
pub(crate) struct Inputs {
    pub(crate) files: Vec<Input>,
    pub(crate) directories: Vec<Directory>,
}

impl Inputs {
    pub(crate) fn expand<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        let mut inputs = Self {
            files: Vec::new(),
            directories: Vec::new(),
        };
        for path in paths {
            inputs.add(path.as_ref())?;
        }
        if inputs
            .files
            .iter()
            .filter(|input| is_stdin(&input.path))
            .count()
            > 1
        {
            return Err(CaptureError::StdinTwice);
        }
        if paths.is_empty() {
            return Err(CaptureError::NothingNamed);
        }
        Ok(inputs)
    }

    fn add(&mut self, path: &Path) -> Result<(), CaptureError> {
        if is_stdin(path) || !path.is_dir() {
            self.files.push(Input {
                path: path.to_owned(),
                directory: None,
            });
            return Ok(());
        }
        let mut names = Vec::new();
        let failed = |source| CaptureError::Open {
            path: path.to_owned(),
            source,
        };
        for entry in fs::read_dir(path).map_err(failed)? {
            let name = entry.map_err(failed)?.path();
            // Follows links; sockets and pipes in a directory are left alone.
            if name.is_file() {
                names.push(name);
            }
        }
        names.sort();
        let directory = Some(self.directories.len());
        self.directories.push(Directory {
            path: path.to_owned(),
            captures: 0,
            skipped: 0,
        });
        let inputs = names.into_iter().map(|path| Input { path, directory });
        self.files.extend(inputs);
        Ok(())
    }

    /// Counts a file of a directory. An error if a file that was named itself is no capture.
    pub(crate) fn count<T>(
        &mut self,
        directory: Option<usize>,
        opened: Result<T, CaptureError>,
    ) -> Result<Option<T>, CaptureError> {
        let Some(directory) = directory.and_then(|index| self.directories.get_mut(index)) else {
            return opened.map(Some);
        };
        match opened {
            Ok(opened) => {
                directory.captures = directory.captures.saturating_add(1);
                Ok(Some(opened))
            }
            Err(CaptureError::NotACapture { .. } | CaptureError::Empty { .. }) => {
                directory.skipped = directory.skipped.saturating_add(1);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Says so if a directory turned out to have no capture in it.
    pub(crate) fn check_directories(&self) -> Result<(), CaptureError> {
        match self.directories.iter().find(|found| found.captures == 0) {
            Some(empty) => Err(CaptureError::NoCaptureInDirectory {
                path: empty.path.clone(),
                skipped: empty.skipped,
            }),
            None => Ok(()),
        }
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens and recognises a file, and tells whether it can be opened a second time.
pub(crate) fn open(path: &Path, buffer_size: usize) -> Result<(Recognised, bool), CaptureError> {
    let (source, regular): (Box<dyn Read + Send>, bool) = if is_stdin(path) {
        if io::stdin().is_terminal() {
            return Err(CaptureError::StdinIsTerminal);
        }
        (Box::new(io::stdin()), false)
    } else {
        let failed = |source| CaptureError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let regular = file.metadata().map_err(failed)?.is_file();
        (Box::new(file), regular)
    };
    Ok((recognise(path, source, buffer_size)?, regular))
}
