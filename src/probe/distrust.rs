//! Whether a cell measured the network or the prober. What is doubtful is kept, marked with the
//! reason, and left out of statistics.

use std::fmt;

use crate::stats::at_rank;
use crate::time::TimeDelta;

use super::plan::Limits;

/// What is known of a cell besides its delays.
#[derive(Clone, Debug, Default)]
pub struct Evidence<'e> {
    /// Sent − planned of the messages that nothing held up, ascending.
    pub send_lags: &'e [i64],
    /// Delays of what arrived, in the order in which it was due.
    pub delays: &'e [i64],
    /// Messages × receivers that were planned.
    pub planned: u64,
    /// Messages that were due while window, socket or connection did not take them.
    pub blocked: u64,
    /// Messages that were sent.
    pub sent: u64,
    /// From the first to the last message: as planned, in nanoseconds; `None` where there was no
    /// schedule.
    pub planned_span: Option<i64>,
    /// The same, as sent.
    pub sent_span: i64,
    /// Share of the time that each measuring thread waited for a processor.
    pub lost_cpu: Vec<(&'static str, f64)>,
    /// Clients and broker share a machine's processors, so in a closed loop they wait for each
    /// other by design.
    pub shares_host: bool,
    /// 99 % of the turns of each measuring thread's loop took at most so many nanoseconds.
    pub loop_lag: Vec<(&'static str, i64)>,
    /// Receivers × publishers of which messages may be on their way still.
    pub undrained: u64,
    /// Why a connection was lost that nobody wanted to disturb.
    pub lost: Option<String>,
    /// Somebody wanted to disturb connections.
    pub disturbed: bool,
}

/// A reason not to trust a cell.
#[derive(Clone, Debug, PartialEq)]
pub enum Doubt {
    /// Messages were sent late by the prober itself.
    SendLag {
        /// 99 % were sent within so many nanoseconds.
        p99: i64,
        /// What is allowed.
        limit: i64,
    },
    /// A thread waited for a processor.
    LostCpu {
        /// Which.
        thread: &'static str,
        /// Share of the time.
        share: f64,
        /// What is allowed.
        limit: f64,
    },
    /// A thread was long in looking at its sockets again.
    LoopLag {
        /// Which.
        thread: &'static str,
        /// 99 % of its turns took at most so many nanoseconds.
        p99: i64,
        /// What is allowed.
        limit: i64,
    },
    /// More was offered than went through.
    Saturated {
        /// Messages per second as planned.
        offered: f64,
        /// As sent.
        sent: f64,
    },
    /// Delay grew while it was measured.
    Trend {
        /// Median of the first quarter, in nanoseconds.
        first: i64,
        /// Median of the last quarter.
        last: i64,
    },
    /// Waiting ended before it was certain that nothing comes any more.
    NotDrained(u64),
    /// A connection was lost.
    ConnectionLost(String),
    /// Nothing was sent at all.
    NothingSent,
}

impl Doubt {
    /// Whether it says that more was offered than could go through.
    #[must_use]
    pub const fn is_saturation(&self) -> bool {
        matches!(self, Self::Saturated { .. } | Self::Trend { .. })
    }
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = TimeDelta::from_nanos;
        match self {
            Self::SendLag { p99, limit } => write!(
                f,
                "the prober sent late: 1 % of messages more than {} after they were due (limit {})",
                time(*p99),
                time(*limit)
            ),
            Self::LostCpu {
                thread,
                share,
                limit,
            } => write!(
                f,
                "the {thread} thread waited for a processor {:.1} % of the time (limit {:.1} %)",
                share * 100.0,
                limit * 100.0
            ),
            Self::LoopLag { thread, p99, limit } => write!(
                f,
                "the {thread} thread took more than {} in 1 % of its turns (limit {}): so long what \
                 came lay unread",
                time(*p99),
                time(*limit)
            ),
            Self::Saturated { offered, sent } => write!(
                f,
                "saturated: {offered:.1} messages/s were offered and {sent:.1} went out"
            ),
            Self::Trend { first, last } => write!(
                f,
                "delay grew from {} to {} at the median while it was measured",
                time(*first),
                time(*last)
            ),
            Self::NotDrained(count) => write!(
                f,
                "waiting ended while messages of {count} publisher-receiver pairs may still have \
                 been on their way (longer: --drain)"
            ),
            Self::ConnectionLost(why) => write!(f, "a connection was lost: {why}"),
            Self::NothingSent => f.write_str("nothing could be sent"),
        }
    }
}

/// Sending may take this much longer than planned.
const SLACK: f64 = 1.05;
/// And this much, in nanoseconds: of few messages one that waits is no saturation.
const SLACK_NS: i64 = 20_000_000;
/// Delay that grows by this factor …
const GROWTH: f64 = 2.0;
/// … and by so many nanoseconds …
const GROWTH_NS: i64 = 500_000;
/// … over so many messages is a trend.
const FEWEST_FOR_TREND: usize = 100;

/// Everything that speaks against a cell.
#[must_use]
pub fn doubts(evidence: &Evidence<'_>, limits: &Limits) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    if evidence.sent == 0 && evidence.planned > 0 {
        doubts.push(Doubt::NothingSent);
    }
    if let Some(why) = &evidence.lost
        && !evidence.disturbed
    {
        doubts.push(Doubt::ConnectionLost(why.clone()));
    }
    // Without a schedule nothing is due: what waits, waits for the socket.
    if let Some(p99) = at_rank(evidence.send_lags, 0.99)
        && p99 > limits.send_lag_ns
        && evidence.planned_span.is_some()
    {
        let limit = limits.send_lag_ns;
        doubts.push(Doubt::SendLag { p99, limit });
    }
    // Without a schedule nothing is late for a wait, and what goes through is what the machine
    // gives to clients and broker together.
    let shared_by_design = evidence.shares_host && evidence.planned_span.is_none();
    for &(thread, share) in &evidence.lost_cpu {
        if share > limits.lost_cpu && !shared_by_design {
            let limit = limits.lost_cpu;
            doubts.push(Doubt::LostCpu {
                thread,
                share,
                limit,
            });
        }
    }
    for &(thread, p99) in &evidence.loop_lag {
        if p99 > limits.send_lag_ns && !shared_by_design {
            let limit = limits.send_lag_ns;
            doubts.push(Doubt::LoopLag { thread, p99, limit });
        }
    }
    if !evidence.disturbed {
        doubts.extend(saturation(evidence));
        doubts.extend(growth(evidence));
    }
    if evidence.undrained > 0 {
        doubts.push(Doubt::NotDrained(evidence.undrained));
    }
    doubts
}

fn saturation(evidence: &Evidence<'_>) -> Option<Doubt> {
    let planned = evidence.planned_span?;
    let (planned_s, sent_s) = (planned as f64 / 1e9, evidence.sent_span as f64 / 1e9);
    let longer = sent_s > planned_s * SLACK && evidence.sent_span > planned + SLACK_NS;
    // Without messages that were held up it was the prober, and the send lag says so.
    (longer && evidence.blocked > 0 && planned > 0).then(|| Doubt::Saturated {
        offered: evidence.sent as f64 / planned_s,
        sent: evidence.sent as f64 / sent_s,
    })
}

/// Delay of a queue that only grows: a correlation with time that means nothing but overload.
fn growth(evidence: &Evidence<'_>) -> Option<Doubt> {
    let delays = evidence.delays;
    if delays.len() < FEWEST_FOR_TREND || evidence.planned_span.is_none() {
        return None;
    }
    let quarter = delays.len() / 4;
    let median = |part: &[i64]| {
        let mut sorted = part.to_vec();
        sorted.sort_unstable();
        at_rank(&sorted, 0.5)
    };
    let first = median(&delays[..quarter])?;
    let last = median(&delays[delays.len() - quarter..])?;
    let grew = last as f64 > first.max(0) as f64 * GROWTH && last - first > GROWTH_NS;
    grew.then_some(Doubt::Trend { first, last })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: i64 = 1_000_000;

    fn sound<'e>(lags: &'e [i64], delays: &'e [i64]) -> Evidence<'e> {
        Evidence {
            send_lags: lags,
            delays,
            planned: 1_000,
            sent: 1_000,
            planned_span: Some(10_000 * MS),
            sent_span: 10_000 * MS,
            lost_cpu: vec![("publishing", 0.01), ("subscribing", 0.0)],
            ..Evidence::default()
        }
    }

    #[test]
    fn a_quiet_cell_is_trusted() {
        let lags = vec![20_000; 1_000];
        let delays: Vec<i64> = (0..1_000).map(|i| 100_000 + i % 7 * 10_000).collect();
        assert_eq!(doubts(&sound(&lags, &delays), &Limits::default()), []);
    }

    #[test]
    fn a_late_prober_is_not() {
        let mut lags = vec![20_000; 1_000];
        lags[985..].fill(3 * MS);
        let found = doubts(&sound(&lags, &[]), &Limits::default());
        let (p99, limit) = (3 * MS, MS);
        assert_eq!(found, [Doubt::SendLag { p99, limit }]);
        // Nine of a thousand are within the 1 % that may be late.
        lags[..991].fill(20_000);
        assert_eq!(doubts(&sound(&lags, &[]), &Limits::default()), []);
    }

    #[test]
    fn a_thread_without_a_processor_is_not() {
        let evidence = Evidence {
            lost_cpu: vec![("publishing", 0.2)],
            ..sound(&[], &[])
        };
        let found = doubts(&evidence, &Limits::default());
        assert!(matches!(
            found[..],
            [Doubt::LostCpu {
                thread: "publishing",
                ..
            }]
        ));
    }

    /// Against a broker on another machine a wait for a processor is somebody else's work.
    #[test]
    fn a_closed_loop_shares_the_machine_with_its_broker() {
        let lags = vec![100 * MS; 1_000];
        let evidence = Evidence {
            planned_span: None,
            shares_host: true,
            lost_cpu: vec![("publishing", 0.4)],
            loop_lag: vec![("subscribing", 5 * MS)],
            ..sound(&lags, &[])
        };
        assert_eq!(doubts(&evidence, &Limits::default()), []);
        let scheduled = Evidence {
            planned_span: Some(10_000 * MS),
            send_lags: &[],
            ..evidence.clone()
        };
        let remote = Evidence {
            shares_host: false,
            ..evidence
        };
        for evidence in [scheduled, remote] {
            let found = doubts(&evidence, &Limits::default());
            assert!(
                matches!(found[..], [Doubt::LostCpu { .. }, Doubt::LoopLag { .. }]),
                "{found:?}"
            );
        }
    }

    #[test]
    fn a_growing_queue_is_saturation() {
        let delays: Vec<i64> = (0..1_000).map(|i| MS + i * 100_000).collect();
        let evidence = Evidence {
            blocked: 800,
            sent_span: 14_000 * MS,
            ..sound(&[], &delays)
        };
        let found = doubts(&evidence, &Limits::default());
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found.iter().all(Doubt::is_saturation), "{found:?}");
        let wanted = Evidence {
            disturbed: true,
            ..evidence.clone()
        };
        assert_eq!(
            doubts(&wanted, &Limits::default()),
            [],
            "an outage is asked for"
        );
        let closed_loop = Evidence {
            planned_span: None,
            ..evidence
        };
        assert_eq!(doubts(&closed_loop, &Limits::default()), []);
    }

    #[test]
    fn an_end_that_is_none_is_told() {
        let evidence = Evidence {
            undrained: 2,
            lost: Some("the broker closed the connection".into()),
            ..sound(&[], &[])
        };
        let texts: Vec<String> = doubts(&evidence, &Limits::default())
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(texts[0].contains("closed the connection"), "{texts:?}");
        assert!(texts[1].contains("on their way"), "{texts:?}");
    }
}
