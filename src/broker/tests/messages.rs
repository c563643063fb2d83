//! Messages and subscriptions: the handshakes, retained messages, wildcards, options.

use super::*;

#[test]
fn each_qos_has_its_handshake() {
    for level in [V3, V5] {
        let mut world = World::new(Config::default());
        let subscriber = world.subscriber("s", level, "house/+", 2);
        let publisher = world.client("p", level);

        world.publish(publisher, 0, 0, "house/a", "zero");
        assert!(world.take(publisher).is_empty());
        assert_eq!(world.take(subscriber), ["PUBLISH q0 house/a zero"]);

        world.publish(publisher, 1, 7, "house/a", "one");
        assert_eq!(world.take(publisher), ["PUBACK 7"]);
        assert_eq!(world.take(subscriber), ["PUBLISH q1 id=1 house/a one"]);
        world.acknowledge(subscriber, PacketType::Puback, 1);

        world.publish(publisher, 2, 7, "house/a", "two");
        assert_eq!(world.take(publisher), ["PUBREC 7"]);
        assert!(world.take(subscriber).is_empty(), "it waits for PUBREL");
        world.acknowledge(publisher, PacketType::Pubrel, 7);
        assert_eq!(world.take(publisher), ["PUBCOMP 7"]);
        assert_eq!(world.take(subscriber), ["PUBLISH q2 id=2 house/a two"]);
        world.acknowledge(subscriber, PacketType::Pubrec, 2);
        assert_eq!(world.take(subscriber), ["PUBREL 2"]);
        world.acknowledge(subscriber, PacketType::Pubcomp, 2);
        assert!(world.take(subscriber).is_empty());
        assert_eq!(
            world.core.budget.used(),
            0,
            "nothing is kept of what is done"
        );
    }
}

#[test]
fn qos_2_goes_on_at_its_publish_if_so_configured_and_only_once() {
    let mut world = World::at_publish();
    let subscriber = world.subscriber("s", V3, "t", 2);
    let publisher = world.client("p", V3);
    world.publish(publisher, 2, 3, "t", "x");
    assert_eq!(world.take(subscriber), ["PUBLISH q2 id=1 t x"]);
    let again = write::Publish {
        dup: true,
        ..publish(2, 3, "t", "x")
    };
    world.publish_as(publisher, &again);
    assert_eq!(world.take(publisher), ["PUBREC 3", "PUBREC 3"]);
    world.acknowledge(publisher, PacketType::Pubrel, 3);
    world.acknowledge(publisher, PacketType::Pubrel, 3);
    assert_eq!(world.take(publisher), ["PUBCOMP 3", "PUBCOMP 3"]);
    assert!(world.take(subscriber).is_empty());
}

#[test]
fn a_handshake_that_is_not_known_is_named_in_mqtt_5() {
    let mut world = World::new(Config::default());
    let client = world.client("c", V5);
    world.acknowledge(client, PacketType::Pubrel, 5);
    world.acknowledge(client, PacketType::Pubrec, 6);
    world.acknowledge(client, PacketType::Puback, 7);
    world.acknowledge(client, PacketType::Pubcomp, 8);
    assert_eq!(world.take(client), ["PUBCOMP 5 0x92", "PUBREL 6 0x92"]);
}

#[test]
fn the_qos_is_the_lower_of_published_and_granted() {
    let mut world = World::new(Config::default());
    let low = world.subscriber("low", V3, "#", 0);
    let high = world.subscriber("high", V3, "#", 2);
    let publisher = world.client("p", V3);
    world.publish(publisher, 1, 1, "t", "x");
    assert_eq!(world.take(low), ["PUBLISH q0 t x"]);
    assert_eq!(world.take(high), ["PUBLISH q1 id=1 t x"]);
}

#[test]
fn overlapping_filters_give_one_copy_with_all_identifiers() {
    let mut world = World::new(Config::default());
    let subscriber = world.client("s", V5);
    world.subscribe_as(subscriber, "a/#", 0, &[Property::SubscriptionIdentifier(4)]);
    world.subscribe_as(
        subscriber,
        "a/b",
        1,
        &[Property::SubscriptionIdentifier(300)],
    );
    world.take(subscriber);
    let publisher = world.client("p", V5);
    world.publish(publisher, 2, 1, "a/b", "x");
    world.acknowledge(publisher, PacketType::Pubrel, 1);
    assert_eq!(
        world.take(subscriber),
        ["PUBLISH q1 id=1 a/b x SubscriptionIdentifier(4) SubscriptionIdentifier(300)"]
    );
    // Subscribing again replaces, also what was remembered of the topic.
    world.subscribe(subscriber, "a/b", 2);
    world.send(subscriber, |out, level| {
        write::unsubscribe(out, level, 3, &[], &[b"a/#", b"never"]).unwrap();
    });
    assert_eq!(world.take(subscriber), ["SUBACK 9 2", "UNSUBACK 3 0,17"]);
    world.publish(publisher, 1, 1, "a/b", "y");
    assert_eq!(world.take(subscriber), ["PUBLISH q1 id=2 a/b y"]);
}

#[test]
fn properties_are_passed_on_and_those_of_one_connection_are_not() {
    let mut world = World::new(Config::default());
    let newer = world.subscriber("5", V5, "t", 1);
    let older = world.subscriber("4", V3, "t", 1);
    let publisher = world.client("p", V5);
    let properties = [
        Property::ContentType(b"text/plain"),
        Property::UserProperty((b"k", b"v")),
    ];
    let packet = write::Publish {
        properties: &properties,
        ..publish(1, 1, "t", "x")
    };
    world.publish_as(publisher, &packet);
    let [received] = &world.take(newer)[..] else {
        panic!("one PUBLISH");
    };
    assert!(received.starts_with("PUBLISH q1 id=1 t x ContentType("));
    assert!(received.contains("UserProperty("));
    assert_eq!(world.take(older), ["PUBLISH q1 id=1 t x"]);
}

#[test]
fn no_local_and_no_matching_subscribers() {
    let mut world = World::new(Config::default());
    let client = world.client("c", V5);
    world.subscribe(client, "mine", 0b0000_0101);
    world.publish(client, 1, 1, "mine", "x");
    world.publish(client, 1, 2, "other", "x");
    assert_eq!(
        world.take(client),
        ["SUBACK 9 1", "PUBACK 1", "PUBACK 2 0x10"]
    );
}

#[test]
fn shared_subscriptions_are_refused_in_mqtt_5() {
    let mut world = World::new(Config::default());
    let newer = world.client("5", V5);
    world.subscribe(newer, "$share/group/t", 1);
    assert_eq!(world.take(newer), ["SUBACK 9 158"]);
    // Before, it is a filter like any other.
    let older = world.client("4", V3);
    world.subscribe(older, "$share/group/t", 1);
    assert_eq!(world.take(older), ["SUBACK 9 1"]);
}

#[test]
fn retained_messages_wait_for_subscriptions() {
    let mut world = World::new(Config::default());
    let publisher = world.client("p", V5);
    for (topic, payload) in [
        ("r/a", "1"),
        ("r/b", "2"),
        ("r/b", "3"),
        ("r/c", "4"),
        ("r/c", ""),
    ] {
        let packet = write::Publish {
            retain: true,
            ..publish(0, 0, topic, payload)
        };
        world.publish_as(publisher, &packet);
    }
    let subscriber = world.client("s", V5);
    world.subscribe(subscriber, "r/+", 1);
    let both = [
        "SUBACK 9 1",
        "PUBLISH q0 retain r/a 1",
        "PUBLISH q0 retain r/b 3",
    ];
    assert_eq!(world.take(subscriber), both);
    // Retain handling 0: again at each; 1: only for a new one; 2: never.
    world.subscribe(subscriber, "r/+", 1);
    assert_eq!(world.take(subscriber), both);
    world.subscribe(subscriber, "r/+", 0b01_0001);
    world.subscribe(subscriber, "r/b", 0b10_0001);
    assert_eq!(world.take(subscriber), ["SUBACK 9 1", "SUBACK 9 1"]);
    world.subscribe(subscriber, "r/a", 0b01_0000);
    assert_eq!(
        world.take(subscriber),
        ["SUBACK 9 0", "PUBLISH q0 retain r/a 1"]
    );
    // To a subscription that was there before, without RETAIN, unless it wants it as published.
    let keeps = world.client("k", V5);
    world.subscribe(keeps, "r/z", 0b1000);
    world.take(keeps);
    let packet = write::Publish {
        retain: true,
        ..publish(0, 0, "r/z", "5")
    };
    world.publish_as(publisher, &packet);
    assert_eq!(world.take(subscriber), ["PUBLISH q0 r/z 5"]);
    assert_eq!(world.take(keeps), ["PUBLISH q0 retain r/z 5"]);
}

#[test]
fn a_message_expires_while_it_waits() {
    let mut world = World::new(Config::default());
    let hello = Hello {
        clean: false,
        properties: &[Property::SessionExpiryInterval(1000)],
        ..Hello::new(V5)
    };
    let subscriber = world.connect("s", &hello);
    world.subscribe(subscriber, "t", 1);
    world.lose(subscriber);
    let publisher = world.client("p", V5);
    for (id, seconds) in [(1, 5), (2, 60)] {
        let packet = write::Publish {
            properties: &[Property::MessageExpiryInterval(seconds)],
            ..publish(1, id, "t", "x")
        };
        world.publish_as(publisher, &packet);
    }
    world.pass(TimeDelta::from_secs(20));
    let subscriber = world.connect("s", &hello);
    assert_eq!(
        world.take(subscriber),
        [
            "CONNACK 0 resumed",
            "PUBLISH q1 id=1 t x MessageExpiryInterval(40)"
        ]
    );
}

#[test]
fn the_broker_tells_of_itself() {
    let mut world = World::new(Config::default());
    let client = world.client("c", V3);
    world.publish(client, 1, 1, "t", "x");
    world.take(client);
    world.subscribe(client, "$SYS/#", 0);
    let words = world.take(client);
    let version = concat!("mqttscope embedded broker ", env!("CARGO_PKG_VERSION"));
    for expected in [
        "$SYS/broker/messages/received 3",
        "$SYS/broker/messages/sent 3",
        "$SYS/broker/publish/messages/received 1",
        "$SYS/broker/clients/connected 1",
        "$SYS/broker/subscriptions/count 1",
        "$SYS/broker/retained messages/count 0",
        "$SYS/broker/uptime 0 seconds",
        &format!("$SYS/broker/version {version}"),
    ] {
        let expected = format!("PUBLISH q0 retain {expected}");
        assert!(words.contains(&expected), "{expected} in {words:#?}");
    }
    // Again after the interval, now as news.
    world.pass(TimeDelta::from_secs(9));
    assert!(world.take(client).is_empty());
    world.pass(TimeDelta::from_secs(1));
    let words = world.take(client);
    assert!(words.contains(&"PUBLISH q0 $SYS/broker/uptime 10 seconds".to_owned()));
    // # does not match it [MQTT-4.7.2-1], and nobody else can say it.
    world.subscribe(client, "#", 0);
    world.publish(client, 0, 0, "$SYS/broker/version", "mine");
    assert_eq!(world.take(client), ["SUBACK 9 0"]);
}
