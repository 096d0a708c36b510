//! What all handlers share.

use crate::clock::Clock;
use crate::engine::input::Input;
use crate::store::Store;
use leakwatch_analysis::units::Timestamp;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::RwLockReadGuard;
use tokio::sync::mpsc;

/// A handle on the daemon.
#[derive(Clone, Debug)]
pub struct Context {
    /// What is known; written by the engine alone.
    pub store: Arc<RwLock<Store>>,
    /// The daemon's clock.
    pub clock: Clock,
    /// Into the engine, for answers of a person.
    pub inputs: mpsc::Sender<Input>,
}

impl Context {
    /// What is known now. Never held across an `await`.
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Store> {
        // The engine does not leave the store half-written, so a poisoned lock still guards a sound store.
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Now.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
