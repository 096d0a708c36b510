//! Names what a capture has counted and hands it over as profiles, in a thread of its own: debugging information may be gigabytes, or on a file
//! system that does not answer, and meanwhile the capture has to be kept within its budget.

pub mod profile;
pub(super) mod workers;

use crate::capture::lane::CaptureRequest;
use crate::capture::lane::Counted;
use crate::capture::registry::Registry;
use crate::capture::symbolize::profile::Title;
use crate::capture::symbolize::workers::Workers;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::self_stats;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_nativeproc::symbols::Symbols;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

/// For the last profile: the debugging information of a large program takes some seconds.
const DEADLINE: Duration = Duration::from_mins(2);
/// Resident memory of the daemon beyond which no files are kept between two profiles.
const MOST_WITH_FILES: Bytes = Bytes::from_mib(96);
/// Threads at a time that open other files than the mapped ones, those included that nobody waits for any more: whoever makes them wait, with a pipe
/// in the place of a file, costs the others their line numbers, and no more.
const MAX_OPENING: usize = 16;
/// Threads in all.
const MAX_THREADS: usize = 64;

/// The symbolizer of one capture.
#[derive(Debug)]
pub(super) struct Symbolizer {
    queue: Arc<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    /// What is to be written; what comes before it is written is newer and takes its place.
    next: Option<(Timestamp, Vec<Counted>)>,
    /// Nothing comes any more.
    ended: bool,
    /// All is written.
    written: bool,
}

/// Tells that all is written, whatever happens.
struct AtWork {
    queue: Arc<Queue>,
    workers: Arc<Workers>,
}

impl Symbolizer {
    /// For a capture that has just begun.
    pub(super) fn start(registry: &Arc<Registry>, id: &str, request: &CaptureRequest) -> Reading<Self> {
        let failed = |detail: String| Missing::new(MissingReason::Failed, detail);
        let queue = Arc::new(Queue::default());
        let threads = registry.workers.0.fetch_add(1, Ordering::Relaxed);
        let at_work = AtWork {
            queue: Arc::clone(&queue),
            workers: Arc::clone(&registry.workers),
        };
        if threads >= MAX_THREADS {
            return Err(failed(format!("{threads} captures wait for debugging information")));
        }
        let (registry, id, request) = (Arc::clone(registry), id.to_owned(), request.clone());
        thread::Builder::new()
            .name("symbolizer".into())
            .spawn(move || write(&at_work.queue, &registry, &id, &request, threads < MAX_OPENING))
            .map_err(|error| failed(format!("cannot start a thread for the profiles: {error}")))?;
        Ok(Self { queue })
    }

    /// To be written when there is time.
    pub(super) fn take(&self, at: Timestamp, counted: Vec<Counted>) {
        self.queue.lock().next = Some((at, counted));
        self.queue.changed.notify_all();
    }

    /// The last; waits until it is written.
    pub(super) fn finish(self, at: Timestamp, counted: Vec<Counted>) -> Reading<()> {
        self.take(at, counted);
        self.queue.lock().ended = true;
        self.queue.changed.notify_all();
        let waited = self
            .queue
            .changed
            .wait_timeout_while(self.queue.lock(), DEADLINE, |state| !state.written);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if state.written {
            return Ok(());
        }
        let detail = format!(
            "the code of the process could not be named within {} s",
            DEADLINE.as_secs()
        );
        Err(Missing::new(MissingReason::Failed, detail)
            .with_fix("is its debugging information on a file system that does not answer?"))
    }
}

impl Drop for Symbolizer {
    fn drop(&mut self) {
        self.queue.lock().ended = true;
        self.queue.changed.notify_all();
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.queue.lock().written = true;
        self.queue.changed.notify_all();
        self.workers.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Only whole values are stored under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be written next; none when nothing comes any more.
    fn next(&self) -> Option<(Timestamp, Vec<Counted>)> {
        let waited = self
            .changed
            .wait_while(self.lock(), |state| state.next.is_none() && !state.ended);
        waited.unwrap_or_else(PoisonError::into_inner).next.take()
    }
}

fn write(queue: &Queue, registry: &Registry, id: &str, request: &CaptureRequest, opens_others: bool) {
    let pid = request.process.pid;
    // Not before there is something to name: most captures of programs that would notice end before.
    let mut symbols = None;
    while let Some((at, counted)) = queue.next() {
        let symbols = symbols.get_or_insert_with(|| {
            if opens_others {
                Symbols::of_process(pid)
            } else {
                Symbols::of_mapped_files(pid)
            }
        });
        let stacks = counted.iter().map(|counted| counted.rows.len()).sum();
        registry.update(id, |capture| capture.stacks = stacks);
        for Counted {
            profile_type,
            period,
            rows,
            ..
        } in counted
        {
            // Nobody is shown an empty one.
            if rows.is_empty() {
                continue;
            }
            let title = Title {
                profile_type,
                exe: &request.exe,
                period,
                at,
            };
            registry.send(Input::Profile(TakenProfile {
                at,
                target: request.target.clone(),
                process: request.process,
                profile_type,
                source: ProfileSource::Capture,
                profile: profile::profile(&rows, symbols, &title),
            }));
        }
        // What was read of the files is as large as they are; it is read again for addresses that are new.
        if self_stats::resident().is_ok_and(|resident| resident > MOST_WITH_FILES) {
            symbols.forget_files();
            self_stats::give_back();
        }
        let unnamed = symbols.missing().collect();
        registry.update(id, |capture| capture.unnamed = unnamed);
    }
}
