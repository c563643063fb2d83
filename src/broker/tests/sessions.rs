//! Sessions, wills, takeover, keep alive.

use super::*;

/// A client that keeps its session.
fn keeps<'a>(level: ProtocolLevel) -> Hello<'a> {
    Hello {
        clean: false,
        properties: &[Property::SessionExpiryInterval(100)],
        ..Hello::new(level)
    }
}

#[test]
fn a_session_goes_on_and_its_messages_come_again() {
    for level in [V3, V5] {
        let mut world = World::new(Config::default());
        let first = world.connect("s", &keeps(level));
        assert_eq!(world.take(first), ["CONNACK 0 new"]);
        world.subscribe(first, "t", 2);
        let publisher = world.client("p", level);
        for (id, qos, payload) in [(1, 1, "a"), (2, 2, "b"), (3, 2, "c")] {
            world.publish(publisher, qos, id, "t", payload);
            world.acknowledge(publisher, PacketType::Pubrel, id);
        }
        world.acknowledge(first, PacketType::Pubrec, 3);
        assert_eq!(world.take(first).last().unwrap(), "PUBREL 3");
        world.lose(first);
        world.publish(publisher, 1, 4, "t", "away");
        world.publish(publisher, 0, 0, "t", "nothing is kept at QoS 0");
        let second = world.connect("s", &keeps(level));
        assert_eq!(
            world.take(second),
            [
                "CONNACK 0 resumed",
                "PUBLISH q1 id=1 dup t a",
                "PUBLISH q2 id=2 dup t b",
                "PUBREL 3",
                "PUBLISH q1 id=4 t away",
            ]
        );
        world.acknowledge(second, PacketType::Pubcomp, 3);
        world.acknowledge(second, PacketType::Puback, 1);
        world.acknowledge(second, PacketType::Pubrec, 2);
        world.acknowledge(second, PacketType::Pubcomp, 2);
        world.acknowledge(second, PacketType::Puback, 4);
        world.disconnect(second);
        let third = world.connect("s", &keeps(level));
        world.take(second);
        assert_eq!(world.take(third), ["CONNACK 0 resumed"], "nothing is left");
        // A clean start ends it.
        let fourth = world.connect("s", &Hello::new(level));
        assert_eq!(world.take(fourth), ["CONNACK 0 new"]);
        world.publish(publisher, 1, 5, "t", "x");
        assert!(world.take(fourth).is_empty(), "no subscription is left");
    }
}

#[test]
fn the_publishers_half_of_qos_2_goes_on_too() {
    let mut world = World::new(Config::default());
    let subscriber = world.subscriber("s", V3, "t", 0);
    let publisher = world.connect("p", &keeps(V3));
    world.publish(publisher, 2, 8, "t", "x");
    world.lose(publisher);
    let publisher = world.connect("p", &keeps(V3));
    let again = write::Publish {
        dup: true,
        ..publish(2, 8, "t", "x")
    };
    world.publish_as(publisher, &again);
    world.acknowledge(publisher, PacketType::Pubrel, 8);
    assert_eq!(
        world.take(publisher),
        ["CONNACK 0 resumed", "PUBREC 8", "PUBCOMP 8"]
    );
    assert_eq!(world.take(subscriber), ["PUBLISH q0 t x"]);
}

#[test]
fn a_session_of_mqtt_5_ends_when_its_time_is_over() {
    let mut world = World::new(Config::default());
    let client = world.connect("s", &keeps(V5));
    world.lose(client);
    world.pass(TimeDelta::from_secs(99));
    let client = world.connect("s", &keeps(V5));
    assert_eq!(world.take(client), ["CONNACK 0 resumed"]);
    world.lose(client);
    world.pass(TimeDelta::from_secs(101));
    let client = world.connect("s", &keeps(V5));
    assert_eq!(world.take(client), ["CONNACK 0 new"]);
    // DISCONNECT may change it, but cannot keep what was to end.
    world.send(client, |out, level| {
        write::disconnect(out, level, 0, &[Property::SessionExpiryInterval(0)]).unwrap();
    });
    let client = world.connect("s", &Hello::new(V5));
    assert_eq!(world.take(client), ["CONNACK 0 new"]);
    world.send(client, |out, level| {
        write::disconnect(out, level, 0, &[Property::SessionExpiryInterval(5)]).unwrap();
    });
    assert_eq!(world.take(client), ["DISCONNECT 0x82", "Finish"]);
}

#[test]
fn the_window_is_the_clients_receive_maximum() {
    let mut world = World::new(Config::default());
    let hello = Hello {
        clean: false,
        properties: &[
            Property::ReceiveMaximum(2),
            Property::SessionExpiryInterval(9),
        ],
        ..Hello::new(V5)
    };
    let subscriber = world.connect("s", &hello);
    world.subscribe(subscriber, "t", 1);
    world.take(subscriber);
    let publisher = world.client("p", V5);
    for id in 1..=4 {
        world.publish(publisher, 1, id, "t", "x");
    }
    let two = ["PUBLISH q1 id=1 t x", "PUBLISH q1 id=2 t x"];
    assert_eq!(world.take(subscriber), two);
    world.acknowledge(subscriber, PacketType::Puback, 2);
    assert_eq!(world.take(subscriber), ["PUBLISH q1 id=3 t x"]);
    // Also what is sent again.
    world.lose(subscriber);
    let one = Hello {
        properties: &[
            Property::ReceiveMaximum(1),
            Property::SessionExpiryInterval(9),
        ],
        ..hello
    };
    let subscriber = world.connect("s", &one);
    assert_eq!(
        world.take(subscriber),
        ["CONNACK 0 resumed", "PUBLISH q1 id=1 dup t x"]
    );
    for (id, next) in [(1, "3 dup"), (3, "4")] {
        world.acknowledge(subscriber, PacketType::Puback, id);
        assert_eq!(
            world.take(subscriber),
            [format!("PUBLISH q1 id={next} t x")]
        );
    }
}

/// Found by the fuzz target: the window was counted from what waited to be sent again.
#[test]
fn an_acknowledgement_ahead_of_the_resend_does_not_widen_the_window() {
    let mut world = World::new(Config::default());
    let hello = |maximum| {
        [
            Property::ReceiveMaximum(maximum),
            Property::SessionExpiryInterval(9),
        ]
    };
    let wide = hello(9);
    let subscriber = world.connect(
        "s",
        &Hello {
            properties: &wide,
            ..keeps(V5)
        },
    );
    world.subscribe(subscriber, "t", 1);
    let publisher = world.client("p", V5);
    for id in 1..=3 {
        world.publish(publisher, 1, id, "t", "x");
    }
    world.lose(subscriber);
    let narrow = hello(1);
    let subscriber = world.connect(
        "s",
        &Hello {
            properties: &narrow,
            ..keeps(V5)
        },
    );
    assert_eq!(
        world.take(subscriber),
        ["CONNACK 0 resumed", "PUBLISH q1 id=1 dup t x"]
    );
    world.acknowledge(subscriber, PacketType::Puback, 2);
    assert!(world.take(subscriber).is_empty(), "the first is out still");
    world.acknowledge(subscriber, PacketType::Puback, 1);
    assert_eq!(world.take(subscriber), ["PUBLISH q1 id=3 dup t x"]);
}

#[test]
fn the_same_client_on_a_new_connection_takes_over() {
    let mut world = World::new(Config::default());
    let old = world.connect("c", &keeps(V5));
    world.take(old);
    let new = world.connect("c", &keeps(V5));
    assert_eq!(world.take(old), ["DISCONNECT 0x8e", "Finish"]);
    assert_eq!(world.take(new), ["CONNACK 0 resumed"]);
    // The end of the old connection is none of the new one's business.
    world.lose(old);
    world.send(new, |out, _| write::pingreq(out));
    assert_eq!(world.take(new), ["PINGRESP"]);
}

#[test]
fn wills_are_published_when_their_client_is_lost() {
    let mut world = World::new(Config::default());
    let watcher = world.subscriber("w", V5, "will", 2);
    let hello = |qos, properties| Hello {
        will: Some(will(qos, true, properties)),
        ..Hello::new(V5)
    };
    // Lost: published, and retained as it asked.
    let client = world.connect("c", &hello(1, &[]));
    world.lose(client);
    assert_eq!(world.take(watcher), ["PUBLISH q1 id=1 will gone"]);
    let late = world.client("late", V5);
    world.subscribe(late, "will", 0);
    assert_eq!(
        world.take(late),
        ["SUBACK 9 0", "PUBLISH q0 retain will gone"]
    );
    // Said goodbye: not published, unless it wants that.
    let client = world.connect("c", &hello(0, &[]));
    world.disconnect(client);
    world.lose(client);
    assert!(world.take(watcher).is_empty());
    let client = world.connect("c", &hello(0, &[]));
    world.send(client, |out, level| {
        write::disconnect(out, level, 4, &[]).unwrap();
    });
    assert_eq!(world.take(watcher), ["PUBLISH q0 will gone"]);
    // Taken over: published.
    world.connect("c", &hello(0, &[]));
    world.client("c", V5);
    assert_eq!(world.take(watcher), ["PUBLISH q0 will gone"]);
    // A delay is no longer than the session, which ends here at once.
    let client = world.connect("c", &hello(0, &[Property::WillDelayInterval(50)]));
    world.lose(client);
    assert_eq!(world.take(watcher), ["PUBLISH q0 will gone"]);
}

#[test]
fn a_will_waits_for_its_delay_and_is_forgotten_when_its_client_is_back() {
    let mut world = World::new(Config::default());
    let watcher = world.subscriber("w", V5, "will", 0);
    let hello = Hello {
        will: Some(will(0, false, &[Property::WillDelayInterval(10)])),
        ..keeps(V5)
    };
    let client = world.connect("c", &hello);
    world.lose(client);
    world.pass(TimeDelta::from_secs(9));
    let client = world.connect("c", &hello);
    world.pass(TimeDelta::from_secs(9));
    assert!(world.take(watcher).is_empty());
    world.lose(client);
    world.pass(TimeDelta::from_secs(11));
    assert_eq!(world.take(watcher), ["PUBLISH q0 will gone"]);
}

#[test]
fn silence_beyond_the_keep_alive_ends_the_connection() {
    let mut world = World::new(Config::default());
    let watcher = world.subscriber("w", V5, "will", 0);
    let hello = Hello {
        keep_alive: 10,
        will: Some(will(0, false, &[])),
        ..Hello::new(V5)
    };
    let client = world.connect("c", &hello);
    world.take(client);
    world.pass(TimeDelta::from_secs(15));
    assert!(world.take(client).is_empty());
    world.send(client, |out, _| write::pingreq(out));
    world.pass(TimeDelta::from_secs(15));
    assert_eq!(world.take(client), ["PINGRESP"]);
    world.pass(TimeDelta::from_secs(1));
    assert_eq!(world.take(client), ["DISCONNECT 0x8d", "Finish"]);
    assert_eq!(world.take(watcher), ["PUBLISH q0 will gone"]);
    // And a connection that never says CONNECT.
    let mute = world.open(V3);
    world.pass(TimeDelta::from_secs(29));
    assert!(world.take(mute).is_empty());
    world.pass(TimeDelta::from_secs(3));
    assert_eq!(world.take(mute), ["Finish"]);
}

#[test]
fn the_time_of_the_next_event_is_known() {
    let mut world = World::new(Config::default());
    assert_eq!(world.core.next_deadline(), None, "an idle broker sleeps");
    let client = world.client("c", V3);
    let due = world.core.next_deadline().unwrap();
    assert!(due - world.now <= TimeDelta::from_secs(1));
    world.lose(client);
    assert_eq!(world.core.next_deadline(), None);
}

#[test]
fn who_gives_no_identifier_gets_one() {
    let mut world = World::new(Config::default());
    let first = world.connect("", &Hello::new(V5));
    let second = world.connect("", &Hello::new(V5));
    world.send(first, |out, _| write::pingreq(out));
    assert_eq!(world.take(first), ["CONNACK 0 new", "PINGRESP"]);
    assert_eq!(world.take(second), ["CONNACK 0 new"]);
    // 3.1.1 gives none to keep: 2, identifier rejected [MQTT-3.1.3-8].
    let third = world.connect("", &keeps(V3));
    assert_eq!(world.take(third), ["CONNACK 2 new", "Finish"]);
}

#[test]
fn a_user_has_to_know_the_password() {
    let config = Config {
        credentials: Some(crate::broker::Credentials {
            user_name: b"user".to_vec(),
            password: b"secret".to_vec(),
        }),
        ..Config::default()
    };
    assert!(!format!("{config:?}").contains("secret"));
    let mut world = World::new(config);
    for (level, password, answer) in [
        (V3, b"secret", "CONNACK 0 new"),
        (V3, b"wrong!", "CONNACK 4 new"),
        (V5, b"wrong!", "CONNACK 134 new"),
    ] {
        let client = world.open(level);
        let packet = write::Connect {
            level,
            clean_start: true,
            keep_alive: 0,
            properties: &[],
            client_id: b"c",
            will: None,
            user_name: Some(b"user"),
            password: Some(crate::mqtt::Secret::new(password)),
        };
        world.send(client, |out, _| write::connect(out, &packet).unwrap());
        assert_eq!(world.take(client)[0], answer);
    }
}
