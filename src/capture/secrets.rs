//! The secrets of a pcapng file without its frames: a quick pass over the blocks' headers, so that
//! keys are known before the frames that need them, wherever in the file they stand.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use super::byte_order::ByteOrder;
use super::{MAX_RECORD, SecretsFormat};

const SECTION_HEADER: u32 = 0x0a0d_0d0a;
const DECRYPTION_SECRETS: u32 = 10;

/// Most blocks of secrets that are read from one file.
const MAX_BLOCKS: usize = 1 << 16;

/// Hands out the Decryption Secrets Blocks of a file. `false`: the file cannot be looked through
/// without reading all of it (it is packed, or no regular file); its secrets come with its frames.
/// Damage ends the pass and is no error here: whoever reads the frames tells of it.
///
/// # Errors
///
/// If the file cannot be opened or read.
pub fn read_secrets(path: &Path, mut take: impl FnMut(SecretsFormat, &[u8])) -> io::Result<bool> {
    let file = File::open(path)?;
    let length = file.metadata()?;
    if !length.is_file() {
        return Ok(false);
    }
    let length = length.len();
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut order = ByteOrder::Little;
    let (mut at, mut blocks) = (0_u64, 0_usize);
    // Block type, total length, and of a section header the byte-order magic.
    let mut head = [0; 12];
    while at < length && read_whole(&mut reader, &mut head)? {
        let mut block = order.u32(&head, 0);
        if block == SECTION_HEADER {
            order = match head.last_chunk() {
                Some([0x1a, 0x2b, 0x3c, 0x4d]) => ByteOrder::Big,
                Some([0x4d, 0x3c, 0x2b, 0x1a]) => ByteOrder::Little,
                _ => break,
            };
            block = SECTION_HEADER;
        } else if at == 0 {
            // pcap has no secrets; anything else is packed, or none of ours.
            let magic = ByteOrder::Little.u32(&head, 0);
            return Ok(matches!(
                magic,
                0xa1b2_c3d4 | 0xd4c3_b2a1 | 0xa1b2_3c4d | 0x4d3c_b2a1
            ));
        }
        let total = order.u32(&head, 4);
        if !(12..=MAX_RECORD).contains(&total) {
            break;
        }
        let rest = total.saturating_sub(12);
        if block == DECRYPTION_SECRETS && blocks < MAX_BLOCKS {
            blocks = blocks.saturating_add(1);
            let mut body = vec![0; rest as usize];
            if !read_whole(&mut reader, &mut body)? {
                break;
            }
            // The type stood in the head; then come the length and the secrets.
            let format = SecretsFormat(order.u32(&head, 8));
            let count = order.u32(&body, 0) as usize;
            if let Some(secrets) = body.get(4..).and_then(|secrets| secrets.get(..count)) {
                take(format, secrets);
            }
        } else {
            reader.seek_relative(i64::from(rest))?;
        }
        at = at.saturating_add(u64::from(total));
    }
    Ok(true)
}

/// Fills `bytes`; `false` at the end of the file.
fn read_whole(reader: &mut impl Read, bytes: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(bytes) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;
    use crate::capture::{Interface, PcapngWriter};
    use crate::frame::LinkType;
    use crate::time::Timestamp;

    fn found(bytes: &[u8]) -> (bool, Vec<Vec<u8>>) {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        let mut found = Vec::new();
        let whole = read_secrets(&path, |format, secrets| {
            assert_eq!(format, SecretsFormat::TLS_KEY_LOG);
            found.push(secrets.to_vec());
        });
        (whole.unwrap(), found)
    }

    #[test]
    fn secrets_behind_frames_are_found_first() {
        let mut writer = PcapngWriter::new(Vec::new(), "test").unwrap();
        let interface = writer
            .add_interface(&Interface::new(LinkType::ETHERNET))
            .unwrap();
        for (number, secrets) in [b"one".as_slice(), b"", b"three!!"].into_iter().enumerate() {
            let frame = vec![0; 1000 * number];
            let length = frame.len() as u32;
            let time = Timestamp::from_nanos(1);
            writer
                .write_frame(interface, time, length, &frame, None)
                .unwrap();
            writer
                .write_secrets(SecretsFormat::TLS_KEY_LOG, secrets)
                .unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let secrets = vec![b"one".to_vec(), Vec::new(), b"three!!".to_vec()];
        assert_eq!(found(&bytes), (true, secrets));
        for cut in 0..bytes.len() {
            let (_, secrets) = found(&bytes[..cut]);
            assert!(secrets.len() <= 3);
        }
    }

    #[test]
    fn other_files_have_none() {
        assert_eq!(
            found(&[0xd4, 0xc3, 0xb2, 0xa1, 0, 0, 0, 0, 0, 0, 0, 0]),
            (true, Vec::new())
        );
        assert_eq!(
            found(&[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
            (false, Vec::new())
        );
        assert_eq!(found(b""), (true, Vec::new()));
    }
}
