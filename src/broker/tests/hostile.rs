//! What breaks the rules ends its own connection, and nothing else.

use super::*;

fn answer(level: ProtocolLevel, bytes: &[u8]) -> Vec<String> {
    let mut world = World::with_limits(|limits| limits.receive_maximum = 1);
    let client = world.client("c", level);
    world.send_bytes(client, bytes);
    let words = world.take(client);
    if words.last().is_some_and(|word| word == "Finish") {
        // Whatever comes after it is not looked at.
        world.send_bytes(client, b"\xc0\0");
        assert!(world.take(client).is_empty());
        world.lose(client);
        let other = world.client("c", level);
        world.send_bytes(other, b"\xc0\0");
        assert_eq!(world.take(other), ["PINGRESP"]);
    }
    words
}

#[test]
fn broken_rules_have_their_reason_in_mqtt_5() {
    let cases: &[(&[u8], &str)] = &[
        (b"\x30\xff\xff\xff\x7f", "0x95"),
        (b"\x30\xff\xff\xff\xff", "0x81"),
        (b"\xc0\x80\0", "0x81"),
        (b"\0\0", "0x82"),
        (b"\xc1\0", "0x82"),
        (b"\x20\x03\0\0\0", "0x82"),
        (b"\x36\x07\0\x01t\0\x01\0x", "0x82"),
        (b"\x32\x07\0\x01t\0\0\0x", "0x82"),
        (b"\x30\x05\0\x01#\0x", "0x82"),
        (b"\x30\x07\0\x01t\x03\x23\0\x01", "0x94"),
        (b"\x82\x03\0\x01\0", "0x82"),
        (b"\x82\x07\0\x01\0\0\x01+\x03", "0x82"),
        (b"\x30\x04\0\x09tt", "0x81"),
        (b"\x10\x0d\0\x04MQTT\x05\x02\0\0\0\0\0", "0x82"),
        (b"\x34\x07\0\x01t\0\x01\0x\x34\x07\0\x01t\0\x02\0x", "0x93"),
    ];
    for (bytes, code) in cases {
        let words = answer(V5, bytes);
        let [.., disconnect, finish] = &words[..] else {
            panic!("{bytes:x?}: {words:?}");
        };
        assert_eq!(
            [disconnect.as_str(), finish],
            [&format!("DISCONNECT {code}"), "Finish"],
            "{bytes:x?}"
        );
        // Before, the connection just ends.
        if !matches!(*code, "0x94" | "0x93") {
            let words = answer(V3, bytes);
            assert!(
                words.is_empty() || words == ["Finish"],
                "{bytes:x?}: {words:?}"
            );
        }
    }
}

#[test]
fn what_is_no_connect_comes_to_nothing() {
    let cases: &[(&[u8], &[&str])] = &[
        (b"GET / HTTP/1.1\r\n\r\n", &["Finish"]),
        (b"\xc0\0", &["Finish"]),
        (b"\x10\xff\xff\xff\x7f", &["Finish"]),
        (
            b"\x10\x0c\0\x04MQTT\x09\x02\0\0\0\0",
            &["CONNACK 1 new", "Finish"],
        ),
        (b"\x10\x04\0\x04MQ", &["Finish"]),
        (b"\x10\x0c\0\x04MQTT\x04\x03\0\0\0\0", &["Finish"]),
    ];
    for (bytes, expected) in cases {
        let mut world = World::new(Config::default());
        let client = world.open(V3);
        world.send_bytes(client, bytes);
        assert_eq!(world.take(client), *expected, "{bytes:x?}");
    }
}

/// A stream means the same in whatever pieces it comes.
#[test]
fn pieces_do_not_matter() {
    let mut stream = Vec::new();
    let packet = write::Connect {
        level: V3,
        clean_start: true,
        keep_alive: 0,
        properties: &[],
        client_id: b"c",
        will: None,
        user_name: None,
        password: None,
    };
    write::connect(&mut stream, &packet).unwrap();
    let filter = Subscription {
        filter: b"#",
        options: 1,
    };
    write::subscribe(&mut stream, V3, 9, &[], &[filter]).unwrap();
    let long = "y".repeat(300);
    write::publish(&mut stream, V3, &publish(1, 1, "t", &long)).unwrap();
    write::publish(&mut stream, V3, &publish(0, 0, "t", "x")).unwrap();
    let play = |size: usize| {
        let mut world = World::new(Config::default());
        let client = world.open(V3);
        for piece in stream.chunks(size) {
            world.send_bytes(client, piece);
        }
        world.take(client)
    };
    let whole = play(stream.len());
    assert_eq!(whole.len(), 5, "{whole:?}");
    for size in [1, 2, 3, 7, 100] {
        assert_eq!(play(size), whole, "pieces of {size}");
    }
}
