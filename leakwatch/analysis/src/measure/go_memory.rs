//! Memory of a Go process inside and outside of what its runtime holds. Sources: anonymous memory of the cgroup, and `mappedReady` of the
//! runtime: all that it has mapped and not returned, heap, stacks and its own. Not all of that is resident, so what is left over is the
//! least there can be.

use crate::history::TargetHistory;
use crate::measure::motion::MATERIAL_BYTES;
use crate::model::units::Timestamp;
use crate::stats::trend;

/// What a Go process holds outside of its heap (runtime metadata, stacks, binary), at most: this or this part of its level.
const OUTSIDE_OF_HEAP_BYTES: f64 = 12.0 * 1_048_576.0;
const OUTSIDE_OF_HEAP_PART: f64 = 0.1;

/// What a Go process that holds `level` bytes may hold outside of its heap, at most.
pub fn outside_of_heap(level: f64) -> f64 {
    OUTSIDE_OF_HEAP_BYTES.max(level * OUTSIDE_OF_HEAP_PART)
}

/// Growth of anonymous memory and of what of it the Go runtime does not hold, over the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AnonymousGrowth {
    /// Bytes by which anonymous memory grew.
    pub anonymous: f64,
    /// Bytes by which the part of it grew that the runtime surely does not hold.
    pub outside_of_runtime: f64,
}

impl AnonymousGrowth {
    /// Between the runtime's numbers in the window, up to `now`; none when they were not read twice.
    pub fn of(history: &TargetHistory, now: Timestamp) -> Option<Self> {
        let points = history.window();
        let (mut anonymous, mut outside) = (Vec::new(), Vec::new());
        for (at, stats) in history.runtimes.go() {
            let next = points.partition_point(|point| point.at <= at);
            let before = next.checked_sub(1).and_then(|index| points.get(index));
            let Some(anon) = before.and_then(|point| point.anon.bytes()) else {
                continue;
            };
            if at > now {
                break;
            }
            let seconds = at.seconds_from(history.window_start);
            anonymous.push((seconds, anon.as_f64()));
            outside.push((seconds, (anon.as_f64() - stats.mapped_ready.as_f64()).max(0.0)));
        }
        if anonymous.len() < 2 {
            return None;
        }
        Some(Self {
            anonymous: trend::change(&anonymous)?.0,
            outside_of_runtime: trend::change(&outside)?.0,
        })
    }

    /// Whether the runtime may hold most of what grew.
    pub fn is_held_by_runtime(&self) -> bool {
        self.outside_of_runtime <= MATERIAL_BYTES.max(self.anonymous / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::MIB;

    #[test]
    fn what_the_runtime_has_mapped_is_its_own() {
        for (anonymous, outside, within) in [
            (60.0, 0.0, true),
            (60.0, 20.0, true),
            (60.0, 50.0, false),
            (1.5, 0.9, true),
            (-4.0, 0.0, true),
        ] {
            let memory = AnonymousGrowth {
                anonymous: anonymous * MIB,
                outside_of_runtime: outside * MIB,
            };
            assert_eq!(memory.is_held_by_runtime(), within, "{memory:?}");
        }
    }
}
