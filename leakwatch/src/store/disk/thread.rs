//! The writer's thread and the queue before it. The engine never waits for it: a batch that finds the queue full is carried over, its rows are counted as
//! lost.

use super::batch::Batch;
use super::history::History;
use super::status::Shared;
use super::store::Store;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::sync::mpsc::SyncSender;
use std::sync::mpsc::TrySendError;
use std::thread;
use std::thread::JoinHandle;

/// Batches under way: more than a minute of them, about 300 kB each at 500 targets.
const CAPACITY: usize = if cfg!(test) { 4096 } else { 16 };

/// Where batches go.
#[derive(Debug)]
pub(crate) struct Queue {
    sender: SyncSender<Batch>,
    shared: Arc<Shared>,
    /// What could not be handed over: all but rows.
    carried: Option<Batch>,
}

/// Profiles that are carried over at most.
const MAX_CARRIED: usize = 256;

impl Queue {
    /// Hands a batch over if there is room.
    pub(crate) fn offer(&mut self, mut batch: Batch) {
        if let Some(carried) = self.carried.take() {
            batch.changes.splice(0..0, carried.changes);
            batch.records.splice(0..0, carried.records);
            batch.profiles.splice(0..0, carried.profiles);
        }
        match self.sender.try_send(batch) {
            Ok(()) => {}
            Err(TrySendError::Full(mut batch) | TrySendError::Disconnected(mut batch)) => {
                self.lose("store_queue_full", batch.rows.len());
                batch.rows.clear();
                let surplus = batch.profiles.len().saturating_sub(MAX_CARRIED);
                drop(batch.profiles.drain(..surplus));
                self.lose("store_profiles_dropped", surplus);
                self.carried = Some(batch);
            }
        }
    }

    fn lose(&self, reason: &'static str, count: usize) {
        if count > 0 {
            self.shared
                .update_status(|status| *status.losses.entry(reason).or_default() += count as u64);
        }
    }

    /// A reader of what is written.
    pub(crate) fn history(&self) -> History {
        History::new(Arc::clone(&self.shared))
    }
}

impl Drop for Queue {
    /// The engine has ended: now there is time to wait for room.
    fn drop(&mut self) {
        if let Some(carried) = self.carried.take()
            && self.sender.send(carried).is_err()
        {
            tracing::warn!("the store has ended before the engine");
        }
    }
}

/// Starts the writer. It ends, with everything written, when the queue is dropped.
pub(crate) fn start(mut store: Store) -> io::Result<(Queue, JoinHandle<()>)> {
    let shared = Arc::clone(&store.shared);
    let (sender, batches) = mpsc::sync_channel::<Batch>(CAPACITY);
    let thread = thread::Builder::new().name("store".into()).spawn(move || {
        for batch in batches {
            store.apply(&batch);
        }
        if let Err(error) = store.close() {
            tracing::warn!(%error, "the store could not be completed");
        }
    })?;
    let queue = Queue {
        sender,
        shared,
        carried: None,
    };
    Ok((queue, thread))
}
