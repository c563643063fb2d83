//! What shall go wrong, and when: a script.

use crate::mqtt::PacketType;
use crate::time::TimeDelta;

/// What happens to one message, or to the one who sent it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// It is acknowledged and reaches nobody.
    Drop,
    /// It is forwarded so much later, when others may have passed it.
    Delay(TimeDelta),
    /// It is forwarded twice, as two messages with packet identifiers of their own.
    Duplicate,
    /// Its PUBLISH to each subscriber is sent twice: the second time with DUP and the same packet
    /// identifier, as a broker does that missed an acknowledgement. At QoS 0 as [`Self::Duplicate`].
    Repeat,
    /// It changes places with the next message: it is kept until that one went out.
    Swap,
    /// This acknowledgement of it (PUBACK, PUBREC or PUBCOMP to the publisher) is never sent,
    /// however often the client asks.
    Silent(PacketType),
    /// It is not forwarded, and in MQTT 5 its PUBACK or PUBREC says so with this reason code
    /// (0x80 or above). Before MQTT 5 there is no such answer, and this is [`Self::Drop`].
    Refuse(u8),
    /// The publisher's connection is reset (TCP RST) in place of an answer; nobody gets it.
    Reset,
}

/// A script of faults.
///
/// Messages are counted from 1 in the order in which their PUBLISH came in, over all
/// connections, for each topic filter of the script by itself. What is sent again (DUP) does not
/// count and meets no fault but the silence that the first one met.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    pub(super) messages: Vec<MessageFault>,
    pub(super) refusals: Vec<Refusal>,
    pub(super) resets: Vec<PacketReset>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct MessageFault {
    pub(super) filter: Vec<u8>,
    pub(super) number: u64,
    pub(super) fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Refusal {
    /// Of the CONNECT, from 1; `None` for each.
    pub(super) number: Option<u64>,
    pub(super) code: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PacketReset {
    pub(super) connection: u64,
    pub(super) packet: u64,
}

impl Faults {
    /// The `number`th message of any topic but `$…`, from 1.
    #[must_use]
    pub fn message(self, number: u64, fault: Fault) -> Self {
        self.message_of("#", number, fault)
    }

    /// The `number`th message of the topics that `filter` matches, from 1.
    #[must_use]
    pub fn message_of(mut self, filter: &str, number: u64, fault: Fault) -> Self {
        self.messages.push(MessageFault {
            filter: filter.as_bytes().to_vec(),
            number,
            fault,
        });
        self
    }

    /// The `number`th CONNECT, from 1, is answered with this return code (3.1.1: 1 to 5) or
    /// reason code (5: 0x80 or above).
    #[must_use]
    pub fn refuse_connect(mut self, number: u64, code: u8) -> Self {
        self.refusals.push(Refusal {
            number: Some(number),
            code,
        });
        self
    }

    /// Every CONNECT is answered with this code.
    #[must_use]
    pub fn refuse_every_connect(mut self, code: u8) -> Self {
        self.refusals.push(Refusal { number: None, code });
        self
    }

    /// The `connection`th connection is reset when its `packet`th control packet came in, before
    /// the packet takes effect; both from 1.
    #[must_use]
    pub fn reset_at(mut self, connection: u64, packet: u64) -> Self {
        self.resets.push(PacketReset { connection, packet });
        self
    }
}
