//! What was read of an OOM victim while it died.

use crate::dto::missing::MissingMap;
use crate::store::post_mortem::PostMortem;
use leakwatch_analysis::model::final_heap::FinalGoroutines;
use leakwatch_analysis::model::final_heap::FinalHeap;
use leakwatch_analysis::model::final_heap::GoroutineGroup;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// How the heap in a post-mortem came about, and the victim's goroutines.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AtDeath)]
pub struct FinalStateBody {
    /// Which heap profile the post-mortem has: `complete` or `truncated`, both read by the kernel while the victim died,
    /// `last_snapshot`, or `none`. `pending` while what the kernel read is on its way, which takes about a second: profiles
    /// and verdict are then those from before, and will be replaced.
    pub heap: String,
    /// Age of that profile when the victim was killed.
    pub heap_age_seconds: Option<f64>,
    /// Buckets of the heap profile (allocations of one size by one stack) that were read and arrived. With those lost, unreadable and not reached
    /// they are all that are known of; `left_out` and `without_stack` are among them.
    pub buckets: Option<u64>,
    /// Buckets that were read and got lost on the way.
    pub buckets_lost: Option<u64>,
    /// Buckets that were not in memory.
    pub buckets_unreadable: Option<u64>,
    /// Buckets whose stack nobody knows: they are in the profile without one.
    pub buckets_without_stack: Option<u64>,
    /// What is in use of those.
    pub bytes_without_stack: Option<u64>,
    /// Buckets that had been read before the kill and were not reached then; newer ones may be missing beside them.
    pub buckets_not_reached: Option<u64>,
    /// Buckets that are not in the profile as it has no room for more: the smallest.
    pub buckets_left_out: Option<u64>,
    /// What is in use of those.
    pub bytes_left_out: Option<u64>,
    /// Why `heap` is `truncated`: `time`, `bound`, `room`, `unreadable`, `damaged`, `stacks` or `profile`.
    pub truncated_by: Option<String>,
    /// How long the victim was held up for its heap.
    pub heap_seconds: Option<f64>,
    /// How long for its goroutines.
    pub goroutine_seconds: Option<f64>,
    /// The program's own goroutines.
    pub goroutines: Option<u64>,
    /// Of those the largest groups, largest first.
    pub goroutine_groups: Vec<GoroutineGroupBody>,
    /// Goroutines in no group.
    pub goroutines_missing: Option<u64>,
    /// Why those are missing: `time`, `bound`, `room` or `unreadable`.
    pub goroutines_truncated_by: Option<String>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// Goroutines with the same beginning that did the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = GoroutineGroup)]
pub struct GoroutineGroupBody {
    /// How many.
    pub count: u64,
    /// The function they were started with.
    pub function: String,
    /// The function that started them; `null` for the first goroutine.
    pub created_by: Option<String>,
    /// File of the `go` statement.
    pub file: Option<String>,
    /// Its line.
    pub line: Option<u32>,
    /// What they waited for, in Go's words, or what else they did.
    pub state: String,
}

impl FinalStateBody {
    /// Of a stored post-mortem.
    pub fn new(post_mortem: &PostMortem) -> Self {
        let mut missing = MissingMap::default();
        let absent = if post_mortem.awaits_final_state {
            pending
        } else {
            unread
        };
        let state = post_mortem.final_state.as_ref().ok_or_else(absent);
        let heap = state
            .clone()
            .and_then(|state| state.heap.as_ref().map_err(Clone::clone));
        let of_heap = heap.as_ref().map(|heap| *heap);
        let mut heap_field = |field, value: &dyn Fn(&FinalHeap) -> u64| missing.take(field, of_heap, value);
        let buckets = heap_field("buckets", &|heap| heap.buckets);
        let buckets_lost = heap_field("buckets_lost", &|heap| heap.lost);
        let buckets_unreadable = heap_field("buckets_unreadable", &|heap| heap.unreadable);
        let buckets_without_stack = heap_field("buckets_without_stack", &|heap| heap.unknown);
        let bytes_without_stack = heap_field("bytes_without_stack", &|heap| heap.unknown_bytes.0);
        let buckets_not_reached = heap_field("buckets_not_reached", &|heap| heap.not_reached);
        let buckets_left_out = heap_field("buckets_left_out", &|heap| heap.left_out);
        let bytes_left_out = heap_field("bytes_left_out", &|heap| heap.left_out_bytes.0);
        let heap_seconds = missing.take("heap_seconds", of_heap, |heap| heap.held_up.as_secs_f64());
        let truncation = heap.as_ref().ok().and_then(|heap| heap.truncation);
        let newest = post_mortem
            .profiles
            .iter()
            .find(|profile| profile.profile_type == ProfileType::Heap);
        let outcome = match (&heap, newest) {
            _ if post_mortem.awaits_final_state => "pending",
            (Ok(heap), _) if heap.is_complete() => "complete",
            (Ok(_), _) => "truncated",
            (Err(_), Some(_)) => "last_snapshot",
            (Err(_), None) => "none",
        };
        let last = state.and_then(|state| state.goroutines.as_ref().map_err(Clone::clone));
        let known = last.as_ref().map(|last| *last);
        let mut goroutine_field = |field, value: &dyn Fn(&FinalGoroutines) -> u64| missing.take(field, known, value);
        let goroutines = goroutine_field("goroutines", &|last| last.groups.iter().map(|group| group.count).sum());
        let goroutines_missing = goroutine_field("goroutines_missing", &|last| last.missing);
        let goroutine_truncation = last.as_ref().ok().and_then(|last| last.truncation);
        Self {
            heap: outcome.to_owned(),
            heap_age_seconds: missing.applicable(
                "heap_age_seconds",
                newest.map(|newest| post_mortem.kill.at.since(newest.at).as_secs_f64()),
                "there is no heap profile",
            ),
            buckets,
            buckets_lost,
            buckets_unreadable,
            buckets_without_stack,
            bytes_without_stack,
            buckets_not_reached,
            buckets_left_out,
            bytes_left_out,
            truncated_by: missing.applicable(
                "truncated_by",
                truncation.map(|reason| reason.name().to_owned()),
                "the heap is not truncated",
            ),
            heap_seconds,
            goroutine_seconds: missing.take("goroutine_seconds", known, |last| last.held_up.as_secs_f64()),
            goroutines,
            goroutine_groups: last.as_ref().map_or_else(
                |_missing| Vec::new(),
                |last| last.groups.iter().map(GoroutineGroupBody::from).collect(),
            ),
            goroutines_missing,
            goroutines_truncated_by: missing.applicable(
                "goroutines_truncated_by",
                goroutine_truncation.map(|reason| reason.name().to_owned()),
                "no goroutine is known to be missing",
            ),
            missing,
        }
    }
}

/// What the kernel read is on its way.
fn pending() -> Missing {
    Missing::new(
        MissingReason::NotYet,
        "the kernel read the victim while it died, and what it read is not here yet",
    )
    .with_fix("ask again in a second")
}

/// The kernel read nothing of the victim.
fn unread() -> Missing {
    Missing::new(
        MissingReason::NotYet,
        "the kernel did not read the victim while it died: it was not known as a Go process then, the probe is not attached, or what it read got lost",
    )
    .with_fix("run `leakwatch doctor` to see whether signal:signal_deliver is attached")
}

impl From<&GoroutineGroup> for GoroutineGroupBody {
    fn from(group: &GoroutineGroup) -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Self {
            count: group.count,
            function: group.function.clone(),
            created_by: known(&group.created_by),
            file: known(&group.file),
            line: (group.line != 0).then_some(group.line),
            state: group.state.clone(),
        }
    }
}
