//! One target in one file: all that was known of it and of the replicas it was compared with, so that its verdict can be made again elsewhere, and looked
//! at as if the daemon were there.
//!
//! Names and paths are in it. Contents of memory and command lines are not: of these the daemon keeps no more than what an interpreter runs.

mod messages;
mod error;
mod history;
mod snapshot;
mod codec;
mod making;

pub use crate::store::bundle::codec::decode;
pub use crate::store::bundle::codec::decode_body;
pub use crate::store::bundle::codec::encode;
pub use crate::store::bundle::codec::is_bundle;
pub use crate::store::bundle::error::BundleError;
pub use crate::store::bundle::making::make;

use crate::input::Head;
use crate::input::TakenProfile;
use crate::store::disk::Row;
use crate::store::event::Event;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::Verdict;
use prost::Message as _;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Whether two verdicts say the same, with the same numbers, as far as a bundle keeps them: all but links.
pub fn is_same_verdict(one: &Verdict, other: &Verdict) -> bool {
    use crate::store::disk::convert::verdict_to;
    verdict_to(one).encode_to_vec() == verdict_to(other).encode_to_vec()
}

/// What a bundle holds.
#[derive(Debug)]
pub struct Bundle {
    /// Who made it, on which host.
    pub head: Head,
    /// When.
    pub made_at: Timestamp,
    /// The target that it is about.
    pub subject: TargetId,
    /// That target and the replicas it was compared with.
    pub targets: Vec<BundledTarget>,
    /// The stacks of all profiles.
    pub stacks: Arc<StackTable>,
    /// What happened to these targets, oldest first.
    pub events: Vec<Event>,
    /// Their post-mortems, oldest first, each with its profiles.
    pub post_mortems: Vec<(PostMortem, Vec<TakenProfile>)>,
    /// Runs of the service that have ended, oldest first.
    pub runs: Vec<ServiceRun>,
    /// What was dropped, by reason.
    pub losses: BTreeMap<String, u64>,
    /// Samples of the subject as they were taken, as far as they were asked for and kept.
    pub rows: Vec<Row>,
    /// Profiles of the subject that were on disk only, oldest first.
    pub kept: Vec<Snapshot>,
}

/// What a bundle has of its subject that a daemon reads from disk.
#[derive(Debug)]
pub struct BundledPast {
    /// Samples, oldest first.
    pub rows: Vec<Row>,
    /// Profiles, oldest first.
    pub profiles: Vec<Snapshot>,
    /// Their stacks.
    pub stacks: Arc<StackTable>,
}

/// One target in a bundle.
#[derive(Debug)]
pub struct BundledTarget {
    /// All that was known.
    pub history: TargetHistory,
    /// Steps that a person overruled.
    pub overrides: BTreeMap<StepId, Answer>,
    /// When the verdict was made.
    pub judged_at: Option<Timestamp>,
    /// The verdict.
    pub verdict: Option<Verdict>,
    /// It was made from what is not known any more, and is shown as it was.
    pub as_made: bool,
}
