//! `-w`: the capture file, written by a thread of its own.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use crate::capture::live::{Counters, Taker, write_file};
use crate::cli::error::Failure;
use crate::cli::terminal::complain;

use super::args::CaptureLiveArgs;
use super::privileges::Target;

/// The open file.
pub(super) struct Recording {
    path: PathBuf,
    file: File,
}

/// The file and who writes it.
pub(super) struct Running {
    path: PathBuf,
    thread: JoinHandle<io::Result<()>>,
    over: Arc<AtomicBool>,
}

impl Recording {
    /// Opens the file; one that is new is the user's.
    pub(super) fn open(
        path: &Path,
        arguments: &CaptureLiveArgs,
        user: Option<&Target>,
    ) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Err(Failure::FramesToStdout);
        }
        let wrap = |source| Failure::Write {
            path: path.to_owned(),
            source,
        };
        if let (Some(read), Ok(itself)) = (&arguments.read, path.canonicalize())
            && read.canonicalize().is_ok_and(|read| read == itself)
        {
            return Err(Failure::OutputIsInput(path.to_owned()));
        }
        let file = match OpenOptions::new().write(true).create_new(true).open(path) {
            Ok(file) => {
                if let Some(user) = user {
                    user.give(&file).map_err(|error| wrap(error.into()))?;
                }
                file
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let regular = fs::metadata(path).is_ok_and(|known| known.is_file());
                let mut options = OpenOptions::new();
                options
                    .write(true)
                    .truncate(regular)
                    .open(path)
                    .map_err(wrap)?
            }
            Err(error) => return Err(wrap(error)),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    pub(super) fn start(self, taker: Taker, counters: Arc<Counters>) -> Running {
        let Self { path, file } = self;
        let name = path.display().to_string();
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = thread::spawn(move || {
            let application = concat!("mqttscope ", env!("CARGO_PKG_VERSION"));
            let out = BufWriter::with_capacity(256 << 10, file);
            let written = write_file(out, application, &taker, &counters, &told);
            if written.is_err() {
                // At once: the rest of the capture may take long.
                let text = format!("{name} cannot be written any more; the analysis goes on");
                complain("warning", &text);
            }
            written
        });
        Running { path, thread, over }
    }
}

impl Running {
    /// Waits until all is written that was taken; whoever reads may still wait for more.
    pub(super) fn finish(self) -> Result<(), Failure> {
        self.over.store(true, Ordering::Relaxed);
        let written = self.thread.join().unwrap_or_else(|_| {
            let text = "the thread that writes ended by a fault of the program";
            Err(io::Error::other(text))
        });
        written.map_err(|source| Failure::Write {
            path: self.path,
            source,
        })
    }
}
