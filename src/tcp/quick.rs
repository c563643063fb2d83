//! The usual segment, in one step: an open connection on which nothing waits, and either the next
//! bytes of a stream or a bare acknowledgment. It comes to the same as the general way.

use crate::wire::Segment;

use super::connection::Connection;
use super::delivery::acknowledge;
use super::sequence::SequenceNumber;
use super::stream::add;
use super::table::{FlowHash, FlowTable};
use super::{Chunk, Direction};

/// What a usual segment was.
#[derive(Debug)]
pub enum Quick<'t, 's> {
    /// The next bytes of a stream.
    Data(&'t Connection, Chunk<'s>),
    /// Nothing to hand on.
    Nothing,
    /// Not a usual segment: [`FlowTable::push_hashed`] it.
    General,
}

/// SYN, FIN and RST.
const UNUSUAL: u8 = 0b111;

impl FlowTable {
    /// Takes a segment if it is a usual one.
    #[inline(always)]
    pub fn push_quick<'t, 's>(
        &'t mut self,
        segment: &Segment<'s>,
        flow: &FlowHash,
    ) -> Quick<'t, 's> {
        if segment.flags.0 & UNUSUAL != 0
            || segment.window == 0
            || segment.payload.len() != segment.payload_length as usize
            || self.is_work_due(segment.time)
        {
            return Quick::General;
        }
        let window = self.limits.window_bytes;
        // Most often the hint is right, and the index is not needed a second time.
        let hinted = self.connection(flow.slot as usize);
        let slot = match hinted {
            Some(connection) if connection.key == flow.key && connection.closed.is_none() => {
                Some(flow.slot)
            }
            _ => self.find(flow),
        };
        let Some(connection) = slot
            .and_then(|slot| self.slots.get_mut(slot as usize))
            .and_then(Option::as_deref_mut)
        else {
            return Quick::General;
        };
        let direction = connection.direction(flow.from_low);
        if !is_plain(connection)
            || connection.half(direction).next != Some(SequenceNumber(segment.sequence))
        {
            return Quick::General;
        }
        add(&mut self.statistics.segments);
        connection.last = connection.last.max(segment.time);
        connection.last_frame = (segment.file, segment.frame);
        match direction {
            Direction::Forward => connection.seen[0] = true,
            Direction::Reverse => connection.seen[1] = true,
        }
        if segment.flags.ack() {
            acknowledge(connection, segment, direction, window);
        }
        if segment.payload_length == 0 {
            return Quick::Nothing;
        }
        let half = connection.half_mut(direction);
        add(&mut half.segments);
        let offset = half.offset;
        half.consume(segment.payload_length);
        half.begin_sample(
            SequenceNumber(segment.sequence).advance(segment.payload_length),
            segment.time,
        );
        let chunk = Chunk {
            direction,
            bytes: segment.payload,
            offset,
            first_seen: segment.time,
            whole: segment.time,
            file: segment.file,
            frame: segment.frame,
            seen_in: (segment.file, segment.frame),
            segment_start: true,
            segment_end: true,
            pushed: segment.flags.psh(),
        };
        Quick::Data(connection, chunk)
    }
}

/// Open, beyond its handshake, with nothing waiting and nobody closing.
#[inline(always)]
fn is_plain(connection: &Connection) -> bool {
    let [forward, reverse] = &connection.halves;
    connection.closed.is_none()
        && !connection.handshaking
        && forward.backlog.is_none()
        && reverse.backlog.is_none()
        && forward.fin.is_none()
        && reverse.fin.is_none()
}
