//! What the broker says of itself, `$SYS`, read beside the measurement: through rumqttc, since
//! nothing here is timed.
//!
//! The topics are those that mosquitto documents. It sets them every ten seconds unless told
//! otherwise (`sys_interval`), so a reading may be that old; its uptime says of when it is.

use std::time::{Duration, Instant};

use rumqttc::{
    Client, Connection, Event, MqttOptions, NetworkOptions, Packet, QoS, RecvTimeoutError,
    SubscribeFilter, TlsConfiguration, Transport,
};

use crate::results::{SysRecord, escape};

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
/// Nothing more comes when nothing came for so long after the SUBACK.
const QUIET: Duration = Duration::from_millis(100);
/// Longer than any value is worth keeping.
const LONGEST_VERSION: usize = 200;

/// Reads what is there now; `None` of whatever the broker does not have.
///
/// # Errors
///
/// In words, why nothing could be read.
pub fn read(broker: &Direct, dialect: &Dialect, run: u32) -> Result<SysRecord, String> {
    let (client, mut connection) = Client::new(options(broker, dialect, run), 8);
    let mut network = NetworkOptions::new();
    network.set_tcp_nodelay(true);
    network.set_connection_timeout(dialect.timeout.as_secs().max(1));
    connection.eventloop.set_network_options(network);
    let names = COUNTERS.iter().map(|(name, _)| *name).chain([VERSION]);
    let filters = names.map(|name| SubscribeFilter::new(format!("{ROOT}{name}"), QoS::AtMostOnce));
    client
        .try_subscribe_many(filters)
        .map_err(|error| error.to_string())?;
    let record = collect(&mut connection, dialect.timeout);
    // The connection ends with the value; who is told is of no interest.
    let _ = client.try_disconnect();
    while let Ok(Ok(event)) = connection.recv_timeout(QUIET) {
        if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
            break;
        }
    }
    record
}

fn options(broker: &Direct, dialect: &Dialect, run: u32) -> MqttOptions {
    let client_id = format!("mqttscope-sys-{run:08x}");
    let mut options = MqttOptions::new(client_id, broker.host.clone(), broker.port);
    options.set_keep_alive(Duration::from_secs(30));
    let credentials = &dialect.credentials;
    if let Some(user_name) = &credentials.user_name {
        let password = credentials.password.clone().unwrap_or_default();
        options.set_credentials(user_name.clone(), password);
    }
    if let Some(tls) = &dialect.tls {
        let configuration = TlsConfiguration::Rustls(tls.config());
        options.set_transport(Transport::tls_with_config(configuration));
    }
    options
}

fn collect(connection: &mut Connection, timeout: Duration) -> Result<SysRecord, String> {
    let mut record = SysRecord::default();
    let mut found = 0;
    let mut is_subscribed = false;
    let until = Instant::now() + timeout;
    // Each has one value now; a broker that goes on and on is not listened to any longer.
    while found <= COUNTERS.len() {
        let left = until.saturating_duration_since(Instant::now());
        let wait = if is_subscribed { QUIET.min(left) } else { left };
        match connection.recv_timeout(wait) {
            Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => {
                take(&mut record, &publish.topic, &publish.payload);
                found += 1;
            }
            Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => is_subscribed = true,
            Ok(Ok(_)) => {}
            Err(RecvTimeoutError::Timeout) if is_subscribed => break,
            Err(RecvTimeoutError::Timeout) => return Err("no answer in time".to_owned()),
            Ok(Err(error)) => {
                return Err(escape(error.to_string().as_bytes()).into_owned());
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the connection ended".to_owned()),
        }
    }
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
