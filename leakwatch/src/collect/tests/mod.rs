//! Rounds over fake trees: what the real kernel cannot be made to show on demand. Real cgroups are in `tests/collect.rs`.

mod fake;
mod scope;

use super::process::Budget;
use super::process::Processes;
use super::process::Refresh;
use crate::identity::cgroup::Version;
use fake::Fake;
use fake::Machine;
use fake::SHOP;
use fake::Seen;
use fake::at;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;

const MANY: u64 = 1000;
const V2: [(&str, &str); 6] = [
    ("memory.current", "5000"),
    ("memory.max", "max"),
    (
        "memory.stat",
        "anon 10\nfile 20\nkernel 30\nshmem 5\ninactive_file 7\nactive_file 8\nslab_reclaimable 3\nslab 9",
    ),
    ("memory.events.local", "low 0\nhigh 1\nmax 3\noom 2\noom_kill 1"),
    ("memory.swap.current", "11"),
    ("cgroup.procs", "42"),
];

fn v2() -> Machine {
    let machine = Machine::new(Version::V2);
    machine.process(&SHOP);
    machine
}

fn limit(mib: u64) -> Limit {
    Limit::Bytes(Bytes::from_mib(mib))
}

#[test]
fn a_v2_cgroup_is_read_in_full() {
    let machine = v2();
    machine.cgroup("a", &[("memory.max", "67108864"), ("cgroup.procs", "")]);
    machine.cgroup("a/b", &[("memory.max", "134217728"), ("cgroup.procs", "")]);
    machine.cgroup("a/b/c", &V2);
    let seen = Seen::of(machine.collector(None, MANY).round(at(0)));
    let [target] = seen.targets.as_slice() else {
        panic!("one target, not {:?}", seen.targets);
    };
    assert_eq!(target.cgroup.path, "/a/b/c");
    assert_eq!(
        (target.kind, target.name.as_str(), target.service.as_str()),
        (TargetKind::Cgroup, "c", "shop")
    );
    assert!(target.started_at < at(0));
    let sample = seen.sample();
    assert_eq!(sample.target, target.id());
    let memory = sample.cgroup.as_ref().expect("memory");
    assert_eq!((memory.charge, memory.limit), (Bytes(5000), limit(64)));
    let known: Vec<_> = memory.counters.iter().collect();
    let expected = [
        (Counter::Anon, 10),
        (Counter::File, 20),
        (Counter::Kernel, 30),
        (Counter::Shmem, 5),
        (Counter::InactiveFile, 7),
        (Counter::ActiveFile, 8),
        (Counter::SlabReclaimable, 3),
        (Counter::Slab, 9),
        (Counter::LocalLow, 0),
        (Counter::LocalHigh, 1),
        (Counter::LocalMax, 3),
        (Counter::LocalOom, 2),
        (Counter::LocalOomKill, 1),
        (Counter::Swap, 11),
        (Counter::LimitLevels, 2),
    ];
    assert_eq!(known, expected);
    assert_eq!((memory.oom_kills(), memory.limit_hits()), (Ok(1), Ok(4)));
    assert_eq!(memory.unreclaimable(), Ok(Bytes(5000 - 7 - 8 - 3)));
    let [process] = sample.new_processes.as_slice() else {
        panic!("one process");
    };
    assert_eq!(
        (process.comm.as_str(), process.exe.clone()),
        ("shop", Ok(machine.exe(&SHOP)))
    );
    assert_eq!(process.runtime, Ok(Runtime::Native));
    let memory = sample.processes[0].memory.clone().expect("memory");
    assert_eq!(
        [memory.rss, memory.anon, memory.file, memory.shmem].map(|bytes| bytes.0 / 1024),
        [1003, 1000, 2, 1]
    );
    assert_eq!(seen.losses, []);
}

#[test]
fn a_v1_cgroup_is_read_in_full() {
    let machine = Machine::new(Version::V1);
    machine.process(&SHOP);
    let v1 = [
        ("memory.usage_in_bytes", "5000"),
        ("memory.limit_in_bytes", "134217728"),
        (
            "memory.stat",
            "cache 1\nrss 2\nhierarchical_memory_limit 100663296\ntotal_cache 20\ntotal_rss 10\ntotal_shmem 5\n\
             total_inactive_file 7\ntotal_active_file 8\ntotal_swap 11",
        ),
        ("memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 1"),
        ("memory.failcnt", "4"),
        ("memory.kmem.usage_in_bytes", "30"),
        ("cgroup.procs", "42"),
    ];
    machine.cgroup("a", &v1);
    let mut collector = machine.collector(None, MANY);
    let memory = |seen: &Seen| seen.sample().cgroup.clone().expect("memory");
    let first = memory(&Seen::of(collector.round(at(0))));
    // the tightest is one of an ancestor that cannot be seen from here
    assert_eq!(first.limit, limit(96));
    assert_eq!((first.charge, first.swap()), (Bytes(5000), Ok(Bytes(11))));
    assert_eq!((first.anon(), first.kernel()), (Ok(Bytes(10)), Ok(Bytes(30))));
    assert_eq!(first.counters.get(Counter::File), Some(20));
    assert_eq!((first.oom_kills(), first.limit_hits()), (Ok(1), Ok(4)));
    // v1 does not tell what of the kernel's memory can be given up.
    assert_eq!(first.unreclaimable(), Ok(Bytes(5000 - 7 - 8)));

    // a limit at or above the machine's 1 GiB is none; a limit that changes is followed at once
    let raised = "hierarchical_memory_limit 9223372036854771712\ntotal_cache 0\ntotal_rss 0\ntotal_inactive_file 0\ntotal_active_file 0";
    machine.cgroup("a", &[("memory.limit_in_bytes", "1073741824"), ("memory.stat", raised)]);
    let second = memory(&Seen::of(collector.round(at(5))));
    assert_eq!(second.limit, Limit::Max);
    assert_eq!(
        second.swap().expect_err("no swap accounting").reason,
        MissingReason::Unsupported
    );
}

#[test]
fn only_the_subtree_is_watched_but_its_ancestors_limit_it() {
    let machine = v2();
    machine.cgroup("pods", &[("memory.max", "67108864"), ("cgroup.procs", "42")]);
    machine.cgroup("pods/a", &V2);
    machine.cgroup("pods-other", &V2);
    let mut collector = machine.collector(Some("/pods/a"), MANY);
    let seen = Seen::of(collector.round(at(0)));
    assert_eq!(seen.targets.len(), 1);
    assert_eq!(seen.targets[0].cgroup.path, "/pods/a");
    assert_eq!(seen.sample().cgroup.as_ref().expect("memory").limit, limit(64));
}

#[test]
fn a_quiet_cgroup_is_not_reread_until_it_moves_or_a_minute_has_passed() {
    let machine = v2();
    machine.cgroup("a", &V2);
    let mut collector = machine.collector(None, MANY);
    let mut facts = |seconds: u64| {
        let seen = Seen::of(collector.round(at(seconds)));
        let sample = seen.sample().clone();
        let anon = sample.cgroup.expect("memory").anon().expect("a stat");
        let rss = sample.processes[0].memory.clone().expect("memory").anon.0 / 1024;
        (anon.0, rss)
    };
    assert_eq!(facts(0), (10, 1000));
    // due for every target after 55 s, and then after as much again
    assert_eq!(facts(55), (10, 1000));
    let stat = "anon 99\nfile 0\ninactive_file 0\nactive_file 0";
    machine.cgroup("a", &[("memory.stat", stat)]);
    machine.run(&Fake { rss_kib: 2000, ..SHOP });
    assert_eq!(facts(60), (10, 1000));
    machine.cgroup("a", &[("memory.current", "5001")]);
    assert_eq!(facts(65), (99, 2000));
    machine.run(&Fake { rss_kib: 3000, ..SHOP });
    assert_eq!(facts(105), (99, 2000));
    assert_eq!(facts(110), (99, 3000));
}

#[test]
fn what_cannot_be_read_is_missing_and_the_round_goes_on() {
    let machine = v2();
    machine.cgroup("good", &V2);
    machine.cgroup("no-controller", &[("cgroup.procs", "42")]);
    machine.cgroup("malformed", &V2);
    machine.cgroup("malformed", &[("memory.current", "a lot")]);
    machine.cgroup("old", &V2);
    machine.cgroup("old", &[("memory.stat", "anon one"), ("memory.events.local", "oom 1")]);
    machine.cgroup("odd-list", &V2);
    machine.cgroup("odd-list", &[("cgroup.procs", "forty-two")]);
    let seen = Seen::of(machine.collector(None, MANY).round(at(0)));
    let path = |id: &_| {
        let target = seen.targets.iter().find(|target| target.id() == *id).expect("a target");
        target.cgroup.path.as_str()
    };
    let mut found: Vec<_> = seen
        .samples
        .iter()
        .map(|sample| {
            let charge = sample
                .cgroup
                .as_ref()
                .map(|memory| memory.charge.0)
                .map_err(|missing| missing.reason);
            let stat = sample
                .cgroup
                .clone()
                .and_then(|memory| memory.anon())
                .map_err(|missing| missing.reason);
            let events = sample
                .cgroup
                .clone()
                .and_then(|memory| memory.limit_hits())
                .map_err(|missing| missing.reason);
            (path(&sample.target), charge, stat.err(), events.err())
        })
        .collect();
    found.sort_by_key(|(path, ..)| *path);
    let malformed = Some(MissingReason::Malformed);
    let unsupported = Some(MissingReason::Unsupported);
    assert_eq!(
        found,
        [
            ("/good", Ok(5000), None, None),
            ("/malformed", Err(MissingReason::Malformed), malformed, malformed),
            (
                "/no-controller",
                Err(MissingReason::Unsupported),
                unsupported,
                unsupported
            ),
            ("/old", Ok(5000), malformed, unsupported),
        ]
    );
    let missing = seen
        .samples
        .iter()
        .find_map(|sample| sample.cgroup.as_ref().err())
        .expect("a missing value");
    assert!(missing.detail.contains("cgroup/"), "the path is named: {missing:?}");
}

#[test]
fn a_cgroup_that_is_made_again_is_another_target() {
    let machine = v2();
    machine.cgroup("a", &V2);
    let mut collector = machine.collector(None, MANY);
    let first = Seen::of(collector.round(at(0))).targets.remove(0);
    // The new directory exists before the old one goes, so that its inode is another for certain.
    machine.cgroup("fresh", &V2);
    machine.remove_cgroup("a");
    std::fs::rename(machine.path("cgroup/fresh"), machine.path("cgroup/a")).expect("a rename");
    let seen = Seen::of(collector.round(at(5)));
    assert_eq!(seen.gone, [first.id()]);
    assert_eq!(seen.targets[0].cgroup.path, "/a");
    assert_ne!(seen.targets[0].id(), first.id());
    assert_eq!(
        seen.sample().new_processes.len(),
        1,
        "processes are announced to their new target"
    );
    machine.remove_cgroup("a");
    let seen = Seen::of(collector.round(at(10)));
    assert_eq!((seen.gone.len(), seen.samples.len()), (1, 0));
}

#[test]
fn a_target_stays_one_when_its_last_process_has_left() {
    let machine = v2();
    machine.cgroup("a", &V2);
    let mut collector = machine.collector(None, MANY);
    collector.round(at(0));
    machine.cgroup("a", &[("cgroup.procs", ""), ("memory.current", "0")]);
    let seen = Seen::of(collector.round(at(5)));
    assert_eq!((seen.gone.len(), seen.targets.len()), (0, 0));
    assert_eq!(seen.sample().processes, []);

    // a process that is moved into a cgroup brings no charge along
    machine.cgroup("a", &[("cgroup.procs", "42")]);
    assert_eq!(Seen::of(collector.round(at(6))).sample().processes.len(), 1);
}

/// Pid and start time of processes, and the program of those announced.
type Sampled = Vec<(u32, u64)>;
type Announced = Vec<(u32, u64, String)>;

fn processes(seen: &Seen) -> (Sampled, Announced) {
    let sample = seen.sample();
    let pair = |key: ProcessKey| (key.pid, key.start_ticks);
    (
        sample.processes.iter().map(|process| pair(process.key)).collect(),
        sample
            .new_processes
            .iter()
            .map(|process| (process.key.pid, process.key.start_ticks, process.comm.clone()))
            .collect(),
    )
}

#[test]
fn a_reused_pid_is_another_process_and_an_exec_is_the_same() {
    // once with kept descriptors, once without any
    for descriptors in [MANY, 0] {
        let machine = v2();
        machine.cgroup("a", &V2);
        let mut collector = machine.collector(None, descriptors);
        let first = Seen::of(collector.round(at(0)));
        assert_eq!(processes(&first), (vec![(42, 1000)], vec![(42, 1000, "shop".into())]));
        let second = Seen::of(collector.round(at(1)));
        assert_eq!(processes(&second), (vec![(42, 1000)], vec![]));

        machine.process(&Fake {
            start_ticks: 2000,
            ..SHOP
        });
        machine.cgroup("a", &[("memory.current", "5001")]);
        let reused = Seen::of(collector.round(at(2)));
        assert_eq!(processes(&reused), (vec![(42, 2000)], vec![(42, 2000, "shop".into())]));
        assert_eq!(reused.targets.len(), 0, "the service is the same");

        machine.run(&Fake {
            start_ticks: 2000,
            name: "cafe",
            exe: "/app/cafe",
            ..SHOP
        });
        machine.cgroup("a", &[("memory.current", "5002")]);
        let executed = Seen::of(collector.round(at(3)));
        assert_eq!(
            processes(&executed),
            (vec![(42, 2000)], vec![(42, 2000, "cafe".into())])
        );
        assert_eq!(executed.targets[0].service, "cafe");

        // the same name, another file: noticed at the next full refresh
        machine.run(&Fake {
            start_ticks: 2000,
            name: "cafe",
            exe: "/app/bistro",
            ..SHOP
        });
        let executed = Seen::of(collector.round(at(100)));
        assert_eq!(executed.targets[0].service, "bistro");

        machine.exit(42);
        machine.cgroup("a", &[("memory.current", "5003")]);
        assert_eq!(processes(&Seen::of(collector.round(at(101)))), (vec![], vec![]));
    }
}

#[test]
fn kernel_threads_are_left_out_and_zombies_have_no_memory() {
    let machine = v2();
    machine.cgroup("", &[("cgroup.procs", "2")]);
    machine.cgroup("a", &V2);
    machine.cgroup("a", &[("cgroup.procs", "42\n43")]);
    machine.process(&Fake {
        pid: 2,
        name: "kthreadd",
        ..SHOP
    });
    let stat = format!("2 (kthreadd) S 0 0 0 0 -1 {} {}\n", 0x0020_0040, ["0"; 42].join(" "));
    machine.write("proc/2/stat", &stat);
    machine.process(&Fake {
        pid: 43,
        name: "dead",
        ..SHOP
    });
    machine.write("proc/43/status", "Name:\tdead\nState:\tZ (zombie)\n");
    let seen = Seen::of(machine.collector(None, MANY).round(at(0)));
    assert_eq!(seen.targets.len(), 1, "the root cgroup has kernel threads only");
    let zombie = seen.sample().processes[1].memory.clone().expect_err("no memory");
    assert_eq!(zombie.reason, MissingReason::Gone);
}

#[test]
fn without_descriptors_every_number_is_the_same() {
    let machine = v2();
    for cgroup in ["a", "a/b", "c"] {
        machine.cgroup(cgroup, &V2);
    }
    let (mut kept, mut reopened) = (machine.collector(None, MANY), machine.collector(None, 0));
    for (second, charge) in [(0, "1"), (5, "1"), (10, "2"), (60, "2")] {
        machine.cgroup("a", &[("memory.current", charge)]);
        let samples = |inputs| {
            let mut samples = Seen::of(inputs).samples;
            samples.sort_by(|one, other| one.target.cmp(&other.target));
            samples
        };
        let (one, other) = (samples(kept.round(at(second))), samples(reopened.round(at(second))));
        assert_eq!(one.len(), 3);
        assert_eq!(one, other);
    }
}

#[test]
fn a_storm_of_processes_is_identified_bit_by_bit_and_counted() {
    let machine = Machine::new(Version::V2);
    let pids: Vec<u32> = (100..110).collect();
    for pid in &pids {
        machine.process(&Fake { pid: *pid, ..SHOP });
    }
    let mut collector = machine.collector(None, MANY);
    let mut table = Processes::default();
    let mut identified = Vec::new();
    for round in 0..3 {
        let mut budget = Budget {
            tracked: 8,
            lookups: 3,
            reads: 1,
            postponed: 0,
            untracked: 0,
            unreadable: 0,
        };
        table.update(
            &pids,
            Refresh::Nothing,
            &mut budget,
            &mut collector.processes,
            &mut collector.reader,
        );
        let announced = table.announcements();
        if round == 0 {
            assert_eq!(announced.len(), 8, "all are announced at once, known or not");
        }
        identified.push(announced.iter().filter(|process| process.exe.is_ok()).count());
        assert_eq!((table.samples().len(), budget.untracked), (8, 2));
        assert_eq!(budget.postponed, [5, 2, 0][round]);
    }
    assert_eq!(identified, [3, 3, 2]);
}
