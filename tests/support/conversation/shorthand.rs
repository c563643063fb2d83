//! Steps that stand for several: joining, and the acknowledgments of a PUBLISH.

use serde::Deserialize;

use super::instant::Instant;
use super::packet::{Acknowledgment, Codes, Connack, Connect, PacketSpec, Subscribe, Will};
use super::script::{Peer, Step};

/// From one packet to the next.
const STEP: i64 = 100_000;

/// A client connects, and subscribes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Join {
    id: String,
    #[serde(default = "level_of_3_1_1")]
    level: u8,
    #[serde(default = "yes")]
    clean: bool,
    session_expiry: Option<u32>,
    will: Option<Will>,
    /// What CONNACK says.
    #[serde(default)]
    session_present: bool,
    assigned: Option<String>,
    /// Filters with their options, as in SUBSCRIBE. All are granted.
    #[serde(default)]
    filters: Vec<(String, u8)>,
}

const fn level_of_3_1_1() -> u8 {
    4
}

const fn yes() -> bool {
    true
}

/// The same steps, spelled out.
pub(crate) fn spelled_out(steps: &[Step]) -> Vec<Step> {
    steps.iter().flat_map(parts).collect()
}

fn parts(step: &Step) -> Vec<Step> {
    if let Some(join) = &step.join {
        return joining(step, join);
    }
    let mut steps = vec![step.clone()];
    if step.acknowledged {
        let (from, packet) = match (&step.to_broker, &step.to_client) {
            (Some(packet), None) => (Peer::Client, packet),
            (None, Some(packet)) => (Peer::Broker, packet),
            _ => panic!("a PUBLISH is acknowledged: {step:?}"),
        };
        let PacketSpec::Publish(publish) = packet else {
            panic!("a PUBLISH is acknowledged: {step:?}");
        };
        let answer = || Acknowledgment {
            id: publish.id,
            ..Acknowledgment::default()
        };
        let to = match from {
            Peer::Client => Peer::Broker,
            Peer::Broker => Peer::Client,
        };
        let answers = match publish.qos {
            1 => vec![(to, PacketSpec::Puback(answer()))],
            2 => vec![
                (to, PacketSpec::Pubrec(answer())),
                (from, PacketSpec::Pubrel(answer())),
                (to, PacketSpec::Pubcomp(answer())),
            ],
            qos => panic!("QoS {qos} is not acknowledged: {step:?}"),
        };
        let first = step.at.0 + STEP;
        steps.extend(in_turn(step, first, answers));
    }
    steps
}

/// Packets, and who sends each, 100 µs after each other.
fn in_turn(step: &Step, first: i64, packets: Vec<(Peer, PacketSpec)>) -> Vec<Step> {
    (0..)
        .zip(packets)
        .map(|(number, (from, packet))| {
            let mut part = Step {
                at: Instant(first + number * STEP),
                on: step.on.clone(),
                level: step.level,
                tap: step.tap,
                ..Step::default()
            };
            match from {
                Peer::Client => part.to_broker = Some(packet),
                Peer::Broker => part.to_client = Some(packet),
            }
            part
        })
        .collect()
}

fn joining(step: &Step, join: &Join) -> Vec<Step> {
    let connect = Connect {
        level: join.level,
        id: join.id.clone(),
        clean: join.clean,
        session_expiry: join.session_expiry,
        will: join.will.clone(),
        ..Connect::default()
    };
    let connack = Connack {
        session_present: join.session_present,
        assigned: join.assigned.clone(),
        ..Connack::default()
    };
    let mut packets = vec![
        (Peer::Client, PacketSpec::Connect(connect)),
        (Peer::Broker, PacketSpec::Connack(connack)),
    ];
    if !join.filters.is_empty() {
        let id = 60_000;
        let filters = join.filters.clone();
        let codes = filters.iter().map(|(_, options)| options & 3).collect();
        packets.push((
            Peer::Client,
            PacketSpec::Subscribe(Subscribe {
                id,
                filters,
                identifier: None,
            }),
        ));
        packets.push((Peer::Broker, PacketSpec::Suback(Codes { id, codes })));
    }
    let open = Step {
        open: true,
        join: None,
        ..step.clone()
    };
    let mut steps = vec![open];
    steps.extend(in_turn(step, step.at.0 + STEP, packets));
    steps
}
