//! Frames that are handed on together.

use crate::frame::{Frame, LinkType};
use crate::time::Timestamp;

/// Frames that were there and are not handed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost {
    /// How many.
    pub frames: u64,
    /// They were lost at this time at the earliest.
    pub from: Timestamp,
    /// And at this time at the latest.
    pub until: Timestamp,
}

/// An interface that frames of a batch, or of a later one, are from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TapNote {
    /// Its number, as in [`Frame::tap`].
    pub tap: u16,
    /// What its frames begin with.
    pub link_type: LinkType,
    /// Its name, if it has one.
    pub name: Option<String>,
    /// The longest frame that is kept, in bytes; 0 is no limit.
    pub snap_length: u32,
    /// The filter of the system, in libpcap's syntax.
    pub filter: Option<String>,
}

#[derive(Clone, Copy, Debug)]
struct Stored {
    time: Timestamp,
    number: u64,
    at: u32,
    length: u32,
    wire_length: u32,
    file: u32,
    link_type: LinkType,
    tap: u16,
}

/// Frames, copied, in the order in which they came.
#[derive(Debug, Default)]
pub struct FrameBatch {
    bytes: Vec<u8>,
    frames: Vec<Stored>,
    taps: Vec<TapNote>,
    secrets: Vec<u8>,
    lost: Vec<Lost>,
}

impl FrameBatch {
    /// A batch without anything.
    pub const EMPTY: Self = Self {
        bytes: Vec::new(),
        frames: Vec::new(),
        taps: Vec::new(),
        secrets: Vec::new(),
        lost: Vec::new(),
    };

    /// A batch takes frames up to about so many bytes; one longer frame fills one by itself.
    pub const BYTES: usize = 1 << 20;

    /// And so many of them.
    pub const FRAMES: usize = 1 << 14;

    /// Most spans of lost frames in a batch; later ones widen the last.
    const LOST: usize = 64;

    /// What a frame's entry counts for, so that empty frames do not take more than the rest.
    const ENTRY: usize = size_of::<Stored>();

    /// Frames in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// There is nothing at all in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
            && self.taps.is_empty()
            && self.secrets.is_empty()
            && self.lost.is_empty()
    }

    /// The frames, in order.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().map(|frame| self.lend(frame))
    }

    /// Some of the frames, by their places from 0 on.
    pub fn some(&self, from: usize, to: usize) -> impl Iterator<Item = Frame<'_>> {
        let some = self.frames.get(from..to).unwrap_or_default();
        some.iter().map(|frame| self.lend(frame))
    }

    /// The place of the first frame from `from` on that is not before `time`.
    #[must_use]
    pub fn first_at(&self, from: usize, time: Timestamp) -> Option<usize> {
        let rest = self.frames.get(from..)?;
        let place = rest.iter().position(|frame| frame.time >= time)?;
        place.checked_add(from)
    }

    /// The time of the frame at a place.
    #[must_use]
    pub fn time(&self, place: usize) -> Option<Timestamp> {
        self.frames.get(place).map(|frame| frame.time)
    }

    /// Interfaces that are new with this batch.
    #[must_use]
    pub fn taps(&self) -> &[TapNote] {
        &self.taps
    }

    /// A part of a key log of TLS connections; empty for none.
    #[must_use]
    pub fn secrets(&self) -> &[u8] {
        &self.secrets
    }

    /// Where frames were lost, before, among or behind these.
    #[must_use]
    pub fn lost(&self) -> &[Lost] {
        &self.lost
    }

    /// Whether so long a frame still belongs into it.
    #[must_use]
    pub fn has_room(&self, length: usize) -> bool {
        let entries = self.frames.len().saturating_mul(Self::ENTRY);
        let used = self.bytes.len().saturating_add(entries);
        self.frames.is_empty()
            || (used.saturating_add(length) <= Self::BYTES && self.frames.len() < Self::FRAMES)
    }

    /// Copies a frame.
    pub fn push(&mut self, frame: &Frame<'_>) {
        let number = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
        self.frames.push(Stored {
            time: frame.time,
            number: frame.number,
            at: number(self.bytes.len()),
            length: number(frame.bytes.len()),
            wire_length: frame.wire_length,
            file: frame.file,
            link_type: frame.link_type,
            tap: frame.tap,
        });
        self.bytes.extend_from_slice(frame.bytes);
    }

    /// Tells of an interface.
    pub fn note_tap(&mut self, tap: TapNote) {
        self.taps.push(tap);
    }

    /// Adds to the key log.
    pub fn note_secrets(&mut self, key_log: &[u8]) {
        self.secrets.extend_from_slice(key_log);
        self.secrets.push(b'\n');
    }

    /// Tells of lost frames.
    pub fn note_lost(&mut self, lost: Lost) {
        let full = self.lost.len() >= Self::LOST;
        match self.lost.last_mut() {
            Some(last) if full => {
                last.frames = last.frames.saturating_add(lost.frames);
                last.from = last.from.min(lost.from);
                last.until = last.until.max(lost.until);
            }
            _ => self.lost.push(lost),
        }
    }

    /// Empties it; the memory stays, but for that of an uncommonly long frame.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(Self::BYTES);
        self.frames.clear();
        self.taps.clear();
        self.secrets = Vec::new();
        self.lost.clear();
    }

    fn lend(&self, frame: &Stored) -> Frame<'_> {
        let (at, length) = (frame.at as usize, frame.length as usize);
        let bytes = self.bytes.get(at..at.saturating_add(length));
        Frame {
            time: frame.time,
            link_type: frame.link_type,
            wire_length: frame.wire_length,
            bytes: bytes.unwrap_or_default(),
            tap: frame.tap,
            file: frame.file,
            number: frame.number,
        }
    }
}
