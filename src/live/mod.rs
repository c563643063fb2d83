//! What a running capture tells while it runs.
//!
//! [`Figures`] is one more observer of the pipeline: it counts what happens in an interval.
//! [`Figures::take`] makes an [`Interval`] of that and begins anew. An interval is plain data; how
//! it is shown (a [line](mod@line) for people, JSON for programs, a screen, metrics) is a function of
//! it. There is no clock here: where an interval begins and ends is told from outside, by the
//! times of frames.

mod figures;
mod interval;
pub mod line;

pub use figures::{Figures, Surroundings};
pub use interval::{
    Drops, Interval, LossFigures, MessageLossFigures, NewestFinding, Outstanding, PublishFigures,
};
