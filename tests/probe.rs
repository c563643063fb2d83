//! `mqttscope probe` against real brokers and hostile ones.

#[path = "support/mosquitto.rs"]
mod mosquitto;
#[path = "support/tcpdump.rs"]
mod tcpdump;
#[path = "common/tool.rs"]
mod tool;

#[path = "probe/captured.rs"]
mod captured;
#[path = "probe/clients.rs"]
mod clients;
#[path = "probe/faults.rs"]
mod faults;
#[path = "probe/hostile.rs"]
mod hostile;
#[path = "probe/security.rs"]
mod security;

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Output, Stdio};

use mosquitto::Mosquitto;
use mqttscope::probe::{self, CellPlan, Credentials, Dialect, Direct, Extent};
use mqttscope::{ProtocolLevel, results::Outcome};
use tool::{Row, may_skip, table};

/// Runs the probe; it may say that the machine was too busy to measure (3), and nothing else.
fn measure(arguments: &[&str]) -> Output {
    let output = probe(arguments);
    let code = output.status.code();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(code, Some(0 | 3)), "{code:?}: {errors}");
    output
}

fn probe(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.args(["probe", "--no-baseline"]).args(arguments);
    command
        .env_remove("MQTTSCOPE_USERNAME")
        .env_remove("MQTTSCOPE_PASSWORD");
    command.output().unwrap()
}

/// What the one line of a failure says.
fn failure(arguments: &[&str], code: i32) -> String {
    let output = probe(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{errors}");
    let lines: Vec<&str> = errors
        .lines()
        .filter(|line| line.contains("error:"))
        .collect();
    assert_eq!(lines.len(), 1, "{errors}");
    lines[0].to_owned()
}

fn broker() -> Option<Mosquitto> {
    let broker = Mosquitto::anonymous();
    if broker.is_none() {
        may_skip("mosquitto");
    }
    broker
}

fn number(row: &Row, column: &str) -> i64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column} of {row:?}"))
}

fn directory(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_message_has_its_stamps_at_every_qos() {
    let Some(broker) = broker() else { return };
    for mqtt in ["3.1.1", "5"] {
        let dir = tempfile::tempdir().unwrap();
        measure(&[
            &broker.url(),
            "--mqtt",
            mqtt,
            "--payload",
            "16,300",
            "--rate",
            "400",
            "--count",
            "60",
            "--warm-up",
            "5",
            "-o",
            directory(dir.path()),
        ]);
        let samples = table(&dir.path().join("samples.csv"));
        assert_eq!(samples.len(), 3 * 2 * 60);
        for row in &samples {
            assert_eq!(row["outcome"], "delivered", "{row:?}");
            assert_eq!(row["duplicates"], "0");
            let stamps = match row["qos"].as_str() {
                "0" => "planned_ns sent_ns written_ns",
                "1" => "planned_ns sent_ns written_ns puback_ns",
                _ => "planned_ns sent_ns written_ns pubrec_ns pubrel_ns pubcomp_ns",
            };
            let stamps: Vec<i64> = stamps
                .split(' ')
                .map(|column| number(row, column))
                .collect();
            assert!(stamps.is_sorted(), "{row:?}");
            assert_eq!(row["puback_ns"].is_empty(), row["qos"] != "1");
            assert_eq!(row["pubcomp_ns"].is_empty(), row["qos"] != "2");
            assert_eq!(row["subscriber_ack_ns"].is_empty(), row["qos"] == "0");
            assert_eq!(row["qos_received"], row["qos"]);
            if row["qos"] == "2" {
                let legs = ["received_ns", "subscriber_ack_ns", "subscriber_pubrel_ns"];
                let legs = legs.map(|column| number(row, column));
                assert!(
                    legs.is_sorted() && !row["subscriber_pubcomp_ns"].is_empty(),
                    "{row:?}"
                );
            }
            let received = number(row, "received_ns");
            assert!(received > number(row, "sent_ns"));
            assert_eq!(
                number(row, "response_ns"),
                received - number(row, "planned_ns")
            );
            assert_eq!(number(row, "service_ns"), received - number(row, "sent_ns"));
        }
        let sequences: Vec<i64> = samples[..60]
            .iter()
            .map(|row| number(row, "sequence"))
            .collect();
        assert_eq!(
            sequences,
            (0..60).collect::<Vec<_>>(),
            "warm-up is left out"
        );
        let cells = table(&dir.path().join("cells.csv"));
        assert_eq!(cells.len(), 6);
        for cell in &cells {
            assert_eq!(
                (number(cell, "planned"), number(cell, "delivered")),
                (60, 60)
            );
            assert_eq!((number(cell, "lost"), number(cell, "reordered")), (0, 0));
            assert_eq!(cell["loss_ci_high"], "0.05", "3 of 60");
        }
        // Those of a cell that is invalid are left out, so there may be none on a busy machine.
        let valid = |row: &&Row| row["qos"] == "2" && row["valid"] == "1";
        let counted = 60 * cells.iter().filter(valid).count();
        let histogram = dir.path().join("histograms/qos2_total.hgrm");
        let text = std::fs::read_to_string(histogram).unwrap_or_default();
        assert_eq!(
            text.contains(&format!("Total count    = {counted:12}")),
            counted > 0,
            "{text}"
        );
        let manifest = std::fs::read_to_string(dir.path().join("manifest.json")).unwrap();
        let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
        assert_eq!(manifest["cells_finished"], 6);
        assert_eq!(
            manifest["broker"]["qos2_forwarded_at"], "PUBREL",
            "as mosquitto does"
        );
        let checks = &manifest["checks"];
        assert_eq!(checks["granted_qos"], 2, "{checks}");
        assert_eq!(checks["qos2_forwarding"], "pubrel", "{checks}");
        let version = checks["version"].as_str().unwrap();
        assert!(version.starts_with("mosquitto"), "{version}");
    }
}

#[test]
fn every_receiver_gets_every_publishers_messages() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    measure(&[
        &broker.url(),
        "--publishers",
        "3",
        "--subscribers",
        "2",
        "--qos",
        "2",
        "--sub-qos",
        "0,1",
        "--payload",
        "1,2,17",
        "--rate",
        "100",
        "--count",
        "300",
        "--warm-up",
        "0",
        "-o",
        directory(dir.path()),
    ]);
    let samples = table(&dir.path().join("samples.csv"));
    assert_eq!(samples.len(), 2 * 3 * 3 * 2 * 300);
    assert!(samples.iter().all(|row| row["outcome"] == "delivered"));
    for cell in table(&dir.path().join("cells.csv")) {
        assert_eq!(
            (number(&cell, "reordered"), number(&cell, "duplicates")),
            (0, 0)
        );
        assert_eq!(number(&cell, "planned"), 1_800);
    }
}

#[test]
fn as_fast_as_the_window_allows() {
    let Some(broker) = broker() else { return };
    let output = measure(&[
        &broker.url(),
        "--rate",
        "max",
        "--count",
        "3000",
        "--payload",
        "128",
        "--json",
    ]);
    let result: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let cells = result["cells"].as_array().unwrap();
    assert_eq!(cells.len(), 3);
    for cell in cells {
        assert_eq!(cell["delivered"], 3_000, "{cell}");
        assert_eq!(cell["schedule"], "closed_loop");
        assert!(cell["rate_per_s"].as_f64().unwrap() > 0.0);
        assert!(cell["valid"].is_boolean() && cell["link"].is_null());
        assert!(cell["loop_lag_p99_ns"].is_u64(), "{cell}");
        // The broker is on the same machine, so they wait for each other's processors by design.
        let reason = cell["invalid_reason"].as_str().unwrap_or_default();
        assert!(
            !reason.contains("processor") && !reason.contains("late"),
            "{reason}"
        );
    }
}

/// Each broken threshold is told in words, what is not measured breaks it, and the code is 3.
#[test]
fn thresholds_are_held_and_told() {
    let run = |expressions: &[&str]| {
        let mut arguments = vec!["--embedded", "--qos", "1", "--count", "50", "--rate", "500"];
        arguments.extend(["--max-send-lag", "10s", "--max-lost-cpu", "100%"]);
        for expression in expressions {
            arguments.extend(["--fail-on", expression]);
        }
        probe(&arguments)
    };
    let output = run(&[
        "puback.median>1ns",
        "response_qos1.median<1ns",
        "response_qos2.p99>1h",
    ]);
    assert_eq!(output.status.code(), Some(2), "1h is no duration here");
    let output = run(&["puback.median>1ns", "service_qos2.median>1s"]);
    assert_eq!(output.status.code(), Some(3));
    let errors = String::from_utf8_lossy(&output.stderr);
    let broken: Vec<&str> = errors
        .lines()
        .filter_map(|line| line.strip_prefix("mqttscope: threshold broken: "))
        .collect();
    assert_eq!(broken.len(), 2, "{errors}");
    assert!(
        broken[0].starts_with("puback.median>1ns: with QoS 1 and 16 B, "),
        "{errors}"
    );
    assert_eq!(
        broken[1],
        "service_qos2.median>1s: no cell has service_qos2.median"
    );
}

/// Ctrl-C keeps every finished cell, and `--resume` measures what is missing.
#[test]
fn an_interrupted_run_goes_on() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
        .args([
            "probe",
            &broker.url(),
            "--count",
            "200",
            "--rate",
            "400",
            "--repeat",
            "3",
            "-o",
        ])
        .arg(dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("cell 2/9") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    let id = nix::unistd::Pid::from_raw(child.id().try_into().unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{rest}");
    assert!(rest.contains("--resume"), "{rest}");
    let before = table(&dir.path().join("cells.csv"));
    assert!((2..9).contains(&before.len()), "{}", before.len());
    assert_eq!(
        table(&dir.path().join("samples.csv")).len(),
        before.len() * 200
    );

    measure(&["--resume", directory(dir.path())]);
    let cells = table(&dir.path().join("cells.csv"));
    assert_eq!(cells.len(), 9);
    assert_eq!(
        cells[..before.len()],
        before[..],
        "finished cells are kept as they are"
    );
    let samples = table(&dir.path().join("samples.csv"));
    assert_eq!(samples.len(), 9 * 200);
    // With two valid blocks at least, QoS levels are compared within them.
    for effect in table(&dir.path().join("effects.csv")) {
        assert!(effect["condition_a"].contains("qos="), "{effect:?}");
        assert!((1..=3).contains(&number(&effect, "blocks")), "{effect:?}");
    }
    let mut order: Vec<i64> = cells.iter().map(|row| number(row, "cell")).collect();
    order.dedup();
    assert_eq!(order, (1..=9).collect::<Vec<_>>());
}

/// A run that was killed leaves no file that is not whole, and goes on all the same.
#[test]
fn a_killed_run_goes_on() {
    let Some(broker) = broker() else { return };
    let dir = tempfile::tempdir().unwrap();
    let run = [
        "probe",
        "--qos",
        "0",
        "--payload",
        "16",
        "--count",
        "200",
        "--rate",
        "400",
    ];
    let mut child = Command::new(env!("CARGO_BIN_EXE_mqttscope"))
        .args(run)
        .args([&broker.url(), "--repeat", "4", "-o"])
        .arg(dir.path())
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("cell 2/4") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it ended early");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!dir.path().join("samples.csv").exists());
    measure(&["--resume", directory(dir.path())]);
    assert_eq!(table(&dir.path().join("samples.csv")).len(), 4 * 200);
    assert_eq!(table(&dir.path().join("cells.csv")).len(), 4);
    assert!(!dir.path().join("samples.csv.partial").exists());
}

fn dialect(level: ProtocolLevel) -> Dialect {
    Dialect {
        level,
        tls: None,
        credentials: Credentials::default(),
        timeout: std::time::Duration::from_secs(5),
    }
}

fn direct(port: u16) -> Direct {
    Direct {
        host: "127.0.0.1".into(),
        port,
        timeout: std::time::Duration::from_secs(5),
    }
}

/// A broker that is gone for good: what was sent until then is kept, what was not is named.
#[test]
fn a_broker_that_goes_away_leaves_an_invalid_cell() {
    let Some(broker) = broker() else { return };
    let plan = CellPlan {
        qos: 1,
        subscriber_qos: 1,
        rate: Some(200.0),
        extent: Extent::Count(400),
        deadline_ns: 200_000_000,
        drain_ns: 400_000_000,
        ..CellPlan::default()
    };
    let connector = direct(broker.port);
    let mut broker = Some(broker);
    let mut watch = |progress: probe::CellProgress| {
        if progress.received > 20 {
            broker.take();
        }
        true
    };
    let result = probe::run_cell(&plan, &dialect(ProtocolLevel::V5), &connector, &mut watch);
    let result = result.unwrap();
    let count = |outcome| {
        result
            .samples()
            .filter(|sample| sample.outcome == outcome)
            .count()
    };
    assert!(count(Outcome::Delivered) > 20);
    assert!(count(Outcome::NotWritten) > 0);
    let tally = probe::tally::Tally::new(&result);
    let reason = tally.invalid_reason().unwrap();
    assert!(reason.contains("a connection was lost"), "{reason}");
}

#[test]
fn what_is_typed_wrong_is_told_with_what_is_right() {
    for (arguments, said) in [
        (&["http://x"][..], "http://"),
        (&["mqtt://me:secret@x"], "MQTTSCOPE_USERNAME"),
        (&["--payload", "1x"], "--payload"),
        (&["--rate", "0"], "--rate"),
        (&["--schedule", "burst"], "burst:N"),
        (&["--topic-prefix", "a/#"], "--topic-prefix"),
        (&["--ca", "x.pem"], "mqtts://"),
        (&["--deadline", "soon"], "--deadline"),
        (&["--outage", "10s"], "every 10s for 2s"),
        (&["--reset", "every 0s"], "--reset"),
        (&["--throttle", "fast"], "--throttle"),
        (&["--delay", "long"], "--delay"),
        (&["--count", "4000000000"], "memory"),
        (&["--rate", "max", "--duration", "1s"], "count"),
        (&["mqtt://192.0.2.1", "--rate", "20000"], "--yes"),
        (&["mqtt://192.0.2.1", "--publishers", "2000"], "--yes"),
        (&["mqtt://192.0.2.1", "--rate", "max"], "--yes"),
    ] {
        let error = failure(arguments, 2);
        assert!(error.contains(said), "{arguments:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

/// Found before anything is sent: nothing listens on this port.
#[test]
fn a_directory_that_cannot_be_used_is_told_first() {
    let url = format!("mqtt://127.0.0.1:{}", mosquitto::free_port());
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "x").unwrap();
    for (path, said) in [
        (file.clone(), "is a file"),
        (file.join("below"), "file"),
        (dir.path().to_owned(), "did not write"),
        ("/proc/nothing/here".into(), "cannot write"),
    ] {
        let error = failure(&[&url, "-o", directory(&path)], 1);
        assert!(error.contains(said), "{path:?}: {error}");
    }
    let error = failure(&["--resume", directory(dir.path())], 1);
    assert!(error.contains("no run that could go on"), "{error}");
    // /dev/full is the classic, but a directory is needed: more samples than any disk has.
    let dir = tempfile::tempdir().unwrap();
    let many = [
        "--count", "10000000", "--repeat", "100000", "--rate", "1000",
    ];
    let mut arguments = vec![url.as_str(), "-o", directory(dir.path())];
    arguments.extend(many);
    let error = failure(&arguments, 1);
    assert!(error.contains("free space"), "{error}");
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "nothing is left behind"
    );
}
