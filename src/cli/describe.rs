//! What captures say of themselves, for the summary.

use crate::capture::{Capture, FileSummary};
use crate::results::{CaptureSummary, Summary, TapSummary, escape};
use crate::time::Timestamp;

/// A file, and how many frames are missing in it, if it tells.
pub(super) fn describe_file(file: &FileSummary) -> (CaptureSummary, Option<u64>) {
    let described = CaptureSummary {
        path: path_of(file),
        format: match file.compression {
            Some(compression) => format!("{} ({compression})", file.container),
            None => file.container.to_string(),
        },
        link_types: file.link_types.iter().map(ToString::to_string).collect(),
        frames: file.frames,
        bytes: file.bytes,
        first_ns: file.first.map(Timestamp::as_nanos),
        last_ns: file.last.map(Timestamp::as_nanos),
        truncated: file.truncated,
        warnings: file.warnings.iter().map(ToString::to_string).collect(),
    };
    let drops = match (file.dropped_by_interface, file.dropped_by_system) {
        (None, None) => None,
        (interface, system) => Some(interface.unwrap_or(0).saturating_add(system.unwrap_or(0))),
    };
    (described, drops)
}

/// Adds files and taps.
pub(super) fn describe(summary: &mut Summary, capture: &Capture) {
    for file in capture.files() {
        let (described, drops) = describe_file(file);
        summary.captures.push(described);
        if let Some(drops) = drops {
            let sum = summary.capture_drops.unwrap_or(0).saturating_add(drops);
            summary.capture_drops = Some(sum);
        }
    }
    summary.taps = (0_u16..)
        .zip(capture.taps())
        .map(|(tap, description)| TapSummary {
            tap,
            paths: description
                .files
                .iter()
                .filter_map(|&file| capture.files().get(file as usize).map(path_of))
                .collect(),
            interface: description
                .name
                .as_ref()
                .map(|name| escape(name.as_bytes()).into_owned()),
            link_type: description.link_type.to_string(),
        })
        .collect();
}

fn path_of(file: &FileSummary) -> String {
    escape(file.path.as_os_str().as_encoded_bytes()).into_owned()
}
