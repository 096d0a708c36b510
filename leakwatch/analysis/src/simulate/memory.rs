//! What is known of earlier runs, in later ones: a claim outlives the kill, what was learned under a limit does not outlive its rise.

use super::MIB;
use super::exit;
use super::frame;
use super::key;
use super::kill;
use super::process_facts;
use super::sample;
use super::target;
use crate::detect::native_leak;
use crate::detect::stable;
use crate::detect::undersized_limit;
use crate::history::Claim;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::profile::ProfileType;
use crate::model::units::Timestamp;
use crate::model::verdict::Culprit;
use crate::model::verdict::Estimate;
use crate::model::verdict::Verdict;
use std::collections::BTreeMap;
use std::time::Duration;

struct Host {
    start: Timestamp,
    history: TargetHistory,
}

impl Host {
    fn new() -> Self {
        let start = Timestamp::from_unix_seconds(1_700_000_000);
        Self {
            start,
            history: TargetHistory::new(target(start), start),
        }
    }

    fn at(&self, second: u32) -> Timestamp {
        self.start.plus(Duration::from_secs(u64::from(second)))
    }

    /// A process from one second to another, of this size in MiB by its age and below this limit; what is said at the end of it.
    fn lives(&mut self, pid: u32, seconds: std::ops::Range<u32>, limit: f64, level: impl Fn(f64) -> f64) -> Verdict {
        let started = self.at(seconds.start);
        let mut verdict = None;
        for second in seconds.clone().step_by(5) {
            let now = self.at(second);
            let new = (second == seconds.start).then(|| process_facts(pid, started));
            let anonymous = level(f64::from(second - seconds.start)) * MIB;
            let sampled = sample(&self.history, now, pid, new, anonymous, 0.0, 0.0, Some(limit * MIB), 0);
            self.history.apply_sample(&sampled);
            let made = investigate(&self.history, &BTreeMap::new(), &[], now).verdict;
            self.history.apply_verdict(&made);
            verdict = Some(made);
        }
        verdict.unwrap()
    }

    fn is_killed(&mut self, pid: u32, second: u32) {
        let at = self.at(second);
        self.history.apply_oom_kill(kill(at, pid));
        self.history.apply_exit(&exit(at, pid));
    }

    fn claim(&mut self, pid: u32, second: u32) {
        let frame = frame("remember", 14);
        self.history.claim = Some(Claim {
            process: key(pid),
            class: native_leak::CLASS,
            profile: Some(ProfileType::Native),
            culprit: Culprit {
                frame: frame.clone(),
                share_of_growth: 0.98,
                growth: Estimate::default(),
                stack: vec![frame],
            },
            since: self.start,
            at: self.at(second),
            log_odds: 4.0,
        });
    }
}

#[test]
fn what_was_claimed_of_a_killed_run_holds_for_the_next() {
    for (limit, seconds, rate, holds) in [
        (160.0, 30, 0.0, true),
        (160.0, 120, 0.0, true),
        // It has outlived the run before by half, and is flat.
        (160.0, 400, 0.0, false),
        // It grows, only slower than the one before.
        (160.0, 400, 0.25, true),
        // With twice the room it takes twice as long.
        (320.0, 300, 0.0, true),
        (320.0, 700, 0.0, false),
    ] {
        let mut host = Host::new();
        host.lives(100, 0..125, 160.0, |age| 30.0 + age);
        host.claim(100, 100);
        host.is_killed(100, 124);
        let verdict = host.lives(101, 130..130 + seconds, limit, |age| 40.0 + rate * age);
        let case = format!("{limit} MiB, {seconds} s, {rate} MiB/s: {verdict:?}");
        assert_eq!(verdict.class == native_leak::CLASS, holds, "{case}");
        if holds {
            assert!(
                verdict.summary.contains("remember") && verdict.summary.contains("killed"),
                "{case}"
            );
            assert_eq!(&*verdict.culprit.as_ref().unwrap().frame.function, "remember", "{case}");
        }
    }
}

#[test]
fn a_claim_of_a_run_that_ended_otherwise_says_nothing_of_the_next() {
    let mut host = Host::new();
    host.lives(100, 0..125, 160.0, |age| 30.0 + age);
    host.claim(100, 100);
    let at = host.at(124);
    host.history.apply_exit(&exit(at, 100));
    let verdict = host.lives(101, 130..160, 160.0, |_| 40.0);
    assert_ne!(verdict.class, native_leak::CLASS, "{verdict:?}");
}

#[test]
fn a_limit_that_was_raised_ends_what_was_learned_under_the_old_one() {
    for (limit, level, expected) in [(160.0, 127.0, stable::CLASS), (100.0, 97.0, undersized_limit::CLASS)] {
        let mut host = Host::new();
        for life in 0..3 {
            let begin = life * 100;
            host.lives(100 + life, begin..begin + 90, 100.0, |age| (age * 20.0).min(97.0));
            host.is_killed(100 + life, begin + 90);
        }
        let verdict = host.lives(110, 310..520, limit, |age| (age * 20.0).min(level));
        assert_eq!(verdict.class, expected, "{limit}: {verdict:?}");
        assert_eq!(verdict.recommended_limit.is_some(), expected == undersized_limit::CLASS);
    }
}
