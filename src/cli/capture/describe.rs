//! What a capture says of itself, for the summary.

use std::path::Path;

use crate::capture::live::{CaptureCounts, TapNote};
use crate::cli::describe::describe_file;
use crate::results::{CaptureSummary, Summary, TapSummary, escape};
use crate::time::Timestamp;

use super::source::Ended;

/// Adds it.
pub(super) fn describe(
    summary: &mut Summary,
    path: &Path,
    ended: &Ended,
    (taps, span): (&[TapNote], Option<(Timestamp, Timestamp)>),
    counts: CaptureCounts,
) {
    let name = escape(path.as_os_str().as_encoded_bytes()).into_owned();
    let mut capture = CaptureSummary {
        path: name.clone(),
        format: "live".to_owned(),
        frames: counts.frames,
        bytes: counts.bytes,
        first_ns: span.map(|(first, _)| first.as_nanos()),
        last_ns: span.map(|(_, last)| last.as_nanos()),
        ..CaptureSummary::default()
    };
    for tap in taps {
        let link_type = tap.link_type.to_string();
        if !capture.link_types.contains(&link_type) {
            capture.link_types.push(link_type);
        }
    }
    summary.capture_drops = ended.device.then(|| counts.dropped());
    if let Some(file) = ended.stream.as_ref().and_then(|end| end.file.as_ref()) {
        let (described, drops) = describe_file(file);
        capture = CaptureSummary {
            path: name.clone(),
            ..described
        };
        summary.capture_drops = drops;
    }
    summary.captures = vec![capture];
    summary.taps = taps
        .iter()
        .map(|tap| TapSummary {
            tap: tap.tap,
            paths: vec![name.clone()],
            interface: tap
                .name
                .as_ref()
                .map(|name| escape(name.as_bytes()).into_owned()),
            link_type: tap.link_type.to_string(),
        })
        .collect();
}
