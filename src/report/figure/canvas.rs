//! What plotters draws, kept as shapes: one drawing becomes an SVG and a PNG that agree.
//!
//! plotters counts whole pixels. Here one of its pixels is a tenth of the figure's, so that lines
//! run smoothly.

use super::font;
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind,
    FontTransform,
};
use std::convert::Infallible;

/// plotters' pixels per pixel of the figure.
pub(super) const SCALE: i32 = 10;

/// A colour and how opaque it is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Paint {
    pub(super) rgb: (u8, u8, u8),
    pub(super) alpha: f32,
}

/// A shape, in tenths of a pixel.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    Line {
        points: Vec<BackendCoord>,
        paint: Paint,
        width: f32,
    },
    Area {
        points: Vec<BackendCoord>,
        paint: Paint,
    },
    Rectangle {
        corners: (BackendCoord, BackendCoord),
        paint: Paint,
        /// The width of its outline; `None` for a filled one.
        outline: Option<f32>,
    },
    Circle {
        center: BackendCoord,
        radius: f32,
        paint: Paint,
        outline: Option<f32>,
    },
    Text(Text),
}

/// A line of text. `x` and `y` are the left end of its baseline.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) x: f32,
    pub(super) y: f32,
    pub(super) size: f32,
    pub(super) anchor: Anchor,
    /// How wide it is in the bundled font.
    pub(super) width: f32,
    pub(super) paint: Paint,
}

/// Which end of a text was placed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing of a size in pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Canvas {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) shapes: Vec<Shape>,
}

impl Canvas {
    pub(super) const fn new(width: u32, height: u32) -> Self {
        Self {
            width,
            height,
            shapes: Vec::new(),
        }
    }
}

/// Draws on a canvas that the caller keeps.
pub(super) struct Recorder<'c>(pub(super) &'c mut Canvas);

fn paint(color: BackendColor) -> Paint {
    Paint {
        rgb: color.rgb,
        alpha: color.alpha as f32,
    }
}

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

impl Recorder<'_> {
    fn add(&mut self, shape: Shape, color: BackendColor) -> Drawn {
        if color.alpha > 0.0 {
            self.0.shapes.push(shape);
        }
        Ok(())
    }
}

impl DrawingBackend for Recorder<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        let scale = SCALE.unsigned_abs();
        (self.0.width * scale, self.0.height * scale)
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn {
        let shape = Shape::Rectangle {
            corners: (point, (point.0 + 1, point.1 + 1)),
            paint: paint(color),
            outline: None,
        };
        self.add(shape, color)
    }

    fn draw_line<S: BackendStyle>(
        &mut self,
        from: BackendCoord,
        to: BackendCoord,
        style: &S,
    ) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(
        &mut self,
        upper_left: BackendCoord,
        bottom_right: BackendCoord,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let shape = Shape::Rectangle {
            corners: (upper_left, bottom_right),
            paint: paint(style.color()),
            outline: (!fill).then(|| style.stroke_width() as f32),
        };
        self.add(shape, style.color())
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        path: I,
        style: &S,
    ) -> Drawn {
        let shape = Shape::Line {
            points: path.into_iter().collect(),
            paint: paint(style.color()),
            width: style.stroke_width() as f32,
        };
        self.add(shape, style.color())
    }

    fn draw_circle<S: BackendStyle>(
        &mut self,
        center: BackendCoord,
        radius: u32,
        style: &S,
        fill: bool,
    ) -> Drawn {
        let shape = Shape::Circle {
            center,
            radius: radius as f32,
            paint: paint(style.color()),
            outline: (!fill).then(|| style.stroke_width() as f32),
        };
        self.add(shape, style.color())
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(
        &mut self,
        vertices: I,
        style: &S,
    ) -> Drawn {
        let shape = Shape::Area {
            points: vertices.into_iter().collect(),
            paint: paint(style.color()),
        };
        self.add(shape, style.color())
    }

    fn draw_text<S: BackendTextStyle>(
        &mut self,
        text: &str,
        style: &S,
        position: BackendCoord,
    ) -> Drawn {
        debug_assert!(
            matches!(style.transform(), FontTransform::None),
            "text stands upright here"
        );
        let text = font::drawable(text);
        let size = style.size() as f32;
        let width = font::width(&text, size);
        let (mut x, mut y) = (position.0 as f32, position.1 as f32);
        let anchor = match style.anchor().h_pos {
            HPos::Left => Anchor::Start,
            HPos::Center => Anchor::Middle,
            HPos::Right => Anchor::End,
        };
        x -= match anchor {
            Anchor::Start => 0.0,
            Anchor::Middle => width / 2.0,
            Anchor::End => width,
        };
        let capital = size * font::CAP_HEIGHT;
        y += match style.anchor().v_pos {
            VPos::Top => capital,
            VPos::Center => capital / 2.0,
            VPos::Bottom => 0.0,
        };
        let shape = Shape::Text(Text {
            text,
            x,
            y,
            size,
            anchor,
            width,
            paint: paint(style.color()),
        });
        self.add(shape, style.color())
    }

    fn estimate_text_size<S: BackendTextStyle>(
        &self,
        text: &str,
        style: &S,
    ) -> Result<(u32, u32), DrawingErrorKind<Infallible>> {
        let size = style.size() as f32;
        let width = font::width(&font::drawable(text), size);
        Ok((width.ceil() as u32, (size * font::CAP_HEIGHT).ceil() as u32))
    }
}
