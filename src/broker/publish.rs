//! PUBLISH from a client, up to the point where the message is forwarded.

use std::rc::Rc;

use crate::mqtt::{PacketType, ProtocolLevel, Publish, write};

use super::config::Qos2Forwarding;
use super::connection::ConnectionId;
use super::core::{Core, reason};
use super::message::{Message, View};
use super::script::Actions;
use super::session::Incoming;

impl Core {
    pub(super) fn publish(&mut self, id: ConnectionId, session: u32, publish: &Publish<'_>) {
        let counted = &mut self.connections.counters.publish_received;
        *counted = counted.saturating_add(1);
        if publish.properties.topic_alias().is_some() {
            // [MQTT-3.2.2-18]: the CONNACK offered none.
            self.fail(id, reason::TOPIC_ALIAS_INVALID);
            return;
        }
        let Some(serial) = self.sessions.get(session).map(|session| session.serial) else {
            return;
        };
        let view = View {
            topic: publish.topic.unwrap_or_default(),
            payload: publish.payload,
            properties: publish.properties,
            qos: publish.qos,
            retain: publish.retain,
            publisher: serial,
            received: self.now,
        };
        match (publish.qos, publish.packet_id) {
            (1, Some(packet_id)) => self.publish_qos1(id, session, &view, publish.dup, packet_id),
            (2, Some(packet_id)) => self.publish_qos2(id, session, &view, publish.dup, packet_id),
            _ => {
                let actions = self.actions(&view, false);
                if actions.reset {
                    self.reset(id);
                } else {
                    self.forward(&view, &actions);
                }
            }
        }
    }

    /// What the script has for a message; one that is sent again was counted before.
    fn actions(&mut self, view: &View<'_>, is_repeated: bool) -> Actions {
        if !self.has_script || is_repeated {
            return Actions::default();
        }
        self.script.message(view.topic)
    }

    fn publish_qos1(
        &mut self,
        id: ConnectionId,
        session: u32,
        view: &View<'_>,
        dup: bool,
        packet_id: u16,
    ) {
        let actions = self.actions(view, dup);
        if actions.reset {
            self.reset(id);
            return;
        }
        let mut is_silent = actions.silence.puback;
        if self.has_script
            && let Some(session) = self.sessions.get_mut(session)
        {
            if is_silent {
                session.silent.insert(packet_id);
            } else if dup {
                is_silent = session.silent.contains(&packet_id);
            } else {
                session.silent.remove(&packet_id);
            }
        }
        let code = self.forward(view, &actions);
        if !is_silent {
            self.acknowledge(id, PacketType::Puback, packet_id, code);
        }
    }

    fn publish_qos2(
        &mut self,
        id: ConnectionId,
        session: u32,
        view: &View<'_>,
        dup: bool,
        packet_id: u16,
    ) {
        let maximum = usize::from(self.config.limits.receive_maximum.max(1));
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        if let Some(known) = state.incoming.get(&packet_id)
            && (dup || !known.is_released)
        {
            // [MQTT-4.3.3-10]: the same message again.
            if !known.silence.pubrec {
                self.acknowledge(id, PacketType::Pubrec, packet_id, reason::SUCCESS);
            }
            return;
        }
        if state.incoming.len() >= maximum {
            self.fail(id, reason::RECEIVE_MAXIMUM_EXCEEDED);
            return;
        }
        let actions = self.actions(view, dup);
        if actions.reset {
            self.reset(id);
            return;
        }
        let silence = actions.silence;
        let (code, held) = self.receive_qos2(view, actions);
        if code >= 0x80 && self.level_of(id).is_v5() {
            // Refused with PUBREC, the handshake is over.
            self.acknowledge(id, PacketType::Pubrec, packet_id, code);
            return;
        }
        if let Some(session) = self.sessions.get_mut(session) {
            let incoming = Incoming {
                held,
                silence,
                is_released: false,
            };
            session.incoming.insert(packet_id, incoming);
        }
        if !silence.pubrec {
            self.acknowledge(id, PacketType::Pubrec, packet_id, reason::SUCCESS);
        }
    }

    /// Forwards a message of QoS 2, or keeps it for its PUBREL.
    fn receive_qos2(
        &mut self,
        view: &View<'_>,
        actions: Actions,
    ) -> (u8, Option<(Rc<Message>, Actions)>) {
        if self.config.qos2 == Qos2Forwarding::AtPublish || actions.refuse.is_some() {
            let code = self.forward(view, &actions);
            return (if code < 0x80 { 0 } else { code }, None);
        }
        match Message::keep(view, &self.budget) {
            Some(message) => (reason::SUCCESS, Some((message, actions))),
            None => {
                self.count_dropped();
                (reason::QUOTA_EXCEEDED, None)
            }
        }
    }

    pub(super) fn level_of(&self, id: ConnectionId) -> ProtocolLevel {
        self.connections
            .get(id)
            .map_or(ProtocolLevel::V3_1_1, |connection| connection.level)
    }

    /// Sends PUBACK, PUBREC, PUBREL or PUBCOMP; before MQTT 5 without the code.
    pub(super) fn acknowledge(
        &mut self,
        id: ConnectionId,
        kind: PacketType,
        packet_id: u16,
        code: u8,
    ) {
        let level = self.level_of(id);
        self.connections.send(id, |out| {
            u64::from(write::acknowledgment(out, level, kind, packet_id, code, &[]).is_ok())
        });
    }
}
