//! Why something cannot be written to disk or read from it.

use crate::store::disk::codec::varint::CodecError;
use std::io;
use std::path::Path;
use std::path::PathBuf;

/// Something cannot be written to disk or read from it.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// The file system refuses.
    #[error("store file {path}: {source}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// What is there is not what was written.
    #[error("store file {path} is damaged at byte {offset}: {detail}", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: u64,
        /// What is wrong.
        detail: String,
    },
    /// A later version wrote it.
    #[error("store file {path} has format {found}, this version of leakwatch reads formats up to {newest}", path = path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest one that is read.
        newest: u32,
    },
    /// What is to be written cannot be.
    #[error("store file {path}: cannot encode: {detail}", path = path.display())]
    Encode {
        /// The file.
        path: PathBuf,
        /// Why.
        detail: String,
    },
}

impl DiskError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        |source| Self::Io { path, source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, detail: impl std::fmt::Display) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            offset,
            detail: detail.to_string(),
        }
    }

    pub(super) fn encode(path: &Path) -> impl FnOnce(CodecError) -> Self {
        let path = path.to_owned();
        move |error| Self::Encode {
            path,
            detail: error.to_string(),
        }
    }

    /// Whether the file system has no room or takes no writes: nothing is wrong with what is there.
    pub fn is_refusal(&self) -> bool {
        matches!(self, Self::Io { .. })
    }
}
