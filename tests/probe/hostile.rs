//! Brokers that are none, or that break the rules.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use super::{failure, measure, mosquitto, probe};

/// Answers every connection on a port of its own with `serve`, on threads that end with the test.
fn broker(serve: impl Fn(TcpStream) + Send + Sync + Clone + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("mqtt://127.0.0.1:{}", listener.local_addr().unwrap().port());
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(stream));
        }
    });
    url
}

/// One control packet: its first byte and its body.
fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte).ok()?;
    let first = byte[0];
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        stream.read_exact(&mut byte).ok()?;
        length |= usize::from(byte[0] & 0x7f) << shift;
        shift += 7;
        if byte[0] < 0x80 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    Some((first, body))
}

/// Waits for the CONNECT and answers with these bytes; the connection stays open.
fn answering(bytes: &'static [u8]) -> String {
    broker(move |mut stream| {
        packet(&mut stream);
        let _ = stream.write_all(bytes);
        // Until the peer has had enough.
        let _ = stream.read_to_end(&mut Vec::new());
    })
}

#[test]
fn nobody_there_is_told() {
    let url = format!("mqtt://127.0.0.1:{}", mosquitto::free_port());
    let error = failure(&[&url], 1);
    assert!(
        error.contains("connection refused") && error.contains(&url),
        "{error}"
    );
    let error = failure(&["mqtt://no-such-host.invalid"], 1);
    assert!(error.contains("no-such-host.invalid"), "{error}");
}

#[test]
fn every_refusal_is_told_in_words() {
    for (mqtt, bytes, said) in [
        (
            "3.1.1",
            &[0x20, 2, 0, 1][..],
            "unacceptable protocol version",
        ),
        ("3.1.1", &[0x20, 2, 0, 2], "identifier rejected"),
        ("3.1.1", &[0x20, 2, 0, 3], "Server unavailable"),
        ("3.1.1", &[0x20, 2, 0, 4], "MQTTSCOPE_PASSWORD"),
        ("3.1.1", &[0x20, 2, 0, 5], "not authorized"),
        ("3.1.1", &[0x20, 2, 0, 77], "code 77"),
        ("5", &[0x20, 3, 0, 0x84, 0], "--mqtt 3.1.1"),
        ("5", &[0x20, 2, 0, 1], "unacceptable protocol version"),
        ("5", &[0x20, 3, 0, 0x86, 0], "Bad User Name or Password"),
        ("5", &[0x20, 3, 0, 0x89, 0], "Server busy"),
        ("5", &[0x20, 3, 0, 0x97, 0], "Quota exceeded"),
        ("5", &[0x20, 3, 0, 0x9f, 0], "Connection rate exceeded"),
        ("5", &[0xe0, 2, 0x8b, 0], "Server shutting down"),
    ] {
        let error = failure(&[&answering(bytes), "--mqtt", mqtt], 1);
        assert!(error.contains(said), "{bytes:?}: {error}");
    }
}

#[test]
fn what_is_no_mqtt_is_told() {
    for (bytes, said) in [
        (
            &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
            "begins with \"HTTP/1.1 400 Bad Request\"",
        ),
        (b"220 mail.example ESMTP\r\n", "no MQTT"),
        (&[0x20, 0xff, 0xff, 0xff, 0x7f], "268435460 bytes"),
        (&[0x20, 0xff, 0xff, 0xff, 0xff, 1], "no MQTT"),
        (&[0x20, 1, 0], "no MQTT"),
        (&[0x90, 3, 0, 1, 0], "not with a CONNACK"),
        (&[0x00, 0], "no MQTT"),
    ] {
        let error = failure(&[&answering(bytes), "--connect-timeout", "2s"], 1);
        assert!(error.contains(said), "{bytes:?}: {error}");
    }
}

#[test]
fn silence_and_closed_doors_are_told() {
    let error = failure(&[&answering(&[]), "--connect-timeout", "200ms"], 1);
    assert!(
        error.contains("no answer to CONNECT within 200 ms"),
        "{error}"
    );
    let closing = broker(|mut stream| drop(packet(&mut stream)));
    let error = failure(&[&closing], 1);
    assert!(
        error.contains("the broker closed the connection"),
        "{error}"
    );
    let silent = broker(|mut stream| {
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let tls = silent.replace("mqtt:", "mqtts:");
    let error = failure(&[&tls, "--connect-timeout", "200ms"], 1);
    assert!(error.contains("TLS handshake"), "{error}");
    let error = failure(
        &[&answering(b"HTTP/1.1 400\r\n\r\n").replace("mqtt:", "mqtts:")],
        1,
    );
    assert!(error.contains("TLS"), "{error}");
}

#[test]
fn limits_of_the_broker_are_kept() {
    // Maximum Packet Size of 100 bytes, and Maximum QoS of 1; SUBACK for whatever comes then.
    let serve = |connack: &'static [u8]| {
        broker(move |mut stream| {
            packet(&mut stream);
            let _ = stream.write_all(connack);
            while let Some((first, body)) = packet(&mut stream) {
                if first == 0x82 {
                    let _ = stream.write_all(&[0x90, 4, body[0], body[1], 0, 0]);
                }
            }
        })
    };
    let small = serve(&[0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 100]);
    let error = failure(&[&small, "--payload", "1k", "--qos", "0"], 1);
    assert!(
        error.contains("at most 100") && error.contains("1024"),
        "{error}"
    );
    let low = serve(&[0x20, 5, 0, 0, 2, 0x24, 1]);
    let error = failure(&[&low, "--qos", "2"], 1);
    assert!(error.contains("at most QoS 1"), "{error}");
    let refusing = broker(|mut stream| {
        packet(&mut stream);
        let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
        packet(&mut stream);
        let _ = stream.write_all(&[0x90, 4, 0, 1, 0, 0x87]);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let error = failure(&[&refusing], 1);
    assert!(
        error.contains("refused the subscription: Not authorized"),
        "{error}"
    );
}

const IMPATIENT: [&str; 8] = [
    "--count",
    "20",
    "--rate",
    "200",
    "--deadline",
    "200ms",
    "--drain",
    "500ms",
];

/// A broker that takes everything, acknowledges what was never sent and delivers nothing.
#[test]
fn acknowledgements_of_nothing_are_counted_and_nothing_is_taken_for_delivered() {
    let url = broker(|mut stream| {
        packet(&mut stream);
        let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
        while let Some((first, body)) = packet(&mut stream) {
            let _ = match first >> 4 {
                8 => stream.write_all(&[0x90, 4, body[0], body[1], 0, 1]),
                3 => stream.write_all(&[0x40, 2, 0xfe, 0xdc, 0x70, 2, 0xfe, 0xdc]),
                _ => Ok(()),
            };
        }
    });
    let mut arguments = vec![url.as_str(), "--qos", "1", "--json", "--warm-up", "0"];
    arguments.extend(IMPATIENT);
    let output = probe(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{errors}");
    assert!(errors.contains("not in flight"), "{errors}");
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cell = &result["cells"][0];
    assert_eq!(cell["delivered"], 0);
    assert_eq!(cell["lost_unacknowledged"], 20, "{cell}");
    let reason = cell["invalid_reason"].as_str().unwrap();
    assert!(
        reason.contains("may still have been on their way"),
        "{reason}"
    );
}

/// Messages without end, none of them ours: the cell ends all the same.
#[test]
fn a_flood_does_not_keep_the_probe() {
    let url = broker(|mut stream| {
        packet(&mut stream);
        let _ = stream.write_all(&[0x20, 3, 0, 0, 0]);
        let mut reader = stream.try_clone().unwrap();
        let Some((first, body)) = packet(&mut reader) else {
            return;
        };
        if first != 0x82 {
            let _ = stream.read_to_end(&mut Vec::new());
            return;
        }
        let _ = stream.write_all(&[0x90, 4, body[0], body[1], 0, 0]);
        let flood = [0x30, 6, 0, 1, b'x', 0, b'y', b'z'].repeat(1_000);
        while stream.write_all(&flood).is_ok() {}
    });
    let mut arguments = vec![url.as_str(), "--qos", "0"];
    arguments.extend(IMPATIENT);
    let output = measure(&arguments);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("none of this cell's"), "{errors}");
    let output = probe(&[&url, "--check", "--connect-timeout", "1s"]);
    let verdicts = String::from_utf8_lossy(&output.stdout);
    assert!(verdicts.contains("sends on and on"), "{verdicts}");
}
