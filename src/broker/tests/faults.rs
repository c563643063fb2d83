//! The script of faults: exactly what it says happens, and nothing else.

use super::*;
use crate::broker::Fault;

/// Publishes so many messages with the payloads 1, 2, … at a QoS; each handshake is finished.
fn publish_all(world: &mut World, publisher: usize, qos: u8, count: u16) -> Vec<String> {
    let mut words = Vec::new();
    for number in 1..=count {
        world.publish(publisher, qos, number, "t", &number.to_string());
        if qos == 2 {
            world.acknowledge(publisher, PacketType::Pubrel, number);
        }
        words.extend(world.take(publisher));
    }
    words
}

/// The payloads that a subscriber got, with a `*` where DUP is set; it acknowledges nothing.
fn payloads(world: &mut World, subscriber: usize) -> Vec<String> {
    let words = world.take(subscriber);
    let publishes = words.iter().filter(|word| word.starts_with("PUBLISH"));
    publishes
        .map(|word| {
            let payload = word.rsplit(' ').next().unwrap();
            let mark = if word.contains(" dup ") { "*" } else { "" };
            format!("{payload}{mark}")
        })
        .collect()
}

fn played(qos: u8, qos2: Qos2Forwarding, faults: Faults, count: u16) -> (Vec<String>, Vec<String>) {
    let mut world = World::new(Config {
        faults,
        qos2,
        ..Config::default()
    });
    let subscriber = world.subscriber("s", V5, "t", qos);
    let publisher = world.client("p", V5);
    let answers = publish_all(&mut world, publisher, qos, count);
    (payloads(&mut world, subscriber), answers)
}

#[test]
fn messages_are_dropped_doubled_and_swapped_at_every_qos() {
    let faults = Faults::default()
        .message(2, Fault::Drop)
        .message(4, Fault::Duplicate)
        .message(6, Fault::Swap);
    for qos2 in [Qos2Forwarding::AtPublish, Qos2Forwarding::AtPubrel] {
        for qos in 0..=2 {
            let (got, answers) = played(qos, qos2, faults.clone(), 8);
            assert_eq!(got, ["1", "3", "4", "4", "5", "7", "6", "8"], "QoS {qos}");
            // The publisher sees nothing of it.
            assert_eq!(answers.len(), 8 * usize::from(qos), "{answers:?}");
            assert!(answers.iter().all(|answer| !answer.contains("0x")));
        }
    }
}

#[test]
fn a_repeated_message_has_dup_and_its_packet_identifier() {
    for (qos, expected) in [(0, ["1", "2", "2", "3"]), (1, ["1", "2", "2*", "3"])] {
        let faults = Faults::default().message(2, Fault::Repeat);
        let (got, _) = played(qos, Qos2Forwarding::AtPubrel, faults, 3);
        assert_eq!(got, expected);
    }
}

#[test]
fn swapping_follows_the_handshakes_at_qos_2() {
    let mut world = World::with_faults(Faults::default().message(1, Fault::Swap));
    let subscriber = world.subscriber("s", V3, "t", 0);
    let publisher = world.client("p", V3);
    for number in 1..=2 {
        world.publish(publisher, 2, number, "t", &number.to_string());
    }
    // The second is released first: then they are swapped already.
    world.acknowledge(publisher, PacketType::Pubrel, 2);
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    assert_eq!(payloads(&mut world, subscriber), ["2", "1"]);
}

#[test]
fn a_delayed_message_comes_when_it_is_due() {
    let delay = TimeDelta::from_millis(20);
    let mut world = World::with_faults(Faults::default().message(1, Fault::Delay(delay)));
    let subscriber = world.subscriber("s", V3, "t", 1);
    let publisher = world.client("p", V3);
    publish_all(&mut world, publisher, 1, 2);
    assert_eq!(payloads(&mut world, subscriber), ["2"]);
    let due = world.core.next_deadline().unwrap();
    assert_eq!(due - world.now, delay);
    world.pass(TimeDelta::from_millis(19));
    assert!(payloads(&mut world, subscriber).is_empty());
    world.pass(TimeDelta::from_millis(1));
    assert_eq!(payloads(&mut world, subscriber), ["1"]);
}

#[test]
fn an_acknowledgement_is_never_sent_however_often_it_is_asked_for() {
    let silent = |kind| Faults::default().message(1, Fault::Silent(kind));
    let again = write::Publish {
        dup: true,
        ..publish(1, 1, "t", "x")
    };
    let mut world = World::with_faults(silent(PacketType::Puback));
    let publisher = world.client("p", V3);
    world.publish(publisher, 1, 1, "t", "x");
    world.publish_as(publisher, &again);
    world.publish(publisher, 1, 2, "t", "x");
    assert_eq!(world.take(publisher), ["PUBACK 2"]);

    let again = write::Publish { qos: 2, ..again };
    let mut world = World::with_faults(silent(PacketType::Pubrec));
    let publisher = world.client("p", V3);
    world.publish(publisher, 2, 1, "t", "x");
    world.publish_as(publisher, &again);
    world.publish(publisher, 2, 2, "t", "x");
    assert_eq!(world.take(publisher), ["PUBREC 2"]);

    let mut world = World::with_faults(silent(PacketType::Pubcomp));
    let subscriber = world.subscriber("s", V3, "t", 0);
    let publisher = world.client("p", V3);
    world.publish(publisher, 2, 1, "t", "x");
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    world.publish(publisher, 2, 2, "t", "y");
    assert_eq!(world.take(publisher), ["PUBREC 1", "PUBREC 2"]);
    assert_eq!(payloads(&mut world, subscriber), ["x"], "delivered it is");
    // Only a new message under the same identifier has a handshake again.
    world.publish(publisher, 2, 1, "t", "z");
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    assert_eq!(world.take(publisher), ["PUBREC 1", "PUBCOMP 1"]);
}

#[test]
fn a_message_is_refused_with_a_reason() {
    let faults = Faults::default().message(2, Fault::Refuse(0x97));
    let (got, answers) = played(1, Qos2Forwarding::AtPubrel, faults.clone(), 3);
    assert_eq!(got, ["1", "3"]);
    assert_eq!(answers, ["PUBACK 1", "PUBACK 2 0x97", "PUBACK 3"]);
    for qos2 in [Qos2Forwarding::AtPublish, Qos2Forwarding::AtPubrel] {
        let (got, answers) = played(2, qos2, faults.clone(), 2);
        assert_eq!(got, ["1"]);
        let refused = ["PUBREC 1", "PUBCOMP 1", "PUBREC 2 0x97", "PUBCOMP 2 0x92"];
        assert_eq!(answers, refused, "the handshake ended with its PUBREC");
    }
}

#[test]
fn connections_are_refused_and_reset() {
    let faults = Faults::default()
        .refuse_connect(2, 5)
        .message(1, Fault::Reset)
        .reset_at(4, 2);
    let mut world = World::with_faults(faults);
    let first = world.client("1", V3);
    let second = world.connect("2", &Hello::new(V3));
    assert_eq!(world.take(second), ["CONNACK 5 new", "Finish"]);
    world.publish(first, 1, 1, "t", "x");
    assert_eq!(world.take(first), ["Reset"]);
    let third = world.client("3", V3);
    world.publish(third, 1, 1, "t", "x");
    assert_eq!(world.take(third), ["PUBACK 1"]);
    let fourth = world.client("4", V3);
    world.send(fourth, |out, _| write::pingreq(out));
    assert_eq!(world.take(fourth), ["Reset"]);

    let mut world = World::with_faults(Faults::default().refuse_every_connect(0x88));
    for name in ["1", "2"] {
        let client = world.connect(name, &Hello::new(V5));
        assert_eq!(world.take(client), ["CONNACK 136 new", "Finish"]);
    }
}

#[test]
fn each_filter_of_the_script_counts_for_itself() {
    let faults = Faults::default().message_of("b/+", 2, Fault::Drop);
    let mut world = World::with_faults(faults);
    let subscriber = world.subscriber("s", V3, "#", 0);
    let publisher = world.client("p", V3);
    for (number, topic) in (1u8..).zip(["b/1", "a/1", "a/1", "b/2", "b/1"]) {
        world.publish(publisher, 0, 0, topic, &number.to_string());
    }
    assert_eq!(payloads(&mut world, subscriber), ["1", "2", "3", "5"]);
    assert_eq!(world.core.counters().faults, 1);
}
