//! Why a recording cannot be written or read.

use std::io;
use std::path::PathBuf;

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
    #[error("{path} is not a leakwatch recording")]
    NotARecording {
        /// The file.
        path: PathBuf,
    },
    /// The recording was made by a later version, and would be misunderstood.
    #[error(
        "recording {path} has format {found}, this version of leakwatch reads formats up to {newest}: replay it with a newer one"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u8,
        /// The newest one that is read.
        newest: u8,
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
            Self::Io { .. } | Self::NotARecording { .. } | Self::Newer { .. } | Self::Malformed { .. } => {
                "recording_failed"
            }
        }
    }
}
