//! In which order acknowledgments come, and how many there may be.

use crate::mqtt::PacketType;

use super::Towards;
use super::exchange::Exchange;

/// The order in which a client acknowledges: PUBACK and PUBREC as the messages came
/// [MQTT-4.6.0-2, MQTT-4.6.0-3], PUBREL as the PUBREC packets came [MQTT-4.6.0-4].
///
/// What is acknowledged takes a number; an acknowledgment with a lower one than an earlier
/// acknowledgment of its kind is out of order.
#[derive(Debug, Default)]
pub(super) struct Order {
    given: u32,
    puback: u32,
    pubrec: u32,
    pubrel: u32,
}

impl Order {
    /// The number of what just came and is to be acknowledged.
    pub(super) const fn came(&mut self) -> u32 {
        self.given = self.given.wrapping_add(1);
        // 0 is for what has no number, so an order that begins anew begins at 1.
        if self.given == 0 {
            *self = Self {
                given: 1,
                ..Self::NEW
            };
        }
        self.given
    }

    const NEW: Self = Self {
        given: 0,
        puback: 0,
        pubrec: 0,
        pubrel: 0,
    };

    /// Books an acknowledgment of an exchange whose PUBLISH goes `way`: whether it may come now.
    pub(super) const fn follows(
        &mut self,
        exchange: &mut Exchange,
        kind: PacketType,
        way: Towards,
    ) -> bool {
        let latest = match (kind, way) {
            (PacketType::Puback, Towards::Client) => &mut self.puback,
            (PacketType::Pubrec, Towards::Client) if exchange.pubrec.is_none() => &mut self.pubrec,
            (PacketType::Pubrel, Towards::Broker) if exchange.pubrel.is_none() => &mut self.pubrel,
            (PacketType::Pubrec, Towards::Broker) if exchange.pubrec.is_none() => {
                exchange.order = self.came();
                return true;
            }
            _ => return true,
        };
        // Without a number, its question came before what is known.
        let follows = exchange.order == 0 || exchange.order > *latest;
        if exchange.order > *latest {
            *latest = exchange.order;
        }
        follows
    }
}

/// Exchanges that were repeated and are over: what was sent twice is answered twice, and the
/// second answer is none to an unknown identifier.
#[derive(Debug, Default)]
pub(super) struct Owed(Option<Box<[Answer; KEPT]>>);

/// How many are kept of a connection; the oldest go first.
const KEPT: usize = 16;

#[derive(Clone, Copy, Debug, Default)]
struct Answer {
    packet_id: u16,
    way: Option<Towards>,
    count: u32,
}

impl Owed {
    /// Up to `count` more packets of an exchange whose PUBLISH goes `way` may come.
    pub(super) fn add(&mut self, way: Towards, packet_id: u16, count: u32) {
        let answers = self.0.get_or_insert_with(Box::default);
        answers.rotate_right(1);
        let [first, ..] = &mut **answers;
        *first = Answer {
            packet_id,
            way: Some(way),
            count,
        };
    }

    /// Takes one of them, if there is one.
    pub(super) fn take(&mut self, way: Towards, packet_id: u16) -> bool {
        let mut answers = self.0.iter_mut().flat_map(|answers| answers.iter_mut());
        let found = answers.find(|answer| {
            answer.packet_id == packet_id && answer.way == Some(way) && answer.count > 0
        });
        let Some(answer) = found else {
            return false;
        };
        answer.count = answer.count.saturating_sub(1);
        true
    }
}
