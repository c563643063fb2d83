//! The tables of a run, written as their rows become final.

use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::Arc;

use crate::delivery::DeliveryRecord;
use crate::mqtt::Packet;
use crate::payload::PayloadKind;
use crate::results::{
    ConnectionRow, DeliveryRow, ExchangeRow, Formulas, Hash64, MessageRow, RowWriter, SessionRow,
    SubscriptionRow, Text,
};
use crate::session::{
    self, DelayKind, ExchangeRecord, PacketTimes, SessionRecord, SubscriptionRecord, Towards,
};
use crate::time::{TimeDelta, Timestamp};

use super::{BadLengthEvent, ConnectionEvent, GapEvent, Observer, PacketEvent};
use super::{Schemas, rows};

/// How long a message's row waits, since a segment that carried it may be sent again, and how
/// many rows wait at most.
const PATIENCE: TimeDelta = TimeDelta::from_secs(3);
const WAITING: usize = 1 << 16;
/// How many earlier messages of a stream a repeated segment is compared with.
const LOOK_BACK: usize = 64;

/// Where each table goes.
#[derive(Debug)]
pub struct TableFiles<W> {
    /// connections.csv
    pub connections: W,
    /// sessions.csv
    pub sessions: W,
    /// messages.csv, if it is wanted.
    pub messages: Option<W>,
    /// exchanges.csv
    pub exchanges: W,
    /// deliveries.csv
    pub deliveries: W,
    /// subscriptions.csv
    pub subscriptions: W,
}

/// Writes the tables. The first error of a destination is kept for [`Tables::finish`]; nothing
/// more is written after it.
#[derive(Debug)]
pub struct Tables<W: Write> {
    connections: RowWriter<W>,
    sessions: RowWriter<W>,
    messages: Option<Messages<W>>,
    exchanges: RowWriter<W>,
    deliveries: RowWriter<W>,
    subscriptions: RowWriter<W>,
    exchange: u64,
    /// Paths of the files, by index.
    files: Vec<Vec<u8>>,
    schemas: Arc<Schemas>,
    error: Option<io::Error>,
}

impl<W: Write> Tables<W> {
    /// Writes the headers. `files` are the captures' paths, in the order of their indexes.
    ///
    /// # Errors
    ///
    /// What a destination says.
    pub fn new(to: TableFiles<W>, formulas: Formulas, files: Vec<Vec<u8>>) -> io::Result<Self> {
        Ok(Self {
            connections: RowWriter::new::<ConnectionRow<'_>>(to.connections, formulas)?,
            sessions: RowWriter::new::<SessionRow<'_>>(to.sessions, formulas)?,
            messages: to
                .messages
                .map(|out| RowWriter::new::<MessageRow<'_>>(out, formulas).map(Messages::new))
                .transpose()?,
            exchanges: RowWriter::new::<ExchangeRow<'_>>(to.exchanges, formulas)?,
            deliveries: RowWriter::new::<DeliveryRow<'_>>(to.deliveries, formulas)?,
            subscriptions: RowWriter::new::<SubscriptionRow<'_>>(to.subscriptions, formulas)?,
            exchange: 0,
            files,
            schemas: Arc::default(),
            error: None,
        })
    }

    /// Tells which payloads are Protobuf messages of which type.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<Schemas>) -> Self {
        self.schemas = schemas;
        self
    }

    /// A destination failed.
    #[must_use]
    pub const fn failed(&self) -> bool {
        self.error.is_some()
    }

    /// Writes what waits, and hands the destinations back.
    ///
    /// # Errors
    ///
    /// The first error of any destination.
    pub fn finish(mut self) -> io::Result<()> {
        if let Some(error) = self.error {
            return Err(error);
        }
        if let Some(messages) = &mut self.messages {
            messages.write_all(&self.files)?;
            messages.out.flush()?;
        }
        self.connections.flush()?;
        self.sessions.flush()?;
        self.exchanges.flush()?;
        self.deliveries.flush()?;
        self.subscriptions.flush()
    }

    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            self.error.get_or_insert(error);
        }
    }
}

impl<W: Write> session::Observer for Tables<W> {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.exchange = self.exchange.saturating_add(1);
        let result = self
            .exchanges
            .write(&rows::exchange_row(record, self.exchange));
        self.check(result);
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        let result = self.subscriptions.write(&rows::subscription_row(record));
        self.check(result);
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        let result = self.sessions.write(&rows::session_row(record));
        self.check(result);
    }

    fn delay(&mut self, _: DelayKind, _: Towards, _: TimeDelta) {}
}

impl<W: Write> Observer for Tables<W> {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        if let (Some(messages), Packet::Publish(_)) = (&mut self.messages, &event.parsed.packet) {
            messages.add(event, &self.schemas);
            if messages.waiting.len() > WAITING {
                let result = messages.write_first(&self.files);
                self.check(result);
            }
        }
    }

    fn delivery(&mut self, record: &DeliveryRecord<'_>) {
        let result = self.deliveries.write(&rows::delivery_row(record));
        self.check(result);
    }

    fn bad_length(&mut self, _: &BadLengthEvent<'_>) {}

    fn gap(&mut self, _: &GapEvent<'_>) {}

    fn repeated(&mut self, slot: usize, towards: Towards, extent: (u64, u64)) {
        if let Some(messages) = &mut self.messages {
            messages.mark_repeated(slot, towards, extent);
        }
    }

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        if let Some(messages) = &mut self.messages {
            messages.forget(event.tcp.slot());
        }
        let file = self
            .files
            .get(event.tcp.file as usize)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let texts = rows::ConnectionTexts::new(event);
        let row = rows::connection_row(event, file, &texts);
        let result = self.connections.write(&row);
        self.check(result);
    }

    fn tick(&mut self, now: Timestamp) {
        if let Some(messages) = &mut self.messages {
            let result = messages.write_older(now - PATIENCE, &self.files);
            self.check(result);
        }
    }
}

/// A message whose row waits.
#[derive(Debug)]
struct Waiting {
    connection: u64,
    tap: u16,
    towards: Towards,
    file: u32,
    frame: u64,
    times: PacketTimes,
    packet_id: Option<u16>,
    qos: u8,
    dup: bool,
    retain: bool,
    topic: Option<Vec<u8>>,
    payload_bytes: Option<u32>,
    payload_kind: Option<&'static str>,
    payload_hash: Option<u64>,
    retransmitted: bool,
    extent: (u64, u64),
    /// Number of the message before it on the same stream.
    before: u64,
}

/// messages.csv: rows wait a moment in the order of the messages.
#[derive(Debug)]
struct Messages<W: Write> {
    out: RowWriter<W>,
    waiting: VecDeque<Waiting>,
    /// Messages written so far, so the number of the first that waits is one more.
    written: u64,
    /// Number of the latest message of each connection's streams, 0 for none.
    latest: Vec<session::PerWay<u64>>,
    spare: Vec<Vec<u8>>,
}

impl<W: Write> Messages<W> {
    const fn new(out: RowWriter<W>) -> Self {
        Self {
            out,
            waiting: VecDeque::new(),
            written: 0,
            latest: Vec::new(),
            spare: Vec::new(),
        }
    }

    fn add(&mut self, event: &PacketEvent<'_>, schemas: &Schemas) {
        let Packet::Publish(publish) = &event.parsed.packet else {
            return;
        };
        if self.latest.len() <= event.slot {
            self.latest
                .resize_with(event.slot.saturating_add(1), Default::default);
        }
        let number = self
            .written
            .saturating_add(self.waiting.len() as u64)
            .saturating_add(1);
        let before = self.latest.get_mut(event.slot).map_or(0, |latest| {
            std::mem::replace(latest.get_mut(event.towards), number)
        });
        let topic = event.topic.map(|topic| {
            let mut spare = self.spare.pop().unwrap_or_default();
            spare.extend_from_slice(topic);
            spare
        });
        self.waiting.push_back(Waiting {
            connection: event.state.facts.number,
            tap: event.state.facts.tap,
            towards: event.towards,
            file: event.file,
            frame: event.frame,
            times: event.times,
            packet_id: publish.packet_id,
            qos: publish.qos,
            dup: publish.dup,
            retain: publish.retain,
            topic,
            payload_bytes: publish.payload_length,
            payload_kind: schemas.kind(event.topic, publish).map(PayloadKind::name),
            payload_hash: event.payload_hash,
            retransmitted: false,
            extent: event.extent,
            before,
        });
    }

    fn mark_repeated(&mut self, slot: usize, towards: Towards, (from, to): (u64, u64)) {
        let mut number = self
            .latest
            .get(slot)
            .map_or(0, |latest| *latest.get(towards));
        for _ in 0..LOOK_BACK {
            let Some(index) = number.checked_sub(self.written.saturating_add(1)) else {
                return;
            };
            let Some(row) = usize::try_from(index)
                .ok()
                .and_then(|i| self.waiting.get_mut(i))
            else {
                return;
            };
            if row.extent.0 < to && from < row.extent.1 {
                row.retransmitted = true;
            }
            if row.extent.1 <= from {
                return;
            }
            number = row.before;
        }
    }

    /// The slot will be another connection's.
    fn forget(&mut self, slot: usize) {
        if let Some(latest) = self.latest.get_mut(slot) {
            *latest = session::PerWay::default();
        }
    }

    fn write_older(&mut self, than: Timestamp, files: &[Vec<u8>]) -> io::Result<()> {
        while self
            .waiting
            .front()
            .is_some_and(|row| row.times.last < than)
        {
            self.write_first(files)?;
        }
        Ok(())
    }

    fn write_all(&mut self, files: &[Vec<u8>]) -> io::Result<()> {
        while !self.waiting.is_empty() {
            self.write_first(files)?;
        }
        Ok(())
    }

    fn write_first(&mut self, files: &[Vec<u8>]) -> io::Result<()> {
        let Some(row) = self.waiting.pop_front() else {
            return Ok(());
        };
        self.written = self.written.saturating_add(1);
        let file = files
            .get(row.file as usize)
            .map(Vec::as_slice)
            .unwrap_or_default();
        let result = self.out.write(&MessageRow {
            message: self.written,
            connection: row.connection,
            direction: row.towards.name(),
            file: Text(file),
            frame: row.frame,
            first_ns: row.times.first,
            last_ns: row.times.last,
            packet_id: row.packet_id,
            qos: row.qos,
            dup: row.dup,
            retain: row.retain,
            topic: row.topic.as_deref().map(Text),
            payload_bytes: row.payload_bytes,
            payload_kind: row.payload_kind,
            payload_hash: row.payload_hash.map(Hash64),
            retransmitted: row.retransmitted,
            tap: row.tap,
        });
        if let Some(mut topic) = row.topic
            && topic.capacity() <= 256
        {
            topic.clear();
            self.spare.push(topic);
        }
        result
    }
}
