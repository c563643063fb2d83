//! `mqttscope capture`: real clients and a real broker, captured as it happens. Most of it needs
//! root (network namespaces), mosquitto, tcpdump and paho-mqtt, and is passed over without.
#![allow(
    clippy::print_stderr,
    reason = "what was skipped belongs on the terminal"
)]

#[path = "common/tool.rs"]
mod tool;

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;
use tool::{Row, decode_csv, json_lines, key_log_option, may_skip, mqttscope, recordings};

const PROGRAM: &str = env!("CARGO_BIN_EXE_mqttscope");

const TABLES: [&str; 8] = [
    "connections.csv",
    "sessions.csv",
    "messages.csv",
    "exchanges.csv",
    "deliveries.csv",
    "subscriptions.csv",
    "topics.csv",
    "findings.csv",
];

/// A scenario that was played while mqttscope captured it.
struct Scene {
    directory: TempDir,
}

impl Scene {
    /// `None`: something that it needs is missing.
    fn play(scenario: &str, tap: &str, options: &[&str]) -> Option<Self> {
        let Some(python) = std::env::var_os("MQTTSCOPE_PYTHON") else {
            may_skip("MQTTSCOPE_PYTHON (./x test sets it), with the package paho-mqtt");
            return None;
        };
        if !is_root() {
            may_skip("root, for network namespaces");
            return None;
        }
        let directory = tempfile::tempdir().unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/live_scene.py");
        let output = Command::new(python)
            .arg(script)
            .args(["--program", PROGRAM, "--scenario", scenario, "--tap", tap])
            .arg("--into")
            .arg(directory.path())
            .arg("--")
            .args(options)
            .env_remove("SSLKEYLOGFILE")
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{scenario} at {tap}: {errors}");
        Some(Self { directory })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// `--keylog FILE`, where the clients wrote one.
    fn keys(&self) -> Vec<String> {
        let path = self.path("key.log");
        if !path.exists() {
            return Vec::new();
        }
        vec!["--keylog".to_owned(), path.to_str().unwrap().to_owned()]
    }

    /// The lines of figures, and the summary.
    fn lines(&self) -> (Vec<Value>, Value) {
        let text = self.read("lines.txt");
        let json: Vec<&str> = text.lines().filter(|line| line.starts_with('{')).collect();
        let mut values = json_lines(&json.join("\n"));
        let summary = values.pop().unwrap();
        assert_eq!(summary["type"], "summary");
        assert!(values.iter().all(|line| line["type"] == "interval"));
        (values, summary)
    }

    /// The file that was written, analysed like any other.
    fn analyze(&self) {
        let arguments = ["analyze".to_owned(), "-o".to_owned()];
        let paths = [self.path("file"), self.path("own.pcapng")];
        let paths = paths.map(|path| path.to_str().unwrap().to_owned());
        mqttscope(arguments.into_iter().chain(paths).chain(self.keys()));
    }

    /// Live and from the file, everything is the same: tables byte for byte, and of the summary
    /// all but how long it took and in what form the frames came.
    fn live_is_as_the_file(&self) {
        self.analyze();
        for table in TABLES {
            let (live, file) = (format!("live/{table}"), format!("file/{table}"));
            assert_eq!(self.read(&live), self.read(&file), "{table}");
        }
        let summary = |place: &str| -> Value {
            let text = self.read(&format!("{place}/summary.json"));
            let mut summary: Value = serde_json::from_str(&text).unwrap();
            summary["throughput"] = Value::Null;
            let capture = &mut summary["captures"][0];
            (capture["format"], capture["bytes"]) = (Value::Null, Value::Null);
            summary
        };
        assert_eq!(summary("live"), summary("file"));
        let names = |place: &str| {
            let entries = fs::read_dir(self.path(place)).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        for place in ["", "/histograms", "/plots"] {
            assert_eq!(
                names(&format!("live{place}")),
                names(&format!("file{place}"))
            );
        }
    }

    /// tcpdump saw the same packets.
    fn agrees_with_tcpdump(&self) {
        let keys = self.keys();
        let ours = essence(&decode_csv(&self.path("own.pcapng"), &keys));
        let theirs = essence(&decode_csv(&self.path("tcpdump.pcap"), &keys));
        assert!(ours.len() >= 20, "{} packets", ours.len());
        assert_eq!(ours, theirs);
    }

    /// What the intervals count adds up to what the summary has.
    fn intervals_add_up(&self) {
        let (intervals, summary) = self.lines();
        let sum = |of: &dyn Fn(&Value) -> u64| intervals.iter().map(of).sum::<u64>();
        assert_eq!(sum(&|i| i["frames"].as_u64().unwrap()), summary["frames"]);
        let packets = sum(&|i| i["packets"].as_u64().unwrap());
        assert_eq!(packets, summary["mqtt"]["packets"]);
        for (qos, name) in ["qos0", "qos1", "qos2"].into_iter().enumerate() {
            for way in ["to_broker", "to_client"] {
                let count = sum(&|i| i["publishes"][way][qos].as_u64().unwrap());
                assert_eq!(count, summary["publishes"][way][name], "{way} {name}");
            }
            let name = format!("delivery_{name}");
            let count = sum(&|i| i["delays"][&name]["count"].as_u64().unwrap_or(0));
            let all = summary["delays"][&name]["count"].as_u64().unwrap_or(0);
            assert_eq!(count, all, "{name}");
        }
        assert_eq!(summary["capture_drops"], 0);
        for pair in intervals.windows(2) {
            assert!(pair[0]["end_ns"].as_i64() <= pair[1]["start_ns"].as_i64());
        }
    }
}

/// Rows of decode without what depends on where in the file they stand.
fn essence(rows: &[Row]) -> Vec<Row> {
    let mut rows = rows.to_vec();
    for row in &mut rows {
        for name in ["frame", "time_ns", "connection"] {
            row.remove(name);
        }
    }
    // What two connections say at the same time may be in either order.
    rows.sort_by_key(|row| (row["src_port"].clone(), row["dst_port"].clone()));
    rows
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

#[test]
fn live_is_what_the_file_says_and_tcpdump_saw() {
    for scenario in [
        "many-clients.pcap",
        "resumed-session.pcap",
        "websocket.pcap",
    ] {
        let Some(scene) = Scene::play(scenario, "broker", &[]) else {
            return;
        };
        scene.live_is_as_the_file();
        scene.agrees_with_tcpdump();
    }
}

/// The clients write their secrets while they connect; nobody has them before.
#[test]
fn keys_are_followed_as_they_are_written() {
    for (scenario, version) in [
        ("tls13.pcap", "TLS 1.3"),
        ("tls12-gcm.pcap", "TLS 1.2"),
        ("wss.pcap", "TLS 1.3"),
    ] {
        let options = ["-p", "9443/wss,8883/tls,1883"];
        let Some(scene) = Scene::play(scenario, "broker", &options) else {
            return;
        };
        scene.agrees_with_tcpdump();
        scene.intervals_add_up();
        let rows = tool::table(&scene.path("live/connections.csv"));
        assert!(rows.len() >= 2, "{scenario}");
        for row in rows {
            assert_eq!(row["tls_version"], version, "{scenario}");
            assert_eq!(row["unread"], "", "{scenario}");
            assert_ne!(row["packets_to_broker"], "0", "{scenario}");
        }
        // The order of what several connections said at once may depend on when the keys came.
        scene.analyze();
        let sorted = |place: &str| {
            let mut rows = tool::table(&scene.path(&format!("{place}/messages.csv")));
            rows.iter_mut().for_each(|row| drop(row.remove("message")));
            rows.sort();
            rows
        };
        assert_eq!(sorted("live"), sorted("file"), "{scenario}");
    }
}

/// Each packet is once in the loopback interface's capture, and all interfaces together see it.
#[test]
fn loopback_and_any_are_interfaces_too() {
    for (scenario, tap) in [("", "loopback"), ("v31-ipv4.pcap", "any")] {
        let Some(scene) = Scene::play(scenario, tap, &[]) else {
            return;
        };
        scene.live_is_as_the_file();
        scene.agrees_with_tcpdump();
        scene.intervals_add_up();
    }
}

#[test]
fn a_pipe_from_tcpdump_is_as_good_as_an_interface() {
    let Some(scene) = Scene::play("many-clients.pcap", "pipe", &["--interval", "200ms"]) else {
        return;
    };
    scene.live_is_as_the_file();
    scene.agrees_with_tcpdump();
    let (intervals, _) = scene.lines();
    assert!(!intervals.is_empty());
}

/// With ports alone, the system is asked for these only.
#[test]
fn the_filter_of_the_system_keeps_to_ports_and_to_the_users_own() {
    let options = ["--no-detect", "-p", "1883", "-f", "host 10.9.0.2"];
    let Some(scene) = Scene::play("v31-ipv4.pcap", "broker", &options) else {
        return;
    };
    scene.agrees_with_tcpdump();
    let bytes = fs::read(scene.path("own.pcapng")).unwrap();
    let filter = b"(host 10.9.0.2) and (tcp port 1883 or ";
    assert!(bytes.windows(filter.len()).any(|window| window == filter));
}

fn capture(arguments: &[&str]) -> Output {
    Command::new(PROGRAM)
        .arg("capture")
        .args(arguments)
        .env_remove("SSLKEYLOGFILE")
        .output()
        .unwrap()
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_cannot_be_captured_is_said_in_one_line() {
    let output = capture(&["-i", "no-such-interface"]);
    assert_eq!(output.status.code(), Some(1));
    let text = errors(&output);
    assert!(
        text.contains("there is no interface no-such-interface; there are: "),
        "{text}"
    );
    assert!(text.contains("lo"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
    // Nothing to capture from, and what cannot be understood.
    for arguments in [
        &[][..],
        &["-i", "lo", "-r", "-"],
        &["-r", "x.pcap", "--interval", "0s"],
        &["-r", "x.pcap", "--buffer", "3T"],
        &["-r", "x.pcap", "-w", "-"],
    ] {
        assert_eq!(capture(arguments).status.code(), Some(2), "{arguments:?}");
    }
    let output = capture(&["-r", "no/such/file"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("no/such/file"));
}

/// Who may not capture is told what to do, with the program's own path.
#[test]
fn without_the_right_to_capture_the_error_says_how_to_get_it() {
    if !is_root() {
        return may_skip("root, to become nobody");
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let program = scratch.path().join("mqtt scope");
    fs::copy(PROGRAM, &program).unwrap();
    let output = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["capture", "-i", "lo"])
        .output();
    let Ok(output) = output else {
        return may_skip("setpriv");
    };
    assert_eq!(output.status.code(), Some(1));
    let text = errors(&output);
    let path = program.canonicalize().unwrap();
    let line = format!(
        "sudo setcap cap_net_raw,cap_net_admin=ep '{}'",
        path.display()
    );
    assert!(text.contains(&line), "{text}");
    assert!(text.contains("run it with sudo"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// A running `capture -r -` that is fed by hand.
struct Fed {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Fed {
    fn start(arguments: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["capture", "-r", "-", "--format", "jsonl"])
            .args(arguments)
            .env_remove("SSLKEYLOGFILE")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Self { child, lines }
    }

    fn feed(&mut self, bytes: &[u8]) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(bytes).unwrap();
        stdin.flush().unwrap();
    }

    fn line(&mut self) -> Value {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.child.id().to_string()])
            .status();
        assert!(status.unwrap().success());
    }

    /// What comes until the end, and the exit code.
    fn rest(mut self) -> (Vec<Value>, Option<i32>, String) {
        let (mut text, mut errors) = (String::new(), String::new());
        self.lines.read_to_string(&mut text).unwrap();
        let status = self.child.wait().unwrap();
        let mut stderr = self.child.stderr.take().unwrap();
        stderr.read_to_string(&mut errors).unwrap();
        (json_lines(&text), status.code(), errors)
    }
}

/// Lines come while the pipe stays open, time goes on although nothing comes, and Ctrl-C ends it
/// with everything, though the reading thread waits for more.
#[test]
fn a_pipe_that_falls_silent_is_ended_by_a_signal() {
    let path = recordings().join("resumed-session.pcap");
    let bytes = fs::read(&path).unwrap();
    for signal in ["INT", "TERM"] {
        let scratch = tempfile::tempdir().unwrap();
        let directory = scratch.path().join("out");
        let arguments = ["-o", directory.to_str().unwrap(), "--interval", "500ms"];
        let mut fed = Fed::start(&arguments);
        fed.feed(&bytes);
        // More lines than the recording is long: 2.14 s.
        let lines: Vec<Value> = (0..8).map(|_| fed.line()).collect();
        assert!(lines.iter().all(|line| line["type"] == "interval"));
        let starts = lines.windows(2);
        assert!(
            starts
                .into_iter()
                .all(|pair| pair[0]["end_ns"].as_i64() <= pair[1]["start_ns"].as_i64())
        );
        assert_eq!(lines.last().unwrap()["frames"], 0);
        fed.signal(signal);
        let (rest, code, errors) = fed.rest();
        assert_eq!(code, Some(0), "{errors}");
        let summary = rest.last().unwrap();
        assert_eq!(
            (&summary["type"], &summary["mqtt"]["packets"]),
            (&"summary".into(), &37.into())
        );
        for table in TABLES.into_iter().chain(["summary.json", "report.html"]) {
            assert!(directory.join(table).is_file(), "{table}");
        }
    }
}

/// A recorded file gives the same lines every time: time is the capture's.
#[test]
fn intervals_of_a_file_are_in_its_own_time() {
    let path = recordings().join("resumed-session.pcap");
    let path = path.to_str().unwrap();
    let arguments = ["-r", path, "--format", "jsonl", "--interval", "1s"];
    let [one, other] = [capture(&arguments), capture(&arguments)].map(|output| {
        assert_eq!(output.status.code(), Some(0));
        let mut lines = json_lines(&String::from_utf8(output.stdout).unwrap());
        let mut summary = lines.pop().unwrap();
        summary["throughput"] = Value::Null;
        (lines, summary)
    });
    assert_eq!(one, other);
    let (lines, summary) = one;
    assert!((2..=3).contains(&lines.len()), "{lines:?}");
    let frames: u64 = lines
        .iter()
        .map(|line| line["frames"].as_u64().unwrap())
        .sum();
    assert_eq!(frames, summary["frames"]);
    assert_eq!(frames, 86);
}

/// `capture -r FILE` has the tables of `analyze FILE`, with keys in the file or beside it.
#[test]
fn a_file_read_along_has_the_tables_of_analyze() {
    for name in [
        "many-clients.pcap",
        "two-taps.pcapng",
        "websocket.pcap",
        "midstream.pcap",
    ] {
        let path = recordings().join(name);
        let scratch = tempfile::tempdir().unwrap();
        let [live, file] = ["live", "file"].map(|name| scratch.path().join(name));
        let keys = key_log_option(&path);
        let run = |command: &str, option: Option<&str>, out: &Path| {
            let mut all = vec![command.to_owned(), "--only".to_owned(), "tables".to_owned()];
            all.extend(["-o".to_owned(), out.to_str().unwrap().to_owned()]);
            all.extend(option.map(str::to_owned));
            all.push(path.to_str().unwrap().to_owned());
            all.extend(keys.clone());
            mqttscope(all);
        };
        run("capture", Some("-r"), &live);
        run("analyze", None, &file);
        for table in TABLES {
            let read = |place: &Path| fs::read_to_string(place.join(table)).unwrap();
            assert_eq!(read(&live), read(&file), "{name}: {table}");
        }
    }
}

/// Killed without a chance to end, it leaves a file that reads up to the last second.
#[test]
fn the_file_of_a_killed_capture_can_be_read() {
    let path = recordings().join("many-clients.pcap");
    let bytes = fs::read(&path).unwrap();
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("own.pcapng");
    let mut fed = Fed::start(&["-w", out.to_str().unwrap(), "--interval", "100ms"]);
    fed.feed(&bytes);
    // Until what was taken must have been written: lines come by themselves, ten a second.
    let expected = decode_csv(&path, &["--no-detect"]);
    let mut found = Vec::new();
    for _ in 0..200 {
        fed.line();
        let written = Command::new(PROGRAM)
            .args(["decode", "--format", "csv", "--raw-csv", "--no-detect"])
            .arg(&out)
            .output()
            .unwrap();
        let mut reader = csv::Reader::from_reader(written.stdout.as_slice());
        found = reader
            .deserialize()
            .map(Result::unwrap)
            .collect::<Vec<Row>>();
        if found.len() == expected.len() {
            break;
        }
    }
    fed.signal("KILL");
    let (_, code, _) = fed.rest();
    assert_eq!(code, None);
    assert_eq!(found, expected);
    // No half block at its end either.
    mqttscope(["decode", "--strict", out.to_str().unwrap()]);
}

#[test]
fn thresholds_hold_for_a_live_capture_too() {
    let path = recordings().join("resumed-session.pcap");
    let path = path.to_str().unwrap();
    let output = capture(&["-r", path, "--fail-on", "puback.max>1ns"]);
    assert_eq!(output.status.code(), Some(3), "{}", errors(&output));
    let output = capture(&["-r", path, "--fail-on", "puback.max>60s"]);
    assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
}

/// What root opened for somebody is theirs, and they go on without root's rights.
#[test]
fn results_belong_to_who_called_sudo() {
    if !is_root() {
        return may_skip("root, to stop being it");
    }
    let scratch = tempfile::tempdir().unwrap();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let path = scratch.path().join("in.pcap");
    fs::copy(recordings().join("resumed-session.pcap"), &path).unwrap();
    let (out, file) = (
        scratch.path().join("out"),
        scratch.path().join("own.pcapng"),
    );
    let nobody = nobody();
    let mut owners = BTreeMap::new();
    for by_sudo in [true, false] {
        let mut command = Command::new(PROGRAM);
        command.args(["capture", "-r"]).arg(&path);
        command.arg("-o").arg(&out).arg("-w").arg(&file);
        if by_sudo {
            command.envs([
                ("SUDO_UID", nobody.to_string()),
                ("SUDO_GID", nobody.to_string()),
            ]);
        } else {
            command.args(["--user", "nobody"]);
        }
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        for made in [
            &out,
            &file,
            &out.join("summary.json"),
            &out.join("messages.csv"),
        ] {
            owners.insert(made.clone(), fs::metadata(made).unwrap().uid());
        }
        fs::remove_dir_all(&out).unwrap();
        fs::remove_file(&file).unwrap();
        assert!(owners.values().all(|&owner| owner == nobody), "{owners:?}");
    }
    let output = capture(&["-r", path.to_str().unwrap(), "--user", "no-such-user"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(errors(&output).contains("there is no such user"));
}

fn nobody() -> u32 {
    let accounts = fs::read_to_string("/etc/passwd").unwrap();
    let line = accounts
        .lines()
        .find(|line| line.starts_with("nobody:"))
        .unwrap();
    line.split(':').nth(2).unwrap().parse().unwrap()
}
