//! Holds `src/` to the table in ARCHITECTURE.md: which layers there are, what each may import,
//! and which of them may touch the world outside (files, sockets, threads, clocks).
#![allow(
    clippy::print_stderr,
    reason = "a warning about long files belongs on the terminal"
)]

#[path = "support/rust_source.rs"]
mod rust_source;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// One row of the table.
#[derive(Debug)]
struct Layer {
    name: String,
    imports: BTreeSet<String>,
    outside: BTreeSet<String>,
}

/// What a path of the standard library means, by its beginning.
const OUTSIDE: [(&[&str], &str); 8] = [
    (&["std", "fs"], "files"),
    (&["std", "net", "Tcp"], "sockets"),
    (&["std", "net", "Udp"], "sockets"),
    (&["std", "os", "unix", "net"], "sockets"),
    (&["std", "thread"], "threads"),
    (&["std", "process", "Command"], "processes"),
    (&["std", "time", "Instant"], "clock"),
    (&["std", "time", "SystemTime"], "clock"),
];

const LINES_OF_MAIN: usize = 30;
const LINES_WORTH_A_LOOK: usize = 400;

/// The rows of the first table whose header begins with `layer`. A layer may import only rows
/// above its own, so that data flows one way; `all` stands for all of those.
fn layers_of(markdown: &str) -> Vec<Layer> {
    let mut layers: Vec<Layer> = Vec::new();
    let table = markdown
        .lines()
        .skip_while(|line| !line.starts_with("| layer |"));
    for line in table.take_while(|line| line.starts_with('|')).skip(2) {
        let row: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert_eq!(row.len(), 4, "a row of the table has four cells: {line}");
        let above: BTreeSet<String> = layers.iter().map(|layer| layer.name.clone()).collect();
        let imports = if row[2] == "all" {
            above.clone()
        } else {
            words(row[2])
        };
        assert!(
            imports.is_subset(&above),
            "{} imports what is not above it: {line}",
            row[0]
        );
        layers.push(Layer {
            name: row[0].replace('`', ""),
            imports,
            outside: words(row[3]),
        });
    }
    assert!(!layers.is_empty(), "no table of layers");
    layers
}

/// The words in backquotes.
fn words(cell: &str) -> BTreeSet<String> {
    cell.split('`')
        .skip(1)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

/// Everything in `source` that `layer` may not do. `depth` is how many modules the file is below
/// the crate's root: from there `super` leads out of the layer.
fn trespasses(layers: &[Layer], layer: &Layer, depth: usize, source: &str) -> Vec<String> {
    let mut found = Vec::new();
    for path in rust_source::paths(source) {
        if let Some(target) = imported(layers, depth, &path)
            && target != layer.name
            && !layer.imports.contains(target)
        {
            found.push(format!("{} may not import {}", layer.name, path.join("::")));
        }
        if let Some(what) = outside(&path)
            && !layer.outside.contains(what)
        {
            found.push(format!(
                "{} may not touch {what}: {}",
                layer.name,
                path.join("::")
            ));
        }
    }
    found
}

/// The layer that a path leads into, or the word after `crate` where that is none: what `lib.rs`
/// re-exports is for users, layers name each other.
fn imported<'a>(layers: &[Layer], depth: usize, path: &'a [String]) -> Option<&'a str> {
    let first = path.first()?;
    if first == "crate" || first == "mqttscope" {
        return path.get(1).map(String::as_str);
    }
    let supers = path.iter().take_while(|word| *word == "super").count();
    let target = path.get(supers)?;
    let leaves = supers >= depth.max(1) && layers.iter().any(|layer| layer.name == *target);
    leaves.then_some(target)
}

fn outside(path: &[String]) -> Option<&'static str> {
    let begins = |pattern: &[&str]| {
        path.len() >= pattern.len()
            && pattern
                .iter()
                .zip(path)
                .all(|(expected, word)| word.starts_with(expected))
    };
    let by_path = OUTSIDE
        .iter()
        .find(|(pattern, _)| begins(pattern))
        .map(|(_, what)| *what);
    // However it was imported.
    let clock = path.ends_with(&["Instant".into(), "now".into()])
        || path.ends_with(&["SystemTime".into(), "now".into()]);
    by_path.or(clock.then_some("clock"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn layers() -> Vec<Layer> {
    let table = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    layers_of(&table)
}

/// Every Rust file below `directory` that is not a test, relative to `src/`.
fn source_files() -> Vec<PathBuf> {
    let source = root().join("src");
    let mut open = vec![source.clone()];
    let mut files = Vec::new();
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("a directory of sources") {
            let path = entry.expect("an entry of it").path();
            let name = path.file_name().unwrap_or_default();
            if path.is_dir() && name != "tests" {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") && name != "tests.rs" {
                files.push(path.strip_prefix(&source).expect("below src").to_owned());
            }
        }
    }
    files.sort();
    files
}

/// `tcp/flow.rs` → (`tcp`, 2), `tcp/mod.rs` → (`tcp`, 1), `time.rs` → (`time`, 1), `lib.rs` → 0.
fn place_of(file: &Path) -> (String, usize) {
    let parts: Vec<String> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    let is_module_file = parts.last().is_some_and(|last| last == "mod");
    let is_root = parts == ["lib"] || parts == ["main"];
    let depth = if is_root {
        0
    } else {
        parts.len() - usize::from(is_module_file)
    };
    (parts[0].clone(), depth)
}

fn read(file: &Path) -> String {
    fs::read_to_string(root().join("src").join(file)).expect("a readable source file")
}

#[test]
fn no_layer_knows_more_than_the_table_allows() {
    let layers = layers();
    let mut found = Vec::new();
    for file in source_files() {
        let (name, depth) = place_of(&file);
        let Some(layer) = layers.iter().find(|layer| layer.name == name) else {
            found.push(format!(
                "src/{} is in no layer of ARCHITECTURE.md",
                file.display()
            ));
            continue;
        };
        for trespass in trespasses(&layers, layer, depth, &read(&file)) {
            found.push(format!("src/{}: {trespass}", file.display()));
        }
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn the_table_names_nothing_that_does_not_exist() {
    let present: BTreeSet<String> = source_files().iter().map(|file| place_of(file).0).collect();
    let named: BTreeSet<String> = layers().into_iter().map(|layer| layer.name).collect();
    let absent: Vec<_> = named.difference(&present).collect();
    assert!(
        absent.is_empty(),
        "in ARCHITECTURE.md but not in src/: {absent:?}"
    );
}

#[test]
fn main_is_short() {
    let lines = read(Path::new("main.rs")).lines().count();
    assert!(
        lines <= LINES_OF_MAIN,
        "main.rs has {lines} lines: what it does belongs in cli"
    );
}

/// Only a word of warning: a long file can be right.
#[test]
fn long_files_are_named() {
    let files = source_files();
    assert!(files.len() > 2, "the sources were not found");
    for file in files {
        let source = read(&file);
        let lines = source
            .lines()
            .take_while(|line| *line != "#[cfg(test)]")
            .count();
        if lines > LINES_WORTH_A_LOOK {
            eprintln!("src/{}: {lines} lines, worth a look", file.display());
        }
    }
}

#[test]
#[should_panic(expected = "imports what is not above it")]
fn a_table_in_which_data_flows_back_is_refused() {
    layers_of("| layer |\n|-|\n| `wire` | | `tcp` | |\n| `tcp` | | `wire` | |\n");
}

/// The checks themselves, on a small house.
#[test]
fn trespasses_are_seen() {
    let layers = layers_of(
        "| layer | what | may import | outside |\n| --- | --- | --- | --- |\n\
         | `time` | clock | – | – |\n| `wire` | segments | `time` | – |\n\
         | `tcp` | streams | `wire` | – |\n| `cli` | commands | all | `files`, `clock` |\n",
    );
    let check = |name: &str, depth, source: &str| {
        let layer = layers
            .iter()
            .find(|layer| layer.name == name)
            .expect("a layer");
        trespasses(&layers, layer, depth, source).len()
    };
    assert_eq!(
        check("tcp", 1, "use crate::wire::Segment; use crate::tcp::Flow;"),
        0
    );
    assert_eq!(check("tcp", 1, "use crate::time::Timestamp;"), 1);
    assert_eq!(
        check("wire", 1, "use crate::{time::Timestamp, tcp::{Flow, Gap}};"),
        2
    );
    assert_eq!(
        check("wire", 1, "fn f() -> crate::tcp::Flow { todo!() }"),
        1
    );
    assert_eq!(check("wire", 1, "use super::tcp::Flow;"), 1);
    assert_eq!(check("wire", 2, "use super::super::tcp::Flow;"), 1);
    assert_eq!(check("wire", 2, "use super::tcp::OptionsOfOurOwn;"), 0);
    assert_eq!(
        check("wire", 1, "use crate::Timestamp;"),
        1,
        "through lib.rs"
    );
    assert_eq!(
        check(
            "cli",
            1,
            "use crate::{tcp::Flow, wire::*}; use mqttscope::time::T;"
        ),
        0
    );
    assert_eq!(
        check("tcp", 1, "use std::{collections::HashMap, fs::File};"),
        1
    );
    assert_eq!(check("tcp", 1, "use std::net::{IpAddr, TcpStream};"), 1);
    assert_eq!(check("tcp", 1, "fn f() { std::thread::spawn(g); }"), 1);
    assert_eq!(
        check("tcp", 1, "fn f() { let _ = time::Instant::now(); }"),
        1
    );
    assert_eq!(check("tcp", 1, "use std::time::{Duration, SystemTime};"), 1);
    assert_eq!(
        check(
            "cli",
            1,
            "use std::fs; fn f() { std::time::Instant::now(); }"
        ),
        0
    );
}
