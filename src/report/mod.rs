//! Results as people read them: histograms, figures, one HTML page, and two runs side by side.
//!
//! Everything here is a function from values to bytes. Tables come through [`TableSource`], and
//! where the bytes go is the caller's. A report is made from the tables, the histograms and the
//! summary of a directory alone, never from what an analysis still has in memory, so making it
//! again later gives the same bytes.

mod compare;
mod digest;
mod experiment;
mod figure;
mod histograms;
mod layout;
mod page;

pub use compare::{Comparison, compare};
pub use digest::{DiagramOf, Digest, DigestError, TableSource};
pub use experiment::{Experiment, ExperimentError, page as experiment_page};
pub use figure::{Figure, experiment_figures, figures};
pub use histograms::{Named, interval_log, percentile_text, read_interval_log};
pub use page::page;
