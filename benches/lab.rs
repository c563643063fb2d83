//! How exact the emulated links are at 100,000 packets a second: `cargo bench --bench lab`, as
//! root, on a machine that does nothing else.
//!
//! Packets of 64 bytes cross a link of 5 ms; the error is what the taps see beyond those 5 ms. They are
//! sent some 15 at a time: the sender sleeps in between, and has the other processors to itself. One
//! run says little on a virtual machine, whose processors are taken away for a millisecond at times.
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
            "{per_second:>7}/s: p99 of {RUNS} runs: least {:.1} µs, median {:.1} µs, most {:.1} µs",
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
    use std::path::Path;
    use std::time::{Duration, Instant};

    use mqttscope::capture::{Capture, Item};
    use mqttscope::lab::{Direction, Host, Impairment, Link, Profile, Testbed, TestbedSettings};

    const SECONDS: u32 = 2;
    const DELAY_NS: i64 = 5_000_000;
    /// 64 bytes with IP and UDP headers.
    const PAYLOAD: usize = 36;
    const EVERY: Duration = Duration::from_micros(100);

    /// Measures once; gives the error at p99, in nanoseconds.
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
        let crossed = counters.of(Direction::ALL[0]);
        let mut errors = errors(&file);
        errors.sort_unstable();
        let quantile = |share: f64| errors[((errors.len() - 1) as f64 * share) as usize];
        println!(
            "{per_second:>7}/s: {sent} sent, {} crossed, {} dropped before the emulator; error \
             p50 {:.1} µs, p99 {:.1} µs, p99.9 {:.1} µs, most {:.1} µs",
            crossed.sent,
            counters.interfaces[0].transmit_dropped,
            quantile(0.5) as f64 / 1e3,
            quantile(0.99) as f64 / 1e3,
            quantile(0.999) as f64 / 1e3,
            quantile(1.0) as f64 / 1e3,
        );
        quantile(0.99)
    }

    /// Sends numbered packets at an even pace; gives how many.
    fn send(socket: &UdpSocket, per_second: u32) -> u32 {
        let begin = Instant::now();
        let mut packet = [0; PAYLOAD];
        let mut sent = 0;
        while sent < per_second * SECONDS {
            let due = begin.elapsed().as_secs_f64() * f64::from(per_second);
            while f64::from(sent) < due && sent < per_second * SECONDS {
                packet[..4].copy_from_slice(&sent.to_be_bytes());
                // A full queue is counted where it is.
                let _ = socket.send(&packet);
                sent += 1;
            }
            std::thread::sleep(EVERY);
        }
        sent
    }

    /// By how much each packet's way between the taps was longer than it should be.
    fn errors(file: &Path) -> Vec<i64> {
        let mut capture = Capture::open(&[file]).expect("the capture");
        let mut came = HashMap::new();
        let mut errors = Vec::new();
        while let Some(item) = capture.next_item() {
            let Item::Frame(frame) = item else { continue };
            let Some(number) = frame.bytes.get(28..32) else {
                continue;
            };
            let number = number.to_vec();
            let time = frame.time.as_nanos();
            if usize::from(frame.tap) == Host::Publisher.index() {
                came.insert(number, time);
            } else if let Some(before) = came.remove(&number) {
                errors.push(time - before - DELAY_NS);
            }
        }
        errors
    }
}
