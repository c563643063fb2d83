//! cells.csv.

use super::record;
use crate::results::grouped;
use crate::time::{TimeDelta, Timestamp};
use std::sync::Arc;

record! {
    /// One condition measured once.
    ///
    /// Delays are response times (received − planned) of everything that arrived, late messages
    /// included. Quantiles are nearest rank, and missing where fewer than ten observations lie
    /// beyond them.
    pub struct CellRow in "cells.csv" {
        /// The number of the cell, in the order in which cells were planned, from 1.
        pub cell: u32,
        /// The block that it is of, from 1: each holds every condition once, in random order.
        pub block: u32,
        /// The how manyth time the condition was measured, from 1.
        pub repetition: u32,
        /// The number of the condition, from 1: the same in every block.
        pub condition: u32,
        /// The part of the study: `main`, `packet_loss`, `outage`, `combench`; `probe` for a probe.
        pub part: Arc<str>,
        /// QoS of the PUBLISH to the broker.
        pub qos: u8,
        /// QoS that receivers asked for.
        pub qos_subscribed: u8,
        /// Length of the payloads.
        pub payload_bytes: u64,
        /// The publisher's link, where links are a factor.
        pub link: Option<Arc<str>>,
        /// The share of packets that links were told to lose, each way.
        pub packet_loss_ratio: Option<f64>,
        /// What was done to the connections: `outage every 10s for 2s`.
        pub fault: Option<Arc<str>>,
        /// `poisson`, `fixed` or `burst`.
        pub schedule: Arc<str>,
        /// Messages per second and publisher, as planned.
        pub rate_per_s: f64,
        /// How many publishers.
        pub publishers: u32,
        /// How many receivers.
        pub subscribers: u32,
        /// Most exchanges that a publisher had open at once.
        pub window: Option<u32>,
        /// The client under test: `measuring` or `rumqttc`.
        pub client: Arc<str>,
        /// When its first message was planned.
        pub start_ns: Option<Timestamp>,
        /// When its drain was over.
        pub end_ns: Option<Timestamp>,
        /// Messages × receivers that the schedule had, warm-up left out.
        pub planned: u64,
        /// Of these, written: the base of all ratios.
        pub sent: u64,
        /// Received within the deadline.
        pub delivered: u64,
        /// Received after it.
        pub late: u64,
        /// Written and never received.
        pub lost: u64,
        /// Further copies.
        pub duplicates: u64,
        /// Received after one with a higher number (RFC 4737, type P).
        pub reordered: u64,
        /// (late + lost) / sent.
        pub loss_ratio: Option<f64>,
        /// Lower end of its 95 % interval (Wilson).
        pub loss_ci_low: Option<f64>,
        /// Upper end; 3 / sent where nothing was lost.
        pub loss_ci_high: Option<f64>,
        /// lost / sent: without those that came late.
        pub never_arrived_ratio: Option<f64>,
        /// Lower end of its interval.
        pub never_arrived_ci_low: Option<f64>,
        /// Upper end of its interval.
        pub never_arrived_ci_high: Option<f64>,
        /// Of the lost: QoS 1 and 2, never acknowledged by the broker.
        pub lost_unacknowledged: u64,
        /// Of the lost: QoS 1 and 2, acknowledged by the broker.
        pub lost_acknowledged: u64,
        /// Of the lost: QoS 0.
        pub lost_unconfirmed: u64,
        /// Planned and not written.
        pub not_written: u64,
        /// Refused by the broker.
        pub refused: u64,
        /// Mean delay.
        pub delay_mean_ns: Option<TimeDelta>,
        /// Median delay.
        pub delay_median_ns: Option<TimeDelta>,
        /// 95th percentile.
        pub delay_p95_ns: Option<TimeDelta>,
        /// 99th percentile.
        pub delay_p99_ns: Option<TimeDelta>,
        /// Longest delay.
        pub delay_max_ns: Option<TimeDelta>,
        /// Delays below zero: a sign of clocks that disagree.
        pub delay_negative: u64,
        /// Median of received − sent.
        pub service_median_ns: Option<TimeDelta>,
        /// Median of sent − planned.
        pub send_lag_median_ns: Option<TimeDelta>,
        /// 99th percentile of sent − planned.
        pub send_lag_p99_ns: Option<TimeDelta>,
        /// QoS 1: median from sent to PUBACK.
        pub puback_median_ns: Option<TimeDelta>,
        /// QoS 2: median from sent to PUBREC.
        pub pubrec_median_ns: Option<TimeDelta>,
        /// QoS 2: median from PUBREC to PUBREL.
        pub pubrel_median_ns: Option<TimeDelta>,
        /// QoS 2: median from PUBREL to PUBCOMP.
        pub pubcomp_median_ns: Option<TimeDelta>,
        /// QoS 2: median from sent to PUBCOMP.
        pub qos2_total_median_ns: Option<TimeDelta>,
        /// Share of TCP segments that were sent again, from the packets.
        pub segment_loss_ratio: Option<f64>,
        /// Median delay of the same messages by the packets at the taps.
        pub wire_delay_median_ns: Option<TimeDelta>,
        /// Median difference, message by message: service by the prober − delay by the packets.
        pub wire_difference_ns: Option<TimeDelta>,
        /// Median share of the publisher's link in the delay, from the packets.
        pub publisher_link_ns: Option<TimeDelta>,
        /// Median share of the broker.
        pub broker_ns: Option<TimeDelta>,
        /// Median share of the subscriber's link.
        pub subscriber_link_ns: Option<TimeDelta>,
        /// Mean time per message that TCP waited to send again.
        pub tcp_recovery_ns: Option<TimeDelta>,
        /// Whether more was offered than could go through, so that delay grew with time.
        pub saturated: bool,
        /// Whether the cell takes part in statistics.
        pub valid: bool,
        /// Why not.
        pub invalid_reason: Option<Arc<str>>,
        /// Messages whose whole way the packets at the taps show: what `wire_delay_median_ns` and
        /// the shares of the delay are of.
        pub wire_messages: Option<u64>,
        /// 99 % of the turns of the measuring threads' loops took at most so long: the slower
        /// thread's.
        pub loop_lag_p99_ns: Option<TimeDelta>,
    }
}

impl CellRow {
    /// `QoS 1`, or with another QoS of the subscription `QoS 2 → 1`.
    #[must_use]
    pub fn qos_name(&self) -> String {
        if self.qos == self.qos_subscribed {
            format!("QoS {}", self.qos)
        } else {
            format!("QoS {} → {}", self.qos, self.qos_subscribed)
        }
    }

    /// What a probe's conditions differ in: `QoS 1 and 1,024 B`.
    #[must_use]
    pub fn condition_name(&self) -> String {
        format!("{} and {} B", self.qos_name(), grouped(self.payload_bytes))
    }
}
