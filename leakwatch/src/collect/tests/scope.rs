//! Who has the limit that memory runs into, and what is not watched at all.

use super::*;
use crate::config::exclude::Exclude;
use leakwatch_analysis::model::sample::LimitSource;
use leakwatch_analysis::model::target::Target;

/// Whose limit it is, what others below it hold, and the machine's memory where there is none.
#[test]
fn memory_is_measured_against_whoever_has_the_limit() {
    const STAT: &str =
        "anon 0\nfile 0\nkernel 0\nshmem 0\ninactive_file 1000\nactive_file 0\nslab_reclaimable 0\nslab 0";
    let machine = v2();
    let known = std::fs::read_to_string(machine.path("proc/meminfo")).expect("a file");
    machine.write("proc/meminfo", &format!("{known}MemAvailable: 4000 kB\n"));
    let group = |path: &str, charge: &str, limit: &str, processes: &str| {
        let files = [
            ("memory.current", charge),
            ("memory.max", limit),
            ("memory.stat", STAT),
            ("cgroup.procs", processes),
        ];
        machine.cgroup(path, &files);
    };
    group("pods", "90000", "100000", "");
    group("pods/one", "30000", "max", "42");
    for (own, levels, ceiling) in [
        ("max", 1, 100_000 - (89_000 - 29_000)),
        ("200000", 1, 40_000),
        ("50000", 0, 50_000),
    ] {
        group("pods/one", "30000", own, "42");
        let seen = Seen::of(machine.collector(None, MANY).round(at(0)));
        let memory = seen.sample().cgroup.as_ref().expect("memory");
        assert_eq!(memory.counters.get(Counter::LimitLevels), Some(levels), "{own}");
        assert_eq!(memory.ceiling(), Some(Bytes(ceiling)), "{own}");
    }
    group("pods", "90000", "max", "");
    group("pods/one", "30000", "max", "42");
    let seen = Seen::of(machine.collector(None, MANY).round(at(0)));
    let memory = seen.sample().cgroup.as_ref().expect("memory");
    assert_eq!(memory.limit_source(), Some(LimitSource::Node));
    assert_eq!(memory.ceiling(), Some(Bytes(29_000 + 4000 * 1024)));
}

fn exclude(rules: &[&str]) -> Exclude {
    let rules: Vec<String> = rules.iter().map(|rule| (*rule).to_owned()).collect();
    Exclude::parse(&rules).expect("rules")
}

/// By path, with what is below, or by a label; and once the rule is gone it is watched again, with all of its processes.
#[test]
fn what_is_excluded_is_gone_until_it_is_not() {
    for rule in ["/a", "/a/*", "/*/c", "service=sh*", "name=c"] {
        let machine = v2();
        machine.cgroup("a", &[("memory.max", "67108864"), ("cgroup.procs", "")]);
        machine.cgroup("a/c", &V2);
        let mut collector = machine.collector(None, MANY);
        let seen = Seen::of(collector.round(at(0)));
        assert_eq!(seen.targets.len(), 1, "{rule}");
        assert_eq!(seen.sample().new_processes.len(), 1);
        let id = seen.targets[0].id();

        collector.exclude(&exclude(&[rule]));
        let seen = Seen::of(collector.round(at(1)));
        assert_eq!(
            (seen.gone.as_slice(), seen.samples.len()),
            (&[id.clone()][..], 0),
            "{rule}"
        );
        let seen = Seen::of(collector.round(at(2)));
        assert!(
            seen.targets.is_empty() && seen.samples.is_empty() && seen.gone.is_empty(),
            "{rule}"
        );
        assert!(collector.round_of(&[id.clone()].into(), at(3)).is_empty(), "{rule}");

        collector.exclude(&exclude(&["/b", "service=other"]));
        let seen = Seen::of(collector.round(at(4)));
        assert_eq!(seen.targets.iter().map(Target::id).collect::<Vec<_>>(), [id], "{rule}");
        assert_eq!(seen.sample().new_processes.len(), 1, "{rule}");
        let memory = seen.sample().cgroup.as_ref().expect("memory");
        assert_eq!(memory.limit, limit(64), "the ancestor's: {rule}");
    }
}
