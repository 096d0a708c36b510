//! One look: from what is waited for back to what refers to it, step by step, until all that is left can be reached from nothing.

use super::Wakers;
use super::WakersError;
use super::areas::Reference;
use super::areas::Source;
use super::areas::Wanted;
use super::graph::Graph;
use super::processor::Processors;
use super::waits::Wait;
use super::waits::Waits;
use crate::memory::ReadMemory;
use crate::spans::Allocation;
use crate::spans::Spans;
use crate::spans::Specials;
use std::collections::BTreeMap;
use std::collections::HashSet;
use std::ops::Range;

/// What a look has found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Look {
    /// Goroutines that nothing can wake, as far as one look can tell: number and moment since which they are blocked, with the
    /// address of their record.
    pub(super) unreached: BTreeMap<(u64, u64), u64>,
    /// Goroutines that were judged.
    pub judged: u64,
    /// Times that everything was read.
    pub readings: u32,
    /// Bytes read in all of them.
    pub bytes: u64,
    /// Objects followed.
    pub objects: u64,
}

impl Look {
    /// Goroutines that one look says nothing can wake.
    pub fn count(&self) -> usize {
        self.unreached.len()
    }

    /// Proven: this look and an earlier one of the same process found them, blocked since the same moment. Addresses of their records
    /// with their numbers, by address.
    pub fn agreed(&self, earlier: &Self) -> BTreeMap<u64, u64> {
        self.unreached
            .iter()
            .filter(|(key, address)| earlier.unreached.get(key) == Some(address))
            .map(|((id, _), address)| (*address, *id))
            .collect()
    }
}

/// Objects that something outside of the heap keeps, beside variables and stacks.
#[derive(Debug, Default)]
pub(super) struct Pinned {
    objects: HashSet<u64>,
    broken: Vec<Range<u64>>,
}

impl Pinned {
    pub(super) fn new(specials: &Specials, spans: &Spans) -> Self {
        let words = specials.words.iter().chain(&specials.kept);
        Self {
            objects: words.filter_map(|word| Some(spans.object(*word)?.1)).collect(),
            broken: specials.broken.clone(),
        }
    }

    pub(super) fn contains(&self, object: u64) -> bool {
        self.objects.contains(&object) || self.broken.iter().any(|range| range.contains(&object))
    }
}

impl<M: ReadMemory + ?Sized> Wakers<'_, M> {
    /// Looks once. `now` is nanoseconds of `CLOCK_MONOTONIC`.
    pub(crate) fn look(&self, now: u64) -> Result<Look, WakersError> {
        self.memory.begin();
        let mut waits = self.goroutines()?;
        let spans = Spans::read(self.memory, self.list())?;
        self.judge(&mut waits, &spans, now)?;
        let mut look = Look::default();
        let judged = waits.goroutines.iter().filter(|waiter| waiter.wait != Wait::Alive);
        look.judged = judged.count() as u64;
        if look.judged == 0 {
            return Ok(look);
        }
        let (mut graph, awaited) = Graph::new(&waits);
        self.trace(&mut look, &mut graph, awaited, &spans, &waits)?;
        graph.settle();
        self.confirm(&mut look, &mut graph, &waits)?;
        look.objects = graph.objects() as u64;
        for (number, waiter) in (0..).zip(&waits.goroutines) {
            if let Some(since) = waiter.header.blocked_after.filter(|_| !graph.runs(number)) {
                look.unreached.insert((waiter.header.id, since), waiter.header.address);
            }
        }
        Ok(look)
    }

    /// Goes back from what is waited for until nothing new refers to what is not alive.
    fn trace(
        &self,
        look: &mut Look,
        graph: &mut Graph,
        awaited: Vec<u64>,
        spans: &Spans,
        waits: &Waits,
    ) -> Result<(), WakersError> {
        let specials = Specials::read(self.memory, spans, self.places.layout, &self.keeping())?;
        let pinned = Pinned::new(&specials, spans);
        for object in awaited.iter().filter(|object| pinned.contains(**object)) {
            graph.revive(*object);
        }
        let areas = self.areas(spans, waits)?;
        let processors = Processors::default();
        let mut wanted: Vec<u64> = awaited;
        wanted.retain(|object| !graph.is_alive(*object));
        while !wanted.is_empty() {
            if look.readings >= self.bounds.steps {
                return Err(too_much(
                    "steps back",
                    u64::from(look.readings) + 1,
                    u64::from(self.bounds.steps),
                ));
            }
            look.readings += 1;
            look.bytes = look.bytes.saturating_add(areas.bytes);
            let mut by_objects: Vec<(u64, u64)> = Vec::new();
            let mut is_full = false;
            self.read(&areas, spans, &Wanted::new(spans, &wanted), |reference| {
                if graph.is_alive(reference.target) {
                    return;
                }
                match self.what(reference, graph, spans, waits, &processors) {
                    What::Root => graph.revive(reference.target),
                    What::Goroutine(number) => graph.hold(number, reference.target),
                    What::Object(object) => {
                        let pair = (object, reference.target);
                        is_full |= by_objects.len() >= self.bounds.objects;
                        if by_objects.last() != Some(&pair) && !is_full {
                            by_objects.push(pair);
                        }
                    }
                    What::Nothing => {}
                }
            })?;
            if is_full || graph.size() > self.bounds.objects {
                return Err(too_much(
                    "objects to be followed",
                    graph.size() as u64,
                    self.bounds.objects as u64,
                ));
            }
            wanted = self.follow(graph, &by_objects, spans, &pinned)?;
        }
        Ok(())
    }

    /// Adds references between objects; answers which objects are new and not alive.
    fn follow(
        &self,
        graph: &mut Graph,
        references: &[(u64, u64)],
        spans: &Spans,
        pinned: &Pinned,
    ) -> Result<Vec<u64>, WakersError> {
        let mut unknown: Vec<u64> = references
            .iter()
            .map(|(object, _)| *object)
            .filter(|object| !graph.is_known(*object))
            .collect();
        unknown.sort_unstable();
        unknown.dedup();
        let allocations = spans.allocations(self.memory, self.generation(), &unknown)?;
        for (object, allocation) in unknown.iter().zip(allocations) {
            if allocation == Allocation::Free {
                continue;
            }
            graph.add(*object);
            // What has become something else since is not followed: it counts as alive.
            if allocation == Allocation::Changed || pinned.contains(*object) {
                graph.revive(*object);
            }
        }
        for (object, target) in references {
            graph.refer(*object, *target);
        }
        unknown.retain(|object| graph.is_known(*object) && !graph.is_alive(*object));
        Ok(unknown)
    }

    /// What a reference is worth.
    pub(super) fn what(
        &self,
        reference: Reference,
        graph: &Graph,
        spans: &Spans,
        waits: &Waits,
        processors: &Processors,
    ) -> What {
        let object = match reference.source {
            Source::Variable => return What::Root,
            Source::Stack(number) => return What::Goroutine(number),
            Source::Object(object) => object,
        };
        // Whoever waits does not keep alive what it waits for.
        if object == reference.target || waits.is_sudog(object) {
            return What::Nothing;
        }
        if let Some(number) = waits.number(object) {
            let offset = reference.slot - object;
            let layout = self.places.layout;
            let is_wait = [layout.goroutine_waiting, layout.goroutine_param]
                .iter()
                .any(|field| *field as u64 == offset);
            return if is_wait {
                What::Nothing
            } else {
                What::Goroutine(number)
            };
        }
        if graph.is_alive(object) {
            return What::Root;
        }
        let span = spans.object(object).map(|(span, _)| span);
        match span {
            Some(span) if self.is_scratch(processors, span, object, reference.slot) => What::Nothing,
            _ => What::Object(object),
        }
    }
}

const fn too_much(what: &'static str, found: u64, most: u64) -> WakersError {
    WakersError::TooMuch { what, found, most }
}

/// What a reference is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// What it leads to is alive.
    Root,
    /// As much as the goroutine with this number.
    Goroutine(u32),
    /// As much as the object that starts here.
    Object(u64),
    /// Nothing.
    Nothing,
}
