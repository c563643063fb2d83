//! What one segment makes available, step by step.

use crate::time::Timestamp;
use crate::wire::Segment;

use super::connection::{Connection, EndReason};
use super::sequence::SequenceNumber;
use super::stream::{Arrival, add};
use super::table::{FlowTable, Mark, Retirement};
use super::{Chunk, Direction, Event, Gap, GapReason};

#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) slot: u32,
    pub(super) direction: Direction,
    pub(super) fresh: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Flush and close what has to go first.
    Retire,
    /// Announce a new connection.
    Open,
    /// Hand on the segment's own payload.
    Payload,
    /// Hand on what waited for it, and give up holes.
    Drain,
    /// Flush and close the connection itself.
    Close,
    Done,
}

/// One step, without a borrow: the event is made from it.
#[derive(Debug)]
enum Step {
    Opened(u32),
    Segment {
        slot: u32,
        offset: u64,
        skip: u32,
        direction: Direction,
    },
    Waiting {
        slot: u32,
        offset: u64,
        skip: u32,
        direction: Direction,
        whole: Mark,
    },
    Gap {
        slot: u32,
        gap: Gap,
    },
    Repeated {
        slot: u32,
        direction: Direction,
        offset: u64,
        bytes: u32,
    },
    /// In a slot, or departed.
    Closed {
        slot: Option<u32>,
        reason: EndReason,
    },
}

/// What one segment made available, lent out event by event.
#[derive(Debug)]
pub struct Delivery<'t, 's> {
    table: &'t mut FlowTable,
    segment: Option<&'t Segment<'s>>,
    place: Option<Place>,
    stage: Stage,
    pending_gap: Option<(u32, Gap)>,
    pending_repeat: Option<Step>,
    /// The latest frame since a gap was given up: what comes behind it became whole there.
    resumed: Option<Mark>,
    draining: Direction,
}

impl<'t, 's> Delivery<'t, 's> {
    #[inline]
    pub(super) fn of_segment(
        table: &'t mut FlowTable,
        segment: &'t Segment<'s>,
        place: Option<Place>,
    ) -> Self {
        let stage = if table.retiring.is_empty() {
            Stage::Open
        } else {
            Stage::Retire
        };
        Self {
            stage,
            segment: Some(segment),
            place,
            ..Self::of_the_end(table)
        }
    }

    pub(super) fn of_the_end(table: &'t mut FlowTable) -> Self {
        Self {
            stage: Stage::Retire,
            table,
            segment: None,
            place: None,
            pending_gap: None,
            pending_repeat: None,
            resumed: None,
            draining: Direction::Forward,
        }
    }
}

impl Delivery<'_, '_> {
    /// The next event; `None` when the segment is used up.
    // Not an iterator: the events borrow from the table.
    #[expect(clippy::should_implement_trait)]
    #[inline(always)]
    pub fn next(&mut self) -> Option<Event<'_>> {
        let step = self.step()?;
        Some(match step {
            Step::Opened(slot) => Event::Opened(self.table.connection(slot as usize)?),
            Step::Gap { slot, gap } => Event::Gap(self.table.connection(slot as usize)?, gap),
            Step::Repeated {
                slot,
                direction,
                offset,
                bytes,
            } => Event::Repeated(
                self.table.connection(slot as usize)?,
                direction,
                offset,
                bytes,
            ),
            Step::Closed { slot, reason } => {
                let connection = match slot {
                    Some(slot) => self.table.connection(slot as usize),
                    None => self.table.departed.as_deref(),
                };
                Event::Closed(connection?, reason)
            }
            Step::Segment {
                slot,
                offset,
                skip,
                direction,
            } => {
                let segment = self.segment?;
                let chunk = Chunk {
                    direction,
                    bytes: segment.payload.get(skip as usize..)?,
                    offset,
                    first_seen: segment.time,
                    whole: segment.time,
                    file: segment.file,
                    frame: segment.frame,
                    seen_in: (segment.file, segment.frame),
                    segment_start: skip == 0,
                    segment_end: segment.payload.len() == segment.payload_length as usize,
                    pushed: segment.flags.psh(),
                };
                Event::Data(self.table.connection(slot as usize)?, chunk)
            }
            Step::Waiting {
                slot,
                offset,
                skip,
                direction,
                whole,
            } => {
                let waiting = self.table.lent.as_ref()?;
                let chunk = Chunk {
                    direction,
                    bytes: waiting.bytes.get(skip as usize..)?,
                    offset,
                    first_seen: waiting.time,
                    whole: whole.time,
                    file: whole.file,
                    frame: whole.frame,
                    seen_in: (waiting.file, waiting.frame),
                    segment_start: skip == 0,
                    segment_end: waiting.bytes.len() == waiting.length as usize,
                    pushed: waiting.pushed,
                };
                Event::Data(self.table.connection(slot as usize)?, chunk)
            }
        })
    }

    #[inline(always)]
    fn step(&mut self) -> Option<Step> {
        // Taking what is not there would copy it all the same.
        if self.pending_repeat.is_some() || self.pending_gap.is_some() {
            return self.pending();
        }
        loop {
            let step = match self.stage {
                Stage::Retire | Stage::Close => self.retire(),
                Stage::Open => self.open(),
                Stage::Payload => self.payload(),
                Stage::Drain => self.drain(),
                Stage::Done => return None,
            };
            if step.is_some() {
                return step;
            }
        }
    }

    #[cold]
    fn pending(&mut self) -> Option<Step> {
        self.pending_repeat.take().or_else(|| {
            let (slot, gap) = self.pending_gap.take()?;
            Some(Step::Gap { slot, gap })
        })
    }

    #[inline(always)]
    fn open(&mut self) -> Option<Step> {
        let Some(place) = self.place else {
            self.stage = Stage::Done;
            return None;
        };
        self.stage = Stage::Payload;
        place.fresh.then_some(Step::Opened(place.slot))
    }

    /// Books the segment on its connection and hands on its payload if it is in order.
    #[inline(always)]
    fn payload(&mut self) -> Option<Step> {
        self.stage = Stage::Done;
        let (place, segment) = (self.place?, self.segment?);
        let limits = self.table.limits;
        let direction = place.direction;
        let connection = self
            .table
            .slots
            .get_mut(place.slot as usize)?
            .as_deref_mut()?;
        connection.last = connection.last.max(segment.time);
        connection.last_frame = (segment.file, segment.frame);
        match direction {
            Direction::Forward => connection.seen[0] = true,
            Direction::Reverse => connection.seen[1] = true,
        }
        if segment.flags.rst() {
            if connection.accepts_reset(segment, direction) {
                connection.ended_by.get_or_insert(direction);
                self.close(place.slot, EndReason::Reset);
            }
            return None;
        }
        if !matches!(connection.handshake, super::connection::Handshake::Done) {
            connection.time_round_trips(segment, direction);
        }
        if segment.flags.fin() {
            connection.ended_by.get_or_insert(direction);
        }
        let half = connection.half_mut(direction);
        half.anchor(segment);
        if segment.window == 0 && !segment.flags.syn() {
            add(&mut half.rare().zero_windows);
        }
        let held = half.held();
        let arrival = half.arrive(segment, &limits);
        let holds = half.held();
        self.table.backlog_bytes = self
            .table
            .backlog_bytes
            .saturating_add(holds)
            .saturating_sub(held);
        if segment.flags.fin() && half.fin.is_none() {
            half.fin = Some(SequenceNumber(segment.sequence).advance(segment.payload_length));
        }
        let waits = half.backlog.is_some();
        let end = SequenceNumber(segment.sequence).advance(segment.payload_length);
        if arrival == (Arrival::InOrder { skip: 0 }) {
            half.begin_sample(end, segment.time);
        }
        if segment.flags.ack() {
            acknowledge(connection, segment, direction, limits.window_bytes);
        }
        let opposite_waits = connection.half(direction.opposite()).backlog.is_some();
        // Nothing waits and nobody closes: the usual segment needs no second look.
        let plain = !(waits || opposite_waits || segment.flags.fin() || connection.any_fin());
        self.stage = if plain { Stage::Done } else { Stage::Drain };
        self.draining = Direction::Forward;
        match arrival {
            // What came behind a filled hole became whole with this segment.
            Arrival::InOrder { skip } => self.hand_on_segment(place.slot, direction, skip),
            Arrival::Repeated { offset } => {
                let (slot, bytes) = (place.slot, segment.payload_length);
                Some(Step::Repeated {
                    slot,
                    direction,
                    offset,
                    bytes,
                })
            }
            Arrival::Empty | Arrival::Old | Arrival::Ahead => None,
        }
    }

    #[inline]
    fn hand_on_segment(&mut self, slot: u32, direction: Direction, skip: u32) -> Option<Step> {
        let segment = self.segment?;
        let half = self.table.half_mut(slot, direction)?;
        let offset = half.offset;
        let captured = u32::try_from(segment.payload.len()).unwrap_or(u32::MAX);
        let step = (captured > skip).then_some(Step::Segment {
            slot,
            offset,
            skip,
            direction,
        });
        let (given, missing) = split(captured, segment.payload_length, skip);
        half.consume(given.saturating_add(missing));
        if skip > 0 {
            let offset = offset.saturating_sub(u64::from(skip));
            self.pending_repeat = Some(Step::Repeated {
                slot,
                direction,
                offset,
                bytes: skip,
            });
        }
        self.snap_gap(
            slot,
            direction,
            offset.saturating_add(u64::from(given)),
            missing,
            Mark::of(segment),
        );
        step.or_else(|| {
            self.pending_gap
                .take()
                .map(|(slot, gap)| Step::Gap { slot, gap })
        })
    }

    /// Notes the bytes of a segment that the snap length cut.
    fn snap_gap(&mut self, slot: u32, direction: Direction, offset: u64, missing: u32, at: Mark) {
        if missing == 0 {
            return;
        }
        let bytes = u64::from(missing);
        if let Some(half) = self.table.half_mut(slot, direction) {
            let statistics = half.rare();
            add(&mut statistics.gaps);
            statistics.gap_bytes = statistics.gap_bytes.saturating_add(bytes);
            add(&mut statistics.snapped_segments);
            statistics.snapped_bytes = statistics.snapped_bytes.saturating_add(bytes);
        }
        let gap = Gap {
            direction,
            bytes,
            offset,
            reason: GapReason::SnapLength,
            time: at.time,
            before: at.time,
            file: at.file,
            frame: at.frame,
        };
        self.pending_gap = Some((slot, gap));
    }

    /// Hands on what waited, first in one direction, then in the other; gives up holes; ends
    /// the connection when both sides are done.
    fn drain(&mut self) -> Option<Step> {
        let place = self.place?;
        let at = Mark::of(self.segment?);
        let direction = self.draining;
        if let Some(step) = self.take_waiting(place.slot, direction, at) {
            return Some(step);
        }
        let limits = self.table.limits;
        let full = self.table.backlog_bytes > limits.total_backlog_bytes;
        let connection = self
            .table
            .slots
            .get_mut(place.slot as usize)?
            .as_deref_mut()?;
        let both_sides = connection.seen[0] && connection.seen[1];
        let half = connection.half_mut(direction);
        let mut reason = None;
        if half.backlog.is_some() {
            reason = half.give_up(at.time, both_sides, &limits);
            reason = reason.or(full.then_some(GapReason::LimitReached));
        }
        if let Some(reason) = reason {
            if reason == GapReason::LimitReached {
                add(&mut self.table.statistics.limited_backlogs);
            }
            let bytes = self.table.half_mut(place.slot, direction)?.hole()?;
            return Some(self.give_up(place.slot, direction, bytes, reason, at));
        }
        if half.fin.is_some() && half.fin == half.next {
            half.fin_delivered = true;
        }
        self.resumed = None;
        match direction {
            Direction::Forward => self.draining = Direction::Reverse,
            Direction::Reverse => {
                let finished = connection.finished();
                self.stage = Stage::Done;
                if finished {
                    self.close(place.slot, EndReason::Fin);
                }
            }
        }
        None
    }

    #[inline]
    fn take_waiting(&mut self, slot: u32, direction: Direction, now: Mark) -> Option<Step> {
        let waits = self.table.half_mut(slot, direction)?.backlog.is_some();
        if !waits {
            return None;
        }
        self.take_from_backlog(slot, direction, now)
    }

    fn take_from_backlog(&mut self, slot: u32, direction: Direction, now: Mark) -> Option<Step> {
        let half = self.table.half_mut(slot, direction)?;
        let held = half.held();
        let taken = half.take_waiting();
        let holds = half.held();
        let offset = half.offset;
        self.table.backlog_bytes = self
            .table
            .backlog_bytes
            .saturating_add(holds)
            .saturating_sub(held);
        let (waiting, skip) = taken?;
        let own = Mark::of_waiting(&waiting);
        let whole = match self.resumed {
            None => now,
            Some(mark) if mark.time > own.time => mark,
            Some(_) => own,
        };
        if self.resumed.is_some() {
            self.resumed = Some(whole);
        }
        let captured = u32::try_from(waiting.bytes.len()).unwrap_or(u32::MAX);
        let (given, missing) = split(captured, waiting.length, skip);
        let half = self.table.half_mut(slot, direction)?;
        half.consume(given.saturating_add(missing));
        self.table.lent = Some(waiting);
        self.snap_gap(
            slot,
            direction,
            offset.saturating_add(u64::from(given)),
            missing,
            whole,
        );
        if given > 0 {
            return Some(Step::Waiting {
                slot,
                offset,
                skip,
                direction,
                whole,
            });
        }
        self.pending_gap
            .take()
            .map(|(slot, gap)| Step::Gap { slot, gap })
    }

    /// Passes over `bytes` that will not come.
    fn give_up(
        &mut self,
        slot: u32,
        direction: Direction,
        bytes: u64,
        reason: GapReason,
        at: Mark,
    ) -> Step {
        let (mut offset, mut before) = (0, at.time);
        if let Some(half) = self.table.half_mut(slot, direction) {
            offset = half.offset;
            before = half.first_waiting().unwrap_or(at.time);
            half.consume(u32::try_from(bytes).unwrap_or(u32::MAX));
            add(&mut half.rare().gaps);
            let rare = half.rare();
            rare.gap_bytes = rare.gap_bytes.saturating_add(bytes);
            if reason == GapReason::MissingFromCapture {
                rare.missed_bytes = rare.missed_bytes.saturating_add(bytes);
            }
        }
        let floor = Mark {
            time: Timestamp::from_nanos(i64::MIN),
            ..at
        };
        self.resumed = Some(floor);
        let gap = Gap {
            direction,
            bytes,
            offset,
            reason,
            time: at.time,
            before,
            file: at.file,
            frame: at.frame,
        };
        Step::Gap { slot, gap }
    }

    fn close(&mut self, slot: u32, reason: EndReason) {
        if let Some(segment) = self.segment {
            let at = Mark::of(segment);
            self.table.retiring.push_back(Retirement {
                slot,
                reason,
                linger: true,
                at,
            });
            self.draining = Direction::Forward;
            self.resumed = None;
            self.stage = Stage::Close;
        }
    }

    /// Flushes and closes the connections that are to go, one step at a time.
    fn retire(&mut self) -> Option<Step> {
        let Some(&retirement) = self.table.retiring.front() else {
            self.stage = match self.stage {
                Stage::Retire if self.segment.is_some() => Stage::Open,
                _ => Stage::Done,
            };
            self.draining = Direction::Forward;
            self.resumed = None;
            return None;
        };
        let Retirement {
            slot,
            reason,
            linger,
            at,
        } = retirement;
        if let Some(step) = self.flush(slot, self.draining, reason, at) {
            return Some(step);
        }
        self.resumed = None;
        if self.draining == Direction::Forward {
            self.draining = Direction::Reverse;
            return None;
        }
        self.draining = Direction::Forward;
        self.table.retiring.pop_front();
        self.depart(slot, reason, linger, at)
    }

    fn depart(&mut self, slot: u32, reason: EndReason, linger: bool, at: Mark) -> Option<Step> {
        let connection = self.table.connection(slot as usize)?;
        let reason = match reason {
            EndReason::CaptureEnded if connection.any_fin() => EndReason::Fin,
            other => other,
        };
        if !linger {
            let departed = self.table.release(slot);
            self.table.depart(departed);
            return Some(Step::Closed { slot: None, reason });
        }
        let number = connection.number;
        // It stays for a while, to recognise stray segments by.
        let connection = self.table.slots.get_mut(slot as usize)?.as_deref_mut()?;
        connection.closed = Some(reason);
        self.table.live = self.table.live.saturating_sub(1);
        self.table.lingering.push_back((at.time, slot, number));
        Some(Step::Closed {
            slot: Some(slot),
            reason,
        })
    }

    fn flush(
        &mut self,
        slot: u32,
        direction: Direction,
        reason: EndReason,
        at: Mark,
    ) -> Option<Step> {
        if self.resumed.is_none() {
            self.resumed = Some(Mark {
                time: Timestamp::from_nanos(i64::MIN),
                ..at
            });
        }
        if let Some(step) = self.take_waiting(slot, direction, at) {
            return Some(step);
        }
        let connection = self.table.slots.get_mut(slot as usize)?.as_deref_mut()?;
        let both_sides = connection.seen[0] && connection.seen[1];
        let half = connection.half_mut(direction);
        let (bytes, acknowledged) = half.missing()?;
        let reason = match reason {
            _ if acknowledged => GapReason::MissingFromCapture,
            EndReason::CaptureEnded => GapReason::CaptureEnded,
            EndReason::Evicted => GapReason::LimitReached,
            _ if !both_sides => GapReason::OneSided,
            _ => GapReason::Lost,
        };
        Some(self.give_up(slot, direction, bytes, reason, at))
    }
}

/// Books an acknowledgment on the other direction, with the round trip it ends.
#[inline]
pub(super) fn acknowledge(
    connection: &mut Connection,
    segment: &Segment<'_>,
    direction: Direction,
    window: u64,
) {
    let number = SequenceNumber(segment.acknowledgment);
    let opposite = direction.opposite();
    let half = connection.half_mut(opposite);
    if let Some(next) = half.next {
        let ahead = i64::from(number.distance_from(next));
        if ahead > 0 && ahead.unsigned_abs() > window {
            return;
        }
    }
    if half.acknowledge(number)
        && let Some(time) = half.end_sample(number, segment.time)
    {
        connection.sample(opposite, time);
    }
}

/// How many bytes of a segment are handed on and how many are missing, behind `skip` known ones.
fn split(captured: u32, length: u32, skip: u32) -> (u32, u32) {
    let given = captured.saturating_sub(skip);
    let total = length.saturating_sub(skip);
    (given, total.saturating_sub(given))
}
