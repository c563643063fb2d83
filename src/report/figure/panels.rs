//! Several small charts in one figure, with one legend.

use super::axis::Axis;
use super::canvas::SCALE;
use super::chart::{
    Frame, MARGIN, Marker, Plane, WIDTH, fitted, label_width, markers_on, plain, plane, text,
};
use super::{Figure, theme};
use plotters::style::text_anchor::HPos;

/// Between two panels, in pixels.
const GAP: i32 = 16;
/// Above each: its title.
const HEAD: i32 = 26;

type Draw<'d> = Box<dyn FnOnce(&mut Plane<'_, '_>) -> Vec<Marker> + 'd>;

/// One of them.
pub(super) struct Panel<'d> {
    pub(super) title: String,
    pub(super) x: Axis,
    pub(super) y: Axis,
    pub(super) draw: Draw<'d>,
}

/// Panels in rows of at most `columns`, each so high. `titles` are those of the two axes, the same
/// for all; the frame's own height does not matter.
pub(super) fn panels(
    mut frame: Frame,
    (columns, height): (usize, i32),
    (x_title, y_title): (&str, &str),
    panels: Vec<Panel<'_>>,
) -> Figure {
    let columns = columns.clamp(1, panels.len().max(1)) as i32;
    let rows = (panels.len() as i32 + columns - 1) / columns;
    let headed = panels.iter().any(|panel| !panel.title.is_empty());
    let head = if headed { HEAD } else { 8 };
    frame.height = (20 + rows * (head + height + GAP) + 20).unsigned_abs();
    // One width for all: their axes then begin below each other.
    let labels = panels.iter().map(|panel| label_width(&panel.y)).max();
    let labels = labels.unwrap_or(10);
    let whole = WIDTH as i32 - 2 * MARGIN;
    let width = (whole - (columns - 1) * GAP) / columns;
    plain(frame, |area, top| {
        text(
            area,
            y_title,
            12,
            theme::MUTED,
            (MARGIN, top + 12),
            HPos::Left,
        );
        for (index, panel) in (0..).zip(panels) {
            let left = MARGIN + (index % columns) * (width + GAP);
            let upper = top + 20 + (index / columns) * (head + height + GAP);
            if headed {
                let title = fitted(&panel.title, 13.0, (width - labels) as f32 / 1.16);
                let place = (left + labels, upper + 17);
                text(area, &title, 13, theme::INK, place, HPos::Left);
            }
            let corner = (left * SCALE, (upper + head) * SCALE);
            let size = (width * SCALE, height * SCALE);
            let part = area.clone().shrink(corner, size);
            let x = panel.x.thinned(width - labels - 14);
            let markers = plane(&part, ([2, 14, 0, 0], labels), x, panel.y, panel.draw);
            markers_on(area, markers);
        }
        let bottom = top + 20 + rows * (head + height + GAP) + 4;
        let place = (WIDTH as i32 - MARGIN - 6, bottom);
        text(area, x_title, 12, theme::MUTED, place, HPos::Right);
    })
}
