//! The broker without sockets and without a clock.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use crate::mqtt::{
    FixedHeader, HeaderResult, Packet, Parsed, ProtocolLevel, Violation, parse, parse_fixed_header,
    write,
};
use crate::time::{TimeDelta, Timestamp};

use super::config::Config;
use super::connection::{Closing, ConnectionId, Connections, State, Will};
use super::counters::Counters;
use super::message::{Budget, Message};
use super::script::Script;
use super::session::Sessions;
use super::subscriptions::Subscriptions;

/// Reason codes that the broker says by itself (MQTT 5, section 2.4).
pub(super) mod reason {
    pub(crate) const SUCCESS: u8 = 0x00;
    pub(crate) const DISCONNECT_WITH_WILL: u8 = 0x04;
    pub(crate) const NO_MATCHING_SUBSCRIBERS: u8 = 0x10;
    pub(crate) const NO_SUBSCRIPTION_EXISTED: u8 = 0x11;
    pub(crate) const MALFORMED_PACKET: u8 = 0x81;
    pub(crate) const PROTOCOL_ERROR: u8 = 0x82;
    pub(crate) const CLIENT_IDENTIFIER_NOT_VALID: u8 = 0x85;
    pub(crate) const BAD_USER_NAME_OR_PASSWORD: u8 = 0x86;
    pub(crate) const NOT_AUTHORIZED: u8 = 0x87;
    pub(crate) const SERVER_SHUTTING_DOWN: u8 = 0x8b;
    pub(crate) const BAD_AUTHENTICATION_METHOD: u8 = 0x8c;
    pub(crate) const KEEP_ALIVE_TIMEOUT: u8 = 0x8d;
    pub(crate) const SESSION_TAKEN_OVER: u8 = 0x8e;
    pub(crate) const PACKET_IDENTIFIER_NOT_FOUND: u8 = 0x92;
    pub(crate) const RECEIVE_MAXIMUM_EXCEEDED: u8 = 0x93;
    pub(crate) const TOPIC_ALIAS_INVALID: u8 = 0x94;
    pub(crate) const PACKET_TOO_LARGE: u8 = 0x95;
    pub(crate) const QUOTA_EXCEEDED: u8 = 0x97;
    pub(crate) const SHARED_SUBSCRIPTIONS_NOT_SUPPORTED: u8 = 0x9e;
}

/// How often keep alives, expiries and counters are looked at.
const TICK: TimeDelta = TimeDelta::from_secs(1);
/// A connection without a CONNECT is closed after this.
const CONNECT_PATIENCE: TimeDelta = TimeDelta::from_secs(30);
/// A CONNECT is at most five fields of 64 KiB and properties.
const CONNECT_BYTES: u32 = 1 << 20;

/// A broker: events go in with their time, bytes for connections come out.
///
/// After each event, take what is to be done with [`Core::next_ready`] until it is `None`: for
/// each connection, write [`Core::output`] and say so with [`Core::written`], and end it where
/// [`Core::closing`] says so. Time may stand still between events but not go back; it can be any
/// clock that does not step.
#[derive(Debug)]
pub struct Core {
    pub(super) config: Config,
    pub(super) now: Timestamp,
    pub(super) started: Timestamp,
    pub(super) connections: Connections,
    pub(super) sessions: Sessions,
    pub(super) subscriptions: Subscriptions,
    pub(super) retained: HashMap<Box<[u8]>, Rc<Message>>,
    pub(super) script: Script,
    pub(super) has_script: bool,
    /// Messages that the script delays, by the time when they go on and a number.
    pub(super) delayed: BTreeMap<(Timestamp, u64), Rc<Message>>,
    pub(super) delayed_count: u64,
    pub(super) budget: Budget,
    /// Bytes of packets that arrived in part.
    partial_bytes: usize,
    pub(super) assigned: u64,
    next_tick: Timestamp,
    pub(super) next_sys: Option<Timestamp>,
}

impl Core {
    /// A broker that starts now.
    #[must_use]
    pub fn new(config: Config, now: Timestamp) -> Self {
        Self {
            now,
            started: now,
            connections: Connections::default(),
            sessions: Sessions::default(),
            subscriptions: Subscriptions::default(),
            retained: HashMap::new(),
            script: Script::new(&config.faults),
            has_script: config.faults != super::Faults::default(),
            delayed: BTreeMap::new(),
            delayed_count: 0,
            budget: Budget::new(config.limits.stored_bytes),
            partial_bytes: 0,
            assigned: 0,
            next_tick: now + TICK,
            next_sys: config.sys_interval.map(|interval| now + interval),
            config,
        }
    }

    /// A client connected; `None` when there is no room, and its connection is to be closed.
    #[must_use]
    pub fn connection_opened(&mut self, now: Timestamp) -> Option<ConnectionId> {
        self.advance(now);
        if self.connections.len() >= self.config.limits.connections {
            return None;
        }
        self.connections.open(now)
    }

    /// Bytes came from a client.
    pub fn bytes_received(&mut self, id: ConnectionId, bytes: &[u8], now: Timestamp) {
        self.advance(now);
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if matches!(connection.state, State::Closing(_)) {
            return;
        }
        connection.last_received = now;
        let mut kept = std::mem::take(&mut connection.input);
        let counted = &mut self.connections.counters.bytes_received;
        *counted = counted.saturating_add(bytes.len() as u64);
        if kept.is_empty() {
            let used = self.packets(id, bytes);
            self.keep(id, kept, bytes.get(used..).unwrap_or_default());
        } else {
            self.partial_bytes = self.partial_bytes.saturating_sub(kept.len());
            kept.extend_from_slice(bytes);
            let used = self.packets(id, &kept);
            kept.drain(..used.min(kept.len()));
            self.keep(id, kept, &[]);
        }
    }

    /// Keeps the beginning of a packet: `kept` and after it `rest`.
    fn keep(&mut self, id: ConnectionId, mut kept: Vec<u8>, rest: &[u8]) {
        let length = kept.len() + rest.len();
        if length == 0 {
            return;
        }
        if self.partial_bytes.saturating_add(length) > self.config.limits.stored_bytes {
            self.fail(id, reason::QUOTA_EXCEEDED);
            return;
        }
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        if matches!(connection.state, State::Closing(_)) {
            return;
        }
        kept.extend_from_slice(rest);
        connection.input = kept;
        self.partial_bytes += length;
    }

    /// Handles the packets that are whole and gives the number of bytes that are done with.
    fn packets(&mut self, id: ConnectionId, bytes: &[u8]) -> usize {
        let mut used = 0;
        while let Some(connection) = self.connections.get(id)
            && !matches!(connection.state, State::Closing(_))
        {
            let limit = match connection.state {
                State::Opened => CONNECT_BYTES.min(self.config.limits.packet_bytes),
                _ => self.config.limits.packet_bytes,
            };
            let rest = bytes.get(used..).unwrap_or_default();
            // Another protocol's first byte could promise a long packet: it is not waited for.
            let is_first = connection.state == State::Opened;
            if is_first && rest.first().is_some_and(|byte| byte >> 4 != 1) {
                self.fail(id, reason::PROTOCOL_ERROR);
                break;
            }
            let header = match parse_fixed_header(rest) {
                HeaderResult::Incomplete => return used,
                HeaderResult::Complete(header) if !header.overlong => header,
                _ => {
                    self.fail(id, reason::MALFORMED_PACKET);
                    break;
                }
            };
            if header.packet_length() > limit {
                self.fail(id, reason::PACKET_TOO_LARGE);
                break;
            }
            let length = header.packet_length() as usize;
            let Some(body) = rest.get(usize::from(header.header_length)..length) else {
                return used;
            };
            used += length;
            self.packet(id, header, body);
        }
        bytes.len()
    }

    fn packet(&mut self, id: ConnectionId, header: FixedHeader, body: &[u8]) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        connection.packets = connection.packets.saturating_add(1);
        let (number, packets) = (connection.number, connection.packets);
        let (level, state) = (connection.level, connection.state);
        let counted = &mut self.connections.counters.messages_received;
        *counted = counted.saturating_add(1);
        if self.has_script && self.script.resets(number, packets) {
            self.reset(id);
            return;
        }
        let parsed = parse(header.first_byte, body, level);
        match state {
            State::Opened => self.connect(id, &parsed),
            State::Serves(session) => self.packet_of_session(id, session, &parsed),
            State::Closing(_) => {}
        }
    }

    fn packet_of_session(&mut self, id: ConnectionId, session: u32, parsed: &Parsed<'_>) {
        if parsed.malformed.is_some() {
            self.fail(id, reason::MALFORMED_PACKET);
            return;
        }
        if is_broken(parsed) {
            self.fail(id, reason::PROTOCOL_ERROR);
            return;
        }
        match &parsed.packet {
            Packet::Publish(publish) => self.publish(id, session, publish),
            Packet::Acknowledgment(acknowledgment) => {
                self.acknowledgment(id, session, acknowledgment);
            }
            Packet::Subscribe(subscribe) => self.subscribe(id, session, subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(id, session, unsubscribe),
            Packet::Pingreq => self.connections.send(id, |out| {
                write::pingresp(out);
                1
            }),
            Packet::Disconnect(disconnect) => self.disconnect(id, session, disconnect),
            // [MQTT-3.1.0-2] A second CONNECT, and what only a server sends.
            _ => self.fail(id, reason::PROTOCOL_ERROR),
        }
    }

    /// The client broke a rule: its connection ends, in MQTT 5 with the reason [MQTT-4.13.1-1].
    pub(super) fn fail(&mut self, id: ConnectionId, code: u8) {
        let errors = &mut self.connections.counters.errors;
        *errors = errors.saturating_add(1);
        self.end_with(id, code);
    }

    /// Ends a connection from this side; the will is published.
    pub(super) fn end_with(&mut self, id: ConnectionId, code: u8) {
        let Some(connection) = self.connections.get(id) else {
            return;
        };
        if connection.level == ProtocolLevel::V5 && matches!(connection.state, State::Serves(_)) {
            self.connections.send(id, |out| {
                u64::from(write::disconnect(out, ProtocolLevel::V5, code, &[]).is_ok())
            });
        }
        self.leave(id);
        self.connections.close(id, Closing::Finish);
    }

    /// Ends a connection with a TCP reset.
    pub(super) fn reset(&mut self, id: ConnectionId) {
        self.leave(id);
        self.connections.close(id, Closing::Reset);
    }

    /// A client's connection is gone, or was ended as [`Core::closing`] asked.
    pub fn connection_closed(&mut self, id: ConnectionId, now: Timestamp) {
        self.advance(now);
        self.leave(id);
        if let Some(connection) = self.connections.remove(id) {
            self.partial_bytes = self.partial_bytes.saturating_sub(connection.input.len());
        }
    }

    /// Takes a connection from its session: the will is due, and the session waits or ends.
    pub(super) fn leave(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id) else {
            return;
        };
        self.partial_bytes = self.partial_bytes.saturating_sub(connection.input.len());
        connection.input = Vec::new();
        let State::Serves(index) = connection.state else {
            return;
        };
        connection.state = State::Opened;
        let will = connection.will.take();
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        session.connection = None;
        session.outgoing.resend.clear();
        let expiry = session.expiry;
        session.ends_at = expiry.map(|expiry| self.now + expiry);
        if let Some(will) = will {
            self.will_is_due(index, will, expiry);
        }
        if expiry == Some(TimeDelta::ZERO) {
            self.end_session(index);
        }
    }

    /// [MQTT-3.1.3-9] after the delay, or when the session ends, if that is earlier.
    fn will_is_due(&mut self, session: u32, will: Will, expiry: Option<TimeDelta>) {
        let delay = expiry.map_or(will.delay, |expiry| will.delay.min(expiry));
        if delay == TimeDelta::ZERO {
            self.route_kept(&will.message);
        } else if let Some(session) = self.sessions.get_mut(session) {
            session.will = Some((self.now + delay, will.message));
        }
    }

    pub(super) fn end_session(&mut self, index: u32) {
        let Some(session) = self.sessions.remove(index) else {
            return;
        };
        for filter in &session.filters {
            self.subscriptions.remove(index, filter);
        }
        if let Some((_, will)) = session.will {
            self.route_kept(&will);
        }
    }

    /// Time passed; to be called at [`Core::next_deadline`] at the latest.
    pub fn time_passed(&mut self, now: Timestamp) {
        self.advance(now);
        while let Some(entry) = self.delayed.first_entry()
            && entry.key().0 <= self.now
        {
            let message = entry.remove();
            self.route_kept(&message);
        }
        if self.now < self.next_tick {
            return;
        }
        self.next_tick = self.now + TICK;
        self.end_silent_connections();
        self.end_old_sessions();
        self.publish_counters();
    }

    /// When something is due next; `None` when nothing is until the next event.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let delayed = self.delayed.keys().next().map(|key| key.0);
        let is_idle = self.connections.len() == 0 && self.sessions.len() == 0;
        let tick = (!is_idle).then_some(self.next_tick);
        delayed.into_iter().chain(tick).min()
    }

    fn end_silent_connections(&mut self) {
        let mut late = Vec::new();
        for connection in self.connections.iter() {
            let patience = match connection.state {
                State::Opened => Some(CONNECT_PATIENCE),
                State::Serves(_) => connection.patience,
                State::Closing(_) => None,
            };
            let silence = self.now - connection.last_received;
            if patience.is_some_and(|patience| silence > patience) {
                late.push(connection.id);
            }
        }
        // [MQTT-3.1.2-24] (5: [MQTT-3.1.2-22]) within one and a half times the keep alive.
        for id in late {
            self.fail(id, reason::KEEP_ALIVE_TIMEOUT);
        }
    }

    fn end_old_sessions(&mut self) {
        let mut wills = Vec::new();
        let mut ended = Vec::new();
        for (index, session) in self.sessions.iter() {
            if session.ends_at.is_some_and(|end| end <= self.now) {
                ended.push(index);
            } else if session
                .will
                .as_ref()
                .is_some_and(|(due, _)| *due <= self.now)
            {
                wills.push(index);
            }
        }
        for index in wills {
            let will = self
                .sessions
                .get_mut(index)
                .and_then(|session| session.will.take());
            if let Some((_, message)) = will {
                self.route_kept(&message);
            }
        }
        for index in ended {
            self.end_session(index);
        }
    }

    /// The broker ends: every client is told.
    pub fn shut_down(&mut self, now: Timestamp) {
        self.advance(now);
        let ids: Vec<_> = self
            .connections
            .iter()
            .map(|connection| connection.id)
            .collect();
        for id in ids {
            self.end_with(id, reason::SERVER_SHUTTING_DOWN);
        }
    }

    /// A connection that has output or is to be closed, until there is none.
    #[must_use]
    pub fn next_ready(&mut self) -> Option<ConnectionId> {
        self.connections.next_ready()
    }

    /// What is to be written to a connection.
    #[must_use]
    pub fn output(&self, id: ConnectionId) -> &[u8] {
        self.connections.output(id)
    }

    /// So many bytes of the output were written.
    pub fn written(&mut self, id: ConnectionId, count: usize) {
        self.connections.written(id, count);
        let state = self.connections.get(id).map(|connection| connection.state);
        if let Some(State::Serves(session)) = state {
            self.pump(session);
        }
    }

    /// Whether and how a connection is to be closed.
    #[must_use]
    pub fn closing(&self, id: ConnectionId) -> Option<Closing> {
        match self.connections.get(id)?.state {
            State::Closing(closing) => Some(closing),
            _ => None,
        }
    }

    /// Whether to read from a connection: not while too much waits to be written to it, so that
    /// a client that reads nothing has to stop sending.
    #[must_use]
    pub fn wants_input(&self, id: ConnectionId) -> bool {
        self.connections.get(id).is_some_and(|connection| {
            !matches!(connection.state, State::Closing(_))
                && connection.waiting() < self.config.limits.output_bytes
        })
    }

    /// What the broker counted so far.
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.connections.counters
    }

    fn advance(&mut self, now: Timestamp) {
        self.now = self.now.max(now);
    }
}

/// Whether a MUST is broken that ends the connection. What a payload is was promised to
/// subscribers, who may check it; a broker need not (3.3.2.3.2).
pub(super) fn is_broken(parsed: &Parsed<'_>) -> bool {
    let mut violations = parsed.violations.iter();
    violations.any(|violation| violation.is_error() && violation != Violation::PayloadNotUtf8)
}
