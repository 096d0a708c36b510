//! Reads the inputs of a recording in order.

use crate::input::Input;
use crate::input::MAGIC;
use crate::input::RecordError;
use crate::input::convert;
use crate::input::messages;
use prost::Message as _;
use std::fs::File;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::io::Read as _;
use std::path::Path;
use std::path::PathBuf;

/// Largest frame accepted when reading: a profile is bounded well below this.
const MAX_FRAME_BYTES: u64 = 128 << 20;

/// Reads the inputs of a recording in order.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    file: BufReader<File>,
    frame: u64,
}

impl Recording {
    /// Opens a recording.
    pub fn open(path: &Path) -> Result<Self, RecordError> {
        let io_error = |source| RecordError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(io_error)?);
        let mut magic = [0; MAGIC.len()];
        let read = file.read_exact(&mut magic);
        if read.is_err() || magic != *MAGIC {
            return Err(RecordError::NotARecording { path: path.to_owned() });
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            frame: 0,
        })
    }

    fn next_input(&mut self) -> Result<Option<Input>, RecordError> {
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
        let message = messages::Message::decode(frame.as_slice()).map_err(|error| self.malformed(error))?;
        convert::from_wire(message)
            .map(Some)
            .map_err(|error| self.malformed(error))
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

impl Iterator for Recording {
    type Item = Result<Input, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_input().transpose()
    }
}
