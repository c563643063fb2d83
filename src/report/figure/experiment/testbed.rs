//! The testbed as a drawing: hosts, links as set and as measured, and where the taps are.

use super::frame;
use crate::report::experiment::{Experiment, link_lines};
use crate::report::figure::canvas::SCALE;
use crate::report::figure::chart::{Area, MARGIN, WIDTH, fitted, plain, text, wrapped};
use crate::report::figure::{Figure, theme};
use plotters::element::{Circle, PathElement, Rectangle};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

const HOST: (i32, i32) = (116, 62);
const ROW: i32 = 17;
/// Most lines of links on each side; the table has all.
const MOST_LINES: usize = 24;

pub(super) fn figure(experiment: &Experiment) -> Option<Figure> {
    if experiment.manifest.links.is_empty() {
        return None;
    }
    // Half of the figure for each side, and room for a wider font.
    let width = (WIDTH as i32 / 2 - MARGIN - 24) as f32 / 1.16;
    let sides = ["publisher", "subscriber"].map(|side| {
        let lines = link_lines(experiment, side).into_iter();
        let lines = lines.flat_map(|line| {
            let parts = wrapped(&line, 12.0, width).into_iter().enumerate();
            parts.map(|(part, line)| {
                if part == 0 {
                    line
                } else {
                    format!("    {line}")
                }
            })
        });
        lines.collect::<Vec<String>>()
    });
    let shown = |lines: &Vec<String>| lines.len().min(MOST_LINES + 1);
    let lines = sides.iter().map(shown).max().unwrap_or(0) as i32;
    let caption = "Three hosts, each with a network stack of its own. Packets are delayed and lost between them, \
                   and every tap (white circle) sees what its host sends and receives, all by one clock. Of each \
                   link: one-way delay, loss and rate as set, and in brackets as measured with plain packets before \
                   the run, to the broker and back."
        .to_owned();
    let mut frame = frame("testbed", "Testbed and taps", caption, Vec::new());
    frame.height = (HOST.1 + 60 + lines * ROW + 20).unsigned_abs();
    Some(plain(frame, |area, top| draw(area, top + 16, &sides)))
}

fn draw(area: &Area<'_>, top: i32, sides: &[Vec<String>; 2]) {
    let middle = (WIDTH as i32 - HOST.0) / 2;
    let lefts = [MARGIN, middle, WIDTH as i32 - MARGIN - HOST.0];
    let y = top + HOST.1 / 2;
    for pair in lefts.windows(2) {
        let (from, to) = (pair[0] + HOST.0, pair[1]);
        let line = vec![(from * SCALE, y * SCALE), (to * SCALE, y * SCALE)];
        let drawn = area.draw(&PathElement::new(line, theme::AXIS.stroke_width(20)));
        debug_assert!(drawn.is_ok());
        // What impairs the packets stands in the middle, away from every host.
        let cut = i32::midpoint(from, to);
        let corners = [
            ((cut - 46) * SCALE, (y - 14) * SCALE),
            ((cut + 46) * SCALE, (y + 14) * SCALE),
        ];
        let paper = Rectangle::new(corners, theme::PAPER.filled());
        let edge = Rectangle::new(corners, theme::AXIS.stroke_width(12));
        let drawn = area.draw(&paper).and_then(|()| area.draw(&edge));
        debug_assert!(drawn.is_ok());
        text(
            area,
            "emulated link",
            11,
            theme::MUTED,
            (cut, y + 4),
            HPos::Center,
        );
        for tap in [from + 16, to - 16] {
            let center = (tap * SCALE, y * SCALE);
            let hole = Circle::new(center, 60, theme::PAPER.filled());
            let ring = Circle::new(center, 60, theme::series(1).stroke_width(18));
            let drawn = area.draw(&hole).and_then(|()| area.draw(&ring));
            debug_assert!(drawn.is_ok());
        }
    }
    for (left, (name, number)) in
        lefts
            .into_iter()
            .zip([("publisher", 0), ("broker", 2), ("subscriber", 0)])
    {
        host(area, (left, top), name, number);
    }
    let edges = [MARGIN, middle + HOST.0 / 2];
    for ((left, title), lines) in edges
        .into_iter()
        .zip(["publisher's link", "subscriber's link"])
        .zip(sides)
    {
        let mut y = top + HOST.1 + 34;
        text(area, title, 12, theme::INK, (left, y), HPos::Left);
        for line in lines.iter().take(MOST_LINES) {
            y += ROW;
            let line = fitted(line, 12.0, WIDTH as f32 / 2.0);
            text(area, &line, 12, theme::MUTED, (left, y), HPos::Left);
        }
        if lines.len() > MOST_LINES {
            let more = format!("and {} more", lines.len() - MOST_LINES);
            text(area, &more, 12, theme::MUTED, (left, y + ROW), HPos::Left);
        }
    }
}

fn host(area: &Area<'_>, (left, top): (i32, i32), name: &str, number: usize) {
    let corners = [
        (left * SCALE, top * SCALE),
        ((left + HOST.0) * SCALE, (top + HOST.1) * SCALE),
    ];
    let color = theme::series(number);
    let fill = Rectangle::new(corners, color.mix(0.16).filled());
    let edge = Rectangle::new(corners, color.stroke_width(16));
    let drawn = area.draw(&fill).and_then(|()| area.draw(&edge));
    debug_assert!(drawn.is_ok());
    let place = (left + HOST.0 / 2, top + HOST.1 / 2 + 5);
    text(area, name, 14, theme::INK, place, HPos::Center);
}
