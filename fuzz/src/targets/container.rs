//! Capture files. The input is the file, and it is read twice: in one piece, and in pieces as a
//! slow pipe would give them. Both must hand out the same.

use std::io::{Cursor, Read};

use mqttscope::capture::{Capture, Item};
use xxhash_rust::xxh3::xxh3_64;

use crate::input::Random;

/// For the mutator.
pub const TOKENS: &[&[u8]] = &[
    b"\x4d\x3c\xb2\xa1",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\xc3\xd4",
    b"\x34\xcd\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
    b"\x4d\x3c\x2b\x1a",
    b"\x1a\x2b\x3c\x4d",
    b"\x1f\x8b\x08\0",
    b"\x28\xb5\x2f\xfd",
    b"\x01\0\0\0",
    b"\x03\0\0\0",
    b"\x05\0\0\0",
    b"\x06\0\0\0",
    b"\x0a\0\0\0",
    b"\xff\xff\xff\xff",
    b"\0\0\0\x01",
    b"\x09\0\x01\0",
    b"\x0e\0\x08\0",
];

/// Frames after which a run stops: packed files unfold to much more than their size.
const ENOUGH: usize = 20_000;

/// Runs one input.
pub fn run(data: &[u8]) {
    let whole = read(Box::new(Cursor::new(data.to_vec())), data.len());
    let pieces = read(
        Box::new(Pieces {
            data: data.to_vec(),
            position: 0,
            random: Random::new(data.len() as u64),
        }),
        data.len(),
    );
    agree(&whole, &pieces);
}

/// What a foreign file is taken for depends on how much of it was there at once, and so does how
/// much of a damaged packed stream can be unpacked. All else must be the same.
fn agree(whole: &Outcome, pieces: &Outcome) {
    match (whole, pieces) {
        (Outcome::NoCapture, Outcome::NoCapture) => {}
        (Outcome::Read(whole), Outcome::Read(pieces)) if whole.damaged() || pieces.damaged() => {
            assert!(
                whole.items.starts_with(&pieces.items) || pieces.items.starts_with(&whole.items)
            );
        }
        (Outcome::Read(whole), Outcome::Read(pieces)) => assert_eq!(whole, pieces),
        // The damage is in the first bytes.
        (Outcome::NoCapture, Outcome::Read(read)) | (Outcome::Read(read), Outcome::NoCapture) => {
            assert!(read.packed, "{:?}", read.warnings);
        }
    }
}

/// What a frame was: number, tap, link type, time, length on the wire, hash of its bytes.
type Seen = (u64, u16, u16, i64, u32, u64);

/// All that a file gave, or that it is no capture.
enum Outcome {
    NoCapture,
    Read(Content),
}

#[derive(Debug, PartialEq, Eq)]
struct Content {
    items: Vec<Seen>,
    warnings: Vec<String>,
    truncated: bool,
    packed: bool,
    taps: usize,
}

impl Content {
    /// It is packed, and the packing is damaged.
    fn damaged(&self) -> bool {
        let failed = |warning: &String| warning.contains("reading failed");
        self.packed && self.warnings.iter().any(failed)
    }
}

fn read(source: Box<dyn Read + Send>, length: usize) -> Outcome {
    let mut capture = match Capture::from_reader("fuzz", source) {
        Ok(capture) => capture,
        Err(error) => {
            let reason = error.to_string();
            assert!(!reason.is_empty());
            return Outcome::NoCapture;
        }
    };
    let (mut items, mut frames, mut number) = (Vec::new(), 0_u64, 0);
    while items.len() < ENOUGH {
        let Some(item) = capture.next_item() else {
            break;
        };
        match item {
            Item::Frame(frame) => {
                assert!(frame.number > number, "frame numbers go up");
                assert!(frame.wire_length as usize >= frame.bytes.len());
                assert_eq!(frame.file, 0);
                number = frame.number;
                frames += 1;
                items.push((
                    frame.number,
                    frame.tap,
                    frame.link_type.0,
                    frame.time.as_nanos(),
                    frame.wire_length,
                    xxh3_64(frame.bytes),
                ));
            }
            Item::Secrets {
                file,
                format,
                bytes,
            } => {
                assert_eq!(file, 0);
                items.push((0, 0, 0, 0, format.0, xxh3_64(bytes)));
            }
        }
    }
    if items.len() < ENOUGH {
        assert!(capture.next_item().is_none(), "nothing after the end");
    }
    let summary = &capture.files()[0];
    let taps = capture.taps().len();
    // Blocks that are no packets but that Wireshark numbers count too.
    assert!(summary.frames >= frames + summary.unassigned_frames);
    assert!(number <= summary.frames);
    assert!(summary.compression.is_some() || summary.bytes <= length as u64);
    assert!(summary.first <= summary.last);
    assert!(
        items
            .iter()
            .all(|&(number, tap, ..)| number == 0 || usize::from(tap) < taps)
    );
    Outcome::Read(Content {
        items,
        warnings: summary.warnings.iter().map(ToString::to_string).collect(),
        truncated: summary.truncated,
        packed: summary.compression.is_some(),
        taps,
    })
}

/// Gives one to seven bytes at a time, and now and then is interrupted.
struct Pieces {
    data: Vec<u8>,
    position: usize,
    random: Random,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.random.below(16) == 0 {
            return Err(std::io::ErrorKind::Interrupted.into());
        }
        let left = &self.data[self.position..];
        let count = (1 + self.random.below(7)).min(into.len()).min(left.len());
        into[..count].copy_from_slice(&left[..count]);
        self.position += count;
        Ok(count)
    }
}
