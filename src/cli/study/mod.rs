//! `mqttscope study`

mod again;
mod args;
mod failure;
mod manifest;
mod run;
mod settings;
mod summary;

use std::io::{self, Write};

use super::error::Failure;
use crate::lab::{LabError, Rights};
use crate::study::{DEFAULT_PLAN, QUICK_PLAN};

pub(super) use args::StudyArgs;
pub(super) use failure::StudyFailure;

use settings::Settings;

pub(super) fn run(arguments: &StudyArgs) -> Result<(), Failure> {
    if arguments.print_plan {
        let plan = if arguments.quick {
            QUICK_PLAN
        } else {
            DEFAULT_PLAN
        };
        return io::stdout()
            .write_all(plan.as_bytes())
            .map_err(Failure::stdout);
    }
    if let Some(from) = &arguments.from {
        return again::run(arguments, from);
    }
    if arguments.dry_run {
        let settings = Settings::new(arguments)?;
        let text = run::announcement(&settings) + "\n";
        return io::stdout()
            .write_all(text.as_bytes())
            .map_err(Failure::stdout);
    }
    run::run(arguments)
}

/// The right to make a network. It has to come before any thread.
fn rights(settings: &Settings) -> Result<Option<Rights>, LabError> {
    settings.is_emulated().then(Rights::acquire).transpose()
}
