//! One capture file, read item by item.

use std::io;

use super::buffer::Buffer;
use super::pcap::Pcap;
use super::pcapng::Pcapng;
use super::source::{Container, Recognised};
use super::summary::{FileSummary, Ledger, WarningKind};
use super::{Item, SecretsFormat};
use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

/// What the next record or block came to. The bytes of frames and secrets stay in the buffer, at
/// a place that [`Buffer::lent`] knows, until the next step.
#[derive(Debug)]
pub(crate) enum Step {
    Frame(LentFrame),
    Secrets {
        format: SecretsFormat,
        at: usize,
        length: usize,
    },
    /// A frame that cannot be handed out; reading goes on.
    Unassigned(WarningKind),
    /// Something else that was skipped; reading goes on.
    Noted(WarningKind),
    /// The file ends between records.
    End,
    /// The file ends within a record.
    Truncated,
    /// Nothing after this can be relied on.
    Damaged(WarningKind),
}

impl Step {
    /// The end of a file that has less left than a record's header.
    pub(crate) fn ended(buffer: &Buffer) -> Self {
        if buffer.unread().is_empty() {
            Self::End
        } else {
            Self::Truncated
        }
    }
}

/// A frame without its bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LentFrame {
    pub(crate) time: Option<Timestamp>,
    pub(crate) link_type: LinkType,
    pub(crate) wire_length: u32,
    pub(crate) tap: u16,
    pub(crate) at: usize,
    pub(crate) length: usize,
}

/// A frame of a pcap file, without what all frames of it share.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) time: Timestamp,
    pub(crate) at: usize,
    pub(crate) length: u32,
    pub(crate) wire_length: u32,
}

enum Records {
    Pcap(Pcap),
    Pcapng(Pcapng),
    /// The file ends within its header.
    Cut,
    /// Everything was read.
    Ended,
}

/// What the last step found.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Current {
    Nothing,
    Frame {
        frame: LentFrame,
        time: Timestamp,
        number: u64,
    },
    Secrets {
        format: SecretsFormat,
        at: usize,
        length: usize,
    },
}

/// Reads one file. Steps and items are apart (first [`advance`](Self::advance), then
/// [`item`](Self::item)), so that merging can look at the time of what comes next without
/// borrowing it.
pub(crate) struct FileReader {
    buffer: Buffer,
    records: Records,
    file: u32,
    current: Current,
    /// Time of the last frame, in the file's order.
    time: Option<Timestamp>,
}

impl FileReader {
    /// Reads the file's header. The file's summary must be in the ledger.
    pub(crate) fn begin(
        recognised: Recognised,
        file: u32,
        series: u32,
        ledger: &mut Ledger,
    ) -> Self {
        let mut buffer = recognised.buffer;
        let records = match recognised.container {
            Container::Pcapng => Records::Pcapng(Pcapng::begin(file, series)),
            _ => match Pcap::begin(&mut buffer, file, series, ledger) {
                Some(pcap) => Records::Pcap(pcap),
                None => Records::Cut,
            },
        };
        Self {
            buffer,
            records,
            file,
            current: Current::Nothing,
            time: None,
        }
    }

    /// 0-based index of the file.
    pub(crate) fn file(&self) -> u32 {
        self.file
    }

    /// Goes to the next item and returns its place in time; `None` at the end of what can be
    /// read. Secrets come before everything.
    #[inline]
    pub(crate) fn advance(&mut self, ledger: &mut Ledger) -> Option<Timestamp> {
        loop {
            let mut offset = self.buffer.position();
            let step = match &mut self.records {
                Records::Pcap(pcap) => pcap.next(&mut self.buffer),
                Records::Pcapng(pcapng) => {
                    let step = pcapng.next(&mut self.buffer, ledger);
                    offset = pcapng.offset();
                    step
                }
                Records::Cut => Step::Truncated,
                Records::Ended => return None,
            };
            let summary = ledger.files.get_mut(self.file as usize)?;
            match step {
                Step::Frame(frame) => {
                    let time = self.note_frame(&frame, summary, offset);
                    self.current = Current::Frame {
                        frame,
                        time,
                        number: summary.frames,
                    };
                    return Some(time);
                }
                Step::Secrets { format, at, length } => {
                    self.current = Current::Secrets { format, at, length };
                    return Some(Timestamp::from_nanos(i64::MIN));
                }
                other => self.note_other(other, summary, offset)?,
            }
        }
    }

    #[inline]
    fn note_frame(
        &mut self,
        frame: &LentFrame,
        summary: &mut FileSummary,
        offset: u64,
    ) -> Timestamp {
        summary.frames = summary.frames.saturating_add(1);
        summary.bytes = self.buffer.position();
        let Some(time) = frame.time else {
            summary.untimed_frames = summary.untimed_frames.saturating_add(1);
            summary.warn(offset, WarningKind::NoTime);
            return self.time.unwrap_or_default();
        };
        if let Some(before) = self.time.replace(time)
            && before > time
        {
            summary.out_of_order_frames = summary.out_of_order_frames.saturating_add(1);
        }
        if summary.first.is_none_or(|first| time < first) {
            summary.first = Some(time);
        }
        if summary.last.is_none_or(|last| time > last) {
            summary.last = Some(time);
        }
        time
    }

    /// Takes down what is no item; `None` if the file is at its end with it.
    #[cold]
    fn note_other(&mut self, step: Step, summary: &mut FileSummary, offset: u64) -> Option<()> {
        summary.bytes = self.buffer.position();
        match step {
            Step::Unassigned(kind) => {
                summary.frames = summary.frames.saturating_add(1);
                summary.unassigned_frames = summary.unassigned_frames.saturating_add(1);
                summary.warn(offset, kind);
                return Some(());
            }
            Step::Noted(kind) => {
                summary.warn(offset, kind);
                return Some(());
            }
            Step::Damaged(kind) => summary.warn(offset, kind),
            Step::Truncated => summary.truncated = true,
            Step::End | Step::Frame(_) | Step::Secrets { .. } => {}
        }
        // A failed read looks like an end.
        if let Some(failure) = self.buffer.take_failure() {
            summary.truncated = true;
            // The unpackers report a cut file like this: no more is wrong with it than that.
            if failure.kind() != io::ErrorKind::UnexpectedEof {
                summary.warn(offset, WarningKind::Read(failure.to_string()));
            }
        }
        let unread = self.buffer.unread().len() as u64;
        summary.bytes = summary.bytes.saturating_add(unread);
        self.records = Records::Ended;
        self.current = Current::Nothing;
        None
    }

    /// The item that the last step went to.
    #[inline]
    pub(crate) fn item(&self) -> Option<Item<'_>> {
        self.lend(self.current)
    }

    /// What the last step went to, to be lent later.
    pub(crate) const fn current(&self) -> Current {
        self.current
    }

    /// Whether the next step finds a frame without reading from the source, so that what was
    /// found before it stays where it is.
    #[inline]
    pub(crate) fn has_frame_buffered(&self) -> bool {
        match &self.records {
            Records::Pcapng(pcapng) => pcapng.has_packet(&self.buffer),
            Records::Pcap(_) | Records::Cut | Records::Ended => false,
        }
    }

    /// Goes to the frames that can be had without reading, up to `most` items in all. A pcap's
    /// records are so alike that they are worth a loop, and a shorter form, of their own.
    #[inline]
    pub(crate) fn advance_buffered(
        &mut self,
        ledger: &mut Ledger,
        items: &mut Vec<Current>,
        records: &mut Vec<Record>,
        most: usize,
    ) {
        if let Records::Pcap(pcap) = &self.records
            && let Some(summary) = ledger.files.get_mut(self.file as usize)
            && pcap.has_tap()
        {
            let mut before = self.time.unwrap_or(Timestamp::from_nanos(i64::MIN));
            let mut first = summary.first.unwrap_or(Timestamp::from_nanos(i64::MAX));
            let mut last = summary.last.unwrap_or(Timestamp::from_nanos(i64::MIN));
            let (unread, start) = (self.buffer.unread(), self.buffer.unread_from());
            let (mut at, mut backwards) = (0, 0_u64);
            let room = most
                .saturating_sub(items.len())
                .saturating_sub(records.len());
            records.reserve(room);
            let mut count = 0;
            while count < room
                && let Some((record, next)) = pcap.record_at(unread, at)
            {
                backwards = backwards.saturating_add(u64::from(before > record.time));
                before = record.time;
                first = first.min(before);
                last = last.max(before);
                records.push(Record {
                    at: start.saturating_add(record.at),
                    ..record
                });
                at = next;
                count = count.saturating_add(1);
            }
            self.buffer.consume(at, 0);
            summary.out_of_order_frames = summary.out_of_order_frames.saturating_add(backwards);
            if !records.is_empty() {
                self.time = Some(before);
                summary.first = Some(first);
                summary.last = Some(last);
                summary.frames = summary.frames.saturating_add(records.len() as u64);
                summary.bytes = self.buffer.position();
            }
            return;
        }
        while items.len() < most && self.has_frame_buffered() {
            if self.advance(ledger).is_none() {
                return;
            }
            items.push(self.current);
        }
    }

    /// The frames of records, the last of which is the file's `count`th frame.
    #[inline]
    pub(crate) fn frames<'a>(
        &'a self,
        records: &'a [Record],
        count: u64,
    ) -> impl Iterator<Item = Frame<'a>> {
        let (link_type, tap) = match &self.records {
            Records::Pcap(pcap) => pcap.interface(),
            _ => (LinkType(0), 0),
        };
        let before = count.saturating_sub(records.len() as u64);
        records
            .iter()
            .zip(1_u64..)
            .map(move |(record, index)| Frame {
                time: record.time,
                link_type,
                wire_length: record.wire_length,
                bytes: self.buffer.lent(record.at, record.length as usize),
                tap,
                file: self.file,
                number: before.saturating_add(index),
            })
    }

    /// An item found by some step, as long as nothing was read since.
    #[inline]
    pub(crate) fn lend(&self, current: Current) -> Option<Item<'_>> {
        match current {
            Current::Nothing => None,
            Current::Frame {
                frame,
                time,
                number,
            } => Some(Item::Frame(Frame {
                time,
                link_type: frame.link_type,
                wire_length: frame.wire_length,
                bytes: self.buffer.lent(frame.at, frame.length),
                tap: frame.tap,
                file: self.file,
                number,
            })),
            Current::Secrets { format, at, length } => Some(Item::Secrets {
                file: self.file,
                format,
                bytes: self.buffer.lent(at, length),
            }),
        }
    }
}
