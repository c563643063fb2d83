//! What connections show of the devices and brokers at their ends.

use std::hash::BuildHasher;

use crate::memory::prefetch;
use crate::mqtt::{Connack, Connect, FixedHeader, Packet, PacketType, Subscribe, reason_text};
use crate::session::{ConnectionState, PerWay, Towards};
use crate::tcp::EndReason;
use crate::time::{TimeDelta, Timestamp};

use super::catalogue::Own;
use super::clients::Arrival;
use super::collector::{Place, Sink};
use super::outcomes::say_code;
use super::{Linter, Seen, topic};

/// Why nothing could be read of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Unread {
    /// It is encrypted.
    Encrypted,
    /// It is WebSocket or other HTTP.
    WebSocket,
}

/// A connection that is over, or open when the capture ended.
#[derive(Clone, Copy, Debug)]
pub struct Closed<'a> {
    /// MQTT's view of it.
    pub state: &'a ConnectionState,
    /// Index of the connection among those open.
    pub slot: usize,
    /// How it ended.
    pub end: EndReason,
    /// Its last frame.
    pub place: Place,
    /// Its bytes cross the network as they are.
    pub in_clear: bool,
    /// Why nothing was read of it, if so.
    pub unread: Option<Unread>,
    /// It was not read to its end.
    pub incomplete: bool,
    /// How WebSocket carried it, if it did.
    pub web_socket: Option<WebSocketUse>,
    /// The broker ended it: its FIN or RST was the first.
    pub by_broker: bool,
    /// Segments of both directions are in the capture.
    pub both_sides: bool,
    /// The packets within which it ended, and how much of their bodies came.
    pub unfinished: PerWay<Option<(FixedHeader, u32)>>,
}

/// How WebSocket carried a connection.
#[derive(Clone, Copy, Debug)]
pub struct WebSocketUse {
    /// The client's request is known, and offers no subprotocol of the connection's level.
    pub not_offered: bool,
    /// The server's response is known, and selects none.
    pub not_selected: bool,
    /// Text frames, of both sides.
    pub text_frames: u64,
}

/// What is kept of each open connection, by slot.
#[derive(Debug, Default)]
pub(super) struct Slots {
    slots: Vec<Slot>,
    hasher: foldhash::fast::RandomState,
}

#[derive(Debug, Default)]
struct Slot {
    /// Number of the connection that this is about; 0 for none.
    number: u64,
    /// Who its client is: hash of tap, broker and identifier, or of the connection where that
    /// is not known.
    client: u64,
    /// The broker sent a DISCONNECT (MQTT 5).
    dismissed: bool,
    /// The CONNECT with credentials.
    credentials: Option<Box<Credentials>>,
}

#[derive(Debug)]
struct Credentials {
    place: Place,
    user_name: bool,
    password: bool,
}

impl Slots {
    /// Asks for what is known of a connection.
    #[inline]
    pub(super) fn touch(&self, slot: usize) {
        if let Some(slot) = self.slots.get(slot) {
            prefetch(slot);
        }
    }

    /// Who the client of the connection in a slot is, if there is one.
    #[inline]
    pub(super) fn client_of(&self, slot: usize) -> Option<u64> {
        Some(self.slots.get(slot)?.client)
    }

    /// Who the client of a connection is.
    #[inline]
    pub(super) fn client(&mut self, slot: usize, state: &ConnectionState) -> u64 {
        let is_known = self
            .slots
            .get(slot)
            .is_some_and(|known| known.number == state.facts.number);
        if !is_known {
            self.enter(slot, state);
        }
        self.slots.get(slot).map_or(0, |known| known.client)
    }

    #[inline]
    fn enter(&mut self, slot: usize, state: &ConnectionState) -> &mut Slot {
        let client = self.hash(state);
        if self.slots.len() <= slot {
            self.slots
                .resize_with(slot.saturating_add(1), Slot::default);
        }
        // There is one now; nobody gets to see the other.
        let index = slot.min(self.slots.len().saturating_sub(1));
        #[allow(
            clippy::indexing_slicing,
            reason = "the vector was just made long enough"
        )]
        let place = &mut self.slots[index];
        if place.number != state.facts.number {
            *place = Slot {
                number: state.facts.number,
                ..Slot::default()
            };
        }
        place.client = client;
        place
    }

    fn hash(&self, state: &ConnectionState) -> u64 {
        let facts = &state.facts;
        let known = state.client_hash();
        known.unwrap_or_else(|| self.hasher.hash_one((facts.tap, facts.number)))
    }

    fn take(&mut self, slot: usize, number: u64) -> Slot {
        match self.slots.get_mut(slot) {
            Some(known) if known.number == number => std::mem::take(known),
            _ => Slot::default(),
        }
    }
}

impl Linter {
    /// CONNECT, CONNACK, SUBSCRIBE or DISCONNECT.
    pub(super) fn control<S: Sink>(&mut self, seen: &Seen<'_>, sink: &mut S) {
        match &seen.parsed.packet {
            Packet::Connect(connect) if seen.towards == Towards::Broker => {
                self.connect(seen, connect, sink);
            }
            Packet::Connack(connack) if seen.towards == Towards::Client => {
                self.connack(seen, connack, sink);
            }
            Packet::Disconnect(_) if seen.towards == Towards::Client => {
                self.slots.enter(seen.slot, seen.state).dismissed = true;
            }
            Packet::Subscribe(subscribe) if seen.towards == Towards::Broker => {
                self.filters(seen, subscribe, sink);
            }
            _ => {}
        }
    }

    fn filters<S: Sink>(&mut self, seen: &Seen<'_>, subscribe: &Subscribe<'_>, sink: &mut S) {
        for filter in subscribe
            .subscriptions
            .map(|subscription| subscription.filter)
        {
            let large = topic::size(filter, &self.settings.thresholds);
            let all = topic::matches_everything(filter).then_some(Own::EverythingFilter);
            for code in all.into_iter().chain(large.map(|_| Own::LargeFilter)) {
                self.collector
                    .report(code, seen.place(), Some(filter), sink, |draft| {
                        draft.say(format_args!("client "));
                        draft.name(seen.state.client_id().unwrap_or_default());
                        if let (Own::LargeFilter, Some((bytes, levels))) = (code, large) {
                            draft.say(format_args!(": {bytes} bytes, {levels} levels"));
                        }
                        draft.frame(Some(seen.frame));
                    });
            }
        }
    }

    fn connect<S: Sink>(&mut self, seen: &Seen<'_>, connect: &Connect<'_>, sink: &mut S) {
        let (facts, place) = (seen.state.facts, seen.place());
        let user_name = connect.user_name.is_some();
        let password = connect.password_flag() == Some(true);
        let slot = self.slots.enter(seen.slot, seen.state);
        if user_name || password {
            slot.credentials = Some(Box::new(Credentials {
                place,
                user_name,
                password,
            }));
        }
        let key = slot.client;
        let client_id = connect.client_id.unwrap_or_default();
        if connect.keep_alive == Some(0) {
            self.collector
                .report(Own::KeepAliveOff, place, None, sink, |draft| {
                    draft.say(format_args!("client ")).name(client_id);
                    draft.frame(Some(seen.frame));
                });
        }
        if client_id.is_empty() {
            return;
        }
        let arrival = Arrival {
            time: seen.times.first,
            connection: facts.number,
            address: facts.client.address,
            takes_over: seen.state.takes_over(),
        };
        let remarks = self
            .clients
            .connect(key, &arrival, &self.settings.thresholds);
        if let Some((count, span)) = remarks.storm {
            self.collector
                .report(Own::ReconnectStorm, place, None, sink, |draft| {
                    draft.say(format_args!("client ")).name(client_id);
                    draft.say(format_args!(": {count} connections within {span}"));
                    draft.text("mqtt.clientid", client_id, Some(seen.frame));
                });
        }
        if let Some(other) = remarks.collision {
            self.collector
                .report(Own::IdCollision, place, None, sink, |draft| {
                    draft.say(format_args!("client ")).name(client_id);
                    draft.say(format_args!(": {} and {other}", arrival.address));
                    draft.text("mqtt.clientid", client_id, Some(seen.frame));
                });
        }
    }

    fn connack<S: Sink>(&mut self, seen: &Seen<'_>, connack: &Connack<'_>, sink: &mut S) {
        let assigned = seen.state.connack.as_ref();
        if assigned.is_some_and(|facts| facts.assigned_client_id.is_some()) {
            self.slots.enter(seen.slot, seen.state);
        }
        let Some(code) = connack.reason_code.filter(|code| *code != 0) else {
            return;
        };
        self.collector
            .report(Own::Refused, seen.place(), None, sink, |draft| {
                let words = reason_text(PacketType::Connack, code, seen.state.level);
                say_code(draft, code, words);
                let client_id = seen.state.client_id().unwrap_or_default();
                draft.say(format_args!(", client ")).name(client_id);
                draft.frame(Some(seen.frame));
            });
    }

    /// What MQTT asks of WebSocket (section 6), on a connection that carried MQTT.
    #[cold]
    fn web_socket<S: Sink>(&mut self, closed: &Closed<'_>, seen: WebSocketUse, sink: &mut S) {
        let state = closed.state;
        if state.packets.to_broker == 0 && state.packets.to_client == 0 {
            return;
        }
        let ends = [state.facts.client, state.facts.broker];
        if seen.text_frames > 0 {
            self.collector
                .report(Own::WebSocketText, closed.place, None, sink, |draft| {
                    draft.say(format_args!("{} text frames", seen.text_frames));
                    draft.connection(ends);
                });
        }
        let broken = [
            (seen.not_offered, "not offered by the client"),
            (seen.not_selected, "not selected by the server"),
        ];
        if broken.iter().any(|(broken, _)| *broken) {
            let code = Own::WebSocketSubprotocol;
            self.collector
                .report(code, closed.place, None, sink, |draft| {
                    let mut between = "";
                    for (_, what) in broken.iter().filter(|(broken, _)| *broken) {
                        draft.say(format_args!("{between}{what}"));
                        between = ", ";
                    }
                    draft.connection(ends);
                });
        }
    }

    /// Takes a connection that is over.
    pub fn connection<S: Sink>(&mut self, closed: &Closed<'_>, sink: &mut S) {
        let state = closed.state;
        let slot = self.slots.take(closed.slot, state.facts.number);
        let ends = [state.facts.client, state.facts.broker];
        if let Some(unread) = closed.unread {
            let code = match unread {
                Unread::Encrypted => Own::EncryptedUnread,
                Unread::WebSocket => Own::WebSocketUnread,
            };
            self.collector
                .report(code, closed.place, None, sink, |draft| {
                    draft.connection(ends);
                });
        }
        if let Some(seen) = closed.web_socket {
            self.web_socket(closed, seen, sink);
        }
        if let Some(credentials) = slot.credentials.as_deref().filter(|_| closed.in_clear) {
            self.credentials(state, credentials, sink);
        }
        let silence = final_silence(closed);
        self.keep_alive(closed, silence, sink);
        let ended = matches!(closed.end, EndReason::Fin | EndReason::Reset);
        let accepted = state
            .connack
            .as_ref()
            .is_some_and(|connack| connack.reason_code == 0);
        let expected = ended
            && accepted
            && !closed.incomplete
            && !slot.dismissed
            && silence.is_none()
            && !self.clients.was_replaced(slot.client, state.facts.number);
        if expected && !state.disconnected() {
            self.ended_without_disconnect(closed, sink);
        }
        if closed.both_sides && !closed.incomplete && state.complete() {
            self.unanswered(closed, sink);
            self.unfinished(closed, sink);
        }
    }

    /// What the broker left without an answer.
    fn unanswered<S: Sink>(&mut self, closed: &Closed<'_>, sink: &mut S) {
        let (state, place) = (closed.state, closed.place);
        let ends = [state.facts.client, state.facts.broker];
        let ended = !matches!(closed.end, EndReason::CaptureEnded | EndReason::Evicted);
        let since = |from: Timestamp| place.time.map_or(TimeDelta::ZERO, |time| time - from);
        if let (None, Some(asked)) = (&state.connack, state.connect_began())
            && (ended || self.is_long(since(asked)))
        {
            self.collector
                .report(Own::ConnectUnanswered, place, None, sink, |draft| {
                    draft.say(format_args!("client "));
                    draft.name(state.client_id().unwrap_or_default());
                    let waited = since(asked);
                    let who = if closed.by_broker { "broker" } else { "client" };
                    if ended {
                        draft.say(format_args!(": closed by the {who} after {waited}"));
                    } else {
                        draft.say(format_args!(": open for {waited}"));
                    }
                    draft.connection(ends);
                });
        }
        if let Some((what, asked)) = state.oldest_request()
            && self.is_long(since(asked))
        {
            self.collector
                .report(Own::RequestUnanswered, place, None, sink, |draft| {
                    draft.say(format_args!("{} of client ", what.name()));
                    draft.name(state.client_id().unwrap_or_default());
                    draft.say(format_args!(": no answer within {}", since(asked)));
                    draft.connection(ends);
                });
        }
    }

    /// The connection ended within a packet.
    fn unfinished<S: Sink>(&mut self, closed: &Closed<'_>, sink: &mut S) {
        if !matches!(closed.end, EndReason::Fin | EndReason::Reset) {
            return;
        }
        let ends = [closed.state.facts.client, closed.state.facts.broker];
        for towards in [Towards::Broker, Towards::Client] {
            let Some((header, passed)) = closed.unfinished.get(towards) else {
                continue;
            };
            self.collector
                .report(Own::Unfinished, closed.place, None, sink, |draft| {
                    draft.say(format_args!(
                        "{} {}: {passed} of {} bytes came",
                        header.packet_type().name(),
                        towards.name(),
                        header.remaining_length,
                    ));
                    draft.connection(ends);
                });
        }
    }

    /// A connection cannot be decrypted, or no longer.
    pub fn decryption_ended<S: Sink>(
        &mut self,
        state: &ConnectionState,
        place: Place,
        why: &dyn std::fmt::Display,
        sink: &mut S,
    ) {
        let ends = [state.facts.client, state.facts.broker];
        self.collector
            .report(Own::DecryptionEnded, place, None, sink, |draft| {
                draft.say(format_args!("{why}"));
                draft.connection(ends);
            });
    }

    fn credentials<S: Sink>(
        &mut self,
        state: &ConnectionState,
        credentials: &Credentials,
        sink: &mut S,
    ) {
        let place = credentials.place;
        let user_name = state
            .connect
            .as_ref()
            .and_then(|connect| connect.user_name.as_deref())
            .filter(|_| self.settings.user_names);
        self.collector
            .report(Own::ClearText, place, None, sink, |draft| {
                draft.say(format_args!(
                    "{}, client ",
                    match (credentials.user_name, credentials.password) {
                        (true, true) => "user name and password",
                        (true, false) => "user name",
                        _ => "password",
                    }
                ));
                draft.name(state.client_id().unwrap_or_default());
                if let Some(user_name) = user_name {
                    draft.say(format_args!(", user ")).quote(user_name);
                }
                draft.frame(place.frame);
            });
    }

    fn keep_alive<S: Sink>(
        &mut self,
        closed: &Closed<'_>,
        silence: Option<TimeDelta>,
        sink: &mut S,
    ) {
        let state = closed.state;
        let (count, seconds) = (state.keep_alive_violations, state.keep_alive().unwrap_or(0));
        if count == 0 {
            return;
        }
        let ends = [state.facts.client, state.facts.broker];
        // A broker looks at its clients now and then, so it may take a while longer.
        let patience = i64::from(seconds).saturating_mul(2).saturating_add(5);
        let reacted = silence.filter(|silence| *silence <= TimeDelta::from_secs(patience));
        let survived = count.saturating_sub(u64::from(reacted.is_some()));
        let client_id = state.client_id().unwrap_or_default();
        let place = closed.place;
        self.collector
            .report(Own::KeepAliveExceeded, place, None, sink, |draft| {
                draft.say(format_args!("client ")).name(client_id);
                draft.say(format_args!(": {count} of more than 1.5 × {seconds} s"));
                if let Some(silence) = silence {
                    let last = silence.as_nanos() / 1_000_000_000;
                    draft.say(format_args!(
                        "; the connection ended after the last, of {last} s"
                    ));
                }
                draft.connection(ends);
            });
        if survived > 0 {
            self.collector
                .report(Own::KeepAliveNotEnforced, place, None, sink, |draft| {
                    draft.say(format_args!("client ")).name(client_id);
                    draft.say(format_args!(
                        ": {survived} of more than 1.5 × {seconds} s, and the connection went on"
                    ));
                    draft.connection(ends);
                });
        }
    }

    fn ended_without_disconnect<S: Sink>(&mut self, closed: &Closed<'_>, sink: &mut S) {
        let state = closed.state;
        let ends = [state.facts.client, state.facts.broker];
        let code = if closed.by_broker {
            Own::ClosedByBroker
        } else {
            Own::DisconnectMissing
        };
        self.collector
            .report(code, closed.place, None, sink, |draft| {
                draft.say(format_args!("client "));
                draft.name(state.client_id().unwrap_or_default());
                draft.say(format_args!(", ended by {}", closed.end.name()));
                let will = state.connect.as_ref().and_then(|c| c.will.as_ref());
                if let Some(will) = will {
                    draft.say(format_args!("; its will is published to "));
                    draft.quote(&will.topic);
                }
                draft.connection(ends);
            });
    }
}

/// How long the client had been silent when the connection ended, if that was longer than one
/// and a half times its keep-alive.
fn final_silence(closed: &Closed<'_>) -> Option<TimeDelta> {
    let state = closed.state;
    let over = !matches!(closed.end, EndReason::CaptureEnded | EndReason::Evicted);
    if !over || state.disconnected() {
        return None;
    }
    let since: Timestamp = state.last_from_client()?;
    let silence = closed.place.time? - since;
    let seconds = i64::from(state.keep_alive()?);
    (silence > TimeDelta::from_millis(seconds.saturating_mul(1500))).then_some(silence)
}
