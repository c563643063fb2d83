//! A capture that somebody still writes: standard input, a named pipe, or a file.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::TapNote;
use super::queue::Filler;
use crate::capture::{Batch, Capture, CaptureError, FileSummary, Item, SecretsFormat, TapSummary};

/// What a stream said of itself, at its end.
#[derive(Debug)]
pub struct StreamEnd {
    /// The input.
    pub file: Option<FileSummary>,
    /// Its interfaces.
    pub taps: Vec<TapSummary>,
}

/// Reads a capture and hands on frames as soon as they are there, until it ends, until `stop` is
/// set, or until nobody takes them any more. `stop` is looked for between frames, so a stream
/// that says nothing is not left before it does.
///
/// # Errors
///
/// If the stream is no capture.
pub fn read_stream(
    path: &Path,
    mut filler: Filler,
    stop: &AtomicBool,
) -> Result<StreamEnd, CaptureError> {
    let mut capture = Capture::open(&[path])?;
    let (mut batch, mut known) = (Batch::default(), 0);
    while !stop.load(Ordering::Relaxed) && capture.next_batch(&mut batch) {
        for tap in capture.taps().iter().skip(known) {
            filler.note_tap(note(known, tap));
            known = known.saturating_add(1);
        }
        for item in capture.lend(&batch) {
            match item {
                Item::Frame(frame) => {
                    if !filler.push_patiently(&frame) {
                        return Ok(end(&capture));
                    }
                }
                Item::Secrets { format, bytes, .. } => {
                    if format == SecretsFormat::TLS_KEY_LOG {
                        filler.note_secrets(bytes);
                    }
                }
            }
        }
        // The next read may have to wait for long.
        filler.hand_on();
    }
    Ok(end(&capture))
}

fn note(number: usize, tap: &TapSummary) -> TapNote {
    TapNote {
        tap: u16::try_from(number).unwrap_or(u16::MAX),
        link_type: tap.link_type,
        name: tap.name.clone(),
        snap_length: tap.snap_length,
        filter: None,
    }
}

fn end(capture: &Capture) -> StreamEnd {
    StreamEnd {
        file: capture.files().first().cloned(),
        taps: capture.taps().to_vec(),
    }
}
