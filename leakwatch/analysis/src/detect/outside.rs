//! Memory outside of what a Go runtime holds. Sources: anonymous memory of the cgroup, and `mappedReady` of the runtime: all that it has
//! mapped and not returned, heap, stacks and its own. Not all of that is resident, so what is left over is the least there can be.

use crate::detect::facts::Facts;
use crate::detect::facts::MATERIAL_BYTES;
use crate::stats::trend;

/// Growth over the same time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outside {
    /// Bytes by which anonymous memory grew.
    pub anonymous: f64,
    /// Bytes by which the part of it grew that the runtime surely does not hold.
    pub outside: f64,
}

impl Outside {
    /// Whether the runtime may hold most of what grew.
    pub fn is_within(&self) -> bool {
        self.outside <= MATERIAL_BYTES.max(self.anonymous / 2.0)
    }
}

/// Between the runtime's numbers in the window; none when they were not read twice.
pub fn growth(facts: &Facts<'_>) -> Option<Outside> {
    let points = facts.history.window();
    let (mut anonymous, mut outside) = (Vec::new(), Vec::new());
    for (at, stats) in facts.history.runtimes.go() {
        let next = points.partition_point(|point| point.at <= at);
        let before = next.checked_sub(1).and_then(|index| points.get(index));
        let Some(anon) = before.and_then(|point| point.anon.bytes()) else {
            continue;
        };
        if at > facts.now {
            break;
        }
        let seconds = at.seconds_from(facts.history.window_start);
        anonymous.push((seconds, anon.as_f64()));
        outside.push((seconds, (anon.as_f64() - stats.mapped_ready.as_f64()).max(0.0)));
    }
    if anonymous.len() < 2 {
        return None;
    }
    Some(Outside {
        anonymous: trend::change(&anonymous)?.0,
        outside: trend::change(&outside)?.0,
    })
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
            let memory = Outside {
                anonymous: anonymous * MIB,
                outside: outside * MIB,
            };
            assert_eq!(memory.is_within(), within, "{memory:?}");
        }
    }
}
