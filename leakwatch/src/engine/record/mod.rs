//! Recordings: every input as it reached the engine, appended to one file.
//!
//! Form: the eight bytes [`MAGIC`], then one frame an input: its length as a protobuf varint, then the message of `wire`.
//! A recording cut off anywhere replays up to its last whole frame.

mod convert;
mod wire;

use crate::engine::input::Input;
use prost::Message;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::BufWriter;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

/// First bytes of every recording; the last one is the version of the form.
pub const MAGIC: &[u8; 8] = b"LWREC\0\0\x01";

/// Largest frame accepted when reading: a profile is bounded well below this.
const MAX_FRAME_BYTES: u64 = 128 << 20;

/// A recording cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file cannot be opened, read or written.
    #[error("recording {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The file is something else.
    #[error("{path} is not a leakwatch recording of version 1")]
    NotARecording {
        /// The file.
        path: PathBuf,
    },
    /// A frame cannot be understood.
    #[error("recording {path}: frame {frame}: {detail}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Number of the frame, from 1.
        frame: u64,
        /// What is wrong with it.
        detail: String,
    },
    /// The recording reached its bound; nothing more is recorded.
    #[error("recording {path} reached its bound of {bound_bytes} bytes")]
    Full {
        /// The file.
        path: PathBuf,
        /// The bound.
        bound_bytes: u64,
    },
}

impl RecordError {
    /// The reason under which a lost input is counted.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Full { .. } => "recording_full",
            Self::Io { .. } | Self::NotARecording { .. } | Self::Malformed { .. } => "recording_failed",
        }
    }
}

/// Writes inputs to a file.
#[derive(Debug)]
pub struct Recorder {
    path: PathBuf,
    file: BufWriter<File>,
    written_bytes: u64,
    bound_bytes: u64,
    full: bool,
}

impl Recorder {
    /// Starts a recording; a file already there is replaced. Writes at most `bound_bytes`.
    pub fn create(path: &Path, bound_bytes: u64) -> Result<Self, RecordError> {
        let io_error = |source| RecordError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufWriter::new(File::create(path).map_err(io_error)?);
        file.write_all(MAGIC).map_err(io_error)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            written_bytes: MAGIC.len() as u64,
            bound_bytes,
            full: false,
        })
    }

    /// Appends an input. A tick flushes, so that at most one round is lost with the daemon. The first input over the
    /// bound ends the recording: a recording with a hole would replay to other answers.
    pub fn write(&mut self, input: &Input) -> Result<(), RecordError> {
        let frame = convert::to_wire(input).encode_length_delimited_to_vec();
        self.full |= self.written_bytes.saturating_add(frame.len() as u64) > self.bound_bytes;
        if self.full {
            return Err(RecordError::Full {
                path: self.path.clone(),
                bound_bytes: self.bound_bytes,
            });
        }
        self.written_bytes += frame.len() as u64;
        let io_error = |source| RecordError::Io {
            path: self.path.clone(),
            source,
        };
        let written = self.file.write_all(&frame).map_err(io_error);
        if written.is_err() {
            self.full = true;
        }
        written?;
        if matches!(input, Input::Tick { .. }) {
            self.finish()
        } else {
            Ok(())
        }
    }

    /// Writes out what is buffered.
    pub fn finish(&mut self) -> Result<(), RecordError> {
        self.file.flush().map_err(|source| RecordError::Io {
            path: self.path.clone(),
            source,
        })
    }
}

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
        let message = wire::Message::decode(frame.as_slice()).map_err(|error| self.malformed(error))?;
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

#[cfg(test)]
mod tests;
