//! Histograms, figures and pages as users get them: the same bytes from the same tables, in
//! formats that other programs read, and harmless whatever a network had in it.
mod experiments;
mod made_up;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::tool::{may_skip, mqttscope, recordings};

/// A directory of results written by hand: every table, and hostile text in all of them.
fn full() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/report/full")
}

fn run<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.args(arguments).output().unwrap()
}

/// Every file below a directory, by its path within.
fn files(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![directory.to_owned()];
    while let Some(place) = open.pop() {
        for entry in fs::read_dir(&place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                let name = path.strip_prefix(directory).unwrap();
                let name = name.to_str().unwrap().to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found
}

fn os<'a>(words: &[&'a str], paths: &[&'a Path]) -> Vec<&'a OsStr> {
    let words = words.iter().map(|word| OsStr::new(*word));
    words
        .chain(paths.iter().map(|path| path.as_os_str()))
        .collect()
}

fn analyze(recording: &str, options: &[&str], into: &Path) {
    let path = recordings().join(recording);
    let mut arguments = os(&["analyze"], &[&path]);
    arguments.extend(options.iter().map(OsStr::new));
    arguments.extend(os(&["-o"], &[into]));
    mqttscope(arguments);
}

#[test]
fn a_report_is_made_again_from_its_directory() {
    let scratch = tempfile::tempdir().unwrap();
    let [first, second] = ["first", "second"].map(|name| scratch.path().join(name));
    analyze("many-clients.pcap", &["--diagram", "1"], &first);
    let made = files(&first);
    fs::create_dir_all(second.join("histograms")).unwrap();
    for (name, bytes) in &made {
        if name.ends_with(".csv") || name.ends_with(".json") || name.ends_with(".hlog") {
            fs::write(second.join(name), bytes).unwrap();
        }
    }
    mqttscope(os(&["report", "--diagram", "1"], &[&second]));
    let again = files(&second);
    let drawn = |name: &&String| name.starts_with("plots/") || *name == "report.html";
    let names: Vec<&String> = made.keys().filter(drawn).collect();
    assert!(names.len() > 10, "{names:?}");
    assert_eq!(again.keys().filter(drawn).collect::<Vec<_>>(), names);
    for name in names {
        assert!(again[name] == made[name], "{name} is not the same");
    }
}

#[test]
fn a_run_writes_the_parts_that_are_wanted() {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("out");
    analyze("qos1-v311-ipv4.pcap", &[], &out);
    let all: Vec<String> = files(&out).into_keys().collect();
    let wanted = |parts: &[&str]| -> Vec<String> {
        let of = |name: &String| match name.split_once('/') {
            Some((directory, _)) => directory.to_owned(),
            None if name == "report.html" => "report".to_owned(),
            None if name == "summary.json" => "summary".to_owned(),
            None => "tables".to_owned(),
        };
        let is_wanted =
            |name: &&String| of(name) == "summary" || parts.contains(&of(name).as_str());
        all.iter().filter(is_wanted).cloned().collect()
    };
    for parts in [&["tables"][..], &["histograms", "report"], &["plots"]] {
        // The earlier run's other parts go.
        analyze("qos1-v311-ipv4.pcap", &["--only", &parts.join(",")], &out);
        let names: Vec<String> = files(&out).into_keys().collect();
        assert_eq!(names, wanted(parts), "{parts:?}");
    }
}

/// HdrHistogram's Python port reads the log and writes the same percentile text.
#[test]
fn another_implementation_reads_the_histograms() {
    let Some(python) = std::env::var_os("MQTTSCOPE_PYTHON") else {
        return may_skip("MQTTSCOPE_PYTHON (./x test sets it), with the package hdrhistogram");
    };
    let scratch = tempfile::tempdir().unwrap();
    analyze("many-clients.pcap", &[], scratch.path());
    let histograms = scratch.path().join("histograms");
    let output = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/read_histograms.py"))
        .arg(&histograms)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let said = String::from_utf8(output.stdout).unwrap();
    let texts = fs::read_dir(&histograms).unwrap().count() - 1;
    assert!(said.starts_with(&format!("{texts} ")), "{said} of {texts}");
}

/// Figures and page of the directory made by hand, as they were when somebody last looked.
#[test]
fn figures_and_page_are_as_they_were() {
    let scratch = tempfile::tempdir().unwrap();
    let arguments = os(
        &["report", "--diagram", "2", "-o"],
        &[scratch.path(), &full()],
    )
    .into_iter()
    .map(OsStr::to_owned)
    .collect::<Vec<_>>();
    mqttscope(&arguments);
    let made = files(scratch.path());
    for (name, bytes) in &made {
        if name.ends_with(".png") {
            assert!(bytes.starts_with(b"\x89PNG\r\n"), "{name}");
        }
    }
    // Outlines are long, and each letter of them stands in the page as text.
    let kept = ["report.html", "plots/loss.svg"].map(|name| (name, &made[name][..]));
    same_as_before("report", &kept);
}

/// Files are those in `tests/snapshots/DIRECTORY`.
fn same_as_before(directory: &str, files: &[(&str, &[u8])]) {
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots");
    let snapshots = snapshots.join(directory);
    let mut different = String::new();
    for (name, bytes) in files {
        let path = snapshots.join(name.replace('/', "-"));
        if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
            fs::create_dir_all(&snapshots).unwrap();
            fs::write(&path, bytes).unwrap();
            eprintln!("written: {}", path.display());
        } else if fs::read(&path).ok().as_deref() != Some(*bytes) {
            different += &format!("{name} differs from {}\n", path.display());
        }
    }
    assert!(
        different.is_empty(),
        "{different}UPDATE_SNAPSHOTS=1 writes them again"
    );
}

/// Without a message there is no delivery that could have been in time.
#[test]
fn nothing_to_deliver_is_not_called_delivered() {
    let scratch = tempfile::tempdir().unwrap();
    let mut summary: serde_json::Value =
        serde_json::from_slice(&fs::read(full().join("summary.json")).unwrap()).unwrap();
    summary["mqtt"]["packets"] = 0.into();
    fs::write(scratch.path().join("summary.json"), summary.to_string()).unwrap();
    let table = fs::read_to_string(full().join("deliveries.csv")).unwrap();
    let header = table.lines().next().unwrap();
    fs::write(scratch.path().join("deliveries.csv"), header).unwrap();
    mqttscope(os(&["report"], &[scratch.path()]));
    let page = fs::read_to_string(scratch.path().join("report.html")).unwrap();
    assert!(page.contains("There was nothing to deliver."));
    assert!(!page.contains("Every delivery arrived"));
}

/// findings.csv has no more than the first thousand of a code; the page counts as the summary does.
#[test]
fn findings_are_counted_as_in_the_summary() {
    let scratch = tempfile::tempdir().unwrap();
    for (name, bytes) in files(&full()) {
        if matches!(name.as_str(), "findings.csv" | "summary.json") {
            fs::write(scratch.path().join(name), bytes).unwrap();
        }
    }
    let path = scratch.path().join("summary.json");
    let mut summary: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let counts = summary["findings"].as_object_mut().unwrap();
    let code = counts.keys().next().unwrap().clone();
    counts.insert(code.clone(), 8_610.into());
    fs::write(&path, summary.to_string()).unwrap();
    mqttscope(os(&["report"], &[scratch.path()]));
    let page = fs::read_to_string(scratch.path().join("report.html")).unwrap();
    assert!(page.contains(&format!("{code} × 8,610")), "{code}");
    assert!(page.contains("no more than it keeps"));
}

/// The bars are those of single topics: all others together have a number and no bar, which would
/// leave theirs no length.
#[test]
fn many_small_topics_do_not_dwarf_the_busiest() {
    let scratch = tempfile::tempdir().unwrap();
    let summary = fs::read(full().join("summary.json")).unwrap();
    fs::write(scratch.path().join("summary.json"), summary).unwrap();
    let mut messages = String::from(
        "message,connection,direction,file,frame,first_ns,last_ns,packet_id,qos,dup,retain,topic,\
         payload_bytes,payload_kind,payload_hash,retransmitted,tap\n",
    );
    for number in 1..=10_000 {
        let at = 1_769_846_400_000_000_000_u64 + number * 1_000_000;
        messages +=
            &format!("{number},1,to_broker,x,{number},{at},{at},,0,0,0,t/{number},100,text,,0,0\n");
    }
    fs::write(scratch.path().join("messages.csv"), messages).unwrap();
    mqttscope(os(&["report"], &[scratch.path()]));
    let figure = fs::read_to_string(scratch.path().join("plots/topics.svg")).unwrap();
    assert!(figure.contains("9,988 more topics") && figure.contains("/s together"));
    // Equal topics have equal bars, the longest there are: all but the margins.
    let widths: Vec<f64> = figure
        .split("<rect ")
        .skip(1)
        .filter_map(|rect| {
            rect.split("width=\"")
                .nth(1)?
                .split('"')
                .next()?
                .parse()
                .ok()
        })
        .collect();
    let bars = widths
        .iter()
        .filter(|width| (200.0..700.0).contains(*width));
    assert_eq!(bars.count(), 12, "{widths:?}");
}

#[test]
fn hostile_text_is_only_text() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = full();
    mqttscope(os(
        &["report", "--diagram", "3", "-o"],
        &[scratch.path(), &directory],
    ));
    for (name, bytes) in files(scratch.path()) {
        if name.ends_with(".png") {
            continue;
        }
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("<script>alert"), "{name}");
        let unsafe_character = text
            .chars()
            .find(|c| mqttscope::results::is_unsafe(*c) && *c != '\n');
        assert_eq!(unsafe_character, None, "{name}");
    }
    let page = fs::read_to_string(scratch.path().join("report.html")).unwrap();
    for shown in [
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        r"abc\u{202E}def",
        r"\u{0}nul",
        ">=1+1<",
    ] {
        assert!(page.contains(shown), "{shown}");
    }
    // 400 levels are not 400 elements deep.
    assert!(!page.contains(&"deep/".repeat(100)));
}

/// What a browser makes of the page: the script ran, nothing was refused, nothing else ran.
#[test]
fn a_browser_shows_the_page_without_a_complaint() {
    let Some(chromium) = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok())
    else {
        return may_skip("chromium");
    };
    let scratch = tempfile::tempdir().unwrap();
    let directory = full();
    mqttscope(os(&["report", "-o"], &[scratch.path(), &directory]));
    let other = scratch.path().join("other");
    mqttscope(os(
        &["report", "--compare"],
        &[&directory, &directory, Path::new("-o"), &other],
    ));
    let probe = scratch.path().join("probe");
    made_up::probe(&probe);
    mqttscope(os(&["report"], &[&probe]));
    for page in [
        scratch.path().join("report.html"),
        other.join("compare.html"),
        probe.join("report.html"),
    ] {
        let profile = tempfile::tempdir().unwrap();
        let output = Command::new(chromium)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--enable-logging=stderr",
                "--dump-dom",
            ])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg(format!("file://{}", page.display()))
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        let complaints: Vec<&str> = errors
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .collect();
        assert!(complaints.is_empty(), "{complaints:?}");
        let shown = String::from_utf8_lossy(&output.stdout);
        assert!(shown.contains("<th scope=\"col\""), "{errors}");
        assert!(shown.contains("<button type=\"button\">"), "the script ran");
        assert_eq!(shown.matches("<script").count(), 1, "and no other is there");
    }
}

#[test]
fn thresholds_decide_the_exit_code() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = full();
    let code = |expressions: &[&str]| {
        let mut arguments = os(&["report", "-o"], &[scratch.path(), &directory]);
        for expression in expressions {
            arguments.extend(os(&["--fail-on", expression], &[]));
        }
        let output = run(arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap(), said)
    };
    assert_eq!(
        code(&["loss.qos1>0.1%", "delivery_qos1.max>1s"]),
        (0, String::new())
    );
    let (exit, said) = code(&["loss.message>0.1%", "finding>=warning"]);
    assert_eq!(exit, 3);
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(
        lines,
        [
            "mqttscope: threshold broken: loss.message>0.1%: it is 0.83 % (2 of n = 240)",
            "mqttscope: threshold broken: finding>=warning: 4 found, of severity warning or \
             worse: 1 keep-alive-exceeded, 1 message-late, 2 message-lost",
        ]
    );
    let (exit, said) = code(&["delivery_qos7.p99>1ms"]);
    assert_eq!(exit, 2);
    assert!(
        said.contains("delivery_qos2") && said.contains("p999"),
        "{said}"
    );
}

#[test]
fn two_runs_are_compared() {
    let scratch = tempfile::tempdir().unwrap();
    let directory = full();
    let changed = scratch.path().join("changed");
    fs::create_dir(&changed).unwrap();
    for (name, bytes) in files(&directory) {
        fs::write(changed.join(name), bytes).unwrap();
    }
    let summary = fs::read_to_string(changed.join("summary.json")).unwrap();
    let summary = summary.replace("\"message-late\"", "\"message-very-late\"");
    fs::write(changed.join("summary.json"), summary).unwrap();
    let out = scratch.path().join("out");
    let text = mqttscope(os(
        &["report", "--compare"],
        &[&directory, &changed, Path::new("-o"), &out],
    ));
    let single_spaced: Vec<&str> = text.split_whitespace().collect();
    let single_spaced = single_spaced.join(" ");
    for words in [
        "new error message-very-late 1 0",
        "gone warning message-late 0 1",
        "in both error message-lost 2 2",
        "delivery_qos1 79 79 794 µs 794 µs 1.00 (",
        "messages, all QoS 0.83 % (2 of 240) 0.83 % (2 of 240)",
    ] {
        assert!(single_spaced.contains(words), "{words}: {text}");
    }
    assert!(
        !text.contains("slower") || text.contains("slower or"),
        "{text}"
    );
    assert!(out.join("compare.html").exists());
    let missing = run(os(&["report"], &[&scratch.path().join("nothing")]));
    assert_eq!(missing.status.code(), Some(1));
    let said = String::from_utf8(missing.stderr).unwrap();
    assert!(said.contains("mqttscope analyze"), "{said}");
}
