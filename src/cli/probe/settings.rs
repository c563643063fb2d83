//! Arguments of `mqttscope probe`, checked once, as what the run works with.

use std::time::Duration;

use crate::cli::error::Failure;
use crate::cli::fail_on::CellsFailOn;
use crate::cli::settings::duration;
use crate::mqtt::{ProtocolLevel, topic};
use crate::probe::design::Design;
use crate::probe::{
    Arrivals, BrokerUrl, CellPlan, ClientKind, Dialect, Extent, Limits, is_loopback,
};
use crate::results::Formulas;

use super::args::{
    Client, ConnectionArgs, DesignArgs, FaultArgs, Forwarding, ProbeArgs, TrustArgs, Version,
};
use super::failure::ProbeFailure;
use super::manifest::RunPlan;
use super::security::security;
use super::site::Site;

/// What a run works with.
pub(super) struct Settings {
    pub(super) url: BrokerUrl,
    pub(super) dialect: Dialect,
    pub(super) site: Site,
    pub(super) timeout: Duration,
    pub(super) embedded: Option<Forwarding>,
    pub(super) faults: FaultArgs,
    pub(super) design: Design,
    pub(super) formulas: Formulas,
    pub(super) fail_on: CellsFailOn,
}

/// More messages per second, or clients, want a word when they go to another host.
const MOST_MESSAGES_PER_S: f64 = 10_000.0;
const MOST_CLIENTS: u32 = 1_000;

impl Settings {
    pub(super) fn new(arguments: &ProbeArgs, seed: u64) -> Result<Self, Failure> {
        let url: BrokerUrl = arguments.url.parse().map_err(|error| ProbeFailure::Url {
            text: arguments.url.clone(),
            error,
        })?;
        let design = design(arguments, seed)?;
        Self::with(
            url,
            design,
            &arguments.connection,
            arguments,
            (arguments.embedded, arguments.faults.clone()),
        )
    }

    /// Those of an earlier run, to go on with it.
    pub(super) fn of(plan: &RunPlan, arguments: &ProbeArgs) -> Result<Self, Failure> {
        let url: BrokerUrl = plan.url.parse().map_err(|error| ProbeFailure::Url {
            text: plan.url.clone(),
            error,
        })?;
        let connection = plan.connection(&arguments.connection);
        let design = plan.design.clone();
        let target = (plan.embedded, plan.faults.clone());
        Self::with(url, design, &connection, arguments, target)
    }

    fn with(
        url: BrokerUrl,
        design: Design,
        connection: &ConnectionArgs,
        arguments: &ProbeArgs,
        (embedded, faults): (Option<Forwarding>, FaultArgs),
    ) -> Result<Self, Failure> {
        for (_, plan) in design.cells() {
            plan.check()
                .map_err(|error| ProbeFailure::Plan(error.to_string()))?;
        }
        if design.base.client == ClientKind::Rumqttc && url.tls && faults != FaultArgs::default() {
            return Err(ProbeFailure::Plan(
                "--client rumqttc checks the broker's certificate for the name that it connects \
                 to, which is the proxy's: with mqtts:// leave the faults out"
                    .into(),
            )
            .into());
        }
        if embedded.is_none() {
            guard(&url, &design, arguments.yes)?;
        }
        let timeout = span("--connect-timeout", &connection.connect_timeout)?;
        Ok(Self {
            dialect: dialect(&url, connection, timeout)?,
            site: match embedded {
                Some(forwarding) => Site::embedded(forwarding, timeout)?,
                None => Site::of(&url, timeout),
            }
            .through(faults.conditions()?)?,
            faults,
            timeout,
            embedded,
            url,
            design,
            fail_on: CellsFailOn::new(&arguments.trust.fail_on)?,
            formulas: if arguments.raw_csv {
                Formulas::Keep
            } else {
                Formulas::Guard
            },
        })
    }
}

fn span(option: &'static str, text: &str) -> Result<Duration, Failure> {
    let nanos = duration(option, text)?.as_nanos();
    Ok(Duration::from_nanos(nanos.unsigned_abs()))
}

fn dialect(
    url: &BrokerUrl,
    arguments: &ConnectionArgs,
    timeout: Duration,
) -> Result<Dialect, Failure> {
    let (tls, credentials) = security(url, &arguments.security)?;
    Ok(Dialect {
        level: match version(arguments)? {
            Version::V311 => ProtocolLevel::V3_1_1,
            Version::V5 => ProtocolLevel::V5,
        },
        tls,
        credentials,
        timeout,
    })
}

/// The version that is asked for, or that of the client.
pub(super) fn version(arguments: &ConnectionArgs) -> Result<Version, Failure> {
    match (arguments.client, arguments.mqtt) {
        (Client::Rumqttc, Some(Version::V5)) => Err(ProbeFailure::Plan(
            "--client rumqttc speaks MQTT 3.1.1: leave --mqtt 5 out".into(),
        )
        .into()),
        (Client::Rumqttc, _) => Ok(Version::V311),
        (Client::Measuring, version) => Ok(version.unwrap_or(Version::V5)),
    }
}

fn design(arguments: &ProbeArgs, seed: u64) -> Result<Design, Failure> {
    let DesignArgs { qos, sub_qos, .. } = &arguments.design;
    let payload_bytes: Result<Vec<usize>, Failure> = arguments
        .design
        .payload
        .iter()
        .map(|text| size(text))
        .collect();
    Ok(Design {
        qos: distinct(qos),
        subscriber_qos: distinct(sub_qos),
        payload_bytes: distinct(&payload_bytes?),
        repetitions: arguments.design.repeat,
        seed,
        base: base(arguments, seed)?,
    })
}

fn base(arguments: &ProbeArgs, seed: u64) -> Result<CellPlan, Failure> {
    let design = &arguments.design;
    let prefix = design.topic_prefix.trim_end_matches('/');
    if topic::name_violations(prefix.as_bytes()).has_error() {
        return Err(option(
            "--topic-prefix",
            &design.topic_prefix,
            "a topic without + and #",
        ));
    }
    let deadline_ns = duration("--deadline", &design.deadline)?.as_nanos();
    let extent = match &design.duration {
        Some(text) => Extent::Duration(duration("--duration", text)?.as_nanos()),
        None => Extent::Count(design.count.unwrap_or(1_000)),
    };
    let rate = rate(&design.rate)?;
    Ok(CellPlan {
        // The order follows the seed, but two runs with one seed must not meet.
        run: rand::random(),
        publishers: design.publishers,
        subscribers: design.subscribers,
        arrivals: arrivals(&design.schedule)?,
        rate,
        extent,
        warm_up: design.warm_up.unwrap_or(match extent {
            Extent::Count(count) => (count / 10).min(100),
            Extent::Duration(_) => 10,
        }),
        window: design.window,
        deadline_ns,
        drain_ns: match &design.drain {
            Some(text) => duration("--drain", text)?.as_nanos(),
            None => deadline_ns.saturating_mul(2),
        },
        seed,
        keep_session: arguments.connection.keep_session || arguments.faults.cuts(),
        disturbed: arguments.faults.disturbs(),
        client: match arguments.connection.client {
            Client::Measuring => ClientKind::Measuring,
            Client::Rumqttc => ClientKind::Rumqttc,
        },
        topic_prefix: prefix.to_owned(),
        limits: limits(&arguments.trust)?,
        ..CellPlan::default()
    })
}

fn limits(arguments: &TrustArgs) -> Result<Limits, Failure> {
    let text = &arguments.max_lost_cpu;
    let percent: Option<f64> = text.trim_end_matches('%').trim().parse().ok();
    let lost_cpu = percent.filter(|p| (0.0..=100.0).contains(p));
    Ok(Limits {
        send_lag_ns: duration("--max-send-lag", &arguments.max_send_lag)?.as_nanos(),
        lost_cpu: lost_cpu.ok_or_else(|| option("--max-lost-cpu", text, "a share like 5%"))?
            / 100.0,
    })
}

fn option(option: &'static str, text: &str, wanted: &'static str) -> Failure {
    ProbeFailure::Option {
        option,
        text: text.to_owned(),
        wanted,
    }
    .into()
}

fn distinct<T: Copy + PartialEq>(values: &[T]) -> Vec<T> {
    let mut kept = Vec::new();
    for value in values {
        if !kept.contains(value) {
            kept.push(*value);
        }
    }
    kept
}

/// `16`, `1k`, `64KiB`, `1M`: powers of 1024.
fn size(text: &str) -> Result<usize, Failure> {
    let trimmed = text.trim();
    let digits = trimmed.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor: Option<usize> = match trimmed[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => Some(1),
        "k" | "kb" | "kib" => Some(1 << 10),
        "m" | "mb" | "mib" => Some(1 << 20),
        _ => None,
    };
    let number = digits.trim().parse::<usize>().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| {
            option(
                "--payload",
                text,
                "sizes in bytes like 16, 1k or 1M, at least 1",
            )
        })
}

fn rate(text: &str) -> Result<Option<f64>, Failure> {
    if text.eq_ignore_ascii_case("max") {
        return Ok(None);
    }
    let wrong = || {
        option(
            "--rate",
            text,
            "messages per second like 100 or 0.5, or max",
        )
    };
    let rate: f64 = text.trim().parse().map_err(|_| wrong())?;
    let sensible = rate.is_finite() && (1e-6..=1e7).contains(&rate);
    sensible.then_some(Some(rate)).ok_or_else(wrong)
}

fn arrivals(text: &str) -> Result<Arrivals, Failure> {
    let wrong = || option("--schedule", text, "poisson, fixed or burst:N");
    match text.split_once(':') {
        None if text == "poisson" => Ok(Arrivals::Poisson),
        None if text == "fixed" => Ok(Arrivals::Fixed),
        Some(("burst", size)) => match size.parse() {
            Ok(size) if size > 0 => Ok(Arrivals::Burst(size)),
            _ => Err(wrong()),
        },
        _ => Err(wrong()),
    }
}

/// A probe never floods another host by accident.
fn guard(url: &BrokerUrl, design: &Design, yes: bool) -> Result<(), Failure> {
    let base = &design.base;
    let clients = base.publishers.saturating_add(base.subscribers);
    let per_s = base.rate.map(|rate| rate * f64::from(base.publishers));
    let fast = per_s.is_none_or(|rate| rate > MOST_MESSAGES_PER_S);
    if yes || (!fast && clients <= MOST_CLIENTS) || is_loopback(url) {
        return Ok(());
    }
    let detail = match per_s {
        _ if clients > MOST_CLIENTS => format!("{clients} clients are to connect to {url}"),
        Some(rate) => format!("{rate:.0} messages/s are to go to {url}"),
        None => format!("as many messages/s as can be are to go to {url}"),
    };
    Err(ProbeFailure::Flood(detail).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_as_people_write_them() {
        for (text, bytes) in [
            ("16", 16),
            ("1k", 1_024),
            ("64KiB", 65_536),
            ("1M", 1 << 20),
        ] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "k", "-1", "1x", "1.5k", "99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn rates_and_schedules_are_read() {
        assert_eq!(rate("max").unwrap(), None);
        assert_eq!(rate("0.5").unwrap(), Some(0.5));
        for text in ["0", "-1", "nan", "inf", "fast", ""] {
            assert!(rate(text).is_err(), "{text}");
        }
        assert_eq!(arrivals("burst:20").unwrap(), Arrivals::Burst(20));
        for text in ["burst", "burst:0", "burst:x", "often", ""] {
            assert!(arrivals(text).is_err(), "{text}");
        }
    }
}
