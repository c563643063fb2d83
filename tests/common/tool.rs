//! Runs the program that is tested, and reads what it writes.
#![allow(dead_code, reason = "each test uses some of it")]
#![allow(
    clippy::print_stderr,
    reason = "what was skipped belongs on the terminal"
)]

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// A row of a table: cell by column.
pub(crate) type Row = BTreeMap<String, String>;

/// The directory with the project's own recordings.
pub(crate) fn recordings() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

/// The project's own recordings, by name.
pub(crate) fn recording_paths() -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(recordings())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "pcap" || extension == "pcapng")
        })
        .collect();
    paths.sort();
    assert!(!paths.is_empty(), "no recordings");
    paths
}

/// What one side has and the other has not, and the other way around; what is there twice counts
/// twice.
pub(crate) fn apart<T: PartialEq>(mut ones: Vec<T>, mut others: Vec<T>) -> (Vec<T>, Vec<T>) {
    ones.retain(|one| match others.iter().position(|other| other == one) {
        Some(at) => {
            others.remove(at);
            false
        }
        None => true,
    });
    (ones, others)
}

/// A file's name, for messages.
pub(crate) fn file_name(path: &Path) -> &str {
    path.file_name().and_then(OsStr::to_str).unwrap()
}

/// `--keylog FILE`, where a capture has its key log beside it (`NAME.keylog`).
pub(crate) fn key_log_option(capture: &Path) -> Vec<String> {
    let path = capture.with_extension("keylog");
    if !path.exists() {
        return Vec::new();
    }
    vec!["--keylog".to_owned(), path.to_str().unwrap().to_owned()]
}

/// What `mqttscope` writes to its standard output; it has to succeed.
pub(crate) fn mqttscope<I: AsRef<OsStr>>(arguments: impl IntoIterator<Item = I>) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mqttscope"));
    command.env_remove("SSLKEYLOGFILE");
    let output = command.args(arguments).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// The rows of `decode --format csv`, text as it is.
pub(crate) fn decode_csv<S: AsRef<OsStr>>(path: &Path, options: &[S]) -> Vec<Row> {
    let text = mqttscope(
        ["decode", "--format", "csv", "--raw-csv"]
            .iter()
            .map(OsStr::new)
            .chain(options.iter().map(AsRef::as_ref))
            .chain([path.as_os_str()]),
    );
    rows(&text)
}

/// The objects of `decode --format jsonl`.
pub(crate) fn decode_jsonl<S: AsRef<OsStr>>(path: &Path, options: &[S]) -> Vec<Value> {
    let text = mqttscope(
        ["decode", "--format", "jsonl"]
            .iter()
            .map(OsStr::new)
            .chain(options.iter().map(AsRef::as_ref))
            .chain([path.as_os_str()]),
    );
    json_lines(&text)
}

/// One value per line.
pub(crate) fn json_lines(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The rows of a table in a file.
pub(crate) fn table(path: &Path) -> Vec<Row> {
    rows(&std::fs::read_to_string(path).unwrap())
}

fn rows(text: &str) -> Vec<Row> {
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    reader.deserialize().map(Result::unwrap).collect()
}

/// Whether something that a test needs may be missing. `MQTTSCOPE_REQUIRE_ALL` says that it may
/// not; otherwise a notice says what was skipped.
pub(crate) fn may_skip(what: &str) {
    assert!(
        std::env::var_os("MQTTSCOPE_REQUIRE_ALL").is_none(),
        "{what} is missing, and MQTTSCOPE_REQUIRE_ALL is set"
    );
    eprintln!("skipped: {what} is missing");
}
