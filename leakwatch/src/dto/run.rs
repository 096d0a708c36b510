//! Runs of a service, each with its course by the age of its process.

use crate::dto::instant::Instant;
use crate::dto::link;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::query::runs::KnownRun;
use crate::query::runs::RunKey;
use leakwatch_analysis::model::run::CoursePoint;
use leakwatch_analysis::model::run::RunEnd;
use leakwatch_analysis::model::target::ProcessKey;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// One life of a service's main process, from start to exit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Run)]
pub struct RunBody {
    /// Opaque.
    pub id: String,
    /// Id of the target it ran in.
    pub target: Option<String>,
    /// Where the target is, as long as it is known.
    pub link: Option<String>,
    /// Id of the process.
    pub process: String,
    /// Process id.
    pub pid: u32,
    /// Executable.
    pub exe: Option<String>,
    /// Version of the program: its build id.
    pub version: Option<String>,
    /// When the process started.
    pub started_at: Instant,
    /// When it ended; `null` while it runs.
    pub ended_at: Option<Instant>,
    /// How it ended: `oom_kill`, `exit`, `out_of_memory` where its runtime gave up with its own heap full, or `unseen` where nobody watched; `null`
    /// while it runs.
    pub ended_by: Option<String>,
    /// How old it was when it was sampled last.
    pub seconds: f64,
    /// The limit it ran under.
    pub limit_bytes: Option<u64>,
    /// Highest of `memory_bytes`.
    pub peak_bytes: Option<u64>,
    /// Length of a step of the course.
    pub step_seconds: u32,
    /// Mean age of the process at the samples of each step. What follows has one entry for each of these; what was not known is `null`.
    pub age_seconds: Vec<u32>,
    /// Memory that cannot be reclaimed, mean of the step.
    pub memory_bytes: Vec<Option<u64>>,
    /// Live heap, newest of the step.
    pub live_heap_bytes: Vec<Option<u64>>,
    /// Goroutines, newest of the step.
    pub goroutines: Vec<Option<u32>>,
    /// Work done since the start, as bytes allocated, newest of the step.
    pub allocated_bytes: Vec<Option<u64>>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// Name on the wire.
pub const fn end_name(end: RunEnd) -> &'static str {
    match end {
        RunEnd::OomKill => "oom_kill",
        RunEnd::Exit => "exit",
        RunEnd::Unseen => "unseen",
        RunEnd::OutOfMemory => "out_of_memory",
    }
}

impl RunBody {
    /// A run; `is_known` says whether its target can be looked at.
    pub fn new(known: &KnownRun, is_known: bool) -> Self {
        let run = &known.run;
        let points = &run.course.points;
        let mut missing = MissingMap::default();
        let mut told = |field: &str, value: Option<String>, why: &str| {
            if value.is_none() {
                let (detail, fix) = (why.to_owned(), None);
                let reason = Reason::Failed;
                missing.note(field, MissingBody { reason, detail, fix });
            }
            value
        };
        let target = known.target.as_ref();
        let target_id = told(
            "target",
            target.map(ToString::to_string),
            "only what came of this run is remembered",
        );
        let exe = told("exe", known.exe.clone(), "the executable was not told");
        let version = told("version", known.version.clone(), "no profile told the build id");
        let runs = "it still runs";
        let peak = points.iter().filter_map(|point| point.memory).max();
        let of = |value: fn(&CoursePoint) -> Option<u64>| points.iter().map(value).collect();
        Self {
            id: id_of(RunKey::of(run)),
            target: target_id,
            link: target.filter(|_| is_known).map(link::target),
            process: run.process.to_string(),
            pid: run.process.pid,
            exe,
            version,
            started_at: run.started_at.into(),
            ended_at: missing.applicable("ended_at", run.ended.map(|(at, _)| at.into()), runs),
            ended_by: missing.applicable("ended_by", run.ended.map(|(_, end)| end_name(end).to_owned()), runs),
            seconds: known.last_at.since(run.started_at).as_secs_f64(),
            limit_bytes: missing.applicable(
                "limit_bytes",
                run.limit.bytes().map(|limit| limit.0),
                "no limit was set",
            ),
            peak_bytes: missing.applicable("peak_bytes", peak.map(|peak| peak.0), "its memory was never read"),
            step_seconds: run.course.step_seconds,
            age_seconds: points.iter().map(|point| point.age_seconds).collect(),
            memory_bytes: of(|point| Some(point.memory?.0)),
            live_heap_bytes: of(|point| Some(point.live_heap?.0)),
            goroutines: points.iter().map(|point| point.goroutines).collect(),
            allocated_bytes: of(|point| Some(point.work?.0)),
            missing,
        }
    }
}

/// A run as a page of the list names it.
pub fn id_of(key: RunKey) -> String {
    format!("{}-{}-{}", key.started_at, key.process.pid, key.process.start_ticks)
}

/// The run again, if it is one.
pub fn key_of(id: &str) -> Option<RunKey> {
    let mut parts = id.split('-');
    let key = RunKey {
        started_at: parts.next()?.parse().ok()?,
        process: ProcessKey {
            pid: parts.next()?.parse().ok()?,
            start_ticks: parts.next()?.parse().ok()?,
        },
    };
    parts.next().is_none().then_some(key)
}
