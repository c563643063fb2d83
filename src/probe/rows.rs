//! A cell as rows of samples.csv and cells.csv.

use std::sync::Arc;

use crate::results::{CellRow, Hash64, SampleRow};
use crate::time::{TimeDelta, Timestamp};

use super::blocks::Placed;
use super::cell::CellResult;
use super::clock::{Epoch, Stamp};
use super::payload::Payloads;
use super::tally::Tally;

/// What a row says that the cell itself does not know.
#[derive(Clone, Debug)]
pub struct Labels {
    /// Where the cell stands in the design.
    pub placed: Placed,
    /// The part of the experiment.
    pub part: Arc<str>,
    /// The publisher's link, where links are a factor.
    pub link: Option<Arc<str>>,
    /// The share of packets that links were told to lose.
    pub packet_loss: Option<f64>,
    /// What was done to the connections.
    pub fault: Option<Arc<str>>,
    /// The client under test.
    pub client: Arc<str>,
    /// From the monotonic clock to the calendar's, the same for the whole run.
    pub epoch: Epoch,
}

/// Hands every row of samples.csv to `with`, by publisher, receiver and sequence.
///
/// # Errors
///
/// The first that `with` gives.
pub fn samples<E>(
    cell: &CellResult,
    labels: &Labels,
    mut with: impl FnMut(&SampleRow) -> Result<(), E>,
) -> Result<(), E> {
    let plan = &cell.plan;
    let at = |stamp: Option<Stamp>| stamp.map(|stamp| labels.epoch.timestamp(stamp));
    let mut payloads = Payloads::new(plan.tag(), plan.payload_bytes);
    let names = |kind, count| -> Vec<Arc<str>> {
        (0..count).map(|n| plan.client_id(kind, n).into()).collect()
    };
    let publishers = names('p', plan.publishers);
    let subscribers = names('s', plan.subscribers);
    let topics: Vec<Arc<str>> = (0..plan.publishers).map(|n| plan.topic(n).into()).collect();
    for sample in cell.samples() {
        let (message, reception) = (sample.message, sample.reception);
        let name = |names: &[Arc<str>], number: u32| {
            names
                .get(number as usize)
                .map(Arc::clone)
                .unwrap_or_default()
        };
        let row = SampleRow {
            cell: labels.placed.cell,
            block: labels.placed.block,
            repetition: labels.placed.block,
            sequence: u64::from(sample.sequence),
            publisher: name(&publishers, sample.publisher),
            subscriber: name(&subscribers, sample.subscriber),
            topic: name(&topics, sample.publisher),
            qos: plan.qos,
            qos_subscribed: plan.subscriber_qos,
            payload_bytes: plan.payload_bytes as u64,
            payload_hash: Some(Hash64(payloads.hash(sample.publisher, sample.index))),
            link: labels.link.clone(),
            planned_ns: labels.epoch.timestamp(message.planned),
            sent_ns: at(message.sent),
            written_ns: at(message.written),
            puback_ns: at(message.puback),
            pubrec_ns: at(message.pubrec),
            pubrel_ns: at(message.pubrel),
            pubcomp_ns: at(message.pubcomp),
            received_ns: at(reception.received),
            subscriber_ack_ns: at(reception.acknowledged),
            outcome: sample.outcome,
            duplicates: u32::from(reception.duplicates),
            response_ns: sample.response().map(TimeDelta::from_nanos),
            service_ns: sample.service().map(TimeDelta::from_nanos),
            send_lag_ns: message.send_lag().map(TimeDelta::from_nanos),
            subscriber_pubrel_ns: at(reception.pubrel),
            subscriber_pubcomp_ns: at(reception.pubcomp),
            qos_received: reception.received.map(|_| reception.qos),
            resent: u32::from(message.resent),
            suppressed: u32::from(reception.suppressed),
            reordered: reception.reordered,
        };
        with(&row)?;
    }
    Ok(())
}

/// The row of cells.csv. What comes from captures is for who has them.
#[must_use]
pub fn cell(cell: &CellResult, tally: &Tally, labels: &Labels) -> CellRow {
    let plan = &cell.plan;
    let at = |stamp: Stamp| -> Option<Timestamp> { Some(labels.epoch.timestamp(stamp)) };
    let mut row = CellRow {
        cell: labels.placed.cell,
        block: labels.placed.block,
        repetition: labels.placed.block,
        condition: u32::try_from(labels.placed.condition + 1).unwrap_or(u32::MAX),
        part: Arc::clone(&labels.part),
        qos: plan.qos,
        qos_subscribed: plan.subscriber_qos,
        payload_bytes: plan.payload_bytes as u64,
        link: labels.link.clone(),
        packet_loss_ratio: labels.packet_loss,
        fault: labels.fault.clone(),
        schedule: match plan.rate {
            Some(_) => plan.arrivals.name().into(),
            None => "closed_loop".into(),
        },
        // Without a schedule, what the window let through.
        rate_per_s: plan.rate.or(tally.sent_per_s).unwrap_or(0.0),
        publishers: plan.publishers,
        subscribers: plan.subscribers,
        window: (plan.qos > 0).then_some(u32::from(cell.window)),
        client: Arc::clone(&labels.client),
        start_ns: at(cell.started),
        end_ns: at(cell.ended),
        saturated: tally.is_saturated(),
        valid: tally.doubts.is_empty(),
        invalid_reason: tally.invalid_reason().map(Arc::from),
        loop_lag_p99_ns: (cell.publishing_lag.max(cell.subscribing_lag)).map(TimeDelta::from_nanos),
        ..CellRow::default()
    };
    row.fill(&tally.counts());
    row
}
