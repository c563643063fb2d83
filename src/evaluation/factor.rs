//! What cells differ in.

use crate::results::CellRow;

/// A condition column of cells.csv.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Factor {
    /// QoS of the PUBLISH to the broker.
    Qos,
    /// QoS that receivers asked for, where that is another.
    QosSubscribed,
    /// Length of the payloads.
    PayloadBytes,
    /// The publisher's link.
    Link,
    /// The share of packets that links were told to lose.
    PacketLoss,
    /// What was done to connections.
    Fault,
    /// `poisson`, `fixed` or `burst`.
    Schedule,
    /// Messages per second and publisher.
    Rate,
    /// How many publishers.
    Publishers,
    /// How many receivers.
    Subscribers,
    /// The client under test.
    Client,
}

impl Factor {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Qos,
        Self::QosSubscribed,
        Self::PayloadBytes,
        Self::Link,
        Self::PacketLoss,
        Self::Fault,
        Self::Schedule,
        Self::Rate,
        Self::Publishers,
        Self::Subscribers,
        Self::Client,
    ];

    /// Its column.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Qos => "qos",
            Self::QosSubscribed => "qos_subscribed",
            Self::PayloadBytes => "payload_bytes",
            Self::Link => "link",
            Self::PacketLoss => "packet_loss_ratio",
            Self::Fault => "fault",
            Self::Schedule => "schedule",
            Self::Rate => "rate_per_s",
            Self::Publishers => "publishers",
            Self::Subscribers => "subscribers",
            Self::Client => "client",
        }
    }

    /// The level of a cell; `none` where there is none.
    #[must_use]
    pub fn level(self, cell: &CellRow) -> String {
        let or_none = |text: Option<&str>| text.unwrap_or("none").to_owned();
        match self {
            Self::Qos => cell.qos.to_string(),
            Self::QosSubscribed => cell.qos_subscribed.to_string(),
            Self::PayloadBytes => cell.payload_bytes.to_string(),
            Self::Link => or_none(cell.link.as_deref()),
            Self::PacketLoss => cell
                .packet_loss_ratio
                .map_or_else(|| or_none(None), |ratio| ratio.to_string()),
            Self::Fault => or_none(cell.fault.as_deref()),
            Self::Schedule => cell.schedule.to_string(),
            // Of a closed loop the rate is a result.
            Self::Rate if &*cell.schedule == "closed_loop" => or_none(None),
            Self::Rate => cell.rate_per_s.to_string(),
            Self::Publishers => cell.publishers.to_string(),
            Self::Subscribers => cell.subscribers.to_string(),
            Self::Client => cell.client.to_string(),
        }
    }

    /// `qos=2`.
    #[must_use]
    pub fn text(self, level: &str) -> String {
        format!("{}={level}", self.name())
    }

    /// Its levels among cells, in the order in which they come.
    #[must_use]
    pub fn levels(self, cells: &[&CellRow]) -> Vec<String> {
        let mut levels: Vec<String> = Vec::new();
        let mut by_condition: Vec<&&CellRow> = cells.iter().collect();
        by_condition.sort_by_key(|cell| (cell.condition, cell.cell));
        for cell in by_condition {
            let level = self.level(cell);
            if !levels.contains(&level) {
                levels.push(level);
            }
        }
        levels
    }
}

/// What these cells differ in. The subscriptions' QoS is a factor where it is not always that of
/// the publishers.
#[must_use]
pub fn factors(cells: &[&CellRow]) -> Vec<Factor> {
    let same_qos = cells.iter().all(|cell| cell.qos == cell.qos_subscribed);
    Factor::ALL
        .into_iter()
        .filter(|factor| !(same_qos && *factor == Factor::QosSubscribed))
        .filter(|factor| factor.levels(cells).len() > 1)
        .collect()
}

/// The parts of a run, in the order in which they come.
pub(super) fn parts(cells: &[CellRow]) -> Vec<&str> {
    let mut parts: Vec<&str> = Vec::new();
    for cell in cells {
        if !parts.contains(&&*cell.part) {
            parts.push(&cell.part);
        }
    }
    parts
}

/// The conditions that `held` have in a cell: `qos=2 link=wired`, with the part in front where a
/// run has several.
pub(super) fn describe(part: Option<&str>, held: &[(Factor, String)]) -> String {
    let part = part.map(|part| format!("part={part}"));
    let held = held.iter().map(|(factor, level)| factor.text(level));
    let words: Vec<String> = part.into_iter().chain(held).collect();
    if words.is_empty() {
        "all".to_owned()
    } else {
        words.join(" ")
    }
}
