//! manifest.json of a study.

use std::collections::BTreeMap;

use super::settings::Settings;
use crate::lab::Rights;
use crate::probe::clock::Epoch;
use crate::probe::host_record;
use crate::results::{BrokerRecord, ClockRecord, Manifest, STUDY_SCHEMA};

/// The manifest of a run that is about to begin.
pub(super) fn new(settings: &Settings, epoch: Epoch, started_ns: i64) -> Manifest {
    let plan = &settings.run.plan;
    let warmup = plan.main.as_ref().map_or(0, |main| main.warm_up);
    Manifest {
        schema: STUDY_SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        seed: plan.seed,
        started_ns,
        deadline_ns: (plan.deadline_s * 1e9) as i64,
        warmup: u64::from(warmup),
        blocks: settings.design.blocks,
        cells_planned: u32::try_from(settings.design.cells.len()).unwrap_or(u32::MAX),
        host: host_record(true),
        clock: ClockRecord {
            source: "CLOCK_MONOTONIC".into(),
            epoch_offset_ns: epoch.offset_ns,
            drift_ns: None,
            // Publisher, subscriber and taps read the same clock.
            error_ns: 0,
        },
        options: options(settings),
        plan: serde_json::to_value(&settings.run).unwrap_or_default(),
        ..Manifest::default()
    }
}

fn options(settings: &Settings) -> BTreeMap<String, serde_json::Value> {
    let place = &settings.run.place;
    let mut options = BTreeMap::new();
    let mut set = |name: &str, value: serde_json::Value| {
        options.insert(name.to_owned(), value);
    };
    set("lab", serde_json::to_value(place.lab).unwrap_or_default());
    if let Some(url) = &place.broker {
        set("broker", url.clone().into());
        set("link", place.link.clone().into());
    }
    if let Some(command) = &place.broker_command {
        set("broker-command", command.clone().into());
    }
    set("window", settings.run.plan.window.into());
    set("nodelay", true.into());
    options
}

/// What is known of network and broker once they are there.
pub(super) fn built(
    manifest: &mut Manifest,
    rights: Option<Rights>,
    device: Option<crate::lab::DeviceKind>,
    broker: BrokerRecord,
) {
    let forwarded = manifest.broker.qos2_forwarded_at.take();
    manifest.broker = BrokerRecord {
        qos2_forwarded_at: forwarded,
        ..broker
    };
    let mut set = |name: &str, value: Option<serde_json::Value>| {
        if let Some(value) = value {
            manifest.options.insert(name.to_owned(), value);
        }
    };
    set("rights", rights.and_then(|r| serde_json::to_value(r).ok()));
    set("device", device.and_then(|d| serde_json::to_value(d).ok()));
}
