//! What the specification says of sessions and exchanges, as conversations: each file of
//! `tests/conversations/` is sent through the whole pipeline as TCP segments, and everything that
//! the pipeline tells is compared with what the file expects. See `tests/conversations/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use crate::conversation::script::Script;
use crate::conversation::{compare, observed, shorthand, wire};

fn scripts() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversations");
    let mut paths: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "toml")
        })
        .collect();
    paths.sort();
    paths
}

/// What is wrong with one script; empty where nothing is.
fn failure(path: &Path) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let script: Script = match toml::from_str(&fs::read_to_string(path).unwrap()) {
        Ok(script) => script,
        Err(error) => return format!("{name}: {error}\n"),
    };
    let steps = shorthand::spelled_out(&script.steps);
    let frames = wire::frames(&steps);
    let seen = observed::analyze(&frames, &wire::connection_names(&steps));
    let difference = compare::difference(&script.expect, &seen);
    if difference.is_empty() {
        difference
    } else {
        format!("{name}: {}\n{difference}\n", script.about)
    }
}

/// `CONVERSATION=name` runs only the scripts whose name contains it.
#[test]
fn every_conversation_is_understood() {
    let wanted = std::env::var("CONVERSATION").unwrap_or_default();
    let scripts: Vec<PathBuf> = scripts()
        .into_iter()
        .filter(|path| path.to_string_lossy().contains(&wanted))
        .collect();
    assert!(!scripts.is_empty(), "no script is called {wanted:?}");
    let failures: Vec<String> = scripts
        .iter()
        .map(|path| failure(path))
        .filter(|text| !text.is_empty())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} conversations: - is missing, + was not expected\n\n{}",
        failures.len(),
        scripts.len(),
        failures.concat()
    );
}
