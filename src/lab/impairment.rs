//! What a link does to packets in one direction: plain settings, checked before they are used.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The longest delay, jitter or reordering of a link, in milliseconds.
const LONGEST_MS: f64 = 60_000.0;
/// The longest time of a schedule, in seconds: a day.
const LONGEST_S: f64 = 86_400.0;
/// The fastest link, in Mbit/s.
const FASTEST_MBIT_PER_S: f64 = 100_000.0;
/// The longest queue, in packets.
const LONGEST_QUEUE: u32 = 100_000;

/// What happens to packets in one direction of a link. The default is a link that does nothing.
///
/// A packet passes, in this order: the outages; the queue in front of the transmitter, and the
/// transmitter (`rate`); the medium (`loss`); the way (`delay_ms`, `jitter`, `reorder`); and may
/// come out twice (`duplicate_percent`). So a packet that the medium loses has used its share of
/// the rate, as on a real link.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Impairment {
    /// Time on the way, in milliseconds, 0 to 60,000.
    pub delay_ms: f64,
    /// What is added to the delay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jitter: Option<Jitter>,
    /// Which packets the medium loses.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loss: Option<Loss>,
    /// How fast the transmitter is; without it, no packet waits for another.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate: Option<Rate>,
    /// The share of packets that arrive twice, in per cent.
    #[serde(skip_serializing_if = "is_zero")]
    pub duplicate_percent: f64,
    /// Packets that are overtaken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reorder: Option<Reorder>,
    /// When nothing passes at all.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub outages: Vec<Outage>,
}

/// What varies of the delay. Packets stay in order all the same: one that would overtake the one
/// before it leaves right after that one, one transmission time later where the link has a rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Jitter {
    /// Normally distributed around 0; a delay that would be negative is 0.
    Normal {
        /// Standard deviation, in milliseconds.
        sd_ms: f64,
        /// A value holds for this long, in milliseconds, before another is drawn; 0: one for
        /// each packet.
        #[serde(default)]
        hold_ms: f64,
    },
    /// Pareto's distribution of the second kind (Lomax), from 0 on: the share above `x` is
    /// (1 + x / scale)^-shape.
    Pareto {
        /// Scale, in milliseconds.
        scale_ms: f64,
        /// Shape: the smaller, the heavier the tail; the mean exists above 1.
        shape: f64,
        /// Longer values are this one, in milliseconds.
        at_most_ms: f64,
        /// As of the normal distribution.
        #[serde(default)]
        hold_ms: f64,
    },
}

/// Which packets the medium loses, decided packet by packet.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Loss {
    /// Each with the same probability, whatever became of the others.
    Independent {
        /// The probability, in per cent.
        percent: f64,
    },
    /// In bursts: the model of Gilbert and Elliott, a medium with a good and a bad state.
    ///
    /// E. N. Gilbert, "Capacity of a burst-noise channel", Bell System Technical Journal 39
    /// (1960), 1253–1265; E. O. Elliott, "Estimates of error rates for codes on burst-noise
    /// channels", ibid. 42 (1963), 1977–1997.
    Bursts {
        /// Probability that the next packet finds the bad state after the good one, in per cent.
        enter_percent: f64,
        /// Probability that the next packet finds the good state after the bad one, in per cent.
        leave_percent: f64,
        /// Loss in the good state, in per cent.
        #[serde(default)]
        good_percent: f64,
        /// Loss in the bad state, in per cent.
        bad_percent: f64,
    },
}

/// How fast the transmitter is, and how many packets may wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Megabits (10⁶ bits) of IP packets per second.
    pub mbit_per_s: f64,
    /// Packets in the queue, the one in transmission included; one that finds it full is dropped.
    pub queue_packets: u32,
}

/// Packets that are overtaken by later ones.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reorder {
    /// The share of packets that are held back, in per cent.
    pub percent: f64,
    /// How long they are held back, in milliseconds; those that come after them do not wait.
    pub by_ms: f64,
}

/// A time in which nothing passes; what is on the way already arrives.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Outage {
    /// When it begins, in seconds after the link was set.
    pub at_s: f64,
    /// How long it lasts, in seconds.
    pub for_s: f64,
    /// How long after one beginning the next follows, in seconds; without it there is one outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub every_s: Option<f64>,
}

/// A setting that no link can have.
#[derive(Clone, Debug, PartialEq)]
pub struct ImpossibleSetting {
    /// Its key, with those that lead to it: `loss.independent.percent`.
    pub key: String,
    /// What it was set to.
    pub value: f64,
    /// What it may be.
    pub allowed: String,
}

impl fmt::Display for ImpossibleSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} is {}: it has to be {}",
            self.key, self.value, self.allowed
        )
    }
}

impl std::error::Error for ImpossibleSetting {}

impl Impairment {
    /// Checks every setting.
    ///
    /// # Errors
    ///
    /// The first setting that is out of its range.
    pub fn check(&self) -> Result<(), ImpossibleSetting> {
        within("delay_ms", self.delay_ms, 0.0, LONGEST_MS)?;
        share("duplicate_percent", self.duplicate_percent)?;
        if let Some(jitter) = &self.jitter {
            jitter.check()?;
        }
        if let Some(loss) = &self.loss {
            loss.check()?;
        }
        if let Some(rate) = &self.rate {
            let queue = f64::from(rate.queue_packets);
            above_zero("rate.mbit_per_s", rate.mbit_per_s, FASTEST_MBIT_PER_S)?;
            within("rate.queue_packets", queue, 1.0, f64::from(LONGEST_QUEUE))?;
        }
        if let Some(reorder) = &self.reorder {
            share("reorder.percent", reorder.percent)?;
            within("reorder.by_ms", reorder.by_ms, 0.0, LONGEST_MS)?;
        }
        self.outages.iter().try_for_each(Outage::check)
    }

    /// The share of packets that the medium loses in the long run, from 0 to 1: outages and full
    /// queues are not in it.
    #[must_use]
    pub fn expected_loss(&self) -> f64 {
        self.loss.map_or(0.0, |loss| loss.expected())
    }
}

impl Jitter {
    fn check(&self) -> Result<(), ImpossibleSetting> {
        match *self {
            Self::Normal { sd_ms, hold_ms } => {
                within("jitter.normal.sd_ms", sd_ms, 0.0, LONGEST_MS)?;
                within("jitter.normal.hold_ms", hold_ms, 0.0, LONGEST_MS)
            }
            Self::Pareto {
                scale_ms,
                shape,
                at_most_ms,
                hold_ms,
            } => {
                within("jitter.pareto.scale_ms", scale_ms, 0.0, LONGEST_MS)?;
                within("jitter.pareto.shape", shape, 0.1, 100.0)?;
                within("jitter.pareto.at_most_ms", at_most_ms, 0.0, LONGEST_MS)?;
                within("jitter.pareto.hold_ms", hold_ms, 0.0, LONGEST_MS)
            }
        }
    }

    /// How long a value holds, in milliseconds.
    pub(super) fn hold_ms(&self) -> f64 {
        match *self {
            Self::Normal { hold_ms, .. } | Self::Pareto { hold_ms, .. } => hold_ms,
        }
    }
}

impl Loss {
    fn check(&self) -> Result<(), ImpossibleSetting> {
        match *self {
            Self::Independent { percent } => share("loss.independent.percent", percent),
            Self::Bursts {
                enter_percent,
                leave_percent,
                good_percent,
                bad_percent,
            } => {
                share("loss.bursts.enter_percent", enter_percent)?;
                share("loss.bursts.leave_percent", leave_percent)?;
                share("loss.bursts.good_percent", good_percent)?;
                share("loss.bursts.bad_percent", bad_percent)
            }
        }
    }

    /// The share that is lost in the long run, from 0 to 1. A medium that never changes its state
    /// stays good, as it begins.
    #[must_use]
    pub fn expected(&self) -> f64 {
        match *self {
            Self::Independent { percent } => percent / 100.0,
            Self::Bursts {
                enter_percent,
                leave_percent,
                good_percent,
                bad_percent,
            } => {
                let changes = enter_percent + leave_percent;
                let bad = if changes > 0.0 {
                    enter_percent / changes
                } else {
                    0.0
                };
                ((1.0 - bad) * good_percent + bad * bad_percent) / 100.0
            }
        }
    }
}

impl Outage {
    fn check(&self) -> Result<(), ImpossibleSetting> {
        within("outages.at_s", self.at_s, 0.0, LONGEST_S)?;
        above_zero("outages.for_s", self.for_s, LONGEST_S)?;
        match self.every_s {
            Some(every_s) => within("outages.every_s", every_s, self.for_s, LONGEST_S),
            None => Ok(()),
        }
    }
}

fn share(key: &str, percent: f64) -> Result<(), ImpossibleSetting> {
    within(key, percent, 0.0, 100.0)
}

fn within(key: &str, value: f64, low: f64, high: f64) -> Result<(), ImpossibleSetting> {
    // NaN is in no range.
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(ImpossibleSetting {
        key: key.to_owned(),
        value,
        allowed: format!("from {low} to {high}"),
    })
}

fn above_zero(key: &str, value: f64, high: f64) -> Result<(), ImpossibleSetting> {
    if value > 0.0 && value <= high {
        return Ok(());
    }
    Err(ImpossibleSetting {
        key: key.to_owned(),
        value,
        allowed: format!("above 0 and at most {high}"),
    })
}

fn is_zero(value: &f64) -> bool {
    *value == 0.0
}
