//! From the bytes of a stream to control packets, and to all that take one.

use std::hint::cold_path;

use xxhash_rust::xxh3::xxh3_64;

use crate::delivery::{Deliveries, Seen};
use crate::lint;
use crate::mqtt::stream::{Framed, Input, Output};
use crate::mqtt::{
    Acknowledgment, FixedHeader, Packet, PacketType, Parsed, Prefix, Violations, parse_into,
    parse_prefix,
};
use crate::session::{self, PacketTimes, Received, SessionViolations, Sessions, Tag, Towards};
use crate::tcp::{Connection, Direction};
use crate::time::Timestamp;

use super::flow::{Mark, MqttFlow, Roles};
use super::options::Options;
use super::tee::Tee;
use super::totals::Totals;
use super::{BadLengthEvent, Observer, PacketEvent, Vantage};

/// What a packet is booked on besides the session.
struct Books<'b> {
    slot: usize,
    /// The tap stands beside the broker.
    at_broker: bool,
    malformed: &'b mut u64,
    bytes: &'b mut session::PerWay<u64>,
}

/// A control packet, and where it was found.
struct Found<'f> {
    header: FixedHeader,
    body: &'f [u8],
    first: &'f Mark,
    last: &'f Mark,
    missing: u32,
    payload_hash: Option<u64>,
}

impl<'f> Found<'f> {
    const fn of(framed: &'f Framed<'_, Mark>) -> Self {
        Self {
            header: framed.header,
            body: framed.body,
            first: &framed.first,
            last: &framed.last,
            missing: framed.missing,
            payload_hash: framed.payload_hash,
        }
    }
}

/// A connection and what its packets are told to.
struct Work<'w, 't, O> {
    state: &'w mut session::ConnectionState,
    roles: &'w mut Roles,
    slot: usize,
    at_broker: bool,
    malformed: &'w mut u64,
    bytes: &'w mut session::PerWay<u64>,
    sessions: &'w mut Sessions,
    tee: &'w mut Tee<'t, O>,
}

impl<O: Observer> Work<'_, '_, O> {
    #[inline(always)]
    fn packet(&mut self, direction: Direction, found: &Found<'_>) {
        let mut towards = self.roles.towards(direction);
        if !self.roles.known && self.roles.settle(found.header.packet_type(), towards) {
            cold_path();
            if let Some(deliveries) = &mut self.tee.ledger.deliveries {
                deliveries.turned_around(self.state);
            }
            self.state.turn_around();
            std::mem::swap(&mut self.bytes.to_broker, &mut self.bytes.to_client);
            towards = towards.opposite();
        }
        let mut books = Books {
            slot: self.slot,
            at_broker: self.at_broker,
            malformed: self.malformed,
            bytes: self.bytes,
        };
        packet(
            self.state,
            found,
            towards,
            &mut books,
            self.sessions,
            self.tee,
        );
    }

    #[cold]
    fn bad_length(&mut self, direction: Direction, first_byte: u8, first: &Mark, last: &Mark) {
        *self.malformed = self.malformed.saturating_add(1);
        if !self.tee.wanted {
            return;
        }
        let packet_type = crate::mqtt::PacketType::from_first_byte(first_byte);
        self.tee.ledger.totals.packet(packet_type, 0, true);
        self.tee.observer.bad_length(&BadLengthEvent {
            state: self.state,
            slot: self.slot,
            towards: self.roles.towards(direction),
            file: last.file,
            frame: last.frame,
            times: PacketTimes {
                first: first.first_seen,
                last: last.whole,
            },
            first_byte,
            extent: (first.start, last.end),
        });
    }
}

/// Frames all packets of a chunk; tells by how much the bytes kept have grown.
#[inline(always)]
pub(super) fn frame_packets<O: Observer>(
    flow: &mut MqttFlow,
    tcp: &Connection,
    direction: Direction,
    mut input: Input<'_, Mark>,
    options: &Options,
    sessions: &mut Sessions,
    tee: &mut Tee<'_, O>,
) -> isize {
    let MqttFlow {
        state,
        forward,
        reverse,
        roles,
        malformed,
        bytes,
        ..
    } = flow;
    let stream = match direction {
        Direction::Forward => forward,
        Direction::Reverse => reverse,
    };
    let before = stream.buffered();
    let mark = input.mark;
    let mut work = Work {
        slot: tcp.slot(),
        at_broker: stands_at_broker(tcp, roles.client_is_forward),
        state,
        roles,
        malformed,
        bytes,
        sessions,
        tee,
    };
    loop {
        let framed;
        // Nearly every packet lies whole in a chunk, and needs no copy of where it comes from.
        let found = if let Some((header, body)) = stream.next_whole(&mut input) {
            Found {
                header,
                body,
                first: &mark,
                last: &mark,
                missing: 0,
                payload_hash: None,
            }
        } else {
            if input.bytes.is_empty() && stream.at_boundary() {
                break;
            }
            match stream.next(&mut input, work.state.level, &options.stream) {
                None => break,
                Some(Output::Packet(packet)) => {
                    framed = packet;
                    Found::of(&framed)
                }
                Some(Output::BadLength {
                    first_byte,
                    first,
                    last,
                }) => {
                    cold_path();
                    work.bad_length(direction, first_byte, &first, &last);
                    continue;
                }
            }
        };
        work.packet(direction, &found);
    }
    growth(before, stream.buffered())
}

/// Bytes of a stream are missing, and packets among them may have been on their way `since`. Tells by
/// how much the bytes kept have grown, and whether all that is missing is part of one packet.
pub(super) fn lose<O: Observer>(
    flow: &mut MqttFlow,
    tcp: &Connection,
    direction: Direction,
    (bytes, mark): (u64, Mark),
    since: Timestamp,
    sessions: &mut Sessions,
    tee: &mut Tee<'_, O>,
) -> (isize, bool) {
    let MqttFlow {
        state,
        forward,
        reverse,
        roles,
        malformed,
        bytes: books,
        ..
    } = flow;
    let stream = match direction {
        Direction::Forward => forward,
        Direction::Reverse => reverse,
    };
    let before = stream.buffered();
    let towards = roles.towards(direction);
    if let Some(Output::Packet(framed)) = stream.gap(bytes, mark) {
        let mut books = Books {
            slot: tcp.slot(),
            at_broker: stands_at_broker(tcp, roles.client_is_forward),
            malformed,
            bytes: books,
        };
        packet(
            state,
            &Found::of(&framed),
            towards,
            &mut books,
            sessions,
            tee,
        );
    }
    let within_packet = stream.unfinished().is_some() || stream.at_boundary();
    if !within_packet {
        state.lost_packets(towards);
        if let Some(deliveries) = &mut tee.ledger.deliveries {
            deliveries.gap(state, towards, since);
        }
    }
    (growth(before, stream.buffered()), within_packet)
}

fn growth(before: usize, after: usize) -> isize {
    let size = |bytes| isize::try_from(bytes).unwrap_or(isize::MAX);
    size(after).saturating_sub(size(before))
}

/// Parses one packet, lets the session layer take it, and tells of it.
fn packet<O: Observer>(
    state: &mut session::ConnectionState,
    found: &Found<'_>,
    towards: Towards,
    books: &mut Books<'_>,
    sessions: &mut Sessions,
    tee: &mut Tee<'_, O>,
) {
    let header = found.header;
    state.infer_level(header.first_byte, found.body, header.remaining_length);
    let whole = found.body.len() == header.remaining_length as usize;
    let mut parsed = Parsed::default();
    if whole {
        parse_into(&mut parsed, header.first_byte, found.body, state.level);
    } else {
        let (Prefix::Parsed(prefix) | Prefix::NeedMore(prefix)) = parse_prefix(
            header.first_byte,
            found.body,
            header.remaining_length,
            state.level,
        );
        parsed = prefix;
    }
    parsed.violations = parsed.violations.union(header.violations());
    let payload_hash = match &parsed.packet {
        Packet::Publish(publish) if whole => {
            publish.payload_length.map(|_| xxh3_64(publish.payload))
        }
        _ => found.payload_hash,
    };
    let times = PacketTimes {
        first: found.first.first_seen,
        last: found.last.whole,
    };
    let received = Received {
        towards,
        times,
        header,
        parsed: &parsed,
        payload_hash,
    };
    let taken = sessions.packet(state, &received, tee);
    let violations = taken.violations;
    let length = header.packet_length();
    *books.bytes.get_mut(towards) = books.bytes.get(towards).saturating_add(u64::from(length));
    let is_malformed = parsed.malformed.is_some();
    if is_malformed {
        // Far from what every packet touches.
        *books.malformed = books.malformed.saturating_add(1);
    }
    // A CONNECT may just have told whose connection it is.
    tee.wanted = tee.selection.connection(state);
    let topic = match &parsed.packet {
        Packet::Publish(publish) => state.topic(towards, publish),
        _ => None,
    };
    let topic_hash = topic.map_or(0, |topic| tee.ledger.leading.hash_of(topic));
    let told = tee.wanted && (tee.selection.topic.is_none() || tee.selection.topic(topic));
    let mut message = None;
    let mut tag = None;
    match &parsed.packet {
        Packet::Publish(publish) => {
            if told {
                tee.ledger.messages = tee.ledger.messages.saturating_add(1);
                message = Some(tee.ledger.messages);
            }
            let seen = Seen {
                state,
                towards,
                times,
                publish,
                topic,
                topic_hash,
                payload_hash,
                number: message,
                repeated: taken.repeated,
                tag: taken.tag,
                at_broker: books.at_broker,
            };
            tee.matched(sessions, |deliveries, matched| {
                // Handing it on would copy what is not there, as mostly it is not; that copy would
                // wait for all that was stored just before.
                if let Some(attached) = deliveries.publish(&seen, matched) {
                    tag = Some(attached);
                }
            });
        }
        Packet::Acknowledgment(acknowledgment) => {
            if let (Some(deliveries), Some(tag)) = (&mut tee.ledger.deliveries, &taken.tag) {
                acknowledged(deliveries, acknowledgment, tag, towards, times);
            }
        }
        other => {
            if let Some(deliveries) = &mut tee.ledger.deliveries {
                deliveries.packet(state, other, times);
            }
        }
    }
    if let (Some(tag), Packet::Publish(publish)) = (tag, &parsed.packet)
        && let (1 | 2, Some(packet_id)) = (publish.qos, publish.packet_id)
    {
        sessions.tag(state, towards, packet_id, tag);
    }
    if !told {
        cold_path();
        return;
    }
    // The topic once more, since the state was changed meanwhile.
    let topic = match &parsed.packet {
        Packet::Publish(publish) => state.topic(towards, publish),
        _ => None,
    };
    tee.ledger
        .totals
        .packet(header.packet_type(), length, is_malformed);
    if let Packet::Publish(publish) = &parsed.packet {
        tee.ledger.totals.publish(towards, publish.qos);
    }
    if !(parsed.violations.is_empty() && violations.is_empty()) {
        count_violations(&mut tee.ledger.totals, parsed.violations, violations);
    }
    tee.observer.packet(&PacketEvent {
        seen: lint::Seen {
            state,
            slot: books.slot,
            towards,
            file: found.last.file,
            frame: found.last.frame,
            times,
            header,
            parsed: &parsed,
            topic,
            topic_hash,
            missing: found.missing,
            transmissions: taken.transmissions,
            violations,
        },
        payload_hash,
        extent: (found.first.start, found.last.end),
        message,
    });
}

/// What an acknowledgment means to the message that it is of.
fn acknowledged(
    deliveries: &mut Deliveries,
    acknowledgment: &Acknowledgment<'_>,
    tag: &Tag,
    towards: Towards,
    times: PacketTimes,
) {
    match (acknowledgment.kind, towards) {
        (PacketType::Pubrel, Towards::Broker) => deliveries.released(tag, times.last),
        (PacketType::Puback | PacketType::Pubrec, Towards::Client)
            if acknowledgment.reason_code.is_some_and(|code| code >= 0x80) =>
        {
            cold_path();
            deliveries.refused(tag);
        }
        _ => {}
    }
}

/// Whether the tap stands beside the broker.
fn stands_at_broker(tcp: &Connection, client_is_forward: bool) -> bool {
    let (client, broker) = if client_is_forward {
        (tcp.round_trip_before(), tcp.round_trip_beyond())
    } else {
        (tcp.round_trip_beyond(), tcp.round_trip_before())
    };
    Vantage::from_round_trips(client, broker) == Vantage::Broker
}

#[cold]
fn count_violations(totals: &mut Totals, own: Violations, conversation: SessionViolations) {
    for violation in own.iter() {
        totals.violation(violation.code());
    }
    for violation in conversation.iter() {
        totals.violation(violation.code());
    }
}
