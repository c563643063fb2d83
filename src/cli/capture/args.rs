//! The arguments of `capture`.

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use crate::cli::args::{CommonArgs, ResultArgs};

#[derive(Debug, Args)]
pub(in crate::cli) struct CaptureLiveArgs {
    /// The interface; any for all of them (Linux)
    #[arg(
        short,
        long,
        value_name = "IFACE",
        required_unless_present_any = ["read", "list"],
        conflicts_with = "read"
    )]
    pub(super) interface: Option<String>,

    /// Read along what somebody else captures: - for standard input, a named pipe, or a file
    #[arg(short, long, value_name = "FILE")]
    pub(super) read: Option<PathBuf>,

    /// List the interfaces
    #[arg(long, conflicts_with_all = ["interface", "read"])]
    pub(super) list: bool,

    /// Write the frames to this pcapng file, too
    #[arg(short, long, value_name = "FILE.pcapng")]
    pub(super) write: Option<PathBuf>,

    /// End after so long (without: at Ctrl-C)
    #[arg(long, value_name = "DURATION")]
    pub(super) duration: Option<String>,

    /// Print a line of figures so often
    #[arg(long, value_name = "DURATION", default_value = "1s")]
    pub(super) interval: String,

    /// How to print these lines; with jsonl, the summary at the end is one of them
    #[arg(long, value_enum, default_value = "text")]
    pub(super) format: LineFormat,

    /// Cut frames to so many bytes
    #[arg(
        short,
        long = "snaplen",
        value_name = "BYTES",
        default_value = "262144",
        value_parser = clap::value_parser!(u32).range(64..=262_144)
    )]
    pub(super) snap_length: u32,

    /// The system's buffer, which holds what comes while this program is not at it: a number of
    /// bytes, with k, M or G
    #[arg(long, value_name = "SIZE", default_value = "64M", value_parser = size)]
    pub(super) buffer: u64,

    /// Memory for what waits between reading, analysing and writing
    #[arg(long, value_name = "SIZE", default_value = "256M", value_parser = size)]
    pub(super) queue: u64,

    /// Leave the interface as it is: only frames from and for this machine
    #[arg(long)]
    pub(super) no_promiscuous: bool,

    /// Take each frame at once, not several together: lines are no earlier for it, and each frame
    /// costs more
    #[arg(long)]
    pub(super) immediate: bool,

    /// When started as root, go on as this user once the interface is open (by default who called
    /// sudo; root: stay)
    #[arg(long, value_name = "NAME")]
    pub(super) user: Option<String>,

    #[command(flatten)]
    pub(super) common: CommonArgs,

    #[command(flatten)]
    pub(super) results: ResultArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum LineFormat {
    /// For people
    Text,
    /// One JSON object per line
    Jsonl,
}

/// Bytes as people write them: `65536`, `512k`, `64M`, `1G`, in powers of 1024.
fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| !letter.is_ascii_digit());
    let factor = match text
        .get(digits.len()..)
        .map(str::to_ascii_lowercase)
        .as_deref()
    {
        Some("") => Some(1),
        Some("k" | "kib" | "kb") => Some(1 << 10),
        Some("m" | "mib" | "mb") => Some(1 << 20),
        Some("g" | "gib" | "gb") => Some(1 << 30),
        _ => None,
    };
    let number = digits.parse::<u64>().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|&bytes| (1 << 16..=1 << 31).contains(&bytes))
        .ok_or_else(|| "write a size from 64k to 2G, like 64M".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_write_them() {
        for (text, bytes) in [
            ("65536", 1 << 16),
            ("64M", 64 << 20),
            ("512k", 512 << 10),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "M", "1", "3G", "64 T", "-1M", "1e6", "64MM"] {
            assert!(size(text).is_err(), "{text}");
        }
    }
}
