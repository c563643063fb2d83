//! PUBACK, PUBREC, PUBREL and PUBCOMP from clients.

use crate::mqtt::{Acknowledgment, PacketType};

use super::connection::ConnectionId;
use super::core::{Core, reason};

impl Core {
    pub(super) fn acknowledgment(
        &mut self,
        id: ConnectionId,
        session: u32,
        acknowledgment: &Acknowledgment<'_>,
    ) {
        let Some(packet_id) = acknowledgment.packet_id else {
            return;
        };
        let code = acknowledgment.reason_code.unwrap_or(reason::SUCCESS);
        match acknowledgment.kind {
            PacketType::Puback => self.finished(session, packet_id, 1),
            PacketType::Pubrec => self.received(id, session, packet_id, code),
            PacketType::Pubrel => self.released(id, session, packet_id),
            PacketType::Pubcomp => self.finished(session, packet_id, 2),
            _ => {}
        }
    }

    /// PUBACK or PUBCOMP: a message to the client is done, and the next may go. One for what is
    /// not in flight, or not so far, changes nothing.
    fn finished(&mut self, session: u32, packet_id: u16, qos: u8) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let is_due = state
            .outgoing
            .get(packet_id)
            .is_some_and(|sent| sent.qos == qos && (qos == 1 || sent.message.is_none()));
        if is_due {
            state.outgoing.finish(packet_id);
            self.pump(session);
        }
    }

    /// PUBREC: the client has the message, and gets PUBREL.
    fn received(&mut self, id: ConnectionId, session: u32, packet_id: u16, code: u8) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let outgoing = &mut state.outgoing;
        let sent = outgoing.get_mut(packet_id).filter(|sent| sent.qos == 2);
        let Some(sent) = sent else {
            // 3.6.2.1: there is nothing to release.
            self.acknowledge(
                id,
                PacketType::Pubrel,
                packet_id,
                reason::PACKET_IDENTIFIER_NOT_FOUND,
            );
            return;
        };
        if code >= 0x80 {
            // 4.3.3: the receiver refused, and the handshake is over.
            outgoing.finish(packet_id);
            self.pump(session);
            return;
        }
        sent.message = None;
        self.acknowledge(id, PacketType::Pubrel, packet_id, reason::SUCCESS);
    }

    /// PUBREL: a message from the client goes on, if it did not with its PUBLISH.
    fn released(&mut self, id: ConnectionId, session: u32, packet_id: u16) {
        let Some(state) = self.sessions.get_mut(session) else {
            return;
        };
        let Some(incoming) = state.incoming.get_mut(&packet_id) else {
            self.acknowledge(
                id,
                PacketType::Pubcomp,
                packet_id,
                reason::PACKET_IDENTIFIER_NOT_FOUND,
            );
            return;
        };
        let held = incoming.held.take();
        let is_silent = incoming.silence.pubcomp;
        if is_silent {
            incoming.is_released = true;
        } else {
            state.incoming.remove(&packet_id);
        }
        if let Some((message, actions)) = held {
            self.forward(&message.view(), &actions);
        }
        if !is_silent {
            self.acknowledge(id, PacketType::Pubcomp, packet_id, reason::SUCCESS);
        }
    }
}
