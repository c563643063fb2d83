//! Which ports carried what, so that a capture without MQTT can say what it holds instead.

use std::collections::BTreeMap;

/// Traffic that was not taken for MQTT, by the port that looks like the server's.
#[derive(Clone, Debug, Default)]
pub struct PortTraffic {
    ports: BTreeMap<u16, (u64, u64)>,
    datagrams: BTreeMap<u16, (u64, u64)>,
}

impl PortTraffic {
    /// Adds a connection with its payload bytes.
    pub(super) fn add(&mut self, port: u16, bytes: u64) {
        let entry = self.ports.entry(port).or_default();
        entry.0 = entry.0.saturating_add(1);
        entry.1 = entry.1.saturating_add(bytes);
    }

    /// Adds a UDP datagram; it counts for the lower of its ports.
    pub(super) fn add_datagram(&mut self, ports: (u16, u16), bytes: u64) {
        let entry = self.datagrams.entry(ports.0.min(ports.1)).or_default();
        entry.0 = entry.0.saturating_add(1);
        entry.1 = entry.1.saturating_add(bytes);
    }

    /// UDP port, datagrams and bytes, most bytes first.
    #[must_use]
    pub fn busiest_datagrams(&self) -> Vec<(u16, u64, u64)> {
        sorted(&self.datagrams)
    }

    /// Port, connections and payload bytes, most bytes first.
    #[must_use]
    pub fn busiest(&self) -> Vec<(u16, u64, u64)> {
        sorted(&self.ports)
    }
}

fn sorted(counts: &BTreeMap<u16, (u64, u64)>) -> Vec<(u16, u64, u64)> {
    let mut all: Vec<_> = counts
        .iter()
        .map(|(&port, &(count, bytes))| (port, count, bytes))
        .collect();
    all.sort_by_key(|&(port, count, bytes)| {
        (std::cmp::Reverse(bytes), std::cmp::Reverse(count), port)
    });
    all
}
