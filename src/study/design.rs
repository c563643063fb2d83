//! The cells of a plan: every part's conditions, measured in randomised complete blocks.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::error::PlanError;
use super::plan::{CombenchPart, Common, MainPart, OutagePart, PacketLossPart, Plan};
use crate::lab::{Loss, Outage, Profile, Profiles};
use crate::probe::blocks::Placed;
use crate::probe::{CellPlan, Extent, Limits};

/// What a cell takes besides its messages, in seconds: connecting, taps, packets.
const AROUND_S: f64 = 0.5;
/// Of the links' measurement before the run, in seconds each.
const CALIBRATION_S: f64 = 2.2;
/// Up to so much loss, in per cent, the last messages come soon.
const GENTLE: f64 = 10.0;
/// From so much on, some never come while a cell lasts.
const HARSH: f64 = 40.0;

/// One cell of a study.
#[derive(Clone, Debug)]
pub struct StudyCell {
    /// Where it stands.
    pub placed: Placed,
    /// The part that it is of.
    pub part: &'static str,
    /// How it is measured.
    pub plan: CellPlan,
    /// The publisher's link, as its cell is named after it.
    pub link: Arc<str>,
    /// What the publisher's link does while messages are sent.
    pub publisher_link: Profile,
    /// What the subscriber's does.
    pub subscriber_link: Profile,
    /// What the links do while clients connect, where that is something else.
    pub connecting: Option<[Profile; 2]>,
    /// The share of packets that was set to be lost.
    pub packet_loss: Option<f64>,
    /// The outage of the publisher's link: seconds after the first message, and for how long.
    pub outage: Option<(f64, f64)>,
    /// When the publisher's TCP gives up, in milliseconds.
    pub user_timeout_ms: Option<u32>,
    /// Seconds that it takes, about.
    pub seconds: f64,
    /// Seconds that it takes at most.
    pub longest_s: f64,
}

impl StudyCell {
    /// `outage of 2 s`.
    #[must_use]
    pub fn fault(&self) -> Option<String> {
        self.outage.map(|(_, lasts)| format!("outage of {lasts} s"))
    }

    /// Whether packets are lost on purpose, so that what has not come in time is no surprise.
    #[must_use]
    pub const fn is_disturbed(&self) -> bool {
        self.plan.disturbed
    }

    /// Whether the publisher's link loses packets, now and then or on purpose: TCP then holds
    /// back what was written.
    #[must_use]
    pub fn publisher_link_loses(&self) -> bool {
        let link = &self.publisher_link;
        [&link.to_broker, &link.to_host].iter().any(|way| {
            let lossless = matches!(way.loss, None | Some(Loss::Independent { percent: 0.0 }));
            !lossless || !way.outages.is_empty()
        })
    }
}

/// A condition, before it has a place.
#[derive(Clone, Debug)]
struct Condition {
    blocks: u32,
    /// Place and number are still to come.
    cell: StudyCell,
}

/// All cells of a plan.
#[derive(Clone, Debug)]
pub struct Design {
    /// In the order in which they are measured.
    pub cells: Vec<StudyCell>,
    /// Blocks of the part that has most.
    pub blocks: u32,
}

impl Design {
    /// Makes the cells. The same plan gives the same ones.
    ///
    /// # Errors
    ///
    /// A link that the plan names and nobody knows.
    pub fn new(plan: &Plan) -> Result<Self, PlanError> {
        let profiles = plan.profiles()?;
        let make = Make {
            plan,
            profiles: &profiles,
        };
        let mut conditions = Vec::new();
        if let Some(part) = &plan.main {
            make.main(part, &mut conditions)?;
        }
        if let Some(part) = &plan.packet_loss {
            make.packet_loss(part, &mut conditions)?;
        }
        if let Some(part) = &plan.outage {
            make.outage(part, &mut conditions)?;
        }
        if let Some(part) = &plan.combench {
            make.combench(part, &mut conditions)?;
        }
        let blocks = conditions.iter().map(|c| c.blocks).max().unwrap_or(0);
        Ok(Self {
            cells: place(&conditions, blocks, plan.seed),
            blocks,
        })
    }

    /// Seconds that the run takes, about: the links' measurement, and all cells.
    #[must_use]
    pub fn seconds(&self, plan: &Plan) -> f64 {
        let links = if plan.trust.calibrate {
            self.links().len() as f64 * CALIBRATION_S
        } else {
            0.0
        };
        links + self.cells.iter().map(|cell| cell.seconds).sum::<f64>()
    }

    /// Seconds that the run takes at most.
    #[must_use]
    pub fn longest_s(&self) -> f64 {
        self.cells.iter().map(|cell| cell.longest_s).sum()
    }

    /// Refuses a plan that takes longer than it allows itself.
    ///
    /// # Errors
    ///
    /// How long it takes.
    pub fn check_length(&self, plan: &Plan) -> Result<(), PlanError> {
        let minutes = self.seconds(plan) / 60.0;
        if minutes > plan.longest_min {
            return Err(PlanError::TooLong {
                minutes,
                allowed: plan.longest_min,
            });
        }
        Ok(())
    }

    /// Every link of the publisher and of the subscriber, each once.
    #[must_use]
    pub fn links(&self) -> Vec<(crate::lab::Link, Profile)> {
        use crate::lab::Link;
        let mut links: Vec<(Link, Profile)> = Vec::new();
        for cell in &self.cells {
            for (link, profile) in [
                (Link::Publisher, &cell.publisher_link),
                (Link::Subscriber, &cell.subscriber_link),
            ] {
                let is_known =
                    |(known, of): &(Link, Profile)| *known == link && of.name == profile.name;
                if !links.iter().any(is_known) {
                    links.push((link, profile.clone()));
                }
            }
        }
        links.sort_by(|a, b| (a.0, &a.1.name).cmp(&(b.0, &b.1.name)));
        links
    }
}

/// Each block has all conditions that are measured so often, in an order of its own.
fn place(conditions: &[Condition], blocks: u32, seed: u64) -> Vec<StudyCell> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut cells = Vec::new();
    for block in 1..=blocks {
        let mut order: Vec<usize> = (0..conditions.len())
            .filter(|index| conditions[*index].blocks >= block)
            .collect();
        order.shuffle(&mut random);
        for condition in order {
            let mut cell = conditions[condition].cell.clone();
            let number = u32::try_from(cells.len() + 1).unwrap_or(u32::MAX);
            cell.placed = Placed {
                cell: number,
                block,
                condition,
            };
            cell.plan.cell = number;
            cell.plan.seed = seed ^ u64::from(number).wrapping_mul(0xd6e8_feb8_6659_fd93);
            cells.push(cell);
        }
    }
    cells
}

struct Make<'p> {
    plan: &'p Plan,
    profiles: &'p Profiles,
}

impl Make<'_> {
    fn profile(&self, name: &str) -> Result<Profile, PlanError> {
        self.profiles.get(name).map_err(PlanError::Link)
    }

    /// A condition with what all have, on two links that do nothing special.
    fn condition(
        &self,
        part: &'static str,
        common: Common<'_>,
        qos: u8,
        payload_bytes: u64,
        links: [&str; 2],
    ) -> Result<Condition, PlanError> {
        let nanos = |seconds: f64| (seconds * 1e9) as i64;
        let drain_s = common.drain_s.unwrap_or(self.plan.deadline_s);
        let messages = f64::from(common.count) + f64::from(common.warm_up);
        let sending_s = messages / common.rate_per_s;
        let trust = &self.plan.trust;
        let plan = CellPlan {
            run: run_of(self.plan.seed),
            qos,
            subscriber_qos: qos,
            payload_bytes: usize::try_from(payload_bytes).unwrap_or(usize::MAX),
            arrivals: common.schedule.into(),
            rate: Some(common.rate_per_s),
            extent: Extent::Count(common.count),
            warm_up: common.warm_up,
            window: self.plan.window,
            deadline_ns: nanos(self.plan.deadline_s),
            drain_ns: nanos(drain_s),
            limits: Limits {
                send_lag_ns: nanos(trust.send_lag_ms / 1e3),
                lost_cpu: trust.lost_cpu_percent / 100.0,
            },
            ..CellPlan::default()
        };
        Ok(Condition {
            blocks: common.blocks.unwrap_or(self.plan.blocks),
            cell: StudyCell {
                placed: Placed {
                    cell: 0,
                    block: 0,
                    condition: 0,
                },
                part,
                plan,
                link: links[0].into(),
                publisher_link: self.profile(links[0])?,
                subscriber_link: self.profile(links[1])?,
                connecting: None,
                packet_loss: None,
                outage: None,
                user_timeout_ms: None,
                seconds: sending_s + AROUND_S,
                longest_s: sending_s + drain_s + AROUND_S,
            },
        })
    }

    fn main(&self, part: &MainPart, to: &mut Vec<Condition>) -> Result<(), PlanError> {
        let common = Common::from(part);
        for &qos in common.qos {
            for link in &part.links {
                for &bytes in &part.payload_bytes {
                    let links = [link.as_str(), &part.subscriber_link];
                    to.push(self.condition("main", common, qos, bytes, links)?);
                }
            }
        }
        Ok(())
    }

    fn packet_loss(&self, part: &PacketLossPart, to: &mut Vec<Condition>) -> Result<(), PlanError> {
        let common = Common::from(part);
        for &qos in common.qos {
            for &percent in &part.percent {
                let lossy = format!("lossy:{percent}%");
                let links = [lossy.as_str(), &part.subscriber_link];
                let bytes = part.payload_bytes;
                let mut condition = self.condition("packet_loss", common, qos, bytes, links)?;
                self.lose(
                    &mut condition.cell,
                    percent,
                    [LOSSY_BASE, &part.subscriber_link],
                )?;
                to.push(condition);
            }
        }
        Ok(())
    }

    fn outage(&self, part: &OutagePart, to: &mut Vec<Condition>) -> Result<(), PlanError> {
        let common = Common::from(part);
        for &qos in common.qos {
            for link in &part.links {
                for &lasts in &part.for_s {
                    let links = [link.as_str(), &part.subscriber_link];
                    let bytes = part.payload_bytes;
                    let mut condition = self.condition("outage", common, qos, bytes, links)?;
                    let cell = &mut condition.cell;
                    let outage = Outage {
                        at_s: part.at_s,
                        for_s: lasts,
                        every_s: None,
                    };
                    cell.connecting = Some([self.profile(links[0])?, self.profile(links[1])?]);
                    for way in [
                        &mut cell.publisher_link.to_broker,
                        &mut cell.publisher_link.to_host,
                    ] {
                        way.outages = vec![outage];
                    }
                    cell.outage = Some((part.at_s, lasts));
                    cell.user_timeout_ms = Some((part.user_timeout_s * 1e3) as u32);
                    cell.plan.disturbed = true;
                    cell.plan.keep_session = true;
                    cell.seconds += 0.5;
                    to.push(condition);
                }
            }
        }
        Ok(())
    }

    fn combench(&self, part: &CombenchPart, to: &mut Vec<Condition>) -> Result<(), PlanError> {
        let common = Common::from(part);
        for &qos in common.qos {
            for &percent in &part.percent {
                let lossy = format!("lossy:{percent}%");
                let links = [part.link.as_str(), lossy.as_str()];
                let bytes = part.payload_bytes;
                let mut condition = self.condition("combench", common, qos, bytes, links)?;
                condition.cell.plan.subscribers = part.subscribers;
                self.lose(&mut condition.cell, percent, [&part.link, LOSSY_BASE])?;
                to.push(condition);
            }
        }
        Ok(())
    }

    /// The cell loses packets; its clients connect before that.
    fn lose(
        &self,
        cell: &mut StudyCell,
        percent: f64,
        connecting: [&str; 2],
    ) -> Result<(), PlanError> {
        cell.packet_loss = Some(percent / 100.0);
        cell.plan.disturbed = percent > 0.0;
        if cell.part == "packet_loss" {
            // `lossy` is `wired` with loss, and the loss stands in a column of its own.
            cell.link = LOSSY_BASE.into();
        }
        cell.connecting = Some([self.profile(connecting[0])?, self.profile(connecting[1])?]);
        let drain_s = cell.longest_s - cell.seconds;
        let harshness = ((percent - GENTLE) / (HARSH - GENTLE)).clamp(0.0, 1.0);
        cell.seconds += drain_s * harshness;
        Ok(())
    }
}

/// What `lossy:N%` is without its loss.
const LOSSY_BASE: &str = "wired";

/// The number of a run in topics and client identifiers follows from the seed, so that a run that
/// goes on is the same one (the finalizer of SplitMix64).
fn run_of(seed: u64) -> u64 {
    let mut z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_default_matrix_is_complete_in_every_block() {
        let plan = Plan::whole();
        let design = Design::new(&plan).unwrap();
        let of = |part: &str, block: u32| -> BTreeSet<usize> {
            let cells = design.cells.iter();
            cells
                .filter(|cell| cell.part == part && cell.placed.block == block)
                .map(|cell| cell.placed.condition)
                .collect()
        };
        for block in 1..=3 {
            assert_eq!(of("main", block).len(), 3 * 2 * 8);
            assert_eq!(of("packet_loss", block), of("packet_loss", 1));
            assert_eq!(of("packet_loss", block).len(), 3 * 6);
        }
        assert_eq!(of("combench", 1).len(), 7);
        let numbers: Vec<u32> = design.cells.iter().map(|cell| cell.placed.cell).collect();
        assert_eq!(numbers, (1..=design.cells.len() as u32).collect::<Vec<_>>());
        let again = Design::new(&plan).unwrap();
        let order = |design: &Design| -> Vec<usize> {
            design.cells.iter().map(|c| c.placed.condition).collect()
        };
        assert_eq!(order(&design), order(&again));
        assert!(design.check_length(&plan).is_ok());
    }

    #[test]
    fn the_quick_plan_takes_less_than_three_minutes() {
        let plan = Plan::quick();
        let design = Design::new(&plan).unwrap();
        assert!(design.seconds(&plan) < 170.0, "{}", design.seconds(&plan));
        let parts: BTreeSet<&str> = design.cells.iter().map(|cell| cell.part).collect();
        assert_eq!(parts, BTreeSet::from(["main", "outage"]));
    }

    #[test]
    fn too_long_a_run_is_refused() {
        let mut plan = Plan::whole();
        plan.blocks = 500;
        let design = Design::new(&plan).unwrap();
        let error = design.check_length(&plan).unwrap_err().to_string();
        assert!(error.contains("longest_min is 60"), "{error}");
    }

    #[test]
    fn every_link_is_measured_once_on_its_side() {
        let plan = Plan::parse("[main]\nqos = [0, 1]\n[combench]\npercent = [5]\n").unwrap();
        let design = Design::new(&plan).unwrap();
        let links: Vec<String> = design
            .links()
            .iter()
            .map(|(link, profile)| format!("{link}: {}", profile.name))
            .collect();
        assert_eq!(
            links,
            [
                "publisher's link: wired",
                "publisher's link: wireless",
                "subscriber's link: lossy:5%",
                "subscriber's link: wired"
            ]
        );
    }
}
