//! What is noted of each message, and what became of it: every message ends, for every receiver,
//! in exactly one outcome.

use crate::results::Outcome;

use super::clock::Stamp;

/// The sending side of one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MessageRecord {
    /// When it was due.
    pub planned: Stamp,
    /// Just before the write of its first byte.
    pub sent: Option<Stamp>,
    /// After the write of its last byte.
    pub written: Option<Stamp>,
    /// PUBACK read.
    pub puback: Option<Stamp>,
    /// First PUBREC read.
    pub pubrec: Option<Stamp>,
    /// First PUBREL written.
    pub pubrel: Option<Stamp>,
    /// PUBCOMP read.
    pub pubcomp: Option<Stamp>,
    /// The reason code of 128 or more with which the broker answered.
    pub refused: Option<u8>,
    /// How often its PUBLISH was sent again (DUP).
    pub resent: u8,
    /// When it was due, the window was full, the socket did not take more, or there was no
    /// connection: what it waited for then was not the prober.
    pub blocked: bool,
}

impl MessageRecord {
    /// A message that is due at `planned`.
    #[must_use]
    pub const fn new(planned: Stamp) -> Self {
        Self {
            planned,
            sent: None,
            written: None,
            puback: None,
            pubrec: None,
            pubrel: None,
            pubcomp: None,
            refused: None,
            resent: 0,
            blocked: false,
        }
    }

    /// Whether the broker said that it has the message: PUBACK, or PUBREC with which it takes
    /// ownership [MQTT-4.3.2-4, MQTT-4.3.3-8].
    #[must_use]
    pub const fn is_acknowledged(&self) -> bool {
        (self.puback.is_some() || self.pubrec.is_some()) && self.refused.is_none()
    }

    /// `sent` − `planned`, in nanoseconds.
    #[must_use]
    pub fn send_lag(&self) -> Option<i64> {
        Some(self.sent?.since(self.planned))
    }
}

/// The receiving side of one message at one subscriber.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reception {
    /// When its last byte was read, the first time.
    pub received: Option<Stamp>,
    /// PUBACK or PUBREC written.
    pub acknowledged: Option<Stamp>,
    /// PUBREL read.
    pub pubrel: Option<Stamp>,
    /// PUBCOMP written.
    pub pubcomp: Option<Stamp>,
    /// Copies beyond the first that an application gets.
    pub duplicates: u16,
    /// Copies that came on the wire and that QoS 2 keeps from the application.
    pub suppressed: u16,
    /// It came after a message that was sent later (RFC 4737, section 3.3).
    pub reordered: bool,
    /// The QoS with which it came.
    pub qos: u8,
}

/// The outcome of a message of `qos` for one receiver; the first that applies, and being received
/// wins over a missing acknowledgement. `deadline_ns` counts from when it was due.
#[must_use]
pub fn outcome(
    message: &MessageRecord,
    reception: &Reception,
    qos: u8,
    deadline_ns: i64,
) -> Outcome {
    if message.written.is_none() {
        return Outcome::NotWritten;
    }
    if message.refused.is_some() {
        return Outcome::Refused;
    }
    match reception.received {
        Some(received) if received.since(message.planned) <= deadline_ns => Outcome::Delivered,
        Some(_) => Outcome::Late,
        None if qos == 0 => Outcome::LostUnconfirmed,
        None if message.is_acknowledged() => Outcome::LostAcknowledged,
        None => Outcome::LostUnacknowledged,
    }
}

/// The order in which one publisher's messages come to one receiver.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Order {
    /// One more than the highest index that came (RFC 4737, `NextExp`).
    pub next: u32,
}

impl Order {
    /// Takes the first arrival of `index`, and says whether it is reordered.
    pub fn arrive(&mut self, index: u32) -> bool {
        if index >= self.next {
            self.next = index.saturating_add(1);
            false
        } else {
            true
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: i64) -> Option<Stamp> {
        Some(Stamp::from_nanos(nanos))
    }

    fn written() -> MessageRecord {
        MessageRecord {
            sent: at(110),
            written: at(120),
            ..MessageRecord::new(Stamp::from_nanos(100))
        }
    }

    fn received(nanos: i64) -> Reception {
        Reception {
            received: at(nanos),
            ..Reception::default()
        }
    }

    const NEVER: Reception = Reception {
        received: None,
        acknowledged: None,
        pubrel: None,
        pubcomp: None,
        duplicates: 0,
        suppressed: 0,
        reordered: false,
        qos: 0,
    };

    #[test]
    fn each_message_has_the_first_outcome_that_applies() {
        let due = MessageRecord::new(Stamp::from_nanos(100));
        let cut = MessageRecord {
            sent: at(110),
            ..due
        };
        let refused = MessageRecord {
            puback: at(150),
            refused: Some(0x97),
            ..written()
        };
        let acknowledged = MessageRecord {
            puback: at(150),
            ..written()
        };
        let accepted = MessageRecord {
            pubrec: at(150),
            ..written()
        };
        for (message, reception, qos, expected) in [
            (due, NEVER, 0, Outcome::NotWritten),
            (cut, NEVER, 1, Outcome::NotWritten),
            (refused, NEVER, 1, Outcome::Refused),
            (refused, received(160), 1, Outcome::Refused),
            (written(), received(200), 0, Outcome::Delivered),
            (written(), received(1_100), 1, Outcome::Delivered),
            (written(), received(1_101), 1, Outcome::Late),
            (written(), NEVER, 1, Outcome::LostUnacknowledged),
            (written(), NEVER, 2, Outcome::LostUnacknowledged),
            (acknowledged, NEVER, 1, Outcome::LostAcknowledged),
            (accepted, NEVER, 2, Outcome::LostAcknowledged),
            (written(), NEVER, 0, Outcome::LostUnconfirmed),
        ] {
            assert_eq!(outcome(&message, &reception, qos, 1_000), expected);
        }
    }

    /// RFC 4737, section 7.1: of the arrivals 1 2 3 7 8 9 10 4 5 6 11 those of 4, 5 and 6 are
    /// reordered.
    #[test]
    fn reordering_is_that_of_rfc_4737() {
        let mut order = Order::default();
        let arrivals = [1, 2, 3, 7, 8, 9, 10, 4, 5, 6, 11];
        let reordered: Vec<u32> = arrivals
            .into_iter()
            .filter(|&index| order.arrive(index))
            .collect();
        assert_eq!(reordered, [4, 5, 6]);
    }
}
