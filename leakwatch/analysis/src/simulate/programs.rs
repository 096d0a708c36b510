//! Building blocks of the scenarios: what programs hold, and how answers are counted.

use super::MIB;
use super::Outcome;
use super::frame;
use super::process::GoroutineSite;
use super::process::HeapSite;
use super::process::Program;
use super::stack_of;
use crate::detect::growing;
use crate::detect::table;
use crate::model::stack::Frame;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;

pub(super) fn site(function: &str, object_size: f64, turnover: f64, live: impl Fn(f64) -> f64 + 'static) -> HeapSite {
    HeapSite {
        stack: stack_of(function),
        object_size,
        live: Box::new(live),
        turnover,
    }
}

pub(super) fn program(heap: Vec<HeapSite>, garbage: f64) -> Program {
    Program {
        heap,
        goroutines: vec![GoroutineSite {
            stack: blocked("main.worker"),
            count: Box::new(|_| 8.0),
        }],
        garbage: Box::new(move |_| garbage),
        outside: Box::new(|_| 6.0 * MIB),
        page_cache: Box::new(|_| 2.0 * MIB),
        shared: Box::new(|_| 0.0),
        loads: None,
        memory_limit: None,
        noise: 0.002,
    }
}

pub(super) fn blocked(function: &str) -> Vec<Frame> {
    vec![
        frame("runtime.gopark", 1),
        frame("runtime.chanrecv", 2),
        frame(function, 77),
        frame("runtime.goexit", 1),
    ]
}

/// What the steady rest of a service holds: a big buffer, a table and a working set that turns over.
pub(super) fn steady(size: f64) -> Vec<HeapSite> {
    vec![
        site("main.loadTables", 4.0 * MIB, 0.0, move |t| {
            size * 0.5 * (t / 2.0).min(1.0)
        }),
        site("main.openPools", 4096.0, 0.0, move |t| size * 0.2 * (t / 3.0).min(1.0)),
        site("main.serve", 2048.0, 0.3, move |t| {
            size * 0.3 * (1.0 + 0.1 * (t / 7.0).sin()) * (t / 3.0).min(1.0)
        }),
    ]
}

pub(super) fn with(mut sites: Vec<HeapSite>, more: HeapSite) -> Vec<HeapSite> {
    sites.push(more);
    sites
}

/// Whether the answer says that it is this leak, or that what such leaks grow by grows at a place, undecided whether it ends: all that one
/// run of one program shows.
pub(super) fn names(verdict: &Verdict, leak: VerdictClass) -> bool {
    let is_growing = verdict.class == growing::CLASS && verdict.culprit.is_some();
    verdict.class == leak || is_growing && verdict.profile == table::profile_of(leak)
}

pub(super) struct Score {
    name: &'static str,
    right: usize,
    total: usize,
    notes: Vec<String>,
}

impl Score {
    pub(super) const fn new(name: &'static str) -> Self {
        Self {
            name,
            right: 0,
            total: 0,
            notes: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, right: bool, note: impl FnOnce() -> String) {
        self.total += 1;
        if right {
            self.right += 1;
        } else {
            self.notes.push(note());
        }
    }

    pub(super) fn report(&self, floor: f64) {
        let share = crate::stats::robust::count(self.right) / crate::stats::robust::count(self.total.max(1));
        println!("{:<28} {:>3}/{:<3} {:.3}", self.name, self.right, self.total, share);
        for note in self.notes.iter().take(12) {
            println!("    {note}");
        }
        assert!(share >= floor, "{}: {share} below {floor}", self.name);
    }
}

/// The course of the verdicts, with the reason wherever a class was given up.
pub(super) fn tell(outcome: &Outcome) -> String {
    let mut text = String::new();
    let mut last = None;
    for (at, verdict) in &outcome.verdicts {
        if last != Some(verdict.class) {
            let why = verdict.rejected.iter().find(|rejected| Some(rejected.class) == last);
            if let Some(why) = why {
                text.extend([" [", &why.because, "]"]);
            }
            let (class, sure) = (verdict.class.name(), verdict.confidence);
            text.extend([format!(" {at:.0}s:{class}({sure:.2})")]);
            last = Some(verdict.class);
        }
    }
    text
}
