//! Stacked bars, one in each row.

use crate::report::figure::axis::Axis;
use crate::report::figure::canvas::SCALE;
use crate::report::figure::chart::{
    Area, Entry, Frame, MARGIN, Mark, WIDTH, fitted, marker, plain, text,
};
use crate::report::figure::{Figure, theme};
use crate::time::TimeDelta;
use plotters::coord::ranged1d::Ranged;
use plotters::element::{PathElement, Rectangle};
use plotters::style::Color;
use plotters::style::text_anchor::HPos;

const ROW: i32 = 26;
const BAR: i32 = 16;
/// Width of the labels and of the values behind the bars, in pixels.
const LABELS: i32 = 230;
const VALUES: i32 = 90;

/// One bar.
pub(super) struct Bar {
    pub(super) label: String,
    /// Nanoseconds by series.
    pub(super) parts: Vec<(usize, f64)>,
    /// Where the marker of another measurement of the whole stands.
    pub(super) mark: Option<f64>,
    /// Whether it begins a new group, with space above it.
    pub(super) apart: bool,
}

impl Bar {
    fn length(&self) -> f64 {
        self.parts.iter().map(|(_, nanos)| nanos.max(0.0)).sum()
    }
}

/// The legend's entries of the parts, and of the marker where one is named.
pub(super) fn legend(parts: &[&str], mark: Option<&str>) -> Vec<Entry> {
    let entry = |number: usize, label: &str, color| Entry {
        color,
        mark: Mark::Dot,
        number,
        label: label.to_owned(),
    };
    // A square for what is an area.
    let parts = (0..).zip(parts);
    let mut legend: Vec<Entry> = parts
        .map(|(number, label)| entry(1, label, theme::series(number)))
        .collect();
    legend.extend(mark.map(|label| entry(3, label, theme::INK)));
    legend
}

/// The bars below each other, with one axis under them.
pub(super) fn stacked(mut frame: Frame, axis_title: &str, bars: &[Bar]) -> Figure {
    let gaps = bars.iter().filter(|bar| bar.apart).count() as i32;
    let inner = bars.len() as i32 * ROW + gaps * ROW / 2;
    frame.height = (inner + 70).unsigned_abs();
    let longest = bars
        .iter()
        .map(|bar| bar.length().max(bar.mark.unwrap_or(0.0)));
    let (left, right) = (MARGIN + LABELS, WIDTH as i32 - MARGIN - VALUES);
    let axis = Axis::lengths(longest.fold(1.0, f64::max)).thinned(right - left);
    plain(frame, |area, top| {
        let place = |nanos: f64| axis.map(&nanos, (left * SCALE, right * SCALE));
        scale(area, &axis, (top, top + inner), place);
        let mut y = top;
        for bar in bars {
            if bar.apart {
                y += ROW / 2;
            }
            draw(area, bar, y, place);
            y += ROW;
        }
        let end = (WIDTH as i32 - MARGIN, top + inner + 46);
        text(area, axis_title, 12, theme::MUTED, end, HPos::Right);
    })
}

fn scale(area: &Area<'_>, axis: &Axis, (top, bottom): (i32, i32), place: impl Fn(f64) -> i32) {
    for (value, label) in axis.ticks() {
        let x = place(*value);
        let line = vec![(x, top * SCALE), (x, bottom * SCALE)];
        let drawn = area.draw(&PathElement::new(line, theme::GRID.stroke_width(10)));
        debug_assert!(drawn.is_ok());
        let at = (x / SCALE, bottom + 20);
        text(area, label, 12, theme::MUTED, at, HPos::Center);
    }
}

fn draw(area: &Area<'_>, bar: &Bar, y: i32, place: impl Fn(f64) -> i32) {
    let label = fitted(&bar.label, 12.0, (LABELS - 16) as f32 / 1.16);
    let baseline = y + ROW / 2 + 5;
    let end = MARGIN + LABELS - 10;
    text(area, &label, 12, theme::INK, (end, baseline), HPos::Right);
    let upper = (y + (ROW - BAR) / 2) * SCALE;
    let lower = upper + BAR * SCALE;
    let mut from = 0.0;
    for (number, nanos) in &bar.parts {
        let to = from + nanos.max(0.0);
        let corners = [(place(from), upper), (place(to), lower)];
        let color = theme::series(*number).filled();
        let drawn = area.draw(&Rectangle::new(corners, color));
        debug_assert!(drawn.is_ok());
        from = to;
    }
    let mut end = place(from);
    if let Some(mark) = bar.mark {
        let at = (place(mark), i32::midpoint(upper, lower));
        marker(area, 3, at, theme::INK);
        // Behind the marker where the words would cover it.
        if (end - 60..end + VALUES * SCALE).contains(&at.0) {
            end = end.max(at.0 + 60);
        }
    }
    let whole = TimeDelta::from_nanos(from.round() as i64).to_string();
    let after = (end / SCALE + 8, baseline);
    text(area, &whole, 12, theme::MUTED, after, HPos::Left);
}
