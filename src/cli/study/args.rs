//! The arguments of `mqttscope study` as they are typed.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::cli::probe::SecurityArgs;

#[derive(Debug, Args)]
pub(in crate::cli) struct StudyArgs {
    /// What to measure (TOML); without it, the default plan
    #[arg(value_name = "PLAN", conflicts_with_all = ["quick", "from", "resume"])]
    pub(super) plan: Option<PathBuf>,

    /// Measure the quick plan: every QoS, two links, three sizes, outages, in under 3 minutes
    #[arg(long, conflicts_with_all = ["from", "resume"])]
    pub(super) quick: bool,

    /// Print the default plan with comments (with --quick that one), and measure nothing
    #[arg(long, conflicts_with_all = ["plan", "from", "resume", "output"])]
    pub(super) print_plan: bool,

    /// Say what would be measured and how long it would take, and measure nothing
    #[arg(long, conflicts_with_all = ["from", "resume", "output"])]
    pub(super) dry_run: bool,

    /// Write captures, tables and the report to this directory
    #[arg(short, long, value_name = "DIR",
          required_unless_present_any = ["print_plan", "dry_run", "resume"])]
    pub(super) output: Option<PathBuf>,

    /// Analyse the captures and samples of an earlier run again: no rights, no broker
    #[arg(long, value_name = "DIR")]
    pub(super) from: Option<PathBuf>,

    /// Go on with an interrupted run in this directory: the cells that are missing
    #[arg(long, value_name = "DIR", conflicts_with_all = ["output", "from"])]
    pub(super) resume: Option<PathBuf>,

    /// Decides order, schedules and losses, instead of the plan's seed
    #[arg(long, value_name = "N", conflicts_with_all = ["from", "resume"])]
    pub(super) seed: Option<u64>,

    #[command(flatten)]
    pub(super) place: PlaceArgs,

    /// Put the captures, and all that --from needs, into this directory instead of DIR/captures
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    pub(super) captures: Option<PathBuf>,

    /// Keep no captures once they are analysed
    #[arg(long, conflicts_with_all = ["captures", "from"])]
    pub(super) no_captures: bool,

    /// Write samples.csv.zst instead of samples.csv
    #[arg(long)]
    pub(super) compress: bool,

    /// Write to the directory although it holds files of other origin
    #[arg(long)]
    pub(super) force: bool,
}

/// In which network, and through which broker.
#[derive(Clone, Debug, Default, Args, Serialize, Deserialize)]
#[serde(default)]
#[command(next_help_heading = "Network")]
pub(super) struct PlaceArgs {
    /// How the network is made: auto, tun and veth emulate hosts and links (root, or a user
    /// namespace); proxy is a TCP proxy that needs no rights: delay, rate and outages, no packet
    /// loss, no captures
    #[arg(long, value_name = "KIND", value_enum, default_value = "auto")]
    pub(super) lab: LabKind,

    /// Measure a real network instead: main's QoS and payloads through the broker at this URL
    #[arg(long, value_name = "URL", conflicts_with_all = ["lab", "broker_command"])]
    pub(super) broker: Option<String>,

    /// What the real network is called in the tables
    #[arg(
        long,
        value_name = "NAME",
        default_value = "network",
        requires = "broker"
    )]
    pub(super) link: String,

    #[command(flatten)]
    #[serde(flatten)]
    pub(super) security: SecurityArgs,

    /// Start this broker on the broker's host instead of mosquitto; it has to listen at
    /// $MQTTSCOPE_BROKER_ADDRESS, port $MQTTSCOPE_BROKER_PORT
    #[arg(long, value_name = "COMMAND")]
    pub(super) broker_command: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum LabKind {
    /// TUN devices, or veth pairs where they cannot be opened
    #[default]
    Auto,
    /// TUN devices
    Tun,
    /// veth pairs with packet sockets
    Veth,
    /// A TCP proxy for each link
    Proxy,
}
