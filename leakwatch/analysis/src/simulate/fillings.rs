//! What fills a limit, whatever the runtime: a heap, files in memory, memory of the kernel; and a cgroup that thrashes at its limit.

use super::MIB;
use super::agreement;
use super::bytes;
use super::exit;
use super::key;
use super::kill;
use super::process_facts;
use super::process_sample;
use super::target;
use crate::detect::growing;
use crate::detect::kernel_memory;
use crate::detect::managed_heap_growth;
use crate::detect::not_enough_data;
use crate::detect::stable;
use crate::detect::tmpfs;
use crate::detect::undersized_limit;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::counter::CgroupVersion;
use crate::model::counter::Counter;
use crate::model::counter::Counters;
use crate::model::investigation::Answer;
use crate::model::investigation::StepId;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::runtime::GoRuntimeStats;
use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::runtime::RuntimeStats;
use crate::model::sample::CgroupMemory;
use crate::model::sample::Limit;
use crate::model::sample::Sample;
use crate::model::target::Process;
use crate::model::units::Timestamp;
use crate::model::verdict::Verdict;
use crate::model::verdict::VerdictClass;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a cgroup holds, in MiB, and what the kernel has counted.
#[derive(Clone, Copy, Default)]
struct Holds {
    anon: f64,
    file: f64,
    shmem: f64,
    kernel: f64,
    /// Of the kernel's memory; none where that is not counted.
    slab_reclaimable: Option<f64>,
    hits: u64,
    major_faults: u64,
}

struct Host {
    start: Timestamp,
    history: TargetHistory,
    version: CgroupVersion,
    runtime: Runtime,
    limit: f64,
}

fn managed(name: ManagedRuntimeName) -> Runtime {
    Runtime::Managed(ManagedRuntime {
        name,
        version: None,
        most_heap: None,
        most_heap_percent: None,
    })
}

fn go() -> Runtime {
    Runtime::Go {
        version: "go1.26.0".into(),
        build: None,
    }
}

impl Host {
    fn new(runtime: Runtime, version: CgroupVersion, limit: f64) -> Self {
        let start = Timestamp::from_unix_seconds(1_700_000_000);
        Self {
            start,
            history: TargetHistory::new(target(start), start),
            version,
            runtime,
            limit,
        }
    }

    fn at(&self, second: u32) -> Timestamp {
        self.start.plus(Duration::from_secs(u64::from(second)))
    }

    fn counters(&self, holds: &Holds) -> Counters {
        let mib = |amount: f64| bytes(amount * MIB).0;
        let mut counted = vec![
            (Counter::Anon, mib(holds.anon)),
            (Counter::File, mib(holds.file + holds.shmem)),
            (Counter::Shmem, mib(holds.shmem)),
            (Counter::InactiveFile, mib(holds.file)),
            (Counter::ActiveFile, 0),
            (Counter::Kernel, mib(holds.kernel)),
            (Counter::LocalOomKill, 0),
            (Counter::Pgmajfault, holds.major_faults),
            (Counter::LocalMax, holds.hits),
        ];
        counted.extend(holds.slab_reclaimable.map(|slab| (Counter::SlabReclaimable, mib(slab))));
        Counters::new(Some(self.version), counted)
    }

    fn judge(&self, now: Timestamp) -> Verdict {
        let verdict = investigate(&self.history, &BTreeMap::new(), &[], now).verdict;
        assert_eq!(agreement::contradiction(&self.history, &verdict, now), None);
        verdict
    }

    /// One more sample of a process that lives.
    fn goes_on(&mut self, pid: u32, second: u32, anon: f64) -> Verdict {
        self.sampled(
            pid,
            second,
            false,
            &Holds {
                anon,
                ..Holds::default()
            },
        )
    }

    /// A process from one second to another; what is said at the end.
    fn lives(&mut self, pid: u32, seconds: std::ops::Range<u32>, holds: impl Fn(f64) -> Holds) -> Verdict {
        let mut verdict = None;
        for second in seconds.clone().step_by(5) {
            let held = holds(f64::from(second - seconds.start));
            verdict = Some(self.sampled(pid, second, second == seconds.start, &held));
        }
        verdict.unwrap()
    }

    fn sampled(&mut self, pid: u32, second: u32, is_new: bool, held: &Holds) -> Verdict {
        let now = self.at(second);
        let new = is_new.then(|| Process {
            runtime: Ok(self.runtime.clone()),
            ..process_facts(pid, now)
        });
        let anon = bytes(held.anon * MIB);
        let sample = Sample {
            target: self.history.target.id(),
            at: now,
            cgroup: Ok(CgroupMemory {
                charge: bytes((held.anon + held.file + held.shmem + held.kernel) * MIB),
                limit: Limit::Bytes(bytes(self.limit * MIB)),
                counters: self.counters(held),
            }),
            new_processes: new.into_iter().map(Arc::new).collect(),
            processes: vec![process_sample(pid, anon)],
        };
        self.history.apply_sample(&sample);
        let made = self.judge(now);
        self.history.apply_verdict(&made);
        made
    }

    fn is_killed(&mut self, pid: u32, second: u32) -> Verdict {
        let at = self.at(second);
        self.history.apply_oom_kill(kill(at, pid));
        let verdict = self.judge(at);
        self.history.apply_exit(&exit(at, pid));
        verdict
    }
}

fn advises(verdict: &Verdict, word: &str) -> bool {
    verdict.advice.iter().any(|advice| advice.contains(word))
}

/// The files of one life are there in the next.
#[test]
fn files_in_memory_that_outlive_the_kill_are_told_whatever_the_runtime() {
    for runtime in [managed(ManagedRuntimeName::Python), Runtime::Native, go()] {
        let mut host = Host::new(runtime, CgroupVersion::V2, 200.0);
        let (mut at, mut left) = (0, 0.0_f64);
        for life in 0..5_u32 {
            let room = 188.0 - left;
            let seconds = if life == 0 { 95 } else { 10 };
            let (from, rate) = (left, room / f64::from(seconds));
            let before = host.lives(100 + life, at..at + seconds, |age| Holds {
                anon: 8.0,
                shmem: from + rate * age,
                ..Holds::default()
            });
            left = 188.0;
            at += seconds;
            let told = host.is_killed(100 + life, at);
            assert_eq!(told.class, tmpfs::CLASS, "at kill {life}: {told:?}");
            assert!(
                advises(&told, "/dev/shm") && told.recommended_limit.is_none(),
                "{told:?}"
            );
            if life > 0 {
                assert_eq!(before.class, tmpfs::CLASS, "in life {life}: {before:?}");
                assert!(before.summary.contains("outlives"), "{before:?}");
            }
            at += 2;
        }
    }
}

#[test]
fn a_limit_that_is_too_small_gets_advice_that_fits_the_runtime() {
    for (runtime, word) in [
        (go(), Some("GOMEMLIMIT")),
        (managed(ManagedRuntimeName::Jvm), Some("-Xmx")),
        (managed(ManagedRuntimeName::Node), Some("--max-old-space-size")),
        (managed(ManagedRuntimeName::Python), None),
        (Runtime::Native, None),
    ] {
        let mut host = Host::new(runtime, CgroupVersion::V2, 100.0);
        for life in 0..3 {
            let begin = life * 100;
            host.lives(100 + life, begin..begin + 90, |age| Holds {
                anon: (age * 20.0).min(97.0),
                ..Holds::default()
            });
            host.is_killed(100 + life, begin + 90);
        }
        let verdict = host.lives(110, 310..520, |age| Holds {
            anon: (age * 20.0).min(97.0),
            ..Holds::default()
        });
        assert_eq!(verdict.class, undersized_limit::CLASS, "{verdict:?}");
        assert_eq!(verdict.advice.len(), if word.is_some() { 2 } else { 1 }, "{verdict:?}");
        assert!(word.is_none_or(|word| advises(&verdict, word)), "{verdict:?}");
    }
}

/// A program that grows into its limit and goes on, as long as the kernel finds a page of a file to take back.
fn into_the_limit(age: f64, faults: f64) -> Holds {
    let at_limit = (age - 100.0).max(0.0);
    Holds {
        anon: (10.0 + 0.9 * age).min(98.5),
        file: (20.0 - 0.2 * age).max(0.5),
        hits: bytes(at_limit * 8000.0).0,
        major_faults: bytes(at_limit * faults).0,
        ..Holds::default()
    }
}

#[test]
fn who_thrashes_at_its_limit_is_told_so_and_what_fills_it() {
    // Where the hits are not counted, the charge tells.
    for (version, counted) in [(CgroupVersion::V1, 1), (CgroupVersion::V1, 0), (CgroupVersion::V2, 1)] {
        let runtime = Runtime::Native;
        let mut host = Host::new(runtime, version, 100.0);
        let verdict = host.lives(100, 0..225, |age| {
            let held = into_the_limit(age, 217.0);
            Holds {
                hits: held.hits * counted,
                file: held.file + 0.8,
                ..held
            }
        });
        assert!(
            verdict.summary.contains("thrashes at its limit of 100.0 MiB"),
            "{verdict:?}"
        );
        assert!(verdict.summary.contains("98.5 MiB of anonymous memory"), "{verdict:?}");
        assert!(verdict.summary.contains("app (process 100)"), "{verdict:?}");
        assert!(advises(&verdict, "Do not wait"), "{verdict:?}");
        assert!(verdict.time_to_limit.is_none(), "{verdict:?}");
        let unseen = [not_enough_data::CLASS, growing::CLASS];
        assert!(
            unseen.contains(&verdict.class),
            "the limit hides whether it has a level: {verdict:?}"
        );
        assert_eq!(verdict.limit_probability.map(|chance| chance.hour), Some(1.0));
    }
}

/// At the limit by page cache, or at it without having to wait for a device.
#[test]
fn a_full_limit_alone_is_no_thrashing() {
    let cache = |age: f64| Holds {
        anon: 40.0,
        file: 59.5,
        hits: bytes(age * 8000.0).0,
        major_faults: bytes(age * 300.0).0,
        ..Holds::default()
    };
    let quiet = |age: f64| into_the_limit(age, 0.5);
    let cases: [(&str, &dyn Fn(f64) -> Holds); 2] = [("cache", &cache), ("quiet", &quiet)];
    for (what, holds) in cases {
        let mut host = Host::new(Runtime::Native, CgroupVersion::V2, 100.0);
        let verdict = host.lives(100, 0..225, holds);
        assert!(!verdict.summary.contains("thrashes"), "{what}: {verdict:?}");
    }
}

/// Directory entries of names that do not exist: on cgroup v1 nothing tells that they are given up when the limit is reached.
#[test]
fn memory_of_the_kernel_that_may_be_given_up_counts_down_to_no_kill() {
    let grows = |slab: bool| {
        move |age: f64| {
            let kernel = (5.0 + age * 0.5).min(88.0);
            Holds {
                anon: 10.0,
                kernel,
                slab_reclaimable: slab.then_some(kernel - 4.0),
                hits: bytes((age - 170.0).max(0.0) * 50.0).0,
                ..Holds::default()
            }
        }
    };
    let cases: [(CgroupVersion, u32, VerdictClass); 3] = [
        (CgroupVersion::V1, 150, kernel_memory::CLASS),
        (CgroupVersion::V1, 320, kernel_memory::CLASS),
        (CgroupVersion::V2, 150, stable::CLASS),
    ];
    for (version, seconds, expected) in cases {
        let mut host = Host::new(Runtime::Native, version, 100.0);
        let verdict = host.lives(100, 0..seconds, grows(version == CgroupVersion::V2));
        let case = format!("{version:?} {seconds} s: {verdict:?}");
        assert_eq!(verdict.class, expected, "{case}");
        assert!(
            verdict.time_to_limit.is_none() && !verdict.summary.contains("limit is reached in"),
            "{case}"
        );
        if expected == kernel_memory::CLASS {
            assert!(verdict.summary.contains("directory entries"), "{case}");
            assert_eq!(verdict.summary.contains("nothing was killed"), seconds > 200, "{case}");
        }
    }
}

/// What cannot be given up still leads to the limit.
#[test]
fn kernel_memory_that_is_kept_has_a_forecast_where_the_kernel_tells() {
    let mut host = Host::new(Runtime::Native, CgroupVersion::V2, 200.0);
    let verdict = host.lives(100, 0..150, |age| Holds {
        anon: 10.0,
        kernel: 5.0 + age * 0.5,
        slab_reclaimable: Some(1.0),
        ..Holds::default()
    });
    assert_eq!(verdict.class, kernel_memory::CLASS, "{verdict:?}");
    assert!(verdict.time_to_limit.is_some(), "{verdict:?}");
}

/// The runtime counts what its collections leave, linked heap profile or not.
#[test]
fn the_live_heap_of_a_go_program_without_a_heap_profile_is_told() {
    let fix = "add `func init() { runtime.MemProfile(nil, false) }` to the program";
    for leaks in [true, false] {
        let mut host = Host::new(go(), CgroupVersion::V2, 1000.0);
        let missing = Missing::new(
            MissingReason::Unsupported,
            "the program does not link runtime.MemProfile",
        )
        .with_fix(fix);
        host.history.profile_missing.insert(ProfileType::Heap, missing);
        let native = Missing::new(MissingReason::Unsupported, "no allocator is found").with_fix("keep its symbols");
        host.history.profile_missing.insert(ProfileType::Native, native);
        let (mut second, mut verdict) = (0, None);
        let live = |age: f64| if leaks { (8.0 + age) * MIB } else { 8.0 * MIB };
        // The rest is garbage at twice the live heap, or memory of a library in C.
        while second < 150 {
            let stats = GoRuntimeStats {
                heap_marked: bytes(live(f64::from(second))),
                heap_goal: Some(bytes(2.0 * live(f64::from(second)))),
                mapped_ready: bytes(2.2 * live(f64::from(second))),
                collections: 1 + second / 10,
                gc_percent: Some(100),
                ..GoRuntimeStats::default()
            };
            let at = host.at(second);
            host.history.apply_runtime(at, key(100), Ok(RuntimeStats::Go(stats)));
            let from = second;
            if second == 0 {
                verdict = Some(host.lives(100, 0..5, |_| Holds {
                    anon: 18.0,
                    ..Holds::default()
                }));
            } else {
                verdict = Some(host.goes_on(100, second, 18.0 + 2.2 * f64::from(from)));
            }
            second += 5;
        }
        let verdict = verdict.unwrap();
        assert_eq!(verdict.class, growing::CLASS, "{verdict:?}");
        assert_eq!(verdict.summary.contains("The live Go heap grows"), leaks, "{verdict:?}");
        assert!(advises(&verdict, fix), "{verdict:?}");
        assert_eq!(advises(&verdict, "keep its symbols"), !leaks, "{verdict:?}");
        assert!(!leaks || verdict.summary.contains("does not link"), "{verdict:?}");
        let now = host.history.newest_at;
        let steps = investigate(&host.history, &BTreeMap::new(), &[], now).steps;
        let step = steps.iter().find(|step| step.id == StepId::LiveHeap).unwrap();
        assert_eq!(step.answer == Answer::Yes, leaks, "{step:?}");
    }
}

#[test]
fn growth_of_a_managed_heap_is_told_of_its_runtime() {
    for name in ManagedRuntimeName::ALL {
        let mut host = Host::new(managed(name), CgroupVersion::V1, 1000.0);
        let verdict = host.lives(100, 0..150, |age| Holds {
            anon: 20.0 + age,
            ..Holds::default()
        });
        assert_eq!(verdict.class, managed_heap_growth::CLASS, "{verdict:?}");
    }
}
