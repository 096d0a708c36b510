//! A file that is only appended to. What could not be written whole is taken off again, so that a full disk leaves no damage.

use super::codec::frame;
use super::codec::frame::Head;
use super::error::DiskError;
use std::fs::File;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;

/// The file.
#[derive(Debug)]
pub(crate) struct LogFile {
    path: PathBuf,
    file: File,
    /// End of the last whole frame.
    end: u64,
    /// Something may be behind the end.
    unclean: bool,
    unsynced: bool,
}

impl LogFile {
    /// Begins a file with its head.
    pub(crate) fn create(path: PathBuf, head: Head) -> Result<Self, DiskError> {
        let mut options = OpenOptions::new();
        let options = options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).map_err(DiskError::io(&path))?;
        let head = frame::encode_head(head);
        if let Err(source) = file.write_all_at(&head, 0) {
            // Without its head it is nothing.
            drop(std::fs::remove_file(&path));
            return Err(DiskError::Io { path, source });
        }
        Ok(Self {
            path,
            file,
            end: head.len() as u64,
            unclean: false,
            unsynced: true,
        })
    }

    /// Goes on with a file after the end of its last whole frame.
    pub(crate) fn resume(path: PathBuf, end: u64) -> Result<Self, DiskError> {
        let file = OpenOptions::new().read(true).write(true).open(&path);
        Ok(Self {
            file: file.map_err(DiskError::io(&path))?,
            path,
            end,
            unclean: true,
            unsynced: true,
        })
    }

    /// Puts it in its place.
    pub(crate) fn rename(&mut self, to: PathBuf) -> Result<(), DiskError> {
        std::fs::rename(&self.path, &to).map_err(DiskError::io(&self.path))?;
        self.path = to;
        Ok(())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// End of the last whole frame.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Appends a frame. Where it is, and its bytes.
    pub(crate) fn append(&mut self, kind: u8, payload: &[u8]) -> Result<(u64, u32), DiskError> {
        let mut bytes = Vec::with_capacity(payload.len() + frame::FRAME_HEAD_BYTES);
        frame::put_frame(&mut bytes, kind, payload).map_err(DiskError::encode(&self.path))?;
        let offset = self.end;
        self.append_bytes(&bytes)?;
        Ok((offset, u32::try_from(bytes.len()).unwrap_or(u32::MAX)))
    }

    /// Appends bytes as they are.
    pub(crate) fn append_bytes(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        if self.unclean {
            self.file.set_len(self.end).map_err(DiskError::io(&self.path))?;
            self.unclean = false;
        }
        if let Err(source) = self.file.write_all_at(bytes, self.end) {
            self.unclean = self.file.set_len(self.end).is_err();
            return Err(DiskError::Io {
                path: self.path.clone(),
                source,
            });
        }
        self.end += bytes.len() as u64;
        self.unsynced = true;
        Ok(())
    }

    /// Makes sure that a failure of power loses nothing that was written before.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        if self.unsynced {
            self.file.sync_data().map_err(DiskError::io(&self.path))?;
            self.unsynced = false;
        }
        Ok(())
    }
}
