//! What is kept of a cell's capture: packets cut to a length, compressed.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use super::error::StudyError;
use crate::capture::{Capture, Interface, Item, PcapngWriter};
use crate::frame::LinkType;
use crate::lab::Host;
use crate::probe::CellPlan;

/// What a cell's capture is called.
#[must_use]
pub fn file_name(cell: u32) -> String {
    format!("cell-{cell:04}.pcapng.zst")
}

/// zstd's level: fast, since it runs between two cells.
const LEVEL: i32 = 3;
/// IP and TCP headers with the timestamps that Linux sends.
const HEADERS: u64 = 52;
/// By how much PUBLISH packets of one cell differ in length: packet identifier, properties.
const SLACK: u64 = 16;

/// Copies the packets of a recording to `to`, cut to `snap_length` bytes (0: whole), with zstd.
/// The file has its name when it is whole.
///
/// TCP puts small messages together when it sends them late or again, and a cut would hide all
/// but the first: a packet that holds more than one message is kept whole.
///
/// # Errors
///
/// What cannot be read or written.
pub fn keep(from: &Path, to: &Path, plan: &CellPlan, snap_length: u32) -> Result<(), StudyError> {
    let mut aside = to.as_os_str().to_owned();
    aside.push(".partial");
    let aside = Path::new(&aside);
    let failed = |source| StudyError::Write {
        path: to.to_owned(),
        source,
    };
    let mut capture = Capture::open(&[from]).map_err(StudyError::Capture)?;
    let write = |capture: &mut Capture| -> io::Result<()> {
        let file = BufWriter::new(File::create(aside)?);
        let compressed = zstd::Encoder::new(file, LEVEL)?;
        let application = concat!("mqttscope ", env!("CARGO_PKG_VERSION"));
        let mut writer = PcapngWriter::new(compressed, application)?;
        for host in Host::ALL {
            let description = format!("the {host}'s end of the emulated links");
            writer.add_interface(&Interface {
                description: Some(&description),
                ..Interface::new(LinkType::RAW).with_name(host.name())
            })?;
        }
        let kept = |length: u32| kept_bytes(length, plan, snap_length);
        while let Some(item) = capture.next_item() {
            if let Item::Frame(frame) = item {
                let bytes = &frame.bytes[..frame.bytes.len().min(kept(frame.wire_length))];
                let tap = u32::from(frame.tap);
                writer.write_frame(tap, frame.time, frame.wire_length, bytes, None)?;
            }
        }
        writer.into_inner()?.finish()?.flush()
    };
    write(&mut capture).map_err(failed)?;
    fs::rename(aside, to).map_err(failed)
}

/// How many bytes are kept of a packet of this length.
fn kept_bytes(length: u32, plan: &CellPlan, snap_length: u32) -> usize {
    let one_message = HEADERS + plan.packet_bytes() + SLACK;
    let is_one_segment = one_message <= 1_500;
    let holds_several = is_one_segment && u64::from(length) > one_message;
    if snap_length == 0 || holds_several {
        usize::MAX
    } else {
        snap_length as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_with_several_messages_is_kept_whole() {
        let small = CellPlan {
            payload_bytes: 16,
            ..CellPlan::default()
        };
        assert_eq!(kept_bytes(130, &small, 160), 160);
        assert_eq!(kept_bytes(400, &small, 160), usize::MAX);
        let large = CellPlan {
            payload_bytes: 16_384,
            ..CellPlan::default()
        };
        assert_eq!(kept_bytes(1_500, &large, 160), 160);
        assert_eq!(kept_bytes(1_500, &large, 0), usize::MAX);
    }
}
