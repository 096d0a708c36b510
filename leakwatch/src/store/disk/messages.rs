//! The messages of the catalog, of runs and of post-mortems. What an input says already is kept as that input. A field keeps its number and its meaning
//! for ever; what a reader does not know it skips.

/// What is known of a target besides its samples and profiles.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct TargetState {
    /// A `TargetSeen`.
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::store) seen: Vec<u8>,
    /// A `Sample`: the newest numbers of the cgroup, and all living processes as new ones.
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::store) sample: Vec<u8>,
    #[prost(fixed64, tag = "3")]
    pub(in crate::store) window_start: u64,
    #[prost(message, repeated, tag = "4")]
    pub(in crate::store) past_windows: Vec<PastWindow>,
    #[prost(uint64, tag = "5")]
    pub(in crate::store) oom_kill_count: u64,
    /// `OomKill`s.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(in crate::store) oom_kills: Vec<Vec<u8>>,
    #[prost(fixed64, optional, tag = "7")]
    pub(in crate::store) gone_at: Option<u64>,
    #[prost(fixed64, optional, tag = "8")]
    pub(in crate::store) pressure_at: Option<u64>,
    /// `Answer`s.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(in crate::store) answers: Vec<Vec<u8>>,
    /// Class of the newest verdict.
    #[prost(string, optional, tag = "10")]
    pub(in crate::store) class: Option<String>,
    #[prost(message, optional, tag = "11")]
    pub(in crate::store) run: Option<Run>,
    #[prost(message, optional, tag = "12")]
    pub(in crate::store) claim: Option<Claim>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Claim {
    #[prost(uint32, tag = "1")]
    pub(in crate::store) pid: u32,
    #[prost(uint64, tag = "2")]
    pub(in crate::store) start_ticks: u64,
    #[prost(string, tag = "3")]
    pub(in crate::store) class: String,
    #[prost(string, optional, tag = "4")]
    pub(in crate::store) profile: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(in crate::store) culprit: Option<Culprit>,
    #[prost(fixed64, tag = "6")]
    pub(in crate::store) since: u64,
    #[prost(fixed64, tag = "7")]
    pub(in crate::store) at: u64,
    #[prost(double, tag = "8")]
    pub(in crate::store) log_odds: f64,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store) struct PastWindow {
    #[prost(fixed64, tag = "1")]
    pub(in crate::store) from: u64,
    #[prost(fixed64, tag = "2")]
    pub(in crate::store) to: u64,
    #[prost(uint32, tag = "3")]
    pub(in crate::store) end: u32,
    #[prost(uint64, optional, tag = "4")]
    pub(in crate::store) limit: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(in crate::store) first: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub(in crate::store) peak: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Run {
    #[prost(string, tag = "1")]
    pub(in crate::store) service: String,
    #[prost(string, tag = "2")]
    pub(in crate::store) target: String,
    #[prost(uint32, tag = "3")]
    pub(in crate::store) pid: u32,
    #[prost(uint64, tag = "4")]
    pub(in crate::store) start_ticks: u64,
    #[prost(string, tag = "5")]
    pub(in crate::store) exe: String,
    #[prost(string, tag = "6")]
    pub(in crate::store) version: String,
    #[prost(fixed64, tag = "7")]
    pub(in crate::store) started_at: u64,
    #[prost(fixed64, tag = "8")]
    pub(in crate::store) last_at: u64,
    /// Absent while it runs; else a position in a table.
    #[prost(uint32, optional, tag = "9")]
    pub(in crate::store) end: Option<u32>,
    #[prost(uint64, optional, tag = "10")]
    pub(in crate::store) limit: Option<u64>,
    #[prost(uint32, tag = "11")]
    pub(in crate::store) step_seconds: u32,
    /// Columns, as blocks of samples have them: age, memory, live heap, goroutines, work, samples.
    #[prost(uint32, tag = "12")]
    pub(in crate::store) points: u32,
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub(in crate::store) columns: Vec<Vec<u8>>,
    #[prost(fixed64, optional, tag = "14")]
    pub(in crate::store) ended_at: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Event {
    #[prost(uint64, tag = "1")]
    pub(in crate::store) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(in crate::store) at: u64,
    #[prost(string, optional, tag = "3")]
    pub(in crate::store) target: Option<String>,
    #[prost(oneof = "EventKind", tags = "4, 5, 6, 7, 8, 9, 10, 11, 12")]
    pub(in crate::store) kind: Option<EventKind>,
    #[prost(bool, tag = "13")]
    pub(in crate::store) muted: bool,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(in crate::store) enum EventKind {
    #[prost(message, tag = "4")]
    OomKill(KilledProcess),
    /// A `ProcessExit`.
    #[prost(bytes, tag = "5")]
    ProcessExit(Vec<u8>),
    /// Position of the window's end.
    #[prost(uint32, tag = "6")]
    Restart(u32),
    #[prost(message, tag = "7")]
    LimitChange(LimitChange),
    #[prost(message, tag = "8")]
    VerdictChange(VerdictChange),
    #[prost(message, tag = "9")]
    Loss(CountedLoss),
    #[prost(message, tag = "10")]
    Deploy(Deploy),
    /// A `ConfigReload`.
    #[prost(bytes, tag = "11")]
    ConfigReload(Vec<u8>),
    #[prost(message, tag = "12")]
    Ruling(RulingChange),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct RulingChange {
    /// A `Ruling`.
    #[prost(bytes = "vec", tag = "1")]
    pub(in crate::store) ruling: Vec<u8>,
    /// Position in the list of changes.
    #[prost(uint32, tag = "2")]
    pub(in crate::store) change: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Deploy {
    #[prost(string, tag = "1")]
    pub(in crate::store) service: String,
    #[prost(string, tag = "2")]
    pub(in crate::store) from: String,
    #[prost(string, tag = "3")]
    pub(in crate::store) to: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct KilledProcess {
    #[prost(string, tag = "1")]
    pub(in crate::store) post_mortem: String,
    #[prost(uint32, tag = "2")]
    pub(in crate::store) pid: u32,
    #[prost(string, tag = "3")]
    pub(in crate::store) comm: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(in crate::store) struct LimitChange {
    #[prost(uint64, optional, tag = "1")]
    pub(in crate::store) from: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(in crate::store) to: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct VerdictChange {
    #[prost(string, optional, tag = "1")]
    pub(in crate::store) from: Option<String>,
    #[prost(string, tag = "2")]
    pub(in crate::store) to: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct CountedLoss {
    #[prost(string, tag = "1")]
    pub(in crate::store) reason: String,
    #[prost(uint64, tag = "2")]
    pub(in crate::store) count: u64,
}

/// Where the time axis of a daemon stood.
#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Axis {
    #[prost(string, tag = "1")]
    pub(in crate::store) boot_id: String,
    /// Nanoseconds between the Unix epoch and the boot.
    #[prost(fixed64, tag = "2")]
    pub(in crate::store) boot_unix_nanos: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct PostMortem {
    #[prost(string, tag = "1")]
    pub(in crate::store) id: String,
    /// An `OomKill`.
    #[prost(bytes = "vec", tag = "2")]
    pub(in crate::store) kill: Vec<u8>,
    #[prost(string, optional, tag = "3")]
    pub(in crate::store) target: Option<String>,
    #[prost(uint64, optional, tag = "4")]
    pub(in crate::store) last_sample_age_nanos: Option<u64>,
    /// A `Sample`: the last numbers of the cgroup, and the other processes.
    #[prost(bytes = "vec", tag = "5")]
    pub(in crate::store) sample: Vec<u8>,
    /// Names of the other processes, in the order of the sample.
    #[prost(string, repeated, tag = "6")]
    pub(in crate::store) comms: Vec<String>,
    /// `Profile`s.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(in crate::store) profiles: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "8")]
    pub(in crate::store) verdict: Option<Verdict>,
    /// A `FinalState`.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(in crate::store) final_state: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Verdict {
    #[prost(string, tag = "1")]
    pub(in crate::store) class: String,
    #[prost(double, tag = "2")]
    pub(in crate::store) confidence: f64,
    #[prost(string, tag = "3")]
    pub(in crate::store) summary: String,
    #[prost(fixed64, tag = "4")]
    pub(in crate::store) since: u64,
    #[prost(double, optional, tag = "5")]
    pub(in crate::store) growth: Option<f64>,
    /// p10, p50, p90 in seconds.
    #[prost(double, repeated, tag = "6")]
    pub(in crate::store) time_to_limit: Vec<f64>,
    #[prost(message, optional, tag = "7")]
    pub(in crate::store) culprit: Option<Culprit>,
    #[prost(message, repeated, tag = "8")]
    pub(in crate::store) evidence: Vec<Evidence>,
    #[prost(message, repeated, tag = "9")]
    pub(in crate::store) rejected: Vec<Rejected>,
    #[prost(string, repeated, tag = "10")]
    pub(in crate::store) advice: Vec<String>,
    #[prost(uint64, optional, tag = "11")]
    pub(in crate::store) recommended_limit: Option<u64>,
    #[prost(string, repeated, tag = "12")]
    pub(in crate::store) would_change_our_mind: Vec<String>,
    #[prost(double, tag = "13")]
    pub(in crate::store) leak_probability: f64,
    /// Within one, six and 24 hours.
    #[prost(double, repeated, tag = "14")]
    pub(in crate::store) limit_probability: Vec<f64>,
    #[prost(message, repeated, tag = "15")]
    pub(in crate::store) decided_by: Vec<Deciding>,
    #[prost(double, optional, tag = "16")]
    pub(in crate::store) explains_share_of_need: Option<f64>,
    /// Name of the type.
    #[prost(string, optional, tag = "17")]
    pub(in crate::store) profile: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Deciding {
    #[prost(string, tag = "1")]
    pub(in crate::store) what: String,
    #[prost(fixed64, optional, tag = "2")]
    pub(in crate::store) at: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Frame {
    #[prost(string, tag = "1")]
    pub(in crate::store) function: String,
    #[prost(string, tag = "2")]
    pub(in crate::store) file: String,
    #[prost(uint32, tag = "3")]
    pub(in crate::store) line: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Culprit {
    #[prost(message, optional, tag = "1")]
    pub(in crate::store) frame: Option<Frame>,
    #[prost(double, tag = "2")]
    pub(in crate::store) share: f64,
    /// Estimate, low, high.
    #[prost(double, repeated, tag = "3")]
    pub(in crate::store) growth: Vec<f64>,
    #[prost(message, repeated, tag = "4")]
    pub(in crate::store) stack: Vec<Frame>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Evidence {
    #[prost(string, tag = "1")]
    pub(in crate::store) claim: String,
    #[prost(double, tag = "2")]
    pub(in crate::store) value: f64,
    #[prost(string, tag = "3")]
    pub(in crate::store) unit: String,
    #[prost(double, optional, tag = "4")]
    pub(in crate::store) weight: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(in crate::store) struct Rejected {
    #[prost(string, tag = "1")]
    pub(in crate::store) class: String,
    #[prost(string, tag = "2")]
    pub(in crate::store) because: String,
    #[prost(bool, tag = "3")]
    pub(in crate::store) unchecked: bool,
}
