//! The work of `cargo xtask bench analysis`: an engine with the history of a host on a simulated clock, then rounds of samples of which each ends in answers.
//!
//! Of ten targets one is a Go program that leaks, with heap and goroutine profiles; five hold what varies by some pages, two follow a wave of load by the
//! day; the charge of two hardly ever moves. Three make a service.
#![expect(clippy::cast_precision_loss, clippy::print_stdout, reason = "figures for people")]

use anyhow::Context as _;
use anyhow::Result;
use anyhow::ensure;
use leakwatch::engine::Engine;
use leakwatch::input::Input;
use leakwatch::input::TakenProfile;
use leakwatch::store::Bounds;
use leakwatch_analysis::model::counter::CgroupVersion;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::decoded::Summing;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::profile::StackValue;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::sample::ProcessMemory;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::stack::Frame;
use leakwatch_analysis::model::stack::StackTable;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use rustix::time::ClockId;
use rustix::time::clock_gettime;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

const BEGIN: u64 = 1_700_000_000;
const INTERVAL: u64 = 5;
const DAY: u64 = 86_400;
const HOUR: u64 = 3600;
/// The newest part of what is remembered, as the daemon samples it; before it, so many samples of a target are enough, as older ones are merged.
const NEWEST: u64 = 600;
const OLDER: u64 = 1500;
/// Profiles of a leak while the past is made: as many as are kept, twice over.
const PROFILES: u64 = 48;
/// Stacks of a profile.
const STACKS: u64 = 300;
/// Answers while the past is made, so that each target was told something before.
const ANSWERS: u64 = 8;
/// Rounds before those that are measured.
const WARM_UP: u64 = 4;
/// A round may cost so much with 500 targets and two weeks.
const BOUND: Duration = Duration::from_millis(10);

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>());
    let mut argument = || arguments.next().context("targets, days, rounds")?.context("a number");
    let (targets, days, rounds) = (argument()?, argument()?, argument()?);
    println!("targets  remembered   taking in   judging and showing   round   longest");
    let mut last = Duration::ZERO;
    let histories = [HOUR, DAY, days * DAY].map(|history| (targets, history));
    let numbers = [targets / 4, targets / 2].map(|targets| (targets, days * DAY));
    for (targets, history) in numbers.into_iter().chain(histories) {
        last = measure(targets, history, rounds)?;
    }
    if last > BOUND {
        println!("MISSED: at most {} ms a round", BOUND.as_millis());
    }
    Ok(())
}

/// The mean of the processor time of a round.
fn measure(targets: u64, history: u64, rounds: u64) -> Result<Duration> {
    let mut host = Host::new(targets);
    host.live(history);
    let mut now = BEGIN + history;
    let (mut taking, mut judging, mut longest) = (Duration::ZERO, Duration::ZERO, Duration::ZERO);
    for round in 0..WARM_UP + rounds {
        now += INTERVAL;
        let inputs = host.round(now);
        let before = spent()?;
        for input in inputs {
            host.engine.apply(input);
        }
        let taken = spent()?;
        host.engine.apply(tick(now));
        let judged = spent()?;
        if round >= WARM_UP {
            taking += taken.saturating_sub(before);
            judging += judged.saturating_sub(taken);
            longest = longest.max(judged.saturating_sub(before));
        }
    }
    let mean = |sum: Duration| sum / u32::try_from(rounds.max(1)).unwrap_or(u32::MAX);
    let millis = |duration: Duration| duration.as_secs_f64() * 1e3;
    println!(
        "{targets:>7} {:>9.1} h {:>8.2} ms {:>18.2} ms {:>5.2} ms {:>6.2} ms",
        history as f64 / HOUR as f64,
        millis(mean(taking)),
        millis(mean(judging)),
        millis(mean(taking + judging)),
        millis(longest)
    );
    host.tell(history)?;
    Ok(mean(taking + judging))
}

fn spent() -> Result<Duration> {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Ok(Duration::new(u64::try_from(time.tv_sec)?, u32::try_from(time.tv_nsec)?))
}

fn tick(second: u64) -> Input {
    Input::Tick {
        at: Timestamp::from_unix_seconds(second),
    }
}

struct Host {
    engine: Engine,
    targets: Vec<Target>,
    stacks: StackTable,
    random: u64,
}

impl Host {
    fn new(targets: u64) -> Self {
        let mut stacks = StackTable::default();
        for stack in 0..STACKS {
            // No more than what the table has room for is made.
            let _id = stacks.intern(&frames(stack));
        }
        let mut host = Self {
            engine: Engine::new(Bounds::default(), None),
            targets: (0..targets).map(target).collect(),
            stacks,
            random: 1,
        };
        for target in &host.targets {
            host.engine.apply(Input::TargetSeen {
                at: Timestamp::from_unix_seconds(BEGIN),
                target: target.clone(),
            });
        }
        host
    }

    /// Lets so many seconds pass.
    fn live(&mut self, seconds: u64) {
        let coarse = seconds.saturating_sub(NEWEST);
        let step = (coarse / OLDER).max(INTERVAL);
        let every = |number: u64| (seconds / number).max(INTERVAL);
        let (mut profiled, mut answered) = (0, 0);
        let mut age = 0;
        while age < seconds {
            age += if age < coarse { step } else { INTERVAL };
            let is_profiled = age / every(PROFILES) > profiled;
            profiled = age / every(PROFILES);
            let inputs = self.sampled(BEGIN + age, is_profiled);
            for input in inputs {
                self.engine.apply(input);
            }
            if age / every(ANSWERS) > answered {
                answered = age / every(ANSWERS);
                self.engine.apply(tick(BEGIN + age));
            }
        }
    }

    /// Samples of all, and profiles of a tenth of the leaks: a process is read once in 50 seconds.
    fn round(&mut self, now: u64) -> Vec<Input> {
        let mut inputs = self.sampled(now, false);
        for number in (0..self.targets.len() as u64).filter(|number| number % 10 == 0) {
            if (number / 10 + now / INTERVAL).is_multiple_of(10) {
                inputs.extend(self.profiles(number, now));
            }
        }
        inputs
    }

    fn sampled(&mut self, now: u64, is_profiled: bool) -> Vec<Input> {
        let mut inputs = Vec::new();
        for number in 0..self.targets.len() as u64 {
            inputs.push(self.sample(number, now));
            if is_profiled && number % 10 == 0 {
                inputs.extend(self.profiles(number, now));
            }
        }
        inputs
    }

    fn random(&mut self) -> u64 {
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        self.random >> 33
    }

    fn sample(&mut self, number: u64, now: u64) -> Input {
        let age = now - BEGIN;
        let pages = |pages: u64| pages * 4096;
        let base = (40 << 20) + pages(number);
        let held = base
            + match number % 10 {
                0 => leaked(age) + pages(self.random() % 500),
                1..=5 => pages(self.random() % 500),
                6 | 7 => {
                    let turn = (age % DAY) as f64 / DAY as f64 * std::f64::consts::TAU;
                    whole(turn.sin().mul_add(1e7, 1.1e7)) + pages(self.random() % 500)
                }
                _ => pages(u64::from(age % HOUR < INTERVAL)),
            };
        let held = Bytes(held);
        let key = key(number);
        let target = &self.targets[usize::try_from(number).unwrap_or(0)];
        let is_new = now == BEGIN + INTERVAL || age <= DAY;
        Input::Sample(Sample {
            target: target.id(),
            at: Timestamp::from_unix_seconds(now),
            cgroup: Ok(CgroupMemory {
                charge: held.saturating_add(Bytes(4 << 20)),
                limit: Limit::Bytes(Bytes(2 << 30)),
                counters: Counters::new(
                    Some(CgroupVersion::V2),
                    [
                        (Counter::Anon, held.0),
                        (Counter::File, 4 << 20),
                        (Counter::Shmem, 0),
                        (Counter::InactiveFile, 4 << 20),
                        (Counter::ActiveFile, 0),
                        (Counter::Kernel, 0),
                        (Counter::LocalOomKill, 0),
                        (Counter::LocalMax, 0),
                    ],
                ),
            }),
            new_processes: is_new.then(|| process(number)).into_iter().collect(),
            processes: vec![ProcessSample {
                key,
                memory: Ok(ProcessMemory {
                    rss: held,
                    anon: held,
                    ..ProcessMemory::default()
                }),
            }],
        })
    }

    fn profiles(&mut self, number: u64, now: u64) -> Vec<Input> {
        let age = now - BEGIN;
        let profile_types = [ProfileType::Heap, ProfileType::Goroutine];
        let ids: Vec<_> = (0..STACKS)
            .filter_map(|stack| self.stacks.intern(&frames(stack)).ok())
            .collect();
        let taken = profile_types.map(|profile_type| {
            let mut sum = Summing::default();
            for (place, id) in (0_u64..).zip(&ids) {
                let held = match (profile_type, place) {
                    (ProfileType::Heap, 0) => leaked(age),
                    (ProfileType::Heap, _) => (place << 12) + (self.random() % 3) * 524_288,
                    _ => 4,
                };
                let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
                sum.put(
                    *id,
                    &StackValue {
                        alloc_objects: signed(held + age),
                        alloc_space: signed(held + age * 10_000),
                        inuse_objects: signed(held / 2000 + 1),
                        inuse_space: signed(held),
                        inuse_variance: held as f64 * 524_288.0,
                    },
                );
            }
            Input::Profile(TakenProfile {
                at: Timestamp::from_unix_seconds(now),
                target: self.targets[usize::try_from(number).unwrap_or(0)].id(),
                process: key(number),
                profile_type,
                source: ProfileSource::Snapshot,
                profile: Ok(Arc::new(ProfileContent {
                    stacks: self.stacks.clone(),
                    summary: sum.finish(524_288),
                })),
            })
        });
        taken.into()
    }

    /// Each must have been judged, and the leaks found to grow where that is to be seen: in an hour they grow less than what else moves.
    fn tell(&self, history: u64) -> Result<()> {
        let view = self.engine.views().newest();
        let mut classes: BTreeMap<&str, u64> = BTreeMap::new();
        for target in &self.targets {
            let stored = view.target(&target.id()).context("no target")?;
            let verdict = stored.verdict().context("not judged")?;
            *classes.entry(verdict.class.name()).or_default() += 1;
        }
        println!("         {classes:?}");
        ensure!(
            history < DAY || classes.contains_key("growing"),
            "no leak was found to grow"
        );
        Ok(())
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the cast of a float saturates"
)]
const fn whole(value: f64) -> u64 {
    value as u64
}

/// Bytes that a leak holds: a fifth of its limit in two weeks.
const fn leaked(age: u64) -> u64 {
    (8 << 20) + age * 350
}

fn target(number: u64) -> Target {
    Target {
        cgroup: CgroupKey {
            inode: number + 1,
            path: format!("/bench/{number}"),
        },
        kind: TargetKind::Cgroup,
        name: number.to_string(),
        service: format!("service-{}", number / 3),
        container: None,
        started_at: Timestamp::from_unix_seconds(BEGIN),
    }
}

fn key(number: u64) -> ProcessKey {
    ProcessKey {
        pid: u32::try_from(number + 100).unwrap_or(u32::MAX),
        start_ticks: 7,
    }
}

fn process(number: u64) -> Arc<Process> {
    let go = Runtime::Go {
        version: "go1.26.0".to_owned(),
        build: None,
    };
    Arc::new(Process {
        key: key(number),
        started_at: Timestamp::from_unix_seconds(BEGIN),
        comm: "bench".to_owned(),
        exe: Ok("/bench".to_owned()),
        program: None,
        runtime: Ok(if number.is_multiple_of(10) { go } else { Runtime::Native }),
    })
}

/// A stack that shares its callers with others.
fn frames(stack: u64) -> Vec<Frame> {
    let frame = |function: String| Frame {
        function: function.into(),
        file: "/src/bench/main.go".into(),
        line: 7,
    };
    (0..8)
        .map(|level| frame(format!("main.step{level}of{}", stack >> level)))
        .chain([frame("main.main".to_owned())])
        .collect()
}
