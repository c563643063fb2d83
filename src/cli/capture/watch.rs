//! Batches through the pipeline, and time along with them.

use crate::analysis::{Lints, Pipeline, Tables};
use crate::capture::FrameFilter;
use crate::capture::live::{CaptureCounts, FrameBatch, TapNote};
use crate::cli::passive::{Analysis, Observers};
use crate::cli::settings::{Settings, wants};
use crate::frame::Frame;
use crate::live::{Figures, Interval, Outstanding, Surroundings};
use crate::time::{TimeDelta, Timestamp};

/// The analysis of what is captured, in intervals of the capture's time.
pub(super) struct Watch {
    pub(super) pipeline: Pipeline,
    observers: (Observers, Figures),
    /// For what no system filters.
    filter: Option<FrameFilter>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    interval: TimeDelta,
    /// When the interval that is counted began.
    begin: Option<Timestamp>,
    pub(super) taps: Vec<TapNote>,
    pub(super) first: Option<Timestamp>,
    pub(super) last: Option<Timestamp>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

impl Watch {
    pub(super) fn new(
        settings: &mut Settings,
        mut observers: Observers,
        interval: TimeDelta,
        filtered: bool,
    ) -> Self {
        observers.1.watch();
        Self {
            pipeline: Pipeline::new(settings.options.clone()),
            observers: (observers, Figures::new()),
            filter: settings.filter.take().filter(|_| !filtered),
            since: settings.since,
            until: settings.until,
            interval,
            begin: None,
            taps: Vec::new(),
            first: None,
            last: None,
            frames: 0,
            bytes: 0,
        }
    }

    /// Takes a batch; `print` gets each interval that ends with it.
    pub(super) fn take(
        &mut self,
        batch: &FrameBatch,
        counts: CaptureCounts,
        mut print: impl FnMut(&Interval),
    ) {
        self.taps.extend(batch.taps().iter().cloned());
        if !batch.secrets().is_empty() {
            self.pipeline.add_secrets(batch.secrets());
        }
        for lost in batch.lost() {
            self.pipeline.missed_frames(lost.from, lost.until);
        }
        let mut from = 0;
        while let Some(time) = batch.time(from) {
            let begin = *self.begin.get_or_insert(time);
            let due = begin + self.interval;
            let to = batch.first_at(from, due).unwrap_or(batch.len());
            self.push(batch, from, to);
            from = to;
            if let Some(next) = batch.time(to) {
                print(&self.close(due, counts));
                self.begin = Some(latest_begin(due, next, self.interval));
            }
        }
    }

    fn push(&mut self, batch: &FrameBatch, from: usize, to: usize) {
        let Self {
            pipeline,
            observers,
            filter,
            since,
            until,
            ..
        } = self;
        let (mut bytes, mut captured) = (0_u64, 0_u64);
        let (mut first, mut last) = (self.first, self.last);
        let frames = batch.some(from, to).filter(|frame: &Frame<'_>| {
            bytes += u64::from(frame.wire_length);
            captured += frame.bytes.len() as u64;
            first = Some(first.map_or(frame.time, |first| first.min(frame.time)));
            last = Some(last.map_or(frame.time, |last| last.max(frame.time)));
            let timely = (*since, *until) == (None, None) || wants(*since, *until, frame.time);
            timely && filter.as_mut().is_none_or(|filter| filter.matches(frame))
        });
        pipeline.push_all(frames, observers);
        (self.first, self.last) = (first, last);
        let count = to.saturating_sub(from) as u64;
        self.frames += count;
        self.bytes += captured;
        self.observers.1.add_frames(count, bytes);
    }

    /// Time goes on without a frame.
    pub(super) fn pass(
        &mut self,
        now: Timestamp,
        counts: CaptureCounts,
        print: impl FnOnce(&Interval),
    ) {
        let begin = *self.begin.get_or_insert(now);
        let due = begin + self.interval;
        if now < due {
            return;
        }
        self.pipeline.advance(now, &mut self.observers);
        print(&self.close(due, counts));
        self.begin = Some(latest_begin(due, now, self.interval));
    }

    /// The interval is over.
    fn close(&mut self, end: Timestamp, counts: CaptureCounts) -> Interval {
        // Not beyond what was seen: what is decided by then does not depend on how fast it is read.
        if let Some(last) = self.last {
            self.pipeline.advance(last, &mut self.observers);
        }
        let begin = self.begin.unwrap_or(end);
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        let outstanding = Outstanding {
            exchanges: count(self.pipeline.open_exchanges()),
            deliveries: count(self.pipeline.awaited_deliveries()),
        };
        let ((_, lints), figures) = &mut self.observers;
        let (findings, newest) = lints.take_newest();
        figures.take(
            (begin, end),
            Surroundings {
                outstanding,
                counts,
                findings,
                newest: newest.as_ref(),
            },
        )
    }

    /// Whether the tables can still be written.
    pub(super) fn goes_on(&self) -> bool {
        Analysis::goes_on(&self.observers.0)
    }

    /// The capture is over.
    pub(super) fn finish(
        mut self,
        counts: CaptureCounts,
        print: impl FnOnce(&Interval),
    ) -> Finished {
        if let (Some(begin), Some(last)) = (self.begin, self.last)
            && last > begin
        {
            print(&self.close(last, counts));
        }
        self.pipeline.finish(&mut self.observers);
        Finished {
            pipeline: self.pipeline,
            observers: self.observers.0,
            taps: self.taps,
            span: self.first.zip(self.last),
            frames: self.frames,
            bytes: self.bytes,
        }
    }
}

/// What is left when all is read.
pub(super) struct Finished {
    pub(super) pipeline: Pipeline,
    pub(super) observers: (Option<Tables<std::fs::File>>, Lints<std::fs::File>),
    pub(super) taps: Vec<TapNote>,
    pub(super) span: Option<(Timestamp, Timestamp)>,
    pub(super) frames: u64,
    pub(super) bytes: u64,
}

/// The begin of the interval in which a time lies, counted from an earlier begin.
fn latest_begin(begin: Timestamp, time: Timestamp, interval: TimeDelta) -> Timestamp {
    let (ahead, step) = ((time - begin).as_nanos().max(0), interval.as_nanos().max(1));
    begin + TimeDelta::from_nanos(ahead - ahead % step)
}
