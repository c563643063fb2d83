//! Counts what happens, until somebody asks.

use crate::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, NewFinding, Observer, PacketEvent,
};
use crate::capture::live::CaptureCounts;
use crate::delivery::{Basis, DeliveryOutcome, DeliveryRecord};
use crate::mqtt::Packet;
use crate::results::{DelaySummary, escape};
use crate::session::{
    self, DelayKind, ExchangeOutcome, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards,
};
use crate::stats::Delays;
use crate::time::{TimeDelta, Timestamp};

use super::interval::{Drops, Interval, NewestFinding, Outstanding};

/// Longest text of a finding that is told.
const SHOWN: usize = 200;

/// Names of the delays of deliveries, by QoS.
const DELIVERY: [&str; 3] = ["delivery_qos0", "delivery_qos1", "delivery_qos2"];

/// What the pipeline tells is counted here as it is told.
#[derive(Debug, Default)]
pub struct Figures {
    counted: Interval,
    delivery: [Delays; 3],
    puback: Delays,
    qos2_total: Delays,
    newest: Option<NewestFinding>,
    drops: CaptureCounts,
}

/// What an interval needs to know from outside.
#[derive(Clone, Copy, Debug, Default)]
pub struct Surroundings<'a> {
    /// What waits.
    pub outstanding: Outstanding,
    /// The counters of the capture.
    pub counts: CaptureCounts,
    /// Findings in the interval.
    pub findings: u64,
    /// The latest of them.
    pub newest: Option<&'a NewFinding>,
}

impl Figures {
    /// Nothing counted yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Frames were taken: how many, and their bytes on the wire.
    pub const fn add_frames(&mut self, frames: u64, bytes: u64) {
        self.counted.frames = self.counted.frames.saturating_add(frames);
        self.counted.bytes = self.counted.bytes.saturating_add(bytes);
    }

    /// The figures of an interval, which is over. The next one begins.
    pub fn take(
        &mut self,
        (start, end): (Timestamp, Timestamp),
        surroundings: Surroundings<'_>,
    ) -> Interval {
        let mut interval = std::mem::take(&mut self.counted);
        let seconds = (end - start).as_nanos() as f64 / 1e9;
        let per_second = |count: u64| {
            if seconds > 0.0 {
                count as f64 / seconds
            } else {
                0.0
            }
        };
        interval.start_ns = start.as_nanos();
        interval.end_ns = end.as_nanos();
        interval.frames_per_s = per_second(interval.frames);
        interval.bytes_per_s = per_second(interval.bytes);
        interval.outstanding = surroundings.outstanding;
        interval.findings = surroundings.findings;
        if let Some(newest) = surroundings.newest {
            self.newest = Some(brief(newest));
        }
        interval.newest_finding.clone_from(&self.newest);
        interval.capture_drops = self.drops_until(surroundings.counts);
        for (name, delays) in DELIVERY.into_iter().zip(&mut self.delivery) {
            tell(&mut interval, name, delays);
        }
        tell(&mut interval, "puback", &mut self.puback);
        tell(&mut interval, "qos2_total", &mut self.qos2_total);
        interval
    }

    fn drops_until(&mut self, counts: CaptureCounts) -> Drops {
        let before = std::mem::replace(&mut self.drops, counts);
        Drops {
            by_system: counts
                .dropped_by_system
                .saturating_sub(before.dropped_by_system),
            by_interface: counts
                .dropped_by_interface
                .saturating_sub(before.dropped_by_interface),
            by_queue: counts
                .dropped_by_queue
                .saturating_sub(before.dropped_by_queue),
            total: counts.dropped(),
        }
    }
}

fn tell(interval: &mut Interval, name: &'static str, delays: &mut Delays) {
    if !delays.is_empty() {
        interval.delays.insert(name, DelaySummary::from(&*delays));
        *delays = Delays::new();
    }
}

fn brief(finding: &NewFinding) -> NewestFinding {
    let shown = |bytes: &[u8]| {
        let mut text = escape(bytes).into_owned();
        if let Some((cut, _)) = text.char_indices().nth(SHOWN) {
            text.truncate(cut);
            text.push('…');
        }
        text
    };
    NewestFinding {
        severity: finding.severity.to_owned(),
        code: finding.code.to_owned(),
        connection: finding.connection,
        topic: finding.topic.as_deref().map(shown),
        detail: shown(&finding.detail),
    }
}

impl session::Observer for Figures {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        let unfinished = !matches!(
            record.outcome,
            ExchangeOutcome::Complete
                | ExchangeOutcome::Rejected
                | ExchangeOutcome::Resumed
                | ExchangeOutcome::Unknown
        );
        let loss = &mut self.counted.loss;
        loss.exchanges = loss.exchanges.saturating_add(u64::from(unfinished));
    }

    fn subscription(&mut self, _: &SubscriptionRecord<'_>) {}
    fn session(&mut self, _: &SessionRecord<'_>) {}

    fn delay(&mut self, kind: DelayKind, _: Towards, delay: TimeDelta) {
        match kind {
            DelayKind::Puback => self.puback.record(delay),
            DelayKind::Qos2Total => self.qos2_total.record(delay),
            _ => {}
        }
    }
}

impl Observer for Figures {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        let counted = &mut self.counted;
        counted.packets = counted.packets.saturating_add(1);
        if let Packet::Publish(publish) = &event.parsed.packet {
            let counts = match event.towards {
                Towards::Broker => &mut counted.publishes.to_broker,
                Towards::Client => &mut counted.publishes.to_client,
            };
            if let Some(count) = counts.get_mut(usize::from(publish.qos)) {
                *count = count.saturating_add(1);
            }
        }
    }

    fn bad_length(&mut self, _: &BadLengthEvent<'_>) {
        self.counted.packets = self.counted.packets.saturating_add(1);
    }

    fn gap(&mut self, event: &GapEvent<'_>) {
        let loss = &mut self.counted.loss;
        loss.capture_bytes = loss.capture_bytes.saturating_add(event.gap.bytes);
    }

    fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {
        let loss = &mut self.counted.loss;
        loss.segments_sent_again = loss.segments_sent_again.saturating_add(1);
    }

    fn connection(&mut self, _: &ConnectionEvent<'_>) {
        self.counted.connections_ended = self.counted.connections_ended.saturating_add(1);
    }

    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        let qos = usize::from(record.qos);
        if record.measures()
            && let (Some(delays), Some(delay)) = (self.delivery.get_mut(qos), record.delay)
        {
            delays.record(delay);
        }
        let decided = matches!(
            record.outcome,
            DeliveryOutcome::Delivered | DeliveryOutcome::Late | DeliveryOutcome::Lost
        );
        if !decided || record.further_copy || record.basis == Basis::Observed {
            return;
        }
        if let Some(counts) = self.counted.loss.messages.get_mut(qos) {
            let is = |outcome| u64::from(record.outcome == outcome);
            counts.decided = counts.decided.saturating_add(1);
            counts.lost = counts.lost.saturating_add(is(DeliveryOutcome::Lost));
            counts.late = counts.late.saturating_add(is(DeliveryOutcome::Late));
        }
    }

    fn tick(&mut self, _: Timestamp) {}
}
