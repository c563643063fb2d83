//! What a study measures, as it stands in a file: read strictly, checked before anything begins.

use serde::{Deserialize, Serialize};

use super::error::PlanError;
use crate::lab::{MosquittoSettings, Profiles};
use crate::probe::Arrivals;

/// The default plan, with comments.
pub const DEFAULT_PLAN: &str = include_str!("plan.toml");
/// The plan of `--quick`.
pub const QUICK_PLAN: &str = include_str!("quick.toml");

/// A share of packets in per cent has this as its end.
const WHOLE: f64 = 100.0;
/// Longest time of a setting, in seconds.
const LONGEST_S: f64 = 3_600.0;

/// A study.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Plan {
    /// Decides everything that is random.
    pub seed: u64,
    /// How often every condition is measured.
    pub blocks: u32,
    /// What comes later is late, in seconds.
    pub deadline_s: f64,
    /// Messages in flight at QoS 1 and 2, at most.
    pub window: u16,
    /// Bytes of a packet that captures keep; 0 keeps all.
    pub snap_length: u32,
    /// Longer plans are refused, in minutes.
    pub longest_min: f64,
    /// The broker.
    pub broker: BrokerPlan,
    /// When a cell is not trusted.
    pub trust: TrustPlan,
    /// Further links by name, in the form of a file of profiles.
    #[serde(skip_serializing_if = "toml::Table::is_empty")]
    pub links: toml::Table,
    /// QoS × publisher's link × payload.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub main: Option<MainPart>,
    /// QoS × loss of packets on the publisher's link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packet_loss: Option<PacketLossPart>,
    /// QoS × outage of the publisher's link.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outage: Option<OutagePart>,
    /// Loss of packets on the subscriber's link, as ComBench measured it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub combench: Option<CombenchPart>,
}

/// Which broker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BrokerKind {
    /// Mosquitto where it is installed, else the embedded one.
    #[default]
    Auto,
    /// Mosquitto.
    Mosquitto,
    /// That of this program.
    Embedded,
}

/// When the embedded broker passes a QoS 2 message on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ForwardAt {
    /// When the publisher released it, as mosquitto does.
    #[default]
    Pubrel,
    /// When it came.
    Publish,
}

/// The broker and its settings.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrokerPlan {
    /// Which.
    pub kind: BrokerKind,
    /// Of the embedded one.
    pub forward_qos2_at: ForwardAt,
    /// Of mosquitto.
    pub mosquitto: MosquittoSettings,
}

/// When a cell is not trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustPlan {
    /// Whether links are measured first.
    pub calibrate: bool,
    /// 99 % of messages are sent within this, in milliseconds.
    pub send_lag_ms: f64,
    /// Share of the time that a measuring thread may wait for a processor.
    pub lost_cpu_percent: f64,
    /// By how much stamps and packets may differ at the median, in milliseconds.
    pub packets_ms: f64,
}

/// How messages of a part are spread over time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScheduleKind {
    /// Exponential gaps.
    #[default]
    Poisson,
    /// Equal gaps.
    Fixed,
}

impl From<ScheduleKind> for Arrivals {
    fn from(kind: ScheduleKind) -> Self {
        match kind {
            ScheduleKind::Poisson => Self::Poisson,
            ScheduleKind::Fixed => Self::Fixed,
        }
    }
}

macro_rules! part {
    ($(#[$attribute:meta])* $name:ident { $($(#[$field_attribute:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$attribute])*
        #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            /// QoS of publisher and subscriber.
            pub qos: Vec<u8>,
            $($(#[$field_attribute])* pub $field: $type,)*
            /// How messages are spread over time.
            pub schedule: ScheduleKind,
            /// Messages per second.
            pub rate_per_s: f64,
            /// Messages of each cell.
            pub count: u32,
            /// Messages that come first and do not count.
            pub warm_up: u32,
            /// How long to wait for the last ones, in seconds; the plan's deadline if it is not
            /// given.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub drain_s: Option<f64>,
            /// How often its conditions are measured; as often as the plan says if it is not
            /// given.
            #[serde(skip_serializing_if = "Option::is_none")]
            pub blocks: Option<u32>,
        }
    };
}

part! {
    /// The published design.
    MainPart {
        /// Of the publisher, by name.
        links: Vec<String>,
        /// Of the subscriber.
        subscriber_link: String,
        /// Bytes of the payloads.
        payload_bytes: Vec<u64>,
    }
}

part! {
    /// Packets lost on the publisher's link.
    PacketLossPart {
        /// Per cent of packets, each way.
        percent: Vec<f64>,
        /// Of the subscriber.
        subscriber_link: String,
        /// Bytes of the payloads.
        payload_bytes: u64,
    }
}

part! {
    /// Times in which the publisher's link lets nothing through.
    OutagePart {
        /// Of the publisher, by name.
        links: Vec<String>,
        /// Of the subscriber.
        subscriber_link: String,
        /// Bytes of the payloads.
        payload_bytes: u64,
        /// When the outage begins, in seconds after the first message.
        at_s: f64,
        /// How long it lasts, in seconds.
        for_s: Vec<f64>,
        /// When the publisher's TCP gives up, in seconds without an acknowledgment.
        user_timeout_s: f64,
    }
}

part! {
    /// Packets lost on the subscriber's link.
    CombenchPart {
        /// Per cent of packets, each way.
        percent: Vec<f64>,
        /// Of the publisher.
        link: String,
        /// Bytes of the payloads.
        payload_bytes: u64,
        /// How many, each with a connection of its own.
        subscribers: u32,
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 2013,
            blocks: 3,
            deadline_s: 10.0,
            window: 20,
            snap_length: 0,
            longest_min: 60.0,
            broker: BrokerPlan::default(),
            trust: TrustPlan::default(),
            links: toml::Table::new(),
            main: None,
            packet_loss: None,
            outage: None,
            combench: None,
        }
    }
}

impl Default for TrustPlan {
    fn default() -> Self {
        Self {
            calibrate: true,
            send_lag_ms: 5.0,
            lost_cpu_percent: 10.0,
            packets_ms: 1.0,
        }
    }
}

const ALL_QOS: [u8; 3] = [0, 1, 2];

impl Default for MainPart {
    fn default() -> Self {
        Self {
            qos: ALL_QOS.to_vec(),
            links: vec!["wired".into(), "wireless".into()],
            subscriber_link: "wired".into(),
            payload_bytes: vec![16, 128, 512, 1_024, 1_400, 4_096, 8_192, 16_384],
            schedule: ScheduleKind::Poisson,
            rate_per_s: 25.0,
            count: 100,
            warm_up: 5,
            drain_s: None,
            blocks: None,
        }
    }
}

impl Default for PacketLossPart {
    fn default() -> Self {
        Self {
            qos: ALL_QOS.to_vec(),
            percent: vec![0.0, 5.0, 10.0, 20.0, 30.0, 40.0],
            subscriber_link: "wired".into(),
            payload_bytes: 128,
            schedule: ScheduleKind::Poisson,
            rate_per_s: 25.0,
            count: 100,
            warm_up: 5,
            drain_s: Some(12.0),
            blocks: None,
        }
    }
}

impl Default for OutagePart {
    fn default() -> Self {
        Self {
            qos: ALL_QOS.to_vec(),
            links: vec!["wired".into()],
            subscriber_link: "wired".into(),
            payload_bytes: 128,
            at_s: 1.0,
            for_s: vec![1.0, 3.0],
            user_timeout_s: 1.5,
            schedule: ScheduleKind::Poisson,
            rate_per_s: 25.0,
            count: 150,
            warm_up: 5,
            drain_s: Some(12.0),
            blocks: None,
        }
    }
}

impl Default for CombenchPart {
    fn default() -> Self {
        Self {
            qos: vec![0],
            percent: vec![5.0, 10.0, 20.0, 30.0, 40.0, 50.0, 60.0],
            link: "wired".into(),
            payload_bytes: 100,
            subscribers: 5,
            schedule: ScheduleKind::Fixed,
            rate_per_s: 10.0,
            count: 200,
            warm_up: 0,
            drain_s: Some(60.0),
            blocks: Some(1),
        }
    }
}

impl Plan {
    /// Reads a plan and checks it.
    ///
    /// # Errors
    ///
    /// What is wrong, and where.
    pub fn parse(text: &str) -> Result<Self, PlanError> {
        let plan: Self = toml::from_str(text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            let line = before.map(|before| before.matches('\n').count() + 1);
            let place = line.map_or_else(String::new, |line| format!("line {line}: "));
            PlanError::Syntax(format!("{place}{}", error.message()))
        })?;
        plan.check()?;
        Ok(plan)
    }

    /// The default plan.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file.
    #[must_use]
    #[allow(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "the file is part of the program, and a test reads it"
    )]
    pub fn whole() -> Self {
        Self::parse(DEFAULT_PLAN).expect("the plan that comes with the program")
    }

    /// The plan of `--quick`.
    ///
    /// # Panics
    ///
    /// Never: a test reads the file.
    #[must_use]
    #[allow(
        clippy::missing_panics_doc,
        clippy::expect_used,
        reason = "the file is part of the program, and a test reads it"
    )]
    pub fn quick() -> Self {
        Self::parse(QUICK_PLAN).expect("the quick plan that comes with the program")
    }

    /// The links that the plan knows.
    ///
    /// # Errors
    ///
    /// What is wrong with those of its own.
    pub fn profiles(&self) -> Result<Profiles, PlanError> {
        let mut profiles = Profiles::shipped();
        if !self.links.is_empty() {
            let text =
                toml::to_string(&self.links).map_err(|e| PlanError::Syntax(e.to_string()))?;
            profiles.extend(Profiles::parse(&text).map_err(PlanError::Link)?);
        }
        Ok(profiles)
    }

    /// Whether it can be measured at all. How long it takes is another question.
    ///
    /// # Errors
    ///
    /// The first value that cannot be.
    pub fn check(&self) -> Result<(), PlanError> {
        at_least("blocks", f64::from(self.blocks), 1.0, 1_000.0)?;
        between("deadline_s", self.deadline_s, 0.001, LONGEST_S)?;
        at_least("window", f64::from(self.window), 1.0, 65_535.0)?;
        if self.snap_length != 0 {
            let length = f64::from(self.snap_length);
            at_least("snap_length", length, FEWEST_BYTES_KEPT, 65_535.0)?;
        }
        between("longest_min", self.longest_min, 0.1, 100_000.0)?;
        between("trust.send_lag_ms", self.trust.send_lag_ms, 0.001, 60_000.0)?;
        between(
            "trust.lost_cpu_percent",
            self.trust.lost_cpu_percent,
            0.0,
            WHOLE,
        )?;
        between("trust.packets_ms", self.trust.packets_ms, 0.001, 60_000.0)?;
        let profiles = self.profiles()?;
        let link = |key: &str, name: &str| match profiles.get(name) {
            Ok(_) => Ok(()),
            Err(error) => Err(wrong(key, error.to_string())),
        };
        if let Some(part) = &self.main {
            Common::from(part).check("main")?;
            levels("main.links", &part.links)?;
            part.links.iter().try_for_each(|l| link("main.links", l))?;
            link("main.subscriber_link", &part.subscriber_link)?;
            levels("main.payload_bytes", &part.payload_bytes)?;
            (part.payload_bytes.iter()).try_for_each(|b| payload("main.payload_bytes", *b))?;
        }
        if let Some(part) = &self.packet_loss {
            Common::from(part).check("packet_loss")?;
            percents("packet_loss.percent", &part.percent)?;
            link("packet_loss.subscriber_link", &part.subscriber_link)?;
            payload("packet_loss.payload_bytes", part.payload_bytes)?;
        }
        if let Some(part) = &self.outage {
            Common::from(part).check("outage")?;
            levels("outage.links", &part.links)?;
            (part.links.iter()).try_for_each(|l| link("outage.links", l))?;
            link("outage.subscriber_link", &part.subscriber_link)?;
            payload("outage.payload_bytes", part.payload_bytes)?;
            levels("outage.for_s", &part.for_s)?;
            (part.for_s.iter()).try_for_each(|s| between("outage.for_s", *s, 0.001, LONGEST_S))?;
            between("outage.at_s", part.at_s, 0.05, LONGEST_S)?;
            between("outage.user_timeout_s", part.user_timeout_s, 0.1, LONGEST_S)?;
        }
        if let Some(part) = &self.combench {
            Common::from(part).check("combench")?;
            percents("combench.percent", &part.percent)?;
            link("combench.link", &part.link)?;
            payload("combench.payload_bytes", part.payload_bytes)?;
            let subscribers = f64::from(part.subscribers);
            at_least("combench.subscribers", subscribers, 1.0, 1_000.0)?;
        }
        if self.main.is_none()
            && self.packet_loss.is_none()
            && self.outage.is_none()
            && self.combench.is_none()
        {
            return Err(wrong(
                "the plan",
                "has none of [main], [packet_loss], [outage] and [combench], so nothing is measured"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

/// Headers of IP and TCP, and of MQTT with the topic and the mark that payloads begin with.
const FEWEST_BYTES_KEPT: f64 = 160.0;

/// What all parts have.
#[derive(Clone, Copy, Debug)]
pub(super) struct Common<'p> {
    pub(super) qos: &'p [u8],
    pub(super) schedule: ScheduleKind,
    pub(super) rate_per_s: f64,
    pub(super) count: u32,
    pub(super) warm_up: u32,
    pub(super) drain_s: Option<f64>,
    pub(super) blocks: Option<u32>,
}

macro_rules! common {
    ($($part:ty),+) => {$(
        impl<'p> From<&'p $part> for Common<'p> {
            fn from(part: &'p $part) -> Self {
                Self {
                    qos: &part.qos,
                    schedule: part.schedule,
                    rate_per_s: part.rate_per_s,
                    count: part.count,
                    warm_up: part.warm_up,
                    drain_s: part.drain_s,
                    blocks: part.blocks,
                }
            }
        }
    )+};
}

common!(MainPart, PacketLossPart, OutagePart, CombenchPart);

impl Common<'_> {
    fn check(&self, part: &str) -> Result<(), PlanError> {
        let key = |name: &str| format!("{part}.{name}");
        levels(&key("qos"), self.qos)?;
        if let Some(qos) = self.qos.iter().find(|qos| **qos > 2) {
            return Err(wrong(&key("qos"), format!("{qos} is none of 0, 1 and 2")));
        }
        between(&key("rate_per_s"), self.rate_per_s, 0.01, 100_000.0)?;
        at_least(&key("count"), f64::from(self.count), 1.0, 10_000_000.0)?;
        at_least(&key("warm_up"), f64::from(self.warm_up), 0.0, 1_000_000.0)?;
        if let Some(drain) = self.drain_s {
            between(&key("drain_s"), drain, 0.001, LONGEST_S)?;
        }
        match self.blocks {
            Some(blocks) => at_least(&key("blocks"), f64::from(blocks), 1.0, 1_000.0),
            None => Ok(()),
        }
    }
}

fn wrong(key: &str, problem: String) -> PlanError {
    PlanError::Value {
        key: key.to_owned(),
        problem,
    }
}

fn between(key: &str, value: f64, low: f64, high: f64) -> Result<(), PlanError> {
    if (low..=high).contains(&value) {
        return Ok(());
    }
    Err(wrong(
        key,
        format!("{value} is not between {low} and {high}"),
    ))
}

/// The same for what is counted.
fn at_least(key: &str, value: f64, low: f64, high: f64) -> Result<(), PlanError> {
    between(key, value, low, high)
}

fn percents(key: &str, values: &[f64]) -> Result<(), PlanError> {
    levels(key, values)?;
    let is_none = |value: &&f64| !(0.0..=WHOLE).contains(*value);
    match values.iter().find(is_none) {
        Some(value) => Err(wrong(
            key,
            format!("{value} is no share of packets; it is a number from 0 to 100"),
        )),
        None => Ok(()),
    }
}

fn payload(key: &str, bytes: u64) -> Result<(), PlanError> {
    match bytes {
        0 => Err(wrong(
            key,
            "a payload of 0 bytes cannot be told from others; 1 is the least".to_owned(),
        )),
        _ if bytes > 200_000_000 => Err(wrong(key, format!("{bytes} is more than MQTT carries"))),
        _ => Ok(()),
    }
}

/// There are some, and none twice.
fn levels<T: PartialEq + std::fmt::Debug>(key: &str, values: &[T]) -> Result<(), PlanError> {
    if values.is_empty() {
        return Err(wrong(key, "is empty; one value is the least".to_owned()));
    }
    let again = (1..values.len()).find(|at| values[..*at].contains(&values[*at]));
    match again {
        Some(at) => Err(wrong(key, format!("{:?} stands there twice", values[at]))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_plan_says_what_is_default() {
        let written = Plan::whole();
        let defaults = Plan {
            main: Some(MainPart::default()),
            packet_loss: Some(PacketLossPart::default()),
            outage: Some(OutagePart::default()),
            combench: Some(CombenchPart::default()),
            ..Plan::default()
        };
        assert_eq!(written, defaults);
        let quick = Plan::quick();
        assert_eq!(quick.seed, written.seed);
        assert_eq!(quick.main.as_ref().unwrap().links, ["wired", "wireless"]);
    }

    #[test]
    fn a_plan_survives_the_manifest() {
        let plan = Plan::parse(
            "[links.far.both_ways]\ndelay_ms = 280\n[main]\nlinks = [\"far\"]\ncount = 3\n",
        )
        .unwrap();
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<Plan>(&text).unwrap(), plan);
        assert!(plan.profiles().unwrap().get("far").is_ok());
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, expected) in [
            ("", "the plan has none of [main]"),
            ("[main]\nqos = [0]\npayload = [3]\n", "line 3"),
            (
                "[main]\nqos = [0]\npayload = [3]\n",
                "unknown field `payload`",
            ),
            (
                "[packet_loss]\npercent = [5, 140]",
                "packet_loss.percent: 140 is no share",
            ),
            (
                "[combench]\npercent = [-1]",
                "combench.percent: -1 is no share",
            ),
            ("[main]\nqos = [3]", "main.qos: 3 is none of 0, 1 and 2"),
            ("[main]\nqos = []", "main.qos: is empty"),
            (
                "[main]\npayload_bytes = [0]",
                "main.payload_bytes: a payload of 0",
            ),
            ("[main]\npayload_bytes = [16, 16]", "16 stands there twice"),
            (
                "[main]\nrate_per_s = 0",
                "main.rate_per_s: 0 is not between",
            ),
            ("[main]\ncount = 0", "main.count: 0 is not between 1 and"),
            (
                "[main]\nlinks = [\"wierd\"]",
                "main.links: there is no link profile \"wierd\"",
            ),
            ("blocks = 0\n[main]", "blocks: 0 is not between"),
            (
                "snap_length = 20\n[main]",
                "snap_length: 20 is not between 160",
            ),
            (
                "[links.x.both_ways]\nloss = { independent = { percent = 140 } }\n[main]",
                "loss.independent.percent",
            ),
            ("[broker]\nkind = \"hive\"\n[main]", "line 2"),
        ] {
            let error = Plan::parse(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
