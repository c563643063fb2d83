//! Why a command could not do its work: each in a sentence that says what, where, and what to do.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::analysis::PortRuleError;
use crate::capture::live::LiveError;
use crate::capture::{CaptureError, FilterError};
use crate::lint::{ThresholdError, catalogue};
use crate::payload::SchemaError;
use crate::results::{self, nearest};

use super::probe::ProbeFailure;
#[cfg(target_os = "linux")]
use super::study::StudyFailure;

#[derive(Debug)]
pub(super) enum Failure {
    Capture(CaptureError),
    Filter(FilterError),
    Port(PortRuleError),
    Time {
        option: &'static str,
        text: String,
    },
    Duration {
        option: &'static str,
        text: String,
    },
    TimesSwapped,
    TopicFilter(String),
    Binding(String),
    Threshold(ThresholdError),
    Code(String),
    Schema(SchemaError),
    ProtoFile {
        path: PathBuf,
        source: io::Error,
    },
    ProtoNames {
        name: String,
        paths: [PathBuf; 2],
    },
    Stdout(io::Error),
    Write {
        path: PathBuf,
        source: io::Error,
    },
    OutputInUse {
        path: PathBuf,
        example: PathBuf,
    },
    OutputNotADirectory(PathBuf),
    OutputIsInput(PathBuf),
    OutputNotAFile(PathBuf),
    FramesToStdout,
    ReadOnce(PathBuf),
    Spool(io::Error),
    KeyLog {
        path: PathBuf,
        source: io::Error,
    },
    NoMqtt(String),
    Damaged(usize),
    FailOn(results::ThresholdError),
    ThresholdsBroken,
    Diagram(String),
    NoResults {
        path: PathBuf,
        detail: String,
    },
    Unreadable {
        path: PathBuf,
        detail: String,
    },
    UnreadableRun {
        path: PathBuf,
        detail: String,
    },
    OfAnalysisOnly {
        option: &'static str,
        path: PathBuf,
    },
    Probe(ProbeFailure),
    #[cfg(target_os = "linux")]
    Study(Box<StudyFailure>),
    Live(LiveError),
    NoRight(String),
    User {
        name: String,
        reason: String,
    },
    Signals(io::Error),
}

impl Failure {
    pub(super) const fn stdout(error: io::Error) -> Self {
        Self::Stdout(error)
    }

    pub(super) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Stdout(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }

    pub(super) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Port(_)
            | Self::Filter(_)
            | Self::Time { .. }
            | Self::Duration { .. }
            | Self::TimesSwapped
            | Self::TopicFilter(_)
            | Self::Binding(_)
            | Self::Threshold(_)
            | Self::Code(_)
            | Self::Schema(SchemaError::UnknownMessage { .. })
            | Self::ProtoNames { .. }
            | Self::FramesToStdout
            | Self::FailOn(_)
            | Self::Diagram(_)
            | Self::Live(LiveError::Filter { .. })
            | Self::ReadOnce(_) => ExitCode::from(2),
            Self::ThresholdsBroken => ExitCode::from(3),
            Self::Probe(failure) => failure.exit_code(),
            #[cfg(target_os = "linux")]
            Self::Study(failure) => failure.exit_code(),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capture(error) => error.fmt(f),
            Self::Filter(error) => error.fmt(f),
            Self::Port(error) => write!(f, "--port: {error}"),
            Self::Time { option, text } => write!(
                f,
                "{option} {text:?} is no time: write it like 2026-01-31T08:00:00Z or as seconds since 1970"
            ),
            Self::Duration { option, text } => write!(
                f,
                "{option} {text:?} is no duration: write it like 10s, 500ms or 1m 30s"
            ),
            Self::TimesSwapped => f.write_str("--since is not before --until, so no frame is left"),
            Self::TopicFilter(text) => write!(
                f,
                "--topic {text:?} is no topic filter: + must fill a level, # only the last one"
            ),
            Self::Binding(text) => write!(
                f,
                "--protobuf {text:?} is not understood: write TOPIC/FILTER=package.Message, where \
                 + fills a level of the filter and # only the last one"
            ),
            Self::Threshold(error) => write!(f, "--threshold: {error}"),
            Self::Code(name) => {
                write!(f, "--ignore: there is no finding {name:?}")?;
                if let Some(code) = nearest(name, catalogue().map(|doc| doc.code)) {
                    write!(f, "; the nearest is {code}")?;
                }
                write!(f, "; docs/findings.md lists all")
            }
            Self::Schema(error @ SchemaError::UnknownMessage { .. }) => {
                write!(f, "--protobuf: {error}")
            }
            Self::Schema(error) => write!(f, "--proto: {error}"),
            Self::ProtoFile { path, source } => {
                write!(f, "cannot read --proto {}: {source}", path.display())
            }
            Self::ProtoNames {
                name,
                paths: [one, other],
            } => write!(
                f,
                "{} and {} would both be imported as {name:?}; \
                 name the directory that both are below with --proto-path",
                one.display(),
                other.display()
            ),
            Self::Stdout(error) => write!(f, "cannot write to standard output: {error}"),
            Self::Write { path, source } => {
                write!(f, "cannot write {}: ", path.display())?;
                match source.kind() {
                    io::ErrorKind::PermissionDenied => {
                        f.write_str("permission denied; choose a place where you may write")
                    }
                    io::ErrorKind::StorageFull => {
                        f.write_str("the disk is full; free space or choose another place")
                    }
                    io::ErrorKind::NotFound => {
                        f.write_str("the directory for it does not exist; make it first")
                    }
                    io::ErrorKind::NotADirectory => {
                        f.write_str("a part of the path is a file; choose another place")
                    }
                    _ => source.fmt(f),
                }
            }
            Self::OutputInUse { path, example } => write!(
                f,
                "{} already holds something that mqttscope did not write ({}); \
                 name another directory, or add --force to write there all the same",
                path.display(),
                example.display()
            ),
            Self::OutputNotADirectory(path) => {
                write!(f, "{} is a file; name a directory with -o", path.display())
            }
            Self::OutputIsInput(path) => {
                write!(
                    f,
                    "{} is also an input; write to another file",
                    path.display()
                )
            }
            Self::OutputNotAFile(path) => write!(
                f,
                "{} is no regular file; name a file for -w to make",
                path.display()
            ),
            Self::FramesToStdout => {
                f.write_str("-w needs the name of a file: standard output has the packets already")
            }
            Self::ReadOnce(path) => write!(
                f,
                "-w reads its inputs twice, which {} allows only if it is the only input; \
                 save it to a file first",
                path.display()
            ),
            Self::KeyLog { path, source } => {
                write!(f, "cannot read the key log {}: {source}", path.display())
            }
            Self::Spool(source) => write!(
                f,
                "cannot keep the input in a temporary file ({source}), which -w needs to read it \
                 twice; free space, set TMPDIR, or save it to a file first"
            ),
            Self::NoMqtt(detail) => f.write_str(detail),
            Self::Probe(failure) => failure.fmt(f),
            #[cfg(target_os = "linux")]
            Self::Study(failure) => failure.fmt(f),
            Self::FailOn(error) => write!(f, "--fail-on {error}"),
            Self::ThresholdsBroken => f.write_str("a threshold is broken"),
            Self::Diagram(text) => write!(
                f,
                "--diagram {text:?} is no connection: write its number in connections.csv, or NUMBER@TAP"
            ),
            Self::NoResults { path, detail } => write!(
                f,
                "{} holds no results of analyze ({detail}); make them with: mqttscope analyze FILE -o {}",
                path.display(),
                path.display()
            ),
            Self::UnreadableRun { path, detail } => write!(
                f,
                "{}: {detail}; the directory is not as probe or study left it",
                path.display()
            ),
            Self::OfAnalysisOnly { option, path } => write!(
                f,
                "{option} is for directories of analyze; {} holds an experiment (manifest.json): \
                 its cells.csv and effects.csv have what there is to compare",
                path.display()
            ),
            Self::Unreadable { path, detail } => write!(
                f,
                "{}: {detail}; make it again with mqttscope analyze, or remove it",
                path.display()
            ),
            Self::Live(error) => error.fmt(f),
            Self::NoRight(advice) => f.write_str(advice),
            Self::User { name, reason } => write!(f, "cannot go on as user {name:?}: {reason}"),
            Self::Signals(error) => write!(f, "cannot watch for signals: {error}"),
            Self::Damaged(count) => write!(
                f,
                "{count} {} damaged (see the warnings above), and --strict was given",
                if *count == 1 {
                    "input is"
                } else {
                    "inputs are"
                }
            ),
        }
    }
}

impl From<CaptureError> for Failure {
    fn from(error: CaptureError) -> Self {
        Self::Capture(error)
    }
}

impl From<FilterError> for Failure {
    fn from(error: FilterError) -> Self {
        Self::Filter(error)
    }
}

impl From<SchemaError> for Failure {
    fn from(error: SchemaError) -> Self {
        Self::Schema(error)
    }
}

impl From<PortRuleError> for Failure {
    fn from(error: PortRuleError) -> Self {
        Self::Port(error)
    }
}
