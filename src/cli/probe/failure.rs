//! Why a probe could not do its work.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::probe::{CellError, LinkError, TlsFileError, UrlError};
use crate::proxy::ConditionError;

#[derive(Debug)]
pub(in crate::cli) enum ProbeFailure {
    Url {
        text: String,
        error: UrlError,
    },
    /// An option's text is not what it should be.
    Option {
        option: &'static str,
        text: String,
        wanted: &'static str,
    },
    Condition {
        option: &'static str,
        error: ConditionError,
    },
    /// The options do not go together.
    Plan(String),
    /// So much to another host wants a word.
    Flood(String),
    Tls(TlsFileError),
    Credentials {
        path: PathBuf,
        source: io::Error,
    },
    Cell {
        broker: String,
        cell: u32,
        finished: u32,
        error: CellError,
    },
    /// The embedded broker did not start.
    Embedded(io::Error),
    /// The proxy between clients and broker did not start.
    Proxy {
        target: String,
        source: io::Error,
    },
    /// The null measurement failed.
    Baseline(CellError),
    /// Nothing can be asked.
    Check {
        broker: String,
        error: LinkError,
    },
    /// Ctrl-C; what was finished is kept.
    Interrupted {
        finished: usize,
        planned: usize,
        directory: Option<PathBuf>,
    },
    NoRoom {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    /// The directory holds no run that could go on.
    NoRun {
        path: PathBuf,
        detail: String,
    },
    /// Each was told of by itself.
    Invalid(usize),
}

impl ProbeFailure {
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Url { .. }
            | Self::Option { .. }
            | Self::Condition { .. }
            | Self::Plan(_)
            | Self::Flood(_) => ExitCode::from(2),
            Self::Invalid(_) => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url { text, error } => write!(f, "the URL {}{error}", shown(text, error)),
            Self::Option {
                option,
                text,
                wanted,
            } => write!(f, "{option} {text:?} is not understood: write {wanted}"),
            Self::Condition { option, error } => write!(f, "{option}: {error}"),
            Self::Proxy { target, source } => write!(
                f,
                "the proxy for {target} does not start: {source}; is the host's name right?"
            ),
            Self::Plan(detail) => f.write_str(detail),
            Self::Flood(detail) => write!(
                f,
                "{detail}; another host is flooded only on purpose: add --yes if it is yours"
            ),
            Self::Tls(error) => error.fmt(f),
            Self::Credentials { path, source } => {
                write!(f, "cannot read --credentials {}: {source}", path.display())
            }
            Self::Cell {
                broker,
                cell,
                finished,
                error,
            } => {
                write!(f, "{broker}: {error}")?;
                if *finished > 0 {
                    write!(f, " (in cell {cell}; the {finished} before it are kept)")?;
                }
                Ok(())
            }
            Self::Embedded(error) => write!(f, "the embedded broker does not start: {error}"),
            Self::Baseline(CellError::Interrupted) => {
                f.write_str("interrupted before the first cell")
            }
            Self::Baseline(error) => write!(
                f,
                "the measurement against the embedded broker failed: {error}; --no-baseline leaves \
                 it out"
            ),
            Self::Check { broker, error } => write!(f, "{broker}: {error}"),
            Self::Interrupted {
                finished,
                planned,
                directory,
            } => {
                write!(f, "interrupted: {finished} of {planned} cells are finished")?;
                match directory {
                    Some(path) => write!(
                        f,
                        "; go on with: mqttscope probe --resume {}",
                        path.display()
                    ),
                    None => Ok(()),
                }
            }
            Self::NoRoom { path, needed, free } => write!(
                f,
                "{} has room for {free} bytes, and the samples of this run take about {needed}; \
                 free space, choose another directory or a smaller --count",
                path.display()
            ),
            Self::NoRun { path, detail } => write!(
                f,
                "{} holds no run that could go on: {detail}",
                path.display()
            ),
            Self::Invalid(count) => write!(
                f,
                "{count} {} invalid: the reasons stand above",
                if *count == 1 { "cell is" } else { "cells are" }
            ),
        }
    }
}

/// A URL with a password in it is not repeated.
fn shown(text: &str, error: &UrlError) -> String {
    match error {
        UrlError::Credentials => String::new(),
        _ => format!("{text:?} "),
    }
}

impl From<ProbeFailure> for super::super::error::Failure {
    fn from(failure: ProbeFailure) -> Self {
        Self::Probe(failure)
    }
}
