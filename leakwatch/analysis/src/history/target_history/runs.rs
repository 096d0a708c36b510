//! The runs of a target, and what was claimed of the one that runs.

use crate::history::snapshots::SnapshotSeries;
use crate::history::target_history::Claim;
use crate::history::target_history::TargetHistory;
use crate::model::event::ProcessExit;
use crate::model::heap_bound;
use crate::model::profile::ProfileType;
use crate::model::run::Run;
use crate::model::run::RunEnd;
use crate::model::run::RunSample;
use crate::model::runtime::Runtime;
use crate::model::sample::Sample;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;

/// Probabilities above this are kept as this one.
const MOST_SURE: f64 = 0.9999;

impl TargetHistory {
    /// Adds a sample to the course of the run, or begins another one.
    pub(super) fn follow_run(&mut self, sample: &Sample) {
        let main = self.main_sampled.and_then(|key| self.processes.get(&key));
        let main = main.map(|record| (record.process.key, record.process.started_at));
        let is_other = |run: &Run| main.is_some_and(|(key, _)| key != run.process);
        let has_ended = |run: &Run| {
            let record = self.processes.get(&run.process);
            record.is_none_or(|record| record.gone_at.is_some())
        };
        if self.run.as_ref().is_some_and(|run| is_other(run) || has_ended(run)) {
            self.end_run(sample.at);
        }
        let (Some((process, started_at)), Ok(memory)) = (main, &sample.cgroup) else {
            return;
        };
        let newest = |profile_type| {
            let snapshot = self.snapshots.get(&profile_type).and_then(SnapshotSeries::newest);
            snapshot.filter(|snapshot| snapshot.process == process)
        };
        let heap = newest(ProfileType::Heap);
        let bytes = |bytes: i64| u64::try_from(bytes).ok().map(Bytes);
        let added = RunSample {
            // As for windows: the charge where memory.stat is not readable.
            memory: Some(memory.unreclaimable().unwrap_or(memory.charge)),
            live_heap: heap.and_then(|heap| bytes(heap.total.inuse_space)),
            goroutines: newest(ProfileType::Goroutine)
                .and_then(|snapshot| u32::try_from(snapshot.total.inuse_objects).ok()),
            work: heap.and_then(|heap| bytes(heap.total.alloc_space)),
        };
        let run = self
            .run
            .get_or_insert_with(|| Run::new(process, started_at, memory.limit));
        run.limit = memory.limit;
        run.course.add(sample.at.since(started_at), added);
    }

    /// Takes in the exit of a process of this cgroup.
    pub fn apply_exit(&mut self, exit: &ProcessExit) {
        let limit = self.limit().bytes();
        let Some(record) = self.processes.get_mut(&exit.key) else {
            return;
        };
        record.gone_at.get_or_insert(exit.at);
        if let (Ok(Runtime::Managed(managed)), Ok(status)) = (&record.process.runtime, &exit.exit_code) {
            record.ran_out = heap_bound::is_own_end(managed, limit, record.most_anonymous, *status);
        }
        // The sample that missed it may have been quicker than the news of its end.
        if record.ran_out
            && let Some(last) = self.past_runs.last_mut()
            && last.process == exit.key
            && let Some((_, end)) = &mut last.ended
        {
            *end = RunEnd::OutOfMemory;
        }
    }

    pub(super) fn end_run(&mut self, at: Timestamp) {
        let Some(mut run) = self.run.take() else { return };
        let killed = self
            .oom_kills
            .iter()
            .any(|kill| kill.victim.pid == run.process.pid && kill.at >= run.started_at);
        let ran_out = self.processes.get(&run.process).is_some_and(|record| record.ran_out);
        let end = match (killed, ran_out) {
            (true, _) => RunEnd::OomKill,
            (false, true) => RunEnd::OutOfMemory,
            (false, false) => RunEnd::Exit,
        };
        run.ended = Some((at, end));
        self.push_past_run(run);
    }

    /// Adds a run that has ended: its own, or one of its service before it. One that is there already is not added again.
    pub fn push_past_run(&mut self, run: Run) {
        let is_same = |known: &Run| (known.process, known.started_at) == (run.process, run.started_at);
        if self.past_runs.iter().any(is_same) {
            return;
        }
        if self.past_runs.len() >= Self::MAX_PAST_RUNS {
            self.past_runs.remove(0);
        }
        self.past_runs.push(run);
    }

    /// The version of the program: the build id that the newest heap profile tells; empty where none does.
    pub fn version(&self) -> &str {
        let heap = self.snapshots.get(&ProfileType::Heap).and_then(SnapshotSeries::newest);
        heap.map_or("", |heap| &heap.program.build_id)
    }

    /// All names of that version: the build id, and of Go programs the module's version and the commit.
    pub fn versions(&self) -> impl Iterator<Item = &str> {
        let process = self.main_process().map(|record| &record.process);
        let build = match process.and_then(|process| process.runtime.as_ref().ok()) {
            Some(Runtime::Go { build, .. }) => build.as_deref(),
            _ => None,
        };
        let of_build = build
            .into_iter()
            .flat_map(|build| [&build.module_version, &build.revision]);
        let names = of_build.filter_map(|name| name.as_deref());
        [self.version()]
            .into_iter()
            .chain(names)
            .filter(|name| !name.is_empty())
    }

    /// What was answered last of the process that holds most memory.
    pub fn told(&self) -> Option<VerdictClass> {
        let main = self.main_process().map(|record| record.process.key);
        let told = self.told.filter(|(process, _)| Some(*process) == main);
        told.map(|(_, class)| class)
    }

    /// Whether that was a class without growth.
    pub fn is_told_steady(&self) -> bool {
        self.told().is_some_and(|class| !class.is_leak() && !class.is_open())
    }

    /// The process that holds most memory; where none lives, the one that did last.
    pub fn main_or_last(&self) -> Option<ProcessKey> {
        let last = || self.run.as_ref().or(self.past_runs.last()).map(|run| run.process);
        self.main_process().map(|record| record.process.key).or_else(last)
    }

    /// Takes in what was answered: a claim is remembered until it is answered otherwise.
    pub fn apply_verdict(&mut self, verdict: &Verdict) {
        let main = self.main_process().map(|record| record.process.key);
        self.told = main.map(|process| (process, verdict.class));
        // Answers are made about the dead as well: what was read of a process at its kill comes when that has exited.
        let process = self.main_or_last();
        let (true, Some(process), Some(culprit)) = (verdict.class.is_leak(), process, &verdict.culprit) else {
            self.claim = None;
            return;
        };
        let is_at =
            |claim: &Claim| claim.class == verdict.class && claim.culprit.frame.function == culprit.frame.function;
        // What was claimed of the run before stays a claim of that one until the profiles of this one show the place.
        let newest = |profile_type| self.snapshots.get(&profile_type).and_then(SnapshotSeries::newest);
        let is_shown = verdict
            .profile
            .and_then(newest)
            .is_some_and(|newest| newest.process == process);
        if !is_shown
            && self
                .claim
                .as_ref()
                .is_some_and(|claim| claim.process != process && is_at(claim))
        {
            return;
        }
        let before = self
            .claim
            .take()
            .filter(|claim| claim.process == process && is_at(claim));
        // Odds as of now may hold a contradiction, which must not count twice: the highest are those without one.
        let probability = verdict.leak_probability.clamp(0.0, MOST_SURE);
        let log_odds = (probability / (1.0 - probability)).ln();
        self.claim = Some(Claim {
            process,
            class: verdict.class,
            profile: verdict.profile,
            culprit: culprit.clone(),
            since: verdict.since,
            at: before.as_ref().map_or(self.newest_at, |claim| claim.at),
            log_odds: before.map_or(log_odds, |claim| claim.log_odds.max(log_odds)),
        });
    }
}
