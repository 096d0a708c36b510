//! Events as they are kept: what happened to whom.

use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::event::ConfigReload;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::VerdictClass;
use std::borrow::Cow;

/// One event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Rising number, for paging and for the stream.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Of which target, if it belongs to one.
    pub target: Option<TargetId>,
    /// What.
    pub kind: EventKind,
    /// Whether a person had muted the target then: it alerts nobody.
    pub muted: bool,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// The OOM killer chose a process of the target.
    OomKill {
        /// Id of the post-mortem.
        post_mortem: String,
        /// Process id of the victim.
        victim_pid: u32,
        /// Command name of the victim.
        victim_comm: String,
    },
    /// A process of the target ended.
    ProcessExit(ProcessExit),
    /// The main process of the target was replaced.
    Restart {
        /// Why the window before ended.
        end: WindowEnd,
    },
    /// The limit changed.
    LimitChange {
        /// Before.
        from: Limit,
        /// Now.
        to: Limit,
    },
    /// The verdict's class changed.
    VerdictChange {
        /// Before; none for the first verdict.
        from: Option<VerdictClass>,
        /// Now.
        to: VerdictClass,
    },
    /// A process of a service started that is of another version than the one before it.
    Deploy {
        /// Which service.
        service: String,
        /// Build id of before.
        from: String,
        /// Build id now.
        to: String,
    },
    /// Something was dropped.
    Loss {
        /// Why.
        reason: Cow<'static, str>,
        /// How many.
        count: u64,
    },
    /// The daemon loaded its configuration again.
    ConfigReload(ConfigReload),
    /// What a person ruled for a service came into force or ended.
    Ruling {
        /// What.
        ruling: Ruling,
        /// What became of it.
        change: RulingChange,
    },
}

/// What became of a ruling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RulingChange {
    /// It is in force.
    Made,
    /// A person took it back.
    TakenBack,
    /// Its time was over.
    Expired,
}

impl RulingChange {
    /// All, append only: their places are what the store has on disk.
    pub const ALL: [Self; 3] = [Self::Made, Self::TakenBack, Self::Expired];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Made => "made",
            Self::TakenBack => "taken_back",
            Self::Expired => "expired",
        }
    }
}

impl EventKind {
    /// Name on the wire.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OomKill { .. } => "oom_kill",
            Self::ProcessExit(_) => "process_exit",
            Self::Restart { .. } => "restart",
            Self::LimitChange { .. } => "limit_change",
            Self::VerdictChange { .. } => "verdict_change",
            Self::Deploy { .. } => "deploy",
            Self::Loss { .. } => "loss",
            Self::ConfigReload(_) => "config_reload",
            Self::Ruling { .. } => "ruling",
        }
    }
}
