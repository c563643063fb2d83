//! The bundled font: how wide a text is, and its outlines.

use std::sync::LazyLock;
use ttf_parser::{Face, GlyphId, OutlineBuilder};

/// Inter, regular, under the SIL Open Font License (`src/report/fonts/OFL.txt`).
const INTER: &[u8] = include_bytes!("../fonts/Inter-Regular.otf");

static FACE: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(INTER, 0).expect("the bundled font is one"));

/// The height of a capital letter, in parts of the size.
pub(super) const CAP_HEIGHT: f32 = 0.727;

/// Takes the outline of a text, in the text's own units: the origin at the left end of the
/// baseline, x to the right, y down.
pub(super) trait Outline {
    fn move_to(&mut self, x: f32, y: f32);
    fn line_to(&mut self, x: f32, y: f32);
    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32);
    fn cubic_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32);
    fn close(&mut self);
}

/// The width of a text in this size.
pub(super) fn width(text: &str, size: f32) -> f32 {
    text.chars().map(advance).sum::<f32>() * size
}

/// `text` with what the font has no glyph for as `\u{…}`: a figure shows it, if not as written.
pub(crate) fn drawable(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        if FACE.glyph_index(character).is_some() {
            out.push(character);
        } else {
            out.extend(character.escape_unicode());
        }
    }
    out
}

/// Hands the outlines of a text in this size to `to`.
pub(super) fn outline(text: &str, size: f32, to: &mut impl Outline) {
    let scale = size / f32::from(FACE.units_per_em());
    let mut x = 0.0;
    for character in text.chars() {
        if let Some(glyph) = FACE.glyph_index(character) {
            let mut placed = Placed { x, scale, to };
            FACE.outline_glyph(glyph, &mut placed);
        }
        x += advance(character) * size;
    }
}

fn advance(character: char) -> f32 {
    let glyph = FACE.glyph_index(character).unwrap_or(GlyphId(0));
    let units = FACE.glyph_hor_advance(glyph).unwrap_or(0);
    f32::from(units) / f32::from(FACE.units_per_em())
}

/// A glyph at its place in the text; fonts count y upwards.
struct Placed<'t, T> {
    x: f32,
    scale: f32,
    to: &'t mut T,
}

impl<T> Placed<'_, T> {
    fn at(&self, x: f32, y: f32) -> (f32, f32) {
        (self.x + x * self.scale, -y * self.scale)
    }
}

impl<T: Outline> OutlineBuilder for Placed<'_, T> {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.to.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.at(x, y);
        self.to.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.at(x1, y1), self.at(x, y));
        self.to.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.at(x1, y1), self.at(x2, y2), self.at(x, y));
        self.to.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.to.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_the_fonts() {
        assert!(width("iiii", 10.0) < width("mmmm", 10.0));
        let (one, two) = (width("abc", 10.0), width("abc", 20.0));
        assert!((two - 2.0 * one).abs() < 1e-3);
        // All digits are equally wide, so that columns of figures stand.
        assert!(
            (width("1", 10.0) - width("8", 10.0)).abs() < 3.0,
            "digits differ little"
        );
    }

    #[test]
    fn what_the_font_lacks_is_spelled_out() {
        assert_eq!(drawable("Küche/µs ≥ 99.9 %"), "Küche/µs ≥ 99.9 %");
        assert_eq!(drawable("温\u{202e}"), "\\u{6e29}\\u{202e}");
    }
}
