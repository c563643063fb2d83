//! The figures of a report.

mod axis;
mod canvas;
mod chart;
mod delays;
mod experiment;
mod font;
mod ladder;
mod loss;
mod over_time;
mod panels;
mod png;
mod svg;
mod theme;
mod topics;

use canvas::Canvas;

use super::digest::Digest;

pub use experiment::experiment_figures;
pub(super) use loss::kinds as loss_kinds;

/// A figure: a drawing with its name and what it shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Figure {
    /// The name of its files, without extension: `delivery-percentiles`.
    pub name: String,
    /// What it shows, in a few words.
    pub title: String,
    /// How it was made, as it says itself under its title.
    pub caption: String,
    /// What else there is to know; empty where the caption says all.
    pub description: String,
    canvas: Canvas,
}

impl Figure {
    /// As an SVG file of its own, with text as outlines: it looks the same on every machine.
    #[must_use]
    pub fn svg(&self) -> String {
        svg::svg(&self.canvas, &self.title, &self.about(), svg::Use::File)
    }

    /// As a PNG file, two pixels for each of the figure's.
    #[must_use]
    pub fn png(&self) -> Vec<u8> {
        png::png(&self.canvas)
    }

    /// As a part of an HTML page, which has the colours in its style sheet.
    #[must_use]
    pub(super) fn inline(&self) -> String {
        let about = format!("{}. {}", self.title, self.about());
        svg::svg(&self.canvas, &self.title, &about, svg::Use::Inline)
    }

    fn about(&self) -> String {
        format!("{} {}", self.caption, self.description)
            .trim_end()
            .to_owned()
    }
}

/// Every figure that the directory has values for, in the order of the page.
#[must_use]
pub fn figures(digest: &Digest) -> Vec<Figure> {
    let mut figures = delays::figures(digest);
    figures.extend(over_time::delays(digest));
    figures.extend(over_time::messages(digest));
    figures.extend(loss::figure(digest));
    figures.extend(topics::figure(digest));
    figures.extend(digest.ladders.iter().filter_map(ladder::figure));
    figures
}
