//! A straight line stays straight: what is told of a leak of constant rate beside a replica that does not grow, from a minute to two weeks, through all
//! thinning of what is in memory, the tiers on disk, and daemons that end and begin again in between.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "amounts are made up"
)]

use super::restart::BEGIN;
use super::restart::end;
use super::restart::engine;
use super::*;
use leakwatch_analysis::measure::motion::MemoryTrend;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;
use std::time::Instant;

const MIB: f64 = 1_048_576.0;
/// What is held besides.
const BASE: f64 = 60.0 * MIB;
const TWO_WEEKS: f64 = 1_209_600.0;
/// Instants at which an answer is asked for: each this much later than the one before.
const NEXT: f64 = 1.2;
/// The rate that is told is that near the truth, or the truth is in the interval that is told.
const NEAR: f64 = 0.03;
/// Bytes that one sample of a Go heap stands for.
const SAMPLE: f64 = 524_288.0;
/// Rounds that the writer of the store may be behind.
const BEHIND: u64 = 1000;

/// `SplitMix64` (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }

    /// As many samples as come of a mean.
    fn samples(&mut self, mean: f64) -> f64 {
        (mean + mean.sqrt() * self.normal()).round().max(0.0)
    }
}

/// A leak of constant rate, and how it is watched.
#[derive(Debug)]
struct Line {
    seed: u64,
    rate: f64,
    /// Standard deviation in bytes.
    noise: f64,
    /// Height and period of the sawtooth of collections.
    saw: (f64, f64),
    seconds: f64,
    /// Ages at which the daemon is started again.
    restarts: Vec<f64>,
}

impl Line {
    fn draw(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut between = |low: f64, high: f64| low * (high / low).powf(random.uniform());
        let rate = between(1e3, 5e7);
        // What is kept of an amount ends at 16 TiB.
        let seconds = between(86_400.0, TWO_WEEKS * 4.0).min(TWO_WEEKS).min(8e12 / rate);
        let noise = [0.0, 0.3 * MIB][(seed % 2) as usize];
        let saw = [0.0, 6.0 * MIB, 20.0 * MIB][(seed % 3) as usize];
        let saw = (saw, between(47.0, 1900.0));
        let mut restarts: Vec<f64> = (0..3).map(|_| between(300.0, seconds)).collect();
        restarts.sort_by(f64::total_cmp);
        Self {
            seed,
            rate,
            noise,
            saw,
            seconds,
            restarts,
        }
    }

    /// Whether growth after so many seconds is to be seen through noise and sawtooth, three teeth of which are there; and more than what was told to be
    /// steady has to grow by (`docs/detectors/growth.md`).
    fn is_clear(&self, seconds: f64) -> bool {
        let (height, period) = self.saw;
        let grown = self.rate * seconds * 0.8;
        grown >= 0.12 * (BASE + self.rate * seconds)
            && grown >= 12.0 * self.noise + 3.0 * height
            && (height == 0.0 || seconds >= 3.0 * period)
    }
}

/// A line while it is watched.
struct Watched<'a> {
    line: &'a Line,
    random: Random,
    /// The one that leaks, and its replica.
    targets: [Target; 2],
    /// Samples of the heap that leaks, and bytes of it.
    sampled: (f64, f64),
    is_known: bool,
}

impl Watched<'_> {
    fn key(inode: u64) -> ProcessKey {
        ProcessKey {
            pid: 100 + inode as u32,
            start_ticks: 7,
        }
    }

    fn inputs(&mut self, age: f64, is_profiled: bool) -> Vec<Input> {
        let at = Timestamp::from_unix_seconds(BEGIN).plus(Duration::from_secs_f64(age));
        let mut inputs = Vec::new();
        let kept = self.line.rate * age;
        let more = self.random.samples((kept - self.sampled.1) / SAMPLE);
        self.sampled = (self.sampled.0 + more, kept);
        for (target, kept) in self.targets.clone().into_iter().zip([kept, 0.0]) {
            let key = Self::key(target.cgroup.inode);
            if !self.is_known {
                inputs.push(Input::TargetSeen {
                    at,
                    target: target.clone(),
                });
            }
            let (height, period) = self.line.saw;
            let level = BASE + kept + height * (age / period).fract() + self.line.noise * self.random.normal();
            inputs.push(self.sample(&target, key, at, level));
            if is_profiled {
                let kept = kept.min(self.sampled.0 * SAMPLE);
                inputs.push(self.heap(&target, key, at, age, kept));
            }
        }
        self.is_known = true;
        inputs
    }

    fn sample(&self, target: &Target, key: ProcessKey, at: Timestamp, level: f64) -> Input {
        let anon = Bytes(level as u64);
        let base = sampled_at(target, BEGIN, 0);
        let process = Process {
            key,
            started_at: Timestamp::from_unix_seconds(BEGIN),
            runtime: Ok(Runtime::Go {
                version: "go1.26.0".into(),
                build: None,
            }),
            ..process()
        };
        Input::Sample(Sample {
            at,
            cgroup: Ok(CgroupMemory {
                charge: anon,
                limit: Limit::Max,
                counters: counters(anon, 0),
            }),
            new_processes: (!self.is_known).then(|| Arc::new(process)).into_iter().collect(),
            processes: vec![ProcessSample {
                key,
                memory: Ok(ProcessMemory {
                    rss: anon,
                    anon,
                    ..ProcessMemory::default()
                }),
            }],
            ..base
        })
    }

    /// The place that keeps, what is always there, and garbage, of which both have as much.
    fn heap(&self, target: &Target, process: ProcessKey, at: Timestamp, age: f64, kept: f64) -> Input {
        let value = |inuse: f64, allocated: f64| StackValue {
            inuse_space: inuse as i64,
            inuse_objects: (inuse / 2000.0) as i64,
            alloc_space: allocated as i64,
            alloc_objects: (allocated / 2000.0) as i64,
            inuse_variance: inuse * SAMPLE,
        };
        let garbage = age * (self.line.rate + 200_000.0);
        let mut stacks = StackTable::default();
        let mut sum = Summing::default();
        for (function, value) in [
            ("main.keep", value(kept, kept)),
            ("main.serve", value(20.0 * MIB, 20.0 * MIB)),
            ("main.render", value(0.0, garbage)),
        ] {
            let frames = [function, "main.main"].map(|function| Frame {
                function: function.into(),
                file: "main.go".into(),
                line: 7,
            });
            let stack = stacks.intern(&frames);
            sum.add(&mut stacks, stack, frames.first(), &value);
        }
        Input::Profile(TakenProfile {
            at,
            target: target.id(),
            process,
            profile_type: ProfileType::Heap,
            source: ProfileSource::Snapshot,
            profile: Ok(Arc::new(ProfileContent {
                summary: sum.finish(524_288),
                stacks,
            })),
        })
    }
}

/// Takes in a round without judging it.
fn take_in_unjudged(engine: &mut Engine, inputs: Vec<Input>, age: f64, round: u64) {
    for input in inputs {
        take_in(&mut engine.memory, input);
    }
    let at = Timestamp::from_unix_seconds(BEGIN).plus(Duration::from_secs_f64(age));
    let Some(feed) = &mut engine.feed else { return };
    feed.offer(&mut engine.memory, at);
    if round.is_multiple_of(BEHIND) {
        let deadline = Instant::now() + Duration::from_mins(2);
        while feed.history().status().newest + 1 < at.unix_millis() && Instant::now() < deadline {
            std::thread::yield_now();
        }
    }
}

/// What was wrong with what was told of a line, and whether it was claimed to be a leak.
fn watch(line: &Line) -> (Vec<String>, bool) {
    let directory = tempfile::tempdir().unwrap();
    let (mut running, mut writer) = engine(directory.path(), 1000, BEGIN);
    let mut watched = Watched {
        line,
        random: Random(line.seed ^ 0x5eed),
        targets: [target(1), target(2)],
        sampled: (0.0, 0.0),
        is_known: false,
    };
    let (mut wrong, mut is_claimed) = (Vec::new(), false);
    let (mut age, mut round) = (0.0, 0);
    let (mut next_answer, mut next_profile) = (60.0, 20.0);
    let mut restarts = line.restarts.iter().copied().peekable();
    while age < line.seconds {
        // As the daemon does at first, until noise is small beside growth: blocks of fewer samples have higher minima. What was sampled every five seconds for two weeks is asked of in the tests of the analysis.
        age += if age < 3600.0 { 5.0 } else { (age / 300.0).max(15.0) };
        round += 1;
        if restarts.next_if(|at| *at <= age).is_some() {
            end(running, writer);
            (running, writer) = engine(directory.path(), 1000, BEGIN + age as u64);
            watched.is_known = false;
        }
        let is_profiled = age >= next_profile;
        if is_profiled {
            next_profile = age + (age / 50.0).max(30.0);
        }
        let inputs = watched.inputs(age, is_profiled);
        take_in_unjudged(&mut running, inputs, age, round);
        if age < next_answer {
            continue;
        }
        next_answer *= NEXT;
        let now = Timestamp::from_unix_seconds(BEGIN).plus(Duration::from_secs_f64(age));
        let view = run(&mut running, vec![Input::Tick { at: now }]);
        let stored = view.target(&watched.targets[0].id()).unwrap();
        let verdict = stored.verdict().unwrap();
        let leaks = verdict.class.is_leak();
        let memory = MemoryTrend::of(&stored.history, now, false);
        let interval = memory.growth();
        let label = |what: &str| {
            format!(
                "{what} at {age:.0} s: {} {:.2}, {:?} in {interval:?}, {:?}, claim {:?}: {line:?}",
                verdict.class.name(),
                verdict.leak_probability,
                verdict.growth_bytes_per_second,
                memory.trend,
                stored.history.claim.as_ref().map(|claim| claim.log_odds),
            )
        };
        if is_claimed && !leaks {
            wrong.push(label("a claim was taken back"));
        }
        is_claimed |= leaks;
        if !line.is_clear(age) {
            continue;
        }
        if !leaks && !verdict.class.is_open() {
            wrong.push(label("no growth"));
        }
        let near = |rate: f64| (rate / line.rate - 1.0).abs() <= NEAR;
        let within = interval.is_some_and(|interval| interval.low <= line.rate && line.rate <= interval.high);
        if !within && !verdict.growth_bytes_per_second.is_some_and(near) {
            wrong.push(label("a wrong rate"));
        }
    }
    let losses = running.feed.as_ref().map(|feed| feed.history().status().losses);
    assert!(losses.is_some_and(|losses| losses.is_empty()), "the store kept all");
    end(running, writer);
    (wrong, is_claimed)
}

#[test]
fn a_straight_line_stays_straight_through_tiers_and_restarts() {
    let lines: Vec<Line> = (1..=4).map(Line::draw).collect();
    let watched: Vec<(Vec<String>, bool)> = lines.iter().map(watch).collect();
    let claimed = watched.iter().filter(|(_, is_claimed)| *is_claimed).count();
    let wrong: Vec<String> = watched.into_iter().flat_map(|(wrong, _)| wrong).collect();
    assert!(wrong.is_empty(), "{}: {:#?}", wrong.len(), wrong);
    assert!(
        claimed * 4 >= lines.len() * 3,
        "{claimed} of {} were claimed",
        lines.len()
    );
}
