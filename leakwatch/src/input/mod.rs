//! Everything that can happen, in one closed enum, and its recordings: every input as it reached the engine, in one file.
//!
//! The form of a recording is described once, at the type `messages::Envelope`.

mod codec;
mod convert;
mod error;
mod messages;
mod reader;
mod recorder;

pub(crate) use crate::input::codec::from_bytes;
pub(crate) use crate::input::codec::head_from_bytes;
pub(crate) use crate::input::codec::head_to_bytes;
pub(crate) use crate::input::codec::to_bytes;
pub use crate::input::error::RecordError;
pub use crate::input::reader::Recording;
pub use crate::input::recorder::Recorder;

use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::event::ConfigReload;
use leakwatch_analysis::model::event::Loss;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::runtime::RuntimeStats;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;

/// Who made a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Version of leakwatch.
    pub leakwatch: String,
    /// Where it ran.
    pub host: Reading<HostIdentity>,
}

impl Head {
    /// The head of what this version records on a host.
    pub fn of(host: HostIdentity) -> Self {
        Self {
            leakwatch: env!("CARGO_PKG_VERSION").to_owned(),
            host: Ok(host),
        }
    }
}

/// What of a recording was left out, because only later versions of leakwatch know it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Inputs.
    pub inputs: u64,
    /// Counters, and files of counters, over all samples.
    pub counters: u64,
    /// Inputs of which some field was left out.
    pub fields: u64,
}

/// One thing that happened. Each carries its own instant; the engine has no clock.
#[derive(Clone, Debug)]
pub enum Input {
    /// A cgroup with processes appeared (or its name, service or kind became known or changed).
    TargetSeen {
        /// When.
        at: Timestamp,
        /// Who.
        target: Target,
    },
    /// A cgroup vanished.
    TargetGone {
        /// When.
        at: Timestamp,
        /// Who.
        target: TargetId,
    },
    /// Numbers of one target.
    Sample(Sample),
    /// A profile was taken.
    Profile(TakenProfile),
    /// A profile could not be taken.
    ProfileMissing {
        /// When.
        at: Timestamp,
        /// Of which target.
        target: TargetId,
        /// Which profile.
        profile_type: ProfileType,
        /// Why.
        missing: Missing,
    },
    /// What the runtime of a process counts.
    Runtime {
        /// When it was read.
        at: Timestamp,
        /// Of which target.
        target: TargetId,
        /// Of which process.
        process: ProcessKey,
        /// What it counts, or why that is not known.
        stats: Reading<RuntimeStats>,
    },
    /// The OOM killer chose a victim.
    OomKill(Box<OomKill>),
    /// A process was killed, and the kernel read its heap and its goroutines.
    FinalState(Box<FinalState>),
    /// A process ended.
    ProcessExit(ProcessExit),
    /// Something was dropped.
    Loss(Loss),
    /// The daemon loaded its configuration again.
    ConfigReload(ConfigReload),
    /// A person overruled a step of the investigation; `None` takes it back.
    Answer {
        /// When.
        at: Timestamp,
        /// For which target.
        target: TargetId,
        /// Which step.
        step: StepId,
        /// Their answer.
        answer: Option<Answer>,
    },
    /// A person ruled something for a service; `None` takes it back.
    Ruling {
        /// When.
        at: Timestamp,
        /// Id of the ruling.
        id: String,
        /// What was ruled.
        ruling: Option<Ruling>,
    },
    /// A person pinned an OOM kill, or took that back: what is known of it is kept beyond the bounds of age and size.
    Pin {
        /// When.
        at: Timestamp,
        /// Id of the post-mortem.
        oom_kill: String,
        /// Whether it is to be kept.
        pinned: bool,
    },
    /// A round of samples is complete: targets that changed are judged now.
    Tick {
        /// When.
        at: Timestamp,
    },
}

/// A profile that was taken, decoded already: the engine only looks its stacks up.
#[derive(Clone, Debug)]
pub struct TakenProfile {
    /// When it was taken.
    pub at: Timestamp,
    /// Of which target.
    pub target: TargetId,
    /// Of which process.
    pub process: ProcessKey,
    /// What kind.
    pub profile_type: ProfileType,
    /// Where it came from.
    pub source: ProfileSource,
    /// What it says, or why it does not decode.
    pub profile: Reading<Arc<ProfileContent>>,
}

impl Input {
    /// The instant of the input.
    pub fn at(&self) -> Timestamp {
        match self {
            Self::TargetSeen { at, .. }
            | Self::TargetGone { at, .. }
            | Self::ProfileMissing { at, .. }
            | Self::Runtime { at, .. }
            | Self::Answer { at, .. }
            | Self::Ruling { at, .. }
            | Self::Pin { at, .. }
            | Self::Tick { at } => *at,
            Self::Sample(sample) => sample.at,
            Self::Profile(profile) => profile.at,
            Self::OomKill(kill) => kill.at,
            Self::FinalState(state) => state.at,
            Self::ProcessExit(exit) => exit.at,
            Self::Loss(loss) => loss.at,
            Self::ConfigReload(reload) => reload.at,
        }
    }
}

#[cfg(test)]
mod tests;
