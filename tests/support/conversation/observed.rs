//! Runs the pipeline over a script's frames and notes what it tells, in the script's own rows.

use mqttscope::analysis::{
    BadLengthEvent, ConnectionEvent, GapEvent, Observer, Options, PacketEvent, Pipeline,
};
use mqttscope::frame::{Frame, LinkType};
use mqttscope::mqtt::PacketType;
use mqttscope::session::{
    self, DelayKind, ExchangeRecord, SessionRecord, SubscriptionRecord, Towards,
};
use mqttscope::time::{TimeDelta, Timestamp};

use super::script::{
    ConnectionRow, DelayRow, ExchangeRow, Expected, PacketRow, SessionRow, SubscriptionRow,
    ViolationRow,
};
use super::wire::TimedFrame;

/// What the analysis makes of the frames.
pub(crate) fn analyze(frames: &[TimedFrame], names: &[String]) -> Expected {
    let mut pipeline = Pipeline::new(Options::default());
    let mut recorder = Recorder {
        names,
        seen: Expected {
            connections: Vec::new(),
            sessions: Vec::new(),
            exchanges: Vec::new(),
            subscriptions: Vec::new(),
            violations: Vec::new(),
            delays: Vec::new(),
            packets: Some(Vec::new()),
        },
    };
    for (index, timed) in frames.iter().enumerate() {
        let frame = Frame {
            time: timed.time.timestamp(),
            link_type: LinkType::ETHERNET,
            wire_length: u32::try_from(timed.bytes.len()).unwrap(),
            bytes: &timed.bytes,
            tap: timed.tap.unwrap_or_default(),
            file: 0,
            number: u64::try_from(index + 1).unwrap(),
        };
        pipeline.push(&frame, &mut recorder);
    }
    pipeline.finish(&mut recorder);
    recorder.seen
}

struct Recorder<'n> {
    names: &'n [String],
    seen: Expected,
}

impl Recorder<'_> {
    fn name(&self, connection: u64) -> String {
        let index = usize::try_from(connection).unwrap() - 1;
        self.names
            .get(index)
            .map_or_else(|| format!("#{connection}"), Clone::clone)
    }

    fn violation(&mut self, on: &str, at: Timestamp, packet: PacketType, code: &str) {
        self.seen.violations.push(ViolationRow {
            on: on.to_owned(),
            at: Some(at.into()),
            packet: packet.name().to_owned(),
            code: code.to_owned(),
        });
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn direction(towards: Towards) -> String {
    towards.name().to_owned()
}

impl Observer for Recorder<'_> {
    fn packet(&mut self, event: &PacketEvent<'_>) {
        let on = self.name(event.state.facts.number);
        let packet_type = event.parsed.packet.packet_type();
        let at = event.times.last;
        for violation in event.violations.iter() {
            self.violation(&on, at, packet_type, violation.code());
        }
        for violation in event.parsed.violations.iter() {
            self.violation(&on, at, packet_type, violation.code());
        }
        if event.parsed.malformed.is_some() {
            self.violation(&on, at, packet_type, "malformed");
        }
        self.seen.packets.get_or_insert_default().push(PacketRow {
            on,
            direction: direction(event.towards),
            packet: packet_type.name().to_owned(),
            first: Some(event.times.first.into()),
            last: Some(at.into()),
            topic: event.topic.map(text),
        });
    }

    fn bad_length(&mut self, event: &BadLengthEvent<'_>) {
        let on = self.name(event.state.facts.number);
        self.violation(&on, event.times.last, PacketType::Reserved, "malformed");
    }

    fn gap(&mut self, _event: &GapEvent<'_>) {}

    fn repeated(&mut self, _slot: usize, _towards: Towards, _extent: (u64, u64)) {}

    fn connection(&mut self, event: &ConnectionEvent<'_>) {
        let state = event.state;
        let connack = state.connack.as_deref();
        self.seen.connections.push(ConnectionRow {
            on: self.name(state.facts.number),
            midstream: state.facts.midstream,
            level: state.level.number(),
            basis: state.basis.name().to_owned(),
            client_id: state.client_id().map(text),
            clean_start: state.connect.as_ref().and_then(|facts| facts.clean_start),
            keep_alive: state.keep_alive(),
            keep_alive_violations: state.keep_alive_violations,
            connack: connack.map(|facts| facts.reason_code),
            session_present: connack.map(|facts| facts.session_present),
            end: event.end.name().to_owned(),
        });
    }

    fn tick(&mut self, _now: Timestamp) {}
}

impl session::Observer for Recorder<'_> {
    fn exchange(&mut self, record: &ExchangeRecord<'_>) {
        self.seen.exchanges.push(ExchangeRow {
            on: self.name(record.connection),
            direction: direction(record.towards),
            packet_id: record.packet_id,
            qos: record.qos,
            topic: text(record.topic),
            transmissions: record.transmissions,
            publish: record.publish.map(Into::into),
            puback: record.puback.map(Into::into),
            pubrec: record.pubrec.map(Into::into),
            pubrel: record.pubrel.map(Into::into),
            pubcomp: record.pubcomp.map(Into::into),
            total: record.total().map(Into::into),
            outcome: record.outcome.name().to_owned(),
            reason: record.reason_code,
        });
    }

    fn subscription(&mut self, record: &SubscriptionRecord<'_>) {
        self.seen.subscriptions.push(SubscriptionRow {
            on: self.name(record.connection),
            client_id: record.client_id.map(text),
            filter: text(record.filter),
            requested: record.requested_qos,
            granted: record.granted_qos,
            reason: record.reason_code,
            subscribe: Some(record.subscribe.into()),
            suback: record.suback.map(Into::into),
            unsubscribe: record.unsubscribe.map(Into::into),
        });
    }

    fn session(&mut self, record: &SessionRecord<'_>) {
        self.seen.sessions.push(SessionRow {
            client_id: text(record.client_id),
            connections: record.connections,
            first: Some(record.first.into()),
            last: Some(record.last.into()),
            resumed: record.resumed,
            taken_over: record.taken_over,
            subscriptions: record.subscriptions,
            sent: record.publishes_sent,
            received: record.publishes_received,
            keep_alive_violations: record.keep_alive_violations,
        });
    }

    fn delay(&mut self, kind: DelayKind, towards: Towards, delay: TimeDelta) {
        let kind = match kind {
            DelayKind::Puback => "puback",
            DelayKind::Pubrec => "pubrec",
            DelayKind::Pubrel => "pubrel",
            DelayKind::Pubcomp => "pubcomp",
            DelayKind::Qos2Total => "qos2_total",
            DelayKind::Connect => "connect",
            DelayKind::Subscribe => "subscribe",
            DelayKind::Ping => "ping",
        };
        self.seen.delays.push(DelayRow {
            kind: kind.to_owned(),
            direction: direction(towards),
            delay: Some(delay.into()),
        });
    }
}
