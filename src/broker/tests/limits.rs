//! Each limit, and what happens beyond it.

use super::*;

#[test]
fn connections_and_sessions_beyond_their_number_are_refused() {
    let mut world = World::with_limits(|limits| {
        limits.connections = 3;
        limits.sessions = 2;
    });
    world.client("1", V3);
    world.client("2", V5);
    let third = world.connect("3", &Hello::new(V5));
    assert_eq!(world.take(third), ["CONNACK 151 new", "Finish"]);
    assert!(world.core.connection_opened(world.now).is_none());
    world.lose(third);
    let third = world.connect("3", &Hello::new(V3));
    assert_eq!(world.take(third), ["CONNACK 3 new", "Finish"]);
}

#[test]
fn subscriptions_and_filters_beyond_their_number_are_refused() {
    let mut world = World::with_limits(|limits| {
        limits.subscriptions = 1;
        limits.filters = 2;
    });
    let client = world.subscriber("c", V5, "a", 1);
    world.subscribe(client, "b", 1);
    world.subscribe(client, "a", 2);
    assert_eq!(world.take(client), ["SUBACK 9 151", "SUBACK 9 2"]);
    let filter = Subscription {
        filter: b"x",
        options: 0,
    };
    world.send(client, |out, level| {
        write::subscribe(out, level, 1, &[], &[filter; 3]).unwrap();
    });
    assert_eq!(world.take(client), ["DISCONNECT 0x97", "Finish"]);
}

#[test]
fn a_queue_that_is_full_drops_the_newest_and_counts_it() {
    let mut world = World::with_limits(|limits| {
        limits.inflight = 1;
        limits.queued = 2;
    });
    let subscriber = world.subscriber("s", V3, "t", 1);
    let publisher = world.client("p", V3);
    for number in 1..=5u16 {
        world.publish(publisher, 1, number, "t", &number.to_string());
    }
    assert_eq!(world.core.counters().publish_dropped, 2);
    for id in 1..=3 {
        assert_eq!(
            world.take(subscriber),
            [format!("PUBLISH q1 id={id} t {id}")]
        );
        world.acknowledge(subscriber, PacketType::Puback, id);
    }
    assert!(world.take(subscriber).is_empty());
}

#[test]
fn a_client_that_reads_nothing_is_not_written_to_without_end() {
    let mut world = World::with_limits(|limits| limits.output_bytes = 100);
    let subscriber = world.subscriber("s", V3, "#", 1);
    let publisher = world.client("p", V3);
    let id = world.clients[subscriber].id;
    let flood = |world: &mut World, qos| {
        for number in 1..=50 {
            let mut bytes = Vec::new();
            write::publish(&mut bytes, V3, &publish(qos, number, "t", "payload")).unwrap();
            let publisher = world.clients[publisher].id;
            world.core.bytes_received(publisher, &bytes, world.now);
        }
    };
    flood(&mut world, 0);
    let waiting = world.core.output(id).len();
    assert!((100..150).contains(&waiting), "{waiting}");
    assert!(world.core.counters().publish_dropped > 40);
    assert!(!world.core.wants_input(id), "and nothing is read from it");
    // QoS 1 waits, and comes when there is room again.
    flood(&mut world, 1);
    assert_eq!(world.core.output(id).len(), waiting);
    world.flush();
    let words = world.take(subscriber);
    assert_eq!(
        words.iter().filter(|word| word.contains(" q1 ")).count(),
        50
    );
    assert!(world.core.wants_input(id));
}

#[test]
fn more_than_the_store_holds_is_refused() {
    let mut world = World::with_limits(|limits| {
        limits.stored_bytes = 1000;
        limits.retained = 1;
    });
    let publisher = world.client("p", V5);
    let large = "x".repeat(600);
    world.publish(publisher, 2, 1, "t", &large);
    world.publish(publisher, 2, 2, "t", &large);
    assert_eq!(world.take(publisher), ["PUBREC 1", "PUBREC 2 0x97"]);
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    world.publish(publisher, 2, 3, "t", &large);
    assert_eq!(world.take(publisher), ["PUBCOMP 1", "PUBREC 3"]);
    world.acknowledge(publisher, PacketType::Pubrel, 3);
    for topic in ["a", "b", "a"] {
        let packet = write::Publish {
            retain: true,
            ..publish(0, 0, topic, topic)
        };
        world.publish_as(publisher, &packet);
    }
    assert_eq!(world.core.retained.len(), 1);
}

#[test]
fn packets_that_arrive_in_part_share_a_store() {
    let mut world = World::with_limits(|limits| limits.stored_bytes = 1000);
    let [first, second] = ["1", "2"].map(|name| world.client(name, V5));
    let mut packet = Vec::new();
    write::publish(&mut packet, V5, &publish(0, 0, "t", &"x".repeat(900))).unwrap();
    world.send_bytes(first, &packet[..800]);
    world.send_bytes(second, &packet[..300]);
    assert_eq!(world.take(second), ["DISCONNECT 0x97", "Finish"]);
    world.send_bytes(first, &packet[800..]);
    let third = world.client("3", V5);
    world.send_bytes(third, &packet[..900]);
    assert!(
        world.take(third).is_empty(),
        "the first one's place is free"
    );
}

#[test]
fn a_message_too_long_for_a_client_is_not_sent_to_it() {
    let mut world = World::new(Config::default());
    let hello = Hello {
        properties: &[Property::MaximumPacketSize(30)],
        ..Hello::new(V5)
    };
    let subscriber = world.connect("s", &hello);
    world.subscribe(subscriber, "t", 1);
    world.take(subscriber);
    let publisher = world.client("p", V5);
    for qos in [0, 1] {
        world.publish(publisher, qos, 1, "t", &"x".repeat(30));
        world.publish(publisher, qos, 1, "t", "short");
    }
    assert_eq!(
        world.take(subscriber),
        ["PUBLISH q0 t short", "PUBLISH q1 id=2 t short"]
    );
}
