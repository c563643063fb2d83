//! `decode -w`: the frames that the printed packets came in.
//!
//! The captures are read twice. While the packets are printed, the frames that carried them are
//! noted, one bit each; then the captures are read again and those frames are copied. So memory
//! does not follow how much is selected, and frames that arrived ahead of a hole are found too.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{self, BufWriter, Seek};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::analysis::{BytesEvent, rows};
use crate::capture::{Capture, Interface, Item, PcapngWriter, TapSummary};
use crate::tcp::Endpoint;

use super::error::Failure;
use super::input::Input;

/// Most frames noted for unfinished packets, in all streams together (the largest packet, 256 MiB,
/// fills 200,000 of usual length). Beyond it, a stream forgets its oldest for each new one.
const PENDING: usize = 1 << 22;

/// One bit for each frame of each file.
#[derive(Debug, Default)]
struct FrameSet {
    files: Vec<Vec<u64>>,
}

impl FrameSet {
    fn insert(&mut self, (file, frame): (u32, u64)) {
        let (file, word) = (file as usize, (frame / 64) as usize);
        if self.files.len() <= file {
            self.files.resize_with(file + 1, Vec::new);
        }
        let Some(words) = self.files.get_mut(file) else {
            return;
        };
        if words.len() <= word {
            words.resize(word + 1, 0);
        }
        if let Some(bits) = words.get_mut(word) {
            *bits |= 1 << (frame % 64);
        }
    }

    fn contains(&self, file: u32, frame: u64) -> bool {
        let word = self
            .files
            .get(file as usize)
            .and_then(|words| words.get((frame / 64) as usize));
        word.is_some_and(|bits| bits & (1 << (frame % 64)) != 0)
    }
}

/// Bytes of a stream, and the frame that carried them.
#[derive(Clone, Copy, Debug)]
struct Carried {
    extent: (u64, u64),
    seen_in: (u32, u64),
}

/// One direction of a connection, by its sender: who is the broker may turn out later.
#[derive(Debug)]
struct Side {
    sender: Endpoint,
    carried: VecDeque<Carried>,
}

/// What is open in one slot of the flow table.
#[derive(Debug, Default)]
struct Pending {
    connection: u64,
    sides: Vec<Side>,
}

/// Notes which frames carried the packets that are selected.
#[derive(Debug, Default)]
pub(super) struct FrameNotes {
    slots: Vec<Pending>,
    pending: usize,
    selected: FrameSet,
    /// Frames that were forgotten to stay within limits.
    pub(super) forgotten: u64,
}

impl FrameNotes {
    /// Bytes went by; which packet they belong to is told later.
    pub(super) fn bytes(&mut self, event: &BytesEvent<'_>) {
        let sender = rows::endpoints(event.state, event.towards).0;
        let connection = event.state.facts.number;
        if self.slots.len() <= event.slot {
            self.slots.resize_with(event.slot + 1, Pending::default);
        }
        let Some(slot) = self.slots.get_mut(event.slot) else {
            return;
        };
        if slot.connection != connection {
            self.pending -= slot.sides.iter().map(|s| s.carried.len()).sum::<usize>();
            slot.connection = connection;
            slot.sides.clear();
        }
        let index = match slot.sides.iter().position(|side| side.sender == sender) {
            Some(index) => index,
            None => {
                let carried = VecDeque::new();
                slot.sides.push(Side { sender, carried });
                slot.sides.len() - 1
            }
        };
        let Some(side) = slot.sides.get_mut(index) else {
            return;
        };
        let is_past = |bytes: &Carried| bytes.extent.1 <= event.needed_from;
        while side.carried.front().is_some_and(is_past) {
            side.carried.pop_front();
            self.pending -= 1;
        }
        if self.pending >= PENDING && side.carried.pop_front().is_some() {
            self.pending -= 1;
            self.forgotten += 1;
        }
        let (extent, seen_in) = (event.extent, event.seen_in);
        side.carried.push_back(Carried { extent, seen_in });
        self.pending += 1;
    }

    /// A packet that is selected lies within `extent` of what `sender` sent.
    pub(super) fn select(&mut self, slot: usize, sender: Endpoint, extent: (u64, u64)) {
        let sides = self.slots.get(slot).map(|slot| &slot.sides);
        let side = sides.and_then(|sides| sides.iter().find(|side| side.sender == sender));
        let carried = side.into_iter().flat_map(|side| &side.carried);
        for bytes in carried {
            if bytes.extent.0 < extent.1 && extent.0 < bytes.extent.1 {
                self.selected.insert(bytes.seen_in);
            }
        }
    }
}

/// The file to be written: aside until it is whole.
pub(super) struct FrameFile {
    path: PathBuf,
    aside: NamedTempFile,
}

impl FrameFile {
    /// Opens it before anything is read, so that a bad path is told at once.
    pub(super) fn create(path: &Path, input: &Input) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Err(Failure::FramesToStdout);
        }
        let wrap = |source| Failure::Write {
            path: path.to_owned(),
            source,
        };
        if let Ok(known) = fs::metadata(path) {
            if !known.is_file() {
                return Err(Failure::OutputNotAFile(path.to_owned()));
            }
            let itself = path.canonicalize().map_err(wrap)?;
            let mut inputs = input.capture.files().iter();
            if inputs.any(|file| file.path.canonicalize().is_ok_and(|path| path == itself)) {
                return Err(Failure::OutputIsInput(path.to_owned()));
            }
        }
        let mut builder = tempfile::Builder::new();
        builder.prefix(".mqttscope-").suffix(".partial");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            // As any other file that a program makes: the user's umask decides.
            builder.permissions(fs::Permissions::from_mode(0o666));
        }
        let aside = builder.tempfile_in(directory_of(path)).map_err(|error| {
            // The name of the file aside says nothing to anyone.
            wrap(io::Error::from(error.kind()))
        })?;
        Ok(Self {
            path: path.to_owned(),
            aside,
        })
    }

    /// Reads the captures again and copies what was noted; tells how many frames that were.
    pub(super) fn write(self, notes: &FrameNotes, input: &Input) -> Result<u64, Failure> {
        let mut again = input.open_again()?;
        let wrap = |source| Failure::Write {
            path: self.path.clone(),
            source,
        };
        let written = copy(
            &notes.selected,
            &mut again,
            input.capture.taps(),
            self.aside.as_file(),
        )
        .map_err(wrap)?;
        self.aside
            .persist(&self.path)
            .map_err(|error| wrap(error.error))?;
        Ok(written)
    }
}

fn copy(
    selected: &FrameSet,
    capture: &mut Capture,
    taps: &[TapSummary],
    out: &File,
) -> io::Result<u64> {
    let application = concat!("mqttscope ", env!("CARGO_PKG_VERSION"));
    let mut writer = PcapngWriter::new(BufWriter::with_capacity(256 << 10, out), application)?;
    let mut interfaces: Vec<Option<u32>> = vec![None; taps.len()];
    let mut written = 0_u64;
    while let Some(item) = capture.next_item() {
        let Item::Frame(frame) = item else { continue };
        if !selected.contains(frame.file, frame.number) {
            continue;
        }
        let tap = usize::from(frame.tap);
        let interface = match interfaces.get(tap).copied().flatten() {
            Some(interface) => interface,
            None => {
                let name = taps.get(tap).and_then(|tap| tap.name.as_deref());
                let mut interface = Interface::new(frame.link_type);
                interface.name = name;
                let number = writer.add_interface(&interface)?;
                if let Some(place) = interfaces.get_mut(tap) {
                    *place = Some(number);
                }
                number
            }
        };
        writer.write_frame(interface, frame.time, frame.wire_length, frame.bytes, None)?;
        written += 1;
    }
    writer.flush()?;
    Ok(written)
}

fn directory_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

/// Standard input, or another stream that can be read only once, in a file that has no name: it
/// goes when the process goes.
pub(super) fn spool(mut stream: impl io::Read) -> io::Result<File> {
    let mut file = tempfile::tempfile()?;
    io::copy(&mut stream, &mut file)?;
    file.rewind()?;
    Ok(file)
}
