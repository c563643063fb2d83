//! What a user of the command line sees: sentences, exit codes, and text that stays text.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::recording::{From, Recording, connect, publish, subscribe};
use crate::tool::recordings;
use tempfile::TempDir;

fn mqttscope() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.env_remove("NO_COLOR").stdin(Stdio::null());
    command
}

fn run<S: AsRef<std::ffi::OsStr>>(arguments: &[S]) -> Output {
    mqttscope().args(arguments).output().expect("it starts")
}

fn own_capture(name: &str) -> PathBuf {
    recordings().join(name)
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("no signal")
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("text")
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("text")
}

/// It fails with one line that has all of these words in it, and prints nothing else.
fn fails<S: AsRef<std::ffi::OsStr>>(arguments: &[S], exit: i32, words: &[&str]) {
    let output = run(arguments);
    let said = stderr(&output);
    assert_eq!(code(&output), exit, "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("mqttscope: error: "), "{said}");
    for word in words {
        assert!(said.contains(word), "{word:?} is not in: {said}");
    }
    assert!(output.stdout.is_empty());
}

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().expect("a temporary directory"))
    }

    fn path(&self, name: &str) -> String {
        let path = self.0.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn file(&self, name: &str, bytes: &[u8]) -> String {
        let path = self.path(name);
        fs::write(&path, bytes).expect("written");
        path
    }
}

/// One client that connects, publishes and leaves.
fn conversation(port: u16) -> Vec<u8> {
    Recording::new(port)
        .open()
        .send(
            From::Client,
            &connect(b"sensor", b"user", b"secret", b"will"),
        )
        .send(From::Broker, &[0x20, 2, 0, 0])
        .send(From::Client, &publish(b"house/room", Some(1), b"21.5"))
        .send(From::Broker, &[0x40, 2, 0, 1])
        .send(From::Client, &[0xe0, 0])
        .close()
        .finish()
}

mod bad_input {
    use super::*;

    #[test]
    fn missing_file() {
        for command in ["decode", "analyze"] {
            fails(
                &[command, "no-such.pcap"],
                1,
                &["no-such.pcap does not exist"],
            );
        }
    }

    #[test]
    fn empty_file() {
        let place = Place::new();
        let file = place.file("empty.pcap", b"");
        fails(&["analyze", &file], 1, &["empty.pcap is empty"]);
    }

    #[test]
    fn unreadable_file() {
        let place = Place::new();
        let file = place.file("file", b"x");
        fails(
            &["decode", &format!("{file}/below.pcap")],
            1,
            &["cannot open", "below.pcap"],
        );
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&file, fs::Permissions::from_mode(0o000)).expect("our own file");
            // For root nothing is unreadable.
            if fs::File::open(&file).is_err() {
                fails(
                    &["decode", &file],
                    1,
                    &["may not be read by this user", "permissions"],
                );
            }
        }
    }

    #[test]
    fn foreign_files() {
        let place = Place::new();
        let text = place.file("notes.txt", b"Dear diary, today no packet came.\n");
        fails(
            &["decode", &text],
            1,
            &["notes.txt is no pcap or pcapng file but text"],
        );
        let json = place.file("export.json", b"[{\"frame\": 1, \"mqtt\": {}}]\n");
        fails(
            &["decode", &json],
            1,
            &["export.json is no pcap", "the capture it was made from"],
        );
        let png = place.file("plot.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0");
        fails(
            &["decode", &png],
            1,
            &["plot.png is no pcap or pcapng file", "capinfos"],
        );
    }

    #[test]
    fn directory_without_captures() {
        let place = Place::new();
        place.file("readme.txt", b"nothing here, really nothing");
        let path = place.path("");
        fails(
            &["analyze", &path],
            1,
            &["no pcap or pcapng file in", "1 other file"],
        );
    }

    #[test]
    fn no_mqtt() {
        let place = Place::new();
        let web = Recording::new(8080)
            .open()
            .send(From::Client, b"GET / HTTP/1.1\r\n\r\n")
            .send(From::Broker, b"HTTP/1.1 204 No Content\r\n\r\n")
            .close();
        let file = place.file("web.pcap", &web.finish());
        let words = [
            "no MQTT found in",
            "8080 (1 connection, 45 bytes)",
            "--port",
        ];
        fails(&["analyze", &file], 1, &words);
        fails(&["decode", &file], 1, &words);
        let allowed = run(&["analyze", "--allow-empty", &file]);
        assert_eq!(code(&allowed), 0);
        assert!(stdout(&allowed).starts_with("No MQTT found in "));
        // Earlier results are not replaced by nothing.
        let out = place.path("out");
        let mqtt = place.file("mqtt.pcap", &conversation(1883));
        assert_eq!(code(&run(&["analyze", "-o", &out, &mqtt])), 0);
        let before = fs::read(place.path("out/summary.json")).expect("written");
        fails(&["analyze", "-o", &out, &file], 1, &["no MQTT found"]);
        assert_eq!(
            fs::read(place.path("out/summary.json")).expect("still there"),
            before
        );
        assert_eq!(fs::read_dir(&out).expect("a directory").count(), 12);
    }

    #[test]
    fn nothing_selected() {
        let place = Place::new();
        let file = place.file("mqtt.pcap", &conversation(1883));
        for command in ["decode", "analyze"] {
            let topic = [command, "--topic", "garden/#", &file];
            fails(&topic, 1, &["no MQTT packet matches --topic 'garden/#'"]);
            let client = [command, "--client", "nobody", &file];
            fails(&client, 1, &["no MQTT packet matches --client 'nobody'"]);
            let since = [command, "--since", "2100-01-01T00:00:00Z", &file];
            fails(&since, 1, &["--since left none of the"]);
        }
    }

    #[test]
    fn unsupported_link_type() {
        let place = Place::new();
        let mut bytes = conversation(1883);
        // IEEE 802.11.
        bytes[20..24].copy_from_slice(&105_u32.to_le_bytes());
        let file = place.file("wifi.pcap", &bytes);
        fails(&["decode", &file], 1, &["link type 105", "not supported"]);
    }

    #[test]
    fn time_going_backwards() {
        let place = Place::new();
        let recording = Recording::new(1883)
            .open()
            .send(From::Client, &connect(b"sensor", b"", b"", b"will"))
            .wait(-3_600_000_000_000)
            .send(From::Broker, &[0x20, 2, 0, 0])
            .close();
        let file = place.file("clock.pcap", &recording.finish());
        let output = run(&["analyze", "--json", &file]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let summary: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(summary["mqtt"]["packets"], 2);
        assert_eq!(summary["delays"]["connect"]["negative"], 1);
        let text = stdout(&run(&["analyze", &file]));
        assert!(text.contains("negative delay"), "{text}");
    }

    #[test]
    fn damaged_file() {
        let place = Place::new();
        let mut bytes = conversation(1883);
        bytes.truncate(bytes.len() - 7);
        let file = place.file("cut.pcap", &bytes);
        for command in ["decode", "analyze"] {
            let output = run(&[command, &file]);
            assert_eq!(code(&output), 0);
            let said = stderr(&output);
            assert!(said.starts_with("mqttscope: warning: "), "{said}");
            assert!(
                said.contains("cut.pcap ends in the middle of a record"),
                "{said}"
            );
            assert!(!output.stdout.is_empty());
            let strict = run(&[command, "--strict", &file]);
            assert_eq!(code(&strict), 1);
            assert!(
                stderr(&strict).contains("1 input is damaged"),
                "{}",
                stderr(&strict)
            );
        }
    }

    #[test]
    fn output_directories() {
        let place = Place::new();
        let capture = place.file("mqtt.pcap", &conversation(1883));
        let file = place.file("file", b"x");
        fails(&["analyze", "-o", &file, &capture], 1, &["is a file", "-o"]);
        let below = format!("{file}/out");
        fails(
            &["analyze", "-o", &below, &capture],
            1,
            &["cannot write", "is a file"],
        );
        let out = place.path("out");
        fs::create_dir(&out).expect("made");
        let thesis = place.file("out/thesis.doc", b"all my work");
        fails(
            &["analyze", "-o", &out, &capture],
            1,
            &["thesis.doc", "--force"],
        );
        assert_eq!(fs::read_dir(&out).expect("a directory").count(), 1);
        assert_eq!(code(&run(&["analyze", "--force", "-o", &out, &capture])), 0);
        assert_eq!(fs::read(thesis).expect("untouched"), b"all my work");
        assert_eq!(fs::read_dir(&out).expect("a directory").count(), 13);
    }

    #[test]
    fn earlier_results_are_replaced() {
        let place = Place::new();
        let capture = place.file("mqtt.pcap", &conversation(1883));
        let out = place.path("new/out");
        assert_eq!(code(&run(&["analyze", "-o", &out, &capture])), 0);
        assert!(Path::new(&out).join("messages.csv").exists());
        place.file("new/out/exchanges.csv.partial", b"from an interrupted run");
        let again = run(&["analyze", "--no-messages", "-o", &out, &capture]);
        assert_eq!(code(&again), 0, "{}", stderr(&again));
        let mut names: Vec<_> = fs::read_dir(&out)
            .expect("a directory")
            .map(|entry| {
                entry
                    .expect("an entry")
                    .file_name()
                    .into_string()
                    .expect("UTF-8")
            })
            .collect();
        names.sort();
        let expected = [
            "connections.csv",
            "deliveries.csv",
            "exchanges.csv",
            "findings.csv",
            "histograms",
            "plots",
            "report.html",
            "sessions.csv",
            "subscriptions.csv",
            "summary.json",
            "topics.csv",
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn wrong_usage() {
        for arguments in [
            &["decode"][..],
            &["frobnicate"],
            &["decode", "--colour", "x"],
            &[],
        ] {
            let output = run(arguments);
            assert_eq!(code(&output), 2, "{arguments:?}");
            assert!(stderr(&output).contains("Usage: "), "{arguments:?}");
            assert!(output.stdout.is_empty());
        }
        let some = own_capture("midstream.pcap");
        let some = some.to_str().expect("UTF-8");
        for (option, value, words) in [
            ("--port", "mqtt", "\"mqtt\" is no port"),
            ("--port", "0", "\"0\" is no port"),
            ("--port", "1883,70000/tls", "\"70000\" is no port"),
            ("--port", "1883/udp", "\"udp\" is no transport"),
            ("--since", "yesterday", "is no time"),
            ("--until", "2026-13-01T00:00:00Z", "is no time"),
            ("--topic", "a/#/b", "is no topic filter"),
            ("--topic", "a+", "is no topic filter"),
            #[cfg(feature = "live")]
            ("--filter", "port or", "filter"),
            #[cfg(not(feature = "live"))]
            ("--filter", "port 1883", "this build has no capture filters"),
        ] {
            fails(&["decode", option, value, some], 2, &[words]);
        }
        let swapped = ["decode", "--since", "20", "--until", "10", some];
        fails(&swapped, 2, &["--since is not before --until"]);
    }
}

mod streams {
    use super::*;

    #[test]
    fn closed_pipe_ends_quietly() {
        let captures = own_capture("");
        let mut child = mqttscope()
            .args(["decode", "--format", "jsonl"])
            .arg(captures)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut first = String::new();
        let mut reader = BufReader::new(child.stdout.take().expect("piped"));
        reader.read_line(&mut first).expect("a line");
        assert!(first.starts_with("{\""));
        drop(reader);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(code(&output), 0);
        assert_eq!(stderr(&output), "");
    }

    #[test]
    fn standard_input_plain_and_packed() {
        let plain = conversation(1883);
        let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&plain).expect("packed");
        let packed = packer.finish().expect("packed");
        let expected = stdout(&run_with_input(&["decode", "-"], &plain));
        assert_eq!(expected.lines().count(), 5);
        assert_eq!(stdout(&run_with_input(&["decode", "-"], &packed)), expected);
        // By content, whatever the name says.
        let place = Place::new();
        let file = place.file("packed.pcap", &packed);
        assert_eq!(stdout(&run(&["decode", &file])), expected);
        fails(&["decode", "-", "-"], 1, &["only once"]);
    }

    #[test]
    fn colours_only_where_wanted() {
        let file = own_capture("return-codes.pcap");
        let colored = |command: &mut Command| {
            let output = command.arg(&file).output().expect("it starts");
            assert_eq!(code(&output), 0);
            output.stdout.contains(&0x1b)
        };
        for subcommand in ["decode", "analyze"] {
            // Standard output is no terminal here.
            assert!(!colored(mqttscope().arg(subcommand)));
            assert!(colored(mqttscope().args([subcommand, "--color", "always"])));
            assert!(!colored(mqttscope().args([subcommand, "--color", "never"])));
            assert!(!colored(mqttscope().arg(subcommand).env("NO_COLOR", "1")));
        }
    }

    #[test]
    fn several_files_have_a_leading_column() {
        let one = own_capture("qos0-v311-ipv4.pcap");
        let two = own_capture("qos1-v311-ipv4.pcap");
        let csv = |paths: &[&PathBuf]| {
            let output = mqttscope()
                .args(["decode", "--format", "csv"])
                .args(paths)
                .output();
            stdout(&output.expect("it starts"))
        };
        let header = "frame,time_ns,connection,src_addr,src_port,dst_addr,dst_port,direction,\
                      packet_type,qos,dup,retain,packet_id,topic,remaining_length,payload_length,\
                      protocol_level,client_id,reason_code,note";
        assert_eq!(csv(&[&one]).lines().next(), Some(header));
        let both = csv(&[&one, &two]);
        assert_eq!(both.lines().next(), Some(format!("file,{header}").as_str()));
        let rows = csv(&[&one]).lines().count() + csv(&[&two]).lines().count() - 2;
        assert_eq!(both.lines().count() - 1, rows);
        let from_two = both
            .lines()
            .filter(|line| line.starts_with(two.to_str().expect("UTF-8")));
        assert_eq!(from_two.count(), csv(&[&two]).lines().count() - 1);
    }

    #[test]
    fn completions_and_manual() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let output = run(&["completions", shell]);
            assert_eq!(code(&output), 0);
            for word in ["mqttscope", "analyze", "show-credentials"] {
                assert!(stdout(&output).contains(word), "{shell}: {word}");
            }
        }
        let manual = stdout(&run(&["man"]));
        assert!(manual.contains(".TH mqttscope 1"));
        for word in ["MQTTSCOPE DECODE", "MQTTSCOPE ANALYZE", "no\\-messages"] {
            assert!(manual.contains(word), "{word}");
        }
    }

    fn run_with_input(arguments: &[&str], input: &[u8]) -> Output {
        let mut child = mqttscope()
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        let mut stdin = child.stdin.take().expect("piped");
        stdin.write_all(input).expect("it reads all");
        drop(stdin);
        child.wait_with_output().expect("it ends")
    }

    #[test]
    fn frames_are_written_from_a_stream_too() {
        let place = Place::new();
        let capture = conversation(1883);
        let file = place.file("in.pcap", &capture);
        let (a, b) = (place.path("a.pcapng"), place.path("b.pcapng"));
        assert_eq!(code(&run(&["decode", "-w", &a, &file])), 0);
        let streamed = run_with_input(&["decode", "-w", &b, "-"], &capture);
        assert_eq!(stdout(&streamed), stdout(&run(&["decode", &file])));
        assert_eq!(fs::read(a).expect("written"), fs::read(b).expect("written"));
        fails(
            &["decode", "-w", &file, &file],
            1,
            &["in.pcap is also an input"],
        );
        fails(
            &["decode", "-w", "-", &file],
            2,
            &["-w needs the name of a file"],
        );
        fails(
            &["decode", "-w", &place.path("c"), "-", &file],
            2,
            &["only input"],
        );
        fails(
            &["decode", "-w", &place.path("no/c"), &file],
            1,
            &["does not exist"],
        );
        fails(
            &["decode", "-w", &place.path(""), &file],
            1,
            &["is no regular file"],
        );
        let nothing = place.path("nothing.pcapng");
        fails(
            &["decode", "-w", &nothing, "--topic", "x", &file],
            1,
            &["--topic 'x'"],
        );
        let mut left: Vec<_> = fs::read_dir(place.path("")).expect("a directory").collect();
        left.retain(|entry| entry.as_ref().is_ok_and(|e| e.file_name() != "in.pcap"));
        assert_eq!(left.len(), 2, "{left:?}");
    }
}

mod written_frames {
    use super::*;
    use mqttscope::capture::{Capture, Item};

    /// Frame numbers by their times, which are all different in these captures.
    fn times(path: &Path) -> Vec<i64> {
        let mut capture = Capture::open(&[path]).expect("a capture");
        let mut times = Vec::new();
        while let Some(item) = capture.next_item() {
            if let Item::Frame(frame) = item {
                times.push(frame.time.as_nanos());
            }
        }
        times
    }

    fn numbers(capture: &Path, arguments: &[&str]) -> Vec<usize> {
        let place = Place::new();
        let out = place.path("out.pcapng");
        let output = mqttscope()
            .args(["decode", "-w", &out])
            .args(arguments)
            .arg(capture)
            .output()
            .expect("it starts");
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let all = times(capture);
        let number = |time: &i64| all.iter().position(|other| other == time).expect("a frame") + 1;
        times(Path::new(&out)).iter().map(number).collect()
    }

    #[test]
    fn of_packets_split_over_segments() {
        let capture = own_capture("large-message.pcap");
        let to_broker = numbers(&capture, &["--client", "publisher", "--topic", "house/#"]);
        // The message of 9,000 bytes fills seven segments; its row names the last one.
        let row = stdout(&run(&[
            "decode",
            "--client",
            "publisher",
            "--topic",
            "house/#",
            "--format",
            "csv",
            capture.to_str().expect("UTF-8"),
        ]));
        let completing = row.lines().nth(1).and_then(|line| line.split(',').next());
        assert_eq!(
            to_broker.last().map(ToString::to_string).as_deref(),
            completing
        );
        assert_eq!(to_broker.len(), 7, "{to_broker:?}");
    }

    #[test]
    fn of_packets_joined_in_one_segment_and_out_of_order() {
        let place = Place::new();
        let both = [publish(b"a", None, b"1"), publish(b"b", None, b"2")].concat();
        let long = publish(b"c", None, &[7; 150_000]);
        let recording = Recording::new(1883)
            .open()
            .send(From::Client, &connect(b"x", b"", b"", b"w"))
            .send(From::Client, &both)
            .send(From::Client, &long)
            .send(From::Client, &publish(b"d", None, b"4"));
        let bytes = recording.finish();
        let plain = place.file("plain.pcap", &bytes);
        let plain = Path::new(&plain);
        // Frames: 3 of the handshake, then data and ACK in turn.
        assert_eq!(numbers(plain, &["--topic", "a"]), [6]);
        assert_eq!(numbers(plain, &["--topic", "b"]), [6]);
        assert_eq!(numbers(plain, &["--topic", "c"]), [8, 10, 12]);
        assert_eq!(numbers(plain, &["--topic", "d"]), [14]);
        assert_eq!(numbers(plain, &[]), [4, 6, 8, 10, 12, 14]);
        // The first segment of the long one comes last: frames 8 and 12 change places.
        let swapped = place.file("swapped.pcap", &swap_frames(&bytes, 8, 12));
        assert_eq!(numbers(Path::new(&swapped), &["--topic", "c"]), [8, 10, 12]);
    }

    /// Exchanges the contents of two records, which keep the times of their places.
    fn swap_frames(capture: &[u8], first: usize, second: usize) -> Vec<u8> {
        let mut records = Vec::new();
        let mut at = 24;
        while at < capture.len() {
            let length = u32::from_le_bytes(capture[at + 8..at + 12].try_into().expect("four"));
            let end = at + 16 + length as usize;
            records.push((capture[at..at + 8].to_vec(), capture[at + 8..end].to_vec()));
            at = end;
        }
        let (a, b) = (records[first - 1].1.clone(), records[second - 1].1.clone());
        records[first - 1].1 = b;
        records[second - 1].1 = a;
        let frames = records
            .into_iter()
            .flat_map(|(time, rest)| [time, rest].concat());
        capture[..24].iter().copied().chain(frames).collect()
    }

    #[test]
    fn tshark_reads_them() {
        if Command::new("tshark").arg("--version").output().is_err() {
            eprintln!("skipped: tshark is not installed (./x install --tests)");
            return;
        }
        let place = Place::new();
        let out = place.path("out.pcapng");
        for name in ["large-message.pcap", "two-taps.pcapng", "any-sll2.pcap"] {
            let capture = own_capture(name);
            let capture = capture.to_str().expect("UTF-8");
            assert_eq!(code(&run(&["decode", "-w", &out, capture])), 0);
            let messages = |file: &str| {
                let output = Command::new("tshark")
                    .args(["-r", file, "-T", "fields", "-e", "mqtt.msgtype"])
                    .output()
                    .expect("it starts");
                assert!(output.status.success(), "{}", stderr(&output));
                let text = stdout(&output);
                text.lines()
                    .filter(|line| !line.is_empty())
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            assert_eq!(messages(&out), messages(capture), "{name}");
            assert!(!messages(&out).is_empty());
        }
    }
}

mod hostile_text {
    use super::*;

    const PASSWORD: &str = "hunter2-and-more";
    const USER: &str = "somebody-in-particular";

    /// What a network can put where text is expected.
    fn texts() -> Vec<Vec<u8>> {
        let levels = [b"x".repeat(535), b"/".repeat(65_000)].concat();
        vec![
            b"\x1b]0;owned\x07\x1b[2J\x1b[31mred".to_vec(),
            b"=HYPERLINK(\"http://example.org\",\"click\")".to_vec(),
            b"+1+1".to_vec(),
            b"-2".to_vec(),
            b"@SUM(A1)".to_vec(),
            b"'quoted".to_vec(),
            b"nul\0inside".to_vec(),
            b"not utf-8 \xff\xfe\x80".to_vec(),
            "right\u{202e}to left\u{2066}".as_bytes().to_vec(),
            "next\u{85}line\u{2028}\r\nseparators".as_bytes().to_vec(),
            b"comma,\"quote\",tab\tbackslash\\".to_vec(),
            b"<script>alert(1)</script><img src=x onerror=alert(2)>".to_vec(),
            b"]]></style></script>--><svg onload=alert(3)>&lt;".to_vec(),
            levels,
        ]
    }

    fn capture() -> Vec<u8> {
        let mut recording = Recording::new(1883);
        for text in texts() {
            let topic = publish(&text, Some(3), &text);
            recording = recording
                .open()
                .send(
                    From::Client,
                    &connect(&text, USER.as_bytes(), PASSWORD.as_bytes(), &text),
                )
                .send(From::Broker, &[0x20, 2, 0, 0])
                .send(From::Client, &subscribe(&text))
                .send(From::Broker, &[0x90, 3, 0, 9, 1])
                .send(From::Client, &topic)
                .send(From::Broker, &[0x40, 2, 0, 3])
                .send(From::Client, &[0xe0, 0])
                .close();
        }
        recording.finish()
    }

    /// Text that neither a terminal nor a reader is deceived by.
    fn assert_harmless(what: &str, bytes: &[u8]) {
        let text = std::str::from_utf8(bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
        let bad = text.chars().find(|&c| {
            (c.is_control() && c != '\n')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
                || matches!(c, '\u{2028}' | '\u{2029}' | '\u{200e}' | '\u{200f}')
        });
        assert_eq!(bad, None, "{what}");
        assert!(!text.contains(PASSWORD), "{what} has a password");
    }

    fn read_csv(what: &str, bytes: &[u8], rows: usize) {
        let mut reader = csv::Reader::from_reader(bytes);
        let width = reader.headers().expect("a header").len();
        let mut seen = 0;
        for record in reader.records() {
            let record = record.unwrap_or_else(|error| panic!("{what}: {error}"));
            assert_eq!(record.len(), width, "{what}");
            for cell in &record {
                let number = cell.parse::<i64>().is_ok();
                let first = cell.bytes().next();
                assert!(
                    number || !matches!(first, Some(b'=' | b'+' | b'-' | b'@')),
                    "{what}: {cell}"
                );
            }
            seen += 1;
        }
        assert_eq!(seen, rows, "{what}");
    }

    #[test]
    fn stays_text_in_decode() {
        let place = Place::new();
        let file = place.file("hostile.pcap", &capture());
        let packets = 7 * texts().len();
        for format in ["text", "csv", "jsonl"] {
            for payload in ["none", "text", "base64"] {
                let arguments = ["decode", "--format", format, "--payload", payload, &file];
                let output = run(&arguments);
                assert_eq!(code(&output), 0, "{}", stderr(&output));
                if format == "jsonl" {
                    // JSON escapes what it must; what it need not is for its reader to escape.
                    let text = stdout(&output);
                    assert_eq!(text.lines().count(), packets);
                    assert!(!text.bytes().any(|byte| byte < 0x20 && byte != b'\n'));
                    assert!(!text.contains(PASSWORD));
                } else {
                    assert_harmless(format, &output.stdout);
                }
                if format == "csv" {
                    read_csv("decode", &output.stdout, packets);
                }
                assert!(!stdout(&output).contains(USER), "{format}: a user name");
                assert!(stderr(&output).is_empty());
            }
        }
    }

    #[test]
    fn stays_text_in_analyze() {
        let place = Place::new();
        let file = place.file("hostile \u{1b}[31m.pcap", &capture());
        let out = place.path("out");
        let text = run(&["analyze", "-o", &out, &file]);
        assert_eq!(code(&text), 0, "{}", stderr(&text));
        assert_harmless("the text", &text.stdout);
        assert_harmless("--json", &run(&["analyze", "--json", &file]).stdout);
        let count = texts().len();
        for (name, rows) in [
            ("connections.csv", count),
            ("sessions.csv", count),
            ("messages.csv", count),
            ("exchanges.csv", count),
            ("subscriptions.csv", count),
        ] {
            let mut bytes = Vec::new();
            let mut table = fs::File::open(Path::new(&out).join(name)).expect("written");
            table.read_to_end(&mut bytes).expect("read");
            assert_harmless(name, &bytes);
            assert!(!String::from_utf8_lossy(&bytes).contains(USER), "{name}");
            read_csv(name, &bytes, rows);
        }
        let summary = fs::read(Path::new(&out).join("summary.json")).expect("written");
        assert_harmless("summary.json", &summary);
    }

    /// Every file below a directory.
    fn files(directory: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                files(&path, into);
            } else {
                into.push(path);
            }
        }
    }

    #[test]
    fn stays_text_in_every_file() {
        let place = Place::new();
        let file = place.file("hostile.pcap", &capture());
        let out = place.path("out");
        let output = run(&["analyze", "--diagram", "13", "-o", &out, &file]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let compared = place.path("compared");
        let output = run(&["report", &out, "--compare", &out, "-o", &compared]);
        assert_eq!(code(&output), 0, "{}", stderr(&output));
        let mut all = Vec::new();
        files(Path::new(&out), &mut all);
        files(Path::new(&compared), &mut all);
        let mut kinds = std::collections::BTreeSet::new();
        for path in all {
            let name = path.display().to_string();
            let kind = path
                .extension()
                .expect("a kind")
                .to_string_lossy()
                .into_owned();
            kinds.insert(kind.clone());
            if kind == "png" {
                continue;
            }
            let bytes = fs::read(&path).expect("read");
            assert_harmless(&name, &bytes);
            let text = String::from_utf8(bytes).expect("text");
            assert!(!text.contains(USER), "{name}: a user name");
            if matches!(kind.as_str(), "html" | "svg") {
                for tag in ["<script>alert", "<img", "<svg onload", "</style></script>"] {
                    assert!(!text.contains(tag), "{name}: {tag}");
                }
            }
        }
        let expected = ["csv", "hgrm", "hlog", "html", "json", "png", "svg"];
        assert_eq!(kinds, expected.map(str::to_owned).into());
    }

    #[test]
    fn raw_csv_leaves_formulas_alone() {
        let place = Place::new();
        let file = place.file("hostile.pcap", &capture());
        let guarded = stdout(&run(&["decode", "--format", "csv", &file]));
        let raw = stdout(&run(&["decode", "--format", "csv", "--raw-csv", &file]));
        assert!(guarded.contains("'=HYPERLINK") && guarded.contains("''quoted"));
        assert!(!raw.contains("'=HYPERLINK") && raw.contains("=HYPERLINK"));
    }

    #[test]
    fn user_names_only_when_asked_for() {
        let place = Place::new();
        let file = place.file("hostile.pcap", &capture());
        for format in ["text", "jsonl"] {
            let arguments = ["decode", "--show-credentials", "--format", format, &file];
            let shown = stdout(&run(&arguments));
            assert!(shown.contains(USER), "{format}");
            assert!(!shown.contains(PASSWORD), "{format}");
        }
    }

    #[test]
    fn messages_about_files_are_harmless_too() {
        let output = run(&["decode", "no\u{1b}[31m\nsuch.pcap"]);
        assert_eq!(code(&output), 1);
        assert_harmless("the message", &output.stderr);
        assert_eq!(stderr(&output).lines().count(), 1);
    }
}
