//! A drawing as SVG: with text as outlines for a file, which any machine shows alike, or as text
//! for a page, where it can be selected, searched and read aloud.

use super::canvas::{Anchor, Canvas, Paint, Shape, Text};
use super::{font, theme};
use std::fmt::Write;

/// How an SVG is to be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// A file of its own: colours and outlines are in it.
    File,
    /// A part of an HTML page, whose style sheet has the colours (`.fig .s1`, …).
    Inline,
}

/// The SVG. `title` and `description` are for those who cannot see it.
pub(super) fn svg(canvas: &Canvas, title: &str, description: &str, used: Use) -> String {
    let Canvas { width, height, .. } = *canvas;
    let mut out = String::with_capacity(16 << 10);
    // Writes to a string do not fail.
    _ = match used {
        Use::File => write!(
            out,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\" role=\"img\">\n<title>{}</title>\n<desc>{}</desc>\n\
             <style>{}</style>\n<rect class=\"paper-f\" width=\"{width}\" height=\"{height}\"/>\n",
            escaped(title),
            escaped(description),
            style_sheet(),
        ),
        Use::Inline => writeln!(
            out,
            "<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">",
            escaped(description),
        ),
    };
    for shape in &canvas.shapes {
        write_shape(&mut out, shape, used);
    }
    out.push_str("</svg>\n");
    out
}

/// Colours for paper: a stroke is `.s1`, a fill `.s1-f`.
fn style_sheet() -> String {
    let mut css = String::from("path,polyline,rect,circle{fill:none}");
    for (role, color) in theme::roles() {
        let hex = format!("#{:02x}{:02x}{:02x}", color.0, color.1, color.2);
        _ = write!(css, ".{role}{{stroke:{hex}}}.{role}-f{{fill:{hex}}}");
    }
    css
}

fn write_shape(out: &mut String, shape: &Shape, used: Use) {
    _ = match shape {
        Shape::Line {
            points,
            paint,
            width,
        } => {
            out.push_str("<polyline");
            stroke(out, *paint, *width, true);
            out.push_str(" points=\"");
            write_points(out, points);
            out.write_str("\"/>\n")
        }
        Shape::Area { points, paint } => {
            out.push_str("<polygon");
            fill(out, *paint);
            out.push_str(" points=\"");
            write_points(out, points);
            out.write_str("\"/>\n")
        }
        Shape::Rectangle {
            corners: ((x1, y1), (x2, y2)),
            paint,
            outline,
        } => {
            let (x, y) = (x1.min(x2), y1.min(y2));
            _ = write!(out, "<rect x=\"{}\" y=\"{}\"", tenth(*x), tenth(*y));
            let (width, height) = ((x2 - x1).abs(), (y2 - y1).abs());
            _ = write!(
                out,
                " width=\"{}\" height=\"{}\"",
                tenth(width),
                tenth(height)
            );
            paint_closed(out, *paint, *outline);
            out.write_str("/>\n")
        }
        Shape::Circle {
            center,
            radius,
            paint,
            outline,
        } => {
            _ = write!(
                out,
                "<circle cx=\"{}\" cy=\"{}\" r=\"{}\"",
                tenth(center.0),
                tenth(center.1),
                number(radius / 10.0)
            );
            paint_closed(out, *paint, *outline);
            out.write_str("/>\n")
        }
        Shape::Text(text) => {
            match used {
                Use::File => write_outlines(out, text),
                Use::Inline => write_text(out, text),
            }
            Ok(())
        }
    };
}

fn paint_closed(out: &mut String, paint: Paint, outline: Option<f32>) {
    match outline {
        Some(width) => stroke(out, paint, width, false),
        None => fill(out, paint),
    }
}

fn stroke(out: &mut String, paint: Paint, width: f32, dashed: bool) {
    let (role, dashes) = theme::role(paint.rgb);
    _ = write!(
        out,
        " class=\"{role}\" stroke-width=\"{}\"",
        number(width / 10.0)
    );
    // Thin lines are whiskers and frames, whose meaning is their place.
    if dashed && !dashes.is_empty() && width >= 15.0 {
        let dashes: Vec<String> = dashes.iter().map(|dash| number(dash / 10.0)).collect();
        _ = write!(out, " stroke-dasharray=\"{}\"", dashes.join(" "));
    }
    if paint.alpha < 1.0 {
        _ = write!(out, " stroke-opacity=\"{}\"", number(paint.alpha));
    }
}

fn fill(out: &mut String, paint: Paint) {
    let (role, _) = theme::role(paint.rgb);
    _ = write!(out, " class=\"{role}-f\"");
    if paint.alpha < 1.0 {
        _ = write!(out, " fill-opacity=\"{}\"", number(paint.alpha));
    }
}

fn write_points(out: &mut String, points: &[(i32, i32)]) {
    for (index, (x, y)) in points.iter().enumerate() {
        let space = if index == 0 { "" } else { " " };
        _ = write!(out, "{space}{},{}", tenth(*x), tenth(*y));
    }
}

fn write_text(out: &mut String, text: &Text) {
    let (anchor, x) = match text.anchor {
        Anchor::Start => ("", text.x),
        Anchor::Middle => (" text-anchor=\"middle\"", text.x + text.width / 2.0),
        Anchor::End => (" text-anchor=\"end\"", text.x + text.width),
    };
    _ = write!(
        out,
        "<text x=\"{}\" y=\"{}\" font-size=\"{}\"{anchor}",
        number(x / 10.0),
        number(text.y / 10.0),
        number(text.size / 10.0),
    );
    fill(out, text.paint);
    _ = writeln!(out, ">{}</text>", escaped(&text.text));
}

fn write_outlines(out: &mut String, text: &Text) {
    out.push_str("<path");
    fill(out, text.paint);
    _ = write!(
        out,
        " transform=\"translate({} {})\" aria-label=\"{}\" d=\"",
        number(text.x / 10.0),
        number(text.y / 10.0),
        escaped(&text.text)
    );
    font::outline(&text.text, text.size / 10.0, &mut PathData(out));
    out.push_str("\"/>\n");
}

/// Writes outlines as the commands of an SVG path.
struct PathData<'o>(&'o mut String);

impl PathData<'_> {
    fn command(&mut self, letter: char, numbers: &[f32]) {
        self.0.push(letter);
        for (index, value) in numbers.iter().enumerate() {
            if index > 0 {
                self.0.push(' ');
            }
            self.0.push_str(&hundredth(*value));
        }
    }
}

impl font::Outline for PathData<'_> {
    fn move_to(&mut self, x: f32, y: f32) {
        self.command('M', &[x, y]);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        self.command('L', &[x, y]);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        self.command('Q', &[x1, y1, x, y]);
    }

    fn cubic_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        self.command('C', &[x1, y1, x2, y2, x, y]);
    }

    fn close(&mut self) {
        self.0.push('Z');
    }
}

/// Tenths of a pixel as pixels.
fn tenth(value: i32) -> String {
    number(value as f32 / 10.0)
}

/// At most one decimal, none where it would be 0; opacities get two.
fn number(value: f32) -> String {
    if value.abs() < 1.0 {
        return hundredth(value);
    }
    trimmed(format!("{value:.1}"))
}

fn hundredth(value: f32) -> String {
    trimmed(format!("{value:.2}"))
}

fn trimmed(text: String) -> String {
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "" | "-0" | "-" => "0".to_owned(),
        text => text.to_owned(),
    }
}

/// For text and for attributes between double quotes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        for (value, text) in [
            (0.0, "0"),
            (-0.001, "0"),
            (100.0, "100"),
            (12.34, "12.3"),
            (0.25, "0.25"),
            (-3.0, "-3"),
            (20.0, "20"),
        ] {
            assert_eq!(number(value), text);
        }
    }
}
