//! Taps at the hosts' ends of the links, written as one pcapng file with one clock.
//!
//! A host's tap sees what the host sent, before the link did anything to it, and what the link let
//! through to the host. A packet that a link lost is at the sender's tap and not at the
//! receiver's.

use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender, SyncSender};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::host::Host;
use crate::capture::{Interface, InterfaceStatistics, PcapngWriter};
use crate::frame::LinkType;
use crate::time::{TimeDelta, Timestamp};

/// Bytes that may wait for the disk; packets beyond are not recorded, and counted.
const WAITING: usize = 64 << 20;
/// The writer is woken for so many bytes, or for what is so old: to wake it takes longer than to
/// pass on a packet.
const BATCH: usize = 1 << 17;
const OLDEST: TimeDelta = TimeDelta::from_nanos(20_000_000);
/// Batches that are kept to be filled again.
const SPARE: usize = 8;

/// A packet at a tap; its bytes are the next `kept` of its batch.
struct Record {
    tap: u32,
    wire_length: u32,
    kept: usize,
    time: Timestamp,
}

/// Packets in the order in which they were seen.
#[derive(Default)]
struct Batch {
    records: Vec<Record>,
    bytes: Vec<u8>,
}

impl Batch {
    fn cost(&self) -> usize {
        self.bytes.len() + self.records.len() * size_of::<Record>()
    }
}

/// What the taps saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TapCounters {
    /// Packets at the publisher's, the broker's and the subscriber's tap.
    pub packets: [u64; 3],
    /// Packets that are not in the file because the disk was too slow.
    pub not_recorded: [u64; 3],
}

/// Where the emulator puts what the taps see; hands it to a thread that writes.
pub(super) struct TapSink {
    to_writer: Sender<Batch>,
    pending: Batch,
    /// What the writer has emptied.
    emptied: Receiver<Batch>,
    /// The cost of what was handed on and is not written.
    waiting: Arc<AtomicUsize>,
    snap_length: usize,
    counters: TapCounters,
}

/// The thread that writes, and its file.
#[derive(Debug)]
pub(super) struct TapWriter {
    thread: JoinHandle<io::Result<PcapngWriter<BufWriter<File>>>>,
    aside: PathBuf,
    path: PathBuf,
}

/// Opens `path` for the taps, so that a path that cannot be written fails at once. Until the taps
/// are stopped the file is called `path` with `.part` behind it. `snap_length` 0 keeps packets
/// whole.
pub(super) fn open(path: &Path, snap_length: u32) -> Result<(TapSink, TapWriter), LabError> {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".part");
    let aside = PathBuf::from(aside);
    let failed = |source| LabError::File {
        path: aside.clone(),
        source,
    };
    let file = BufWriter::with_capacity(1 << 18, File::create(&aside).map_err(failed)?);
    let application = concat!("mqttscope ", env!("CARGO_PKG_VERSION"));
    let mut writer = PcapngWriter::new(file, application).map_err(failed)?;
    for host in Host::ALL {
        let description = format!("the {host}'s end of the emulated links");
        let interface = Interface {
            snap_length,
            description: Some(&description),
            ..Interface::new(LinkType::RAW).with_name(host.name())
        };
        writer.add_interface(&interface).map_err(failed)?;
    }
    let (to_writer, batches) = mpsc::channel();
    let (to_sink, emptied) = mpsc::sync_channel(SPARE);
    let waiting = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&waiting);
    let thread = std::thread::Builder::new()
        .name("lab taps".to_owned())
        .spawn(move || write(writer, &batches, &to_sink, &taken))
        .map_err(LabError::network("a thread for the taps"))?;
    let sink = TapSink {
        to_writer,
        pending: Batch::default(),
        emptied,
        waiting,
        snap_length: match snap_length {
            0 => usize::MAX,
            limit => limit as usize,
        },
        counters: TapCounters::default(),
    };
    let writer = TapWriter {
        thread,
        aside,
        path: path.to_owned(),
    };
    Ok((sink, writer))
}

/// Writes until the sink is gone. After an error the rest is taken and thrown away.
fn write(
    mut writer: PcapngWriter<BufWriter<File>>,
    batches: &Receiver<Batch>,
    emptied: &SyncSender<Batch>,
    waiting: &AtomicUsize,
) -> io::Result<PcapngWriter<BufWriter<File>>> {
    let mut result = Ok(());
    for mut batch in batches {
        if result.is_ok() {
            result = write_batch(&mut writer, &batch);
        }
        waiting.fetch_sub(batch.cost(), Ordering::Relaxed);
        batch.records.clear();
        batch.bytes.clear();
        // What the sink has no use for goes.
        let _ = emptied.try_send(batch);
    }
    result.map(|()| writer)
}

fn write_batch(writer: &mut PcapngWriter<BufWriter<File>>, batch: &Batch) -> io::Result<()> {
    let mut rest = batch.bytes.as_slice();
    for record in &batch.records {
        let (bytes, after) = rest.split_at_checked(record.kept).unwrap_or((rest, &[]));
        rest = after;
        writer.write_frame(record.tap, record.time, record.wire_length, bytes, None)?;
    }
    Ok(())
}

impl TapSink {
    /// A packet is at a host's tap.
    pub(super) fn see(&mut self, host: Host, time: Timestamp, packet: &[u8]) {
        let kept = &packet[..packet.len().min(self.snap_length)];
        self.counters.packets[host.index()] += 1;
        if self.waiting.load(Ordering::Relaxed) + self.pending.cost() > WAITING {
            self.counters.not_recorded[host.index()] += 1;
            return;
        }
        self.pending.records.push(Record {
            tap: host.index() as u32,
            wire_length: packet.len() as u32,
            kept: kept.len(),
            time,
        });
        self.pending.bytes.extend_from_slice(kept);
    }

    /// Hands on what was seen, if it is much, or waits for long.
    pub(super) fn flush_if_due(&mut self, now: Timestamp) {
        let oldest = self.pending.records.first();
        if self.pending.cost() >= BATCH || oldest.is_some_and(|first| now - first.time > OLDEST) {
            self.flush();
        }
    }

    /// Hands on what was seen since the last time.
    pub(super) fn flush(&mut self) {
        if self.pending.records.is_empty() {
            return;
        }
        let next = self.emptied.try_recv().unwrap_or_default();
        let batch = std::mem::replace(&mut self.pending, next);
        self.waiting.fetch_add(batch.cost(), Ordering::Relaxed);
        // The writer goes only after the sink.
        let _ = self.to_writer.send(batch);
    }

    /// Ends the recording; `now` is the time of the closing statistics.
    pub(super) fn finish(
        mut self,
        writer: TapWriter,
        now: Timestamp,
    ) -> Result<TapCounters, LabError> {
        self.flush();
        let counters = self.counters;
        drop(self);
        writer.finish(&counters, now)?;
        Ok(counters)
    }
}

impl TapWriter {
    fn finish(self, counters: &TapCounters, now: Timestamp) -> Result<(), LabError> {
        let failed = |source| LabError::File {
            path: self.aside.clone(),
            source,
        };
        let mut writer = match self.thread.join() {
            Ok(result) => result.map_err(failed)?,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        for host in Host::ALL {
            let at = host.index();
            let statistics = InterfaceStatistics {
                received: Some(counters.packets[at]),
                dropped_by_interface: Some(0),
                dropped_by_system: Some(counters.not_recorded[at]),
            };
            writer
                .write_statistics(at as u32, now, &statistics)
                .map_err(failed)?;
        }
        writer.into_inner().map_err(failed)?;
        fs::rename(&self.aside, &self.path).map_err(|source| LabError::File {
            path: self.path.clone(),
            source,
        })
    }
}
