//! What the event loop of a publisher tells, as stamps of messages.
//!
//! rumqttc chooses packet identifiers itself and tells of no message by name. But it takes requests
//! in the order in which they were made, so the next PUBLISH that it tells of is the next message,
//! unless it is one that it sends again after a lost connection.

use std::collections::VecDeque;

use rumqttc::{Event, Outgoing, Packet, Request};

use crate::probe::clock::Stamp;

/// What was told of one message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) written: Option<Stamp>,
    pub(super) puback: Option<Stamp>,
    pub(super) pubrec: Option<Stamp>,
    pub(super) pubcomp: Option<Stamp>,
    pub(super) resent: u8,
}

/// The messages of one publisher, by what its event loop tells.
#[derive(Debug)]
pub(super) struct Book {
    /// The messages in order. Behind them come sentinels, which have no stamps.
    pub(super) told: Vec<Told>,
    /// The next message that was not told of.
    next: u32,
    /// By packet identifier, the message that is in flight.
    flying: Vec<Option<u32>>,
    in_flight: u32,
    /// Packet identifiers of what is going to be sent again.
    again: Vec<bool>,
    /// Messages that wait in the event loop, and go with the session.
    queued: u32,
    /// PUBLISH packets that went out.
    publishes: u64,
}

impl Book {
    pub(super) fn new(messages: usize, window: u16) -> Self {
        let identifiers = usize::from(window.max(1)) + 1;
        Self {
            told: vec![Told::default(); messages],
            next: 0,
            flying: vec![None; identifiers],
            in_flight: 0,
            again: vec![false; identifiers],
            queued: 0,
            publishes: 0,
        }
    }

    /// How many messages were told of, or are known to be dropped.
    pub(super) const fn told_of(&self) -> u32 {
        self.next
    }

    pub(super) const fn publishes(&self) -> u64 {
        self.publishes
    }

    pub(super) const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Takes an event; gives whether a message went out for the first time.
    pub(super) fn take(&mut self, event: &Event, stamp: Stamp) -> bool {
        match event {
            Event::Outgoing(Outgoing::Publish(id)) => return self.published(*id, stamp),
            Event::Incoming(Packet::PubAck(packet)) => {
                let message = self.land(packet.pkid);
                self.note(message, |told| told.puback = Some(stamp));
            }
            Event::Incoming(Packet::PubRec(packet)) => {
                let message = self.flying.get(usize::from(packet.pkid)).copied().flatten();
                self.note(message, |told| {
                    told.pubrec.get_or_insert(stamp);
                });
            }
            Event::Incoming(Packet::PubComp(packet)) => {
                let message = self.land(packet.pkid);
                self.note(message, |told| told.pubcomp = Some(stamp));
            }
            Event::Incoming(Packet::ConnAck(packet)) if !packet.session_present => {
                self.forget();
            }
            _ => {}
        }
        false
    }

    fn published(&mut self, id: u16, stamp: Stamp) -> bool {
        self.publishes += 1;
        let at = usize::from(id);
        if self.again.get_mut(at).is_some_and(std::mem::take) {
            let message = self.flying.get(at).copied().flatten();
            self.note(message, |told| told.resent = told.resent.saturating_add(1));
            return false;
        }
        let message = self.next;
        self.next = self.next.saturating_add(1);
        // QoS 0 has the identifier 0, and is never in flight.
        if id > 0
            && let Some(slot) = self.flying.get_mut(at)
        {
            self.in_flight += u32::from(slot.replace(message).is_none());
        }
        self.note(Some(message), |told| told.written = Some(stamp));
        (message as usize) < self.told.len()
    }

    fn land(&mut self, id: u16) -> Option<u32> {
        let message = self.flying.get_mut(usize::from(id))?.take();
        self.in_flight -= u32::from(message.is_some());
        message
    }

    fn note(&mut self, message: Option<u32>, note: impl FnOnce(&mut Told)) {
        let told = message.and_then(|message| self.told.get_mut(message as usize));
        if let Some(told) = told {
            note(told);
        }
    }

    /// The connection is lost: what the event loop keeps for the next one.
    pub(super) fn lose(&mut self, pending: &VecDeque<Request>) {
        self.again.fill(false);
        self.queued = 0;
        for request in pending {
            if let Request::Publish(publish) = request {
                match self.again.get_mut(usize::from(publish.pkid)) {
                    Some(again) if publish.pkid > 0 => *again = true,
                    _ => self.queued += 1,
                }
            }
        }
    }

    /// A connection without the session: nothing is in flight any more, and the event loop has
    /// dropped what was queued.
    fn forget(&mut self) {
        self.flying.fill(None);
        self.again.fill(false);
        self.in_flight = 0;
        self.next = self.next.saturating_add(self.queued);
        self.queued = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::{ConnAck, ConnectReturnCode, PubAck, PubComp, PubRec, Publish, QoS};

    fn at(nanos: i64) -> Stamp {
        Stamp::from_nanos(nanos)
    }

    fn out(id: u16) -> Event {
        Event::Outgoing(Outgoing::Publish(id))
    }

    fn request(id: u16) -> Request {
        let mut publish = Publish::new("t", QoS::AtLeastOnce, "x");
        publish.pkid = id;
        Request::Publish(publish)
    }

    fn connack(session_present: bool) -> Event {
        let code = ConnectReturnCode::Success;
        Event::Incoming(Packet::ConnAck(ConnAck::new(code, session_present)))
    }

    #[test]
    fn messages_are_told_of_in_their_order() {
        let mut book = Book::new(3, 2);
        assert!(book.take(&out(1), at(10)) && book.take(&out(2), at(20)));
        assert_eq!((book.told_of(), book.in_flight()), (2, 2));
        book.take(&Event::Incoming(Packet::PubAck(PubAck::new(2))), at(30));
        book.take(&Event::Incoming(Packet::PubRec(PubRec::new(1))), at(40));
        assert_eq!(book.in_flight(), 1, "until PUBCOMP");
        book.take(&Event::Incoming(Packet::PubComp(PubComp::new(1))), at(50));
        assert!(book.take(&out(1), at(60)));
        assert!(!book.take(&out(2), at(70)), "a sentinel");
        let first = Told {
            written: Some(at(10)),
            pubrec: Some(at(40)),
            pubcomp: Some(at(50)),
            ..Told::default()
        };
        assert_eq!(book.told[0], first);
        assert_eq!(book.told[1].puback, Some(at(30)));
        assert_eq!(book.told[2].written, Some(at(60)));
    }

    #[test]
    fn what_is_sent_again_is_no_new_message() {
        let mut book = Book::new(4, 2);
        book.take(&out(1), at(10));
        book.take(&out(2), at(20));
        book.lose(&[request(1), request(2), request(0)].into());
        book.take(&connack(true), at(30));
        assert!(!book.take(&out(1), at(40)) && !book.take(&out(2), at(41)));
        book.take(&Event::Incoming(Packet::PubAck(PubAck::new(1))), at(50));
        assert!(book.take(&out(1), at(60)), "the one that was queued");
        let resent: Vec<u8> = book.told.iter().map(|told| told.resent).collect();
        assert_eq!(resent, [1, 1, 0, 0]);
        assert_eq!(book.told[2].written, Some(at(60)));
    }

    #[test]
    fn what_is_dropped_with_the_session_is_never_written() {
        let mut book = Book::new(4, 2);
        book.take(&out(1), at(10));
        book.lose(&[request(1), request(0), request(0)].into());
        book.take(&connack(false), at(30));
        assert_eq!((book.told_of(), book.in_flight()), (3, 0));
        book.take(&out(1), at(40));
        let written: Vec<bool> = book
            .told
            .iter()
            .map(|told| told.written.is_some())
            .collect();
        assert_eq!(written, [true, false, false, true]);
    }
}
