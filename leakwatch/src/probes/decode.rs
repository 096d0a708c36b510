//! What decoding the records of all hooks has in common. Records are not trusted: every length and count is checked, nothing panics.

use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::ProcessKey;
use std::collections::VecDeque;
use thiserror::Error;
use zerocopy::FromBytes;

/// Processes remembered, so that the threads of one are one event. Kills and exits of one process are milliseconds apart.
const REMEMBERED: usize = 256;

/// Why a record is not one of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The record has another size.
    #[error("a record of {actual} bytes, expected {expected}")]
    Length {
        /// Size of the record type.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A count exceeds the array it counts.
    #[error("{field} is {count}, more than the record holds")]
    Count {
        /// Which count.
        field: &'static str,
        /// Its value.
        count: u32,
    },
    /// The ring has records of several kinds, and this is none of them.
    #[error("a record of kind {0}")]
    UnknownKind(u32),
    /// The record lacks a fact that identifies what it is about.
    #[error("the record lacks {0}")]
    Incomplete(&'static str),
}

impl DecodeError {
    /// All that [`Self::reason`] answers.
    pub const REASONS: [&'static str; 4] = [
        "probe_record_length",
        "probe_record_count",
        "probe_record_unknown_kind",
        "probe_record_incomplete",
    ];

    /// The reason under which the record is counted as lost.
    pub const fn reason(&self) -> &'static str {
        let [length, count, unknown_kind, incomplete] = Self::REASONS;
        match self {
            Self::Length { .. } => length,
            Self::Count { .. } => count,
            Self::UnknownKind(_) => unknown_kind,
            Self::Incomplete(_) => incomplete,
        }
    }
}

/// The processes that a hook has reported last, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Recent(VecDeque<ProcessKey>);

impl Recent {
    /// Whether a process is among them; from now on it is.
    pub(super) fn has_seen(&mut self, key: ProcessKey) -> bool {
        if self.0.contains(&key) {
            return true;
        }
        if self.0.len() == REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(key);
        false
    }
}

/// What `/proc/PID/stat` counts starts in.
pub(super) fn nanos_per_tick() -> u64 {
    1_000_000_000 / rustix::param::clock_ticks_per_second().max(1)
}

/// `/proc/PID/stat` shows the start in clock ticks, rounded down.
pub(super) fn ticks(boot_nanos: u64) -> u64 {
    boot_nanos / nanos_per_tick()
}

/// The record.
pub(super) fn read<T: FromBytes>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_refusal| wrong_length::<T>(bytes))
}

/// The record at the beginning, and what follows it.
pub(super) fn read_prefix<T: FromBytes>(bytes: &[u8]) -> Result<(T, &[u8]), DecodeError> {
    T::read_from_prefix(bytes).map_err(|_refusal| wrong_length::<T>(bytes))
}

fn wrong_length<T>(bytes: &[u8]) -> DecodeError {
    DecodeError::Length {
        expected: size_of::<T>(),
        actual: bytes.len(),
    }
}

/// Bytes up to the first NUL. The kernel does not promise UTF-8.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

/// What this kernel does not tell.
pub(super) fn unsupported(detail: impl Into<String>) -> Missing {
    Missing::new(MissingReason::Unsupported, detail)
}
