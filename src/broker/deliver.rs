//! A message goes to its subscribers.

use std::rc::Rc;

use crate::mqtt::PacketType;

use super::connection::ConnectionId;
use super::core::{Core, reason};
use super::message::{Message, Sending, View, is_expired};
use super::script::Actions;
use super::session::Queued;
use super::subscriptions::Target;

/// How a message goes to one subscriber.
#[derive(Clone, Copy, Debug)]
pub(super) struct How<'a> {
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) repeat: bool,
    pub(super) identifiers: Option<&'a Rc<[u32]>>,
}

impl Core {
    /// Forwards a message as the script has it, and gives the reason code for its publisher.
    pub(super) fn forward(&mut self, view: &View<'_>, actions: &Actions) -> u8 {
        let code = self.forward_itself(view, actions);
        if code >= 0x80 {
            // Refused by a limit: it will not come, so nothing waits for it any longer.
            self.count_dropped();
        }
        for &swap in &actions.closes {
            if let Some(message) = self.script.close(swap) {
                self.route_kept(&message);
            }
        }
        actions.refuse.unwrap_or(code)
    }

    fn forward_itself(&mut self, view: &View<'_>, actions: &Actions) -> u8 {
        let is_faulty = actions.drop || actions.delay.is_some() || actions.refuse.is_some();
        if is_faulty || actions.duplicate || actions.repeat || !actions.opens.is_empty() {
            let faults = &mut self.connections.counters.faults;
            *faults = faults.saturating_add(1);
        }
        if actions.drop || actions.refuse.is_some() {
            return reason::SUCCESS;
        }
        let opens = actions.opens.iter().copied();
        let swap = opens.into_iter().find(|&swap| self.script.must_wait(swap));
        if swap.is_none() && actions.delay.is_none() {
            let code = self.route(view, actions.repeat);
            if actions.duplicate || actions.repeat && view.qos == 0 {
                self.route(view, false);
            }
            return code;
        }
        let Some(message) = Message::keep(view, &self.budget) else {
            return reason::QUOTA_EXCEEDED;
        };
        if let Some(swap) = swap {
            self.script.wait(swap, message);
        } else if let Some(delay) = actions.delay {
            self.delayed_count = self.delayed_count.saturating_add(1);
            let key = (self.now + delay, self.delayed_count);
            self.delayed.insert(key, message);
        }
        reason::SUCCESS
    }

    /// Sends a kept message on.
    pub(super) fn route_kept(&mut self, message: &Rc<Message>) {
        let mut view = message.view();
        view.received = self.now;
        self.route(&view, false);
    }

    /// Sends a message to all who subscribed to its topic, and keeps it where it is retained.
    fn route(&mut self, view: &View<'_>, repeat: bool) -> u8 {
        if view.topic.starts_with(b"$SYS/") {
            // What the broker says of itself, no client says.
            return reason::NOT_AUTHORIZED;
        }
        let mut kept = None;
        if view.retain {
            self.retain(view, &mut kept);
        }
        let targets = self.subscriptions.targets(view.topic);
        if targets.is_empty() {
            return reason::NO_MATCHING_SUBSCRIBERS;
        }
        for target in &*targets {
            if target.no_local && self.is_publisher(target, view) {
                continue;
            }
            let how = How {
                qos: view.qos.min(target.qos),
                // [MQTT-3.3.1-12], [MQTT-3.3.1-13]
                retain: view.retain && target.retain_as_published,
                repeat,
                identifiers: target.identifiers.as_ref(),
            };
            self.deliver(target.session, view, &mut kept, &how);
        }
        reason::SUCCESS
    }

    fn is_publisher(&self, target: &Target, view: &View<'_>) -> bool {
        let session = self.sessions.get(target.session);
        session.is_some_and(|session| session.serial == view.publisher)
    }

    /// The last retained message of a topic; an empty one takes it away [MQTT-3.3.1-6].
    fn retain(&mut self, view: &View<'_>, kept: &mut Option<Rc<Message>>) {
        if view.payload.is_empty() {
            self.retained.remove(view.topic);
            return;
        }
        let is_full = self.retained.len() >= self.config.limits.retained;
        if is_full && !self.retained.contains_key(view.topic) {
            self.count_dropped();
            return;
        }
        match Message::keep(view, &self.budget) {
            Some(message) => {
                self.retained.insert(view.topic.into(), Rc::clone(&message));
                *kept = Some(message);
            }
            None => self.count_dropped(),
        }
    }

    pub(super) fn count_dropped(&mut self) {
        let dropped = &mut self.connections.counters.publish_dropped;
        *dropped = dropped.saturating_add(1);
    }

    /// Sends a message to one session, or queues it there. `kept` is the message as it is kept,
    /// once for all subscribers.
    pub(super) fn deliver(
        &mut self,
        index: u32,
        view: &View<'_>,
        kept: &mut Option<Rc<Message>>,
        how: &How<'_>,
    ) {
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        if how.qos == 0 {
            let id = session.connection;
            self.deliver_qos0(id, view, how);
            return;
        }
        if kept.is_none() {
            *kept = Message::keep(view, &self.budget);
        }
        let is_full = session.outgoing.queue.len() >= self.config.limits.queued;
        let Some(message) = kept.as_ref().filter(|_| !is_full) else {
            self.count_dropped();
            return;
        };
        session.outgoing.queue.push_back(Queued {
            message: Rc::clone(message),
            qos: how.qos,
            retain: how.retain,
            repeat: how.repeat,
            identifiers: how.identifiers.cloned(),
        });
        if session.connection.is_some() {
            self.pump(index);
        }
    }

    /// QoS 0 goes at once or not at all; nothing is kept for who is away.
    fn deliver_qos0(&mut self, id: Option<ConnectionId>, view: &View<'_>, how: &How<'_>) {
        let Some(connection) = id.and_then(|id| self.connections.get(id)) else {
            return;
        };
        let limits = &self.config.limits;
        if connection.waiting() >= limits.output_bytes
            || self.connections.waiting() >= limits.stored_bytes
        {
            self.count_dropped();
            return;
        }
        let sending = Sending {
            level: connection.level,
            dup: false,
            qos: 0,
            retain: how.retain,
            packet_id: 0,
            identifiers: how.identifiers.map_or(&[], |identifiers| identifiers),
            now: self.now,
        };
        let id = connection.id;
        self.connections.send_publish(id, view, &sending);
    }

    /// Sends what waits in a session, as far as the client's window and the output's limit allow.
    pub(super) fn pump(&mut self, index: u32) {
        while self.sends_one(index) {}
    }

    fn sends_one(&mut self, index: u32) -> bool {
        let Some(session) = self.sessions.get_mut(index) else {
            return false;
        };
        let Some(connection) = session.connection.and_then(|id| self.connections.get(id)) else {
            return false;
        };
        let outgoing = &mut session.outgoing;
        let window = connection
            .receive_maximum
            .min(self.config.limits.inflight)
            .max(1);
        if outgoing.len() == 0
            || outgoing.unacknowledged() >= usize::from(window)
            || connection.waiting() >= self.config.limits.output_bytes
        {
            return false;
        }
        let id = connection.id;
        if let Some(packet_id) = outgoing.next_again() {
            self.send_again(index, id, packet_id);
            return true;
        }
        let Some(queued) = outgoing.queue.pop_front() else {
            return false;
        };
        if is_expired(&queued.message.view(), self.now) {
            return true;
        }
        let repeat = queued.repeat;
        let Some(packet_id) = outgoing.start(queued) else {
            return false;
        };
        self.send_inflight(index, id, packet_id, false);
        if repeat {
            self.send_inflight(index, id, packet_id, true);
        }
        true
    }

    /// [MQTT-4.4.0-1] on a new connection: PUBLISH with DUP, or PUBREL.
    fn send_again(&mut self, index: u32, id: ConnectionId, packet_id: u16) {
        let session = self.sessions.get(index);
        let sent = session.and_then(|session| session.outgoing.get(packet_id));
        match sent.map(|sent| sent.message.is_some()) {
            Some(true) => self.send_inflight(index, id, packet_id, true),
            Some(false) => {
                self.acknowledge(id, PacketType::Pubrel, packet_id, reason::SUCCESS);
            }
            None => {}
        }
    }

    fn send_inflight(&mut self, index: u32, id: ConnectionId, packet_id: u16, dup: bool) {
        let level = self.level_of(id);
        let Some(session) = self.sessions.get_mut(index) else {
            return;
        };
        let Some(sent) = session.outgoing.get(packet_id) else {
            return;
        };
        let Some(message) = &sent.message else {
            return;
        };
        let sending = Sending {
            level,
            dup,
            qos: sent.qos,
            retain: sent.retain,
            packet_id,
            identifiers: sent.identifiers.as_deref().unwrap_or_default(),
            now: self.now,
        };
        if !self.connections.send_publish(id, &message.view(), &sending) && !dup {
            // [MQTT-3.1.2-25] Too long for this client: "it MUST discard it without sending it
            // and then behave as if it had completed sending that Application Message".
            session.outgoing.finish(packet_id);
            self.count_dropped();
        }
    }
}
