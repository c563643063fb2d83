//! Clients across connections: who connects too often, and who shares an identifier.

use std::collections::VecDeque;
use std::net::IpAddr;

use crate::memory::{Index, Pages, prefetch};
use crate::time::{TimeDelta, Timestamp};

use super::thresholds::Thresholds;

/// Clients that are followed; more are counted, and not followed.
const MOST_CLIENTS: usize = 100_000;

/// Clients by the hash of tap, broker and client identifier.
#[derive(Debug, Default)]
pub(super) struct Clients {
    clients: Pages<Client>,
    /// Places by key.
    index: Index,
    untold: u64,
}

#[derive(Debug)]
struct Client {
    key: u64,
    /// When it connected last.
    latest: Option<Timestamp>,
    /// When it did so before, without a longer pause than the window.
    before: VecDeque<Timestamp>,
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
        let known = self.find(key);
        if known.is_none() && self.clients.len() >= MOST_CLIENTS {
            self.untold = self.untold.saturating_add(1);
            return Remarks::default();
        }
        let place = known.unwrap_or_else(|| self.add(key, arrival));
        let Some(client) = self.clients.get_mut(place as usize) else {
            return Remarks::default();
        };
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

    /// Asks for what finding a client needs.
    #[inline]
    pub(super) fn touch_index(&self, key: u64) {
        self.index.touch(key);
    }

    /// Asks for a client.
    #[inline]
    pub(super) fn touch(&self, key: u64) {
        let place = self.index.guess(key);
        if let Some(client) = place.and_then(|place| self.clients.get(place as usize)) {
            prefetch(&client.key);
            prefetch(&client.connection);
        }
    }

    fn find(&self, key: u64) -> Option<u32> {
        let is_same = |place: u32| {
            let client = self.clients.get(place as usize);
            client.is_some_and(|client| client.key == key)
        };
        self.index.find(key, is_same)
    }

    fn add(&mut self, key: u64, arrival: &Arrival) -> u32 {
        let place = u32::try_from(self.clients.len()).unwrap_or(u32::MAX);
        self.clients.push(Client {
            key,
            latest: None,
            before: VecDeque::new(),
            storming: false,
            connection: arrival.connection,
            address: arrival.address,
            takeovers: 0,
        });
        self.index.insert(key, place);
        place
    }

    /// Whether another connection of the client came after this one.
    pub(super) fn was_replaced(&self, key: u64, connection: u64) -> bool {
        let place = self.find(key);
        let client = place.and_then(|place| self.clients.get(place as usize));
        client.is_some_and(|client| client.connection != connection)
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
        match self.latest.replace(time) {
            Some(last) if time - last <= window => self.before.push_back(last),
            _ => {
                self.storming = false;
                self.before.clear();
            }
        }
        let count = |before: &VecDeque<_>| (before.len() as u64).saturating_add(1);
        while count(&self.before) > thresholds.reconnects && self.before.pop_front().is_some() {}
        let (many, first) = (count(&self.before), self.before.front().copied());
        let span = time - first.unwrap_or(time);
        if self.storming || many < thresholds.reconnects || span > window {
            return None;
        }
        self.storming = true;
        Some((many, span))
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
