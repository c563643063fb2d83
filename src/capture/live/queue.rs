//! Batches from the thread that reads to the threads that take: filled, lent to all of them,
//! emptied by the last one, and filled again.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::time::Duration;

use super::batch::{FrameBatch, Lost, TapNote};
use super::counters::Counters;
use crate::frame::Frame;

/// The end at which frames are put in.
#[derive(Debug)]
pub struct Filler {
    current: Option<FrameBatch>,
    full: Vec<Sender<Arc<FrameBatch>>>,
    spare: Receiver<FrameBatch>,
    made: usize,
    most: usize,
    counters: Arc<Counters>,
    /// What found no room, until there is room to tell of it.
    lost: Option<Lost>,
    /// Frames and bytes that are in `current`.
    added: (u64, u64),
    /// Nobody takes anything any more.
    gone: bool,
}

/// One of the ends at which batches are taken out.
#[derive(Debug)]
pub struct Taker {
    full: Receiver<Arc<FrameBatch>>,
    spare: Sender<FrameBatch>,
}

/// A batch, to be read. When all who took it have let it go, its memory is used again.
#[derive(Debug)]
pub struct Lent {
    batch: Option<Arc<FrameBatch>>,
    spare: Sender<FrameBatch>,
}

/// A queue of at most `most` batches, the one that is being filled included, from which each of
/// `takers` takes all. There are never fewer than two.
#[must_use]
pub fn queue(most: usize, takers: usize, counters: Arc<Counters>) -> (Filler, Vec<Taker>) {
    let (return_spare, spare) = mpsc::channel();
    let (mut full, mut ends) = (Vec::new(), Vec::new());
    for _ in 0..takers {
        let (sender, receiver) = mpsc::channel();
        full.push(sender);
        ends.push(Taker {
            full: receiver,
            spare: return_spare.clone(),
        });
    }
    let filler = Filler {
        current: None,
        full,
        spare,
        made: 0,
        most: most.max(2),
        counters,
        lost: None,
        added: (0, 0),
        gone: false,
    };
    (filler, ends)
}

impl Filler {
    /// Puts a frame in; `false` if there is no room, and then it is counted as dropped.
    #[inline]
    pub fn push(&mut self, frame: &Frame<'_>) -> bool {
        if self
            .current
            .as_ref()
            .is_none_or(|batch| !batch.has_room(frame.bytes.len()))
        {
            self.hand_on();
            self.renew();
        }
        let Some(batch) = &mut self.current else {
            self.overflow(frame);
            return false;
        };
        batch.push(frame);
        let (frames, bytes) = self.added;
        let more = frame.bytes.len() as u64;
        self.added = (frames.saturating_add(1), bytes.saturating_add(more));
        true
    }

    /// Puts a frame in, and waits for room; `false` if nobody takes anything any more.
    pub fn push_patiently(&mut self, frame: &Frame<'_>) -> bool {
        if self
            .current
            .as_ref()
            .is_none_or(|batch| !batch.has_room(frame.bytes.len()))
            && !self.make_room()
        {
            return false;
        }
        !self.gone && self.push(frame)
    }

    /// Tells of an interface.
    pub fn note_tap(&mut self, tap: TapNote) {
        if let Some(batch) = self.some_batch() {
            batch.note_tap(tap);
        }
    }

    /// Hands on a part of a key log.
    pub fn note_secrets(&mut self, key_log: &[u8]) {
        if let Some(batch) = self.some_batch() {
            batch.note_secrets(key_log);
        }
    }

    /// Tells of frames that were lost before they came here.
    pub fn note_lost(&mut self, lost: Lost) {
        self.renew();
        match &mut self.current {
            Some(batch) => batch.note_lost(lost),
            None => self.lost = Some(joined(self.lost, lost)),
        }
    }

    /// Whether there is something to be handed on.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.current.as_ref().is_some_and(|batch| !batch.is_empty())
    }

    /// Hands on what there is.
    pub fn hand_on(&mut self) {
        let Some(batch) = self.current.take_if(|batch| !batch.is_empty()) else {
            return;
        };
        let (frames, bytes) = std::mem::take(&mut self.added);
        self.counters.add_frames(frames, bytes);
        let batch = Arc::new(batch);
        // Who is gone misses nothing.
        let sent = self
            .full
            .iter()
            .filter(|taker| taker.send(Arc::clone(&batch)).is_ok());
        self.gone = sent.count() == 0;
        if let Some(mut batch) = Arc::into_inner(batch) {
            batch.clear();
            self.current = Some(batch);
        }
    }

    /// A batch even if that means to wait.
    fn some_batch(&mut self) -> Option<&mut FrameBatch> {
        if self.current.is_none() {
            self.make_room();
        }
        self.current.as_mut()
    }

    fn make_room(&mut self) -> bool {
        self.hand_on();
        self.renew();
        if self.current.is_none() {
            // Batches come back in any case: when they are let go, or when who has them is gone.
            self.current = self.spare.recv().ok();
        }
        self.current.is_some()
    }

    /// Sees to it that there is a batch to fill, if there is room. What was handed on may be back
    /// already.
    fn renew(&mut self) {
        if self.current.is_none() {
            self.current = self.take_spare();
        }
    }

    fn take_spare(&mut self) -> Option<FrameBatch> {
        let mut batch = match self.spare.try_recv() {
            Ok(batch) => batch,
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) if self.made < self.most => {
                self.made = self.made.saturating_add(1);
                FrameBatch::default()
            }
            Err(TryRecvError::Empty) => return None,
        };
        if let Some(lost) = self.lost.take() {
            batch.note_lost(lost);
        }
        Some(batch)
    }

    #[cold]
    fn overflow(&mut self, frame: &Frame<'_>) {
        self.counters.add_overflow();
        let lost = Lost {
            frames: 1,
            from: frame.time,
            until: frame.time,
        };
        self.lost = Some(joined(self.lost, lost));
    }
}

impl Drop for Filler {
    fn drop(&mut self) {
        if self.lost.is_some() {
            // Takes the note of what was lost along.
            self.hand_on();
            self.renew();
        }
        self.hand_on();
    }
}

fn joined(lost: Option<Lost>, more: Lost) -> Lost {
    lost.map_or(more, |lost| Lost {
        frames: lost.frames.saturating_add(more.frames),
        from: lost.from.min(more.from),
        until: lost.until.max(more.until),
    })
}

impl Taker {
    /// The next batch.
    ///
    /// # Errors
    ///
    /// `Timeout` if there is none for so long, `Disconnected` if there will be none any more.
    pub fn take(&self, patience: Duration) -> Result<Lent, RecvTimeoutError> {
        let batch = self.full.recv_timeout(patience)?;
        Ok(Lent {
            batch: Some(batch),
            spare: self.spare.clone(),
        })
    }
}

impl Deref for Lent {
    type Target = FrameBatch;

    fn deref(&self) -> &FrameBatch {
        static NOTHING: FrameBatch = FrameBatch::EMPTY;
        self.batch.as_deref().unwrap_or(&NOTHING)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(mut batch) = self.batch.take().and_then(Arc::into_inner) {
            batch.clear();
            // If nobody fills any more, it goes.
            let _ = self.spare.send(batch);
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing
)]
mod tests;
