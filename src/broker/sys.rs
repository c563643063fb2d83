//! `$SYS`: what the broker says of itself, under mosquitto's names.

use std::rc::Rc;

use crate::mqtt::{Properties, topic};

use super::core::Core;
use super::deliver::How;
use super::message::View;

impl Core {
    /// The topics below `$SYS/broker/` and their values, in their order.
    fn sys_values(&self) -> Vec<(&'static str, String)> {
        let counters = &self.connections.counters;
        let uptime = (self.now - self.started).as_nanos() / 1_000_000_000;
        let sessions = self.sessions.len();
        let connected = self.sessions.iter();
        let connected = connected
            .filter(|(_, session)| session.connection.is_some())
            .count();
        vec![
            ("bytes/received", counters.bytes_received.to_string()),
            ("bytes/sent", counters.bytes_sent.to_string()),
            ("clients/connected", connected.to_string()),
            (
                "clients/disconnected",
                sessions.saturating_sub(connected).to_string(),
            ),
            ("clients/total", sessions.to_string()),
            ("messages/received", counters.messages_received.to_string()),
            ("messages/sent", counters.messages_sent.to_string()),
            (
                "publish/messages/dropped",
                counters.publish_dropped.to_string(),
            ),
            (
                "publish/messages/received",
                counters.publish_received.to_string(),
            ),
            ("publish/messages/sent", counters.publish_sent.to_string()),
            ("retained messages/count", self.retained.len().to_string()),
            ("store/messages/bytes", self.budget.used().to_string()),
            ("subscriptions/count", self.subscriptions.len().to_string()),
            ("uptime", format!("{uptime} seconds")),
            (
                "version",
                concat!("mqttscope embedded broker ", env!("CARGO_PKG_VERSION")).to_owned(),
            ),
        ]
    }

    /// To a new subscription, as if the values were retained messages.
    pub(super) fn send_counters(
        &mut self,
        session: u32,
        filter: &[u8],
        qos: u8,
        identifiers: Option<&Rc<[u32]>>,
    ) {
        if !filter.starts_with(b"$SYS/") {
            return;
        }
        for (name, value) in self.sys_values() {
            let name = format!("$SYS/broker/{name}");
            if !topic::matches(filter, name.as_bytes()) {
                continue;
            }
            let how = How {
                qos: qos.min(1),
                retain: true,
                repeat: false,
                identifiers,
            };
            let view = self.sys_view(&name, &value);
            self.deliver(session, &view, &mut None, &how);
        }
    }

    /// At the interval, to all who subscribed.
    pub(super) fn publish_counters(&mut self) {
        let Some(interval) = self.config.sys_interval else {
            return;
        };
        if self.next_sys.is_none_or(|due| self.now < due) {
            return;
        }
        self.next_sys = Some(self.now + interval);
        for (name, value) in self.sys_values() {
            let name = format!("$SYS/broker/{name}");
            let targets = self.subscriptions.targets(name.as_bytes());
            for target in &*targets {
                let view = self.sys_view(&name, &value);
                let how = How {
                    qos: target.qos.min(1),
                    retain: target.retain_as_published,
                    repeat: false,
                    identifiers: target.identifiers.as_ref(),
                };
                self.deliver(target.session, &view, &mut None, &how);
            }
        }
    }

    fn sys_view<'a>(&self, name: &'a str, value: &'a str) -> View<'a> {
        View {
            topic: name.as_bytes(),
            payload: value.as_bytes(),
            properties: Properties::default(),
            qos: 1,
            retain: true,
            publisher: 0,
            received: self.now,
        }
    }
}
