//! Whether a program was loading its data: `main` itself was at work in a function that holds much of the heap. Growth then may be
//! just that. Source: the heap and goroutine profiles of a run.

use crate::culprit::Build;
use crate::history::TargetHistory;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::units::Timestamp;

/// One in this many parts of the live heap is much.
const LARGE_PART: i64 = 10;

/// In how many of the goroutine profiles of a run `main` was loading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Loading {
    /// In none: it serves.
    Never,
    /// In some, not in all.
    Sometimes,
    /// In all: it still loaded when the run ended.
    Always,
}

impl Loading {
    /// Of the process that is followed up to `now` and of the one before, whichever loaded more. None when no goroutine profile tells.
    pub fn of(history: &TargetHistory, now: Timestamp) -> Option<Self> {
        let in_this_run = || {
            let holders = large_holders(history, window::snapshots(history, ProfileType::Heap, now).last()?);
            main_is_in(
                history,
                window::snapshots(history, ProfileType::Goroutine, now),
                &holders,
            )
        };
        let in_the_run_before = || {
            let series = |profile_type| window::previous_series(history, profile_type);
            let holders = large_holders(history, series(ProfileType::Heap)?.newest()?);
            main_is_in(history, series(ProfileType::Goroutine)?.as_slice().iter(), &holders)
        };
        in_this_run().max(in_the_run_before())
    }
}

/// The functions that a heap profile shows to hold much.
fn large_holders<'a>(history: &'a TargetHistory, heap: &Snapshot) -> Vec<&'a str> {
    let build = Build::learn(&history.stacks, heap.values.stacks());
    heap.values
        .iter()
        .filter(|(_, value)| value.inuse_space > heap.total.inuse_space / LARGE_PART)
        .filter_map(|(stack, _)| Some(&*build.culprit(history.stacks.frames(stack))?.function))
        .collect()
}

/// Whether `main` itself was at work in one of the functions.
fn main_is_in<'a>(
    history: &TargetHistory,
    goroutines: impl Iterator<Item = &'a Snapshot>,
    functions: &[&str],
) -> Option<Loading> {
    let (mut inside, mut seen) = (0_usize, 0_usize);
    for snapshot in goroutines {
        let at_work = snapshot.values.iter().filter(|(_, value)| value.inuse_objects > 0);
        let mut stacks = at_work.map(|(stack, _)| stack);
        let is_inside = stacks.any(|stack| {
            let (mut is_main, mut in_function) = (false, false);
            for frame in history.stacks.frames(stack) {
                is_main |= &*frame.function == "runtime.main";
                in_function |= functions.contains(&&*frame.function);
            }
            is_main && in_function
        });
        seen += 1;
        inside += usize::from(is_inside);
    }
    match inside {
        _ if seen == 0 => None,
        0 => Some(Loading::Never),
        _ if inside == seen => Some(Loading::Always),
        _ => Some(Loading::Sometimes),
    }
}
