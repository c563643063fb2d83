//! What is wrong with a plan, and why a study cannot go on.

use std::fmt;
use std::io;
use std::path::PathBuf;

use crate::capture::CaptureError;
use crate::lab::{LabError, ProfileError};
use crate::probe::CellError;

/// What is wrong with a plan.
#[derive(Clone, Debug, PartialEq)]
pub enum PlanError {
    /// It is no TOML, or has keys that no plan has; with line and column.
    Syntax(String),
    /// A value that cannot be.
    Value {
        /// Its key, with the table that it stands in.
        key: String,
        /// Why not.
        problem: String,
    },
    /// A link of its own.
    Link(ProfileError),
    /// It takes longer than it allows itself.
    TooLong {
        /// About how long, in minutes.
        minutes: f64,
        /// What it allows.
        allowed: f64,
    },
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax(text) => write!(f, "the plan cannot be read: {}", text.trim_end()),
            Self::Value { key, problem } if key == "the plan" => write!(f, "the plan {problem}"),
            Self::Value { key, problem } => write!(f, "the plan's {key}: {problem}"),
            Self::Link(error) => write!(f, "the plan's links: {error}"),
            Self::TooLong { minutes, allowed } => write!(
                f,
                "the plan takes about {minutes:.0} minutes, and its longest_min is {allowed}: \
                 raise that, or measure fewer cells, blocks or messages"
            ),
        }
    }
}

impl std::error::Error for PlanError {}

/// Why a study cannot go on.
#[derive(Debug)]
pub enum StudyError {
    /// The plan.
    Plan(PlanError),
    /// The emulated network.
    Lab(LabError),
    /// The embedded broker, a proxy, or a socket.
    Io {
        /// What was tried.
        step: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A cell.
    Cell(CellError),
    /// A link that does not do what it is set to, a line each.
    Links(Vec<String>),
    /// A capture that cannot be read.
    Capture(CaptureError),
    /// A file that cannot be written.
    Write {
        /// Which.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

impl fmt::Display for StudyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plan(error) => error.fmt(f),
            Self::Lab(error) => error.fmt(f),
            Self::Io { step, source } => write!(f, "{step}: {source}"),
            Self::Cell(error) => error.fmt(f),
            Self::Links(lines) => write!(
                f,
                "a link does not do what it is set to, so nothing is measured: {}; leave the \
                 machine alone while you measure, or set calibrate = false in the plan's [trust]",
                lines.join("; ")
            ),
            Self::Capture(error) => error.fmt(f),
            Self::Write { path, source } => write!(f, "cannot write {}: {source}", path.display()),
        }
    }
}

impl std::error::Error for StudyError {}

impl From<PlanError> for StudyError {
    fn from(error: PlanError) -> Self {
        Self::Plan(error)
    }
}

impl From<LabError> for StudyError {
    fn from(error: LabError) -> Self {
        Self::Lab(error)
    }
}

impl From<CellError> for StudyError {
    fn from(error: CellError) -> Self {
        Self::Cell(error)
    }
}
