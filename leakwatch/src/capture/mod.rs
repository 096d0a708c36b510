//! Captures: probes on one process for a while, from looking for its allocator to profiles for the engine.
//!
//! Puts together what `leakwatch-nativeproc` finds out about the process and what `probes` attaches. Each capture has a thread of its own;
//! [`Captures`] starts, stops and remembers them, within bounds.

pub mod budget;
pub mod estimator;
pub mod stacks;
pub mod lane;
pub mod lanes;
pub mod symbolize;
pub mod rows;
mod state;
mod registry;
mod run;

use crate::capture::budget::cost::ProbeCost;
use crate::capture::budget::measure::HostCost;
pub use crate::capture::lane::CaptureRequest;
use crate::capture::registry::Registry;
pub use crate::capture::state::Capture;
pub use crate::capture::state::CaptureState;
use crate::clock::Clock;
use crate::input::Input;
pub use crate::probes::allocator::AttachMode;
use crate::probes::allocator::HitCounts;
use leakwatch_analysis::model::target::ProcessKey;
use std::io;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Captures at a time, each with some MiB of maps and a thread.
pub const MAX_RUNNING: usize = 4;
/// Captures remembered.
const MAX_REMEMBERED: usize = 256;
/// Mean bytes between samples unless asked otherwise.
pub const DEFAULT_SAMPLE_BYTES: u64 = 512 * 1024;

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
    /// A person took all probes off.
    #[error("all probes were taken off with `leakwatch detach`: `leakwatch detach --undo` allows captures again")]
    Detached,
    /// The operating system refused a thread.
    #[error("cannot start a thread for the capture")]
    Thread(#[source] io::Error),
}

/// All captures of the daemon.
#[derive(Clone, Debug)]
pub struct Captures {
    registry: Arc<Registry>,
}

impl Captures {
    /// None yet. Profiles go to `inputs` for as long as somebody else holds it open.
    pub fn new(clock: Clock, enabled: bool, inputs: &mpsc::Sender<Input>) -> Self {
        Self {
            registry: Arc::new(Registry {
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
        if !self.registry.enabled {
            return Err(CaptureError::SwitchedOff);
        }
        let mut state = self.registry.lock();
        if state.detached {
            return Err(CaptureError::Detached);
        }
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
        let started_at = self.registry.clock.now();
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
            functions: Arc::default(),
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
        let (registry, id) = (Arc::clone(&self.registry), capture.id.clone());
        let request = capture.request.clone();
        thread::Builder::new()
            .name("capture".into())
            .spawn(move || run::run(&registry, &id, &request))
            .map_err(CaptureError::Thread)?;
        Ok(capture)
    }

    /// What a hit costs on this host; measured if it is not known yet.
    pub fn probe_cost(&self) -> ProbeCost {
        self.registry.host.get()
    }

    /// One capture.
    pub fn get(&self, id: &str) -> Option<Capture> {
        let state = self.registry.lock();
        state.captures.iter().find(|capture| capture.id == id).cloned()
    }

    /// All that are remembered, oldest first.
    pub fn all(&self) -> Vec<Capture> {
        self.registry.lock().captures.iter().cloned().collect()
    }

    /// Whether one has not ended.
    pub fn any_running(&self) -> bool {
        self.registry.lock().captures.iter().any(|capture| !capture.has_ended())
    }

    /// Tells a capture to end; answers what is known of it.
    pub fn stop(&self, id: &str) -> Option<Capture> {
        self.registry.update(id, |capture| capture.stop = true);
        self.get(id)
    }

    /// Takes all probes off, and puts none on until that is undone. How many captures end.
    pub fn detach(&self) -> usize {
        let running = {
            let mut state = self.registry.lock();
            state.detached = true;
            state.captures.iter().filter(|capture| !capture.has_ended()).count()
        };
        self.stop_all();
        running
    }

    /// Allows captures again.
    pub fn attach_again(&self) {
        self.registry.lock().detached = false;
    }

    /// Whether a person took all probes off.
    pub fn is_detached(&self) -> bool {
        self.registry.lock().detached
    }

    /// Tells all to end.
    pub fn stop_all(&self) {
        for capture in &mut self.registry.lock().captures {
            capture.stop = true;
        }
        self.registry.changed.notify_all();
    }
}
