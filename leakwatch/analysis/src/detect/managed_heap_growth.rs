//! Memory grows in a process whose runtime manages a heap that is not read: which runtime, what bounds it, and what a person runs next. Its
//! objects have no call site in C. See `docs/detectors/managed_heap_growth.md`.

use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::format;
use crate::measure::charge;
use crate::model::heap_bound;
use crate::model::run::RunEnd;
use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::units::Bytes;
use crate::model::verdict::Evidence;
use crate::model::verdict::EvidenceLink;
use crate::model::verdict::VerdictClass;
use crate::stats::robust::count;

/// The class.
pub const CLASS: VerdictClass = VerdictClass::open("managed_heap_growth");

/// Growth over less time may be start-up: until then it is `growing`, as in a program of any other kind.
const LEAST_SECONDS: f64 = 60.0;
/// A trend that is significant at 95 % is wrong once in forty times on the side of growth.
const CHANCE: f64 = 0.025;

/// Looks for growth of a process with such a runtime.
pub fn examine(facts: &Facts<'_>) -> Examination {
    let record = facts.history.main_process().ok_or("no process is known")?;
    let Ok(Runtime::Managed(managed)) = &record.process.runtime else {
        return Err("no runtime with a managed heap is known in the main process".to_owned());
    };
    if !facts.memory.grows() {
        return Err("memory as a whole does not keep growing".to_owned());
    }
    if facts.memory.observed < LEAST_SECONDS {
        return Err(format!("watched for {} only", format::duration(facts.memory.observed)));
    }
    if charge::growing_outside_of_heaps(facts.history).is_some() {
        return Err("what grows is not memory of the process".to_owned());
    }
    Ok(Finding {
        confidence: (1.0 - CHANCE) * facts.memory.observed / (facts.memory.observed + 5.0),
        summary: summary(facts, managed),
        since: facts.memory.since().unwrap_or(facts.history.window_start),
        culprit: None,
        evidence: evidence::memory_growth(facts, |_| String::new())
            .into_iter()
            .chain(own_ends(facts))
            .collect(),
        advice: advice(managed, record.process.key.pid),
        recommended_limit: None,
        would_change_our_mind: vec![
            "memory levels off when the runtime collects, or falls with the load".to_owned(),
            "a library in C is found to keep what it allocates".to_owned(),
        ],
    })
}

/// Earlier runs that ended by the runtime's own error: its heap was full while the kernel had memory left.
fn own_ends(facts: &Facts<'_>) -> Option<Evidence> {
    let ends = |(_, end)| end == RunEnd::OutOfMemory;
    let runs = || {
        facts
            .history
            .past_runs
            .iter()
            .filter(move |run| run.ended.is_some_and(ends))
    };
    let last = runs().next_back()?;
    let (ended, _) = last.ended?;
    let so_many = runs().count();
    Some(Evidence {
        claim: format!(
            "{so_many} earlier run(s) ended as the runtime does when its own heap is full, the last after {}: more memory for the cgroup does not help",
            format::duration(ended.since(last.started_at).as_secs_f64())
        ),
        value: count(so_many),
        unit: "runs",
        weight: None,
        link: Some(EvidenceLink::Events),
    })
}

fn summary(facts: &Facts<'_>, managed: &ManagedRuntime) -> String {
    let rate = format::rate(facts.growth_rate().unwrap_or(0.0));
    let version = managed
        .version
        .as_deref()
        .map(|version| format!(" {version}"))
        .unwrap_or_default();
    let runtime = match managed.name {
        ManagedRuntimeName::Jvm => "a Java virtual machine",
        ManagedRuntimeName::Node => "Node.js",
        ManagedRuntimeName::Python => "Python",
    };
    format!(
        "Memory grows by {rate} in {runtime}{version}{}. Its objects are not read, so which of them grow is not known.{}",
        evidence::until_limit(facts),
        first_limit(managed, facts.limit)
    )
}

/// Which limit is reached first: that of the runtime or that of the cgroup.
fn first_limit(managed: &ManagedRuntime, limit: Option<Bytes>) -> String {
    let unknown = match managed.name {
        ManagedRuntimeName::Jvm => {
            " -Xmx is not set: the runtime's default bounds the heap, which `jcmd PID VM.flags` shows."
        }
        ManagedRuntimeName::Node => {
            " --max-old-space-size is not set: the runtime's default bounds the heap, which `v8.getHeapStatistics().heap_size_limit` shows."
        }
        // It has none.
        ManagedRuntimeName::Python => "",
    };
    match (heap_bound::of(managed, limit), limit) {
        (Some((heap, by)), Some(limit)) if heap >= limit => format!(
            " The heap may grow to {heap} ({by}), past the limit of {limit}: the kernel kills before the runtime runs out of memory."
        ),
        (Some((heap, by)), _) => {
            format!(
                " The heap ends at {heap} ({by}): the runtime's own out-of-memory error comes first if it is the heap that grows."
            )
        }
        (None, _) => unknown.to_owned(),
    }
}

fn advice(managed: &ManagedRuntime, pid: u32) -> Vec<String> {
    let next = match managed.name {
        ManagedRuntimeName::Jvm => [
            format!(
                "`jcmd {pid} GC.class_histogram` twice, some minutes apart, shows which classes grow; it stops the program while it counts."
            ),
            format!("`jcmd {pid} GC.heap_dump FILE` and a heap analyzer show who holds them."),
        ],
        ManagedRuntimeName::Node => [
            "Start it with `--heapsnapshot-near-heap-limit=2`: it writes a snapshot before it runs out of memory."
                .to_owned(),
            "Compare two heap snapshots in the developer tools of a browser (`--inspect` on loopback).".to_owned(),
        ],
        ManagedRuntimeName::Python => [
            format!("`memray attach {pid}`, or `tracemalloc` in the program, shows which lines allocate what stays."),
            "Objects that stay are reachable: caches, globals, closures, or cycles with `__del__`.".to_owned(),
        ],
    };
    next.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_comes_first_is_told() {
        let managed = |name, version: Option<&str>, most_heap, most_heap_percent| ManagedRuntime {
            name,
            version: version.map(str::to_owned),
            most_heap,
            most_heap_percent,
        };
        let (jvm, node, python) = (
            ManagedRuntimeName::Jvm,
            ManagedRuntimeName::Node,
            ManagedRuntimeName::Python,
        );
        let mib = |amount: u64| Some(Bytes(amount << 20));
        let (small, large) = (mib(512), mib(1024));
        let error = "out-of-memory error comes first";
        for (runtime, limit, said) in [
            (managed(jvm, None, small, None), large, error),
            (managed(jvm, None, small, Some(90)), large, "512.0 MiB (-Xmx)"),
            (managed(jvm, None, small, None), None, error),
            (managed(jvm, None, large, None), small, "the kernel kills before"),
            (managed(jvm, None, large, None), large, "the kernel kills before"),
            // As `java -XX:+PrintFlagsFinal` shows it in cgroups with these limits.
            (
                managed(jvm, Some("17.0.15"), None, None),
                large,
                "256.0 MiB (the default for this limit)",
            ),
            (
                managed(jvm, Some("25"), None, None),
                mib(200),
                "100.0 MiB (the default for this limit)",
            ),
            (
                managed(jvm, Some("17.0.15"), None, None),
                mib(300),
                "126.0 MiB (the default for this limit)",
            ),
            (
                managed(jvm, Some("17.0.15"), None, Some(75)),
                large,
                "768.0 MiB (-XX:MaxRAMPercentage=75)",
            ),
            (managed(jvm, Some("17.0.15"), None, None), None, "-Xmx is not set"),
            (managed(jvm, Some("1.8.0_442"), None, None), large, "-Xmx is not set"),
            (managed(jvm, None, None, None), large, "-Xmx is not set"),
            (
                managed(node, None, None, None),
                large,
                "--max-old-space-size is not set",
            ),
            (
                managed(node, None, small, None),
                large,
                "512.0 MiB (--max-old-space-size)",
            ),
        ] {
            let told = first_limit(&runtime, limit);
            assert!(told.contains(said), "{runtime:?} {limit:?}: {told}");
        }
        assert_eq!(first_limit(&managed(python, None, None, None), large), "");
    }
}
