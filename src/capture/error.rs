//! Why a capture could not be opened.

use std::fmt;
use std::io;
use std::path::PathBuf;

use super::source::Compression;

/// Why nothing could be read. Each text says what, where and what to do about it.
#[derive(Debug)]
pub enum CaptureError {
    /// No path was given.
    NothingNamed,
    /// The file could not be opened.
    Open {
        /// As given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file could be opened, but reading its first bytes failed.
    Read {
        /// As given.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// The file, or what is packed in it, has no bytes.
    Empty {
        /// As given.
        path: PathBuf,
        /// How it is packed, if it is.
        compression: Option<Compression>,
    },
    /// The file is none of the formats that can be read.
    NotACapture {
        /// As given.
        path: PathBuf,
        /// How it is packed, if it is.
        compression: Option<Compression>,
        /// What it seems to be.
        foreign: Foreign,
    },
    /// The file begins as a packed one, but cannot be unpacked.
    Unpack {
        /// As given.
        path: PathBuf,
        /// How it says it is packed.
        compression: Compression,
        /// The unpacker's reason.
        source: io::Error,
    },
    /// The directory has no capture file in it.
    NoCaptureInDirectory {
        /// As given.
        path: PathBuf,
        /// How many files it holds that are no captures.
        skipped: u64,
    },
    /// Standard input was named more than once.
    StdinTwice,
    /// Standard input is a terminal.
    StdinIsTerminal,
}

/// What a file that is no capture seems to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Foreign {
    /// Solaris snoop (RFC 1761).
    Snoop,
    /// Microsoft Network Monitor.
    NetworkMonitor,
    /// Network General Sniffer.
    Sniffer,
    /// Packed in a way that is not unpacked here, with the program that does.
    Packed(&'static str),
    /// Readable text, JSON for example.
    Text,
    /// Anything else.
    Unknown,
}

impl fmt::Display for CaptureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingNamed => write!(f, "no capture named: give a file, a directory or '-'"),
            Self::Open { path, source } => {
                let path = path.display();
                match source.kind() {
                    io::ErrorKind::NotFound => write!(f, "{path} does not exist: check the path"),
                    io::ErrorKind::PermissionDenied => {
                        write!(
                            f,
                            "{path} may not be read by this user: change its permissions"
                        )
                    }
                    _ => write!(f, "cannot open {path}: {source}"),
                }
            }
            Self::Read { path, source } => write!(f, "cannot read {}: {source}", path.display()),
            Self::Empty { path, compression } => {
                write!(f, "{} is empty", path.display())?;
                if let Some(compression) = compression {
                    write!(f, " once unpacked ({compression})")?;
                }
                write!(f, ": the capture was not started, or wrote nothing yet")
            }
            Self::NotACapture {
                path,
                compression,
                foreign,
            } => {
                write!(f, "{} is no pcap or pcapng file", path.display())?;
                if let Some(compression) = compression {
                    write!(f, " once unpacked ({compression})")?;
                }
                write!(f, "{foreign}")
            }
            Self::Unpack {
                path,
                compression,
                source,
            } => write!(
                f,
                "{} begins as {compression}, but cannot be unpacked ({source}): make or copy it again",
                path.display()
            ),
            Self::NoCaptureInDirectory { path, skipped } => write!(
                f,
                "no pcap or pcapng file in {} ({skipped} other file{}; subdirectories are not \
                 searched): name the directory that holds the captures",
                path.display(),
                if *skipped == 1 { "" } else { "s" }
            ),
            Self::StdinTwice => write!(f, "'-' (standard input) can be named only once"),
            Self::StdinIsTerminal => write!(
                f,
                "standard input is a terminal: pipe a capture in, for example from `tcpdump -U -w -`"
            ),
        }
    }
}

impl fmt::Display for Foreign {
    /// What follows "… is no pcap or pcapng file".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const CONVERT: &str = "convert it with `editcap IN OUT.pcapng`";
        match self {
            Self::Snoop => write!(f, " but a snoop capture: {CONVERT}"),
            Self::NetworkMonitor => {
                write!(f, " but a Microsoft Network Monitor capture: {CONVERT}")
            }
            Self::Sniffer => write!(f, " but a Sniffer capture: {CONVERT}"),
            Self::Packed(program) => write!(f, " but packed with {program}: unpack it first"),
            Self::Text => write!(f, " but text: give the capture it was made from"),
            Self::Unknown => write!(
                f,
                ": `capinfos` tells what it is, and `editcap IN OUT.pcapng` may convert it"
            ),
        }
    }
}

impl std::error::Error for CaptureError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Open { source, .. } | Self::Read { source, .. } | Self::Unpack { source, .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
