//! The arguments as they are typed. `settings` makes of them what the commands work with.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::lint::Thresholds;

pub(super) use super::capture::args::CaptureLiveArgs;
use super::probe::ProbeArgs;
#[cfg(target_os = "linux")]
use super::study::StudyArgs;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 could not do it; 2 wrong usage; \
     3 done, but a threshold is broken or a measurement invalid.";

/// What MQTT really does on a network: every packet, handshake and delay, from captures.
#[derive(Debug, Parser)]
#[command(name = "mqttscope", version, after_help = EXIT_CODES, max_term_width = 100)]
pub(super) struct Arguments {
    #[command(subcommand)]
    pub(super) command: Command,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Print one row per MQTT control packet, in capture order
    Decode(DecodeArgs),
    /// Analyse captures: connections, sessions, handshakes and their delays
    Analyze(AnalyzeArgs),
    /// Measure loss and delay through a broker, per QoS and payload
    Probe(Box<ProbeArgs>),
    /// Measure how loss and delay go together, over emulated links
    #[cfg(target_os = "linux")]
    Study(Box<StudyArgs>),
    /// Capture from an interface, or read along a pipe, and analyse as it happens
    Capture(Box<CaptureLiveArgs>),
    /// Make plots and report.html again from a directory of results, or compare two
    Report(ReportArgs),
    /// Print a completion script for a shell
    Completions {
        /// The shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual page (roff)
    Man,
}

/// What decode and analyze have in common.
#[derive(Debug, Args)]
pub(super) struct CaptureArgs {
    /// Captures: pcap or pcapng, plain, gzip or zstd; a directory of them; - for standard input.
    /// Several are read as one timeline
    #[arg(required = true, value_name = "FILE")]
    pub(super) files: Vec<PathBuf>,

    #[command(flatten)]
    pub(super) common: CommonArgs,
}

/// How to read frames, wherever they come from.
#[derive(Debug, Args)]
pub(super) struct CommonArgs {
    /// Ports on which MQTT is spoken: PORT, PORT/tls, PORT/ws or PORT/wss
    #[arg(
        short,
        long = "port",
        value_name = "LIST",
        value_delimiter = ',',
        default_value = "1883,8883/tls"
    )]
    pub(super) ports: Vec<String>,

    /// Only frames that match this filter, in tcpdump's syntax
    #[arg(short, long, value_name = "BPF")]
    pub(super) filter: Option<String>,

    /// Only connections of this client identifier
    #[arg(long, value_name = "ID")]
    pub(super) client: Option<String>,

    /// Only messages whose topic matches this filter
    #[arg(long, value_name = "FILTER")]
    pub(super) topic: Option<String>,

    /// Payloads of topics that match are Protobuf messages of this type (repeatable; the first
    /// filter that matches counts)
    #[arg(long, value_name = "TOPIC/FILTER=package.Message", requires = "proto")]
    pub(super) protobuf: Vec<String>,

    /// A .proto file with these types, proto2 or proto3 (repeatable)
    #[arg(long, value_name = "FILE", requires = "protobuf")]
    pub(super) proto: Vec<PathBuf>,

    /// Where .proto files and what they import are looked for (repeatable); by default beside
    /// the named ones
    #[arg(long, value_name = "DIR", requires = "proto")]
    pub(super) proto_path: Vec<PathBuf>,

    /// Only frames from this time on: RFC 3339 (2026-01-31T08:00:00Z) or seconds since 1970
    #[arg(long, value_name = "TIME")]
    pub(super) since: Option<String>,

    /// Only frames before this time
    #[arg(long, value_name = "TIME")]
    pub(super) until: Option<String>,

    /// Key log of TLS connections, as SSLKEYLOGFILE names one; otherwise that variable's file
    #[arg(long = "keylog", value_name = "FILE")]
    pub(super) key_log: Option<PathBuf>,

    /// Take only the named ports for MQTT, not every connection that begins with a CONNECT
    #[arg(long)]
    pub(super) no_detect: bool,

    /// How long a message may take to a receiver: later it is late, after twice as long it is lost
    #[arg(long, value_name = "DURATION", default_value = "10s")]
    pub(super) deadline: String,

    /// Use at most this many threads (one is used in this version)
    #[arg(long, value_name = "N", default_value = "1", value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) threads: u16,

    /// Fail (exit 1) if an input is damaged, although the rest of it could be read
    #[arg(long)]
    pub(super) strict: bool,

    /// Write text that a spreadsheet could take for a formula without the ' in front
    #[arg(long)]
    pub(super) raw_csv: bool,
}

#[derive(Debug, Args)]
pub(super) struct DecodeArgs {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    /// How to print the packets
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: DecodeFormat,

    /// How to show payloads (text and jsonl)
    #[arg(long, value_enum, default_value = "none")]
    pub(super) payload: PayloadFormat,

    /// Write the frames that carried the packets to this pcapng file
    #[arg(short, long, value_name = "OUT.pcapng")]
    pub(super) write: Option<PathBuf>,

    /// Show user names (passwords are never shown)
    #[arg(long)]
    pub(super) show_credentials: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Args)]
pub(super) struct AnalyzeArgs {
    #[command(flatten)]
    pub(super) capture: CaptureArgs,

    #[command(flatten)]
    pub(super) results: ResultArgs,
}

/// What to make of an analysis.
#[derive(Debug, Args)]
pub(super) struct ResultArgs {
    /// Write tables, histograms, plots, report.html and summary.json to this directory
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,

    /// Which parts to write to the directory (all)
    #[arg(long, value_enum, value_delimiter = ',', value_name = "PARTS")]
    pub(super) only: Vec<Part>,

    #[command(flatten)]
    pub(super) diagrams: DiagramArgs,

    #[command(flatten)]
    pub(super) fail_on: FailOnArgs,

    /// Leave messages.csv out, and what is made of it
    #[arg(long)]
    pub(super) no_messages: bool,

    /// Write to the directory although it holds files of other origin
    #[arg(long)]
    pub(super) force: bool,

    /// From where on something is a finding (repeatable); --help lists the thresholds
    #[arg(long = "threshold", value_name = "NAME=VALUE", long_help = threshold_help())]
    pub(super) thresholds: Vec<String>,

    /// Do not look for this finding (repeatable); docs/findings.md has the codes
    #[arg(long, value_name = "CODE")]
    pub(super) ignore: Vec<String>,

    /// Tell user names in findings (passwords are never told)
    #[arg(long)]
    pub(super) show_credentials: bool,

    /// Print summary.json instead of the text
    #[arg(long)]
    pub(super) json: bool,

    /// Succeed although the captures hold no MQTT
    #[arg(long)]
    pub(super) allow_empty: bool,

    /// When to use colours
    #[arg(long, value_enum, default_value = "auto")]
    pub(super) color: ColorChoice,
}

#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// A directory that analyze, capture or probe wrote
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,

    /// Compare with this directory's run: a table on standard output, and compare.html
    #[arg(long, value_name = "DIR2")]
    pub(super) compare: Option<PathBuf>,

    /// Write to this directory instead of the first
    #[arg(short, long, value_name = "DIR")]
    pub(super) output: Option<PathBuf>,

    #[command(flatten)]
    pub(super) diagrams: DiagramArgs,

    #[command(flatten)]
    pub(super) fail_on: FailOnArgs,
}

#[derive(Debug, Args)]
pub(super) struct DiagramArgs {
    /// Draw the packets of this connection as a sequence diagram: its number in connections.csv,
    /// with several taps NUMBER@TAP. Repeatable
    #[arg(long = "diagram", value_name = "CONNECTION")]
    pub(super) connections: Vec<String>,
}

#[derive(Debug, Args)]
pub(super) struct FailOnArgs {
    /// Exit with 3 if this is so: 'delivery_qos1.p99>50ms', 'loss.qos1>0.1%', 'finding>=warning',
    /// 'finding=CODE'. Repeatable
    #[arg(long = "fail-on", value_name = "EXPRESSION")]
    pub(super) expressions: Vec<String>,
}

/// The thresholds with what they mean, from the lint layer's own list.
fn threshold_help() -> String {
    let lines = Thresholds::DOCS.iter().map(|doc| {
        let (name, default) = (doc.name, doc.default);
        format!("  {name}={default}: {}", doc.text)
    });
    let lines: Vec<String> = lines.collect();
    format!(
        "From where on something is a finding (repeatable). Thresholds and their defaults:\n{}",
        lines.join("\n")
    )
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum DecodeFormat {
    /// Lines for people
    Text,
    /// Comma-separated values with a header
    Csv,
    /// One JSON object per line, with every field
    Jsonl,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum PayloadFormat {
    /// Leave them out
    None,
    /// Readable: JSON compactly, Protobuf with the names of its fields, text escaped, else
    /// hexadecimal
    Text,
    /// In base64
    Base64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Part {
    /// The CSV tables
    Tables,
    /// Delay histograms, for HdrHistogram's tools
    Histograms,
    /// The figures as SVG and PNG
    Plots,
    /// report.html
    Report,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Arguments::command().debug_assert();
    }
}
