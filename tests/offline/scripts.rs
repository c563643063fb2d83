//! Scripts: conversations in files, each with everything that has to come of it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// Those of `tests/FOLDER` hold; where the environment's `variable` is set, those whose name
/// contains it. `check` gives what a script is about and how what came differs from it, which is
/// empty where nothing does.
pub(crate) fn all_hold<S: DeserializeOwned>(
    folder: &str,
    variable: &str,
    check: impl Fn(&str, S) -> (String, String),
) {
    let wanted = std::env::var(variable).unwrap_or_default();
    let mut scripts = paths(folder);
    scripts.retain(|path| path.to_string_lossy().contains(&wanted));
    assert!(!scripts.is_empty(), "no script is called {wanted:?}");
    let failures: Vec<String> = scripts
        .iter()
        .map(|path| failure(path, &check))
        .filter(|text| !text.is_empty())
        .collect();
    assert!(
        failures.is_empty(),
        "{} of {} {folder}: - is missing, + was not expected\n\n{}",
        failures.len(),
        scripts.len(),
        failures.concat()
    );
}

fn paths(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(folder);
    let entries = fs::read_dir(folder).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    paths
}

/// What is wrong with one script; empty where nothing is.
fn failure<S: DeserializeOwned>(
    path: &Path,
    check: impl Fn(&str, S) -> (String, String),
) -> String {
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    let script = match toml::from_str(&fs::read_to_string(path).unwrap()) {
        Ok(script) => script,
        Err(error) => return format!("{name}: {error}\n"),
    };
    let (about, difference) = check(&name, script);
    if difference.is_empty() {
        difference
    } else {
        format!("{name}: {about}\n{difference}\n")
    }
}
