//! A drawing as PNG, twice as many pixels a side as the figure has, on white.

use super::canvas::{Canvas, Paint, Shape, Text};
use super::{font, theme};
use tiny_skia::{
    Color, FillRule, LineCap, LineJoin, Paint as Ink, Path, PathBuilder, Pixmap, Rect, Stroke,
    StrokeDash, Transform,
};

/// Pixels of the PNG per tenth of a pixel of the figure.
const SCALE: f32 = 0.2;

/// The PNG file's bytes.
pub(super) fn png(canvas: &Canvas) -> Vec<u8> {
    let mut pixmap = Pixmap::new(canvas.width * 2, canvas.height * 2)
        .expect("a figure has a size, and a small one");
    pixmap.fill(Color::WHITE);
    for shape in &canvas.shapes {
        draw(&mut pixmap, shape);
    }
    pixmap.encode_png().expect("a whole image in memory")
}

fn draw(pixmap: &mut Pixmap, shape: &Shape) {
    match shape {
        Shape::Line {
            points,
            paint,
            width,
        } => stroke(pixmap, path(points, false), *paint, *width, true),
        Shape::Area { points, paint } => fill(pixmap, path(points, true), *paint),
        Shape::Rectangle {
            corners: ((x1, y1), (x2, y2)),
            paint,
            outline,
        } => {
            let rectangle = Rect::from_ltrb(
                *x1.min(x2) as f32,
                *y1.min(y2) as f32,
                *x1.max(x2) as f32,
                *y1.max(y2) as f32,
            );
            let path = rectangle.map(PathBuilder::from_rect);
            closed(pixmap, path, *paint, *outline);
        }
        Shape::Circle {
            center,
            radius,
            paint,
            outline,
        } => {
            let path = PathBuilder::from_circle(center.0 as f32, center.1 as f32, *radius);
            closed(pixmap, path, *paint, *outline);
        }
        Shape::Text(text) => draw_text(pixmap, text),
    }
}

fn closed(pixmap: &mut Pixmap, path: Option<Path>, paint: Paint, outline: Option<f32>) {
    match outline {
        Some(width) => stroke(pixmap, path, paint, width, false),
        None => fill(pixmap, path, paint),
    }
}

fn path(points: &[(i32, i32)], close: bool) -> Option<Path> {
    let mut builder = PathBuilder::new();
    let mut points = points.iter().map(|(x, y)| (*x as f32, *y as f32));
    let (x, y) = points.next()?;
    builder.move_to(x, y);
    points.for_each(|(x, y)| builder.line_to(x, y));
    if close {
        builder.close();
    }
    builder.finish()
}

fn ink(paint: Paint) -> Ink<'static> {
    let (r, g, b) = paint.rgb;
    let mut ink = Ink::default();
    ink.set_color_rgba8(r, g, b, (paint.alpha * 255.0).round() as u8);
    ink.anti_alias = true;
    ink
}

fn fill(pixmap: &mut Pixmap, path: Option<Path>, paint: Paint) {
    if let Some(path) = path {
        let transform = Transform::from_scale(SCALE, SCALE);
        pixmap.fill_path(&path, &ink(paint), FillRule::Winding, transform, None);
    }
}

fn stroke(pixmap: &mut Pixmap, path: Option<Path>, paint: Paint, width: f32, dashed: bool) {
    let Some(path) = path else { return };
    let (_, dashes) = theme::role(paint.rgb);
    let dashes = (dashed && width >= 15.0).then_some(dashes);
    let stroke = Stroke {
        width,
        line_join: LineJoin::Round,
        line_cap: LineCap::Butt,
        dash: dashes.and_then(|dashes| StrokeDash::new(dashes.to_vec(), 0.0)),
        ..Stroke::default()
    };
    let transform = Transform::from_scale(SCALE, SCALE);
    pixmap.stroke_path(&path, &ink(paint), &stroke, transform, None);
}

fn draw_text(pixmap: &mut Pixmap, text: &Text) {
    let mut builder = Outlines {
        path: PathBuilder::new(),
        origin: (text.x, text.y),
    };
    font::outline(&text.text, text.size, &mut builder);
    fill(pixmap, builder.path.finish(), text.paint);
}

struct Outlines {
    path: PathBuilder,
    origin: (f32, f32),
}

impl font::Outline for Outlines {
    fn move_to(&mut self, x: f32, y: f32) {
        self.path.move_to(self.origin.0 + x, self.origin.1 + y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.path.line_to(self.origin.0 + x, self.origin.1 + y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let (ox, oy) = self.origin;
        self.path.quad_to(ox + x1, oy + y1, ox + x, oy + y);
    }

    fn cubic_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let (ox, oy) = self.origin;
        self.path
            .cubic_to(ox + x1, oy + y1, ox + x2, oy + y2, ox + x, oy + y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
