//! Whether the limit leaves room, and what garbage-collection headroom does to resident memory: a Go heap grows to its live part and the
//! garbage that GOGC and GOMEMLIMIT allow before it is collected. See `docs/detectors/undersized_limit.md`.

use crate::detect::facts::Facts;
use crate::detect::suspect::CORROBORATED_RATE;
use crate::measure::go_memory::outside_of_heap;
use crate::model::profile::ProfileType;
use crate::model::units::Bytes;

/// Fewer differing profiles do not show that a live heap is flat.
const LEAST_OBSERVATIONS: usize = 3;
/// A live heap that surely grew by more than this part of it is not flat.
const FLAT_HEAP: f64 = 0.1;
/// A level above this part of the limit leaves no room for a garbage collection or a burst.
const FULL_PART: f64 = 0.92;
/// Growth by this part of the limit before it was reached is growth that the limit has stopped.
const CUT_OFF_PART: f64 = 0.1;
/// Above this part of the limit garbage-collection headroom becomes dangerous.
const DANGEROUS_PART: f64 = 0.8;

/// Whether resident memory can be explained by a live heap that does not grow plus the garbage that the runtime allows.
pub(super) fn explains_memory(facts: &Facts<'_>) -> bool {
    let heap = facts.trend(ProfileType::Heap);
    let Some(heap) = heap.filter(|heap| heap.observations >= LEAST_OBSERVATIONS) else {
        return false;
    };
    let grows = heap.persistent(CORROBORATED_RATE).next().is_some() || heap.total.low > heap.now * FLAT_HEAP;
    let Some(largest) = facts.pacing.largest(heap.now) else {
        return false;
    };
    !grows && facts.memory.level <= largest + outside_of_heap(facts.memory.level)
}

/// Whether memory as a whole is about as large as the limit.
pub(super) fn is_at_limit(facts: &Facts<'_>) -> bool {
    let limit = facts.limit.map(Bytes::as_f64);
    limit.is_some_and(|limit| facts.memory.level >= limit * FULL_PART)
}

/// Whether memory grew into its limit and thrashes there: where it stands is where the limit is, and no level of its own.
pub(super) fn is_cut_off(facts: &Facts<'_>) -> bool {
    let Some(limit) = facts.limit.filter(|_| facts.thrashing().is_some()) else {
        return false;
    };
    let grew = facts
        .memory
        .trend
        .as_ref()
        .map_or(0.0, |trend| trend.level - trend.first_level);
    grew >= limit.as_f64() * CUT_OFF_PART
}

/// Whether a Go heap at its present size may grow past the limit before it is collected, and is close to it already.
pub(super) fn is_too_small_for_garbage(facts: &Facts<'_>) -> bool {
    let (Some(limit), Some(heap)) = (facts.limit.map(Bytes::as_f64), facts.trend(ProfileType::Heap)) else {
        return false;
    };
    let fits = facts.pacing.largest(heap.now).is_some_and(|largest| largest <= limit);
    !fits && facts.memory.level > limit * DANGEROUS_PART
}
