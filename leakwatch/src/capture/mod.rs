//! Captures: probes on one process for a while, from looking for its allocator to profiles for the engine.
//!
//! Puts together what `leakwatch-nativeproc` finds out about the process and what `probes` attaches. Each capture has a thread of its own;
//! [`Captures`] starts, stops and remembers them, within bounds.

pub mod budget;
pub mod estimator;
pub mod stacks;
pub mod lanes;
pub mod symbolize;
mod run;

use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
use crate::capture::lanes::Lane;
use crate::capture::symbolize::Workers;
use crate::clock::Clock;
use crate::input::Input;
pub use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_nativeproc::allocator::ProbePoint;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Captures at a time, each with some MiB of maps and a thread.
pub const MAX_RUNNING: usize = 4;
/// Captures remembered.
const MAX_REMEMBERED: usize = 256;
/// Mean bytes between samples unless asked otherwise.
pub const DEFAULT_SAMPLE_BYTES: u64 = 512 * 1024;
/// The same at low duty.
const LOW_DUTY_SAMPLE_BYTES: u64 = 1024;
/// How long an automatic capture at low duty is: thirty sampling windows.
const LOW_DUTY_DURATION: Duration = Duration::from_mins(5);

/// What to capture.
#[derive(Clone, Debug, PartialEq)]
pub struct CaptureRequest {
    /// The lane.
    pub lane: &'static Lane,
    /// The target.
    pub target: TargetId,
    /// Its process.
    pub process: ProcessKey,
    /// The process's executable, for the profile.
    pub exe: String,
    /// For how long.
    pub duration: Duration,
    /// Mean bytes between samples; 1 takes every call. For calls of the allocator.
    pub sample_bytes: u64,
    /// Processor time it may cost, in percent of what the process uses.
    pub cpu_budget_percent: f64,
    /// Started by the daemon itself, not by a person.
    pub automatic: bool,
    /// Samples in short windows only, so rarely that the process does not notice, however much its calls cost.
    pub low_duty: bool,
}

impl CaptureRequest {
    /// The same at low duty: in thirty sampling windows, with finer samples in them.
    #[must_use]
    pub fn at_low_duty(self) -> Self {
        Self {
            duration: LOW_DUTY_DURATION,
            sample_bytes: LOW_DUTY_SAMPLE_BYTES,
            low_duty: true,
            ..self
        }
    }

    /// Why an automatic capture ends that would slow the process by such a part.
    fn too_slow(&self, slowdown: f64) -> Missing {
        let detail = format!(
            "the process calls its allocator so often that probing each call would slow it by {:.0} %, more than an automatic capture may: it is \
             sampled at low duty instead",
            100.0 * slowdown
        );
        let fix = format!(
            "capture for a while at an overhead of {} % of its processor time: leakwatch capture {}",
            self.cpu_budget_percent, self.target
        );
        Missing::new(MissingReason::TooLarge, detail).with_fix(fix)
    }
}

/// How far a capture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CaptureState {
    /// Looks for the allocator and attaches.
    Starting,
    /// Attached.
    Running,
    /// Ended as planned.
    Done,
    /// Ended by a person or with the daemon.
    Stopped,
    /// Ended early: a burst of calls was over budget.
    OverBudget,
    /// Could not be done, or not to its end.
    Failed(Missing),
}

/// One capture.
#[derive(Clone, Debug)]
pub struct Capture {
    /// Its id.
    pub id: String,
    /// What was asked for.
    pub request: CaptureRequest,
    /// How far it is.
    pub state: CaptureState,
    /// When it was asked for.
    pub started_at: Timestamp,
    /// Time since it was attached first.
    pub running: Duration,
    /// Part of that time that the probes were attached.
    pub duty: f64,
    /// Whether they are attached now.
    pub attached: bool,
    /// Times that they were attached.
    pub windows: u64,
    /// How they are attached.
    pub attach_mode: Option<AttachMode>,
    /// Hits and samples.
    pub counts: HitCounts,
    /// Processor time it has cost the process, by the cost of a hit.
    pub overhead: Duration,
    /// The most that it may have cost by now.
    pub allowance: Duration,
    /// Processor time that the process has used since it was attached first.
    pub used: Duration,
    /// Share of a processor that the process used before.
    pub share: f64,
    /// The functions that are probed.
    pub functions: Vec<ProbePoint>,
    /// Distinct stacks.
    pub stacks: usize,
    /// Losses by reason.
    pub losses: Vec<(&'static str, u64)>,
    /// Addresses of code without a name, by reason.
    pub unnamed: Vec<(&'static str, u64)>,
    stop: bool,
}

impl Capture {
    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        self.state.is_end()
    }
}

impl CaptureState {
    /// Whether a capture that is so far has ended.
    pub(crate) const fn is_end(&self) -> bool {
        !matches!(self, Self::Starting | Self::Running)
    }
}

/// Why a capture was not started.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// The process is captured already.
    #[error("process {process} is captured already, by capture {id}")]
    AlreadyRunning {
        /// The process.
        process: ProcessKey,
        /// The capture.
        id: String,
    },
    /// As many as there may be.
    #[error("{MAX_RUNNING} captures are running, more would cost too much")]
    TooMany,
    /// The daemon may not use eBPF.
    #[error("eBPF is switched off by --no-bpf")]
    SwitchedOff,
    /// The operating system refused a thread.
    #[error("cannot start a thread for the capture")]
    Thread(#[source] io::Error),
}

/// All captures of the daemon.
#[derive(Clone, Debug)]
pub struct Captures {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    enabled: bool,
    host: HostCost,
    workers: Arc<Workers>,
    inputs: mpsc::WeakSender<Input>,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    captures: VecDeque<Capture>,
    number: u64,
}

impl Captures {
    /// None yet. Profiles go to `inputs` for as long as somebody else holds it open.
    pub fn new(clock: Clock, enabled: bool, inputs: &mpsc::Sender<Input>) -> Self {
        Self {
            shared: Arc::new(Shared {
                clock,
                enabled,
                host: HostCost::default(),
                workers: Arc::default(),
                inputs: inputs.downgrade(),
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
        }
    }

    /// Starts a capture.
    pub fn start(&self, request: CaptureRequest) -> Result<Capture, CaptureError> {
        if !self.shared.enabled {
            return Err(CaptureError::SwitchedOff);
        }
        let mut state = self.shared.lock();
        let running = || state.captures.iter().filter(|capture| !capture.has_ended());
        if let Some(other) = running().find(|capture| capture.request.process == request.process) {
            return Err(CaptureError::AlreadyRunning {
                process: request.process,
                id: other.id.clone(),
            });
        }
        if running().count() >= MAX_RUNNING {
            return Err(CaptureError::TooMany);
        }
        let started_at = self.shared.clock.now();
        state.number += 1;
        let capture = Capture {
            id: format!("c{:x}-{}", started_at.unix_millis(), state.number),
            request,
            state: CaptureState::Starting,
            started_at,
            running: Duration::ZERO,
            duty: 1.0,
            attached: false,
            used: Duration::ZERO,
            windows: 0,
            attach_mode: None,
            counts: HitCounts::default(),
            overhead: Duration::ZERO,
            allowance: Duration::ZERO,
            share: 0.0,
            functions: Vec::new(),
            stacks: 0,
            losses: Vec::new(),
            unnamed: Vec::new(),
            stop: false,
        };
        if state.captures.len() >= MAX_REMEMBERED
            && let Some(oldest) = state.captures.iter().position(Capture::has_ended)
        {
            state.captures.remove(oldest);
        }
        state.captures.push_back(capture.clone());
        drop(state);
        let (shared, id) = (Arc::clone(&self.shared), capture.id.clone());
        let request = capture.request.clone();
        thread::Builder::new()
            .name("capture".into())
            .spawn(move || run::run(&shared, &id, &request))
            .map_err(CaptureError::Thread)?;
        Ok(capture)
    }

    /// What a hit costs on this host; measured if it is not known yet.
    pub fn probe_cost(&self) -> ProbeCost {
        self.shared.host.get()
    }

    /// One capture.
    pub fn get(&self, id: &str) -> Option<Capture> {
        let state = self.shared.lock();
        state.captures.iter().find(|capture| capture.id == id).cloned()
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> Vec<Capture> {
        self.shared.lock().captures.iter().cloned().collect()
    }

    /// Tells a capture to end; answers what is known of it.
    pub fn stop(&self, id: &str) -> Option<Capture> {
        self.shared.update(id, |capture| capture.stop = true);
        self.get(id)
    }

    /// Tells all to end.
    pub fn stop_all(&self) {
        for capture in &mut self.shared.lock().captures {
            capture.stop = true;
        }
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Only whole values are stored under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update(&self, id: &str, change: impl FnOnce(&mut Capture)) {
        if let Some(capture) = self.lock().captures.iter_mut().find(|capture| capture.id == id) {
            change(capture);
        }
        self.changed.notify_all();
    }

    /// Hands something over to the engine.
    fn send(&self, input: Input) {
        if let Some(inputs) = self.inputs.upgrade()
            && inputs.blocking_send(input).is_err()
        {
            tracing::debug!("the engine has ended before a capture");
        }
    }

    /// Waits; true when the capture was told to end.
    fn rest(&self, id: &str, duration: Duration) -> bool {
        let told = |state: &State| state.captures.iter().any(|capture| capture.id == id && capture.stop);
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), duration, |state| !told(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told(&state)
    }
}
