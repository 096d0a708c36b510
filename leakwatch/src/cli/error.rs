//! Why a command failed.

use crate::config::error::ConfigError;
use crate::config::origin::Origin;
use crate::daemon::DaemonError;
use crate::input::RecordError;
use crate::store::bundle::BundleError;
use crate::store::disk::error::DiskError;
use std::io;
use std::path::PathBuf;

/// A command that did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The configuration is refused.
    #[error("the configuration is refused")]
    Config(#[from] ConfigError),
    /// The daemon ended.
    #[error(transparent)]
    Agent(#[from] DaemonError),
    /// A recording cannot be replayed.
    #[error("cannot replay {path}", path = path.display())]
    Replay {
        /// The recording.
        path: PathBuf,
        /// Why.
        #[source]
        source: RecordError,
    },
    /// A bundle cannot be opened.
    #[error("cannot open the bundle {path}", path = path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: BundleError,
    },
    /// What was replayed cannot be served.
    #[error("cannot serve it")]
    Serve(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The history on disk cannot be looked at.
    #[error("cannot read the store")]
    Store(#[source] DiskError),
    /// An option cannot be understood.
    #[error("{0}")]
    Usage(String),
    /// The daemon cannot be reached.
    #[error(
        "cannot reach the daemon at {endpoint}: is `leakwatch agent` running? Otherwise give its address with --endpoint"
    )]
    Unreachable {
        /// Where it was looked for.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The daemon refused the request.
    #[error("{detail}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What the daemon said.
        detail: String,
    },
    /// The daemon's answer makes no sense.
    #[error("cannot understand the answer of {endpoint} to {path}: is it a leakwatch of another version?")]
    Answer {
        /// Who answered.
        endpoint: String,
        /// What was asked.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file cannot be read.
    #[error("cannot read {path}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file cannot be written.
    #[error("cannot write {path}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Nobody reads the output any more, or the disk is full.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The condition waited for did not come.
    #[error("{0}")]
    Deadline(String),
}

impl CliError {
    /// 2 for wrong usage, also where only the daemon knows that it is, 1 for everything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_)
            | Self::Refused { status: 400, .. }
            | Self::Config(ConfigError::WrongValue {
                origin: Origin::Flag(_),
                ..
            }) => 2,
            _ => 1,
        }
    }

    /// A closed pipe (`leakwatch targets | head`) is no error.
    pub fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Output(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}
