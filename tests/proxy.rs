//! The proxy on real sockets: every byte arrives, in order, and what the schedule says happens.

#[path = "common/client.rs"]
mod client;

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use client::Client;
use mqttscope::broker::{Broker, Config};
use mqttscope::mqtt::ProtocolLevel;
use mqttscope::proxy::{Conditions, Happening, Periodic, Proxy, Rate};

const PATIENCE: Duration = Duration::from_secs(60);

fn anywhere() -> SocketAddr {
    "127.0.0.1:0".parse().unwrap()
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A target that sends back what it gets, until the end of each stream.
fn echo() -> SocketAddr {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            thread::spawn(move || {
                stream.set_nodelay(true).unwrap();
                let mut buffer = vec![0; 64 << 10];
                while let Ok(count @ 1..) = stream.read(&mut buffer) {
                    if stream.write_all(&buffer[..count]).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

fn connect(proxy: &Proxy) -> TcpStream {
    let stream = TcpStream::connect(proxy.address()).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

/// Bytes that repeat only after a long time.
fn pattern(seed: u32, count: usize) -> Vec<u8> {
    let mut state = seed | 1;
    let next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(count).collect()
}

/// Sends and receives at once; the answer ends when the proxy passes the end of the stream on.
fn there_and_back(proxy: &Proxy, bytes: &[u8]) -> Vec<u8> {
    let mut stream = connect(proxy);
    let mut writing = stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || {
            writing.write_all(bytes).unwrap();
            writing.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        stream.read_to_end(&mut got).unwrap();
        got
    })
}

#[test]
fn all_bytes_of_many_connections_arrive_in_order() {
    let conditions = Conditions {
        stall: Periodic::new(ms(60), ms(20)),
        ..Conditions::default().with_delay(ms(3))
    };
    let proxy = Proxy::start(anywhere(), echo(), conditions).unwrap();
    thread::scope(|scope| {
        for seed in 1..=8 {
            let proxy = &proxy;
            scope.spawn(move || {
                // More than the buffers hold: the proxy has to make the sender wait.
                let bytes = pattern(seed, 12 << 20);
                assert!(there_and_back(proxy, &bytes) == bytes, "connection {seed}");
            });
        }
    });
    let counts = proxy.counts();
    assert_eq!((counts.accepted, counts.cut), (8, 0));
    assert_eq!(counts.bytes_to_target, 8 * (12 << 20));
    assert_eq!(counts.bytes_to_client, 8 * (12 << 20));
}

#[test]
fn a_byte_takes_at_least_the_delay_of_each_way() {
    let conditions = Conditions {
        delay_to_target: ms(20),
        delay_to_client: ms(5),
        ..Conditions::default()
    };
    let proxy = Proxy::start(anywhere(), echo(), conditions).unwrap();
    let mut stream = connect(&proxy);
    for _ in 0..20 {
        let began = Instant::now();
        stream.write_all(b"x").unwrap();
        stream.read_exact(&mut [0]).unwrap();
        assert!(began.elapsed() >= ms(25), "{:?}", began.elapsed());
    }
}

#[test]
fn a_rate_is_not_exceeded() {
    let conditions = Conditions {
        throttle: Rate::from_bytes_per_s(1_000_000),
        ..Conditions::default()
    };
    let proxy = Proxy::start(anywhere(), echo(), conditions).unwrap();
    let bytes = pattern(7, 300_000);
    let began = Instant::now();
    assert!(there_and_back(&proxy, &bytes) == bytes);
    assert!(began.elapsed() >= ms(300), "{:?}", began.elapsed());
}

/// Reads until the connection ends, and says how.
fn end_of(mut stream: TcpStream) -> Option<ErrorKind> {
    let mut rest = Vec::new();
    stream
        .read_to_end(&mut rest)
        .err()
        .map(|error| error.kind())
}

#[test]
fn resets_come_on_schedule_and_are_resets() {
    let conditions = Conditions {
        reset: Periodic::new(ms(100), ms(0)),
        ..Conditions::default()
    };
    let proxy = Proxy::start(anywhere(), echo(), conditions).unwrap();
    let began = Instant::now();
    for _ in 0..3 {
        assert_eq!(end_of(connect(&proxy)), Some(ErrorKind::ConnectionReset));
    }
    let counts = proxy.counts();
    let occurrences = proxy.occurrences();
    assert!(counts.resets >= 3 && counts.cut == 3, "{counts:?}");
    let all_resets = occurrences
        .iter()
        .all(|one| one.happening == Happening::Reset);
    assert!(all_resets && occurrences.len() as u64 >= counts.resets);
    // The times are those of the schedule, whatever the machine was doing.
    for pair in occurrences.windows(2) {
        assert_eq!(pair[1].at - pair[0].at, ms(100));
    }
    assert!(began.elapsed() >= ms(200));
}

#[test]
fn an_outage_cuts_and_refuses_until_it_is_over() {
    let conditions = Conditions {
        outage: Periodic::new(ms(400), ms(200)),
        ..Conditions::default()
    };
    let proxy = Proxy::start(anywhere(), echo(), conditions).unwrap();
    let (mut refused, mut cut) = (0, 0);
    // However slowly this goes, there is an outage after every working time.
    while refused == 0 || cut < 2 {
        match TcpStream::connect(proxy.address()) {
            Ok(stream) => {
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                assert_eq!(end_of(stream), Some(ErrorKind::ConnectionReset));
                cut += 1;
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                refused += 1;
                thread::sleep(ms(5));
            }
        }
    }
    let kinds: Vec<_> = proxy
        .occurrences()
        .iter()
        .map(|one| one.happening)
        .collect();
    let [began, ended] = [Happening::OutageBegan, Happening::OutageEnded];
    assert!(kinds.starts_with(&[began, ended, began]), "{kinds:?}");
    let is_on = proxy.counts().outages > kinds.iter().filter(|kind| **kind == ended).count() as u64;
    // The schedule begins again, and an outage that goes on is over.
    proxy.restart();
    while is_on && TcpStream::connect(proxy.address()).is_err() {
        thread::sleep(ms(1));
    }
}

/// Whoever begins again in the middle of an outage may connect at once.
#[test]
fn a_schedule_that_begins_again_has_its_listener() {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let conditions = Conditions {
        outage: Periodic::new(ms(1_000), ms(900)),
        ..Conditions::default()
    };
    let proxy = Proxy::start(anywhere(), listener.local_addr().unwrap(), conditions).unwrap();
    while TcpStream::connect(proxy.address()).is_ok() {
        thread::sleep(ms(10));
    }
    proxy.restart();
    TcpStream::connect(proxy.address()).unwrap();
}

#[test]
fn a_target_that_is_not_there_is_as_without_proxy() {
    let nobody = TcpListener::bind(anywhere()).unwrap().local_addr().unwrap();
    let proxy = Proxy::start(anywhere(), nobody, Conditions::default()).unwrap();
    let stream = connect(&proxy);
    assert_eq!(end_of(stream), Some(ErrorKind::ConnectionReset));
}

#[test]
fn an_end_and_a_reset_of_one_side_reach_the_other() {
    let listener = TcpListener::bind(anywhere()).unwrap();
    let target = listener.local_addr().unwrap();
    let proxy = Proxy::start(anywhere(), target, Conditions::default()).unwrap();
    let mut client = connect(&proxy);
    let (mut server, _) = listener.accept().unwrap();
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut got = String::new();
    server.read_to_string(&mut got).unwrap();
    assert_eq!(got, "last words");
    server.write_all(b"answer").unwrap();
    drop(server);
    client.read_to_string(&mut got).unwrap();
    assert_eq!(got, "last wordsanswer");
    // Closed with unread bytes: TCP resets.
    let mut client = connect(&proxy);
    let (server, _) = listener.accept().unwrap();
    client.write_all(b"never read").unwrap();
    server.peek(&mut [0]).unwrap();
    drop(server);
    assert_eq!(end_of(client), Some(ErrorKind::ConnectionReset));
}

#[test]
fn a_broker_behind_it_works() {
    let broker = Broker::start(anywhere(), Config::default()).unwrap();
    let conditions = Conditions::default().with_delay(ms(2));
    let proxy = Proxy::start(anywhere(), broker.address(), conditions).unwrap();
    let mut client = Client::connect(proxy.address(), ProtocolLevel::V5, b"c");
    client.subscribe(b"t", 1);
    let began = Instant::now();
    client.publish(0, 0, b"t", b"x");
    assert_eq!(client.packet().0, 0x30);
    assert!(began.elapsed() >= ms(4));
}
