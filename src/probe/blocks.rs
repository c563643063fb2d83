//! Randomised complete blocks: every repetition measures all conditions once, in an order of its
//! own. Measured one after the other, conditions are confounded with whatever drifts meanwhile.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

/// One cell of the design: a condition in a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placed {
    /// The cell's number in order of measurement, from 1.
    pub cell: u32,
    /// The block, from 1; each repetition is one block.
    pub block: u32,
    /// Which of the conditions.
    pub condition: usize,
}

/// The order in which `repetitions` of so many conditions are measured. The same seed gives the
/// same order.
#[must_use]
pub fn blocks(conditions: usize, repetitions: u32, seed: u64) -> Vec<Placed> {
    let mut random = StdRng::seed_from_u64(seed);
    let mut order: Vec<usize> = (0..conditions).collect();
    let mut placed = Vec::new();
    let mut cell = 0;
    for block in 1..=repetitions {
        order.shuffle(&mut random);
        for &condition in &order {
            cell += 1;
            placed.push(Placed {
                cell,
                block,
                condition,
            });
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_block_is_complete_and_in_an_order_of_its_own() {
        let placed = blocks(8, 20, 42);
        let orders: BTreeSet<Vec<usize>> = placed
            .chunks(8)
            .map(|block| {
                let order: Vec<usize> = block.iter().map(|placed| placed.condition).collect();
                let mut sorted = order.clone();
                sorted.sort_unstable();
                assert_eq!(sorted, (0..8).collect::<Vec<_>>());
                order
            })
            .collect();
        assert!(orders.len() > 15, "shuffled once only?");
        let cells: Vec<u32> = placed.iter().map(|placed| placed.cell).collect();
        assert_eq!(cells, (1..=160).collect::<Vec<_>>());
    }

    #[test]
    fn the_seed_decides() {
        assert_eq!(blocks(6, 3, 1), blocks(6, 3, 1));
        assert_ne!(blocks(6, 3, 1), blocks(6, 3, 2));
    }
}
