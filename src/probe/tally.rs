//! The numbers of one cell, from its messages.

use crate::results::{CellCounts, Outcome};
use crate::stats::{Proportion, quantile};

use super::cell::{CellResult, Sample};
use super::distrust::{Doubt, Evidence, doubts};
use super::load::CpuTimes;
use super::record::MessageRecord;

/// Values in ascending order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sorted(Vec<i64>);

impl Sorted {
    fn of(values: impl Iterator<Item = i64>) -> Self {
        let mut values: Vec<i64> = values.collect();
        values.sort_unstable();
        Self(values)
    }

    /// The values.
    #[must_use]
    pub fn values(&self) -> &[i64] {
        &self.0
    }

    /// The quantile `q` (0 to 1) by nearest rank; `None` where fewer than ten have a higher rank.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<i64> {
        quantile(&self.0, q)
    }
}

/// Whether QoS 2 messages came before or after the publisher had released them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Forwarded {
    /// Messages that say something.
    pub total: u64,
    /// Before the publisher had read the PUBREC: then no PUBREL can have been sent.
    pub before_pubrec: u64,
    /// Before the write of the PUBREL was over.
    pub before_pubrel: u64,
}

impl Forwarded {
    fn count(&mut self, sample: &Sample<'_>) {
        let (message, received) = (sample.message, sample.reception.received);
        if let (Some(received), Some(pubrec), Some(pubrel)) =
            (received, message.pubrec, message.pubrel)
        {
            self.total += 1;
            self.before_pubrec += u64::from(received < pubrec);
            self.before_pubrel += u64::from(received < pubrel);
        }
    }

    /// The stamp of the PUBREL is taken after its write, which the scheduler may delay; one before
    /// the PUBREC is certain, but a broker that forwards at PUBLISH may still be second.
    fn at(self) -> Option<&'static str> {
        let share = |count: u64| count as f64 / self.total as f64;
        if self.total < 10 {
            None
        } else if share(self.before_pubrec) > 0.1 || share(self.before_pubrel) > 0.5 {
            Some("PUBLISH")
        } else if self.before_pubrec == 0 && share(self.before_pubrel) < 0.2 {
            Some("PUBREL")
        } else {
            None
        }
    }
}

/// The numbers of a cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Messages × receivers by outcome, in the order of [`Outcome::ALL`].
    pub outcomes: [u64; 7],
    /// Copies beyond the first that applications got.
    pub duplicates: u64,
    /// Copies that QoS 2 kept from them.
    pub suppressed: u64,
    /// Reordered messages (RFC 4737).
    pub reordered: u64,
    /// Received − planned.
    pub response: Sorted,
    /// Received − sent.
    pub service: Sorted,
    /// Sent − planned.
    pub send_lag: Sorted,
    /// Sent to PUBACK.
    pub puback: Sorted,
    /// Sent to PUBREC.
    pub pubrec: Sorted,
    /// PUBREC to PUBREL.
    pub pubrel: Sorted,
    /// PUBREL to PUBCOMP.
    pub pubcomp: Sorted,
    /// Sent to PUBCOMP.
    pub qos2_total: Sorted,
    /// At QoS 2, when messages came.
    pub forwarded: Forwarded,
    /// Messages that were sent again with DUP.
    pub resent: u64,
    /// Messages per second that were sent, where there were at least two.
    pub sent_per_s: Option<f64>,
    /// Why not to trust the cell.
    pub doubts: Vec<Doubt>,
}

impl Tally {
    /// Counts a cell.
    #[must_use]
    pub fn new(cell: &CellResult) -> Self {
        let between =
            |from: fn(&MessageRecord) -> Option<i64>| Sorted::of(cell.messages().filter_map(from));
        let mut tally = Self {
            outcomes: [0; 7],
            duplicates: 0,
            suppressed: 0,
            reordered: 0,
            response: Sorted::of(cell.samples().filter_map(|sample| sample.response())),
            service: Sorted::of(cell.samples().filter_map(|sample| sample.service())),
            send_lag: between(MessageRecord::send_lag),
            puback: between(|m| Some(m.puback?.since(m.sent?))),
            pubrec: between(|m| Some(m.pubrec?.since(m.sent?))),
            pubrel: between(|m| Some(m.pubrel?.since(m.pubrec?))),
            pubcomp: between(|m| Some(m.pubcomp?.since(m.pubrel?))),
            qos2_total: between(|m| Some(m.pubcomp?.since(m.sent?))),
            forwarded: Forwarded::default(),
            resent: cell.messages().map(|m| u64::from(m.resent)).sum(),
            sent_per_s: sent_per_s(cell),
            doubts: Vec::new(),
        };
        for sample in cell.samples() {
            tally.outcomes[sample.outcome.place()] += 1;
            tally.duplicates += u64::from(sample.reception.duplicates);
            tally.suppressed += u64::from(sample.reception.suppressed);
            tally.reordered += u64::from(sample.reception.reordered);
            tally.forwarded.count(&sample);
        }
        tally.doubts = judge(cell, &tally);
        tally
    }

    /// What the columns of cells.csv are made of.
    #[must_use]
    pub fn counts(&self) -> CellCounts<'_> {
        CellCounts {
            outcomes: self.outcomes,
            duplicates: self.duplicates,
            reordered: self.reordered,
            response: self.response.values(),
            service: self.service.values(),
            send_lag: self.send_lag.values(),
            puback: self.puback.values(),
            pubrec: self.pubrec.values(),
            pubrel: self.pubrel.values(),
            pubcomp: self.pubcomp.values(),
            qos2_total: self.qos2_total.values(),
        }
    }

    /// Messages × receivers with this outcome.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> u64 {
        outcome.of(&self.outcomes)
    }

    /// Messages × receivers.
    #[must_use]
    pub fn planned(&self) -> u64 {
        self.outcomes.iter().sum()
    }

    /// Of these, written.
    #[must_use]
    pub fn written(&self) -> u64 {
        self.planned() - self.count(Outcome::NotWritten)
    }

    /// Of these, never received.
    #[must_use]
    pub fn lost(&self) -> u64 {
        let lost = Outcome::ALL.into_iter().filter(|outcome| outcome.lost());
        lost.map(|outcome| self.count(outcome)).sum()
    }

    /// (late + lost) of written.
    #[must_use]
    pub fn loss(&self) -> Proportion {
        Proportion::new(self.lost() + self.count(Outcome::Late), self.written())
    }

    /// Lost of written.
    #[must_use]
    pub fn never_arrived(&self) -> Proportion {
        Proportion::new(self.lost(), self.written())
    }

    /// When the broker forwards a QoS 2 message: `PUBREL`, `PUBLISH`, or nothing where the messages
    /// do not say.
    #[must_use]
    pub fn qos2_forwarded_at(&self) -> Option<&'static str> {
        self.forwarded.at()
    }

    /// Whether more was offered than could go through.
    #[must_use]
    pub fn is_saturated(&self) -> bool {
        self.doubts.iter().any(Doubt::is_saturation)
    }

    /// All doubts in one line, or none.
    #[must_use]
    pub fn invalid_reason(&self) -> Option<String> {
        let texts: Vec<String> = self.doubts.iter().map(ToString::to_string).collect();
        (!texts.is_empty()).then(|| texts.join("; "))
    }
}

/// The first and the last message as sent: how many per second, all publishers together.
fn sent_per_s(cell: &CellResult) -> Option<f64> {
    let sent: Vec<i64> = cell
        .messages()
        .filter_map(|message| Some(message.sent?.as_nanos()))
        .collect();
    let (first, last) = (sent.iter().min()?, sent.iter().max()?);
    (last > first).then(|| (sent.len() - 1) as f64 / ((last - first) as f64 / 1e9))
}

fn judge(cell: &CellResult, tally: &Tally) -> Vec<Doubt> {
    let span = |of: fn(&MessageRecord) -> Option<i64>| {
        let stamps = || cell.messages().filter_map(of);
        Some(stamps().max()? - stamps().min()?)
    };
    let lags = Sorted::of(
        cell.messages()
            .filter(|message| !message.blocked)
            .filter_map(MessageRecord::send_lag),
    );
    let mut delays: Vec<(i64, i64)> = cell
        .samples()
        .filter_map(|sample| Some((sample.message.planned.as_nanos(), sample.response()?)))
        .collect();
    delays.sort_unstable();
    let delays: Vec<i64> = delays.into_iter().map(|(_, delay)| delay).collect();
    let elapsed = cell.ended.since(cell.started).max(1) as f64;
    let share = |name, cpu: Option<CpuTimes>| Some((name, cpu?.waiting as f64 / elapsed));
    let lost = |text: &Option<String>| text.clone();
    let evidence = Evidence {
        send_lags: lags.values(),
        delays: &delays,
        planned: tally.planned(),
        blocked: cell.messages().filter(|message| message.blocked).count() as u64,
        sent: tally.send_lag.values().len() as u64,
        planned_span: (cell.plan.rate.is_some())
            .then(|| span(|m| Some(m.planned.as_nanos())))
            .flatten(),
        sent_span: span(|m| Some(m.sent?.as_nanos())).unwrap_or(0),
        lost_cpu: [
            share("publishing", cell.publishing_cpu),
            share("subscribing", cell.subscribing_cpu),
        ]
        .into_iter()
        .flatten()
        .collect(),
        shares_host: cell.shares_host,
        loop_lag: [
            ("publishing", cell.publishing_lag),
            ("subscribing", cell.subscribing_lag),
        ]
        .into_iter()
        .filter_map(|(thread, p99)| Some((thread, p99?)))
        .collect(),
        undrained: cell
            .subscribers
            .iter()
            .map(|s| u64::from(s.undrained))
            .sum(),
        lost: (cell.publishers.iter().find_map(|p| lost(&p.lost)))
            .or_else(|| cell.subscribers.iter().find_map(|s| lost(&s.lost))),
        disturbed: cell.plan.disturbed,
    };
    doubts(&evidence, &cell.plan.limits)
}
