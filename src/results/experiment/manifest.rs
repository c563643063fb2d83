//! manifest.json.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What [`Manifest::schema`] says of a probe.
pub const PROBE_SCHEMA: &str = "mqttscope.probe/1";
/// What [`Manifest::schema`] says of a study.
pub const STUDY_SCHEMA: &str = "mqttscope.study/1";

/// One run of an experiment: everything that its tables do not say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// [`PROBE_SCHEMA`] or [`STUDY_SCHEMA`].
    pub schema: String,
    /// The version of mqttscope.
    pub tool_version: String,
    /// The seed of everything that is random.
    pub seed: u64,
    /// When it began, nanoseconds since the Unix epoch.
    pub started_ns: i64,
    /// When it ended; missing while it runs, and where it was interrupted.
    pub ended_ns: Option<i64>,
    /// How long a message may take before it counts as late.
    pub deadline_ns: i64,
    /// Messages of each publisher and cell that were sent first and left out.
    pub warmup: u64,
    /// Blocks that the plan has.
    pub blocks: u32,
    /// Cells that the plan has, all blocks together.
    pub cells_planned: u32,
    /// Cells that are finished.
    pub cells_finished: u32,
    /// The machine.
    pub host: HostRecord,
    /// The clocks.
    pub clock: ClockRecord,
    /// The broker.
    pub broker: BrokerRecord,
    /// Every option, by its long name.
    pub options: BTreeMap<String, Value>,
    /// The plan, as it was read or put together.
    pub plan: Value,
    /// Links as set and as measured before the run (study).
    pub links: Vec<LinkRecord>,
    /// What the broker said of itself around each cell (`$SYS`), in the order of measurement.
    pub sys: Vec<CellSys>,
    /// What `probe --check` found, verdict by name.
    pub checks: BTreeMap<String, Value>,
    /// The tool's own floor: what a measurement against the embedded broker gave.
    pub baseline: Option<Value>,
    /// Versions of everything else that took part: libraries, programs.
    pub versions: BTreeMap<String, String>,
    /// What the reader of the numbers should know.
    pub notes: Vec<String>,
}

/// The machine that measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct HostRecord {
    /// `linux`.
    pub os: String,
    /// Release and version of the kernel.
    pub kernel: String,
    /// `x86_64`, `aarch64`.
    pub architecture: String,
    /// Processors that this process could use.
    pub cpus: u64,
    /// What the processor calls itself.
    pub cpu_model: Option<String>,
    /// Whether idle processors were kept from falling asleep while cells were measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kept_awake: Option<bool>,
}

/// The clocks that stamped.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ClockRecord {
    /// The clock of the stamps: `CLOCK_MONOTONIC`.
    pub source: String,
    /// Added to each reading: nanoseconds from the clock's zero to the Unix epoch.
    pub epoch_offset_ns: i64,
    /// How far the system's clock had moved against it when the run ended.
    pub drift_ns: Option<i64>,
    /// The error between publisher's and subscriber's clock; 0 where they are one.
    pub error_ns: i64,
}

/// The broker that was measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct BrokerRecord {
    /// `mosquitto`, `embedded`, or what it is taken for.
    pub name: String,
    /// Its version, as it says itself.
    pub version: Option<String>,
    /// Where it was reached, without a user or password.
    pub url: Option<String>,
    /// The configuration that it was started with.
    pub configuration: Option<String>,
    /// When it forwards at QoS 2: `PUBREL` or `PUBLISH`.
    pub qos2_forwarded_at: Option<String>,
}

/// What the broker said of itself before and after a cell. It may be as old as its interval.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct CellSys {
    /// The cell.
    pub cell: u32,
    /// Before its first message.
    pub before: Option<SysRecord>,
    /// After its last.
    pub after: Option<SysRecord>,
    /// What the clients of the cell wrote and read.
    pub ours: PublishCount,
}

/// PUBLISH packets of a cell as its clients have them: warm-up, sentinels, copies and what was
/// sent again included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PublishCount {
    /// Written by publishers: to be compared with `publish_received`.
    pub sent: u64,
    /// Read by subscribers: to be compared with `publish_sent`.
    pub received: u64,
}

impl PublishCount {
    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            sent: self.sent.saturating_add(other.sent),
            received: self.received.saturating_add(other.received),
        }
    }
}

/// What a broker says of itself: counts since it started, and `None` of what it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SysRecord {
    /// What it is.
    pub version: Option<String>,
    /// Seconds since it started, when it counted.
    pub uptime_s: Option<u64>,
    /// Control packets from clients.
    pub messages_received: Option<u64>,
    /// Control packets to clients.
    pub messages_sent: Option<u64>,
    /// PUBLISH packets from clients.
    pub publish_received: Option<u64>,
    /// PUBLISH packets to clients.
    pub publish_sent: Option<u64>,
    /// Messages that it dropped: queues were full, say.
    pub publish_dropped: Option<u64>,
    /// Bytes from clients.
    pub bytes_received: Option<u64>,
    /// Bytes to clients.
    pub bytes_sent: Option<u64>,
    /// Clients that are connected.
    pub clients_connected: Option<u64>,
    /// Clients, connected or not.
    pub clients_total: Option<u64>,
    /// Subscriptions.
    pub subscriptions: Option<u64>,
    /// Retained messages.
    pub retained: Option<u64>,
}

/// One way through an emulated link: as set, and as measured before the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LinkRecord {
    /// The profile's name.
    pub profile: String,
    /// Where its numbers are from.
    pub source: String,
    /// Everything that was set, by name.
    pub settings: BTreeMap<String, Value>,
    /// Delay one way: set.
    pub delay_ns: Option<i64>,
    /// Delay one way: measured, at the median.
    pub measured_delay_ns: Option<i64>,
    /// Share of packets lost: set.
    pub loss_ratio: Option<f64>,
    /// Share of packets lost: measured.
    pub measured_loss_ratio: Option<f64>,
    /// Lower end of its interval.
    pub measured_loss_ci_low: Option<f64>,
    /// Upper end of its interval.
    pub measured_loss_ci_high: Option<f64>,
    /// Bits per second: set.
    pub rate_bits_per_s: Option<f64>,
    /// Bits per second: measured.
    pub measured_rate_bits_per_s: Option<f64>,
    /// Whether the link does what it was set to.
    pub met: bool,
}
