//! Which ports carried what, so that a capture without MQTT can say what it holds instead.

use std::collections::BTreeMap;

/// TCP traffic that was not taken for MQTT, by the port that looks like the server's.
#[derive(Clone, Debug, Default)]
pub struct PortTraffic {
    ports: BTreeMap<u16, (u64, u64)>,
}

impl PortTraffic {
    /// Adds a connection with its payload bytes.
    pub(super) fn add(&mut self, port: u16, bytes: u64) {
        let entry = self.ports.entry(port).or_default();
        entry.0 = entry.0.saturating_add(1);
        entry.1 = entry.1.saturating_add(bytes);
    }

    /// Port, connections and payload bytes, most bytes first.
    #[must_use]
    pub fn busiest(&self) -> Vec<(u16, u64, u64)> {
        let mut all: Vec<_> =
            self.ports.iter().map(|(&port, &(connections, bytes))| (port, connections, bytes)).collect();
        all.sort_by_key(|&(port, connections, bytes)| {
            (std::cmp::Reverse(bytes), std::cmp::Reverse(connections), port)
        });
        all
    }
}
