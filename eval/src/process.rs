//! A simulated process: what its place and the rest of it hold, a collected heap around it, and a profile that is sampled.

use crate::random::Random;
use crate::service::Place;
use crate::service::Replica;
use crate::service::Service;
use std::collections::VecDeque;

/// Default `runtime.MemProfileRate`: one sample stands for about so many bytes.
const SAMPLE_BYTES: f64 = 524_288.0;
/// Bytes of a goroutine: stack and descriptor.
const GOROUTINE: f64 = 2_600.0;
const LEAST_GOAL: f64 = 4_194_304.0;
/// A collection happens at least so often.
const FORCED: f64 = 120.0;

/// Bytes that are live at a place, as the profile's sample shows them, and ever allocated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held {
    pub(crate) live: f64,
    pub(crate) sampled: f64,
    pub(crate) allocated: f64,
}

impl Held {
    fn change(&mut self, to: f64, replaced: f64, random: &mut Random) {
        let added = (to - self.live).max(0.0) + replaced;
        let removed = (self.live - to).max(0.0) + replaced;
        if self.live > 0.0 {
            let part = (removed / self.live).min(1.0);
            self.sampled -= random.poisson(self.sampled * part).min(self.sampled);
        }
        self.sampled += random.poisson(added / SAMPLE_BYTES);
        self.allocated += added;
        self.live = to;
    }
}

/// One run of a replica.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) age: f64,
    pub(crate) place: Held,
    pub(crate) rest: Held,
    /// As of the collection that a profile shows.
    pub(crate) shown: [Held; 2],
    requests: f64,
    /// Requests so far by age, for what expires.
    course: VecDeque<(f64, f64)>,
    garbage: f64,
    pub(crate) garbage_allocated: f64,
    goal: f64,
    resident: f64,
    collected_at: f64,
    load: f64,
}

impl Process {
    pub(crate) fn new() -> Self {
        Self {
            age: 0.0,
            place: Held::default(),
            rest: Held::default(),
            shown: [Held::default(); 2],
            requests: 0.0,
            course: VecDeque::new(),
            garbage: 0.0,
            garbage_allocated: 0.0,
            goal: LEAST_GOAL,
            resident: 0.0,
            collected_at: 0.0,
            load: 0.0,
        }
    }

    /// Lets `seconds` pass.
    pub(crate) fn step(&mut self, service: &Service, replica: &Replica, now: f64, seconds: f64, random: &mut Random) {
        self.age += seconds;
        self.load = service.traffic.at(now) * (0.15 * random.normal()).exp();
        self.requests += self.load * seconds;
        let before = self.place.live;
        let (to, replaced) = self.wanted(replica.place, seconds, random);
        self.place.change(to, replaced, random);
        let started = (self.age / 4.0).min(1.0);
        let of_load = 0.85 + 0.15 * self.load / service.traffic.base;
        let rest = service.base * started * of_load.min(1.5);
        self.rest.change(rest, rest * (0.02 * seconds).min(0.5), random);
        let garbage = self.load * 20_000.0 * seconds;
        self.garbage += garbage + (before - to).max(0.0) + replaced;
        self.garbage_allocated += garbage;
        self.collect(service, seconds);
    }

    /// What the place holds now, and what of it was replaced meanwhile.
    fn wanted(&mut self, place: Place, seconds: f64, random: &mut Random) -> (f64, f64) {
        let live = self.place.live;
        let new = self.load * seconds;
        match place {
            Place::Steady => (0.0, 0.0),
            Place::LeakPerRequest { bytes } => (live + bytes * new, 0.0),
            Place::LeakPerSecond { rate } => (live + rate * seconds, 0.0),
            Place::LeakPerError { bytes, bursts } => (live + bytes * random.poisson(bursts * seconds), 0.0),
            Place::Fill { bytes, bound } => {
                let to = (live + bytes * new).min(bound);
                (to, live + bytes * new - to)
            }
            Place::Zipf { bytes, bound, requests } => {
                // Chance of a miss falls as the popular keys are there.
                let miss = (1.0 - live / bound).max(0.0) * (-self.requests / requests).exp().max(0.02);
                let to = (live + bytes * new * miss).min(bound);
                (to, bytes * new * 0.02)
            }
            Place::Expiry { bytes, seconds: lasts } => {
                self.course.push_back((self.age, self.requests));
                while self.course.len() > 1 && self.course.front().is_some_and(|first| first.0 < self.age - lasts) {
                    self.course.pop_front();
                }
                let gone = self
                    .course
                    .front()
                    .filter(|_| self.age > lasts)
                    .map_or(0.0, |first| first.1);
                let to = bytes * (self.requests - gone);
                (to, (live + bytes * new - to).max(0.0).min(live))
            }
            Place::Sessions { bytes, seconds: lasts } => {
                let level = bytes * self.load * lasts;
                let part = (seconds / lasts).min(1.0);
                (live + (level - live) * part, live * part * 0.5)
            }
            Place::Batch { bytes, period, part } => {
                let turn = (self.age / period).fract() / part;
                (if turn < 1.0 { bytes * turn } else { 0.0 }, 0.0)
            }
            Place::Flush { rate, period } => (rate * (self.age % period), 0.0),
            Place::Load { need, seconds: lasts } => (need * (self.age / lasts).min(1.0), 0.0),
            Place::Step { bytes, at } => (if self.age > at { bytes } else { 0.0 }, 0.0),
        }
    }

    fn collect(&mut self, service: &Service, seconds: f64) {
        let live = self.place.live + self.rest.live;
        if !service.is_go {
            // An allocator that reuses what is freed, and gives little back.
            self.resident = (self.resident * (1.0 - 2e-4 * seconds).max(0.0)).max(live * 1.03);
            return;
        }
        if live + self.garbage >= self.goal || self.age - self.collected_at >= FORCED {
            self.resident = self.resident.max((live + self.garbage).min(self.goal.max(live)));
            self.garbage = 0.0;
            self.collected_at = self.age;
            self.goal = (2.0 * live).max(LEAST_GOAL);
            self.shown = [self.place, self.rest];
        }
        let heap = live + self.garbage;
        let surplus = (self.resident - self.goal.max(heap) * 1.1).max(0.0);
        self.resident = (self.resident - surplus * (0.01 * seconds).min(1.0)).max(heap);
    }

    /// Goroutines at the place.
    pub(crate) fn goroutines(&self, replica: &Replica) -> f64 {
        if replica.goroutines {
            self.place.live / 30_000.0
        } else {
            0.0
        }
    }

    /// Memory that cannot be reclaimed.
    pub(crate) fn memory(&self, replica: &Replica) -> f64 {
        self.resident * 1.02 + 6.0 * crate::service::MIB + self.goroutines(replica) * GOROUTINE
    }
}
