//! The measuring client against a mosquitto of its own on the loopback: how many messages per
//! second go through, how exactly they are sent, and what a hundred publishers change.
//!
//! `cargo bench --bench probe` runs all of it, in some two and a half minutes;
//! `cargo bench --bench probe -- PART…` some of it: `throughput`, `scheduling`, `delay` (through the
//! proxy), `agreement` (with tcpdump, which has to be allowed to capture). Everything runs on this
//! machine, so tester and broker share its processors: an idle one is needed, and the results are
//! its own.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark prints its results"
)]

#[path = "../tests/support/mosquitto.rs"]
mod mosquitto;
#[path = "rivals/rumqttc.rs"]
mod rumqttc_loop;
#[path = "../tests/support/tcpdump.rs"]
mod tcpdump;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use mosquitto::Mosquitto;
use mqttscope::ProtocolLevel;
use mqttscope::probe::tally::Tally;
use mqttscope::probe::{
    Arrivals, CellPlan, CellResult, Credentials, Dialect, Direct, Extent, host_record, run_cell,
};
use mqttscope::proxy::{Conditions, Proxy};
use rumqttc_loop::{Layout, Load};
use tcpdump::Tcpdump;

/// A part of the benchmark by its name.
type Part = (&'static str, fn(&Mosquitto));

const PARTS: [Part; 4] = [
    ("throughput", throughputs),
    ("scheduling", scheduling),
    ("delay", known_delay),
    ("agreement", agreement),
];

fn main() {
    let arguments: Vec<String> = std::env::args()
        .skip(1)
        .filter(|argument| argument != "--bench")
        .collect();
    let wanted = |name: &str| {
        arguments.is_empty() || arguments.iter().any(|word| word == name || word == "probe")
    };
    // Filters such as `cargo bench -- pipeline` are for the other benchmarks.
    let parts: Vec<_> = PARTS.iter().filter(|(name, _)| wanted(name)).collect();
    if parts.is_empty() {
        return;
    }
    // Wide windows lose messages in mosquitto's default configuration.
    let options = "allow_anonymous true\nmax_inflight_messages 0\nmax_queued_messages 0";
    let Some(broker) = Mosquitto::start(|_| options.to_owned()) else {
        eprintln!("skipped: there is no mosquitto");
        return;
    };
    let host = host_record(false);
    println!(
        "{} x {}, kernel {}; mosquitto with NODELAY on the loopback",
        host.cpus,
        host.cpu_model.unwrap_or_default(),
        host.kernel
    );
    for (_, part) in parts {
        part(&broker);
    }
}

/// Ours at both protocol levels and a plain loop over rumqttc in two layouts, taking turns.
fn throughputs(broker: &Mosquitto) {
    const ROUNDS: u64 = 5;
    println!(
        "throughput: 128 bytes, window 100, one publisher and one subscriber in one process; \
         messages/s, the median (least to most) of {ROUNDS} runs that take turns"
    );
    for (qos, count) in [(0, 150_000), (1, 50_000), (2, 30_000)] {
        let mut rates: [Vec<f64>; 4] = Default::default();
        for round in 0..ROUNDS {
            let run = u64::from(qos) * ROUNDS + round + 1;
            let load = |layout: u64| Load {
                port: broker.port,
                qos,
                payload_bytes: 128,
                window: 100,
                count,
                run: 2 * run + layout,
            };
            rates[0].push(throughput(broker, ProtocolLevel::V3_1_1, qos, count, run));
            rates[1].push(rumqttc_loop::throughput(load(0), Layout::OneThread));
            rates[2].push(throughput(broker, ProtocolLevel::V5, qos, count, run));
            rates[3].push(rumqttc_loop::throughput(load(1), Layout::TwoThreads));
        }
        let [ours, one_thread, ours_5, two_threads] = rates.map(summary);
        println!("  QoS {qos}, {count} messages");
        println!("    mqttscope, MQTT 3.1.1         {ours}");
        println!("    mqttscope, MQTT 5             {ours_5}");
        println!("    rumqttc, 3.1.1, one thread    {one_thread}");
        println!("    rumqttc, 3.1.1, two threads   {two_threads}");
        let best = one_thread.median.max(two_threads.median);
        println!(
            "    mqttscope / rumqttc, 3.1.1    {:.2}",
            ours.median / best
        );
    }
}

struct Rates {
    least: f64,
    median: f64,
    most: f64,
}

fn summary(mut rates: Vec<f64>) -> Rates {
    rates.sort_by(f64::total_cmp);
    let at = |index: usize| rates.get(index).copied().unwrap_or(f64::NAN);
    Rates {
        least: at(0),
        median: at(rates.len() / 2),
        most: at(rates.len().saturating_sub(1)),
    }
}

impl std::fmt::Display for Rates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:7.0} ({:.0} to {:.0})",
            self.median, self.least, self.most
        )
    }
}

fn scheduling(broker: &Mosquitto) {
    println!("scheduling: 16 bytes, QoS 0, Poisson, sent - planned, 20,000 messages");
    for (publishers, rate, count) in [(1, 1_000.0, 20_000), (100, 10.0, 200)] {
        let plan = CellPlan {
            publishers,
            rate: Some(rate),
            extent: Extent::Count(count),
            warm_up: count / 10,
            ..CellPlan::default()
        };
        let tally = Tally::new(&run(broker, plan));
        let us = |q| tally.send_lag.quantile(q).unwrap_or(0) as f64 / 1e3;
        let delay = |q| tally.response.quantile(q).unwrap_or(0) as f64 / 1e3;
        println!(
            "  {publishers} publisher(s) of {rate}/s: send lag p50 {:.1} us, p99 {:.1} us; \
             delay p50 {:.1} us, p99 {:.1} us; {} of {} arrived",
            us(0.5),
            us(0.99),
            delay(0.5),
            delay(0.99),
            tally.response.values().len(),
            tally.planned(),
        );
    }
}

/// The same messages by the prober's stamps and by the packets that tcpdump saw.
fn agreement(broker: &Mosquitto) {
    let directory = match tempfile::tempdir() {
        Ok(directory) => directory,
        Err(error) => panic!("{error}"),
    };
    let capture = directory.path().join("run.pcap");
    let Some(tcpdump) = Tcpdump::start(broker.port, &capture) else {
        eprintln!("skipped: there is no tcpdump that may capture on lo");
        return;
    };
    let (run, analysis) = (
        directory.path().join("run"),
        directory.path().join("analysis"),
    );
    let url = broker.url();
    let probe = [
        "probe",
        &url,
        "--no-baseline",
        "--count",
        "1000",
        "--rate",
        "200",
    ];
    mqttscope(&probe, &[("-o", &run)]);
    tcpdump.stop();
    let port = broker.port.to_string();
    let analyze = ["analyze", "-p", &port, "--only", "tables"];
    mqttscope(&analyze, &[("-o", &analysis), ("", &capture)]);
    println!("agreement: 1,000 messages of 16 bytes at 200/s per QoS; service - delay on the wire");
    let wire: BTreeMap<String, i64> = rows(&analysis.join("deliveries.csv"))
        .filter_map(|row| Some((row["payload_hash"].clone(), row["delay_ns"].parse().ok()?)))
        .collect();
    let mut differences: BTreeMap<String, Vec<i64>> = BTreeMap::new();
    for row in rows(&run.join("samples.csv")) {
        let service = row["service_ns"].parse::<i64>();
        if let (Ok(service), Some(delay)) = (service, wire.get(&row["payload_hash"])) {
            let of_qos = differences.entry(row["qos"].clone()).or_default();
            of_qos.push(service - delay);
        }
    }
    for (qos, mut values) in differences {
        values.sort_unstable();
        println!(
            "  QoS {qos}: {:.1} us at the median of {}",
            values[values.len() / 2] as f64 / 1e3,
            values.len()
        );
    }
}

fn mqttscope(arguments: &[&str], paths: &[(&str, &Path)]) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.args(arguments);
    for (option, path) in paths {
        command.args(Some(option).filter(|option| !option.is_empty()));
        command.arg(path);
    }
    match command.output() {
        // A cell that distrusts itself (3) is measured all the same.
        Ok(output) if matches!(output.status.code(), Some(0 | 3)) => {}
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stderr)),
        Err(error) => panic!("{error}"),
    }
}

/// The rows of a table, cell by column.
fn rows(path: &Path) -> impl Iterator<Item = BTreeMap<String, String>> {
    match csv::Reader::from_path(path) {
        Ok(reader) => reader.into_deserialize().filter_map(Result::ok),
        Err(error) => panic!("{error}"),
    }
}

/// Delays of 20 ms each way, by the proxy: what is measured beyond the trips that a QoS needs.
fn known_delay(broker: &Mosquitto) {
    const EACH_WAY: Duration = Duration::from_millis(20);
    let conditions = Conditions::default().with_delay(EACH_WAY);
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let target = SocketAddr::from(([127, 0, 0, 1], broker.port));
    let proxy = match Proxy::start(any, target, conditions) {
        Ok(proxy) => proxy,
        Err(error) => panic!("{error}"),
    };
    println!("known delay: 20 ms each way through the proxy, 100 messages/s, service time");
    for (qos, trips) in [(0, 2), (1, 2), (2, 4)] {
        let plan = CellPlan {
            qos,
            subscriber_qos: qos,
            extent: Extent::Count(1_000),
            warm_up: 50,
            ..CellPlan::default()
        };
        let tally = Tally::new(&run_at(proxy.address().port(), ProtocolLevel::V5, plan));
        let expected = trips * EACH_WAY.as_nanos() as i64;
        let median = tally.service.quantile(0.5).unwrap_or(0);
        println!(
            "  QoS {qos}: {:.3} ms at the median, {:.1} us more than {trips} trips",
            median as f64 / 1e6,
            (median - expected) as f64 / 1e3
        );
    }
}

/// Messages per second from the first sent to the last received.
fn throughput(
    broker: &Mosquitto,
    level: ProtocolLevel,
    qos: u8,
    count: u32,
    run_number: u64,
) -> f64 {
    let plan = CellPlan {
        run: run_number,
        cell: u32::from(level.is_v5()) + 1,
        qos,
        subscriber_qos: qos,
        payload_bytes: 128,
        arrivals: Arrivals::Fixed,
        rate: None,
        extent: Extent::Count(count),
        window: 100,
        ..CellPlan::default()
    };
    let result = run_at(broker.port, level, plan);
    let first = result.messages().filter_map(|message| message.sent).min();
    let last = result
        .samples()
        .filter_map(|sample| sample.reception.received)
        .max();
    let received = result
        .samples()
        .filter(|sample| sample.reception.received.is_some())
        .count();
    assert_eq!(received, count as usize, "nothing is lost");
    let (Some(first), Some(last)) = (first, last) else {
        return 0.0;
    };
    received as f64 / (last.since(first) as f64 / 1e9)
}

fn run(broker: &Mosquitto, plan: CellPlan) -> CellResult {
    run_at(broker.port, ProtocolLevel::V5, plan)
}

fn run_at(port: u16, level: ProtocolLevel, plan: CellPlan) -> CellResult {
    let dialect = Dialect {
        level,
        tls: None,
        credentials: Credentials::default(),
        timeout: Duration::from_secs(5),
    };
    let connector = Direct {
        host: "127.0.0.1".into(),
        port,
        timeout: Duration::from_secs(5),
    };
    match run_cell(&plan, &dialect, &connector, &mut |_| true) {
        Ok(result) => result,
        Err(error) => panic!("{error}"),
    }
}
