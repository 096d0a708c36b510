//! The second guard: unreachable memory cannot change. What was found unreachable is looked for again, with everything read anew, until
//! nothing new refers to anything of it twice in a row, or it was looked at eight times. A program that passes its only references around while it is read is found out here.

use super::Look;
use super::Wakers;
use super::WakersError;
use super::areas::Source;
use super::areas::Wanted;
use super::graph::Graph;
use super::look::Pinned;
use super::look::What;
use super::processor::Processors;
use super::waits::Waits;
use crate::memory::ReadMemory;
use crate::spans::Allocation;
use crate::spans::Spans;
use crate::spans::Specials;

/// Readings in a row that must find nothing new. One let 1 of 1,280 idle workers be accused whose channels were moved all the time, two
/// none of 2,240.
const QUIET: u32 = 2;
/// Readings until then. Garbage that referred to something may be collected and used again at any time, so that in a large program something
/// is always new; what is left then has been missed by nobody's reference in as many readings.
const MOST: u32 = 8;

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// Looks again at what is not alive; what something new refers to is.
    pub(super) fn confirm(&self, look: &mut Look, graph: &mut Graph, before: &Waits) -> Result<(), WakersError> {
        let processors = Processors::default();
        let mut quiet = 0;
        for _ in 0..MOST {
            let unreached = graph.unreached();
            self.memory.begin();
            let now = self.goroutines()?;
            let mut changed = wake_moved(graph, before, &now);
            if !unreached.is_empty() {
                changed |= self.look_again(look, graph, before, &now, &unreached, &processors)?;
            }
            quiet = if changed { 0 } else { quiet + 1 };
            if quiet >= QUIET {
                break;
            }
        }
        Ok(())
    }

    /// One more reading; answers whether anything was new.
    fn look_again(
        &self,
        look: &mut Look,
        graph: &mut Graph,
        before: &Waits,
        now: &Waits,
        unreached: &[u64],
        processors: &Processors,
    ) -> Result<bool, WakersError> {
        let spans = Spans::read(self.memory, self.list())?;
        let specials = Specials::read(self.memory, &spans, self.places.layout, &self.keeping())?;
        let pinned = Pinned::new(&specials, &spans);
        let areas = self.areas(&spans, now)?;
        look.readings += 1;
        look.bytes = look.bytes.saturating_add(areas.bytes);
        let mut new: Vec<u64> = unreached
            .iter()
            .copied()
            .filter(|object| pinned.contains(*object))
            .collect();
        let mut by_unknown: Vec<(u64, u64)> = Vec::new();
        let mut is_full = false;
        self.read(&areas, &spans, &Wanted::new(&spans, unreached), |reference| {
            let target = reference.target;
            match self.what(reference, graph, &spans, before, processors) {
                What::Nothing => {}
                What::Root => new.push(target),
                What::Goroutine(number) => {
                    // Stacks are numbered as of now, records of goroutines as of before.
                    let number = match reference.source {
                        Source::Stack(stack) => now.get(stack).and_then(|waiter| before.number(waiter.header.address)),
                        _ => Some(number),
                    };
                    let is_known = number.is_some_and(|number| !graph.runs(number) && graph.is_held(number, target));
                    if !is_known {
                        new.push(target);
                    }
                }
                What::Object(object) if graph.is_known(object) => {
                    if !graph.is_reference(object, target) {
                        new.push(target);
                    }
                }
                What::Object(object) => {
                    is_full |= by_unknown.len() >= self.bounds.objects;
                    if !is_full {
                        by_unknown.push((object, target));
                    }
                }
            }
        })?;
        by_unknown.sort_unstable();
        by_unknown.dedup();
        let objects: Vec<u64> = by_unknown.iter().map(|(object, _)| *object).collect();
        let allocations = spans.allocations(self.memory, self.generation(), &objects)?;
        let held = by_unknown.iter().zip(allocations);
        new.extend(
            held.filter(|(_, allocation)| *allocation != Allocation::Free)
                .map(|((_, target), _)| *target),
        );
        if is_full {
            new.extend(unreached);
        }
        for target in &new {
            graph.revive(*target);
        }
        Ok(!new.is_empty())
    }
}

/// Goroutines that are not what they were have moved: they are alive. Answers whether there were any.
fn wake_moved(graph: &mut Graph, before: &Waits, now: &Waits) -> bool {
    let mut woke = false;
    for (number, waiter) in (0..).zip(&before.goroutines) {
        if graph.runs(number) {
            continue;
        }
        let after = now.number(waiter.header.address).and_then(|number| now.get(number));
        let is_same = after.is_some_and(|after| {
            let (before, after) = (&waiter.header, &after.header);
            (before.id, before.blocked_after, before.wait_reason) == (after.id, after.blocked_after, after.wait_reason)
                && after.status.is_blocked()
        });
        if !is_same {
            graph.wake(number);
            woke = true;
        }
    }
    woke
}
