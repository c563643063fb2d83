//! What all charts have in common: title, caption, legend, axes and grid.

use super::axis::Axis;
use super::canvas::{Canvas, Recorder, SCALE};
use super::{Figure, font, theme};
use plotters::chart::{ChartBuilder, ChartContext};
use plotters::coord::Shift;
use plotters::coord::cartesian::Cartesian2d;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::element::{Circle, PathElement, Polygon, Rectangle};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{Color, IntoFont, RGBColor, ShapeStyle, TextStyle};

/// Width of every figure in pixels; a phone in landscape shows half of it, a page all.
pub(super) const WIDTH: u32 = 880;
/// Space around a drawing, in pixels.
pub(super) const MARGIN: i32 = 20;
/// On a page the reader's own font takes the place of Inter, and may be so much wider.
const ROOM: f32 = 1.16;

pub(super) type Area<'c> = DrawingArea<Recorder<'c>, Shift>;
pub(super) type Plane<'a, 'c> = ChartContext<'a, Recorder<'c>, Cartesian2d<Axis, Axis>>;

/// The number of a marker, its place in tenths of a pixel, its colour. Markers are drawn on the
/// whole figure: one at the end of an axis is a whole one.
pub(super) type Marker = (usize, (i32, i32), RGBColor);

/// How a legend shows a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    Line,
    Dot,
}

/// One entry of a legend.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) color: RGBColor,
    pub(super) mark: Mark,
    /// Which marker the series has.
    pub(super) number: usize,
    pub(super) label: String,
}

/// What a chart says around its drawing.
#[derive(Clone, Debug)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) title: String,
    /// Under the title: n, and how it was made.
    pub(super) caption: String,
    pub(super) description: String,
    pub(super) legend: Vec<Entry>,
    /// The height of the drawing under title and legend, in pixels.
    pub(super) height: u32,
}

/// A chart with these axes, each with the title that stands at its end.
pub(super) fn chart(
    frame: Frame,
    (x, x_title): (Axis, &str),
    (y, y_title): (Axis, &str),
    draw: impl FnOnce(&mut Plane<'_, '_>) -> Vec<Marker>,
) -> Figure {
    plain(frame, |area, top| {
        if !y_title.is_empty() {
            text(
                area,
                y_title,
                12,
                theme::MUTED,
                (MARGIN, top + 12),
                HPos::Left,
            );
        }
        let margins = [top + 24, MARGIN + 14, MARGIN + 22, MARGIN];
        let left = label_width(&y);
        let markers = plane(area, (margins, left), x, y, draw);
        markers_on(area, markers);
        if !x_title.is_empty() {
            let (width, height) = area.dim_in_pixel();
            let place = (
                width as i32 / SCALE - MARGIN - 14,
                height as i32 / SCALE - MARGIN + 2,
            );
            text(area, x_title, 12, theme::MUTED, place, HPos::Right);
        }
    })
}

/// How much room the labels of a vertical axis take, in pixels.
pub(super) fn label_width(axis: &Axis) -> i32 {
    let widths = axis.labels().map(|label| font::width(label, 12.0));
    widths.fold(0.0, f32::max).ceil() as i32 + 10
}

/// Axes, grid, and what `draw` adds, with margins (top, right, bottom, left) and room for the
/// vertical axis' labels in pixels.
pub(super) fn plane(
    area: &Area<'_>,
    ([top, right, bottom, left], labels): ([i32; 4], i32),
    x: Axis,
    y: Axis,
    draw: impl FnOnce(&mut Plane<'_, '_>) -> Vec<Marker>,
) -> Vec<Marker> {
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_top(top * SCALE)
        .margin_left(left * SCALE)
        .margin_right(right * SCALE)
        .margin_bottom(bottom * SCALE)
        .x_label_area_size(26 * SCALE)
        .y_label_area_size(labels * SCALE);
    let Ok(mut plane) = builder.build_cartesian_2d(x, y) else {
        return Vec::new();
    };
    let labels = style(12, theme::MUTED);
    let drawn = plane
        .configure_mesh()
        .light_line_style(theme::GRID.mix(0.0))
        .bold_line_style(theme::GRID.stroke_width(10))
        .axis_style(theme::AXIS.stroke_width(10))
        .set_all_tick_mark_size(5 * SCALE)
        .x_label_style(labels.clone())
        .y_label_style(labels)
        .x_labels(64)
        .y_labels(64)
        .draw();
    debug_assert!(drawn.is_ok(), "a recorder takes everything");
    draw(&mut plane)
}

/// Draws markers on the whole figure.
pub(super) fn markers_on(area: &Area<'_>, markers: Vec<Marker>) {
    for (number, place, color) in markers {
        marker(area, number, place, color);
    }
}

/// A drawing under a title, a caption and a legend; `draw` is told where that ends.
pub(super) fn plain(frame: Frame, draw: impl FnOnce(&Area<'_>, i32)) -> Figure {
    let captions = wrapped(
        &frame.caption,
        12.0,
        (WIDTH as i32 - 2 * MARGIN) as f32 / ROOM,
    );
    let captions_end = 44 + 17 * captions.len() as i32;
    let (places, legend_height) = legend_places(&frame.legend);
    let top = captions_end + legend_height;
    let mut canvas = Canvas::new(WIDTH, frame.height + top.unsigned_abs());
    {
        let area = Recorder(&mut canvas).into_drawing_area();
        text(
            &area,
            &frame.title,
            17,
            theme::INK,
            (MARGIN, 34),
            HPos::Left,
        );
        for (index, line) in captions.iter().enumerate() {
            let y = 55 + 17 * index as i32;
            text(&area, line, 12, theme::MUTED, (MARGIN, y), HPos::Left);
        }
        for (entry, (x, y)) in frame.legend.iter().zip(places) {
            draw_entry(&area, entry, (x, y + captions_end));
        }
        draw(&area, top);
    }
    Figure {
        name: frame.name,
        title: frame.title,
        caption: frame.caption,
        description: frame.description,
        canvas,
    }
}

/// Lines of at most this width, broken between words.
pub(super) fn wrapped(text: &str, size: f32, width: f32) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if font::width(line, size) + font::width(word, size) + 4.0 < width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Where each entry stands, in as many rows as they need, and the height of all.
fn legend_places(legend: &[Entry]) -> (Vec<(i32, i32)>, i32) {
    if legend.is_empty() {
        return (Vec::new(), 8);
    }
    let (mut x, mut y) = (MARGIN, 18);
    let mut places = Vec::new();
    for entry in legend {
        let label = font::width(&font::drawable(&entry.label), 13.0) * ROOM;
        let width = 36 + label.ceil() as i32 + 14;
        if x > MARGIN && x + width > WIDTH as i32 - MARGIN + 22 {
            x = MARGIN;
            y += 22;
        }
        places.push((x, y));
        x += width;
    }
    (places, y + 16)
}

fn draw_entry(area: &Area<'_>, entry: &Entry, (x, y): (i32, i32)) {
    let (left, middle) = (x * SCALE, (y - 4) * SCALE);
    let right = left + 28 * SCALE;
    if entry.mark == Mark::Line {
        let line = vec![(left, middle), (right, middle)];
        let drawn = area.draw(&PathElement::new(line, line_style(entry.color)));
        debug_assert!(drawn.is_ok());
    }
    marker(area, entry.number, (left + 14 * SCALE, middle), entry.color);
    text(area, &entry.label, 13, theme::INK, (x + 36, y), HPos::Left);
}

/// The line of a series.
pub(super) fn line_style(color: RGBColor) -> ShapeStyle {
    color.stroke_width(20)
}

/// The marker of a series at a place in tenths of a pixel: a dot, square, triangle, diamond, …
pub(super) fn marker(area: &Area<'_>, number: usize, (x, y): (i32, i32), color: RGBColor) {
    let r = 40;
    let fill = color.filled();
    let drawn = match number % 6 {
        0 => area.draw(&Circle::new((x, y), r, fill)),
        1 => area.draw(&Rectangle::new([(x - 35, y - 35), (x + 35, y + 35)], fill)),
        2 => area.draw(&Polygon::new(
            vec![(x, y - 48), (x + 44, y + 32), (x - 44, y + 32)],
            fill,
        )),
        3 => area.draw(&Polygon::new(
            vec![(x, y - 50), (x + 50, y), (x, y + 50), (x - 50, y)],
            fill,
        )),
        4 => area.draw(&Circle::new((x, y), r, color.stroke_width(15))),
        _ => area.draw(&Rectangle::new(
            [(x - 35, y - 35), (x + 35, y + 35)],
            color.stroke_width(15),
        )),
    };
    debug_assert!(drawn.is_ok());
}

/// A style of text for plotters; sizes are pixels.
pub(super) fn style(size: i32, color: RGBColor) -> TextStyle<'static> {
    ("Inter", size * SCALE).into_font().color(&color)
}

/// One line of text with its baseline at `y`, in pixels.
pub(super) fn text(
    area: &Area<'_>,
    line: &str,
    size: i32,
    color: RGBColor,
    (x, y): (i32, i32),
    side: HPos,
) {
    let style = style(size, color).pos(Pos::new(side, VPos::Bottom));
    let drawn = area.draw_text(line, &style, (x * SCALE, y * SCALE));
    debug_assert!(drawn.is_ok());
}

/// `text` in at most `width` pixels, the middle left out where it is longer.
pub(super) fn fitted(text: &str, size: f32, width: f32) -> String {
    let text = font::drawable(text);
    if font::width(&text, size) <= width {
        return text;
    }
    let characters: Vec<char> = text.chars().collect();
    let mut kept = characters.len();
    loop {
        kept = kept.saturating_sub(1 + kept / 50);
        let end = kept / 2;
        let start = characters.iter().take(kept - end);
        let tail = characters.iter().skip(characters.len() - end);
        let short: String = start.chain(&['…']).chain(tail).collect();
        if kept == 0 || font::width(&short, size) <= width {
            return short;
        }
    }
}
