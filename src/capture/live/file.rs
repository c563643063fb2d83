//! The capture file beside the analysis.

use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use super::batch::{FrameBatch, TapNote};
use super::counters::{CaptureCounts, Counters};
use super::queue::Taker;
use crate::capture::{Interface, InterfaceStatistics, PcapngWriter};
use crate::time::Timestamp;

/// How often what was written is handed to the system, so that a file whose writer was killed
/// reads up to the last second.
const FLUSHED: Duration = Duration::from_millis(500);

/// Writes everything that is taken to a pcapng file, until nothing comes any more, or nothing
/// comes for a moment and `over` is set: frames with their interfaces, and how many were dropped
/// whenever more were.
///
/// # Errors
///
/// What the stream fails with. Nothing more is taken then.
pub fn write_file(
    out: impl Write,
    application: &str,
    taker: &Taker,
    counters: &Counters,
    over: &AtomicBool,
) -> io::Result<()> {
    let mut file = CaptureFile {
        writer: PcapngWriter::new(out, application)?,
        interfaces: Vec::new(),
        last: Timestamp::from_nanos(0),
        told: CaptureCounts::default(),
        counts_drops: false,
    };
    file.writer.flush()?;
    let (mut flushed, mut dirty) = (Instant::now(), false);
    loop {
        let patience = FLUSHED.saturating_sub(flushed.elapsed()).min(PATIENCE);
        match taker.take(patience) {
            Ok(batch) => {
                file.write(&batch)?;
                dirty = true;
            }
            Err(RecvTimeoutError::Timeout) if over.load(Ordering::Relaxed) => break,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break,
        }
        if flushed.elapsed() >= FLUSHED {
            if dirty {
                if counters.get().dropped() > file.told.dropped() {
                    file.tell(counters)?;
                }
                file.writer.flush()?;
            }
            (flushed, dirty) = (Instant::now(), false);
        }
    }
    file.tell(counters)?;
    file.writer.flush()
}

/// How long nothing is awaited before the end is looked for.
const PATIENCE: Duration = Duration::from_millis(100);

struct CaptureFile<W: Write> {
    writer: PcapngWriter<W>,
    /// Numbers in the file, by tap.
    interfaces: Vec<Option<u32>>,
    last: Timestamp,
    /// The counts in the latest statistics.
    told: CaptureCounts,
    /// They are those of an interface of this machine.
    counts_drops: bool,
}

impl<W: Write> CaptureFile<W> {
    fn write(&mut self, batch: &FrameBatch) -> io::Result<()> {
        for tap in batch.taps() {
            self.add(tap)?;
        }
        self.counts_drops |= !batch.lost().is_empty();
        for frame in batch.frames() {
            let interface = self.interfaces.get(usize::from(frame.tap));
            let Some(interface) = interface.copied().flatten() else {
                continue;
            };
            self.last = frame.time;
            self.writer
                .write_frame(interface, frame.time, frame.wire_length, frame.bytes, None)?;
        }
        Ok(())
    }

    fn add(&mut self, tap: &TapNote) -> io::Result<()> {
        let mut interface = Interface::new(tap.link_type);
        interface.snap_length = tap.snap_length;
        interface.name = tap.name.as_deref();
        interface.filter = tap.filter.as_deref();
        let number = self.writer.add_interface(&interface)?;
        let place = usize::from(tap.tap);
        if self.interfaces.len() <= place {
            self.interfaces.resize(place.saturating_add(1), None);
        }
        if let Some(known) = self.interfaces.get_mut(place) {
            *known = Some(number);
        }
        Ok(())
    }

    /// Writes how many frames there were and how many of them are missing. What the queue dropped
    /// was dropped by this system, too.
    fn tell(&mut self, counters: &Counters) -> io::Result<()> {
        let counts = counters.get();
        let Some(Some(interface)) = self.interfaces.first() else {
            return Ok(());
        };
        if counts.received == 0 && !self.counts_drops {
            // A stream's frames come from an interface elsewhere.
            return Ok(());
        }
        let by_system = counts
            .dropped_by_system
            .saturating_add(counts.dropped_by_queue);
        let statistics = InterfaceStatistics {
            received: Some(counts.received),
            dropped_by_interface: Some(counts.dropped_by_interface),
            dropped_by_system: Some(by_system),
        };
        self.told = counts;
        self.writer
            .write_statistics(*interface, self.last, &statistics)
    }
}
