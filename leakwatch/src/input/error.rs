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
