//! A Go process as far as its memory goes: live heap by place, garbage, collections at twice the live heap, resident memory
//! that follows the heap's peaks, a heap profile that is sampled and lags by one collection, goroutines with stacks.

use super::random::Random;
use crate::model::stack::Frame;

/// Default `runtime.MemProfileRate`.
const PROFILE_RATE: f64 = 524_288.0;
const MINIMUM_HEAP: f64 = 4_194_304.0;
/// The runtime collects at least every two minutes (`forcegcperiod`).
const FORCED_COLLECTION: f64 = 120.0;
const GOROUTINE_BYTES: f64 = 2_600.0;

type Curve = Box<dyn Fn(f64) -> f64>;

/// A place that allocates.
pub(crate) struct HeapSite {
    pub(crate) stack: Vec<Frame>,
    pub(crate) object_size: f64,
    /// Bytes reachable at each second of the process's life.
    pub(crate) live: Curve,
    /// Part of the live objects replaced per second.
    pub(crate) turnover: f64,
}

/// A place where goroutines wait.
pub(crate) struct GoroutineSite {
    pub(crate) stack: Vec<Frame>,
    pub(crate) count: Curve,
}

/// What a program does.
pub(crate) struct Program {
    pub(crate) heap: Vec<HeapSite>,
    pub(crate) goroutines: Vec<GoroutineSite>,
    /// Bytes per second that die at once.
    pub(crate) garbage: Curve,
    /// Anonymous memory outside the Go heap.
    pub(crate) outside: Curve,
    /// Page cache, reclaimable.
    pub(crate) page_cache: Curve,
    /// Files in a tmpfs, not reclaimable.
    pub(crate) shared: Curve,
    /// What `main` does itself before it serves, and until what age.
    pub(crate) loads: Option<(&'static str, f64)>,
    /// GOMEMLIMIT for the heap.
    pub(crate) memory_limit: Option<f64>,
    /// Standard deviation of resident memory between samples, relative.
    pub(crate) noise: f64,
}

#[derive(Clone, Copy, Default)]
pub(crate) struct SiteState {
    pub(crate) live: f64,
    pub(crate) sampled: f64,
    pub(crate) sampled_allocations: f64,
}

pub(crate) struct GoProcess {
    pub(crate) age: f64,
    sites: Vec<SiteState>,
    at_last_collection: Vec<SiteState>,
    published: Vec<SiteState>,
    garbage: f64,
    garbage_sampled: f64,
    garbage_at_last: f64,
    pub(crate) garbage_published: f64,
    goal: f64,
    resident_heap: f64,
    last_collection: f64,
    pub(crate) collections: u32,
    stacks: f64,
}

impl GoProcess {
    pub(crate) fn new(program: &Program) -> Self {
        let sites = vec![SiteState::default(); program.heap.len()];
        Self {
            age: 0.0,
            at_last_collection: sites.clone(),
            published: sites.clone(),
            sites,
            garbage: 0.0,
            garbage_sampled: 0.0,
            garbage_at_last: 0.0,
            garbage_published: 0.0,
            goal: MINIMUM_HEAP,
            resident_heap: 0.0,
            last_collection: 0.0,
            collections: 0,
            stacks: 0.0,
        }
    }

    /// Chance that an allocation of this size is sampled.
    pub(crate) fn chance(size: f64) -> f64 {
        1.0 - (-size / PROFILE_RATE).exp()
    }

    pub(crate) fn live(&self) -> f64 {
        self.sites.iter().map(|site| site.live).sum()
    }

    pub(crate) fn step(&mut self, program: &Program, seconds: f64, random: &mut Random) {
        self.age += seconds;
        for (state, site) in self.sites.iter_mut().zip(&program.heap) {
            let chance = Self::chance(site.object_size);
            let target = (site.live)(self.age).max(0.0);
            let replaced = state.live * (site.turnover * seconds).min(1.0);
            let removed = replaced + (state.live - target).max(0.0);
            let added = replaced + (target - state.live).max(0.0);
            if state.live > 0.0 && removed > 0.0 {
                let expected = state.sampled * removed / state.live;
                let gone = if removed >= state.live {
                    state.sampled
                } else {
                    random.poisson(expected)
                };
                state.sampled = (state.sampled - gone).max(0.0);
            }
            let new = random.poisson(added / site.object_size * chance);
            state.sampled += new;
            state.sampled_allocations += new;
            self.garbage += removed;
            state.live = target;
        }
        let allocated = (program.garbage)(self.age).max(0.0) * seconds;
        self.garbage += allocated;
        self.garbage_sampled += random.poisson(allocated / PROFILE_RATE) * PROFILE_RATE;
        self.stacks = program
            .goroutines
            .iter()
            .map(|site| (site.count)(self.age).max(0.0) * GOROUTINE_BYTES)
            .sum();
        let heap = self.live() + self.garbage;
        if heap >= self.goal || self.age - self.last_collection >= FORCED_COLLECTION {
            self.collect(program);
        }
        let heap = self.live() + self.garbage;
        // The background scavenger gives back what is above the goal, slowly.
        let surplus = (self.resident_heap - self.goal.max(heap) * 1.1).max(0.0);
        self.resident_heap = (self.resident_heap - surplus * 0.01 * seconds).max(heap);
    }

    fn collect(&mut self, program: &Program) {
        self.garbage = 0.0;
        self.last_collection = self.age;
        self.collections += 1;
        self.goal = (2.0 * self.live()).max(MINIMUM_HEAP);
        if let Some(limit) = program.memory_limit {
            self.goal = self.goal.min(limit.max(self.live() * 1.05));
        }
        self.published = std::mem::replace(&mut self.at_last_collection, self.sites.clone());
        self.garbage_published = std::mem::replace(&mut self.garbage_at_last, self.garbage_sampled);
    }

    pub(crate) fn published(&self) -> &[SiteState] {
        &self.published
    }

    /// Anonymous resident memory.
    pub(crate) fn anonymous(&self, program: &Program) -> f64 {
        self.resident_heap * 1.03 + self.stacks + (program.outside)(self.age)
    }
}
