//! Clients across connections: who connects too often, and who shares an identifier.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use crate::time::{TimeDelta, Timestamp};

use super::thresholds::Thresholds;

/// Clients that are followed; more are counted, and not followed.
const MOST_CLIENTS: usize = 100_000;

/// Clients by the hash of tap, broker and client identifier.
#[derive(Debug, Default)]
pub(super) struct Clients {
    clients: HashMap<u64, Client, foldhash::fast::RandomState>,
    untold: u64,
}

#[derive(Debug)]
struct Client {
    /// Times of the latest connections.
    connects: VecDeque<Timestamp>,
    /// It is connecting again and again, which was told.
    storming: bool,
    /// Number of the latest connection, and where it came from.
    connection: u64,
    address: IpAddr,
    /// Connections taken over from another address.
    takeovers: u64,
}

/// What a CONNECT shows.
#[derive(Clone, Copy, Debug)]
pub(super) struct Arrival {
    pub(super) time: Timestamp,
    pub(super) connection: u64,
    pub(super) address: IpAddr,
    /// Another connection of the client is open.
    pub(super) takes_over: bool,
}

/// What is remarkable about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Remarks {
    /// As many connections as the threshold says in this time: a new storm.
    pub(super) storm: Option<(u64, TimeDelta)>,
    /// The other address of two that take the client over from each other, the threshold
    /// reached.
    pub(super) collision: Option<IpAddr>,
}

impl Clients {
    pub(super) fn connect(
        &mut self,
        key: u64,
        arrival: &Arrival,
        thresholds: &Thresholds,
    ) -> Remarks {
        if self.clients.len() >= MOST_CLIENTS && !self.clients.contains_key(&key) {
            self.untold = self.untold.saturating_add(1);
            return Remarks::default();
        }
        let client = self.clients.entry(key).or_insert_with(|| Client {
            connects: VecDeque::new(),
            storming: false,
            connection: arrival.connection,
            address: arrival.address,
            takeovers: 0,
        });
        let storm = client.is_storming(arrival.time, thresholds);
        let mut collision = None;
        if arrival.takes_over && arrival.address != client.address {
            client.takeovers = client.takeovers.saturating_add(1);
            if client.takeovers == thresholds.takeovers {
                collision = Some(client.address);
            }
        }
        client.connection = arrival.connection;
        client.address = arrival.address;
        Remarks { storm, collision }
    }

    /// Whether another connection of the client came after this one.
    pub(super) fn was_replaced(&self, key: u64, connection: u64) -> bool {
        self.clients
            .get(&key)
            .is_some_and(|client| client.connection != connection)
    }

    /// CONNECT packets of clients that were not followed.
    pub(super) const fn untold(&self) -> u64 {
        self.untold
    }
}

impl Client {
    fn is_storming(
        &mut self,
        time: Timestamp,
        thresholds: &Thresholds,
    ) -> Option<(u64, TimeDelta)> {
        let seconds = i64::try_from(thresholds.reconnect_window_s).unwrap_or(i64::MAX);
        let window = TimeDelta::from_secs(seconds);
        let calm = self
            .connects
            .back()
            .is_none_or(|&last| time - last > window);
        self.storming &= !calm;
        while self.connects.len() as u64 >= thresholds.reconnects {
            self.connects.pop_front();
        }
        self.connects.push_back(time);
        let first = *self.connects.front()?;
        let many = self.connects.len() as u64 >= thresholds.reconnects;
        if self.storming || !many || time - first > window {
            return None;
        }
        self.storming = true;
        Some((self.connects.len() as u64, time - first))
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects
)]
mod tests {
    use super::*;

    fn arrival(second: i64, connection: u64, host: u8, takes_over: bool) -> Arrival {
        Arrival {
            time: Timestamp::from_nanos(second * 1_000_000_000),
            connection,
            address: IpAddr::from([10, 0, 0, host]),
            takes_over,
        }
    }

    #[test]
    fn a_storm_is_told_once_until_it_calms_down() {
        let mut clients = Clients::default();
        let mut storms = |seconds: &[i64]| -> Vec<i64> {
            let remarkable = |second: &&i64| {
                let remarks =
                    clients.connect(1, &arrival(**second, 1, 1, false), &Thresholds::default());
                remarks.storm.is_some()
            };
            seconds.iter().filter(remarkable).copied().collect()
        };
        assert!(storms(&[0, 20, 40, 61, 80]).is_empty());
        assert_eq!(storms(&[200, 210, 220, 230, 240, 250, 260]), [240]);
        assert_eq!(storms(&[400, 401, 402, 403, 404]), [404]);
    }

    #[test]
    fn two_devices_with_one_identifier_take_over_from_each_other() {
        let mut clients = Clients::default();
        let thresholds = Thresholds {
            reconnects: 64,
            ..Thresholds::default()
        };
        let mut connect = |n: u64, host, takes_over| {
            let arrival = arrival(n as i64, n, host, takes_over);
            clients.connect(7, &arrival, &thresholds).collision
        };
        assert_eq!(connect(1, 1, false), None);
        // One device that lost its connection comes back from its own address.
        assert_eq!(connect(2, 1, true), None);
        assert_eq!(connect(3, 2, true), None);
        assert_eq!(connect(4, 1, true), Some(IpAddr::from([10, 0, 0, 2])));
        assert_eq!(connect(5, 2, true), None, "told once");
        assert!(clients.was_replaced(7, 4));
        assert!(!clients.was_replaced(7, 5));
    }
}
