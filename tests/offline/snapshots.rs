//! Whole outputs as they were when somebody last looked at them: `tests/snapshots/`. After a
//! change that is meant, `UPDATE_SNAPSHOTS=1 cargo test --test offline snapshots` writes them
//! again; look at the difference before it is committed.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use crate::tool::{mqttscope, recordings};
use serde_json::Value;

/// Properties and aliases; sessions; refusals; what a capture without a beginning leaves open; a
/// bit of everything.
const RECORDINGS: [&str; 5] = [
    "v5-properties-ipv6.pcap",
    "resumed-session.pcap",
    "return-codes.pcap",
    "midstream.pcap",
    "fleet.pcap",
];

/// Compares with the snapshot, or writes it. Tells of the first line that differs.
fn check(name: &str, text: &str) -> Result<(), String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/snapshots")
        .join(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        eprintln!("written: {}", path.display());
        return Ok(());
    }
    let kept = fs::read_to_string(&path).map_err(|error| {
        format!(
            "{}: {error}; write it with UPDATE_SNAPSHOTS=1\n",
            path.display()
        )
    })?;
    if kept == text {
        return Ok(());
    }
    let line = kept
        .lines()
        .zip(text.lines())
        .take_while(|(old, new)| old == new)
        .count();
    Err(format!(
        "{name}, line {}:\n- {}\n+ {}\n",
        line + 1,
        kept.lines().nth(line).unwrap_or("(end)"),
        text.lines().nth(line).unwrap_or("(end)"),
    ))
}

/// The recording's path, wherever the project lies, is written as its name.
fn masked(text: &str) -> String {
    text.replace(&format!("{}/", recordings().display()), "")
}

/// The summary without what is of the day: version and throughput.
fn masked_summary(text: &str) -> String {
    let mut summary: Value = serde_json::from_str(&masked(text)).unwrap();
    for name in ["tool_version", "throughput"] {
        let value = summary.get_mut(name).unwrap_or_else(|| panic!("no {name}"));
        *value = Value::from("(masked)");
    }
    serde_json::to_string_pretty(&summary).unwrap() + "\n"
}

/// The text without the line on throughput.
fn masked_text(text: &str) -> String {
    let text = masked(text);
    let lines = text
        .lines()
        .filter(|line| !line.starts_with("Analysed in "));
    lines.map(|line| format!("{line}\n")).collect()
}

fn run(arguments: &[&str], path: &Path) -> String {
    mqttscope(arguments.iter().map(OsStr::new).chain([path.as_os_str()]))
}

#[test]
fn outputs_are_as_they_were() {
    let mut different = String::new();
    for name in RECORDINGS {
        let path = recordings().join(name);
        let scratch = tempfile::tempdir().unwrap();
        let directory: PathBuf = scratch.path().join("analysis");
        let text = mqttscope([
            OsStr::new("analyze"),
            OsStr::new("--only"),
            OsStr::new("tables"),
            OsStr::new("-o"),
            directory.as_os_str(),
            path.as_os_str(),
        ]);
        let mut outputs = vec![
            ("decode.txt".to_owned(), masked(&run(&["decode"], &path))),
            (
                "decode.csv".to_owned(),
                masked(&run(&["decode", "--format", "csv"], &path)),
            ),
            (
                "decode.jsonl".to_owned(),
                masked(&run(&["decode", "--format", "jsonl"], &path)),
            ),
            ("analyze.txt".to_owned(), masked_text(&text)),
        ];
        let mut files: Vec<PathBuf> = fs::read_dir(&directory)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        files.sort();
        for file in files {
            let file_name = file.file_name().and_then(OsStr::to_str).unwrap();
            let text = fs::read_to_string(&file).unwrap();
            let text = if file_name == "summary.json" {
                let summary = masked_summary(&text);
                // --json shows what the file holds.
                let shown = masked_summary(&run(&["analyze", "--json"], &path));
                assert_eq!(shown, summary, "{name}");
                summary
            } else {
                masked(&text)
            };
            outputs.push((format!("analyze/{file_name}"), text));
        }
        let stem = name.split_once('.').unwrap().0;
        for (output, text) in outputs {
            different += &check(&format!("{stem}/{output}"), &text)
                .err()
                .unwrap_or_default();
        }
    }
    assert!(different.is_empty(), "{different}");
}
