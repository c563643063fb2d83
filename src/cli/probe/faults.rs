//! What is done to the connections: from options to what the proxy does.

use crate::cli::error::Failure;
use crate::proxy::{ConditionError, Conditions, Periodic, parse_duration};

use super::args::FaultArgs;
use super::failure::ProbeFailure;

impl FaultArgs {
    /// What the proxy has to do.
    pub(super) fn conditions(&self) -> Result<Conditions, Failure> {
        let mut conditions = Conditions {
            outage: read("--outage", &self.outage, Periodic::parse)?,
            reset: read("--reset", &self.reset, Periodic::parse_moments)?,
            stall: read("--stall", &self.stall, Periodic::parse)?,
            throttle: read("--throttle", &self.throttle, str::parse)?,
            ..Conditions::default()
        };
        if let Some(delay) = read("--delay", &self.delay, parse_duration)? {
            conditions = conditions.with_delay(delay);
        }
        Ok(conditions)
    }

    /// Whether connections are going to be lost.
    pub(super) const fn cuts(&self) -> bool {
        self.outage.is_some() || self.reset.is_some()
    }

    /// Whether delay and throughput are going to change while a cell is measured.
    pub(super) const fn disturbs(&self) -> bool {
        self.cuts() || self.stall.is_some()
    }

    /// All of it in words: `outage every 10s for 2s, delay 20ms`.
    pub(super) fn describe(&self) -> Option<String> {
        let all = [
            ("outage", &self.outage),
            ("reset", &self.reset),
            ("stall", &self.stall),
            ("throttle", &self.throttle),
            ("delay", &self.delay),
        ];
        let words: Vec<String> = all
            .into_iter()
            .filter_map(|(name, text)| Some(format!("{name} {}", text.as_deref()?.trim())))
            .collect();
        (!words.is_empty()).then(|| words.join(", "))
    }
}

fn read<T>(
    option: &'static str,
    text: &Option<String>,
    parse: impl Fn(&str) -> Result<T, ConditionError>,
) -> Result<Option<T>, Failure> {
    let value = text.as_deref().map(parse).transpose();
    value.map_err(|error| ProbeFailure::Condition { option, error }.into())
}
