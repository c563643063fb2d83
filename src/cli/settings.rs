//! Arguments, checked once, as what the commands work with.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp as Calendar;

use crate::analysis::{Options, Schemas, Selection};
use crate::capture::FrameFilter;
use crate::mqtt::{ProtocolLevel, topic};
use crate::results::Formulas;
use crate::stream::tls::KeyLog;
use crate::time::{TimeDelta, Timestamp};

use super::args::CommonArgs;
use super::error::Failure;
use super::proto::schemas;

/// How to read captures.
pub(super) struct Settings {
    pub(super) options: Options,
    pub(super) filter: Option<FrameFilter>,
    pub(super) since: Option<Timestamp>,
    pub(super) until: Option<Timestamp>,
    pub(super) strict: bool,
    pub(super) formulas: Formulas,
    pub(super) schemas: Arc<Schemas>,
}

impl Settings {
    pub(super) fn new(arguments: &CommonArgs) -> Result<Self, Failure> {
        let keys = Arc::new(key_log(arguments.key_log.as_deref())?);
        Self::with_keys(arguments, keys)
    }

    /// The same without keys: who reads what is still written follows them.
    pub(super) fn for_live(arguments: &CommonArgs) -> Result<Self, Failure> {
        Self::with_keys(arguments, Arc::default())
    }

    fn with_keys(arguments: &CommonArgs, key_log: Arc<KeyLog>) -> Result<Self, Failure> {
        let ports = arguments
            .ports
            .iter()
            .map(|text| text.trim().parse())
            .collect::<Result<Vec<_>, _>>()?;
        let since = arguments
            .since
            .as_deref()
            .map(|text| time("--since", text))
            .transpose()?;
        let until = arguments
            .until
            .as_deref()
            .map(|text| time("--until", text))
            .transpose()?;
        if let (Some(since), Some(until)) = (since, until)
            && since >= until
        {
            return Err(Failure::TimesSwapped);
        }
        if let Some(filter) = &arguments.topic
            && topic::filter_violations(filter.as_bytes(), ProtocolLevel::V5).has_error()
        {
            return Err(Failure::TopicFilter(filter.clone()));
        }
        let selection = Selection {
            client_id: arguments.client.as_ref().map(|id| id.clone().into_bytes()),
            topic: arguments
                .topic
                .as_ref()
                .map(|filter| filter.clone().into_bytes()),
        };
        Ok(Self {
            options: Options {
                key_log,
                ports,
                detect: !arguments.no_detect,
                selection,
                deadline: duration("--deadline", &arguments.deadline)?,
                ..Options::default()
            },
            filter: arguments
                .filter
                .as_deref()
                .map(FrameFilter::compile)
                .transpose()?,
            since,
            until,
            strict: arguments.strict,
            schemas: Arc::new(schemas(arguments)?),
            formulas: if arguments.raw_csv {
                Formulas::Keep
            } else {
                Formulas::Guard
            },
        })
    }
}

/// The key log that is named, or else the one that the environment names for programs that
/// write one: where there is none yet, there are no keys.
fn key_log(named: Option<&Path>) -> Result<KeyLog, Failure> {
    let mut keys = KeyLog::new();
    if let Some(path) = named {
        read_key_log(path, &mut keys).map_err(|source| Failure::KeyLog {
            path: path.to_owned(),
            source,
        })?;
    } else if let Some(path) = std::env::var_os("SSLKEYLOGFILE").map(PathBuf::from)
        && path.is_file()
    {
        // Nobody asked for it here, so it is no trouble if it cannot be read.
        let _ = read_key_log(&path, &mut keys);
    }
    Ok(keys)
}

fn read_key_log(path: &Path, keys: &mut KeyLog) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut part = vec![0; 64 << 10];
    loop {
        match file.read(&mut part) {
            Ok(0) => break,
            Ok(count) => keys.push(part.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    keys.end();
    Ok(())
}

/// Whether a time lies from `since` on and before `until`.
pub(super) fn wants(since: Option<Timestamp>, until: Option<Timestamp>, time: Timestamp) -> bool {
    since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until)
}

/// A positive duration as people write it: `10s`, `500ms`, `1m 30s`.
pub(super) fn duration(option: &'static str, text: &str) -> Result<TimeDelta, Failure> {
    text.parse::<jiff::SignedDuration>()
        .ok()
        .and_then(|duration| i64::try_from(duration.as_nanos()).ok())
        .filter(|&nanos| nanos > 0)
        .map(TimeDelta::from_nanos)
        .ok_or_else(|| Failure::Duration {
            option,
            text: text.to_owned(),
        })
}

/// RFC 3339, or seconds since 1970 with up to nine decimals.
fn time(option: &'static str, text: &str) -> Result<Timestamp, Failure> {
    let unknown = || Failure::Time {
        option,
        text: text.to_owned(),
    };
    if let Ok(time) = text.parse::<Calendar>() {
        return i64::try_from(time.as_nanosecond())
            .map(Timestamp::from_nanos)
            .map_err(|_| unknown());
    }
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !digits(seconds) || !digits(fraction) || fraction.len() > 9 {
        return Err(unknown());
    }
    format!("{seconds}{fraction:0<9}")
        .parse()
        .map(Timestamp::from_nanos)
        .map_err(|_| unknown())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_as_people_write_them() {
        for (text, nanos) in [
            ("10s", 10_000_000_000),
            ("500ms", 500_000_000),
            ("1.5s", 1_500_000_000),
            ("250us", 250_000),
            ("1m 30s", 90_000_000_000),
        ] {
            let parsed = duration("--deadline", text).expect(text);
            assert_eq!(parsed, TimeDelta::from_nanos(nanos), "{text}");
        }
        for text in ["", "10", "0s", "-1s", "ten seconds", "1000000000000h"] {
            assert!(duration("--deadline", text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_calendar_or_seconds() {
        for (text, nanos) in [
            ("2026-01-31T08:00:00Z", 1_769_846_400_000_000_000),
            (
                "2026-01-31T08:00:00.000000001+00:00",
                1_769_846_400_000_000_001,
            ),
            ("1769846400", 1_769_846_400_000_000_000),
            ("1769846400.5", 1_769_846_400_500_000_000),
            ("0.000000001", 1),
        ] {
            assert_eq!(time("--since", text).unwrap().as_nanos(), nanos, "{text}");
        }
        for text in [
            "",
            "tomorrow",
            "1.2.3",
            "-5",
            ".5",
            "1e9",
            "99999999999999999999",
        ] {
            assert!(time("--since", text).is_err(), "{text}");
        }
    }
}
