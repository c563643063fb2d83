//! What one cell is: a condition, and how it is measured.

use super::error::CellError;
use super::schedule::{Arrivals, Extent, MOST_MESSAGES};
use serde::{Deserialize, Serialize};

/// From where on a cell says that it measured the prober and not the network.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// 99 % of the messages that nothing held up must be sent within so many nanoseconds after
    /// they were due.
    pub send_lag_ns: i64,
    /// Share of the time for which a measuring thread may wait for a processor.
    pub lost_cpu: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            send_lag_ns: 1_000_000,
            lost_cpu: 0.05,
        }
    }
}

/// Which client is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientKind {
    /// That of this crate, with stamps at the socket.
    #[default]
    Measuring,
    /// rumqttc, with stamps where its events come out.
    Rumqttc,
}

impl ClientKind {
    /// As it stands in the column `client` of cells.csv.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Measuring => "measuring",
            Self::Rumqttc => "rumqttc",
        }
    }
}

/// One cell.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CellPlan {
    /// The run; random, so that runs do not meet.
    pub run: u64,
    /// The cell's number in it, from 1.
    pub cell: u32,
    /// QoS of the publishers, 0 to 2.
    pub qos: u8,
    /// QoS of the subscriptions, 0 to 2.
    pub subscriber_qos: u8,
    /// Bytes of each payload, at least 1.
    pub payload_bytes: usize,
    /// Publishing clients.
    pub publishers: u32,
    /// Subscribing clients; each gets everything.
    pub subscribers: u32,
    /// How messages are spread over time.
    pub arrivals: Arrivals,
    /// Messages per second and publisher; `None`: as fast as the window allows.
    pub rate: Option<f64>,
    /// How many, or for how long, warm-up not counted.
    pub extent: Extent,
    /// Messages of each publisher that come first and do not count.
    pub warm_up: u32,
    /// Messages of QoS 1 and 2 in flight per publisher, at most.
    pub window: u16,
    /// What comes later than this after it was due is late, in nanoseconds.
    pub deadline_ns: i64,
    /// How long to wait for the last ones, in nanoseconds.
    pub drain_ns: i64,
    /// Seed of the schedule.
    pub seed: u64,
    /// Sessions outlive their connections and are resumed.
    pub keep_session: bool,
    /// Something is going to disturb the connections: a lost one is no surprise.
    pub disturbed: bool,
    /// Which client is measured.
    pub client: ClientKind,
    /// What topics begin with.
    pub topic_prefix: String,
    /// What is taken for valid.
    pub limits: Limits,
}

impl Default for CellPlan {
    fn default() -> Self {
        Self {
            run: 1,
            cell: 1,
            qos: 0,
            subscriber_qos: 0,
            payload_bytes: 16,
            publishers: 1,
            subscribers: 1,
            arrivals: Arrivals::Poisson,
            rate: Some(100.0),
            extent: Extent::Count(1_000),
            warm_up: 0,
            window: 20,
            deadline_ns: 10_000_000_000,
            drain_ns: 20_000_000_000,
            seed: 1,
            keep_session: false,
            disturbed: false,
            client: ClientKind::Measuring,
            topic_prefix: "mqttscope".into(),
            limits: Limits::default(),
        }
    }
}

/// Most messages times receivers of one cell: each takes some 50 bytes of memory.
const MOST_RECEPTIONS: u64 = 100_000_000;

impl CellPlan {
    /// What every topic of the cell begins with; the publisher's number follows.
    #[must_use]
    pub fn topic_base(&self) -> String {
        format!("{}/{:016x}/{}/", self.topic_prefix, self.run, self.cell)
    }

    /// The topic of one publisher.
    #[must_use]
    pub fn topic(&self, publisher: u32) -> String {
        format!("{}{publisher}", self.topic_base())
    }

    /// What subscribers subscribe to.
    #[must_use]
    pub fn filter(&self) -> String {
        format!("{}+", self.topic_base())
    }

    /// The client identifier of publisher (`p`) or subscriber (`s`) `number`: letters and digits,
    /// and as short as every broker takes them [MQTT-3.1.3-5].
    #[must_use]
    pub fn client_id(&self, kind: char, number: u32) -> String {
        let run = self.run as u32;
        format!("ms{run:08x}c{}{kind}{number}", self.cell)
    }

    /// What marks this cell's payloads.
    #[must_use]
    pub const fn tag(&self) -> u64 {
        // Neighbouring cells get tags that differ in all bytes (the finalizer of SplitMix64).
        let mut z = self.run ^ (self.cell as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Bytes of the longest PUBLISH of the cell, fixed header and topic included.
    #[must_use]
    pub fn packet_bytes(&self) -> u64 {
        let topic = self.topic(self.publishers.saturating_sub(1)).len() as u64;
        // Fixed header, topic length, packet identifier, property length.
        5 + 2 + topic + 2 + 1 + self.payload_bytes.max(super::payload::MARK_BYTES) as u64
    }

    /// Whether the cell can be measured at all.
    ///
    /// # Errors
    ///
    /// [`CellError::Plan`] says what is impossible.
    pub fn check(&self) -> Result<(), CellError> {
        let wrong = |text: &str| Err(CellError::Plan(text.to_owned()));
        if self.payload_bytes == 0 {
            return wrong("a payload of 0 bytes cannot be told from others; 1 is the least");
        }
        if self.packet_bytes() > u64::from(crate::mqtt::MAXIMUM_REMAINING_LENGTH) {
            return wrong("MQTT carries no more than 268,435,455 bytes in a packet");
        }
        if self.publishers == 0 || self.subscribers == 0 {
            return wrong("at least one publisher and one subscriber are needed");
        }
        if self.qos > 2 || self.subscriber_qos > 2 {
            return wrong("QoS is 0, 1 or 2");
        }
        if self.rate.is_none() && matches!(self.extent, Extent::Duration(_)) {
            return wrong("without a rate there must be a count");
        }
        if self
            .rate
            .is_some_and(|rate| !(rate > 0.0 && rate.is_finite()))
        {
            return wrong("a rate is a positive number");
        }
        let (publishers, subscribers) = (u64::from(self.publishers), u64::from(self.subscribers));
        let (messages, receptions) = (self.messages_per_publisher(), self.receptions());
        if messages > u64::from(MOST_MESSAGES) || receptions > MOST_RECEPTIONS {
            return Err(CellError::Plan(format!(
                "{receptions} messages times receivers in one cell do not fit into memory (at \
                 most {MOST_RECEPTIONS}); choose a smaller --count, or more repetitions of it"
            )));
        }
        if publishers + subscribers > 20_000 {
            return wrong("at most 20,000 clients in one process");
        }
        Ok(())
    }

    /// Messages times receivers, warm-up included, about where a duration decides.
    #[must_use]
    pub fn receptions(&self) -> u64 {
        self.messages_per_publisher()
            .saturating_mul(u64::from(self.publishers))
            .saturating_mul(u64::from(self.subscribers))
    }

    fn messages_per_publisher(&self) -> u64 {
        let counted = match (self.extent, self.rate) {
            (Extent::Count(count), _) => u64::from(count),
            (Extent::Duration(nanos), Some(rate)) => (nanos as f64 / 1e9 * rate * 1.1) as u64,
            (Extent::Duration(_), None) => 0,
        };
        counted + u64::from(self.warm_up)
    }

    /// What a publisher sends and when: the offsets of all its messages, warm-up first; without
    /// a rate only their number counts.
    #[must_use]
    pub fn offsets(&self, publisher: u32) -> Vec<i64> {
        let Some(rate) = self.rate else {
            return vec![0; self.messages_per_publisher() as usize];
        };
        let extent = match self.extent {
            Extent::Count(count) => Extent::Count(count.saturating_add(self.warm_up)),
            Extent::Duration(nanos) => {
                let warm_up = f64::from(self.warm_up) / rate * 1e9;
                Extent::Duration(nanos.saturating_add(warm_up as i64))
            }
        };
        let seed = self.seed ^ u64::from(publisher).wrapping_mul(0xa24b_aed4_963e_e407);
        let place = (publisher, self.publishers);
        super::schedule::offsets(self.arrivals, rate, extent, place, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_that_cannot_be_measured_is_refused() {
        let good = CellPlan::default();
        assert!(good.check().is_ok());
        type Change = fn(&mut CellPlan);
        let wrong: [Change; 8] = [
            |plan| plan.payload_bytes = 0,
            |plan| plan.payload_bytes = 268_435_455,
            |plan| plan.publishers = 0,
            |plan| plan.qos = 3,
            |plan| plan.rate = Some(0.0),
            |plan| plan.extent = Extent::Count(u32::MAX),
            |plan| plan.subscribers = 200_000,
            |plan| (plan.rate, plan.extent) = (None, Extent::Duration(1)),
        ];
        for (index, change) in wrong.into_iter().enumerate() {
            let mut plan = good.clone();
            change(&mut plan);
            assert!(plan.check().is_err(), "{index}");
        }
    }

    #[test]
    fn warm_up_comes_on_top() {
        let plan = CellPlan {
            warm_up: 7,
            extent: Extent::Count(10),
            ..CellPlan::default()
        };
        assert_eq!(plan.offsets(0).len(), 17);
        assert_ne!(plan.offsets(0), plan.offsets(1), "publishers differ");
        let plan = CellPlan {
            arrivals: Arrivals::Fixed,
            extent: Extent::Duration(1_000_000_000),
            ..plan
        };
        assert_eq!(plan.offsets(0).len(), 107);
        let plan = CellPlan {
            rate: None,
            extent: Extent::Count(3),
            ..plan
        };
        assert_eq!(plan.offsets(0).len(), 10);
    }

    #[test]
    fn names_are_those_of_run_and_cell() {
        let plan = CellPlan {
            run: 0xdead_beef,
            cell: 12,
            ..CellPlan::default()
        };
        assert_eq!(plan.topic(3), "mqttscope/00000000deadbeef/12/3");
        assert_eq!(plan.filter(), "mqttscope/00000000deadbeef/12/+");
        assert_eq!(plan.client_id('p', 3), "msdeadbeefc12p3");
        let next = CellPlan {
            cell: 13,
            ..plan.clone()
        };
        assert_ne!(plan.tag(), next.tag());
    }
}
