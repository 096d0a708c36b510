//! Programs without a Go heap, whose allocator's calls are captured while they are suspected, as the daemon does it: what leaks, what is
//! replaced, what is handed out again, what comes in waves.

use super::MIB;
use super::Outcome;
use super::agreement;
use super::key;
use super::process_facts;
use super::programs::Score;
use super::programs::names;
use super::programs::tell;
use super::random::Random;
use super::sample;
use super::snapshot;
use super::target;
use crate::detect::managed_heap_growth;
use crate::detect::native_leak;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::stack::Frame;
use crate::model::target::Process;
use crate::model::units::Timestamp;
use crate::model::verdict::Verdict;
use std::collections::BTreeMap;
use std::time::Duration;

const MEAN_BYTES: f64 = 524_288.0;
const STEP: f64 = 0.25;
/// Of the daemon: between samples of memory and between profiles, how long a capture lasts, and the rest after it.
const SAMPLE_SECONDS: f64 = 5.0;
const PROFILE_SECONDS: f64 = 3.0;
const CAPTURE_SECONDS: f64 = 60.0;
const REST_SECONDS: f64 = 60.0;

/// How long what a place allocates stays.
#[derive(Clone, Copy)]
enum Life {
    /// For ever.
    Forever,
    /// So many seconds: of a cache that replaces its entries, or for a request.
    Seconds(f64),
    /// For ever, but after so many seconds nothing more is allocated: a pool.
    UntilFull(f64),
    /// Until the next multiple of so many seconds: a batch.
    Batch(f64),
}

/// A place that allocates so many bytes a second in objects of a size.
struct Place {
    function: &'static str,
    rate: f64,
    object_bytes: f64,
    life: Life,
}

const fn place(function: &'static str, rate: f64, object_bytes: f64, life: Life) -> Place {
    Place {
        function,
        rate,
        object_bytes,
        life,
    }
}

impl Place {
    fn allocates(&self, at: f64) -> bool {
        !matches!(self.life, Life::UntilFull(full) if at >= full)
    }

    fn is_live(&self, born: f64, now: f64) -> bool {
        match self.life {
            Life::Forever | Life::UntilFull(_) => true,
            Life::Seconds(seconds) => now < born + seconds,
            Life::Batch(period) => (born / period).floor() >= (now / period).floor(),
        }
    }

    /// Bytes in use.
    fn live(&self, now: f64) -> f64 {
        let seconds = match self.life {
            Life::Forever => now,
            Life::Seconds(seconds) | Life::UntilFull(seconds) => now.min(seconds),
            Life::Batch(period) => now % period,
        };
        self.rate * seconds
    }
}

/// What a capture has sampled of a place: when each was allocated.
type Samples = Vec<f64>;

fn run(places: &[Place], attach_at: f64, seconds: f64, seed: u64) -> Outcome {
    run_on(&Runtime::Native, places, attach_at, seconds, seed)
}

fn run_on(runtime: &Runtime, places: &[Place], attach_at: f64, seconds: f64, seed: u64) -> Outcome {
    let start = Timestamp::from_unix_seconds(1_700_000_000);
    let mut random = Random::new(seed);
    let mut history = TargetHistory::new(target(start), start);
    let mut verdicts = Vec::new();
    let mut capture: Option<(f64, Vec<Samples>)> = None;
    let (mut next_sample, mut next_profile, mut next_capture) = (0.0, 0.0, 0.0);
    let mut watched = 0.0;
    while watched < seconds {
        let now = start.plus(Duration::from_secs_f64(watched));
        let age = attach_at + watched;
        if let Some((_, samples)) = &mut capture {
            for (place, samples) in places.iter().zip(samples).filter(|(place, _)| place.allocates(age)) {
                let objects = place.rate * STEP / place.object_bytes;
                let sampled = random.poisson(objects * chance(place));
                samples.extend(std::iter::repeat_n(age, to_count(sampled)));
            }
        }
        if watched >= next_sample {
            next_sample = watched + SAMPLE_SECONDS;
            let live: f64 = places.iter().map(|place| place.live(age)).sum();
            let anonymous = (30.0 * MIB + live) * (1.0 + 0.0005 * random.normal());
            let new =
                (watched <= 0.0).then(|| native_process(runtime, start.minus(Duration::from_secs_f64(attach_at))));
            history.apply_sample(&sample(&history, now, 100, new, anonymous, 0.0, 0.0, None, 0));
            let verdict = investigate(&history, &BTreeMap::new(), &[], now).verdict;
            assert_eq!(agreement::contradiction(&history, &verdict, now), None);
            let undecided = verdict.class.is_open() && verdict.profile.is_none();
            verdicts.push((watched, verdict));
            if capture.is_none() && undecided && watched > 15.0 && watched >= next_capture {
                capture = Some((age, vec![Samples::new(); places.len()]));
                next_profile = watched + 1.0;
                next_capture = watched + CAPTURE_SECONDS + REST_SECONDS;
            }
        }
        if let Some((since, samples)) = &capture
            && watched >= next_profile
        {
            next_profile = watched + PROFILE_SECONDS;
            let ends = age - since >= CAPTURE_SECONDS;
            let profile = profile(&mut history, places, samples, age, now);
            history.apply_snapshot(profile);
            if ends {
                capture = None;
            }
        }
        watched += STEP;
    }
    Outcome {
        history,
        verdicts,
        killed_at: None,
        post_mortems: Vec::new(),
        first_level: 0.0,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of a float saturates"
)]
const fn to_count(number: f64) -> usize {
    number as usize
}

fn native_process(runtime: &Runtime, started_at: Timestamp) -> Process {
    Process {
        program: None,
        runtime: Ok(runtime.clone()),
        ..process_facts(100, started_at)
    }
}

/// The chance that an object of a place is a sample.
fn chance(place: &Place) -> f64 {
    1.0 - (-place.object_bytes / MEAN_BYTES).exp()
}

#[expect(clippy::cast_possible_truncation, reason = "the cast of a float saturates")]
#[expect(clippy::cast_precision_loss, reason = "a count of samples")]
fn profile(history: &mut TargetHistory, places: &[Place], samples: &[Samples], age: f64, at: Timestamp) -> Snapshot {
    let mut values = Vec::new();
    for (place, samples) in places.iter().zip(samples) {
        if samples.is_empty() {
            continue;
        }
        let weight = 1.0 / chance(place);
        let all = samples.len() as f64;
        let live = samples.iter().filter(|born| place.is_live(**born, age)).count() as f64;
        let value = StackValue {
            alloc_objects: (all * weight) as i64,
            alloc_space: (all * weight * place.object_bytes) as i64,
            inuse_objects: (live * weight) as i64,
            inuse_space: (live * weight * place.object_bytes) as i64,
            inuse_variance: live * (place.object_bytes * weight).powi(2) * (1.0 - 1.0 / weight),
        };
        values.push((
            std::sync::Arc::make_mut(&mut history.stacks)
                .intern(&stack(place.function))
                .unwrap(),
            value,
        ));
    }
    snapshot(history, ProfileType::Native, values, key(100).pid, at)
}

fn stack(function: &str) -> [Frame; 3] {
    if function.starts_with("0x") {
        // Code that a virtual machine has made asks it for an object.
        let machine = "/usr/lib/jvm/lib/server/libjvm.so";
        return [
            ("InterpreterRuntime::newarray", machine),
            (function, ""),
            ("JavaCalls::call", machine),
        ]
        .map(|(function, file)| Frame {
            function: function.into(),
            file: file.into(),
            line: 0,
        });
    }
    let is_interpreter = function.starts_with("_Py");
    [("xmalloc", 3), (function, 12), ("main", 40)].map(|(function, line)| Frame {
        function: function.into(),
        file: if is_interpreter {
            "/usr/bin/python3.11"
        } else {
            "/src/service.c"
        }
        .into(),
        line: if is_interpreter { 0 } else { line },
    })
}

/// What every program does: buffers of a request.
fn requests() -> Place {
    place("handle_request", 20.0 * MIB, 8_192.0, Life::Seconds(0.01))
}

fn culprit(outcome: &Outcome) -> Option<&str> {
    Some(&outcome.last().culprit.as_ref()?.frame.function)
}

#[test]
fn leaks_of_every_size_of_object() {
    let mut class = Score::new("native leak");
    let mut function = Score::new("native culprit");
    for seed in 0..6 {
        for rate in [0.5 * MIB, 2.0 * MIB, 20.0 * MIB] {
            for object in [48.0, 3_000.0, 200_000.0] {
                let places = [requests(), place("remember", rate, object, Life::Forever)];
                let outcome = run(&places, 20.0, 150.0, seed);
                let label = || format!("{} MiB/s of {object} B: {}", rate / MIB, tell(&outcome));
                class.add(names(outcome.last(), native_leak::CLASS), label);
                function.add(culprit(&outcome) == Some("remember"), label);
            }
        }
    }
    class.report(0.96);
    function.report(0.96);
}

#[test]
fn what_fills_and_then_stays_is_no_leak() {
    let mut never = Score::new("no native leak");
    for seed in 0..6 {
        for seconds in [15.0, 30.0, 60.0] {
            for rate in [0.5 * MIB, 2.0 * MIB, 20.0 * MIB] {
                for life in [
                    Life::Seconds(seconds),
                    Life::UntilFull(seconds),
                    Life::Batch(seconds / 2.0),
                ] {
                    for attach_at in [0.0, seconds] {
                        let places = [requests(), place("store", rate, 3_000.0, life)];
                        let outcome = run(&places, attach_at, 240.0, seed);
                        let leak = outcome.first(|verdict| verdict.class.is_leak());
                        never.add(leak.is_none(), || {
                            format!(
                                "{} MiB/s for {seconds} s from {attach_at}: {}",
                                rate / MIB,
                                tell(&outcome)
                            )
                        });
                    }
                }
            }
        }
    }
    never.report(0.98);
}

#[test]
fn what_is_replaced_slowly_is_not_taken_for_the_leak_beside_it() {
    let mut function = Score::new("native culprit beside what is replaced");
    let mut innocent = Score::new("what is replaced is never blamed");
    for seed in 0..6 {
        for replaced in [1.0, 3.0, 10.0] {
            for object in [64.0 * 1024.0, 8.0 * MIB] {
                // Once within a capture, which sees it grow all that time, or never within one.
                for period in [40.0, 120.0] {
                    let places = [
                        requests(),
                        place("refill", 2.0 * MIB * replaced, object, Life::Seconds(period)),
                        place("remember", 2.0 * MIB, 200.0, Life::Forever),
                    ];
                    let outcome = run(&places, 130.0, 240.0, seed);
                    let label = || {
                        let course = tell(&outcome);
                        format!("{replaced} times as much of {object} B in {period} s: {course}")
                    };
                    if period < CAPTURE_SECONDS {
                        function.add(culprit(&outcome) == Some("remember"), label);
                    }
                    let blamed = |verdict: &Verdict| {
                        let culprit = verdict.culprit.as_ref();
                        culprit.is_some_and(|culprit| &*culprit.frame.function == "refill")
                    };
                    innocent.add(outcome.first(blamed).is_none(), label);
                }
            }
        }
    }
    function.report(0.9);
    innocent.report(0.96);
}

#[test]
fn the_larger_of_two_leaks_is_named_first() {
    let mut function = Score::new("larger native leak");
    for seed in 0..6 {
        let places = [
            requests(),
            place("remember", 2.0 * MIB, 3_000.0, Life::Forever),
            place("log_line", 0.8 * MIB, 300.0, Life::Forever),
        ];
        let outcome = run(&places, 20.0, 150.0, seed);
        function.add(culprit(&outcome) == Some("remember"), || tell(&outcome));
    }
    function.report(0.96);
}

#[test]
fn a_few_samples_say_nothing() {
    let mut never = Score::new("thin samples");
    for seed in 0..6 {
        // 20 KiB/s: one sample in 25 s.
        let places = [place("remember", 20_480.0, 64.0, Life::Forever)];
        let outcome = run(&places, 20.0, 150.0, seed);
        never.add(outcome.first(|verdict| verdict.class.is_leak()).is_none(), || {
            tell(&outcome)
        });
    }
    never.report(1.0);
}

/// Objects of an interpreter have no place in C; a library in C that leaks still has one.
#[test]
fn what_an_interpreter_keeps_is_told_as_its_own() {
    let python = Runtime::Managed(ManagedRuntime {
        name: ManagedRuntimeName::Python,
        version: Some("3.11".into()),
        most_heap: None,
        most_heap_percent: None,
    });
    for (function, expected) in [
        ("_PyObject_GC_New", None),
        ("0x7f6e349529b8", None),
        ("remember", Some("remember")),
    ] {
        let places = [place(function, 2.0 * MIB, 3_000.0, Life::Forever)];
        let outcome = run_on(&python, &places, 20.0, 150.0, 5);
        assert_eq!(culprit(&outcome), expected, "{}", tell(&outcome));
        let class = outcome.last().class;
        assert_eq!(
            class == managed_heap_growth::CLASS,
            expected.is_none(),
            "{}",
            tell(&outcome)
        );
    }
}
