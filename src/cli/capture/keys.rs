//! A key log that is still written to.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;

use crate::analysis::Pipeline;

/// Most that is read at a time, so that nothing else waits for long.
const AT_ONCE: usize = 1 << 20;

/// Follows a file as it grows, also one that is not there yet, or that is begun anew.
#[derive(Debug)]
pub(super) struct KeyLogFollower {
    path: PathBuf,
    file: Option<File>,
    at: u64,
    part: Vec<u8>,
}

impl KeyLogFollower {
    pub(super) fn new(path: PathBuf) -> Self {
        Self {
            path,
            file: None,
            at: 0,
            part: vec![0; 64 << 10],
        }
    }

    /// Hands on what was written since.
    pub(super) fn follow(&mut self, pipeline: &mut Pipeline) {
        // What cannot be read now may be so later.
        if self.try_follow(pipeline).is_err() {
            self.file = None;
            self.at = 0;
        }
    }

    fn try_follow(&mut self, pipeline: &mut Pipeline) -> io::Result<()> {
        if self.file.is_none() {
            match File::open(&self.path) {
                Ok(file) => self.file = Some(file),
                Err(_) => return Ok(()),
            }
        }
        let Some(file) = &mut self.file else {
            return Ok(());
        };
        if file.metadata()?.len() < self.at {
            self.at = 0;
            file.seek(SeekFrom::Start(0))?;
        }
        let mut total = 0;
        while total < AT_ONCE {
            let count = file.read(&mut self.part)?;
            if count == 0 {
                break;
            }
            pipeline.add_secrets(self.part.get(..count).unwrap_or_default());
            self.at = self.at.saturating_add(count as u64);
            total += count;
        }
        Ok(())
    }
}
