//! What a report needs of a directory of results, read from its tables in one pass each.
//!
//! However many rows a table has, what is kept of it is bounded: the rows most worth showing, sums
//! per slice of time, and the first topics up to a limit.

mod connections;
mod deliveries;
mod exchanges;
mod findings;
mod ladder;
mod messages;
mod series;
mod sessions;
mod top;
mod topics;

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::results::{FindingDoc, Severity, Summary, TableError, TableReader, finding_severity};
use hdrhistogram::Histogram;

pub(super) use connections::{ConnectionLine, Connections, EncryptedLine};
pub(super) use deliveries::Deliveries;
pub(super) use exchanges::Exchanges;
pub(super) use findings::{FindingLine, Findings};
pub(super) use ladder::{Ladder, Step};
pub(super) use messages::Messages;
pub(super) use series::{DelaySeries, SLICES, Slices};
pub(super) use sessions::SessionLine;
pub(super) use top::Listing;
pub(super) use topics::{Node, TopicLine, Topics};

/// Most rows of a table that the page shows.
pub(super) const MOST_ROWS: usize = 500;

/// Opens the tables of a directory of results by file name; `None` where it has no such table.
pub trait TableSource {
    /// The table's bytes.
    ///
    /// # Errors
    ///
    /// What the place where it is kept says.
    fn open(&self, name: &str) -> io::Result<Option<Box<dyn Read + '_>>>;
}

/// Why a directory's tables cannot be read.
#[derive(Debug)]
pub enum DigestError {
    /// It cannot be opened.
    Open {
        /// The table's file name.
        table: &'static str,
        /// What was said.
        source: io::Error,
    },
    /// It can, but is no table.
    Table(TableError),
}

impl std::fmt::Display for DigestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Open { table, source } => write!(f, "cannot read {table}: {source}"),
            Self::Table(error) => write!(f, "cannot read {error}"),
        }
    }
}

impl std::error::Error for DigestError {}

impl From<TableError> for DigestError {
    fn from(error: TableError) -> Self {
        Self::Table(error)
    }
}

/// A connection to draw as a sequence diagram: its number, and its tap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DiagramOf {
    /// The number in connections.csv.
    pub connection: u64,
    /// The tap.
    pub tap: u16,
}

/// What a report is made of. A part is `None` where the directory does not have its table.
#[derive(Debug)]
pub struct Digest {
    pub(super) summary: Summary,
    pub(super) histograms: BTreeMap<String, Histogram<u64>>,
    pub(super) slices: Slices,
    pub(super) connections: Option<Connections>,
    pub(super) sessions: Option<Listing<SessionLine>>,
    pub(super) messages: Option<Messages>,
    pub(super) exchanges: Option<Exchanges>,
    pub(super) deliveries: Option<Deliveries>,
    pub(super) topics: Option<Topics>,
    pub(super) findings: Option<Findings>,
    pub(super) ladders: Vec<Ladder>,
}

impl Digest {
    /// Reads what the summary and the histograms do not tell from the tables. Where `histograms`
    /// has none of deliveries or handshakes, they are made from the tables as far as those have
    /// them.
    ///
    /// # Errors
    ///
    /// Where a table that is there cannot be read.
    pub fn read(
        summary: Summary,
        histograms: BTreeMap<String, Histogram<u64>>,
        source: &dyn TableSource,
        diagrams: &[DiagramOf],
    ) -> Result<Self, DigestError> {
        let mut ladders: Vec<Ladder> = diagrams.iter().map(|of| Ladder::new(*of)).collect();
        let connections = open(source, "connections.csv")?
            .map(|table| connections::read(table, &mut ladders))
            .transpose()?;
        let slices = Slices::over(time_range(&summary, connections.as_ref()));
        let mut made = BTreeMap::new();
        let messages = open(source, "messages.csv")?
            .map(|table| messages::read(table, slices, &mut ladders))
            .transpose()?;
        let with_messages = messages.is_some();
        let exchanges = open(source, "exchanges.csv")?
            .map(|table| exchanges::read(table, slices, &mut made, (&mut ladders, with_messages)))
            .transpose()?;
        let deliveries = open(source, "deliveries.csv")?
            .map(|table| deliveries::read(table, slices, &mut made))
            .transpose()?;
        if let Some(table) = open(source, "subscriptions.csv")? {
            ladder::read_subscriptions(table, &mut ladders)?;
        }
        let topics = open(source, "topics.csv")?
            .map(topics::read)
            .transpose()?
            .or_else(|| messages.as_ref().map(Messages::topics));
        Ok(Self {
            sessions: open(source, "sessions.csv")?
                .map(sessions::read)
                .transpose()?,
            findings: open(source, "findings.csv")?
                .map(findings::read)
                .transpose()?,
            histograms: if histograms.is_empty() {
                made
            } else {
                histograms
            },
            summary,
            slices,
            connections,
            messages,
            exchanges,
            deliveries,
            topics,
            ladders,
        })
    }

    /// Diagrams that were asked for, of connections that the tables do not have.
    pub fn missing_diagrams(&self) -> impl Iterator<Item = DiagramOf> {
        let empty = self.ladders.iter().filter(|ladder| ladder.is_empty());
        empty.map(|ladder| ladder.of)
    }

    /// How bad findings of this code are: as findings.csv says, else as the catalogue does.
    #[must_use]
    pub fn severity(&self, code: &str, catalogue: &[FindingDoc]) -> Severity {
        let known = self.findings.as_ref().and_then(|all| all.codes.get(code));
        known.map_or_else(|| finding_severity(catalogue, code), |known| known.severity)
    }

    /// The summary that it was made with.
    #[must_use]
    pub const fn summary(&self) -> &Summary {
        &self.summary
    }
}

type Table<'s> = TableReader<Box<dyn Read + 's>>;

fn open<'s>(
    source: &'s dyn TableSource,
    table: &'static str,
) -> Result<Option<Table<'s>>, DigestError> {
    let input = source
        .open(table)
        .map_err(|source| DigestError::Open { table, source })?;
    Ok(input
        .map(|input| TableReader::named(table, input))
        .transpose()?)
}

/// From the first frame to the last: of the connections where they are known, since a capture can
/// have hours without MQTT.
fn time_range(summary: &Summary, connections: Option<&Connections>) -> Option<(i64, i64)> {
    let of_captures = || {
        let first = summary.captures.iter().filter_map(|c| c.first_ns).min()?;
        let last = summary.captures.iter().filter_map(|c| c.last_ns).max()?;
        Some((first, last))
    };
    connections
        .and_then(|connections| connections.range)
        .or_else(of_captures)
}

/// Columns by name: `columns!(table; connection, direction)` is an array of where they stand.
macro_rules! columns {
    ($table:expr; $($name:ident),+ $(,)?) => {
        [$($table.column(stringify!($name))),+]
    };
}
use columns;
