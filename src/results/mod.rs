//! Every table and the summary as plain types, and how they are written and read.
//!
//! A table is a row type ([`MessageRow`], …), a [`RowWriter`] and a [`TableReader`]; the run as a
//! whole is a [`Summary`], for programs as JSON and for people through [`render_summary`], and held
//! to a [`Threshold`] (cells to a [`CellThreshold`]). Nothing here opens a file: writers and readers take what they work on.

mod csv;
mod experiment;
mod finding;
mod read;
mod render;
mod summary;
mod tables;
mod text;
mod threshold;

pub use csv::{Cell, Cells, Hash64, Rate, Row, RowWriter, Verbatim};
pub use experiment::{
    BrokerRecord, CellCounts, CellRow, CellSys, ClockRecord, CorrelationRow, EffectRow, Field,
    HostRecord, LinkRecord, Manifest, Outcome, PROBE_SCHEMA, PublishCount, Record, RecordError,
    STUDY_SCHEMA, SampleRow, SysRecord, Texts, read_table,
};
pub use finding::{FindingDoc, Severity, finding_doc, finding_severity};
pub use read::{
    Cells as ReadCells, Column, MOST_SHOWN, TableError, TableReader, cell_bytes, readable,
    shortened,
};
pub use render::{bytes, counted, date, delay, grouped, large, percent, render_summary, span};
pub use summary::{
    CaptureSummary, DelaySummary, DeliveryCounts, ExchangeCounts, Loss, MessageLoss, MqttSummary,
    OtherPort, PublishCounts, Publishes, SCHEMA, Summary, TapSummary, TcpSummary, Throughput,
};
pub use tables::{
    ConnectionRow, DeliveryRow, ExchangeRow, FindingRow, MessageRow, PacketRow, SessionRow,
    SubscriptionRow, TopicRow,
};
pub use text::{Formulas, Text, escape, escape_into, is_unsafe, needs_guard, unescape};
pub use threshold::{CellThreshold, Threshold, ThresholdError, nearest};
