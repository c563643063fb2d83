//! `--fail-on`.

use std::sync::LazyLock;

use crate::lint;
use crate::results::{FindingDoc, Severity, Summary, Threshold};

use super::args::FailOnArgs;
use super::error::Failure;
use super::terminal::complain;

/// The documentation of every finding's code.
pub(super) fn catalogue() -> &'static [FindingDoc] {
    static ALL: LazyLock<Vec<FindingDoc>> = LazyLock::new(|| lint::catalogue().copied().collect());
    &ALL
}

/// What the run has to hold.
pub(super) struct FailOn(Vec<Threshold>);

impl FailOn {
    pub(super) fn new(arguments: &FailOnArgs) -> Result<Self, Failure> {
        let parsed = arguments
            .expressions
            .iter()
            .map(|text| Threshold::parse(text, catalogue()));
        Ok(Self(
            parsed.collect::<Result<_, _>>().map_err(Failure::FailOn)?,
        ))
    }

    /// Says which are broken; an error if any is. `severity` tells how bad a finding's code is.
    pub(super) fn check(
        &self,
        summary: &Summary,
        severity: &dyn Fn(&str) -> Severity,
    ) -> Result<(), Failure> {
        let mut broken = false;
        for line in self
            .0
            .iter()
            .filter_map(|threshold| threshold.broken(summary, severity))
        {
            complain("threshold broken", &line);
            broken = true;
        }
        if broken {
            return Err(Failure::ThresholdsBroken);
        }
        Ok(())
    }
}
