//! `mqttscope study` from outside: short plans in the lab, killed, interrupted, analysed again.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use super::mosquitto::Mosquitto;
use super::tool::{self, Row};
use super::{have_mosquitto, testbed};

/// Two QoS levels and payloads, 3 blocks, an outage. The links are slow enough for a round trip to
/// tell.
const PLAN: &str = r#"
blocks = 3
snap_length = 160
[trust]
calibrate = false
send_lag_ms = 60000
lost_cpu_percent = 100
packets_ms = 60000
[links.far.both_ways]
delay_ms = 20
[main]
qos = [0, 2]
links = ["far"]
payload_bytes = [16, 4096]
rate_per_s = 80
count = 24
warm_up = 2
[outage]
qos = [0, 1]
at_s = 0.1
for_s = [0.6]
user_timeout_s = 0.3
rate_per_s = 100
count = 30
drain_s = 20
blocks = 1
"#;
const CELLS: usize = 3 * 4 + 2;

/// The user without rights, on every Linux.
const NOBODY: u32 = 65_534;

/// A program that is tested, in a directory of its own.
fn study(directory: &Path, plan: &str, arguments: &[&str]) -> Command {
    let file = directory.join("plan.toml");
    std::fs::write(&file, plan).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.current_dir(directory).arg("study").args(arguments);
    command
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Runs to its end. On a busy machine a cell may well declare itself invalid (code 3).
fn succeeds(mut command: Command) -> Output {
    let output = command.output().unwrap();
    let done = matches!(output.status.code(), Some(0 | 3));
    assert!(done, "{command:?}: {}", stderr(&output));
    output
}

/// Whether a lab can be made; says why not.
fn have_lab() -> bool {
    testbed(None).is_some()
}

fn cells(directory: &Path) -> Vec<Row> {
    tool::table(&directory.join("cells.csv"))
}

fn number(row: &Row, column: &str) -> i64 {
    row[column]
        .parse()
        .unwrap_or_else(|_| panic!("{column}: {row:?}"))
}

#[test]
fn a_study_is_measured_and_comes_out_again_from_its_captures() {
    if !have_lab() || !have_mosquitto() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let arguments = ["plan.toml", "-o", "out", "--captures", "kept", "--compress"];
    let output = succeeds(study(home.path(), PLAN, &arguments));
    assert!(String::from_utf8_lossy(&output.stdout).contains("outage, wired"));
    let rows = cells(&home.path().join("out"));
    assert_eq!(rows.len(), CELLS);
    for row in &rows {
        // What was received is in the cut captures, whole, and the packets are no earlier than
        // the links allow.
        let received = number(row, "delivered") + number(row, "late");
        assert_eq!(number(row, "wire_messages"), received, "{row:?}");
        if row["part"] == "main" {
            assert_eq!(number(row, "lost"), 0);
            assert!(number(row, "subscriber_link_ns") >= 250_000, "{row:?}");
            // One way, and at QoS 2 a round trip more: mosquitto waits for PUBREL.
            let ways = if row["qos"] == "2" { 3 } else { 1 };
            assert!(
                number(row, "publisher_link_ns") >= ways * 20_000_000,
                "{row:?}"
            );
        } else {
            assert_eq!(row["fault"], "outage of 0.6 s");
        }
    }
    let outage = |qos: &str| {
        let row = rows
            .iter()
            .find(|row| row["part"] == "outage" && row["qos"] == qos);
        row.unwrap_or_else(|| panic!("no outage at QoS {qos}"))
    };
    // What the kernel held when TCP gave up is gone at QoS 0, and sent again at QoS 1.
    assert!(number(outage("0"), "lost") > 0);
    assert_eq!(number(outage("1"), "lost"), 0);
    let manifest = std::fs::read_to_string(home.path().join("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["broker"]["qos2_forwarded_at"], "PUBREL");
    assert_eq!(manifest["schema"], "mqttscope.study/1");

    succeeds(study(
        home.path(),
        PLAN,
        &["--from", "kept", "-o", "again", "--compress"],
    ));
    for name in [
        "cells.csv",
        "effects.csv",
        "correlations.csv",
        "samples.csv.zst",
    ] {
        let read = |of: &str| std::fs::read(home.path().join(of).join(name)).unwrap();
        assert!(read("out") == read("again"), "{name} is another one");
    }
}

/// Reads what a run writes to its standard error, to the line of this cell.
fn until_cell(run: &mut Child, cell: usize) {
    let lines = BufReader::new(run.stderr.take().unwrap()).lines();
    let wanted = format!("cell {cell}/");
    let mut seen = Vec::new();
    for line in lines.map_while(Result::ok) {
        if line.starts_with(&wanted) {
            return;
        }
        seen.push(line);
    }
    panic!("no {wanted} in {seen:#?}");
}

#[test]
fn a_killed_study_goes_on_where_it_was() {
    if !have_lab() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let out = home.path().join("out");
    let plan = format!("{PLAN}\n[broker]\nkind = \"embedded\"\nforward_qos2_at = \"publish\"\n");
    let mut run = study(home.path(), &plan, &["plan.toml", "-o", "out"]);
    let mut run = run
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until_cell(&mut run, 2);
    run.kill().unwrap();
    run.wait().unwrap();
    let before = tool::table(&out.join("cells.csv.partial"));
    assert!(before.len() >= 2);
    assert!(!out.join("cells.csv").exists());

    // Ctrl-C keeps what is finished, and the second run goes on.
    let mut second = study(home.path(), &plan, &["--resume", "out"]);
    let mut second = second
        .stderr(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    until_cell(&mut second, before.len() + 1);
    let id = nix::unistd::Pid::from_raw(second.id() as i32);
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    assert_eq!(second.wait().unwrap().code(), Some(1));
    let kept = cells(&out);
    assert_eq!(kept[..before.len()], before);

    let third = succeeds(study(home.path(), &plan, &["--resume", "out"]));
    assert!(stderr(&third).contains(&format!("cell {CELLS}/{CELLS}")));
    let rows = cells(&out);
    assert_eq!(rows[..kept.len()], kept);
    let numbers: BTreeSet<i64> = rows.iter().map(|row| number(row, "cell")).collect();
    assert_eq!(numbers.len(), CELLS);
    assert_eq!(
        std::fs::read_dir(out.join("captures")).unwrap().count(),
        CELLS
    );
    // This broker passes QoS 2 messages on before PUBREL: no round trip more.
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    assert!(
        manifest.contains("\"qos2_forwarded_at\": \"PUBLISH\""),
        "{manifest}"
    );
    let samples = tool::table(&out.join("samples.csv"));
    let planned: i64 = rows.iter().map(|row| number(row, "planned")).sum();
    assert_eq!(samples.len() as i64, planned);
}

#[test]
fn a_proxy_needs_no_rights_and_loses_no_packets() {
    let home = tempfile::tempdir().unwrap();
    let plan = PLAN.replace("for_s = [0.6]", "for_s = [0.2]") + "[packet_loss]\n[combench]\n";
    let arguments = ["plan.toml", "-o", "out", "--lab", "proxy"];
    let output = succeeds(study(home.path(), &plan, &arguments));
    let notes = stderr(&output);
    assert!(
        notes.contains("a proxy cannot lose packets: [packet_loss] is left out"),
        "{notes}"
    );
    let rows = cells(&home.path().join("out"));
    assert_eq!(rows.len(), CELLS);
    for row in &rows {
        assert_eq!(
            (&*row["wire_messages"], &*row["segment_loss_ratio"]),
            ("", "")
        );
    }
    assert!(!home.path().join("out/captures").exists());
}

/// Wi-Fi and other people's brokers: main's cells, through the broker as it is.
#[test]
fn a_broker_that_is_there_is_measured_over_its_own_network() {
    let Some(broker) = Mosquitto::anonymous() else {
        tool::may_skip("mosquitto");
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let plan = PLAN.to_owned() + "[packet_loss]\n[combench]\n";
    let url = broker.url();
    let arguments = ["plan.toml", "-o", "out", "--broker", &url, "--link", "wifi"];
    let notes = stderr(&succeeds(study(home.path(), &plan, &arguments)));
    for part in ["packet_loss", "outage", "combench"] {
        let note = format!("a real network does what it does: [{part}] is left out");
        assert!(notes.contains(&note), "{notes}");
    }
    let rows = cells(&home.path().join("out"));
    assert_eq!(rows.len(), 3 * 4);
    for row in &rows {
        assert_eq!((&*row["part"], &*row["link"]), ("main", "wifi"));
        assert_eq!(
            number(row, "delivered") + number(row, "late"),
            24,
            "{row:?}"
        );
        assert_eq!(row["wire_messages"], "");
    }
    assert!(!home.path().join("out/captures").exists());
    let manifest = std::fs::read_to_string(home.path().join("out/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(manifest["broker"]["name"], "mosquitto");
    assert_eq!(manifest["broker"]["url"], url);
    assert_eq!(manifest["broker"]["qos2_forwarded_at"], "PUBREL");

    // Nothing is spoken in plain text that TLS was asked for, and nothing begun that cannot work.
    let over_tls = url.replace("mqtt://", "mqtts://");
    for (arguments, message) in [
        (&["--broker", &over_tls][..], "TLS"),
        (&["--broker", "mqtt://127.0.0.1:1"], "refused"),
        (&["--broker", &url, "--credentials", "none"], "none"),
        (&["--ca", "ca.pem"], "are for the broker of --broker"),
    ] {
        let mut command = study(home.path(), &plan, &["plan.toml", "-o", "not"]);
        let output = command.args(arguments).output().unwrap();
        assert!(!output.status.success());
        let text = stderr(&output);
        assert!(text.contains(message), "{arguments:?}: {text}");
        assert!(!home.path().join("not").exists(), "{arguments:?}");
    }
}

#[test]
fn what_was_measured_outlives_results_that_cannot_be_written() {
    let home = tempfile::tempdir().unwrap();
    let plan = "[main]\nqos = [0]\nlinks = [\"wired\"]\npayload_bytes = [16]\ncount = 20\n\
                rate_per_s = 500\n";
    // The figures have no place: where their directory should be is a file.
    let in_the_way = home.path().join("out/plots");
    std::fs::create_dir(home.path().join("out")).unwrap();
    std::fs::write(&in_the_way, "").unwrap();
    let arguments = ["plan.toml", "-o", "out", "--lab", "proxy", "--force"];
    let output = study(home.path(), plan, &arguments).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("--resume out") && text.contains("plots"),
        "{text}"
    );
    std::fs::remove_file(&in_the_way).unwrap();
    let again = succeeds(study(home.path(), "", &["--resume", "out"]));
    assert!(
        !stderr(&again).contains("cell 1/"),
        "nothing is measured twice"
    );
    assert_eq!(cells(&home.path().join("out")).len(), 3);
}

#[test]
fn an_ordinary_user_has_a_lab_in_a_user_namespace() {
    if !nix::unistd::geteuid().is_root() {
        tool::may_skip("root, to be somebody else");
        return;
    }
    let home = tempfile::tempdir().unwrap();
    std::os::unix::fs::chown(home.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    // Where the user finds it, wherever the tests are built.
    let program = home.path().join("mqttscope");
    std::fs::copy(env!("CARGO_BIN_EXE_mqttscope"), &program).unwrap();
    let plan = "[trust]\ncalibrate = false\n[broker]\nkind = \"embedded\"\n[main]\nqos = [1]\n\
                payload_bytes = [16]\nlinks = [\"wired\"]\ncount = 20\nrate_per_s = 500\n";
    std::fs::write(home.path().join("plan.toml"), plan).unwrap();
    for kind in ["tun", "veth"] {
        let as_nobody = |arguments: &[&str]| {
            let mut command = Command::new(&program);
            command
                .current_dir(home.path())
                .arg("study")
                .args(arguments);
            command.uid(NOBODY).gid(NOBODY).output().unwrap()
        };
        let output = as_nobody(&["plan.toml", "-o", kind, "--lab", kind]);
        let notes = stderr(&output);
        // A cell may be invalid on a busy machine; what matters is that it was measured.
        match output.status.code() {
            Some(0 | 3) if notes.contains("cell 1/") => {
                let manifest = home.path().join(kind).join("manifest.json");
                let manifest = std::fs::read_to_string(manifest).unwrap();
                assert!(
                    manifest.contains("\"rights\": \"user_namespace\""),
                    "{manifest}"
                );
                // To analyse it again takes no rights at all.
                let again = as_nobody(&["--from", kind, "-o", "again", "--force"]);
                assert!(again.status.success(), "{}", stderr(&again));
            }
            Some(1) if kind == "tun" && notes.contains("a TUN device") => {}
            Some(1) if notes.contains("needs network namespaces") => {
                // A container or a setting forbids it; the message says what else there is.
                assert!(notes.contains("--lab proxy"), "{notes}");
            }
            _ => panic!("{:?}: {notes}", output.status),
        }
    }
}

/// Columns of cells.csv that come from packets.
const FROM_PACKETS: [&str; 8] = [
    "segment_loss_ratio",
    "wire_delay_median_ns",
    "wire_difference_ns",
    "publisher_link_ns",
    "broker_ns",
    "subscriber_link_ns",
    "tcp_recovery_ns",
    "wire_messages",
];

/// Equal, numbers to six significant digits.
fn same(a: &str, b: &str) -> bool {
    match (a.parse::<f64>(), b.parse::<f64>()) {
        (Ok(a), Ok(b)) => (a - b).abs() <= 1e-6 * a.abs().max(b.abs()),
        _ => a == b,
    }
}

#[test]
fn the_captures_of_the_quick_study_give_its_report() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let home = tempfile::tempdir().unwrap();
    let kept = home.path().join("kept");
    std::fs::create_dir(&kept).unwrap();
    let mut bytes = 0;
    for entry in std::fs::read_dir(root.join("captures/quick")).unwrap() {
        let path = entry.unwrap().path();
        bytes += std::fs::copy(&path, kept.join(path.file_name().unwrap())).unwrap();
    }
    assert!(bytes <= 5_000_000, "captures/quick has {bytes} bytes");
    // What has to come from the packets is not there to be copied.
    let text = std::fs::read(kept.join("cells.csv")).unwrap();
    let mut reader = csv::Reader::from_reader(text.as_slice());
    let header = reader.headers().unwrap().clone();
    let mut writer = csv::Writer::from_path(kept.join("cells.csv")).unwrap();
    writer.write_record(&header).unwrap();
    for record in reader.records() {
        let record = record.unwrap();
        let blank = header.iter().zip(&record).map(|(name, cell)| {
            if FROM_PACKETS.contains(&name) {
                ""
            } else {
                cell
            }
        });
        writer.write_record(blank).unwrap();
    }
    writer.flush().unwrap();
    succeeds(study(home.path(), "", &["--from", "kept", "-o", "again"]));
    for name in ["cells.csv", "correlations.csv", "effects.csv"] {
        let (report, again) = (
            tool::table(&root.join("reports/quick").join(name)),
            tool::table(&home.path().join("again").join(name)),
        );
        assert_eq!(report.len(), again.len(), "{name}");
        assert!(!report.is_empty(), "{name}");
        for (report, again) in report.iter().zip(&again) {
            for (column, cell) in report {
                assert!(
                    same(cell, &again[column]),
                    "{name} {column}: {report:?} {again:?}"
                );
            }
        }
    }
}

#[test]
fn what_cannot_be_measured_is_said_at_once() {
    let home = tempfile::tempdir().unwrap();
    for (plan, code, message) in [
        (
            "[main]\npayload = [1]\n",
            2,
            "line 2: unknown field `payload`",
        ),
        (
            "[packet_loss]\npercent = [140]\n",
            2,
            "packet_loss.percent: 140 is no share of packets",
        ),
        ("blocks = 900\n[main]\n", 2, "longest_min is 60"),
        ("", 2, "has none of [main]"),
    ] {
        let output = study(home.path(), plan, &["plan.toml", "-o", "out"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        let text = stderr(&output);
        assert!(
            text.contains(message) && text.lines().count() == 1,
            "{text}"
        );
        assert!(!home.path().join("out").exists());
    }
    for (arguments, message) in [
        (
            &["missing.toml", "-o", "out"][..],
            "cannot read the plan missing.toml",
        ),
        (
            &["--from", "nowhere", "-o", "out"],
            "there is no manifest.json",
        ),
        (&["--resume", "nowhere"], "holds no run that could go on"),
        (&["plan.toml", "-o", "plan.toml"], "plan.toml is a file"),
    ] {
        let output = study(home.path(), "[main]\n", arguments).output().unwrap();
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(message), "{text}");
    }
}

#[test]
fn a_broker_that_does_not_start_shows_its_log() {
    if !have_lab() {
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let command = "sh -c 'echo no licence for $MQTTSCOPE_BROKER_PORT; exit 3'";
    let arguments = ["plan.toml", "-o", "out", "--broker-command", command];
    let output = study(home.path(), PLAN, &arguments).output().unwrap();
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("no licence for 1883"), "{text}");
}
