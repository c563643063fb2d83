//! Sessions: what the broker keeps of a client, connected or not (section 4.1).

use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::Rc;

use crate::time::{TimeDelta, Timestamp};

use super::connection::ConnectionId;
use super::message::Message;
use super::script::{Actions, Silence};

type ById<T> = HashMap<u16, T, foldhash::fast::RandomState>;

#[derive(Debug)]
pub(super) struct Session {
    /// Never used again, other than the place in the table.
    pub(super) serial: u64,
    pub(super) client_id: Rc<[u8]>,
    pub(super) connection: Option<ConnectionId>,
    /// How long it is kept without a connection; `None` for as long as the broker runs.
    pub(super) expiry: Option<TimeDelta>,
    /// Set while there is no connection.
    pub(super) ends_at: Option<Timestamp>,
    /// A will that waits for its delay.
    pub(super) will: Option<(Timestamp, Rc<Message>)>,
    pub(super) filters: HashSet<Rc<[u8]>>,
    /// QoS 2 from the client, by packet identifier.
    pub(super) incoming: ById<Incoming>,
    /// Packet identifiers of QoS 1 whose PUBACK is never sent.
    pub(super) silent: HashSet<u16>,
    pub(super) outgoing: Outgoing,
}

/// A message of QoS 2 whose handshake is not over.
#[derive(Debug)]
pub(super) struct Incoming {
    /// Waits for PUBREL to be forwarded.
    pub(super) held: Option<(Rc<Message>, Actions)>,
    pub(super) silence: Silence,
    /// PUBREL came and its PUBCOMP was not sent, by the script.
    pub(super) is_released: bool,
}

/// A message of QoS 1 or 2 that waits for its turn.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) message: Rc<Message>,
    pub(super) qos: u8,
    pub(super) retain: bool,
    pub(super) repeat: bool,
    pub(super) identifiers: Option<Rc<[u32]>>,
}

/// A message of QoS 1 or 2 that was sent and is not acknowledged.
#[derive(Debug)]
pub(super) struct Inflight {
    order: u64,
    /// It was sent on this connection.
    is_out: bool,
    pub(super) qos: u8,
    pub(super) retain: bool,
    /// `None` once PUBREC came: then PUBCOMP is awaited.
    pub(super) message: Option<Rc<Message>>,
    pub(super) identifiers: Option<Rc<[u32]>>,
}

/// Messages of QoS 1 and 2 towards the client.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    inflight: ById<Inflight>,
    /// Of those in flight, how many were sent on this connection.
    out: usize,
    last_id: u16,
    order: u64,
    /// In flight on an earlier connection, to be sent again in order.
    pub(super) resend: VecDeque<u16>,
    pub(super) queue: VecDeque<Queued>,
}

impl Outgoing {
    /// Puts a message in flight and gives its packet identifier; `None` when all are taken.
    pub(super) fn start(&mut self, queued: Queued) -> Option<u16> {
        if self.inflight.len() >= usize::from(u16::MAX) {
            return None;
        }
        // [MQTT-2.2.1-3]: not one that is in use. 0 is none.
        loop {
            self.last_id = self.last_id.checked_add(1).unwrap_or(1);
            if !self.inflight.contains_key(&self.last_id) {
                break;
            }
        }
        self.order = self.order.saturating_add(1);
        let inflight = Inflight {
            order: self.order,
            is_out: true,
            qos: queued.qos,
            retain: queued.retain,
            message: Some(queued.message),
            identifiers: queued.identifiers,
        };
        self.inflight.insert(self.last_id, inflight);
        self.out = self.out.saturating_add(1);
        Some(self.last_id)
    }

    /// On a new connection all that is in flight goes again, in its first order
    /// [MQTT-4.4.0-1], [MQTT-4.6.0-1].
    pub(super) fn resume(&mut self) {
        self.out = 0;
        for inflight in self.inflight.values_mut() {
            inflight.is_out = false;
        }
        let mut ids: Vec<u16> = self.inflight.keys().copied().collect();
        ids.sort_unstable_by_key(|id| self.inflight.get(id).map_or(0, |inflight| inflight.order));
        self.resend = ids.into();
    }

    pub(super) fn get(&self, packet_id: u16) -> Option<&Inflight> {
        self.inflight.get(&packet_id)
    }

    pub(super) fn get_mut(&mut self, packet_id: u16) -> Option<&mut Inflight> {
        self.inflight.get_mut(&packet_id)
    }

    /// The next one that is to be sent again, if it is still in flight then.
    pub(super) fn next_again(&mut self) -> Option<u16> {
        while let Some(packet_id) = self.resend.pop_front() {
            if let Some(inflight) = self.inflight.get_mut(&packet_id) {
                inflight.is_out = true;
                self.out = self.out.saturating_add(1);
                return Some(packet_id);
            }
        }
        None
    }

    /// A message is done.
    pub(super) fn finish(&mut self, packet_id: u16) {
        if let Some(inflight) = self.inflight.remove(&packet_id) {
            self.out = self.out.saturating_sub(usize::from(inflight.is_out));
        }
    }

    /// Messages that were sent on this connection and are not done: what the client's Receive
    /// Maximum bounds. A client may acknowledge what was not sent again yet.
    pub(super) const fn unacknowledged(&self) -> usize {
        self.out
    }

    /// Messages that are not done.
    pub(super) fn len(&self) -> usize {
        self.inflight.len().saturating_add(self.queue.len())
    }
}

#[derive(Debug, Default)]
pub(super) struct Sessions {
    slots: Vec<Option<Session>>,
    free: Vec<u32>,
    by_client: HashMap<Rc<[u8]>, u32>,
    serial: u64,
}

impl Sessions {
    pub(super) fn len(&self) -> usize {
        self.by_client.len()
    }

    pub(super) fn find(&self, client_id: &[u8]) -> Option<u32> {
        self.by_client.get(client_id).copied()
    }

    #[inline]
    pub(super) fn get(&self, index: u32) -> Option<&Session> {
        self.slots.get(index as usize)?.as_ref()
    }

    #[inline]
    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut Session> {
        self.slots.get_mut(index as usize)?.as_mut()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &Session)> {
        (0..)
            .zip(&self.slots)
            .filter_map(|(index, slot)| Some((index, slot.as_ref()?)))
    }

    pub(super) fn add(&mut self, client_id: &[u8]) -> Option<u32> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(None);
                index
            }
        };
        self.serial = self.serial.saturating_add(1);
        let client_id: Rc<[u8]> = client_id.into();
        self.by_client.insert(Rc::clone(&client_id), index);
        *self.slots.get_mut(index as usize)? = Some(Session {
            serial: self.serial,
            client_id,
            connection: None,
            expiry: Some(TimeDelta::ZERO),
            ends_at: None,
            will: None,
            filters: HashSet::new(),
            incoming: ById::default(),
            silent: HashSet::new(),
            outgoing: Outgoing::default(),
        });
        Some(index)
    }

    pub(super) fn remove(&mut self, index: u32) -> Option<Session> {
        let session = self.slots.get_mut(index as usize)?.take()?;
        self.by_client.remove(&session.client_id);
        self.free.push(index);
        Some(session)
    }
}
