//! The cells of a run: every combination of the factors is a condition, every repetition a block.

use super::blocks::{Placed, blocks};
use super::plan::CellPlan;
use serde::{Deserialize, Serialize};

/// The factors of a run, and what all its cells have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Design {
    /// QoS of the publishers.
    pub qos: Vec<u8>,
    /// QoS of the subscriptions; none: that of the publishers.
    pub subscriber_qos: Vec<u8>,
    /// Bytes of the payloads.
    pub payload_bytes: Vec<usize>,
    /// How often every condition is measured.
    pub repetitions: u32,
    /// Decides the order of the cells and their schedules.
    pub seed: u64,
    /// Everything else.
    pub base: CellPlan,
}

impl Design {
    /// The conditions: publishers' QoS, subscriptions' QoS, payload bytes.
    #[must_use]
    pub fn conditions(&self) -> Vec<(u8, u8, usize)> {
        let mut conditions = Vec::new();
        for &qos in &self.qos {
            let same = [qos];
            let subscriber_qos = if self.subscriber_qos.is_empty() {
                &same[..]
            } else {
                &self.subscriber_qos
            };
            for &subscriber_qos in subscriber_qos {
                for &bytes in &self.payload_bytes {
                    conditions.push((qos, subscriber_qos, bytes));
                }
            }
        }
        conditions
    }

    /// The cells in the order in which they are measured.
    #[must_use]
    pub fn cells(&self) -> Vec<(Placed, CellPlan)> {
        let conditions = self.conditions();
        let placed = blocks(conditions.len(), self.repetitions, self.seed);
        placed
            .into_iter()
            .map(|placed| {
                let (qos, subscriber_qos, payload_bytes) = conditions[placed.condition];
                let plan = CellPlan {
                    cell: placed.cell,
                    qos,
                    subscriber_qos,
                    payload_bytes,
                    seed: self.seed ^ u64::from(placed.cell).wrapping_mul(0xd6e8_feb8_6659_fd93),
                    ..self.base.clone()
                };
                (placed, plan)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_all_combinations() {
        let mut design = Design {
            qos: vec![0, 2],
            subscriber_qos: Vec::new(),
            payload_bytes: vec![16, 1024],
            repetitions: 3,
            seed: 5,
            base: CellPlan::default(),
        };
        let same = [(0, 0, 16), (0, 0, 1024), (2, 2, 16), (2, 2, 1024)];
        assert_eq!(design.conditions(), same);
        assert_eq!(design.cells().len(), 12);
        design.subscriber_qos = vec![0, 1, 2];
        assert_eq!(design.conditions().len(), 12);
        let cells = design.cells();
        assert!(cells.iter().all(|(placed, plan)| plan.cell == placed.cell));
        assert_ne!(cells[0].1.seed, cells[1].1.seed);
    }
}
