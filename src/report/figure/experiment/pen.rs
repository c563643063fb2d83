//! Lines, bars and words at places of a chart.

use crate::report::figure::canvas::SCALE;
use crate::report::figure::chart::{Area, Plane, text};
use crate::report::figure::theme;
use plotters::element::{PathElement, Polygon};
use plotters::style::text_anchor::HPos;
use plotters::style::{Color, RGBColor};

/// Draws on a chart's plot: places are pairs of values of its axes.
pub(super) struct Pen<'p, 'a, 'c> {
    plane: &'p Plane<'a, 'c>,
    area: Area<'c>,
    origin: (i32, i32),
}

impl<'p, 'a, 'c> Pen<'p, 'a, 'c> {
    pub(super) fn new(plane: &'p Plane<'a, 'c>) -> Self {
        let area = plane.plotting_area().strip_coord_spec();
        let origin = area.get_base_pixel();
        Self {
            plane,
            area,
            origin,
        }
    }

    /// The place on the whole figure, for markers.
    pub(super) fn place(&self, at: (f64, f64)) -> (i32, i32) {
        self.plane.backend_coord(&at)
    }

    fn inner(&self, at: (f64, f64)) -> (i32, i32) {
        let (x, y) = self.place(at);
        (x - self.origin.0, y - self.origin.1)
    }

    /// The width of the plot in pixels.
    fn width(&self) -> i32 {
        self.area.dim_in_pixel().0 as i32 / SCALE
    }

    /// From place to place; the width is in tenths of a pixel.
    pub(super) fn line(&self, points: &[(f64, f64)], color: RGBColor, width: u32) {
        let points: Vec<(i32, i32)> = points.iter().map(|point| self.inner(*point)).collect();
        if points.len() < 2 {
            return;
        }
        let drawn = self
            .area
            .draw(&PathElement::new(points, color.stroke_width(width)));
        debug_assert!(drawn.is_ok());
    }

    /// A thin line over the whole width, above a row.
    pub(super) fn across(&self, row: f64) {
        let y = self.inner((1.0, row)).1;
        let line = vec![(0, y), (self.width() * SCALE, y)];
        let drawn = self
            .area
            .draw(&PathElement::new(line, theme::GRID.stroke_width(10)));
        debug_assert!(drawn.is_ok());
    }

    /// An arrow downwards from a place: the value is below it.
    pub(super) fn below(&self, at: (f64, f64), color: RGBColor) {
        let (x, y) = self.inner(at);
        let tip = y + 22 * SCALE;
        let shaft = PathElement::new(vec![(x, y), (x, tip - 60)], color.stroke_width(14));
        let foot = PathElement::new(vec![(x - 45, y), (x + 45, y)], color.stroke_width(14));
        let head = Polygon::new(
            vec![(x, tip), (x - 40, tip - 80), (x + 40, tip - 80)],
            color.filled(),
        );
        let drawn = self
            .area
            .draw(&shaft)
            .and_then(|()| self.area.draw(&foot))
            .and_then(|()| self.area.draw(&head));
        debug_assert!(drawn.is_ok());
    }

    /// Words in a row, so many pixels from the plot's left end.
    pub(super) fn left(&self, words: &str, row: f64, from: i32, muted: bool) {
        let color = if muted { theme::MUTED } else { theme::INK };
        let y = self.inner((1.0, row)).1 / SCALE + 4;
        text(&self.area, words, 12, color, (from, y), HPos::Left);
    }

    /// Words in a row that end at the plot's right end.
    pub(super) fn right(&self, words: &str, row: f64, side: HPos) {
        let y = self.inner((1.0, row)).1 / SCALE + 4;
        let x = self.width() - 4;
        text(&self.area, words, 12, theme::MUTED, (x, y), side);
    }
}
