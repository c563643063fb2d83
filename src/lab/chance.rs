//! Seeded chance: which packets are lost, and by how much a delay varies.

use rand::rngs::Xoshiro256PlusPlus;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, StandardNormal};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::impairment::{Jitter, Loss};
use crate::time::{TimeDelta, Timestamp};

/// One stream of random numbers. Each kind of decision has its own, so that one setting does not
/// change what another decides, and the fate of packet number k follows from the seed alone.
#[derive(Clone, Debug)]
pub(super) struct Chance(Xoshiro256PlusPlus);

impl Chance {
    /// The stream named `purpose` of `seed`.
    pub(super) fn new(seed: u64, purpose: &str) -> Self {
        let mixed = xxh3_64_with_seed(purpose.as_bytes(), seed);
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// Uniform in [0, 1), with 53 bits.
    pub(super) fn uniform(&mut self) -> f64 {
        (self.0.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with this probability; draws in any case.
    pub(super) fn percent(&mut self, percent: f64) -> bool {
        self.uniform() * 100.0 < percent
    }
}

/// Decides on each packet in turn whether the medium loses it.
#[derive(Clone, Debug)]
pub(super) struct Medium {
    loss: Option<Loss>,
    bad: bool,
    chance: Chance,
}

impl Medium {
    pub(super) fn new(loss: Option<Loss>, seed: u64) -> Self {
        Self {
            loss,
            bad: false,
            chance: Chance::new(seed, "loss"),
        }
    }

    pub(super) fn loses_next(&mut self) -> bool {
        match self.loss {
            None => false,
            Some(Loss::Independent { percent }) => self.chance.percent(percent),
            Some(Loss::Bursts {
                enter_percent,
                leave_percent,
                good_percent,
                bad_percent,
            }) => {
                let change = if self.bad {
                    leave_percent
                } else {
                    enter_percent
                };
                self.bad ^= self.chance.percent(change);
                let percent = if self.bad { bad_percent } else { good_percent };
                self.chance.percent(percent)
            }
        }
    }
}

/// Draws what is added to the delay.
#[derive(Clone, Debug)]
pub(super) struct Variation {
    jitter: Option<Jitter>,
    hold: TimeDelta,
    drawn: Option<(Timestamp, TimeDelta)>,
    chance: Chance,
}

impl Variation {
    pub(super) fn new(jitter: Option<Jitter>, seed: u64) -> Self {
        let hold = jitter.map_or(0.0, |jitter| jitter.hold_ms());
        Self {
            jitter,
            hold: millis(hold),
            drawn: None,
            chance: Chance::new(seed, "jitter"),
        }
    }

    /// What is added to the delay of a packet at `now`; may be negative.
    pub(super) fn at(&mut self, now: Timestamp) -> TimeDelta {
        let Some(jitter) = self.jitter else {
            return TimeDelta::ZERO;
        };
        match self.drawn {
            Some((since, value)) if now - since < self.hold => value,
            _ => {
                let value = self.draw(jitter);
                self.drawn = Some((now, value));
                value
            }
        }
    }

    fn draw(&mut self, jitter: Jitter) -> TimeDelta {
        match jitter {
            Jitter::Normal { sd_ms, .. } => {
                let standard: f64 = StandardNormal.sample(&mut self.chance.0);
                millis(standard * sd_ms)
            }
            Jitter::Pareto {
                scale_ms,
                shape,
                at_most_ms,
                ..
            } => {
                // By inversion; 1 - uniform is never 0.
                let share_above = 1.0 - self.chance.uniform();
                let value = scale_ms * (share_above.powf(-1.0 / shape) - 1.0);
                millis(value.min(at_most_ms))
            }
        }
    }
}

/// Milliseconds to the nearest nanosecond.
pub(super) fn millis(value: f64) -> TimeDelta {
    TimeDelta::from_nanos((value * 1e6).round() as i64)
}

/// Seconds to the nearest nanosecond.
pub(super) fn seconds(value: f64) -> TimeDelta {
    TimeDelta::from_nanos((value * 1e9).round() as i64)
}
