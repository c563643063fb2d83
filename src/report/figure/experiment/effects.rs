//! Effects as ratios: how many times longer delays are under one condition than under another.

use super::frame;
use super::pen::Pen;
use crate::report::experiment::{Contrast, Experiment, estimate};
use crate::report::figure::axis::Axis;
use crate::report::figure::chart::{WIDTH, chart, fitted};
use crate::report::figure::{Figure, theme};
use crate::results::{EffectRow, counted};
use plotters::style::text_anchor::HPos;

/// More rows than these are in the table only.
const MOST_ROWS: usize = 28;
const ROW: u32 = 26;

/// Keeps the most general contrasts, each kind whole or not at all: what holds over everything, then
/// under one condition of the others, payloads (of which there may be many) after other factors.
fn general(rows: &mut Vec<(Contrast, &EffectRow)>) {
    let tier = |contrast: &Contrast| {
        2 * contrast.depth() + usize::from(contrast.factor == "payload_bytes")
    };
    let up_to = |limit: usize| rows.iter().filter(|row| tier(&row.0) <= limit).count();
    let last = (1..8).take_while(|limit| up_to(*limit) <= MOST_ROWS).last();
    let last = last.unwrap_or(1);
    rows.retain(|row| tier(&row.0) <= last);
    rows.truncate(MOST_ROWS);
}

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let main = experiment.main_part();
    let mut rows: Vec<(Contrast, &EffectRow)> = (experiment.effects.iter())
        .filter(|row| &*row.quantity == "delay_median_ns" && &*row.measure == "ratio")
        .filter(|row| row.value.is_some_and(|value| value > 0.0))
        .filter_map(|row| Some((Contrast::of(row)?, row)))
        // Effects in the extensions stand beside those.
        .filter(|(contrast, _)| {
            contrast
                .level("part")
                .is_none_or(|p| Some(p) == main.as_deref())
        })
        .collect();
    let all = rows.len();
    general(&mut rows);
    let order: Vec<String> = {
        let mut order: Vec<String> = Vec::new();
        for (contrast, _) in &rows {
            let names = contrast.names("/");
            if !order.contains(&names) {
                order.push(names);
            }
        }
        order
    };
    rows.sort_by_key(|(contrast, _)| order.iter().position(|n| *n == contrast.names("/")));
    let ends = rows
        .iter()
        .flat_map(|(_, row)| [row.value, row.ci_low, row.ci_high]);
    let ends = ends.flatten().filter(|end| *end > 0.0);
    let (low, high) = ends.fold((1.0_f64, 1.0_f64), |(low, high), end| {
        (low.min(end), high.max(end))
    });
    if rows.is_empty() {
        return None;
    }
    let mut caption = "Ratio of median delays, compared within blocks, with its 95 % interval \
                       (bootstrap over blocks, then messages). Left of × 1: shorter."
        .to_owned();
    if all > rows.len() {
        caption += &format!(" The {} most general of {all}.", rows.len());
    }
    let mut frame = frame("effects", "Effects on delay", caption, Vec::new());
    frame.height = 92 + ROW * rows.len() as u32;
    let mut x = Axis::ratios(low, high);
    x.widen(0.36, 0.28);
    let x = x.thinned(WIDTH as i32 - 60);
    Some(chart(
        frame,
        (x, "ratio of median delays →"),
        (Axis::rows(rows.len()), ""),
        |plane| {
            let pen = Pen::new(plane);
            let mut markers = Vec::new();
            pen.line(&[(1.0, 0.0), (1.0, rows.len() as f64)], theme::AXIS, 14);
            let mut before = String::new();
            for (index, (contrast, row)) in rows.iter().enumerate() {
                let y = index as f64 + 0.5;
                let names = contrast.names("/");
                let held = match contrast.held(&["part"]) {
                    held if held.is_empty() => "all together".to_owned(),
                    held => held,
                };
                if names != before {
                    if index > 0 {
                        pen.across(index as f64);
                    }
                    pen.left(&fitted(&names, 12.0, 150.0), y, 6, false);
                }
                before = names;
                pen.left(&fitted(&held, 12.0, 150.0), y, 150, true);
                let number = match contrast.factor.as_str() {
                    "qos" => 0,
                    "payload_bytes" => 1,
                    _ => 2,
                };
                let color = theme::series(number);
                let (value, interval) = (row.value.unwrap_or(1.0), row.ci_low.zip(row.ci_high));
                if let Some((from, to)) = interval {
                    pen.line(&[(from, y), (to, y)], color, 14);
                }
                markers.push((number, pen.place((value, y)), color));
                let text = format!(
                    "{}, {}",
                    estimate(value, interval),
                    counted(row.blocks, "block")
                );
                pen.right(&text, y, HPos::Right);
            }
            markers
        },
    ))
}
