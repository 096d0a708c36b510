//! Reads the inputs of a recording in order.

use crate::input::Head;
use crate::input::Input;
use crate::input::RecordError;
use crate::input::Skipped;
use crate::input::codec;
use crate::input::messages::MAGIC;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

/// Largest frame accepted: a profile is bounded well below this.
const MAX_FRAME_BYTES: u64 = 128 << 20;

/// The only format without a head.
const HEADLESS: u8 = 1;

/// A recording that is being read.
#[derive(Debug)]
pub struct Recording<R> {
    path: PathBuf,
    file: R,
    frame: u64,
    head: Option<Head>,
    skipped: Skipped,
}

impl Recording<BufReader<File>> {
    /// Opens a recording.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let file = File::open(path).map_err(|source| RecordError::Io {
            path: path.to_owned(),
            source,
        })?;
        Self::read(BufReader::new(file), path)
    }
}

impl<R: BufRead> Recording<R> {
    /// Reads a recording from wherever it is; errors name it `path`.
    pub fn read(mut file: R, path: &Path) -> Result<Self, RecordError> {
        let mut magic = [0; MAGIC.len()];
        let read = file.read_exact(&mut magic);
        let ([name @ .., found], [expected @ .., newest]) = (magic, MAGIC);
        if read.is_err() || name != expected || found == 0 {
            return Err(RecordError::NotARecording { path: path.to_owned() });
        }
        if found > newest {
            return Err(RecordError::Newer {
                path: path.to_owned(),
                found,
                newest,
            });
        }
        let mut recording = Self {
            path: path.to_owned(),
            file,
            frame: 0,
            head: None,
            skipped: Skipped::default(),
        };
        if found > HEADLESS
            && let Some(frame) = recording.next_frame()?
        {
            let head = codec::decode_head(&frame).map_err(|error| recording.malformed(error))?;
            recording.head = Some(head);
        }
        Ok(recording)
    }

    /// Who made it; none for a recording of format 1, which does not tell.
    pub fn head(&self) -> Option<&Head> {
        self.head.as_ref()
    }

    /// What was left out so far.
    pub fn skipped(&self) -> Skipped {
        self.skipped
    }

    fn next_input(&mut self) -> Result<Option<Input>, RecordError> {
        while let Some(frame) = self.next_frame()? {
            let decoded = codec::decode(&frame, &mut self.skipped);
            if let Some(input) = decoded.map_err(|error| self.malformed(error))? {
                return Ok(Some(input));
            }
        }
        Ok(None)
    }

    fn next_frame(&mut self) -> Result<Option<Vec<u8>>, RecordError> {
        let at_end = self.file.fill_buf().map(<[u8]>::is_empty);
        if at_end.map_err(|source| self.io_error(source))? {
            return Ok(None);
        }
        self.frame += 1;
        let length = self.frame_length()?;
        let mut frame = Vec::new();
        let mut limited = (&mut self.file).take(length);
        let read = limited.read_to_end(&mut frame);
        read.map_err(|source| self.io_error(source))?;
        if (frame.len() as u64) < length {
            return Err(self.malformed("cut off"));
        }
        Ok(Some(frame))
    }

    fn frame_length(&mut self) -> Result<u64, RecordError> {
        let mut length = 0_u64;
        for shift in (0..63).step_by(7) {
            let mut byte = [0];
            let read = self.file.read_exact(&mut byte);
            read.map_err(|_end| self.malformed("cut off in its length"))?;
            length |= u64::from(byte[0] & 0x7f) << shift;
            if byte[0] & 0x80 == 0 {
                let fits = length <= MAX_FRAME_BYTES;
                return if fits {
                    Ok(length)
                } else {
                    Err(self.malformed("longer than the bound"))
                };
            }
        }
        Err(self.malformed("its length is not a varint"))
    }

    fn malformed(&self, detail: impl std::fmt::Display) -> RecordError {
        RecordError::Malformed {
            path: self.path.clone(),
            frame: self.frame,
            detail: detail.to_string(),
        }
    }

    fn io_error(&self, source: io::Error) -> RecordError {
        RecordError::Io {
            path: self.path.clone(),
            source,
        }
    }
}

impl<R: BufRead> Iterator for Recording<R> {
    type Item = Result<Input, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_input().transpose()
    }
}
