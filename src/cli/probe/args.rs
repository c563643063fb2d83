//! The arguments of `mqttscope probe` as they are typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

#[derive(Debug, Args)]
pub(in crate::cli) struct ProbeArgs {
    /// The broker: mqtt://HOST:PORT, or mqtts://HOST:PORT for TLS
    #[arg(value_name = "URL", default_value = "mqtt://localhost:1883")]
    pub(super) url: String,

    /// Measure an embedded broker on this machine's loopback instead: nothing has to be installed.
    /// It forwards QoS 2 messages at pubrel, as mosquitto does, or at publish
    #[arg(long, value_name = "WHEN", num_args = 0..=1, require_equals = true,
          default_missing_value = "pubrel", value_enum, conflicts_with = "resume")]
    pub(super) embedded: Option<Forwarding>,

    /// Do not measure the tool's own floor against an embedded broker first
    #[arg(long)]
    pub(super) no_baseline: bool,

    /// Measure nothing: say what broker it is, and whether it would fake results
    #[arg(long, conflicts_with_all = ["output", "resume"])]
    pub(super) check: bool,

    #[command(flatten)]
    pub(super) design: DesignArgs,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,

    #[command(flatten)]
    pub(super) faults: FaultArgs,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    /// Write samples.csv, cells.csv, manifest.json and histograms to this directory
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,

    /// Go on with an interrupted run in this directory: same options, cells that are missing
    #[arg(long, value_name = "DIR", conflicts_with = "output")]
    pub(super) resume: Option<PathBuf>,

    /// Write to the directory although it holds files of other origin
    #[arg(long)]
    pub(super) force: bool,

    /// Print the cells as JSON instead of a table
    #[arg(long)]
    pub(super) json: bool,

    /// Really send more than 10,000 messages/s, or from more than 1,000 clients, to another host
    #[arg(long)]
    pub(super) yes: bool,

    /// Write text that a spreadsheet could take for a formula without the ' in front
    #[arg(long)]
    pub(super) raw_csv: bool,
}

/// What is measured.
#[derive(Debug, Args)]
#[command(next_help_heading = "Experiment")]
pub(super) struct DesignArgs {
    /// QoS of the publishers
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "0,1,2",
          value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(super) qos: Vec<u8>,

    /// QoS of the subscriptions (that of the publishers)
    #[arg(long, value_name = "LIST", value_delimiter = ',',
          value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(super) sub_qos: Vec<u8>,

    /// Sizes of the payloads in bytes: 16, 1k, 64KiB, 1M (k = 1024)
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "16")]
    pub(super) payload: Vec<String>,

    /// Messages per second of each publisher, or max: as fast as the window allows
    #[arg(long, value_name = "RATE", default_value = "100")]
    pub(super) rate: String,

    /// Messages of each publisher in each cell, warm-up not counted (1000)
    #[arg(long, value_name = "N", conflicts_with = "duration",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) count: Option<u32>,

    /// How long each cell sends, instead of a count
    #[arg(long, value_name = "DURATION")]
    pub(super) duration: Option<String>,

    /// How messages are spread over time: poisson, fixed, or burst:N for N at once
    #[arg(long, value_name = "KIND", default_value = "poisson")]
    pub(super) schedule: String,

    /// How often to measure every condition: each time all of them, in a random order
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(super) repeat: u32,

    /// Publishing clients
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) publishers: u32,

    /// Subscribing clients; each gets the messages of all publishers
    #[arg(long, value_name = "N", default_value = "1",
          value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) subscribers: u32,

    /// QoS 1 and 2 messages in flight per publisher, at most; the broker's Receive Maximum holds
    /// too
    #[arg(long, value_name = "N", default_value = "20",
          value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) window: u16,

    /// Messages of each publisher and cell that come first and do not count (a tenth of the
    /// count, at most 100)
    #[arg(long, value_name = "N")]
    pub(super) warm_up: Option<u32>,

    /// What comes later than this after it was due is late
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) deadline: String,

    /// How long to wait for the last messages of a cell (twice the deadline)
    #[arg(long, value_name = "DURATION")]
    pub(super) drain: Option<String>,

    /// Decides the order of the cells and the times of the messages (random, and written down)
    #[arg(long, value_name = "N")]
    pub(super) seed: Option<u64>,

    /// What topics begin with
    #[arg(long, value_name = "TOPIC", default_value = "mqttscope")]
    pub(super) topic_prefix: String,
}

/// How client and broker know each other.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[serde(default)]
pub(in crate::cli) struct SecurityArgs {
    /// Trust these CAs (PEM) instead of the system's
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) ca: Option<PathBuf>,

    /// The client's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "key")]
    pub(in crate::cli) cert: Option<PathBuf>,

    /// The key of the client's certificate (PEM)
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub(in crate::cli) key: Option<PathBuf>,

    /// A file with the user name in its first line and the password in its second; otherwise
    /// MQTTSCOPE_USERNAME and MQTTSCOPE_PASSWORD have them
    #[arg(long, value_name = "FILE")]
    pub(in crate::cli) credentials: Option<PathBuf>,
}

/// How the broker is spoken with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectionArgs {
    /// The client under test: the measuring one, with stamps at the socket, or rumqttc, with stamps
    /// where its events come out
    #[arg(long, value_enum, default_value = "measuring")]
    pub(super) client: Client,

    /// The version of MQTT (5; with --client rumqttc 3.1.1, and no other)
    #[arg(long, value_enum)]
    pub(super) mqtt: Option<Version>,

    #[command(flatten)]
    pub(super) security: SecurityArgs,

    /// Keep sessions when a connection is lost, and resume them (so with --outage and --reset)
    #[arg(long)]
    pub(super) keep_session: bool,

    /// How long to wait for the broker's answer when connecting
    #[arg(long, value_name = "DURATION", default_value = "5s")]
    pub(super) connect_timeout: String,
}

/// What is done to the connections, by a proxy of this process between clients and broker. Its
/// schedule begins anew with each cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Faults")]
pub(super) struct FaultArgs {
    /// Reset all connections, and refuse new ones for a while: 'every 10s for 2s'
    #[arg(long, value_name = "SCHEDULE")]
    pub(super) outage: Option<String>,

    /// Reset all connections: 'every 7s'
    #[arg(long, value_name = "SCHEDULE")]
    pub(super) reset: Option<String>,

    /// Let no byte move for a while: 'every 5s for 1s'
    #[arg(long, value_name = "SCHEDULE")]
    pub(super) stall: Option<String>,

    /// Let so many bytes through in each direction, all clients together: 64kB/s, 8Mbit/s
    #[arg(long, value_name = "RATE")]
    pub(super) throttle: Option<String>,

    /// Hold every byte back for so long, in each direction: 20ms
    #[arg(long, value_name = "DURATION")]
    pub(super) delay: Option<String>,
}

/// When the tool distrusts itself.
#[derive(Debug, Args)]
#[command(next_help_heading = "Trust")]
pub(super) struct TrustArgs {
    /// A cell is invalid if more than 1 % of messages that nothing held up were sent later than
    /// this after they were due
    #[arg(long, value_name = "DURATION", default_value = "1ms")]
    pub(super) max_send_lag: String,

    /// A cell is invalid if a measuring thread waited for a processor for a larger share of the
    /// time than this
    #[arg(long, value_name = "PERCENT", default_value = "5%")]
    pub(super) max_lost_cpu: String,

    /// Exit with 3 if this is so in any condition: 'response_qos1.p99>50ms',
    /// 'service_qos2.median>20ms', 'puback.median>5ms', 'loss.qos1>0.1%'. Repeatable
    #[arg(long = "fail-on", value_name = "EXPRESSION", conflicts_with = "check")]
    pub(super) fail_on: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Forwarding {
    /// When the publisher released it
    Pubrel,
    /// When it came
    Publish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Client {
    /// This program's own
    Measuring,
    /// rumqttc 0.25
    Rumqttc,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Version {
    /// MQTT 3.1.1
    #[value(name = "3.1.1", alias = "4", alias = "3")]
    V311,
    /// MQTT 5
    #[value(name = "5", alias = "5.0")]
    V5,
}
