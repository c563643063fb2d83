//! Several captures as one timeline.
//!
//! Files are merged by the time of their next frame; within a file the order of the file is kept,
//! whatever its clock does. What is merged are series: the rotated files of one capture, read one
//! after the other, or a single file. A single series is not merged with anything and costs
//! nothing.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::buffer::{BUFFER, SMALL_BUFFER};
use super::error::CaptureError;
use super::inputs::{self, Inputs};
use super::reader::{Current, FileReader, Record};
use super::series::{RotatedName, rotated_name};
use super::source::{Recognised, recognise};
use super::summary::{FileSummary, Ledger, TapSummary, WarningKind};
use super::{Item, MAX_OPEN_FILES, SecretsFormat};
use crate::time::Timestamp;

/// From how many files on each gets a smaller buffer.
const MANY_FILES: usize = 16;

/// Most items of a [`Batch`]: so many that what a batch costs by itself does not count.
const BATCH: usize = 128;

/// Items that lie in a reader's buffer together.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Current>,
    /// Frames behind the items.
    records: Vec<Record>,
}

/// Capture files, directories of them and standard input, read as one timeline.
///
/// Frames come in the order of their times across files, and in file order within a file. Files
/// whose names show that they are a rotated series (as tcpdump, dumpcap and Wireshark name them)
/// are read in the order of their first frames and share their taps; an interface of any other
/// file is a tap of its own. Interfaces in later sections of one pcapng file, or of a later file
/// of a series, go on with the tap of the same index, link type and name.
///
/// ```no_run
/// use mqttscope::capture::{Capture, Item};
///
/// let mut capture = Capture::open(&["day.pcapng"])?;
/// while let Some(item) = capture.next_item() {
///     if let Item::Frame(frame) = item {
///         println!("{} bytes at {}", frame.bytes.len(), frame.time.as_nanos());
///     }
/// }
/// assert!(!capture.files()[0].truncated);
/// # Ok::<(), mqttscope::capture::CaptureError>(())
/// ```
pub struct Capture {
    ledger: Ledger,
    series: Vec<Series>,
    /// Series by the time of what they hand out next; empty where there is only one.
    queue: BinaryHeap<Reverse<(Timestamp, usize)>>,
    /// Series that come next but cannot be opened yet.
    waiting: VecDeque<usize>,
    /// The series whose item was handed out last.
    current: Option<usize>,
    open_files: usize,
    skipped_files: u64,
    buffer_size: usize,
}

/// The files of one series that are still to be read, and the one that is being read.
#[derive(Default)]
struct Series {
    reader: Option<FileReader>,
    files: VecDeque<Pending>,
    /// The latest time of the files that were read to their end.
    latest: Option<Timestamp>,
}

/// A file that is to be opened (again) when it is its turn.
struct Pending {
    file: u32,
    first: Timestamp,
    place: (u64, u64),
}

impl Capture {
    /// Opens files and directories; `-` is standard input.
    ///
    /// Every file is opened and recognised before this returns, so that a bad path fails at once.
    /// A directory stands for the capture files in it, sorted by name, without its
    /// subdirectories; other files in it are counted in
    /// [`skipped_files`](Self::skipped_files).
    ///
    /// # Errors
    ///
    /// See [`CaptureError`]; nothing has been read then.
    pub fn open<P: AsRef<Path>>(paths: &[P]) -> Result<Self, CaptureError> {
        let mut inputs = Inputs::expand(paths)?;
        let named = std::mem::take(&mut inputs.files);
        let mut capture = Self::empty(named.len());
        let mut by_name = HashMap::new();
        let single = named.len() == 1;
        for input in &named {
            let opened = inputs::open(&input.path, capture.buffer_size);
            let Some((recognised, regular)) = inputs.count(input.directory, opened)? else {
                capture.skipped_files = capture.skipped_files.saturating_add(1);
                continue;
            };
            // Only what can be opened a second time can wait for its turn.
            let rotated = if regular {
                rotated_name(&input.path)
            } else {
                None
            };
            let place = rotated.as_ref().map_or((0, 0), |name| name.place);
            let series = capture.series_of(rotated, &mut by_name);
            let (file, reader) = capture.begin(series, &input.path, recognised);
            if single {
                capture.keep(series, reader);
            } else {
                capture.probe(series, reader, regular.then_some((file, place)));
            }
        }
        inputs.check_directories()?;
        capture.queue_series();
        Ok(capture)
    }

    /// Reads one stream; `name` stands for its path.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), if its first bytes are not those of a capture.
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send>) -> Result<Self, CaptureError> {
        Self::from_readers(vec![(name.to_owned(), reader)])
    }

    /// Reads several streams as one timeline, each a capture of its own.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open), for the first stream that is no capture.
    pub fn from_readers(
        readers: Vec<(String, Box<dyn Read + Send>)>,
    ) -> Result<Self, CaptureError> {
        if readers.is_empty() {
            return Err(CaptureError::NothingNamed);
        }
        let mut capture = Self::empty(readers.len());
        let single = readers.len() == 1;
        for (name, source) in readers {
            let path = PathBuf::from(name);
            let recognised = recognise(&path, source, capture.buffer_size)?;
            let series = capture.series_of(None, &mut HashMap::new());
            let (_, reader) = capture.begin(series, &path, recognised);
            if single {
                capture.keep(series, reader);
            } else {
                capture.probe(series, reader, None);
            }
        }
        Ok(capture)
    }

    /// The next frame or secrets, or `None` at the end of all files. It borrows from the reader
    /// until the next call.
    #[inline]
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        if self.series.len() == 1 {
            self.current = Some(0);
            self.advance(0)?;
        } else {
            self.merge()?;
        }
        let series = self.series.get(self.current?)?;
        series.reader.as_ref()?.item()
    }

    /// Goes to the next frames or secrets, as many as can be had without reading in between;
    /// `false` at the end of all files. [`Batch`] says what they are, and [`lend`](Self::lend)
    /// lends them, until the next call.
    pub fn next_batch(&mut self, batch: &mut Batch) -> bool {
        batch.items.clear();
        batch.records.clear();
        if self.next_item().is_none() {
            return false;
        }
        let alone = self.series.len() == 1;
        let Some(reader) = self
            .current
            .and_then(|index| self.series.get_mut(index)?.reader.as_mut())
        else {
            return false;
        };
        batch.items.push(reader.current());
        if alone {
            let Batch { items, records } = batch;
            reader.advance_buffered(&mut self.ledger, items, records, BATCH);
        }
        true
    }

    /// The items of a batch that [`next_batch`](Self::next_batch) just went to.
    pub fn lend<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = Item<'a>> {
        let series = self.current.and_then(|index| self.series.get(index));
        let reader = series.and_then(|series| series.reader.as_ref());
        let summary = reader.and_then(|reader| self.ledger.files.get(reader.file() as usize));
        let count = summary.map_or(0, |summary| summary.frames);
        let items = batch
            .items
            .iter()
            .filter_map(move |&item| reader?.lend(item));
        let frames = reader.map(|reader| reader.frames(&batch.records, count));
        items.chain(frames.into_iter().flatten().map(Item::Frame))
    }

    /// The secrets in a batch, by themselves.
    pub fn secrets<'a>(
        &'a self,
        batch: &'a Batch,
    ) -> impl Iterator<Item = (SecretsFormat, &'a [u8])> {
        let series = self.current.and_then(|index| self.series.get(index));
        let reader = series.and_then(|series| series.reader.as_ref());
        let secrets = |item: &&Current| matches!(item, Current::Secrets { .. });
        let items = batch.items.iter().filter(secrets);
        items.filter_map(move |&item| match reader?.lend(item)? {
            Item::Secrets { format, bytes, .. } => Some((format, bytes)),
            Item::Frame(_) => None,
        })
    }

    /// The files, in the order in which they were named, as far as they have been read.
    #[must_use]
    pub fn files(&self) -> &[FileSummary] {
        &self.ledger.files
    }

    /// The taps, by their number, as far as their files have been read.
    #[must_use]
    pub fn taps(&self) -> &[TapSummary] {
        self.ledger.taps.summaries()
    }

    /// How many files in named directories are no captures.
    #[must_use]
    pub fn skipped_files(&self) -> u64 {
        self.skipped_files
    }

    fn empty(files: usize) -> Self {
        Self {
            ledger: Ledger::default(),
            series: Vec::new(),
            queue: BinaryHeap::new(),
            waiting: VecDeque::new(),
            current: None,
            open_files: 0,
            skipped_files: 0,
            buffer_size: if files < MANY_FILES {
                BUFFER
            } else {
                SMALL_BUFFER
            },
        }
    }

    fn series_of(
        &mut self,
        rotated: Option<RotatedName>,
        by_name: &mut HashMap<PathBuf, usize>,
    ) -> usize {
        let new = self.series.len();
        let series = match rotated {
            Some(name) => *by_name.entry(name.common).or_insert(new),
            None => new,
        };
        if series == new {
            self.series.push(Series::default());
        }
        series
    }

    /// Lists the file and reads its header.
    fn begin(&mut self, series: usize, path: &Path, recognised: Recognised) -> (u32, FileReader) {
        let file = number(self.ledger.files.len());
        self.ledger.files.push(FileSummary::new(
            path.to_owned(),
            recognised.container,
            recognised.compression,
        ));
        let reader = FileReader::begin(recognised, file, number(series), &mut self.ledger);
        (file, reader)
    }

    fn keep(&mut self, series: usize, reader: FileReader) {
        if let Some(series) = self.series.get_mut(series) {
            series.reader = Some(reader);
            self.open_files = self.open_files.saturating_add(1);
        }
    }

    /// Reads up to the first item, for its time. What can be opened again is closed then until
    /// that time comes; the rest stays open.
    fn probe(&mut self, index: usize, mut reader: FileReader, reopen: Option<(u32, (u64, u64))>) {
        let first = reader.advance(&mut self.ledger);
        match (reopen, first) {
            (Some((file, place)), first) => {
                // A file without frames takes no time and can come first.
                let first = first.unwrap_or(Timestamp::from_nanos(i64::MIN));
                if let Some(series) = self.series.get_mut(index) {
                    series.files.push_back(Pending { file, first, place });
                }
            }
            (None, Some(first)) => {
                self.keep(index, reader);
                self.queue.push(Reverse((first, index)));
            }
            (None, None) => {}
        }
    }

    /// Orders the files of each series, and queues the series by their first frames.
    fn queue_series(&mut self) {
        for (index, series) in self.series.iter_mut().enumerate() {
            let files = series.files.make_contiguous();
            files.sort_by_key(|pending| (pending.first, pending.place, pending.file));
            if let Some(pending) = series.files.front() {
                self.queue.push(Reverse((pending.first, index)));
            }
        }
    }

    /// Makes the series whose next item is the earliest the current one, its reader at that item.
    fn merge(&mut self) -> Option<()> {
        if let Some(index) = self.current.take() {
            match self.advance(index) {
                Some(time) => {
                    let next = self.queue.peek();
                    if next.is_none_or(|Reverse(next)| (time, index) <= *next) {
                        self.current = Some(index);
                        return Some(());
                    }
                    self.queue.push(Reverse((time, index)));
                }
                None => self.start_waiting(),
            }
        }
        loop {
            let Reverse((_, index)) = self.queue.pop()?;
            if self.series.get(index)?.reader.is_some() {
                self.current = Some(index);
                return Some(());
            }
            if self.open_files >= MAX_OPEN_FILES {
                self.waiting.push_back(index);
            } else if let Some(time) = self.next_file(index) {
                self.queue.push(Reverse((time, index)));
            }
        }
    }

    /// Starts the next series that had to wait for another one to end.
    fn start_waiting(&mut self) {
        while let Some(index) = self.waiting.pop_front() {
            let pending = self
                .series
                .get(index)
                .and_then(|series| series.files.front());
            let file = pending.map(|pending| pending.file as usize);
            let Some(time) = self.next_file(index) else {
                continue;
            };
            self.queue.push(Reverse((time, index)));
            if let Some(summary) = file.and_then(|file| self.ledger.files.get_mut(file)) {
                summary.warn(0, WarningKind::StartedLate);
            }
            return;
        }
    }

    /// Goes to the next item of one series; `None` at its end.
    #[inline]
    fn advance(&mut self, index: usize) -> Option<Timestamp> {
        if let Some(reader) = &mut self.series.get_mut(index)?.reader
            && let Some(time) = reader.advance(&mut self.ledger)
        {
            return Some(time);
        }
        self.next_file(index)
    }

    /// Closes the file of a series that is at its end and opens those that follow until one has
    /// an item.
    #[cold]
    fn next_file(&mut self, index: usize) -> Option<Timestamp> {
        let series = self.series.get_mut(index)?;
        if let Some(reader) = series.reader.take() {
            self.open_files = self.open_files.saturating_sub(1);
            let ended = self.ledger.files.get(reader.file() as usize);
            series.latest = series.latest.max(ended.and_then(|summary| summary.last));
        }
        while let Some(Pending { file, .. }) = series.files.pop_front() {
            let Some(mut reader) = reopen(file, index, self.buffer_size, &mut self.ledger) else {
                continue;
            };
            let first = reader.advance(&mut self.ledger);
            let summary = self.ledger.files.get_mut(file as usize)?;
            if summary.first.is_some() && summary.first < series.latest {
                summary.warn(0, WarningKind::SeriesOverlap);
            }
            if first.is_some() {
                series.reader = Some(reader);
                self.open_files = self.open_files.saturating_add(1);
                return first;
            }
        }
        None
    }
}

/// Opens a file again that was closed until its turn. What was read of it to find the time of its
/// first frame is read, and counted, anew.
fn reopen(file: u32, series: usize, buffer_size: usize, ledger: &mut Ledger) -> Option<FileReader> {
    let summary = ledger.files.get_mut(file as usize)?;
    let path = std::mem::take(&mut summary.path);
    let opened = inputs::open(&path, buffer_size);
    *summary = FileSummary::new(path, summary.container, summary.compression);
    match opened {
        Ok((recognised, _)) => Some(FileReader::begin(recognised, file, number(series), ledger)),
        Err(error) => {
            summary.truncated = true;
            summary.warn(0, WarningKind::Read(error.to_string()));
            None
        }
    }
}

/// Files and series are counted in 32 bits; no command line names more.
fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}
