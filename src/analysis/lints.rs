//! Findings and topics of a run: what the pipeline tells, as the lint layer takes it, and the
//! rows of findings.csv and topics.csv.

use std::io::{self, Write};
use std::sync::Arc;

use crate::delivery::DeliveryRecord;
use crate::lint::{self, Closed, Examined, Finding, Linter, Place, Sink, Unread};
use crate::mqtt::Packet;
use crate::payload::Keys;
use crate::results::{FindingRow, Formulas, Rate, RowWriter, Summary, Text, TopicRow, Verbatim};
use crate::session::{self, DelayKind, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards};
use crate::tcp::Direction;
use crate::time::{TimeDelta, Timestamp};

use super::{BadLengthEvent, CarrierEvent, ConnectionEvent, GapEvent, Observer, PacketEvent};
use super::{Schemas, Transport};

/// Where the tables go.
#[derive(Debug)]
pub struct FindingFiles<W> {
    /// findings.csv
    pub findings: W,
    /// topics.csv
    pub topics: W,
}

/// Looks for what deserves attention, with or without writing it.
#[derive(Debug)]
pub struct Lints<W: Write> {
    linter: Linter,
    schemas: Arc<Schemas>,
    rows: Rows<W>,
}

/// The tables, if they are wanted. The first error of a destination is kept for
/// [`Lints::finish`]; nothing more is written after it.
#[derive(Debug)]
struct Rows<W: Write> {
    to: Option<FindingFiles<RowWriter<W>>>,
    /// Paths of the files, by index.
    files: Vec<Vec<u8>>,
    error: Option<io::Error>,
    /// Somebody asks for the newest finding now and then.
    watched: bool,
    newest: Option<NewFinding>,
    /// Findings since somebody asked.
    news: u64,
}

/// A finding, kept for who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewFinding {
    /// Its severity.
    pub severity: &'static str,
    /// Its code.
    pub code: &'static str,
    /// The connection.
    pub connection: Option<u64>,
    /// The topic.
    pub topic: Option<Vec<u8>>,
    /// More of it. It comes from the network: escape it.
    pub detail: Vec<u8>,
}

impl<W: Write> Sink for Rows<W> {
    fn finding(&mut self, finding: &Finding<'_>) {
        if self.watched {
            self.note(finding);
        }
        let (Some(to), None) = (&mut self.to, &self.error) else {
            return;
        };
        let (doc, place) = (finding.code.doc(), finding.place);
        let file = place.file.and_then(|file| self.files.get(file as usize));
        let result = to.findings.write(&FindingRow {
            severity: doc.severity.name(),
            code: doc.code,
            connection: place.connection,
            file: file.map(|path| Text(path)),
            frame: place.frame,
            time_ns: place.time,
            topic: finding.topic.map(Text),
            detail: (!finding.detail.is_empty()).then_some(Text(finding.detail)),
            wireshark_filter: (!finding.filter.is_empty()).then_some(Verbatim(finding.filter)),
            tap: place.tap,
        });
        self.error = result.err();
    }
}

impl<W: Write> Rows<W> {
    fn note(&mut self, finding: &Finding<'_>) {
        let doc = finding.code.doc();
        self.news = self.news.saturating_add(1);
        self.newest = Some(NewFinding {
            severity: doc.severity.name(),
            code: doc.code,
            connection: finding.place.connection,
            topic: finding.topic.map(<[u8]>::to_vec),
            detail: finding.detail.to_vec(),
        });
    }
}

impl<W: Write> Lints<W> {
    /// Counts findings and topics, and writes nothing.
    #[must_use]
    pub fn new(settings: lint::Settings, schemas: Arc<Schemas>) -> Self {
        Self {
            linter: Linter::new(settings),
            schemas,
            rows: Rows {
                to: None,
                files: Vec::new(),
                error: None,
                watched: false,
                newest: None,
                news: 0,
            },
        }
    }

    /// Keeps the newest finding for [`Lints::take_newest`].
    pub const fn watch(&mut self) {
        self.rows.watched = true;
    }

    /// How many findings there were since this was asked last, and the latest of them.
    pub fn take_newest(&mut self) -> (u64, Option<NewFinding>) {
        (std::mem::take(&mut self.rows.news), self.rows.newest.take())
    }

    /// Writes the tables too. `files` are the captures' paths, in the order of their indexes.
    ///
    /// # Errors
    ///
    /// What a destination says.
    pub fn write_to(
        mut self,
        to: FindingFiles<W>,
        formulas: Formulas,
        files: Vec<Vec<u8>>,
    ) -> io::Result<Self> {
        self.rows.to = Some(FindingFiles {
            findings: RowWriter::new::<FindingRow<'_>>(to.findings, formulas)?,
            topics: RowWriter::new::<TopicRow<'_>>(to.topics, formulas)?,
        });
        self.rows.files = files;
        Ok(self)
    }

    /// A destination failed.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.rows.error.is_some()
    }

    /// What looks for findings, to be told of more than the pipeline tells.
    pub fn linter(&mut self) -> (&mut Linter, &mut impl Sink) {
        (&mut self.linter, &mut self.rows)
    }

    /// Writes topics.csv, and what waits.
    ///
    /// # Errors
    ///
    /// The first error of any destination.
    pub fn finish(&mut self) -> io::Result<()> {
        if let Some(error) = self.rows.error.take() {
            return Err(error);
        }
        let Some(to) = &mut self.rows.to else {
            return Ok(());
        };
        let (mut codes, mut keys) = (Vec::new(), Vec::new());
        for topic in self.linter.topics().busiest() {
            join(&mut codes, topic.findings().map(|code| code.doc().code));
            join(&mut keys, topic.keys().into_iter().flat_map(Keys::names));
            let leg = topic.leg();
            let [qos0, qos1, qos2] = leg.qos;
            to.topics.write(&TopicRow {
                topic: Text(topic.name()),
                messages: leg.messages,
                bytes: leg.bytes,
                publishers: topic.publishers(),
                subscribers: topic.subscribers(),
                qos0,
                qos1,
                qos2,
                retained: leg.retained,
                payload_kind: topic.payload_kind(),
                rate_per_s: leg.rate().map(Rate),
                first_ns: leg.first,
                last_ns: leg.last,
                findings: (!codes.is_empty()).then_some(Text(&codes)),
                tap: topic.tap(),
                payload_keys: (!keys.is_empty()).then_some(Text(&keys)),
            })?;
        }
        to.findings.flush()?;
        to.topics.flush()
    }

    /// Adds the findings and what there was no room for to the summary of the run.
    pub fn describe(&self, summary: &mut Summary) {
        for (code, count) in self.linter.counts() {
            summary.findings.insert(code.to_owned(), count);
        }
        for (table, count) in self.linter.dropped() {
            if count > 0 {
                summary.dropped.insert(table.to_owned(), count);
            }
        }
    }
}

fn join<'a>(out: &mut Vec<u8>, words: impl Iterator<Item = &'a str>) {
    out.clear();
    for word in words {
        if !out.is_empty() {
            out.push(b' ');
        }
        out.extend_from_slice(word.as_bytes());
    }
}

impl<W: Write> session::Observer for Lints<W> {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.linter.exchange(record, &mut self.rows);
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        self.linter.subscription(record, &mut self.rows);
    }

    fn session(&mut self, _: &SessionRecord<'_>) {}
    fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
}

impl<W: Write> Observer for Lints<W> {
    #[inline(always)]
    fn packet(&mut self, event: &PacketEvent<'_>) {
        let schemas = &self.schemas;
        let examine = |keys: Option<&mut Keys>| match &event.parsed.packet {
            Packet::Publish(publish) => schemas.examine(event.topic, publish, keys),
            _ => Examined::default(),
        };
        self.linter.packet(&event.seen, examine, &mut self.rows);
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        let place = Place {
            connection: Some(event.state.facts.number),
            file: Some(event.file),
            frame: Some(event.frame),
            time: Some(event.times.last),
            tap: Some(event.state.facts.tap),
        };
        self.linter
            .bad_length(place, event.first_byte, &mut self.rows);
    }

    fn gap(&mut self, _: &GapEvent<'_>) {}
    fn repeated(&mut self, _: usize, _: Towards, _: (u64, u64)) {}

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        let state = event.state;
        let (file, frame) = event.tcp.last_frame;
        let silent = state.packets.to_broker == 0 && state.packets.to_client == 0;
        let unread = match event.transport {
            Transport::Tcp => None,
            Transport::Tls | Transport::SecureWebSocket => Some(Unread::Encrypted),
            Transport::WebSocket => Some(Unread::WebSocket),
        };
        // That is a finding of its own.
        let decryption_ended = event
            .stop
            .is_some_and(|stop| stop.code() == Some("tls-decryption-ended"));
        let closed = Closed {
            state,
            slot: event.tcp.slot(),
            end: event.end,
            place: Place {
                connection: Some(state.facts.number),
                file: Some(file),
                frame: Some(frame),
                time: Some(event.tcp.last),
                tap: Some(state.facts.tap),
            },
            in_clear: matches!(event.transport, Transport::Tcp | Transport::WebSocket),
            unread: unread.filter(|_| silent && !decryption_ended),
            incomplete: event.stop.is_some(),
            web_socket: event.web_socket,
            by_broker: event.ended_by == Some(Towards::Client),
            both_sides: [Direction::Forward, Direction::Reverse]
                .iter()
                .all(|direction| event.tcp.saw(*direction)),
            unfinished: event.unfinished,
        };
        self.linter.connection(&closed, &mut self.rows);
    }

    fn carrier(&mut self, event: &CarrierEvent<'_>) {
        if event.stop.code() != Some("tls-decryption-ended") {
            return;
        }
        let place = Place {
            connection: Some(event.state.facts.number),
            file: Some(event.file),
            frame: Some(event.frame),
            time: Some(event.time),
            tap: Some(event.state.facts.tap),
        };
        self.linter
            .decryption_ended(event.state, place, &event.stop, &mut self.rows);
    }

    #[inline]
    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        self.linter.delivery(record, &mut self.rows);
    }

    #[inline]
    fn touch(&self, tap: u16, towards: Towards, topic: u64) {
        self.linter.touch_message(tap, towards, topic);
    }

    #[inline]
    fn touch_connection(&self, slot: usize) {
        self.linter.touch_connection(slot);
    }

    #[inline]
    fn touch_closing(&self, slot: usize, step: usize) {
        self.linter.touch_closing(slot, step);
    }

    #[inline]
    fn touch_index(&self, tap: u16, topic: u64) {
        self.linter.touch_index(tap, topic);
    }

    fn tick(&mut self, _: Timestamp) {}
}
