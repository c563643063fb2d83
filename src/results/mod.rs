//! Every table and the summary as plain types, and how they are written.
//!
//! A table is a row type ([`MessageRow`], …) and a [`RowWriter`]; the run as a whole is a
//! [`Summary`], for programs as JSON and for people through [`render_summary`]. Nothing here opens
//! a file: writers take what they write to.

mod csv;
mod finding;
mod render;
mod summary;
mod tables;
mod text;

pub use csv::{Cell, Cells, Hash64, Rate, Row, RowWriter, Verbatim};
pub use finding::{FindingDoc, Severity};
pub use render::render_summary;
pub use summary::{
    CaptureSummary, DelaySummary, DeliveryCounts, ExchangeCounts, Loss, MessageLoss, MqttSummary,
    OtherPort, PublishCounts, Publishes, SCHEMA, Summary, TapSummary, TcpSummary, Throughput,
};
pub use tables::{
    ConnectionRow, DeliveryRow, ExchangeRow, FindingRow, MessageRow, PacketRow, SessionRow,
    SubscriptionRow, TopicRow,
};
pub use text::{Formulas, Text, escape, escape_into, is_unsafe, needs_guard, unescape};
