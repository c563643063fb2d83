//! The two measurements of a cell side by side: the prober's stamps and the packets at the taps.

use std::collections::HashMap;
use std::sync::Arc;

use super::design::StudyCell;
use super::packets::CellPackets;
use crate::results::{CellRow, SampleRow};
use crate::stats::{at_rank, mean_rounded_down, quantile};
use crate::time::TimeDelta;

/// What every reason begins with that comes from packets.
const REASON: &str = "packets: ";
/// Between reasons.
const AND: &str = "; ";

/// Writes into a cell's row what its packets say, and whether they agree with its samples; what
/// an earlier analysis wrote there is replaced.
pub fn judge(
    row: &mut CellRow,
    cell: &StudyCell,
    samples: &[SampleRow],
    packets: &CellPackets,
    limit: TimeDelta,
) {
    let compared = Compared::new(cell, samples, packets);
    let median = |values: &[i64]| quantile(values, 0.5).map(TimeDelta::from_nanos);
    row.segment_loss_ratio = packets.segment_loss();
    row.wire_messages = Some(compared.delay.len() as u64);
    row.wire_delay_median_ns = median(&compared.delay);
    row.wire_difference_ns = median(&compared.difference);
    row.publisher_link_ns = median(&compared.publisher_link);
    row.broker_ns = median(&compared.broker);
    row.subscriber_link_ns = median(&compared.subscriber_link);
    row.tcp_recovery_ns = mean_rounded_down(&compared.recovery).map(TimeDelta::from_nanos);
    let mut reasons: Vec<String> = (row.invalid_reason.iter())
        .flat_map(|reasons| reasons.split(AND))
        .filter(|reason| !reason.is_empty() && !reason.starts_with(REASON))
        .map(str::to_owned)
        .collect();
    reasons.extend(compared.disagreement(cell, packets, limit));
    row.valid = reasons.is_empty();
    row.invalid_reason = (!reasons.is_empty()).then(|| Arc::from(reasons.join(AND)));
}

/// Values of all messages whose way is known whole, ascending.
#[derive(Debug, Default)]
struct Compared {
    /// Messages that the prober received.
    received: u64,
    delay: Vec<i64>,
    difference: Vec<i64>,
    publisher_link: Vec<i64>,
    broker: Vec<i64>,
    subscriber_link: Vec<i64>,
    recovery: Vec<i64>,
    /// From the prober's stamp before the write to the first byte at the tap.
    sending: Vec<i64>,
    /// From the last byte at the tap to the prober's stamp of reading it.
    reading: Vec<i64>,
}

impl Compared {
    fn new(cell: &StudyCell, samples: &[SampleRow], packets: &CellPackets) -> Self {
        let plan = &cell.plan;
        let publishers: HashMap<String, u32> = (0..plan.publishers)
            .map(|number| (plan.client_id('p', number), number))
            .collect();
        let mut compared = Self::default();
        for sample in samples {
            let (Some(sent), Some(received)) = (sample.sent_ns, sample.received_ns) else {
                continue;
            };
            compared.received += 1;
            let Some(publisher) = publishers.get(&*sample.publisher) else {
                continue;
            };
            let index = sample.sequence + u64::from(plan.warm_up);
            let index = u32::try_from(index).unwrap_or(u32::MAX);
            let Some(way) = packets.way(*publisher, index, &sample.subscriber) else {
                continue;
            };
            let delay = way.at_subscriber - way.left_publisher;
            compared.delay.push(delay.as_nanos());
            let difference = (received - sent) - delay;
            compared.difference.push(difference.as_nanos());
            let publisher_link = way.at_broker - way.left_publisher;
            compared.publisher_link.push(publisher_link.as_nanos());
            let broker = way.left_broker - way.at_broker;
            compared.broker.push(broker.as_nanos());
            let subscriber_link = way.at_subscriber - way.left_broker;
            compared.subscriber_link.push(subscriber_link.as_nanos());
            compared.recovery.push(way.tcp_recovery.as_nanos());
            let sending = way.left_publisher - sent;
            compared.sending.push(sending.as_nanos());
            let reading = received - way.at_subscriber;
            compared.reading.push(reading.as_nanos());
        }
        for values in [
            &mut compared.delay,
            &mut compared.difference,
            &mut compared.publisher_link,
            &mut compared.broker,
            &mut compared.subscriber_link,
            &mut compared.recovery,
            &mut compared.sending,
            &mut compared.reading,
        ] {
            values.sort_unstable();
        }
        compared
    }

    /// In words, where stamps and packets tell different stories.
    fn disagreement(
        &self,
        cell: &StudyCell,
        packets: &CellPackets,
        limit: TimeDelta,
    ) -> Vec<String> {
        let mut reasons = Vec::new();
        let mut check = |values: &[i64], what: &str| {
            if let Some(middle) = at_rank(values, 0.5)
                && middle.saturating_abs() > limit.as_nanos()
            {
                let middle = TimeDelta::from_nanos(middle);
                reasons.push(format!(
                    "{REASON}the stamps of {what} are {middle} from them at the median (limit \
                     {limit})"
                ));
            }
        };
        check(&self.reading, "receiving");
        // Where packets are lost, TCP holds back what was written until there is room for it.
        if !cell.publisher_link_loses() {
            check(&self.sending, "sending");
        }
        let missing = self.received - self.delay.len() as u64;
        if !packets.cut && missing * 100 > self.received {
            reasons.push(format!(
                "{REASON}they show {} of {} messages that were received",
                self.delay.len(),
                self.received
            ));
        }
        reasons
    }
}
