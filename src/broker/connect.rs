//! CONNECT and DISCONNECT: sessions begin, go on, change hands and end.

use crate::mqtt::{
    Connect, Disconnect, Packet, Parsed, Property, PropertyId, ProtocolLevel, Violation, write,
};
use crate::time::TimeDelta;

use super::connection::{Closing, ConnectionId, State, Will};
use super::core::{Core, is_broken, reason};
use super::message::{Message, View};

/// The value of Session Expiry Interval that means: never (3.1.2.11.2).
const NEVER: u32 = u32::MAX;

impl Core {
    /// The first packet of a connection [MQTT-3.1.0-1].
    pub(super) fn connect(&mut self, id: ConnectionId, parsed: &Parsed<'_>) {
        let Packet::Connect(connect) = &parsed.packet else {
            self.fail(id, reason::PROTOCOL_ERROR);
            return;
        };
        let level = connect.level();
        if let Some(connection) = self.connections.get_mut(id) {
            connection.level = level.unwrap_or(ProtocolLevel::V3_1_1);
        }
        match self.admit(parsed, connect) {
            Ok(client_id) => self.begin(id, connect, &client_id),
            Err(Some(code)) => self.refuse(id, code),
            Err(None) => self.fail(id, reason::MALFORMED_PACKET),
        }
    }

    /// The client identifier of a CONNECT that is let in; else the code to refuse it with, or
    /// `None` to close without a word.
    fn admit(&mut self, parsed: &Parsed<'_>, connect: &Connect<'_>) -> Result<Vec<u8>, Option<u8>> {
        let Some(level) = connect.level() else {
            // 1, Unacceptable protocol version [MQTT-3.1.2-2]; its level has no form of its own.
            return Err(connect.level_byte.map(|_| 1));
        };
        let code = |older: u8, newer: u8| Some(if level.is_v5() { newer } else { older });
        if let Some(code) = self.script.connect() {
            return Err(Some(code));
        }
        if parsed.violations.contains(Violation::EmptyClientIdentifier) {
            return Err(code(2, reason::CLIENT_IDENTIFIER_NOT_VALID));
        }
        if parsed.malformed.is_some() {
            return Err(level.is_v5().then_some(reason::MALFORMED_PACKET));
        }
        if is_broken(parsed) {
            return Err(level.is_v5().then_some(reason::PROTOCOL_ERROR));
        }
        if connect
            .properties
            .contains(PropertyId::AuthenticationMethod)
        {
            return Err(Some(reason::BAD_AUTHENTICATION_METHOD));
        }
        if !self.may_enter(connect) {
            return Err(code(4, reason::BAD_USER_NAME_OR_PASSWORD));
        }
        let given = connect.client_id.unwrap_or_default();
        let client_id = if given.is_empty() {
            self.assigned = self.assigned.saturating_add(1);
            format!("mqttscope-{}", self.assigned).into_bytes()
        } else {
            given.to_vec()
        };
        let is_known = self.sessions.find(&client_id).is_some();
        if !is_known && self.sessions.len() >= self.config.limits.sessions {
            return Err(code(3, reason::QUOTA_EXCEEDED));
        }
        Ok(client_id)
    }

    fn may_enter(&self, connect: &Connect<'_>) -> bool {
        let Some(expected) = &self.config.credentials else {
            return true;
        };
        let password = connect.password.map(|password| password.expose());
        connect.user_name == Some(&expected.user_name[..])
            && password == Some(&expected.password[..])
    }

    fn refuse(&mut self, id: ConnectionId, code: u8) {
        let level = self.connections.get(id).map(|connection| connection.level);
        let level = level.unwrap_or(ProtocolLevel::V3_1_1);
        self.connections.send(id, |out| {
            u64::from(write::connack(out, level, false, code, &[]).is_ok())
        });
        self.connections.close(id, Closing::Finish);
    }

    /// Lets a client in.
    fn begin(&mut self, id: ConnectionId, connect: &Connect<'_>, client_id: &[u8]) {
        let mut known = self.sessions.find(client_id);
        if let Some(other) = known.and_then(|index| self.sessions.get(index)?.connection) {
            // [MQTT-3.1.4-3] (3.1.1: [MQTT-3.1.4-2])
            self.end_with(other, reason::SESSION_TAKEN_OVER);
            known = self.sessions.find(client_id);
        }
        let clean = connect.clean_start().unwrap_or(true);
        if clean && let Some(index) = known.take() {
            self.end_session(index);
        }
        let is_resumed = known.is_some();
        let Some(index) = known.or_else(|| self.sessions.add(client_id)) else {
            self.refuse(id, 3);
            return;
        };
        let expiry = session_expiry(connect, clean);
        let will = self.will_of(connect, index);
        if let Some(session) = self.sessions.get_mut(index) {
            session.connection = Some(id);
            session.expiry = expiry;
            session.ends_at = None;
            // [MQTT-3.1.3-9]: the client is back before its will's delay was over.
            session.will = None;
            session.outgoing.resume();
        }
        if let Some(connection) = self.connections.get_mut(id) {
            connection.state = State::Serves(index);
            connection.will = will;
            let seconds = i64::from(connect.keep_alive.unwrap_or(0));
            connection.patience = (seconds > 0).then(|| TimeDelta::from_millis(seconds * 1_500));
            if let Some(Property::ReceiveMaximum(maximum)) =
                connect.properties.get(PropertyId::ReceiveMaximum)
            {
                connection.receive_maximum = maximum.max(1);
            }
            if let Some(Property::MaximumPacketSize(maximum)) =
                connect.properties.get(PropertyId::MaximumPacketSize)
            {
                connection.maximum_packet = maximum;
            }
        }
        self.accept(id, connect, client_id, is_resumed);
        self.pump(index);
    }

    /// The CONNACK; in MQTT 5 it says what this broker does not do.
    fn accept(&mut self, id: ConnectionId, connect: &Connect<'_>, client_id: &[u8], resumed: bool) {
        let level = connect.level().unwrap_or(ProtocolLevel::V3_1_1);
        let limits = self.config.limits;
        let mut properties = vec![
            Property::MaximumPacketSize(limits.packet_bytes),
            Property::SharedSubscriptionAvailable(0),
        ];
        if limits.receive_maximum < u16::MAX {
            properties.push(Property::ReceiveMaximum(limits.receive_maximum.max(1)));
        }
        if connect.client_id.is_none_or(<[u8]>::is_empty) {
            properties.push(Property::AssignedClientIdentifier(client_id));
        }
        // 3.1 has no Session Present: the byte is reserved there.
        let present = resumed && level != ProtocolLevel::V3_1;
        self.connections.send(id, |out| {
            u64::from(write::connack(out, level, present, reason::SUCCESS, &properties).is_ok())
        });
    }

    /// The will of a CONNECT, kept until it is due or discarded.
    fn will_of(&self, connect: &Connect<'_>, session: u32) -> Option<Will> {
        let will = connect.will?;
        let view = View {
            topic: will.topic?,
            payload: will.payload.unwrap_or_default(),
            properties: will.properties,
            qos: connect.will_qos().unwrap_or(0).min(2),
            retain: connect.will_retain().unwrap_or(false),
            publisher: self
                .sessions
                .get(session)
                .map_or(0, |session| session.serial),
            received: self.now,
        };
        let delay = match will.properties.get(PropertyId::WillDelayInterval) {
            Some(Property::WillDelayInterval(seconds)) => TimeDelta::from_secs(seconds.into()),
            _ => TimeDelta::ZERO,
        };
        let message = Message::keep(&view, &self.budget)?;
        Some(Will { message, delay })
    }

    /// DISCONNECT: the will goes with it [MQTT-3.14.4-3], unless the client wants it published.
    pub(super) fn disconnect(
        &mut self,
        id: ConnectionId,
        session: u32,
        disconnect: &Disconnect<'_>,
    ) {
        if let Some(Property::SessionExpiryInterval(seconds)) =
            disconnect.properties.get(PropertyId::SessionExpiryInterval)
            && let Some(session) = self.sessions.get_mut(session)
        {
            if session.expiry == Some(TimeDelta::ZERO) && seconds != 0 {
                // 3.14.2.2.2: what ends with the connection cannot be kept after all.
                self.fail(id, reason::PROTOCOL_ERROR);
                return;
            }
            session.expiry = expiry_of(seconds);
        }
        if disconnect.reason_code != Some(reason::DISCONNECT_WITH_WILL)
            && let Some(connection) = self.connections.get_mut(id)
        {
            connection.will = None;
        }
        self.leave(id);
        self.connections.close(id, Closing::Finish);
    }
}

/// How long the session stays after the connection: before MQTT 5 it ends with it or never.
fn session_expiry(connect: &Connect<'_>, clean: bool) -> Option<TimeDelta> {
    if connect.level() != Some(ProtocolLevel::V5) {
        return clean.then_some(TimeDelta::ZERO);
    }
    match connect.properties.get(PropertyId::SessionExpiryInterval) {
        Some(Property::SessionExpiryInterval(seconds)) => expiry_of(seconds),
        _ => Some(TimeDelta::ZERO),
    }
}

fn expiry_of(seconds: u32) -> Option<TimeDelta> {
    (seconds != NEVER).then(|| TimeDelta::from_secs(seconds.into()))
}
