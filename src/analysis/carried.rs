//! Connections on which MQTT is carried by TLS, by WebSocket, or by both.

use crate::mqtt::stream::Input;
use crate::session::Towards;
use crate::stream::tls::Keys;
use crate::stream::{Passed, Piece};
use crate::tcp::{Chunk, Connection, Direction, Gap};

use super::carrier::{Carrier, Step};
use super::core::Core;
use super::flow::{Mark, Slot};
use super::options::Options;
use super::packets::{frame_packets, lose};
use super::tee::Tee;
use super::{BytesEvent, CarrierEvent, GapEvent, Observer};

impl Options {
    fn keys(&self) -> Keys<'_> {
        Keys {
            log: &self.key_log,
            more: self.more_keys,
            limits: self.tls,
        }
    }
}

impl Core {
    /// Bytes of a connection whose MQTT is carried by something.
    pub(super) fn carried_data<O: Observer>(
        &mut self,
        tcp: &Connection,
        chunk: &Chunk<'_>,
        observer: &mut O,
    ) {
        let Some(Slot::Mqtt(flow)) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        flow.state
            .set_hole(tcp.has_hole(chunk.direction.opposite()));
        let mark = Mark::of(chunk);
        if let Some(carrier) = &mut flow.carrier {
            carrier.hear(chunk.direction, mark.first_seen);
        }
        let inner = flow
            .stream_mut(chunk.direction)
            .begun()
            .map(|begun| begun.start);
        let outer = flow
            .carrier
            .as_ref()
            .and_then(|carrier| carrier.needed_from(chunk.direction));
        let needed = [inner, outer, Some(mark.start)].into_iter().flatten().min();
        observer.bytes(&BytesEvent {
            state: &flow.state,
            slot: tcp.slot(),
            towards: flow.roles.towards(chunk.direction),
            extent: (mark.start, mark.end),
            seen_in: chunk.seen_in,
            needed_from: needed.unwrap_or(mark.start),
        });
        let piece = Piece {
            bytes: chunk.bytes,
            mark,
            starts: chunk.segment_start,
            ends: chunk.segment_end,
        };
        self.carry(tcp, chunk.direction, Step::Bytes(piece), mark, observer);
    }

    /// Missing bytes of such a connection.
    pub(super) fn carried_gap<O: Observer>(
        &mut self,
        tcp: &Connection,
        gap: Gap,
        mark: Mark,
        observer: &mut O,
    ) {
        let mark = Mark {
            first_seen: gap.before,
            ..mark
        };
        let stopped = |core: &Self| match core.slots.get(tcp.slot()) {
            Some(Slot::Mqtt(flow)) => flow.carrier.as_ref().is_none_or(|c| c.stopped().is_some()),
            _ => true,
        };
        // Where nothing is read any more, nothing is missed.
        let silent = stopped(self);
        self.carry(
            tcp,
            gap.direction,
            Step::Gap(gap.bytes, mark),
            mark,
            observer,
        );
        let Some(Slot::Mqtt(flow)) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        if silent {
            return;
        }
        let stream = flow.stream_mut(gap.direction);
        let within_packet = stream.unfinished().is_some() || stream.at_boundary();
        if self.options.selection.connection(&flow.state) {
            observer.gap(&GapEvent {
                state: &flow.state,
                towards: flow.roles.towards(gap.direction),
                gap,
                within_packet,
            });
        }
    }

    /// The end of such a connection.
    pub(super) fn carried_end<O: Observer>(&mut self, tcp: &Connection, observer: &mut O) {
        let (file, frame) = tcp.last_frame;
        let mark = Mark {
            first_seen: tcp.last,
            whole: tcp.last,
            file,
            frame,
            start: 0,
            end: 0,
        };
        self.carry(tcp, Direction::Forward, Step::End, mark, observer);
    }

    /// One step of a connection through its layers, and what follows from it.
    fn carry<O: Observer>(
        &mut self,
        tcp: &Connection,
        direction: Direction,
        step: Step<'_>,
        mark: Mark,
        observer: &mut O,
    ) {
        let Self {
            slots,
            options,
            sessions,
            ledger,
            scratches,
            ..
        } = self;
        let Some(Slot::Mqtt(flow)) = slots.get_mut(tcp.slot()) else {
            return;
        };
        let Some(mut carrier) = flow.carrier.take() else {
            return;
        };
        let before = carrier.buffered();
        let mut kept = 0_isize;
        let mut tee = Tee {
            wanted: options.selection.connection(&flow.state),
            ledger,
            selection: &options.selection,
            observer,
        };
        let keys = options.keys();
        Carrier::take(
            &mut carrier,
            direction,
            step,
            keys,
            scratches,
            &mut |direction, passed| {
                let grown = match passed {
                    Passed::Bytes(piece) => {
                        let input = Input {
                            bytes: piece.bytes,
                            mark: piece.mark,
                            segment_start: piece.starts,
                            segment_end: piece.ends,
                        };
                        frame_packets(flow, tcp, direction, input, options, sessions, &mut tee)
                    }
                    Passed::Gap { bytes, mark } => {
                        let missing = (bytes.unwrap_or(u64::MAX), mark);
                        let since = mark.first_seen;
                        lose(flow, tcp, direction, missing, since, sessions, &mut tee).0
                    }
                };
                kept = kept.saturating_add(grown);
            },
        );
        self.buffered = self.buffered.saturating_add_signed(kept);
        self.after_step(tcp, direction, carrier, before, mark, observer);
    }

    /// Keeps within the bounds, tells of an end of reading, and puts the layers back.
    fn after_step<O: Observer>(
        &mut self,
        tcp: &Connection,
        direction: Direction,
        mut carrier: Box<Carrier>,
        before: usize,
        mark: Mark,
        observer: &mut O,
    ) {
        let Some(Slot::Mqtt(flow)) = self.slots.get_mut(tcp.slot()) else {
            return;
        };
        if self.buffered > self.options.stream_bytes {
            self.limited_streams = self.limited_streams.saturating_add(1);
            flow.stream_mut(direction).stop_buffering();
        }
        self.carried = self
            .carried
            .saturating_add(carrier.buffered())
            .saturating_sub(before);
        if self.carried > self.options.carried_bytes {
            self.carried = self.carried.saturating_sub(carrier.buffered());
            carrier.give_up_memory();
        }
        flow.transport = carrier.transport();
        if flow.first_bytes.is_some() {
            match carrier.verdict(self.options.keys()) {
                Some(true) => flow.first_bytes = None,
                Some(false) => {
                    self.carried = self.carried.saturating_sub(carrier.buffered());
                    self.ignore(tcp.slot());
                    return;
                }
                None => {}
            }
        }
        if let (Some(stop), false) = (carrier.stopped(), carrier.reported) {
            carrier.reported = true;
            let packets = flow.state.packets;
            let spoke = packets.to_broker > 0 || packets.to_client > 0;
            for towards in [Towards::Broker, Towards::Client]
                .into_iter()
                .filter(|_| spoke)
            {
                flow.state.lost_packets(towards);
                if let Some(deliveries) = &mut self.ledger.deliveries {
                    deliveries.gap(&flow.state, towards, mark.first_seen);
                }
            }
            if self.options.selection.connection(&flow.state) {
                observer.carrier(&CarrierEvent {
                    state: &flow.state,
                    slot: tcp.slot(),
                    towards: flow.roles.towards(direction),
                    file: mark.file,
                    frame: mark.frame,
                    time: mark.whole,
                    stop,
                });
            }
        }
        flow.carrier = Some(carrier);
        self.displace(observer);
    }
}
