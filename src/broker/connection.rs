//! The table of connections and what waits to be written to them.

use crate::mqtt::ProtocolLevel;
use crate::time::{TimeDelta, Timestamp};

use super::counters::Counters;
use super::message::View;

/// Names a connection; never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ConnectionId {
    index: u32,
    generation: u32,
}

impl ConnectionId {
    /// Its place in the table: small, and taken by another connection when this one is gone.
    #[must_use]
    pub const fn index(self) -> usize {
        self.index as usize
    }
}

/// How a connection shall end.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Closing {
    /// After what waits was written.
    Finish,
    /// At once and with a TCP reset.
    Reset,
}

/// Where a connection stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// No CONNECT yet.
    Opened,
    /// Serves the session with this place in the table.
    Serves(u32),
    Closing(Closing),
}

/// A will as it waits in a connection.
#[derive(Debug)]
pub(super) struct Will {
    pub(super) message: std::rc::Rc<super::message::Message>,
    /// Will Delay Interval.
    pub(super) delay: TimeDelta,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// How many connections came before it, and one.
    pub(super) number: u64,
    pub(super) state: State,
    pub(super) level: ProtocolLevel,
    /// Packets that came in.
    pub(super) packets: u64,
    pub(super) last_received: Timestamp,
    /// One and a half times the keep alive.
    pub(super) patience: Option<TimeDelta>,
    /// Of the client.
    pub(super) receive_maximum: u16,
    /// Of the client, in bytes.
    pub(super) maximum_packet: u32,
    pub(super) will: Option<Will>,
    /// The beginning of a packet.
    pub(super) input: Vec<u8>,
    output: Vec<u8>,
    /// How much of `output` was written.
    written: usize,
    /// Listed in [`Connections::ready`].
    is_ready: bool,
}

impl Connection {
    /// Bytes waiting to be written.
    pub(super) fn waiting(&self) -> usize {
        self.output.len().saturating_sub(self.written)
    }
}

#[derive(Debug, Default)]
struct Slot {
    generation: u32,
    connection: Option<Connection>,
}

#[derive(Debug, Default)]
pub(super) struct Connections {
    slots: Vec<Slot>,
    free: Vec<u32>,
    ready: Vec<ConnectionId>,
    opened: u64,
    open: usize,
    pub(super) counters: Counters,
    /// Bytes waiting in all outputs.
    waiting: usize,
}

/// An empty buffer that had to grow beyond this is given back.
const KEPT_BYTES: usize = 256 << 10;

impl Connections {
    pub(super) fn open(&mut self, now: Timestamp) -> Option<ConnectionId> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot::default());
                index
            }
        };
        self.opened = self.opened.saturating_add(1);
        self.open = self.open.saturating_add(1);
        let number = self.opened;
        let slot = self.slots.get_mut(index as usize)?;
        slot.generation = slot.generation.wrapping_add(1);
        let id = ConnectionId {
            index,
            generation: slot.generation,
        };
        slot.connection = Some(Connection {
            id,
            number,
            state: State::Opened,
            level: ProtocolLevel::V3_1_1,
            packets: 0,
            last_received: now,
            patience: None,
            receive_maximum: u16::MAX,
            maximum_packet: u32::MAX,
            will: None,
            input: Vec::new(),
            output: Vec::new(),
            written: 0,
            is_ready: false,
        });
        Some(id)
    }

    pub(super) fn len(&self) -> usize {
        self.open
    }

    /// Bytes waiting in all outputs.
    pub(super) fn waiting(&self) -> usize {
        self.waiting
    }

    #[inline]
    pub(super) fn get(&self, id: ConnectionId) -> Option<&Connection> {
        let slot = self.slots.get(id.index())?;
        slot.connection
            .as_ref()
            .filter(|connection| connection.id == id)
    }

    #[inline]
    pub(super) fn get_mut(&mut self, id: ConnectionId) -> Option<&mut Connection> {
        let slot = self.slots.get_mut(id.index())?;
        slot.connection
            .as_mut()
            .filter(|connection| connection.id == id)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Connection> {
        self.slots
            .iter()
            .filter_map(|slot| slot.connection.as_ref())
    }

    pub(super) fn remove(&mut self, id: ConnectionId) -> Option<Connection> {
        self.get(id)?;
        let connection = self.slots.get_mut(id.index())?.connection.take()?;
        self.waiting = self.waiting.saturating_sub(connection.waiting());
        self.open = self.open.saturating_sub(1);
        self.free.push(id.index);
        Some(connection)
    }

    /// Appends packets to a connection's output. `append` says how many it wrote.
    #[inline]
    pub(super) fn send(&mut self, id: ConnectionId, append: impl FnOnce(&mut Vec<u8>) -> u64) {
        let slot = self.slots.get_mut(id.index());
        let Some(connection) = slot.and_then(|slot| slot.connection.as_mut()) else {
            return;
        };
        if connection.id != id || matches!(connection.state, State::Closing(_)) {
            return;
        }
        let before = connection.output.len();
        let packets = append(&mut connection.output);
        self.waiting += connection.output.len().saturating_sub(before);
        self.counters.messages_sent = self.counters.messages_sent.saturating_add(packets);
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push(id);
        }
    }

    /// Appends a PUBLISH unless it is longer than the client takes: [MQTT-3.1.2-24] "The Server
    /// MUST NOT send packets exceeding Maximum Packet Size to the Client."
    #[inline]
    pub(super) fn send_publish(
        &mut self,
        id: ConnectionId,
        view: &View<'_>,
        how: &super::message::Sending<'_>,
    ) -> bool {
        let Some(connection) = self.get(id) else {
            return false;
        };
        let maximum = connection.maximum_packet as usize;
        let mut sent = false;
        self.send(id, |out| {
            let before = out.len();
            sent = super::message::write_publish(out, view, how);
            if out.len() - before > maximum {
                out.truncate(before);
                sent = false;
            }
            u64::from(sent)
        });
        if sent {
            self.counters.publish_sent = self.counters.publish_sent.saturating_add(1);
        }
        sent
    }

    /// Asks for the end of a connection.
    pub(super) fn close(&mut self, id: ConnectionId, closing: Closing) {
        let Some(connection) = self.get_mut(id) else {
            return;
        };
        if matches!(connection.state, State::Closing(_)) {
            return;
        }
        connection.state = State::Closing(closing);
        connection.input = Vec::new();
        if !connection.is_ready {
            connection.is_ready = true;
            self.ready.push(id);
        }
    }

    pub(super) fn next_ready(&mut self) -> Option<ConnectionId> {
        while let Some(id) = self.ready.pop() {
            if let Some(connection) = self.get_mut(id) {
                connection.is_ready = false;
                return Some(id);
            }
        }
        None
    }

    pub(super) fn output(&self, id: ConnectionId) -> &[u8] {
        self.get(id)
            .and_then(|connection| connection.output.get(connection.written..))
            .unwrap_or_default()
    }

    pub(super) fn written(&mut self, id: ConnectionId, count: usize) {
        let Some(connection) = self.get_mut(id) else {
            return;
        };
        let count = count.min(connection.waiting());
        connection.written += count;
        if connection.written == connection.output.len() {
            connection.written = 0;
            connection.output.clear();
            connection.output.shrink_to(KEPT_BYTES);
        } else if connection.written > connection.output.len() / 2 {
            // Each byte is moved at most once for each byte that was written.
            connection.output.drain(..connection.written);
            connection.written = 0;
        }
        self.waiting = self.waiting.saturating_sub(count);
        self.counters.bytes_sent = self.counters.bytes_sent.saturating_add(count as u64);
    }
}
