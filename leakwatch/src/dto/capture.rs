//! Captures: what a person asks for, and how far it is.

use crate::capture::AttachMode;
use crate::capture::Capture;
use crate::capture::CaptureState;
use crate::capture::DEFAULT_SAMPLE_BYTES;
use crate::dto::instant::Instant;
use crate::dto::missing::MissingMap;
use crate::dto::page::LossBody;
use leakwatch_nativeproc::placement::Execution;

use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// What to capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = CaptureRequest)]
pub struct CaptureRequestBody {
    /// `native`: calls of the allocator; `growth`: page faults and system calls that map memory;
    /// `usdt`: what the program's own heap sampler tells (`otel_memory` or `ddheap`).
    pub lane: String,
    /// For how long, 1 to 3600; 60 without it.
    #[serde(default = "default_seconds")]
    pub seconds: u64,
    /// Processor time it may cost, in percent of what the process uses, at most 5; what is configured without it.
    #[serde(default)]
    pub cpu_budget_percent: Option<f64>,
    /// Mean bytes between samples; 1 takes every call.
    #[serde(default = "default_sample_bytes")]
    pub sample_bytes: u64,
}

fn default_seconds() -> u64 {
    60
}

fn default_sample_bytes() -> u64 {
    DEFAULT_SAMPLE_BYTES
}

/// Whether probes are kept off all programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Detach)]
pub struct DetachBody {
    /// Nothing is captured, by nobody.
    pub detached: bool,
    /// Captures that were running and end now.
    pub stopped: usize,
}

/// One capture.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Capture)]
pub struct CaptureBody {
    /// Its id.
    pub id: String,
    /// Id of the target.
    pub target: String,
    /// Id of the process.
    pub process: String,
    /// `native`, `growth` or `usdt`.
    pub lane: String,
    /// `starting`, `running`, `done`, `stopped`, `over_budget` or `failed`.
    pub state: String,
    /// Whether the daemon started it by itself.
    pub automatic: bool,
    /// When it was asked for.
    pub started_at: Instant,
    /// How long it is to be attached.
    pub seconds: f64,
    /// How long it has been attached, the time between two windows not counted.
    pub attached_seconds: f64,
    /// Times that the probes were attached: more than once when attaching all the time would have cost too much.
    pub windows: u64,
    /// `session` or `single`: whether the return of a call is probed only where it is wanted (Linux 6.13). Absent before the probes
    /// are attached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub way: Option<String>,
    /// Share of the time that is over, 0 to 1.
    pub progress: f64,
    /// Mean bytes between samples; 1 for every call.
    pub sample_bytes: u64,
    /// What it costs the process.
    pub cost: CaptureCostBody,
    /// Allocations, or page faults, sampled.
    pub samples: u64,
    /// Distinct stacks.
    pub stacks: usize,
    /// The functions that are probed.
    pub functions: Vec<ProbedFunctionBody>,
    /// What was lost in this capture.
    pub losses: Vec<LossBody>,
    /// Where the profile is.
    pub profile: String,
    /// Why it failed.
    pub missing: MissingMap,
}

/// What a capture costs the process: hits times the cost of a hit, which is measured on the host.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = CaptureCost)]
pub struct CaptureCostBody {
    /// Entries into allocating functions; page faults sampled.
    pub allocation_hits: u64,
    /// Entries into freeing functions; system calls that map memory or give it back.
    pub release_hits: u64,
    /// Processor time spent so far.
    pub cpu_seconds: f64,
    /// Processor time that may have been spent by now.
    pub allowed_cpu_seconds: f64,
    /// The budget.
    pub cpu_budget_percent: f64,
    /// Processors that the process used before.
    pub process_cpus: f64,
}

/// A function that is probed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ProbedFunction)]
pub struct ProbedFunctionBody {
    /// Its symbol.
    pub symbol: String,
    /// The file it is in.
    pub path: String,
    /// Bytes from its entry to the probed instruction.
    pub offset: u64,
    /// Whether the kernel emulates that instruction; otherwise it is single-stepped, at thirty times the cost.
    pub emulated: bool,
}

impl From<&Capture> for CaptureBody {
    fn from(capture: &Capture) -> Self {
        let request = &capture.request;
        let mut missing = MissingMap::default();
        let state = match &capture.state {
            CaptureState::Starting => "starting",
            CaptureState::Running => "running",
            CaptureState::Done => "done",
            CaptureState::Stopped => "stopped",
            CaptureState::OverBudget => "over_budget",
            CaptureState::Failed(reason) => {
                missing.note("profile", reason.into());
                "failed"
            }
        };
        let progress = if capture.has_ended() {
            1.0
        } else {
            (capture.running.as_secs_f64() / request.duration.as_secs_f64().max(f64::MIN_POSITIVE)).min(1.0)
        };
        Self {
            id: capture.id.clone(),
            target: request.target.to_string(),
            process: request.process.to_string(),
            lane: request.lane.name.to_owned(),
            state: state.to_owned(),
            automatic: request.automatic,
            started_at: capture.started_at.into(),
            seconds: request.duration.as_secs_f64(),
            attached_seconds: capture.running.as_secs_f64() * capture.duty,
            windows: capture.windows,
            way: capture.attach_mode.as_ref().map(|mode| match mode {
                AttachMode::Session => "session".to_owned(),
                AttachMode::Single(_) => "single".to_owned(),
            }),
            progress,
            sample_bytes: request.sample_bytes,
            cost: CaptureCostBody {
                allocation_hits: capture.counts.entries,
                release_hits: capture.counts.frees,
                cpu_seconds: capture.overhead.as_secs_f64(),
                allowed_cpu_seconds: capture.allowance.as_secs_f64(),
                cpu_budget_percent: request.cpu_budget.percent,
                process_cpus: capture.share,
            },
            samples: capture.counts.samples,
            stacks: capture.stacks,
            functions: capture
                .functions
                .iter()
                .map(|point| ProbedFunctionBody {
                    symbol: point.symbol.clone(),
                    path: point.path.clone(),
                    offset: point.placement.offset,
                    emulated: point.placement.execution == Execution::Emulated,
                })
                .collect(),
            losses: capture
                .losses
                .iter()
                .chain(&capture.unnamed)
                .map(|(reason, count)| LossBody {
                    reason: (*reason).to_owned(),
                    count: *count,
                })
                .collect(),
            profile: format!(
                "/api/v1/targets/{}/profiles/{}",
                request.target,
                request.lane.profile_type.name()
            ),
            missing,
        }
    }
}
