//! Where a counter is read, and what it counts.

/// Which files a cgroup of the memory controller has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CgroupVersion {
    /// `memory.usage_in_bytes` and friends; alone or in a hybrid set-up.
    V1,
    /// `memory.current` and friends.
    V2,
}

/// Where a counter is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Name of the file in the cgroup's directory.
    pub file: &'static str,
    /// Key of its line; empty where the file holds one number.
    pub key: &'static str,
}

/// What a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    Bytes,
    /// Bytes; the largest number of all stands for no limit.
    Limit,
    /// Things that happened, since the cgroup was made.
    Count,
    /// Microseconds, since the cgroup was made.
    Microseconds,
    /// Hundredths of a percent.
    HundredthPercent,
}
