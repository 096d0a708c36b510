//! The messages of the catalog, of runs and of post-mortems. What an input says already is kept as that input. A field keeps its number and its meaning
//! for ever; what a reader does not know it skips.

/// What is known of a target besides its samples and profiles.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TargetState {
    /// A `TargetSeen`.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) seen: Vec<u8>,
    /// A `Sample`: the newest numbers of the cgroup, and all living processes as new ones.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) sample: Vec<u8>,
    #[prost(fixed64, tag = "3")]
    pub(super) window_start: u64,
    #[prost(message, repeated, tag = "4")]
    pub(super) past_windows: Vec<PastWindow>,
    #[prost(uint64, tag = "5")]
    pub(super) oom_kill_count: u64,
    /// `OomKill`s.
    #[prost(bytes = "vec", repeated, tag = "6")]
    pub(super) oom_kills: Vec<Vec<u8>>,
    #[prost(fixed64, optional, tag = "7")]
    pub(super) gone_at: Option<u64>,
    #[prost(fixed64, optional, tag = "8")]
    pub(super) pressure_at: Option<u64>,
    /// `Answer`s.
    #[prost(bytes = "vec", repeated, tag = "9")]
    pub(super) answers: Vec<Vec<u8>>,
    /// Class of the newest verdict.
    #[prost(string, optional, tag = "10")]
    pub(super) class: Option<String>,
    #[prost(message, optional, tag = "11")]
    pub(super) run: Option<Run>,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct PastWindow {
    #[prost(fixed64, tag = "1")]
    pub(super) from: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) to: u64,
    #[prost(uint32, tag = "3")]
    pub(super) end: u32,
    #[prost(uint64, optional, tag = "4")]
    pub(super) limit: Option<u64>,
    #[prost(uint64, optional, tag = "5")]
    pub(super) first: Option<u64>,
    #[prost(uint64, optional, tag = "6")]
    pub(super) peak: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Run {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, tag = "2")]
    pub(super) target: String,
    #[prost(uint32, tag = "3")]
    pub(super) pid: u32,
    #[prost(uint64, tag = "4")]
    pub(super) start_ticks: u64,
    #[prost(string, tag = "5")]
    pub(super) exe: String,
    #[prost(string, tag = "6")]
    pub(super) version: String,
    #[prost(fixed64, tag = "7")]
    pub(super) started_at: u64,
    #[prost(fixed64, tag = "8")]
    pub(super) last_at: u64,
    /// Absent while it runs; else a position in a table.
    #[prost(uint32, optional, tag = "9")]
    pub(super) end: Option<u32>,
    #[prost(uint64, optional, tag = "10")]
    pub(super) limit: Option<u64>,
    #[prost(uint32, tag = "11")]
    pub(super) step_seconds: u32,
    /// Columns, as blocks of samples have them: age, memory, live heap, goroutines, work, samples.
    #[prost(uint32, tag = "12")]
    pub(super) points: u32,
    #[prost(bytes = "vec", repeated, tag = "13")]
    pub(super) columns: Vec<Vec<u8>>,
    #[prost(fixed64, optional, tag = "14")]
    pub(super) ended_at: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Event {
    #[prost(uint64, tag = "1")]
    pub(super) id: u64,
    #[prost(fixed64, tag = "2")]
    pub(super) at: u64,
    #[prost(string, optional, tag = "3")]
    pub(super) target: Option<String>,
    #[prost(oneof = "EventKind", tags = "4, 5, 6, 7, 8, 9")]
    pub(super) kind: Option<EventKind>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum EventKind {
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
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct KilledProcess {
    #[prost(string, tag = "1")]
    pub(super) post_mortem: String,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(string, tag = "3")]
    pub(super) comm: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct LimitChange {
    #[prost(uint64, optional, tag = "1")]
    pub(super) from: Option<u64>,
    #[prost(uint64, optional, tag = "2")]
    pub(super) to: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct VerdictChange {
    #[prost(string, optional, tag = "1")]
    pub(super) from: Option<String>,
    #[prost(string, tag = "2")]
    pub(super) to: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CountedLoss {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(uint64, tag = "2")]
    pub(super) count: u64,
}

/// Where the time axis of a daemon stood.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Axis {
    #[prost(string, tag = "1")]
    pub(super) boot_id: String,
    /// Nanoseconds between the Unix epoch and the boot.
    #[prost(fixed64, tag = "2")]
    pub(super) boot_unix_nanos: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct PostMortem {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// An `OomKill`.
    #[prost(bytes = "vec", tag = "2")]
    pub(super) kill: Vec<u8>,
    #[prost(string, optional, tag = "3")]
    pub(super) target: Option<String>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) last_sample_age_nanos: Option<u64>,
    /// A `Sample`: the last numbers of the cgroup, and the other processes.
    #[prost(bytes = "vec", tag = "5")]
    pub(super) sample: Vec<u8>,
    /// Names of the other processes, in the order of the sample.
    #[prost(string, repeated, tag = "6")]
    pub(super) comms: Vec<String>,
    /// `Profile`s.
    #[prost(bytes = "vec", repeated, tag = "7")]
    pub(super) profiles: Vec<Vec<u8>>,
    #[prost(message, optional, tag = "8")]
    pub(super) verdict: Option<Verdict>,
    /// A `FinalState`.
    #[prost(bytes = "vec", optional, tag = "9")]
    pub(super) final_state: Option<Vec<u8>>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Verdict {
    #[prost(string, tag = "1")]
    pub(super) class: String,
    #[prost(double, tag = "2")]
    pub(super) confidence: f64,
    #[prost(string, tag = "3")]
    pub(super) summary: String,
    #[prost(fixed64, tag = "4")]
    pub(super) since: u64,
    #[prost(double, optional, tag = "5")]
    pub(super) growth: Option<f64>,
    /// p10, p50, p90 in seconds.
    #[prost(double, repeated, tag = "6")]
    pub(super) time_to_limit: Vec<f64>,
    #[prost(message, optional, tag = "7")]
    pub(super) culprit: Option<Culprit>,
    #[prost(message, repeated, tag = "8")]
    pub(super) evidence: Vec<Evidence>,
    #[prost(message, repeated, tag = "9")]
    pub(super) rejected: Vec<Rejected>,
    #[prost(string, repeated, tag = "10")]
    pub(super) advice: Vec<String>,
    #[prost(uint64, optional, tag = "11")]
    pub(super) recommended_limit: Option<u64>,
    #[prost(string, repeated, tag = "12")]
    pub(super) would_change_our_mind: Vec<String>,
    #[prost(double, tag = "13")]
    pub(super) leak_probability: f64,
    /// Within one, six and 24 hours.
    #[prost(double, repeated, tag = "14")]
    pub(super) limit_probability: Vec<f64>,
    #[prost(message, repeated, tag = "15")]
    pub(super) decided_by: Vec<Deciding>,
    #[prost(double, optional, tag = "16")]
    pub(super) explains_share_of_need: Option<f64>,
    /// Name of the type.
    #[prost(string, optional, tag = "17")]
    pub(super) profile: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Deciding {
    #[prost(string, tag = "1")]
    pub(super) what: String,
    #[prost(fixed64, optional, tag = "2")]
    pub(super) at: Option<u64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Frame {
    #[prost(string, tag = "1")]
    pub(super) function: String,
    #[prost(string, tag = "2")]
    pub(super) file: String,
    #[prost(uint32, tag = "3")]
    pub(super) line: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Culprit {
    #[prost(message, optional, tag = "1")]
    pub(super) frame: Option<Frame>,
    #[prost(double, tag = "2")]
    pub(super) share: f64,
    /// Estimate, low, high.
    #[prost(double, repeated, tag = "3")]
    pub(super) growth: Vec<f64>,
    #[prost(message, repeated, tag = "4")]
    pub(super) stack: Vec<Frame>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Evidence {
    #[prost(string, tag = "1")]
    pub(super) claim: String,
    #[prost(double, tag = "2")]
    pub(super) value: f64,
    #[prost(string, tag = "3")]
    pub(super) unit: String,
    #[prost(double, optional, tag = "4")]
    pub(super) weight: Option<f64>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Rejected {
    #[prost(string, tag = "1")]
    pub(super) class: String,
    #[prost(string, tag = "2")]
    pub(super) because: String,
}
