//! How exact the emulated links are at 100,000 packets a second: `cargo bench --bench lab`, as
//! root, on a machine that does nothing else.
//!
//! Packets of 64 bytes cross a link of 5 ms; the error is what the taps see beyond those 5 ms. They are
//! sent some 15 at a time: the sender sleeps in between, and has the other processors to itself.
//!
//! A machine that does something else meanwhile (or one whose host does) shows in the sender as well: it
//! comes late to its next packets, or is slow to send them. Its schedule then moves on, since all of
//! them at once would be another rate, and packets that were on their way during such a time are
//! counted, and told apart.
#![allow(clippy::print_stdout, reason = "what was measured")]

#[cfg(target_os = "linux")]
const RUNS: usize = 5;

#[cfg(target_os = "linux")]
fn main() {
    use mqttscope::lab::Rights;

    // `cargo test --benches` and the like only want to know that it builds.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    if let Err(error) = Rights::acquire() {
        println!("skipped: {error}");
        return;
    }
    for per_second in [1_000, 10_000, 100_000] {
        let mut p99_ns: Vec<i64> = (0..RUNS).map(|_| linux::run(per_second)).collect();
        p99_ns.sort_unstable();
        println!(
            "{per_second:>7}/s: p99, undisturbed, of {RUNS} runs: least {:.1} µs, median {:.1} µs, most {:.1} µs",
            p99_ns[0] as f64 / 1e3,
            p99_ns[RUNS / 2] as f64 / 1e3,
            p99_ns[RUNS - 1] as f64 / 1e3,
        );
    }
}

#[cfg(not(target_os = "linux"))]
fn main() {
    println!("skipped: the lab needs Linux");
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::HashMap;
    use std::net::UdpSocket;
    use std::ops::Range;
    use std::path::Path;
    use std::time::{Duration, Instant};

    use mqttscope::capture::{Capture, Item};
    use mqttscope::lab::{Direction, Host, Impairment, Link, Profile, Testbed, TestbedSettings};

    const SECONDS: u32 = 2;
    const DELAY_NS: i64 = 5_000_000;
    /// 64 bytes with IP and UDP headers.
    const PAYLOAD: usize = 36;
    const EVERY: Duration = Duration::from_micros(100);
    const MOST_AT_ONCE: f64 = 30.0;

    /// When a turn of the sender that should take about [`EVERY`] took that long, something else
    /// had its processor.
    const DISTURBED: Duration = Duration::from_micros(500);

    /// Measures once; gives the error at p99 of what crossed undisturbed, in nanoseconds.
    pub(super) fn run(per_second: u32) -> i64 {
        let mut testbed = Testbed::new(&TestbedSettings::default()).expect("a lab");
        let settings = Impairment {
            delay_ms: DELAY_NS as f64 / 1e6,
            ..Impairment::default()
        };
        testbed
            .set_link(Link::Publisher, &Profile::symmetric("5 ms", settings), 1)
            .expect("a link");
        let sender = testbed.udp_socket(Host::Publisher, 0).expect("a socket");
        let sink = testbed.udp_socket(Host::Broker, 0).expect("a socket");
        sender
            .connect(sink.local_addr().expect("an address"))
            .expect("a connection");
        let file = testbed.directory().join("taps.pcapng");
        testbed.start_taps(&file, 0).expect("taps");
        let sent = send(&sender, per_second);
        assert!(testbed.drain(Duration::from_secs(5)), "packets stay");
        testbed.stop_taps().expect("a capture");
        let counters = testbed.counters().expect("counters");
        let (quiet, all) = errors(&file, &sent.disturbed);
        println!(
            "{:>7.0}/s: {} sent, {} crossed, {} dropped before the emulator; error of the {:.1} % \
             undisturbed p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs; of all p99 {:.1} µs, most {:.1} µs",
            sent.rate,
            sent.packets,
            counters.of(Direction::ALL[0]).sent,
            counters.interfaces[0].transmit_dropped,
            100.0 * quiet.len() as f64 / all.len() as f64,
            quantile(&quiet, 0.5) as f64 / 1e3,
            quantile(&quiet, 0.99) as f64 / 1e3,
            quantile(&quiet, 0.999) as f64 / 1e3,
            quantile(&all, 0.99) as f64 / 1e3,
            quantile(&all, 1.0) as f64 / 1e3,
        );
        quantile(&quiet, 0.99)
    }

    fn quantile(sorted: &[i64], share: f64) -> i64 {
        sorted[((sorted.len() - 1) as f64 * share) as usize]
    }

    struct Sent {
        packets: u32,
        /// In a second.
        rate: f64,
        /// Turns that took too long, by their first packet and the next turn's.
        disturbed: Vec<Range<u32>>,
    }

    /// Sends numbered packets at an even pace.
    fn send(socket: &UdpSocket, per_second: u32) -> Sent {
        let begin = Instant::now();
        let mut schedule = begin;
        let mut packet = [0; PAYLOAD];
        let mut sent = 0;
        let mut disturbed = Vec::new();
        let (mut last_turn, mut first_of_turn) = (begin, 0);
        while sent < per_second * SECONDS {
            let now = Instant::now();
            let due = (now - schedule).as_secs_f64() * f64::from(per_second) - f64::from(sent);
            let too_many = (due - MOST_AT_ONCE).max(0.0);
            schedule += Duration::from_secs_f64(too_many / f64::from(per_second));
            let due = due.clamp(0.0, MOST_AT_ONCE) as u32;
            if now - last_turn > DISTURBED && due > 0 {
                disturbed.push(first_of_turn..sent);
            }
            if due > 0 {
                first_of_turn = sent;
            }
            last_turn = now;
            for number in sent..sent + due {
                packet[..4].copy_from_slice(&number.to_be_bytes());
                // A full queue is counted where it is.
                let _ = socket.send(&packet);
            }
            sent += due;
            std::thread::sleep(EVERY);
        }
        Sent {
            packets: sent,
            rate: f64::from(sent) / begin.elapsed().as_secs_f64(),
            disturbed,
        }
    }

    /// By how much each packet's way between the taps was longer than it should be, sorted: of
    /// those that were not on their way while the sender was disturbed, and of all.
    fn errors(file: &Path, disturbed: &[Range<u32>]) -> (Vec<i64>, Vec<i64>) {
        let mut capture = Capture::open(&[file]).expect("the capture");
        let mut came = HashMap::new();
        let mut crossed = Vec::new();
        while let Some(item) = capture.next_item() {
            let Item::Frame(frame) = item else { continue };
            let number = frame.bytes.get(28..).and_then(<[u8]>::first_chunk);
            let Some(number) = number.map(|bytes| u32::from_be_bytes(*bytes)) else {
                continue;
            };
            let time = frame.time.as_nanos();
            if usize::from(frame.tap) == Host::Publisher.index() {
                came.insert(number, time);
            } else if let Some(before) = came.get(&number) {
                crossed.push(*before..time);
            }
        }
        let times = disturbed.iter().filter_map(|turn| {
            let [from, to] = [turn.start, turn.end].map(|number| came.get(&number).copied());
            Some(from?..to?)
        });
        let times: Vec<Range<i64>> = times.collect();
        let error = |way: &Range<i64>| way.end - way.start - DELAY_NS;
        let quiet = crossed.iter().filter(|way| {
            // Turns follow each other: the first that ends after the packet came is the one.
            let next = times.partition_point(|time| time.end < way.start);
            times.get(next).is_none_or(|time| time.start > way.end)
        });
        let mut quiet: Vec<i64> = quiet.map(error).collect();
        let mut all: Vec<i64> = crossed.iter().map(error).collect();
        quiet.sort_unstable();
        all.sort_unstable();
        (quiet, all)
    }
}
