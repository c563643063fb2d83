//! connections.csv.

use super::ladder::Ladder;
use super::top::Top;
use super::{DigestError, Listing, MOST_ROWS, Table, columns};
use std::collections::BTreeMap;

/// Of connections.csv.
#[derive(Debug)]
pub(in crate::report) struct Connections {
    /// Those with most packets first.
    pub(in crate::report) listing: Listing<ConnectionLine>,
    /// First and last frame of any.
    pub(in crate::report) range: Option<(i64, i64)>,
    /// Encrypted ones of which no packet could be read.
    pub(in crate::report) unreadable: u64,
    /// These and others of which not everything could be read, those with most records first.
    pub(in crate::report) encrypted: Listing<EncryptedLine>,
    /// Refused CONNECTs by reason.
    pub(in crate::report) refused: BTreeMap<String, u64>,
}

/// What can be seen of an encrypted connection from outside.
#[derive(Clone, Debug)]
pub(in crate::report) struct EncryptedLine {
    pub(in crate::report) connection: u64,
    pub(in crate::report) client: String,
    pub(in crate::report) broker: String,
    pub(in crate::report) server_name: String,
    pub(in crate::report) version: String,
    pub(in crate::report) suite: String,
    pub(in crate::report) protocol: String,
    pub(in crate::report) handshake_ns: Option<i64>,
    pub(in crate::report) records: [u64; 2],
    pub(in crate::report) bytes: [u64; 2],
    pub(in crate::report) largest: [u64; 2],
    pub(in crate::report) silence_ns: Option<i64>,
    pub(in crate::report) alerts: String,
    pub(in crate::report) retransmitted: u64,
    pub(in crate::report) unread: String,
}

/// One connection to show.
#[derive(Clone, Debug)]
pub(in crate::report) struct ConnectionLine {
    pub(in crate::report) connection: u64,
    pub(in crate::report) client_id: String,
    pub(in crate::report) client: String,
    pub(in crate::report) broker: String,
    pub(in crate::report) transport: String,
    /// How it is encrypted, and for whom, as far as that can be seen.
    pub(in crate::report) tls: String,
    /// Why nothing in it could be read; empty where something could.
    pub(in crate::report) unread: String,
    pub(in crate::report) level: String,
    pub(in crate::report) start_ns: Option<i64>,
    pub(in crate::report) duration_ns: Option<i64>,
    pub(in crate::report) end_reason: String,
    pub(in crate::report) ended_by: String,
    pub(in crate::report) connack: String,
    pub(in crate::report) packets: u64,
    pub(in crate::report) bytes: u64,
    pub(in crate::report) retransmitted: u64,
    pub(in crate::report) gaps: u64,
    pub(in crate::report) malformed: u64,
    pub(in crate::report) vantage: String,
    pub(in crate::report) tap: u64,
}

/// Most reasons of refusal that are told apart.
const MOST_REASONS: usize = 64;

pub(super) fn read(
    mut table: Table<'_>,
    ladders: &mut [Ladder],
) -> Result<Connections, DigestError> {
    let [
        connection,
        client_addr,
        client_port,
        broker_addr,
        broker_port,
    ] = columns!(table; connection, client_addr, client_port, broker_addr, broker_port);
    let [
        transport,
        start,
        end,
        end_reason,
        level,
        client_id,
        code,
        reason,
    ] = columns!(
        table; transport, start_ns, end_ns, end_reason, protocol_level, client_id, connack_code,
        connack_reason);
    let [packets_up, packets_down, bytes_up, bytes_down] = columns!(
        table; packets_to_broker, packets_to_client, bytes_to_broker, bytes_to_client);
    let [retransmitted, gaps, malformed, vantage, tap] = columns!(
        table; retransmitted_segments, capture_gaps, malformed, vantage, tap);
    let [version, suite, sni, unread, ended_by] = columns!(
        table; tls_version, tls_suite, sni, unread, ended_by);
    let [alpn, handshake, alerts, silence] = columns!(
        table; alpn, tls_handshake_ns, tls_alerts, tls_client_silence_ns);
    let sizes = columns!(
        table; tls_records_to_broker, tls_records_to_client, tls_bytes_to_broker,
        tls_bytes_to_client, tls_largest_record_to_broker_bytes,
        tls_largest_record_to_client_bytes);
    let mut top = Top::new(MOST_ROWS);
    let mut sealed = Top::new(MOST_ROWS);
    let mut range: Option<(i64, i64)> = None;
    let mut unreadable = 0;
    let mut refused: BTreeMap<String, u64> = BTreeMap::new();
    while let Some(row) = table.read()? {
        let packets = row
            .count(packets_up)
            .saturating_add(row.count(packets_down));
        let encrypted = matches!(row.name(transport), "tls" | "wss");
        unreadable += u64::from(encrypted && packets == 0);
        let (start_ns, end_ns) = (row.integer(start), row.integer(end));
        for time in [start_ns, end_ns].into_iter().flatten() {
            let (low, high) = range.unwrap_or((time, time));
            range = Some((low.min(time), high.max(time)));
        }
        if row.integer(code).is_some_and(|code| code != 0)
            && (refused.len() < MOST_REASONS || refused.contains_key(&row.text(reason)))
        {
            *refused.entry(row.text(reason)).or_default() += 1;
        }
        let number = row.count(connection);
        for ladder in ladders.iter_mut() {
            if ladder.is_of(number, row.count(tap)) {
                ladder.begin(
                    row.text(client_id),
                    start_ns,
                    (end_ns, row.name(end_reason)),
                );
            }
        }
        if encrypted && (packets == 0 || !row.name(unread).is_empty()) {
            let [up, down, bytes_up, bytes_down, largest_up, largest_down] =
                sizes.map(|column| row.count(column));
            let records = up.saturating_add(down);
            sealed.push(i64::try_from(records).unwrap_or(i64::MAX), || {
                EncryptedLine {
                    connection: number,
                    client: endpoint(row.name(client_addr), row.name(client_port)),
                    broker: endpoint(row.name(broker_addr), row.name(broker_port)),
                    server_name: row.text(sni),
                    version: row.text(version),
                    suite: row.text(suite),
                    protocol: row.text(alpn),
                    handshake_ns: row.integer(handshake),
                    records: [up, down],
                    bytes: [bytes_up, bytes_down],
                    largest: [largest_up, largest_down],
                    silence_ns: row.integer(silence),
                    alerts: row.text(alerts),
                    retransmitted: row.count(retransmitted),
                    unread: match row.text(unread) {
                        reason if reason.is_empty() => "encrypted, no keys".to_owned(),
                        reason => reason,
                    },
                }
            });
        }
        top.push(i64::try_from(packets).unwrap_or(i64::MAX), || {
            ConnectionLine {
                connection: number,
                client_id: row.text(client_id),
                client: endpoint(row.name(client_addr), row.name(client_port)),
                broker: endpoint(row.name(broker_addr), row.name(broker_port)),
                transport: row.text(transport),
                tls: [row.text(version), row.text(suite), row.text(sni)]
                    .into_iter()
                    .filter(|text| !text.is_empty())
                    .collect::<Vec<_>>()
                    .join(", "),
                unread: match row.text(unread) {
                    _ if packets > 0 => String::new(),
                    reason if reason.is_empty() && encrypted => "encrypted, no keys".to_owned(),
                    reason => reason,
                },
                level: level_name(row.name(level)).to_owned(),
                start_ns,
                duration_ns: start_ns
                    .zip(end_ns)
                    .map(|(start, end)| end.saturating_sub(start)),
                end_reason: row.text(end_reason),
                ended_by: row.text(ended_by),
                connack: match row.name(code) {
                    "" | "0" => String::new(),
                    code => format!("{} ({code})", row.text(reason)),
                },
                packets,
                bytes: row.count(bytes_up).saturating_add(row.count(bytes_down)),
                retransmitted: row.count(retransmitted),
                gaps: row.count(gaps),
                malformed: row.count(malformed),
                vantage: row.text(vantage),
                tap: row.count(tap),
            }
        });
    }
    Ok(Connections {
        listing: top.finish(),
        range,
        unreadable,
        encrypted: sealed.finish(),
        refused,
    })
}

fn endpoint(address: &str, port: &str) -> String {
    if address.contains(':') {
        format!("[{address}]:{port}")
    } else {
        format!("{address}:{port}")
    }
}

fn level_name(number: &str) -> &str {
    match number {
        "3" => "3.1",
        "4" => "3.1.1",
        other => other,
    }
}
