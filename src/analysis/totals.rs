//! Counts and delays of the whole capture. Two totals of disjoint connections merge into one.

use std::collections::BTreeMap;
use std::hint::cold_path;

use crate::delivery::{Basis, DeliveryOutcome, DeliveryRecord};
use crate::mqtt::PacketType;
use crate::session::{DelayKind, ExchangeOutcome, ExchangeRecord, PerWay, Towards};
use crate::stats::Delays;
use crate::time::TimeDelta;

/// PUBLISH packets by QoS 0, 1, 2.
pub type PublishCounts = [u64; 3];

/// Exchanges by how they ended.
pub type ExchangeCounts = BTreeMap<ExchangeOutcome, u64>;

/// Messages at their receivers, by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryCounts {
    /// Rows by outcome, without those that nobody was seen to publish.
    pub outcomes: BTreeMap<DeliveryOutcome, u64>,
    /// Rows of messages that nobody was seen to publish.
    pub observed: u64,
    /// Expected messages that did not come within twice the deadline.
    pub lost: u64,
    /// Expected messages that can be decided: delivered, late and lost ones, each once.
    pub decided: u64,
}

/// Counts one more of a key.
pub(super) fn count_one<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) {
    match counts.get_mut(&key) {
        Some(count) => *count = count.saturating_add(1),
        None => {
            cold_path();
            counts.insert(key, 1);
        }
    }
}

/// What a pipeline counted.
#[derive(Debug, Default)]
pub struct Totals {
    /// Control packets by type number.
    pub by_type: [u64; 16],
    /// Bytes of control packets.
    pub bytes: u64,
    /// Packets that could not be parsed.
    pub malformed: u64,
    /// PUBLISH packets by way and QoS.
    pub publishes: PerWay<PublishCounts>,
    /// Exchanges of QoS 1 and of QoS 2.
    pub exchanges: [ExchangeCounts; 2],
    /// Exchanges within which the capture lost frames.
    pub uncertain_exchanges: u64,
    /// Deliveries within which the capture lost frames.
    pub uncertain_deliveries: u64,
    /// Deliveries of QoS 0, 1, 2.
    pub deliveries: [DeliveryCounts; 3],
    /// Delays of deliveries of QoS 0, 1, 2: from publisher to receiver, within the broker as the
    /// tap sees it, and the broker's own share.
    pub delivery: [Delays; 3],
    /// See `delivery`.
    pub turnaround: [Delays; 3],
    /// See `delivery`.
    pub residence: [Delays; 3],
    /// Delays by kind and way of the message.
    delays: [PerWay<Delays>; DelayKind::ALL.len()],
    /// TCP handshakes.
    pub tcp_handshake: Delays,
    /// Rules broken, by code.
    pub violations: BTreeMap<&'static str, u64>,
    /// Connections that speak MQTT, or stand on a named port.
    pub connections: u64,
    /// The same by what carries them (`tcp`, `tls`, `ws`, `wss`).
    pub transports: BTreeMap<&'static str, u64>,
    /// Connections whose MQTT could not be read, or not to their end, by the reason.
    pub unread: BTreeMap<String, u64>,
    /// Segments with bytes seen before, on those connections.
    pub retransmitted_segments: u64,
    /// Segments first seen after later bytes.
    pub out_of_order_segments: u64,
    /// Segments with payload.
    pub data_segments: u64,
    /// Gaps, the snap length's left out.
    pub capture_gaps: u64,
    /// Bytes missing in them.
    pub gap_bytes: u64,
    /// Bytes missing although the receiver acknowledged them.
    pub missed_bytes: u64,
    /// Bytes that the snap length cut.
    pub snapped_bytes: u64,
    /// Bytes of streams, given and missing.
    pub stream_bytes: u64,
    /// Bytes in which no packet could be verified after a gap or a mid-stream start.
    pub unsynchronised_bytes: u64,
}

impl Totals {
    pub(super) fn packet(&mut self, packet_type: PacketType, bytes: u32, malformed: bool) {
        if let Some(count) = self.by_type.get_mut(usize::from(packet_type.number())) {
            *count = count.saturating_add(1);
        }
        self.bytes = self.bytes.saturating_add(u64::from(bytes));
        self.malformed = self.malformed.saturating_add(u64::from(malformed));
    }

    pub(super) fn publish(&mut self, towards: Towards, qos: u8) {
        if let Some(count) = self.publishes.get_mut(towards).get_mut(usize::from(qos)) {
            *count = count.saturating_add(1);
        }
    }

    pub(super) fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        let uncertain = u64::from(record.uncertain);
        self.uncertain_exchanges = self.uncertain_exchanges.saturating_add(uncertain);
        let (qos, outcome) = (record.qos, record.outcome);
        if let Some(counts) = usize::from(qos)
            .checked_sub(1)
            .and_then(|i| self.exchanges.get_mut(i))
        {
            count_one(counts, outcome);
        }
    }

    pub(super) fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        if let Some(delays) = self.delays.get_mut(kind as usize) {
            delays.get_mut(towards).record(delay);
        }
    }

    pub(super) fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        let uncertain = u64::from(record.uncertain);
        self.uncertain_deliveries = self.uncertain_deliveries.saturating_add(uncertain);
        let qos = usize::from(record.qos);
        let Some(counts) = self.deliveries.get_mut(qos) else {
            return;
        };
        if record.basis == Basis::Observed {
            counts.observed = counts.observed.saturating_add(1);
            return;
        }
        count_one(&mut counts.outcomes, record.outcome);
        let decided = matches!(
            record.outcome,
            DeliveryOutcome::Delivered | DeliveryOutcome::Late | DeliveryOutcome::Lost
        );
        if decided && !record.further_copy {
            let lost = record.outcome == DeliveryOutcome::Lost;
            counts.decided = counts.decided.saturating_add(1);
            counts.lost = counts.lost.saturating_add(u64::from(lost));
        }
        if record.measures() {
            for (delays, value) in [
                (&mut self.delivery, record.delay),
                (&mut self.turnaround, record.turnaround),
                (&mut self.residence, record.residence),
            ] {
                if let (Some(delays), Some(value)) = (delays.get_mut(qos), value) {
                    delays.record(value);
                }
            }
        }
    }

    pub(super) fn violation(&mut self, code: &'static str) {
        count_one(&mut self.violations, code);
    }

    /// The delays of which there are any, by kind and way of the message.
    pub fn delays(&self) -> impl Iterator<Item = (DelayKind, Towards, &Delays)> {
        DelayKind::ALL
            .into_iter()
            .zip(&self.delays)
            .flat_map(|(kind, delays)| {
                [Towards::Broker, Towards::Client].map(|way| (kind, way, delays.get(way)))
            })
            .filter(|(_, _, delays)| !delays.is_empty())
    }

    /// All control packets.
    #[must_use]
    pub fn packets(&self) -> u64 {
        self.by_type.iter().sum()
    }
}
