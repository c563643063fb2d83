//! `--fail-on`.

use std::sync::LazyLock;

use crate::lint;
use crate::results::{CellRow, CellThreshold, FindingDoc, Severity, Summary, Threshold};

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
        let broken = |threshold: &Threshold| threshold.broken(summary, severity);
        tell(self.0.iter().filter_map(broken))
    }
}

/// What the cells of an experiment have to hold.
pub(super) struct CellsFailOn(Vec<CellThreshold>);

impl CellsFailOn {
    pub(super) fn new(expressions: &[String]) -> Result<Self, Failure> {
        let parsed = expressions.iter().map(|text| CellThreshold::parse(text));
        Ok(Self(
            parsed.collect::<Result<_, _>>().map_err(Failure::FailOn)?,
        ))
    }

    /// Says which are broken; an error if any is.
    pub(super) fn check(&self, cells: &[CellRow]) -> Result<(), Failure> {
        tell(self.0.iter().flat_map(|threshold| threshold.broken(cells)))
    }
}

fn tell(broken: impl Iterator<Item = String>) -> Result<(), Failure> {
    let count = broken
        .map(|line| complain("threshold broken", &line))
        .count();
    match count {
        0 => Ok(()),
        _ => Err(Failure::ThresholdsBroken),
    }
}
