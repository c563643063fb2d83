//! How conditions differ, block by block.

use super::factor::{Factor, describe, factors, parts};
use super::{Messages, counts};
use crate::results::{CellRow, EffectRow};
use crate::stats::{
    Contrast, FEWEST_BLOCKS, Pair, block_interval, mean, median_difference, median_ratio,
};
use std::collections::BTreeMap;

/// The contrasts of a run: each level of each factor against its first one (and QoS 2 against
/// QoS 1), under each condition of the others and over all of them.
///
/// Delays as ratio and as difference of medians, losses as difference of shares. Conditions are
/// compared within a block only.
#[must_use]
pub fn effects(cells: &[CellRow], messages: &Messages, seed: u64) -> Vec<EffectRow> {
    let parts = parts(cells);
    let mut rows = Vec::new();
    for part in &parts {
        let of_part: Vec<&CellRow> = cells
            .iter()
            .filter(|cell| &*cell.part == *part && counts(cell))
            .collect();
        let table = Table {
            part: (parts.len() > 1).then_some(*part),
            factors: factors(&of_part),
            cells: of_part,
            messages,
            seed,
        };
        for &factor in &table.factors {
            table.of_factor(factor, &mut rows);
        }
    }
    rows
}

/// The cells of one part.
struct Table<'a> {
    part: Option<&'a str>,
    factors: Vec<Factor>,
    cells: Vec<&'a CellRow>,
    messages: &'a Messages,
    seed: u64,
}

/// Pairs of cells that differ in one factor only, by block.
type Pairs<'a> = BTreeMap<u32, Vec<(&'a CellRow, &'a CellRow)>>;

impl<'a> Table<'a> {
    fn of_factor(&self, factor: Factor, rows: &mut Vec<EffectRow>) {
        let others: Vec<Factor> = self
            .factors
            .iter()
            .copied()
            .filter(|f| *f != factor)
            .collect();
        for (a, b) in compared(factor, &factor.levels(&self.cells)) {
            for held in self.strata(factor, &others) {
                let pairs = self.pairs(factor, (&a, &b), &others, &held);
                if !pairs.is_empty() {
                    let conditions = [&a, &b].map(|level| {
                        let mut held = held.clone();
                        held.insert(0, (factor, level.clone()));
                        describe(self.part, &held)
                    });
                    self.contrasts(&pairs, conditions, rows);
                }
            }
        }
    }

    /// What is held while the factor changes: nothing, each level of QoS and of the link, and each
    /// combination of everything.
    fn strata(&self, factor: Factor, others: &[Factor]) -> Vec<Vec<(Factor, String)>> {
        let mut strata = vec![Vec::new()];
        let single = [Factor::Qos, Factor::Link];
        let single = single
            .into_iter()
            .filter(|f| *f != factor && others.contains(f));
        let single: Vec<Factor> = single.collect();
        for held in single
            .iter()
            .map(|factor| vec![*factor])
            .chain([single.clone(), others.to_vec()])
        {
            for cell in &self.cells {
                let stratum: Vec<(Factor, String)> = held
                    .iter()
                    .map(|factor| (*factor, factor.level(cell)))
                    .collect();
                if !strata.contains(&stratum) {
                    strata.push(stratum);
                }
            }
        }
        strata
    }

    fn pairs(
        &self,
        factor: Factor,
        (a, b): (&str, &str),
        others: &[Factor],
        held: &[(Factor, String)],
    ) -> Pairs<'a> {
        let is_held = |cell: &CellRow| held.iter().all(|(f, level)| f.level(cell) == *level);
        let key =
            |cell: &CellRow| -> Vec<String> { others.iter().map(|f| f.level(cell)).collect() };
        let mut of_b: BTreeMap<(u32, u32, Vec<String>), &CellRow> = BTreeMap::new();
        for cell in self
            .cells
            .iter()
            .filter(|cell| factor.level(cell) == b && is_held(cell))
        {
            of_b.insert((cell.block, cell.repetition, key(cell)), cell);
        }
        let mut pairs = Pairs::new();
        for cell in self
            .cells
            .iter()
            .filter(|cell| factor.level(cell) == a && is_held(cell))
        {
            if let Some(other) = of_b.get(&(cell.block, cell.repetition, key(cell))) {
                pairs.entry(cell.block).or_default().push((cell, other));
            }
        }
        pairs
    }

    fn contrasts(&self, pairs: &Pairs<'_>, conditions: [String; 2], rows: &mut Vec<EffectRow>) {
        let [a, b] = conditions;
        let row = |quantity: &str, measure: &str, contrast: Option<Contrast>, note: &str| {
            let interval = contrast.and_then(|contrast| contrast.interval);
            let few = pairs.len() < FEWEST_BLOCKS;
            let note = match (contrast.is_none(), few) {
                (true, _) => Some(note),
                (false, true) => Some("too few blocks for an interval"),
                (false, false) => None,
            };
            EffectRow {
                quantity: quantity.into(),
                condition_a: a.as_str().into(),
                condition_b: b.as_str().into(),
                measure: measure.into(),
                value: contrast.map(|contrast| contrast.value),
                ci_low: interval.map(|interval| interval.low),
                ci_high: interval.map(|interval| interval.high),
                blocks: pairs.len() as u64,
                note: note.map(Into::into),
            }
        };
        let delays = self.delays(pairs);
        let none = "nothing arrived in one of them";
        let ratio = median_ratio(&delays, self.seed);
        rows.push(row("delay_median_ns", "ratio", ratio, none));
        let difference = median_difference(&delays, self.seed);
        rows.push(row("delay_median_ns", "difference", difference, none));
        let losses: Vec<Vec<f64>> = pairs.values().map(|pairs| losses(pairs)).collect();
        // Where nothing is ever lost there is nothing to compare.
        if pairs.values().flatten().any(|(a, b)| a.lost + b.lost > 0) {
            let contrast = mean(&losses.concat()).map(|value| Contrast {
                value,
                interval: block_interval(&losses, self.seed, mean),
            });
            rows.push(row(
                "never_arrived_ratio",
                "difference",
                contrast,
                "nothing was sent",
            ));
        }
    }

    /// The delays of both sides, of pairs where both have some.
    fn delays(&self, pairs: &Pairs<'_>) -> Vec<Vec<Pair>> {
        let delays = |cell: &CellRow| -> Vec<f64> {
            let messages = self.messages.of(cell.cell);
            let delays = messages
                .map(super::CellMessages::delays)
                .unwrap_or_default();
            delays.iter().map(|delay| *delay as f64).collect()
        };
        let of_block = |pairs: &Vec<(&CellRow, &CellRow)>| -> Vec<Pair> {
            let pairs = pairs.iter().map(|(a, b)| Pair {
                a: delays(a),
                b: delays(b),
            });
            pairs
                .filter(|pair| !pair.a.is_empty() && !pair.b.is_empty())
                .collect()
        };
        let blocks = pairs.values().map(of_block);
        blocks
            .filter(|block: &Vec<Pair>| !block.is_empty())
            .collect()
    }
}

/// Which levels are compared: each with the first, and QoS 2 with QoS 1.
fn compared(factor: Factor, levels: &[String]) -> Vec<(String, String)> {
    let Some((first, others)) = levels.split_first() else {
        return Vec::new();
    };
    let mut compared: Vec<(String, String)> = others
        .iter()
        .map(|level| (level.clone(), first.clone()))
        .collect();
    let has = |level: &str| others.iter().any(|other| other == level);
    if factor == Factor::Qos && has("1") && has("2") {
        compared.push(("2".to_owned(), "1".to_owned()));
    }
    compared
}

fn losses(pairs: &[(&CellRow, &CellRow)]) -> Vec<f64> {
    let difference =
        |(a, b): &(&CellRow, &CellRow)| Some(a.never_arrived_ratio? - b.never_arrived_ratio?);
    pairs.iter().filter_map(difference).collect()
}
