//! The messages of a bundle. What a recording or the store has a message for is kept as that. A field keeps its number and its meaning for ever; what a
//! reader does not know it skips.

use crate::store::disk::messages::CountedLoss;
use crate::store::disk::messages::Event;
use crate::store::disk::messages::PostMortem;
use crate::store::disk::messages::Run;
use crate::store::disk::messages::TargetState;
use crate::store::disk::messages::Verdict;

/// First bytes of every bundle. The last one is the major version of the format.
pub(super) const MAGIC: [u8; 8] = *b"LWBUN\0\0\x01";

/// All but the head.
///
/// # Form of a bundle
///
/// | part | what |
/// |---|---|
/// | [`MAGIC`] | eight bytes; the last is the major version of the format |
/// | head | who made it, on which host: the frame of a recording's head |
/// | [`Body`] | compressed with zstd, with a checksum |
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Body {
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "1")]
    pub(super) made_at: u64,
    /// Id of the target that it is about.
    #[prost(string, tag = "2")]
    pub(super) subject: String,
    /// The stacks of all profiles, as a partition has them.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) stacks: Vec<u8>,
    #[prost(message, repeated, tag = "4")]
    pub(super) targets: Vec<WholeTarget>,
    #[prost(message, repeated, tag = "5")]
    pub(super) events: Vec<Event>,
    #[prost(message, repeated, tag = "6")]
    pub(super) post_mortems: Vec<PostMortem>,
    /// Of the service, those that have ended.
    #[prost(message, repeated, tag = "7")]
    pub(super) runs: Vec<Run>,
    #[prost(message, repeated, tag = "8")]
    pub(super) losses: Vec<CountedLoss>,
    /// Samples as they were taken, of the target that it is about: blocks as a partition has them.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) rows: Vec<Vec<u8>>,
    /// Profiles of that target that were on disk only.
    #[prost(message, repeated, tag = "10")]
    pub(super) kept: Vec<Snapshot>,
}

/// One target with all that was known of it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct WholeTarget {
    #[prost(message, optional, tag = "1")]
    pub(super) state: Option<TargetState>,
    #[prost(message, repeated, tag = "2")]
    pub(super) points: Vec<Point>,
    /// `Sample` with all processes.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) processes: Vec<u8>,
    /// Of each of these.
    #[prost(message, repeated, tag = "4")]
    pub(super) lives: Vec<Life>,
    /// `Runtime`s.
    #[prost(bytes = "vec", repeated, tag = "5")]
    pub(super) runtimes: Vec<Vec<u8>>,
    /// `ProfileMissing`s.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) missing: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "7")]
    pub(super) snapshots: Vec<Snapshot>,
    #[prost(message, repeated, tag = "8")]
    pub(super) previous_snapshots: Vec<Snapshot>,
    #[prost(message, optional, tag = "9")]
    pub(super) run: Option<Run>,
    #[prost(message, repeated, tag = "10")]
    pub(super) past_runs: Vec<Run>,
    #[prost(fixed64, tag = "12")]
    pub(super) newest_at: u64,
    /// When the verdict was made.
    #[prost(fixed64, optional, tag = "13")]
    pub(super) judged_at: Option<u64>,
    #[prost(message, optional, tag = "14")]
    pub(super) verdict: Option<Verdict>,
    /// What it was made from was not the same any more when the bundle was made: it is shown as it was.
    #[prost(bool, tag = "15")]
    pub(super) as_made: bool,
}

/// Amounts of memory in pages of 4 KiB; absent where they are not known.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Point {
    #[prost(fixed64, tag = "1")]
    pub(super) at: u64,
    #[prost(bool, tag = "2")]
    pub(super) begins_window: bool,
    #[prost(uint32, tag = "3")]
    pub(super) lowest_before: u32,
    #[prost(uint64, optional, tag = "4")]
    pub(super) charge: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) unreclaimable: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub(super) unreclaimable_min: Option<u64>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) unreclaimable_max: Option<u64>,
    #[prost(uint64, optional, tag = "8")]
    pub(super) anon: Option<u64>,
    #[prost(uint64, optional, tag = "9")]
    pub(super) file: Option<u64>,
    #[prost(uint64, optional, tag = "10")]
    pub(super) shmem: Option<u64>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) kernel: Option<u64>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) rss: Option<u64>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct Life {
    #[prost(fixed64, tag = "1")]
    pub(super) first_seen: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) last_seen: u64,
    #[prost(fixed64, optional, tag = "3")]
    pub(super) gone_at: Option<u64>,
}

/// A profile. Unlike in a partition its values are exact: the verdict rests on them.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Snapshot {
    /// Name of the type.
    #[prost(string, tag = "1")]
    pub(super) profile_type: String,
    /// The head of a profile in a partition.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) head: Vec<u8>,
    /// Numbers of stacks, each less the one before.
    #[prost(uint32, repeated, tag = "3")]
    pub(super) stacks: Vec<u32>,
    #[prost(sint64, repeated, tag = "4")]
    pub(super) alloc_objects: Vec<i64>,
    #[prost(sint64, repeated, tag = "5")]
    pub(super) alloc_space: Vec<i64>,
    #[prost(sint64, repeated, tag = "6")]
    pub(super) inuse_objects: Vec<i64>,
    #[prost(sint64, repeated, tag = "7")]
    pub(super) inuse_space: Vec<i64>,
    #[prost(double, repeated, tag = "8")]
    pub(super) inuse_variance: Vec<f64>,
}
