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
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;

use serde::{Deserialize, Serialize};

use super::error::LabError;
use super::host::Host;
use crate::capture::{Interface, InterfaceStatistics, PcapngWriter};
use crate::frame::LinkType;
use crate::time::Timestamp;

/// Bytes that may wait for the disk; packets beyond are not recorded, and counted.
const WAITING: usize = 64 << 20;
/// What a record takes beside its bytes, about.
const RECORD_OVERHEAD: usize = 64;

/// A packet at a tap.
struct Record {
    tap: u32,
    time: Timestamp,
    wire_length: u32,
    bytes: Box<[u8]>,
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
    to_writer: Sender<Vec<Record>>,
    pending: Vec<Record>,
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
    let (to_writer, records) = mpsc::channel();
    let waiting = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&waiting);
    let thread = std::thread::Builder::new()
        .name("lab taps".to_owned())
        .spawn(move || write(writer, &records, &taken))
        .map_err(LabError::network("a thread for the taps"))?;
    let sink = TapSink {
        to_writer,
        pending: Vec::new(),
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
    records: &Receiver<Vec<Record>>,
    waiting: &AtomicUsize,
) -> io::Result<PcapngWriter<BufWriter<File>>> {
    let mut result = Ok(());
    for batch in records {
        for record in batch {
            waiting.fetch_sub(cost(&record.bytes), Ordering::Relaxed);
            if result.is_ok() {
                let Record {
                    tap,
                    time,
                    wire_length,
                    bytes,
                } = record;
                result = writer.write_frame(tap, time, wire_length, &bytes, None);
            }
        }
    }
    result.map(|()| writer)
}

fn cost(bytes: &[u8]) -> usize {
    bytes.len() + RECORD_OVERHEAD
}

impl TapSink {
    /// A packet is at a host's tap.
    pub(super) fn see(&mut self, host: Host, time: Timestamp, packet: &[u8]) {
        let kept = &packet[..packet.len().min(self.snap_length)];
        self.counters.packets[host.index()] += 1;
        let waiting = self.waiting.fetch_add(cost(kept), Ordering::Relaxed);
        if waiting > WAITING {
            self.waiting.fetch_sub(cost(kept), Ordering::Relaxed);
            self.counters.not_recorded[host.index()] += 1;
            return;
        }
        self.pending.push(Record {
            tap: host.index() as u32,
            time,
            wire_length: packet.len() as u32,
            bytes: kept.into(),
        });
    }

    /// Hands on what was seen since the last time.
    pub(super) fn flush(&mut self) {
        if !self.pending.is_empty() {
            // The writer goes only after the sink.
            let _ = self.to_writer.send(std::mem::take(&mut self.pending));
        }
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
