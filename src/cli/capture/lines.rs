//! The lines of figures: printed by a thread of their own, so that a terminal that stands still
//! holds nothing up.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::{self, JoinHandle};

use crate::cli::capture::args::LineFormat;
use crate::live::{Interval, line};

/// Lines that may wait for the terminal.
const WAITING: usize = 64;

/// Where the lines go.
#[derive(Debug)]
pub(super) struct Lines {
    format: LineFormat,
    out: Option<SyncSender<String>>,
    thread: Option<JoinHandle<()>>,
    closed: Arc<AtomicBool>,
    /// Lines that found no room.
    pub(super) skipped: u64,
}

impl Lines {
    pub(super) fn start(format: LineFormat) -> Self {
        let (out, lines) = sync_channel::<String>(WAITING);
        let closed = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&closed);
        let thread = thread::spawn(move || {
            for line in lines {
                let mut stdout = io::stdout().lock();
                let written = stdout
                    .write_all(line.as_bytes())
                    .and_then(|()| stdout.flush());
                if written.is_err() {
                    told.store(true, Ordering::Relaxed);
                    return;
                }
            }
        });
        Self {
            format,
            out: Some(out),
            thread: Some(thread),
            closed,
            skipped: 0,
        }
    }

    pub(super) fn print(&mut self, interval: &Interval) {
        let text = match self.format {
            LineFormat::Text => Some(line::text(interval)),
            LineFormat::Jsonl => line::json(interval).ok(),
        };
        let (Some(text), Some(out)) = (text, &self.out) else {
            return;
        };
        if let Err(TrySendError::Full(_)) = out.try_send(text + "\n") {
            self.skipped = self.skipped.saturating_add(1);
        }
    }

    /// Nobody reads standard output any more.
    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Waits until all are printed.
    pub(super) fn finish(&mut self) {
        self.out = None;
        if let Some(thread) = self.thread.take() {
            // It does not panic.
            let _ = thread.join();
        }
    }
}
