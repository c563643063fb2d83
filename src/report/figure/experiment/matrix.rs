//! The matrix of correlations, a triangle for each part.

use super::frame;
use crate::report::experiment::Experiment;
use crate::report::figure::canvas::SCALE;
use crate::report::figure::chart::{Area, MARGIN, plain, text};
use crate::report::figure::{Figure, theme};
use crate::results::CorrelationRow;
use plotters::element::Rectangle;
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

const ROW: i32 = 30;
const TILE: i32 = 82;
const NAMES: i32 = 150;
/// Above a triangle: its title; below: the names of its columns.
const HEAD: i32 = 34;
const FOOT: i32 = 26;

/// One part's.
struct Triangle<'e> {
    title: String,
    names: Vec<&'e str>,
    rows: Vec<&'e CorrelationRow>,
}

/// A quantity in a word or two.
fn short(name: &str) -> &str {
    match name {
        "qos" => "QoS",
        "payload_bytes" => "payload",
        "packet_loss_ratio" => "packet loss",
        "segment_loss_ratio" => "sent again",
        "delay_median_ns" => "median",
        "delay_p99_ns" => "p99",
        "never_arrived_ratio" => "never arrived",
        "loss_ratio" => "late or lost",
        other => other,
    }
}

fn triangles(experiment: &Experiment) -> Vec<Triangle<'_>> {
    const ORDER: [&str; 8] = [
        "qos",
        "payload_bytes",
        "packet_loss_ratio",
        "segment_loss_ratio",
        "delay_median_ns",
        "delay_p99_ns",
        "never_arrived_ratio",
        "loss_ratio",
    ];
    let mut triangles = Vec::new();
    for part in experiment.parts() {
        let stratum = format!("part={part}");
        let rows: Vec<&CorrelationRow> = (experiment.correlations.iter())
            .filter(|row| &*row.method == "spearman")
            .filter(|row| *row.stratum == *stratum || &*row.stratum == "all")
            .collect();
        let named = |name: &&str| {
            let mut of_name = rows
                .iter()
                .filter(|row| &*row.x == *name || &*row.y == *name);
            // What a part does not vary says nothing; that nothing was lost says something.
            if matches!(*name, "qos" | "payload_bytes" | "packet_loss_ratio") {
                of_name.any(|row| row.coefficient.is_some())
            } else {
                of_name.next().is_some()
            }
        };
        let names: Vec<&str> = ORDER.into_iter().filter(named).collect();
        // A triangle in which nothing is defined says nothing.
        if rows.iter().any(|row| row.coefficient.is_some()) && names.len() > 1 {
            triangles.push(Triangle {
                title: part.replace('_', " "),
                names,
                rows,
            });
        }
    }
    triangles
}

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    let triangles = triangles(experiment);
    if triangles.is_empty() {
        return None;
    }
    let caption = "Spearman's ρ between quantities of cells, for each part. Blue: they grow together; \
                   orange: one shrinks where the other grows; the darker, the closer to ±1. A dash: \
                   undefined, since one of them never changes or there are too few cells. Bold frame: p < 0.05 after Holm."
        .to_owned();
    let mut frame = frame("correlations", "Correlation matrix", caption, Vec::new());
    let height = |triangle: &Triangle<'_>| HEAD + (triangle.names.len() as i32 - 1) * ROW + FOOT;
    frame.height = (triangles.iter().map(height).sum::<i32>() + 16).unsigned_abs();
    Some(plain(frame, |area, top| {
        let mut y = top;
        for triangle in &triangles {
            draw(area, triangle, y);
            y += height(triangle);
        }
    }))
}

fn draw(area: &Area<'_>, triangle: &Triangle<'_>, top: i32) {
    let title = (MARGIN, top + 20);
    text(area, &triangle.title, 13, theme::INK, title, HPos::Left);
    let left = MARGIN + NAMES;
    let first = top + HEAD;
    let rows = triangle.names.iter().enumerate().skip(1);
    for (row, name) in rows.clone() {
        let y = first + (row as i32 - 1) * ROW;
        let at = (left - 10, y + ROW / 2 + 4);
        text(area, short(name), 12, theme::INK, at, HPos::Right);
        for (column, other) in triangle.names.iter().enumerate().take(row) {
            let is_pair = |r: &&&CorrelationRow| {
                (&*r.x == *other && &*r.y == *name) || (&*r.x == *name && &*r.y == *other)
            };
            let value = triangle.rows.iter().find(is_pair);
            tile(area, (left + column as i32 * TILE, y), value.copied());
        }
    }
    let under = first + (triangle.names.len() as i32 - 1) * ROW + 16;
    for (column, name) in triangle
        .names
        .iter()
        .enumerate()
        .take(triangle.names.len() - 1)
    {
        let at = (left + column as i32 * TILE + TILE / 2, under);
        text(area, short(name), 12, theme::MUTED, at, HPos::Center);
    }
}

fn tile(area: &Area<'_>, (x, y): (i32, i32), row: Option<&CorrelationRow>) {
    let corners = |inset: i32| {
        [
            ((x + 1) * SCALE + inset, (y + 1) * SCALE + inset),
            (
                (x + TILE - 1) * SCALE - inset,
                (y + ROW - 1) * SCALE - inset,
            ),
        ]
    };
    let words = (x + TILE / 2, y + ROW / 2 + 5);
    let Some((value, row)) = row.and_then(|row| Some((row.coefficient?, row))) else {
        let frame = Rectangle::new(corners(5), theme::GRID.stroke_width(10));
        let drawn = area.draw(&frame);
        debug_assert!(drawn.is_ok());
        text(area, "–", 12, theme::MUTED, words, HPos::Center);
        return;
    };
    let color = theme::series(usize::from(value < 0.0));
    // Never so dark that the number on it cannot be read.
    let shade = color.mix(value.abs().min(1.0) * 0.55).filled();
    let drawn = area.draw(&Rectangle::new(corners(0), shade));
    debug_assert!(drawn.is_ok());
    if row.p_adjusted.is_some_and(|p| p < 0.05) {
        let drawn = area.draw(&Rectangle::new(corners(8), color.stroke_width(18)));
        debug_assert!(drawn.is_ok());
    }
    let number = format!("{value:.2}").replace('-', "−");
    text(area, &number, 12, theme::INK, words, HPos::Center);
}
