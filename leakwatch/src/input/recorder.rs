//! Writes every input as it reached the engine to one file.

use crate::input::Head;
use crate::input::Input;
use crate::input::RecordError;
use crate::input::codec;
use crate::input::messages::MAGIC;
use std::fs::File;
use std::io::BufWriter;
use std::io::Write as _;
use std::path::Path;
use std::path::PathBuf;

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
    pub fn create(path: &Path, bound_bytes: u64, head: &Head) -> Result<Self, RecordError> {
        let io_error = |source| RecordError::Io {
            path: path.to_owned(),
            source,
        };
        let mut file = BufWriter::new(File::create(path).map_err(io_error)?);
        let head = codec::encode_head(head);
        file.write_all(&MAGIC).map_err(io_error)?;
        file.write_all(&head).map_err(io_error)?;
        Ok(Self {
            path: path.to_owned(),
            file,
            written_bytes: (MAGIC.len() + head.len()) as u64,
            bound_bytes,
            full: false,
        })
    }

    /// Appends an input. A tick flushes, so that at most one round is lost with the daemon. The first input over the
    /// bound ends the recording: a recording with a hole would replay to other answers.
    pub fn write(&mut self, input: &Input) -> Result<(), RecordError> {
        let frame = codec::encode(input);
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
