//! Captures from elsewhere, with the packets that are in them: too large, and not ours to hand
//! on, so they are no part of the project. Who has them puts them into the directory
//! `shared/captures` beside the project's own, or names theirs in `MQTTSCOPE_CAPTURES`. The
//! tests that need them skip themselves, in words, where they are missing.

use std::path::{Path, PathBuf};

/// The directory of the captures, or a notice why there is none.
pub(crate) fn captures() -> Option<PathBuf> {
    let path = std::env::var_os("MQTTSCOPE_CAPTURES").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/captures"),
        PathBuf::from,
    );
    if path.join("truth").is_dir() {
        return Some(path);
    }
    eprintln!(
        "skipped: there are no captures to compare with at {}",
        path.display()
    );
    None
}
