//! The messages that inputs are written in.
// tidy: long because it is one format

/// First bytes of every recording. The last one is the major version of the format.
pub(super) const MAGIC: [u8; 8] = *b"LWREC\0\0\x02";

/// One input.
///
/// # Form of a recording
///
/// | part | what |
/// |---|---|
/// | [`MAGIC`] | eight bytes; the last is the major version of the format |
/// | [`Head`] | one frame: who recorded. Format 1 had none |
/// | [`Envelope`]s | one frame each, in the order in which the engine took them in |
///
/// A frame is the length of a message as a protobuf varint, then the message. A recording that is cut off anywhere replays up to
/// its last whole frame.
///
/// # Compatibility
///
/// - Every recording ever made replays, to the same findings. So a number or a name on the wire keeps its meaning for ever: numbers
///   of fields, of input kinds, of counters (`leakwatch_analysis::model::counter`) and positions in the tables of `convert`. What
///   is not written any more is still read; such fields are marked "format 1".
/// - A field, a counter or an input kind that a reader does not know is skipped and counted ([`super::Skipped`]). So adding
///   one changes no version.
/// - What an older reader would misunderstand rather than miss raises the major version, and older readers refuse it.
/// - Groups of numbers are messages or pairs of number and value, never positions in an array.
///
/// Neither the messages nor `convert` know files: `recorder` and `reader` do.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Envelope {
    /// Nanoseconds since the Unix epoch.
    #[prost(fixed64, tag = "1")]
    pub(super) at: u64,
    #[prost(oneof = "Kind", tags = "2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17")]
    pub(super) kind: Option<Kind>,
}

/// Who made a recording.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Head {
    /// Version of leakwatch.
    #[prost(string, tag = "1")]
    pub(super) leakwatch: String,
    #[prost(message, optional, tag = "2")]
    pub(super) host: Option<Host>,
}

/// Which host, since which boot.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Host {
    #[prost(message, optional, tag = "1")]
    pub(super) machine_id: Option<Text>,
    #[prost(message, optional, tag = "2")]
    pub(super) boot_id: Option<Text>,
    #[prost(message, optional, tag = "3")]
    pub(super) node_name: Option<Text>,
}

/// A text, or why there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Text {
    #[prost(string, tag = "1")]
    pub(super) value: String,
    #[prost(message, optional, tag = "2")]
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
pub(super) enum Kind {
    #[prost(message, tag = "2")]
    TargetSeen(Box<Target>),
    #[prost(string, tag = "3")]
    TargetGone(String),
    #[prost(message, tag = "4")]
    Sample(Box<Sample>),
    #[prost(message, tag = "5")]
    Profile(Box<TakenProfile>),
    #[prost(message, tag = "6")]
    ProfileMissing(ProfileMissing),
    #[prost(message, tag = "7")]
    OomKill(Box<OomKill>),
    #[prost(message, tag = "8")]
    ProcessExit(ProcessExit),
    #[prost(message, tag = "9")]
    Loss(Loss),
    #[prost(message, tag = "10")]
    Answer(Answer),
    #[prost(message, tag = "11")]
    Tick(Tick),
    #[prost(message, tag = "12")]
    FinalState(Box<FinalState>),
    /// Format 1.
    #[prost(message, tag = "13")]
    GoRuntime(Box<GoRuntime>),
    #[prost(message, tag = "14")]
    Runtime(Box<Runtime>),
    #[prost(message, tag = "15")]
    ConfigReload(ConfigReload),
    #[prost(message, tag = "16")]
    Ruling(Ruling),
    #[prost(message, tag = "17")]
    Pin(Pin),
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Tick {}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Cgroup {
    #[prost(uint64, tag = "1")]
    pub(super) inode: u64,
    #[prost(string, tag = "2")]
    pub(super) path: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Missing {
    #[prost(uint32, tag = "1")]
    pub(super) reason: u32,
    #[prost(string, tag = "2")]
    pub(super) detail: String,
    #[prost(string, optional, tag = "3")]
    pub(super) fix: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Target {
    #[prost(message, optional, tag = "1")]
    pub(super) cgroup: Option<Cgroup>,
    #[prost(uint32, tag = "2")]
    pub(super) kind: u32,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) service: String,
    #[prost(message, optional, tag = "5")]
    pub(super) container: Option<Container>,
    #[prost(fixed64, tag = "6")]
    pub(super) started_at: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Container {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(uint32, optional, tag = "2")]
    pub(super) runtime: Option<u32>,
    #[prost(string, optional, tag = "3")]
    pub(super) pod_uid: Option<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessKey {
    #[prost(uint32, tag = "1")]
    pub(super) pid: u32,
    #[prost(uint64, tag = "2")]
    pub(super) start_ticks: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Process {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<ProcessKey>,
    #[prost(fixed64, tag = "2")]
    pub(super) started_at: u64,
    #[prost(string, tag = "3")]
    pub(super) comm: String,
    #[prost(string, optional, tag = "4")]
    pub(super) exe: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(super) exe_missing: Option<Missing>,
    /// Version of the Go runtime.
    #[prost(string, optional, tag = "6")]
    pub(super) go: Option<String>,
    /// Set when the runtime could not be told; neither this nor `go` nor `managed` means native.
    #[prost(message, optional, tag = "7")]
    pub(super) runtime_missing: Option<Missing>,
    /// What an interpreter runs.
    #[prost(string, optional, tag = "8")]
    pub(super) program: Option<String>,
    #[prost(message, optional, tag = "9")]
    pub(super) managed: Option<ManagedRuntime>,
    /// From which sources a Go program was built.
    #[prost(message, optional, tag = "10")]
    pub(super) go_build: Option<GoBuild>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GoBuild {
    #[prost(string, tag = "1")]
    pub(super) package: String,
    #[prost(string, tag = "2")]
    pub(super) module: String,
    #[prost(string, optional, tag = "3")]
    pub(super) module_version: Option<String>,
    #[prost(string, optional, tag = "4")]
    pub(super) revision: Option<String>,
    #[prost(bool, optional, tag = "5")]
    pub(super) modified: Option<bool>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ManagedRuntime {
    /// Position in the list of `convert/sample.rs`.
    #[prost(uint32, tag = "1")]
    pub(super) name: u32,
    #[prost(string, optional, tag = "2")]
    pub(super) version: Option<String>,
    #[prost(uint64, optional, tag = "3")]
    pub(super) most_heap: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub(super) most_heap_percent: Option<u32>,
}

/// A number, or why there is none.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Number {
    #[prost(sint64, tag = "1")]
    pub(super) value: i64,
    #[prost(message, optional, tag = "2")]
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Sample {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(message, optional, tag = "2")]
    pub(super) cgroup: Option<CgroupMemory>,
    #[prost(message, optional, tag = "3")]
    pub(super) cgroup_missing: Option<Missing>,
    #[prost(message, repeated, tag = "4")]
    pub(super) new_processes: Vec<Process>,
    #[prost(message, repeated, tag = "5")]
    pub(super) processes: Vec<ProcessSample>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct CgroupMemory {
    #[prost(uint64, tag = "1")]
    pub(super) charge: u64,
    /// Absent for no limit.
    #[prost(uint64, optional, tag = "2")]
    pub(super) limit: Option<u64>,
    /// Format 1.
    #[prost(message, optional, tag = "3")]
    pub(super) swap: Option<Number>,
    /// Format 1: `anon`, `file`, `shmem`, `active_file`, `inactive_file`, `kernel`, `slab_reclaimable`.
    #[prost(uint64, repeated, tag = "4")]
    pub(super) stat: Vec<u64>,
    /// Format 1.
    #[prost(message, optional, tag = "5")]
    pub(super) stat_missing: Option<Missing>,
    /// Format 1: `oom_kill`, `max`.
    #[prost(uint64, repeated, tag = "6")]
    pub(super) events: Vec<u64>,
    /// Format 1.
    #[prost(message, optional, tag = "7")]
    pub(super) events_missing: Option<Missing>,
    #[prost(message, optional, tag = "8")]
    pub(super) counters: Option<Counters>,
}

/// Counters of a cgroup: pairs of a counter's number and its value, as two lists of the same length.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Counters {
    #[prost(uint32, repeated, tag = "1")]
    pub(super) numbers: Vec<u32>,
    #[prost(uint64, repeated, tag = "2")]
    pub(super) values: Vec<u64>,
    #[prost(message, repeated, tag = "3")]
    pub(super) unread_files: Vec<UnreadFile>,
    /// Version of the cgroup hierarchy, 1 or 2; zero when it is not known.
    #[prost(uint32, tag = "4")]
    pub(super) version: u32,
}

/// A file of counters that could not be read.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct UnreadFile {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(message, optional, tag = "2")]
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessSample {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<ProcessKey>,
    /// Format 1: the fields of [`ProcessMemory`] in their order.
    #[prost(uint64, repeated, tag = "2")]
    pub(super) positional: Vec<u64>,
    #[prost(message, optional, tag = "3")]
    pub(super) memory_missing: Option<Missing>,
    #[prost(message, optional, tag = "4")]
    pub(super) memory: Option<ProcessMemory>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessMemory {
    #[prost(uint64, tag = "1")]
    pub(super) rss: u64,
    #[prost(uint64, tag = "2")]
    pub(super) anon: u64,
    #[prost(uint64, tag = "3")]
    pub(super) file: u64,
    #[prost(uint64, tag = "4")]
    pub(super) shmem: u64,
    #[prost(uint64, tag = "5")]
    pub(super) swap: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct TakenProfile {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(message, optional, tag = "2")]
    pub(super) process: Option<ProcessKey>,
    #[prost(string, tag = "3")]
    pub(super) type_name: String,
    #[prost(uint32, tag = "4")]
    pub(super) source: u32,
    /// A `profile.proto`, of recordings made before there was `content`.
    #[prost(bytes = "vec", tag = "5")]
    pub(super) pprof: Vec<u8>,
    #[prost(message, optional, tag = "6")]
    pub(super) content: Option<ProfileContent>,
    #[prost(message, optional, tag = "7")]
    pub(super) content_missing: Option<Missing>,
}

/// Values by stack. Stacks are a tree from the outermost frames inwards: each is a frame and the stack that called it.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProfileContent {
    /// Function and file names.
    #[prost(string, repeated, tag = "1")]
    pub(super) texts: Vec<String>,
    /// Of each frame: its function and its file, by place in `texts`, and its line.
    #[prost(uint32, repeated, tag = "2")]
    pub(super) frame_functions: Vec<u32>,
    #[prost(uint32, repeated, tag = "3")]
    pub(super) frame_files: Vec<u32>,
    #[prost(uint32, repeated, tag = "4")]
    pub(super) frame_lines: Vec<u32>,
    /// Of each stack: its caller, which is an earlier one (one more than its place, zero for none), and its innermost frame by place, with
    /// the highest bit where that is inlined into the caller.
    #[prost(uint32, repeated, tag = "5")]
    pub(super) stack_callers: Vec<u32>,
    #[prost(uint32, repeated, tag = "6")]
    pub(super) stack_frames: Vec<u32>,
    #[prost(message, repeated, tag = "7")]
    pub(super) values: Vec<StackValue>,
    #[prost(message, optional, tag = "8")]
    pub(super) total: Option<StackValue>,
    #[prost(int64, tag = "9")]
    pub(super) period: i64,
    #[prost(message, repeated, tag = "10")]
    pub(super) losses: Vec<ProfileLoss>,
    #[prost(string, tag = "11")]
    pub(super) file: String,
    #[prost(string, tag = "12")]
    pub(super) build_id: String,
}

#[derive(Clone, Copy, PartialEq, prost::Message)]
pub(super) struct StackValue {
    /// One more than the place of the stack; zero for the stack without frames, and in a sum.
    #[prost(uint32, tag = "1")]
    pub(super) stack: u32,
    #[prost(sint64, tag = "2")]
    pub(super) alloc_objects: i64,
    #[prost(sint64, tag = "3")]
    pub(super) alloc_space: i64,
    #[prost(sint64, tag = "4")]
    pub(super) inuse_objects: i64,
    #[prost(sint64, tag = "5")]
    pub(super) inuse_space: i64,
    #[prost(double, tag = "6")]
    pub(super) inuse_variance: f64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProfileLoss {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(uint64, tag = "2")]
    pub(super) samples: u64,
    #[prost(message, optional, tag = "3")]
    pub(super) value: Option<StackValue>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProfileMissing {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(string, tag = "2")]
    pub(super) profile_type: String,
    #[prost(message, optional, tag = "3")]
    pub(super) missing: Option<Missing>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OomKill {
    /// 0 memcg, 1 global.
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Number>,
    #[prost(message, optional, tag = "2")]
    pub(super) cgroup: Option<Cgroup>,
    #[prost(message, optional, tag = "3")]
    pub(super) cgroup_missing: Option<Missing>,
    #[prost(message, optional, tag = "4")]
    pub(super) memcg: Option<OomMemcg>,
    #[prost(message, optional, tag = "5")]
    pub(super) memcg_missing: Option<Missing>,
    #[prost(uint32, tag = "6")]
    pub(super) victim_pid: u32,
    #[prost(uint64, optional, tag = "7")]
    pub(super) victim_start_ticks: Option<u64>,
    #[prost(string, tag = "8")]
    pub(super) victim_comm: String,
    #[prost(message, optional, tag = "9")]
    pub(super) rss_anon: Option<Number>,
    #[prost(message, optional, tag = "10")]
    pub(super) rss_file: Option<Number>,
    #[prost(message, optional, tag = "11")]
    pub(super) rss_shmem: Option<Number>,
    #[prost(message, optional, tag = "12")]
    pub(super) page_tables: Option<Number>,
    #[prost(message, optional, tag = "13")]
    pub(super) oom_score_adj: Option<Number>,
    #[prost(uint32, tag = "14")]
    pub(super) trigger_pid: u32,
    #[prost(string, tag = "15")]
    pub(super) trigger_comm: String,
    #[prost(bool, tag = "16")]
    pub(super) read_at_death: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct OomMemcg {
    #[prost(message, optional, tag = "1")]
    pub(super) cgroup: Option<Cgroup>,
    #[prost(uint64, tag = "2")]
    pub(super) limit: u64,
    #[prost(uint64, tag = "3")]
    pub(super) charge: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ProcessExit {
    #[prost(message, optional, tag = "1")]
    pub(super) key: Option<ProcessKey>,
    #[prost(string, tag = "2")]
    pub(super) comm: String,
    #[prost(message, optional, tag = "3")]
    pub(super) exit_code: Option<Number>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) cgroup_inode: Option<u64>,
    #[prost(message, optional, tag = "5")]
    pub(super) killer: Option<Killer>,
}

/// Who sent a SIGKILL.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Killer {
    /// 0 the OOM killer, 1 the kernel, 2 a process.
    #[prost(uint32, tag = "1")]
    pub(super) kind: u32,
    #[prost(uint32, tag = "2")]
    pub(super) pid: u32,
    #[prost(string, tag = "3")]
    pub(super) comm: String,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Loss {
    #[prost(string, tag = "1")]
    pub(super) reason: String,
    #[prost(uint64, tag = "2")]
    pub(super) count: u64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct ConfigReload {
    /// Absent when it was loaded.
    #[prost(string, optional, tag = "1")]
    pub(super) refused: Option<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) applied: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) need_restart: Vec<String>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Answer {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(string, tag = "2")]
    pub(super) step: String,
    /// Absent when the answer is taken back; else 0 yes, 1 no, 2 unknown.
    #[prost(uint32, optional, tag = "3")]
    pub(super) given: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ruling {
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// Absent when it is taken back.
    #[prost(message, optional, tag = "2")]
    pub(super) ruled: Option<Ruled>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Pin {
    #[prost(string, tag = "1")]
    pub(super) oom_kill: String,
    #[prost(bool, tag = "2")]
    pub(super) pinned: bool,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Ruled {
    #[prost(string, tag = "1")]
    pub(super) service: String,
    #[prost(string, optional, tag = "2")]
    pub(super) version: Option<String>,
    #[prost(string, tag = "3")]
    pub(super) reason: String,
    #[prost(fixed64, tag = "4")]
    pub(super) made_at: u64,
    #[prost(fixed64, tag = "5")]
    pub(super) until: u64,
    /// Absent for a mute.
    #[prost(message, optional, tag = "6")]
    pub(super) overrule: Option<Overrule>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Overrule {
    #[prost(string, tag = "1")]
    pub(super) step: String,
    /// As in [`Answer`].
    #[prost(uint32, tag = "2")]
    pub(super) answer: u32,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FinalState {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(message, optional, tag = "2")]
    pub(super) process: Option<ProcessKey>,
    #[prost(message, optional, tag = "3")]
    pub(super) heap: Option<FinalHeap>,
    #[prost(message, optional, tag = "4")]
    pub(super) heap_missing: Option<Missing>,
    #[prost(message, repeated, tag = "5")]
    pub(super) groups: Vec<GoroutineGroup>,
    #[prost(uint64, tag = "6")]
    pub(super) goroutines_missing: u64,
    #[prost(uint64, tag = "7")]
    pub(super) goroutines_held_up_nanos: u64,
    #[prost(message, optional, tag = "8")]
    pub(super) no_goroutines: Option<Missing>,
    #[prost(uint32, optional, tag = "9")]
    pub(super) goroutines_cut: Option<u32>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct FinalHeap {
    /// A `profile.proto`, of recordings made before there was `allocated_content`; so is `retained`.
    #[prost(bytes = "vec", tag = "1")]
    pub(super) allocated: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) retained: Vec<u8>,
    #[prost(uint64, tag = "3")]
    pub(super) buckets: u64,
    #[prost(uint64, tag = "4")]
    pub(super) lost: u64,
    #[prost(uint64, tag = "5")]
    pub(super) unreadable: u64,
    #[prost(uint64, tag = "6")]
    pub(super) unknown: u64,
    #[prost(uint64, tag = "7")]
    pub(super) unknown_bytes: u64,
    #[prost(uint32, optional, tag = "8")]
    pub(super) cut: Option<u32>,
    #[prost(uint64, tag = "9")]
    pub(super) held_up_nanos: u64,
    #[prost(uint64, tag = "10")]
    pub(super) not_reached: u64,
    #[prost(uint64, tag = "11")]
    pub(super) left_out: u64,
    #[prost(uint64, tag = "12")]
    pub(super) left_out_bytes: u64,
    #[prost(message, optional, tag = "13")]
    pub(super) allocated_content: Option<ProfileContent>,
    #[prost(message, optional, tag = "14")]
    pub(super) retained_content: Option<ProfileContent>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GoroutineGroup {
    #[prost(uint64, tag = "1")]
    pub(super) count: u64,
    #[prost(string, tag = "2")]
    pub(super) function: String,
    #[prost(string, tag = "3")]
    pub(super) created_by: String,
    #[prost(string, tag = "4")]
    pub(super) file: String,
    #[prost(uint32, tag = "5")]
    pub(super) line: u32,
    #[prost(string, tag = "6")]
    pub(super) state: String,
}

/// Format 1.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GoRuntime {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(message, optional, tag = "2")]
    pub(super) process: Option<ProcessKey>,
    /// Marked, live, in use, idle, released, mapped, stacks, metadata; none if missing.
    #[prost(uint64, repeated, tag = "3")]
    pub(super) bytes: Vec<u64>,
    #[prost(uint64, optional, tag = "4")]
    pub(super) heap_goal: Option<u64>,
    #[prost(uint32, tag = "5")]
    pub(super) collections: u32,
    #[prost(uint32, optional, tag = "6")]
    pub(super) gc_percent: Option<u32>,
    #[prost(uint64, optional, tag = "7")]
    pub(super) memory_limit: Option<u64>,
    #[prost(message, optional, tag = "8")]
    pub(super) missing: Option<Missing>,
}

/// What a runtime counts. Each runtime is a field of its own.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Runtime {
    #[prost(string, tag = "1")]
    pub(super) target: String,
    #[prost(message, optional, tag = "2")]
    pub(super) process: Option<ProcessKey>,
    #[prost(message, optional, tag = "3")]
    pub(super) missing: Option<Missing>,
    #[prost(message, optional, tag = "4")]
    pub(super) go: Option<GoRuntimeStats>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GoRuntimeStats {
    #[prost(uint64, tag = "1")]
    pub(super) heap_marked: u64,
    #[prost(uint64, tag = "2")]
    pub(super) heap_live: u64,
    #[prost(uint64, optional, tag = "3")]
    pub(super) heap_goal: Option<u64>,
    #[prost(uint64, tag = "4")]
    pub(super) heap_in_use: u64,
    #[prost(uint64, tag = "5")]
    pub(super) heap_idle: u64,
    #[prost(uint64, tag = "6")]
    pub(super) heap_released: u64,
    #[prost(uint64, tag = "7")]
    pub(super) mapped_ready: u64,
    #[prost(uint64, tag = "8")]
    pub(super) stacks: u64,
    #[prost(uint64, tag = "9")]
    pub(super) metadata: u64,
    #[prost(uint32, tag = "10")]
    pub(super) collections: u32,
    #[prost(uint32, optional, tag = "11")]
    pub(super) gc_percent: Option<u32>,
    #[prost(uint64, optional, tag = "12")]
    pub(super) memory_limit: Option<u64>,
}
