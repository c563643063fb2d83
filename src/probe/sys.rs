//! What the broker says of itself, `$SYS`, read beside the measurement.
//!
//! The topics are those that mosquitto documents. It sets them every ten seconds unless told
//! otherwise (`sys_interval`), so a reading may be that old; its uptime says of when it is.

use crate::results::{SysRecord, escape};

use super::control::{self, Next};
use super::target::{Dialect, Direct};

const ROOT: &str = "$SYS/broker/";
/// A counter of a record, by its topic below [`ROOT`].
type Counter = (&'static str, fn(&mut SysRecord) -> &mut Option<u64>);
const COUNTERS: [Counter; 12] = [
    ("uptime", |record| &mut record.uptime_s),
    ("messages/received", |record| &mut record.messages_received),
    ("messages/sent", |record| &mut record.messages_sent),
    ("publish/messages/received", |record| {
        &mut record.publish_received
    }),
    ("publish/messages/sent", |record| &mut record.publish_sent),
    ("publish/messages/dropped", |record| {
        &mut record.publish_dropped
    }),
    ("bytes/received", |record| &mut record.bytes_received),
    ("bytes/sent", |record| &mut record.bytes_sent),
    ("clients/connected", |record| &mut record.clients_connected),
    ("clients/total", |record| &mut record.clients_total),
    ("subscriptions/count", |record| &mut record.subscriptions),
    ("retained messages/count", |record| &mut record.retained),
];
const VERSION: &str = "version";
/// Longer than any value is worth keeping.
const LONGEST_VERSION: usize = 200;

/// Reads what is there now; `None` of whatever the broker does not have.
///
/// # Errors
///
/// In words, why nothing could be read.
pub fn read(broker: &Direct, dialect: &Dialect, run: u32) -> Result<SysRecord, String> {
    let mut record = SysRecord::default();
    let client_id = format!("mqttscope-sys-{run:08x}");
    let names = COUNTERS.iter().map(|(name, _)| *name).chain([VERSION]);
    let filters = names.map(|name| format!("{ROOT}{name}"));
    let mut found = 0;
    control::converse(broker, dialect, client_id, filters, |_, publish| {
        take(&mut record, &publish.topic, &publish.payload);
        found += 1;
        // Each has one value now.
        if found > COUNTERS.len() {
            Next::Leave
        } else {
            Next::Listen
        }
    })?;
    Ok(record)
}

/// Values are numbers, an uptime `123 seconds`; what is neither is left out.
fn take(record: &mut SysRecord, topic: &str, payload: &[u8]) {
    let Some(name) = topic.strip_prefix(ROOT) else {
        return;
    };
    if name == VERSION {
        let text = payload.get(..LONGEST_VERSION).unwrap_or(payload);
        record.version = Some(escape(text).into_owned());
        return;
    }
    let Some((_, counter)) = COUNTERS.iter().find(|(known, _)| *known == name) else {
        return;
    };
    let text = std::str::from_utf8(payload).unwrap_or_default();
    *counter(record) = text
        .split(' ')
        .next()
        .and_then(|number| number.parse().ok());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_numbers_or_nothing() {
        let mut record = SysRecord::default();
        take(&mut record, "$SYS/broker/uptime", b"12 seconds");
        take(&mut record, "$SYS/broker/publish/messages/dropped", b"3");
        take(&mut record, "$SYS/broker/bytes/sent", b"-1");
        take(&mut record, "$SYS/broker/bytes/received", b"\xff");
        take(&mut record, "$SYS/broker/version", b"evil \x1b[2J");
        take(&mut record, "$SYS/other", b"1");
        let expected = SysRecord {
            uptime_s: Some(12),
            publish_dropped: Some(3),
            version: Some("evil \\x1b[2J".to_owned()),
            ..SysRecord::default()
        };
        assert_eq!(record, expected);
    }
}
