//! Control traffic beside the measurement, through rumqttc, since nothing here is timed: what a
//! broker has below some topics, read once; and retained messages of ours, taken away.

use std::time::{Duration, Instant};

use rumqttc::{Client, Connection, Event, Packet, Publish, QoS, RecvTimeoutError, SubscribeFilter};

use crate::results::escape;

use super::target::{Dialect, Direct};
use super::tested;

/// Nothing more comes when nothing came for so long after the SUBACK.
const QUIET: Duration = Duration::from_millis(100);
/// Requests that wait: more than a conversation makes at once.
const REQUESTS: usize = 64;
/// Messages that are looked at: a broker that goes on and on is not listened to any longer.
const MOST_MESSAGES: usize = 1_000;

/// What the broker's answer asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing.
    Listen,
    /// A message was published at QoS 1: its acknowledgement is waited for.
    Await,
    /// All has come.
    Leave,
}

/// Connects, subscribes to `filters`, and hands on what comes until nothing more does.
///
/// # Errors
///
/// In words, why nothing could be read.
pub(super) fn converse(
    broker: &Direct,
    dialect: &Dialect,
    client_id: String,
    filters: impl IntoIterator<Item = String>,
    mut take: impl FnMut(&Client, &Publish) -> Next,
) -> Result<(), String> {
    let options = tested::options(client_id, (&broker.host, broker.port), dialect);
    let (client, mut connection) = Client::new(options, REQUESTS);
    (connection.eventloop).set_network_options(tested::network(dialect));
    let filters = filters.into_iter();
    let filters = filters.map(|filter| SubscribeFilter::new(filter, QoS::AtMostOnce));
    client
        .try_subscribe_many(filters)
        .map_err(|error| error.to_string())?;
    let result = listen(&mut connection, dialect.timeout, |publish| {
        take(&client, publish)
    });
    // The connection ends with the value; who is told is of no interest.
    let _ = client.try_disconnect();
    while let Ok(Ok(event)) = connection.recv_timeout(QUIET) {
        if matches!(event, Event::Outgoing(rumqttc::Outgoing::Disconnect)) {
            break;
        }
    }
    result
}

fn listen(
    connection: &mut Connection,
    timeout: Duration,
    mut take: impl FnMut(&Publish) -> Next,
) -> Result<(), String> {
    let (mut found, mut awaited) = (0, 0_usize);
    let mut is_subscribed = false;
    let until = Instant::now() + timeout;
    while found < MOST_MESSAGES {
        let left = until.saturating_duration_since(Instant::now());
        let is_quiet_enough = is_subscribed && awaited == 0;
        let wait = if is_quiet_enough {
            QUIET.min(left)
        } else {
            left
        };
        match connection.recv_timeout(wait) {
            Ok(Ok(Event::Incoming(Packet::Publish(publish)))) => {
                found += 1;
                match take(&publish) {
                    Next::Listen => {}
                    Next::Await => awaited += 1,
                    Next::Leave => return Ok(()),
                }
            }
            Ok(Ok(Event::Incoming(Packet::SubAck(_)))) => is_subscribed = true,
            Ok(Ok(Event::Incoming(Packet::PubAck(_)))) => awaited = awaited.saturating_sub(1),
            Ok(Ok(_)) => {}
            Err(RecvTimeoutError::Timeout) if is_quiet_enough => break,
            Err(RecvTimeoutError::Timeout) => return Err("no answer in time".to_owned()),
            Ok(Err(error)) => {
                return Err(escape(error.to_string().as_bytes()).into_owned());
            }
            Err(RecvTimeoutError::Disconnected) => return Err("the connection ended".to_owned()),
        }
    }
    Ok(())
}

/// Takes every retained message away that stands below `prefix`, which is to be a run's own; gives
/// how many there were.
///
/// # Errors
///
/// In words, why the broker could not be asked.
pub fn clear_retained(
    broker: &Direct,
    dialect: &Dialect,
    prefix: &str,
    run: u32,
) -> Result<usize, String> {
    let mut cleared = 0;
    let client_id = format!("mqttscope-clean-{run:08x}");
    let filter = format!("{prefix}/#");
    converse(broker, dialect, client_id, [filter], |client, publish| {
        let ours = publish.topic.starts_with(prefix) && publish.retain;
        // A retained message without a payload takes away what is there [MQTT-3.3.1-6].
        let topic = publish.topic.as_str();
        let sent = ours
            && client
                .try_publish(topic, QoS::AtLeastOnce, true, "")
                .is_ok();
        cleared += usize::from(sent);
        if sent { Next::Await } else { Next::Listen }
    })?;
    Ok(cleared)
}
