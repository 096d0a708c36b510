//! The captures that are remembered, behind a lock that their threads and those who ask share.

use crate::capture::budget::measure::HostCost;
use crate::capture::state::Capture;
use crate::capture::symbolize::workers::Workers;
use crate::clock::Clock;
use crate::input::Input;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::mpsc;

/// The captures, and what their threads need.
#[derive(Debug)]
pub(super) struct Registry {
    pub(super) clock: Clock,
    pub(super) enabled: bool,
    pub(super) host: HostCost,
    pub(super) workers: Arc<Workers>,
    pub(super) inputs: mpsc::WeakSender<Input>,
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
}

/// The captures that are remembered.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) captures: VecDeque<Capture>,
    pub(super) number: u64,
    /// A person took all probes off: nothing is captured.
    pub(super) detached: bool,
}

impl Registry {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Only whole values are stored under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn update(&self, id: &str, change: impl FnOnce(&mut Capture)) {
        if let Some(capture) = self.lock().captures.iter_mut().find(|capture| capture.id == id) {
            change(capture);
        }
        self.changed.notify_all();
    }

    /// Hands something over to the engine.
    pub(super) fn send(&self, input: Input) {
        if let Some(inputs) = self.inputs.upgrade()
            && inputs.blocking_send(input).is_err()
        {
            tracing::debug!("the engine has ended before a capture");
        }
    }

    /// Waits; true when the capture was told to end.
    pub(super) fn rest(&self, id: &str, duration: Duration) -> bool {
        let told = |state: &State| state.captures.iter().any(|capture| capture.id == id && capture.stop);
        let waited = self
            .changed
            .wait_timeout_while(self.lock(), duration, |state| !told(state));
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        told(&state)
    }
}
