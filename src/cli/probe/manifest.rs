//! manifest.json of a probe: what the tables do not say.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::probe::check::{Judgement, Verdict};
use crate::probe::clock::Epoch;
use crate::probe::design::Design;
use crate::probe::{ClientKind, host_record};
use crate::results::{BrokerRecord, ClockRecord, Manifest, PROBE_SCHEMA, escape};

use super::args::{
    Client, ConnectionArgs, FaultArgs, Forwarding, ProbeArgs, SecurityArgs, Version,
};
use super::check;
use super::settings::Settings;

/// Everything that is needed to go on with a run, but for user name and password.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct RunPlan {
    pub(super) url: String,
    pub(super) embedded: Option<Forwarding>,
    #[serde(default)]
    pub(super) faults: FaultArgs,
    pub(super) mqtt: String,
    pub(super) ca: Option<std::path::PathBuf>,
    pub(super) cert: Option<std::path::PathBuf>,
    pub(super) key: Option<std::path::PathBuf>,
    pub(super) connect_timeout: String,
    pub(super) design: Design,
}

impl RunPlan {
    pub(super) fn new(arguments: &ProbeArgs, settings: &Settings) -> Self {
        let connection = &arguments.connection;
        Self {
            url: settings.url.to_string(),
            embedded: settings.embedded,
            faults: settings.faults.clone(),
            mqtt: if settings.dialect.level.is_v5() {
                "5"
            } else {
                "3.1.1"
            }
            .to_owned(),
            ca: connection.security.ca.clone(),
            cert: connection.security.cert.clone(),
            key: connection.security.key.clone(),
            connect_timeout: connection.connect_timeout.clone(),
            design: settings.design.clone(),
        }
    }

    /// As if the same had been typed.
    pub(super) fn connection(&self, typed: &ConnectionArgs) -> ConnectionArgs {
        ConnectionArgs {
            client: match self.design.base.client {
                ClientKind::Measuring => Client::Measuring,
                ClientKind::Rumqttc => Client::Rumqttc,
            },
            mqtt: Some(if self.mqtt == "5" {
                Version::V5
            } else {
                Version::V311
            }),
            security: SecurityArgs {
                ca: self.ca.clone(),
                cert: self.cert.clone(),
                key: self.key.clone(),
                credentials: typed.security.credentials.clone(),
            },
            keep_session: self.design.base.keep_session,
            connect_timeout: self.connect_timeout.clone(),
        }
    }
}

/// The manifest of a run that is about to begin.
pub(super) fn new(plan: &RunPlan, settings: &Settings, epoch: Epoch, started_ns: i64) -> Manifest {
    let design = &plan.design;
    let base = &design.base;
    Manifest {
        schema: PROBE_SCHEMA.into(),
        tool_version: env!("CARGO_PKG_VERSION").into(),
        seed: design.seed,
        started_ns,
        ended_ns: None,
        deadline_ns: base.deadline_ns,
        warmup: u64::from(base.warm_up),
        blocks: design.repetitions,
        cells_planned: u32::try_from(design.cells().len()).unwrap_or(u32::MAX),
        cells_finished: 0,
        host: host_record(base.rate.is_some()),
        clock: ClockRecord {
            source: "CLOCK_MONOTONIC".into(),
            epoch_offset_ns: epoch.offset_ns,
            drift_ns: None,
            // Publisher and subscriber read the same clock.
            error_ns: 0,
        },
        broker: broker(settings),
        options: options(plan),
        notes: client_notes(base.client),
        plan: serde_json::to_value(plan).unwrap_or_default(),
        ..Manifest::default()
    }
}

/// What has to be known of the numbers of a client.
fn client_notes(client: ClientKind) -> Vec<String> {
    let notes: &[&str] = match client {
        ClientKind::Measuring => &[],
        ClientKind::Rumqttc => &[
            "rumqttc is the client under test: sent_ns is when a message was handed to it, and the \
             other stamps are when its events came out, after it had written the acknowledgements \
             of all that it read at once; so QoS levels differ by that too",
            "rumqttc: NODELAY is set, the largest packet is that of the payload, the window is its \
             inflight; it never sets DUP, hands on copies of QoS 2 messages, and drops what was \
             queued when the broker has no session any more (not_written)",
        ],
    };
    notes.iter().map(|note| (*note).to_owned()).collect()
}

/// Keeps what was asked of the broker before the run.
pub(in crate::cli) fn learn_broker(manifest: &mut Manifest, verdicts: Vec<Verdict>) {
    for verdict in verdicts {
        let (check, value) = (verdict.check, verdict.value.clone());
        if let (check::FORWARDING, Some(at)) = (check, value.as_str()) {
            manifest.broker.qos2_forwarded_at = Some(at.to_uppercase());
        }
        if let ("version", Some(version)) = (check, value.as_str()) {
            if let Some(name) = broker_name(version) {
                manifest.broker.name = name.to_owned();
            }
            manifest.broker.version = Some(escape(version.as_bytes()).into_owned());
        }
        if verdict.judgement == Judgement::Warning {
            let answer = escape(verdict.answer.as_bytes());
            let note = format!("{}: {answer}", verdict.title);
            // A run that goes on asks again.
            if !manifest.notes.contains(&note) {
                manifest.notes.push(note);
            }
        }
        manifest.checks.insert(check.to_owned(), value);
    }
}

/// The name in what a broker says of its version, such as `mosquitto version 2.0.11`: the plain word
/// before "version".
fn broker_name(version: &str) -> Option<&str> {
    const LONGEST: usize = 40;
    let (name, _) = version.split_once(" version ")?;
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // Ours is known by other means than its word.
    let is_ours = name.eq_ignore_ascii_case("embedded");
    (!is_ours && !name.is_empty() && name.len() <= LONGEST && name.bytes().all(is_plain))
        .then_some(name)
}

fn broker(settings: &Settings) -> BrokerRecord {
    match settings.embedded {
        Some(_) => BrokerRecord {
            name: "embedded".into(),
            version: Some(env!("CARGO_PKG_VERSION").into()),
            ..BrokerRecord::default()
        },
        None => BrokerRecord {
            url: Some(settings.url.to_string()),
            ..BrokerRecord::default()
        },
    }
}

/// The options by their long names, as they count.
fn options(plan: &RunPlan) -> BTreeMap<String, serde_json::Value> {
    let base = &plan.design.base;
    let mut options = BTreeMap::new();
    let mut set = |name: &str, value: serde_json::Value| {
        options.insert(name.to_owned(), value);
    };
    match plan.embedded {
        Some(_) => set(
            "embedded",
            serde_json::to_value(plan.embedded).unwrap_or_default(),
        ),
        None => set("url", plan.url.clone().into()),
    }
    if let Some(faults) = plan.faults.describe() {
        set("faults", faults.into());
    }
    set("client", base.client.name().into());
    set("mqtt", plan.mqtt.clone().into());
    set("qos", plan.design.qos.clone().into());
    set("sub-qos", plan.design.subscriber_qos.clone().into());
    set("payload", plan.design.payload_bytes.clone().into());
    set("rate", base.rate.map_or("max".into(), Into::into));
    set("schedule", base.arrivals.name().into());
    set("repeat", plan.design.repetitions.into());
    set("publishers", base.publishers.into());
    set("subscribers", base.subscribers.into());
    set("window", base.window.into());
    set("warm-up", base.warm_up.into());
    set("keep-session", base.keep_session.into());
    set("nodelay", true.into());
    set("max-send-lag-ns", base.limits.send_lag_ns.into());
    set("max-lost-cpu-ratio", base.limits.lost_cpu.into());
    set("drain-ns", base.drain_ns.into());
    options
}

#[cfg(test)]
mod tests {
    use super::broker_name;

    #[test]
    fn a_broker_is_named_by_its_own_word_where_that_is_plain() {
        for (version, name) in [
            ("mosquitto version 2.0.11", Some("mosquitto")),
            ("4.3.1", None),
            (" version 1", None),
            ("embedded version 1", None),
            ("<b>x</b> version 1", None),
            ("two words version 1", None),
        ] {
            assert_eq!(broker_name(version), name, "{version}");
        }
    }
}
