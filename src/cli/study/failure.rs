//! Why a study could not do its work.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::cli::error::Failure;
use crate::probe::UrlError;
use crate::study::{PlanError, StudyError};

#[derive(Debug)]
pub(in crate::cli) enum StudyFailure {
    /// The file with the plan cannot be read.
    PlanFile {
        path: PathBuf,
        source: io::Error,
    },
    /// What it says cannot be measured.
    Plan(PlanError),
    Url {
        text: String,
        error: UrlError,
    },
    /// The network as it was asked for has none of the plan's parts.
    NothingLeft(&'static str),
    /// While measuring.
    Run {
        finished: usize,
        planned: usize,
        directory: PathBuf,
        error: StudyError,
    },
    /// Ctrl-C; what was finished is kept.
    Interrupted {
        finished: usize,
        planned: usize,
        directory: PathBuf,
    },
    /// The directory holds nothing that could be analysed again.
    NoStudy {
        path: PathBuf,
        detail: String,
    },
    NoRoom {
        path: PathBuf,
        needed: u64,
        free: u64,
    },
    /// Each was told of by itself.
    Invalid {
        invalid: usize,
        of: usize,
    },
}

impl StudyFailure {
    pub(in crate::cli) fn exit_code(&self) -> ExitCode {
        match self {
            Self::Plan(_) | Self::Url { .. } | Self::NothingLeft(_) => ExitCode::from(2),
            Self::Invalid { .. }
            | Self::Run {
                error: StudyError::Links(_),
                ..
            } => ExitCode::from(3),
            _ => ExitCode::FAILURE,
        }
    }
}

impl fmt::Display for StudyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlanFile { path, source } => {
                write!(f, "cannot read the plan {}: {source}", path.display())
            }
            Self::Plan(error) => write!(
                f,
                "{error} (mqttscope study --print-plan prints one with comments)"
            ),
            Self::Url { text, error } => write!(f, "--broker {text:?} {error}"),
            Self::NothingLeft(why) => f.write_str(why),
            Self::Run {
                finished,
                planned,
                directory,
                error,
            } => {
                // The log of a program has lines of its own.
                f.write_str(&error.to_string().replace('\n', " | "))?;
                if *finished > 0 {
                    write!(
                        f,
                        " ({finished} of {planned} cells are finished and kept; go on with: mqttscope \
                         study --resume {})",
                        directory.display()
                    )?;
                }
                Ok(())
            }
            Self::Interrupted {
                finished,
                planned,
                directory,
            } => {
                write!(f, "interrupted: {finished} of {planned} cells are finished")?;
                if *finished > 0 {
                    let directory = directory.display();
                    write!(f, "; go on with: mqttscope study --resume {directory}")?;
                }
                Ok(())
            }
            Self::NoStudy { path, detail } => write!(
                f,
                "{} holds no study that could be analysed: {detail}",
                path.display()
            ),
            Self::NoRoom { path, needed, free } => write!(
                f,
                "{} has room for {free} bytes, and captures and samples of this run take about \
                 {needed}; free space, choose another directory, or leave the captures out with \
                 --no-captures",
                path.display()
            ),
            Self::Invalid { invalid, of } => write!(
                f,
                "{invalid} of {of} cells {} invalid: the reasons stand above and in cells.csv",
                if *invalid == 1 { "is" } else { "are" }
            ),
        }
    }
}

impl From<StudyFailure> for Failure {
    fn from(failure: StudyFailure) -> Self {
        Self::Study(Box::new(failure))
    }
}
