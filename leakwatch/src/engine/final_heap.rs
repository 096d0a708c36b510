//! The final heap: what the kernel read of a process while SIGKILL ended it joins the history of the target, and the
//! post-mortem where it was the OOM killer who sent the signal. Either may come first.

use crate::engine::judge;
use crate::store::memory::Memory;
use crate::store::post_mortem::PostMortem;
use crate::store::target::News;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::FinalState;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// Takes in what was read.
pub(super) fn died(memory: &mut Memory, state: FinalState) {
    remember(memory, &state);
    let of_victim = |post_mortem: &&PostMortem| is_of(&post_mortem.kill, &state);
    let id = memory
        .post_mortems()
        .rev()
        .find(of_victim)
        .map(|post_mortem| post_mortem.id.clone());
    match id {
        Some(id) => complete(memory, &id, state),
        None => memory.keep_final_state(state),
    }
}

/// A post-mortem was written: what was read of its victim may be there already.
pub(super) fn find(memory: &mut Memory, id: &str) {
    let Some(post_mortem) = memory.post_mortem(id) else {
        return;
    };
    let kill = post_mortem.kill.clone();
    if let Some(state) = memory.take_final_state(|state| is_of(&kill, state)) {
        complete(memory, id, state);
    }
}

/// What the kernel read is here within a second; on a busy machine putting 30,000 stacks in words takes some more. What has not
/// come by now will not.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// Post-mortems that have waited for long enough are what they are: their last snapshot is the last word.
pub(super) fn give_up(memory: &mut Memory, now: Timestamp) {
    let is_over =
        |post_mortem: &PostMortem| post_mortem.awaits_final_state && now.since(post_mortem.kill.at) > LONGEST_WAIT;
    for post_mortem in memory.post_mortems_mut(is_over) {
        post_mortem.awaits_final_state = false;
    }
}

fn is_of(kill: &OomKill, state: &FinalState) -> bool {
    kill.victim.pid == state.process.pid && kill.victim.start_ticks == Some(state.process.start_ticks)
}

/// The live heap of the last garbage collection is one more snapshot of the process: the growth up to the end counts.
fn remember(memory: &mut Memory, state: &FinalState) {
    let Ok(heap) = &state.heap else { return };
    let Some(stored) = memory.target(&state.target) else {
        return;
    };
    let newest = stored.history.snapshots.get(&ProfileType::Heap);
    let is_newer = newest
        .and_then(|series| series.newest())
        .is_none_or(|newest| newest.at <= state.at);
    // The process that came after it is followed already.
    if !is_newer {
        return;
    }
    let Some(retained) = &heap.retained else {
        memory.count_loss("profile_undecodable", 1);
        return;
    };
    let (snapshot, stacks) = snapshot(memory, state, heap, retained);
    if let Some(stored) = memory.target_mut(&state.target) {
        stored.history.apply_snapshot(snapshot);
        stored.history.stacks = stacks;
        stored.hear(News::Event);
    }
}

fn snapshot(
    memory: &mut Memory,
    state: &FinalState,
    heap: &FinalHeap,
    content: &ProfileContent,
) -> (Snapshot, Arc<StackTable>) {
    let (summary, stacks) = memory.intern(content);
    let losses = heap.losses().into_iter().chain(summary.losses);
    let snapshot = Snapshot {
        target: state.target.clone(),
        process: state.process,
        profile_type: ProfileType::Heap,
        at: state.at,
        source: ProfileSource::KernelAtDeath,
        values: summary.values,
        total: summary.total,
        period: summary.period,
        program: summary.program,
        losses: losses.collect(),
    };
    (snapshot, stacks)
}

/// Puts what was read into the post-mortem, and judges anew with it.
fn complete(memory: &mut Memory, id: &str, state: FinalState) {
    let target = state.target.clone();
    // A process that was started since belongs to another window: what is known of that one says nothing about the victim.
    let same_window = memory
        .target(&target)
        .is_some_and(|stored| stored.history.window_start <= state.at);
    if same_window {
        judge::judge(memory, &target, state.at);
    }
    let verdict = memory
        .target(&target)
        .filter(|_| same_window)
        .and_then(|stored| stored.investigation.as_ref())
        .map(|investigation| investigation.verdict.clone());
    judge::bury(memory, &target, state.at);
    if let Some(stored) = memory.target_mut(&target) {
        stored.hear(News::Event);
    }
    let heap = state.heap.as_ref().ok();
    let allocated = heap.and_then(|heap| heap.allocated.as_ref().map(|allocated| (heap, allocated)));
    let allocated = allocated.map(|(heap, allocated)| snapshot(memory, &state, heap, allocated));
    let known = memory.target(&target);
    let is_known = known.is_some();
    let newest = known.and_then(|stored| stored.history.snapshots.get(&ProfileType::Heap)?.newest());
    let newest = newest.map(|newest| newest.values.clone());
    let Some(post_mortem) = memory.post_mortem_mut(id) else {
        return;
    };
    // It may have become known after the kill.
    if is_known {
        post_mortem.target.get_or_insert(target);
    }
    if let Some((mut allocated, stacks)) = allocated {
        if let Some(newest) = newest {
            allocated.values.share_with(&newest);
        }
        post_mortem
            .profiles
            .retain(|profile| profile.profile_type != ProfileType::Heap);
        post_mortem.profiles.push(allocated);
        post_mortem.stacks = stacks;
    }
    if verdict.is_some() {
        post_mortem.verdict = verdict;
    }
    post_mortem.final_state = Some(without_profiles(state));
    post_mortem.awaits_final_state = false;
    // Many may die between two ticks.
    memory.fit_profiles();
}

/// The profiles are kept elsewhere.
fn without_profiles(mut state: FinalState) -> FinalState {
    if let Ok(heap) = &mut state.heap {
        heap.allocated = None;
        heap.retained = None;
    }
    state
}
