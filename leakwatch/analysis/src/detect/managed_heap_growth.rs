//! Memory grows in a process whose runtime manages a heap that is not read: which runtime, what bounds it, and what a person runs next. Its
//! objects have no call site in C. See `docs/detectors/managed_heap_growth.md`.

use crate::detect::evidence;
use crate::detect::facts::Facts;
use crate::detect::finding::Examination;
use crate::detect::finding::Finding;
use crate::format;
use crate::measure::charge;
use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::runtime::Runtime;
use crate::model::units::Bytes;
use crate::model::verdict::VerdictClass;

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
        evidence: evidence::memory_growth(facts, |_| String::new()).into_iter().collect(),
        advice: advice(managed, record.process.key.pid),
        recommended_limit: None,
        would_change_our_mind: vec![
            "memory levels off when the runtime collects, or falls with the load".to_owned(),
            "a library in C is found to keep what it allocates".to_owned(),
        ],
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
    let option = match managed.name {
        ManagedRuntimeName::Jvm => "-Xmx",
        ManagedRuntimeName::Node => "--max-old-space-size",
        ManagedRuntimeName::Python => return String::new(),
    };
    match (managed.most_heap, limit) {
        (Some(heap), Some(limit)) if heap >= limit => format!(
            " The heap may grow to {} ({option}), past the limit of {}: the kernel kills before the runtime runs out of memory.",
            format::bytes(heap.as_f64()),
            format::bytes(limit.as_f64())
        ),
        (Some(heap), _) => format!(
            " The heap ends at {} ({option}): the runtime's own out-of-memory error comes first if it is the heap that grows.",
            format::bytes(heap.as_f64())
        ),
        (None, _) => format!(" {option} is not on the command line: the runtime's default bounds the heap."),
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
        let managed = |name, most_heap| ManagedRuntime {
            name,
            version: None,
            most_heap,
        };
        let (small, large) = (Some(Bytes(512 << 20)), Some(Bytes(1 << 30)));
        for (name, heap, limit, said) in [
            (ManagedRuntimeName::Jvm, small, large, "out-of-memory error comes first"),
            (ManagedRuntimeName::Jvm, small, None, "out-of-memory error comes first"),
            (ManagedRuntimeName::Jvm, large, small, "the kernel kills before"),
            (ManagedRuntimeName::Jvm, large, large, "the kernel kills before"),
            (
                ManagedRuntimeName::Node,
                None,
                large,
                "--max-old-space-size is not on the command line",
            ),
        ] {
            let told = first_limit(&managed(name, heap), limit);
            assert!(told.contains(said), "{name:?} {heap:?} {limit:?}: {told}");
        }
        assert_eq!(first_limit(&managed(ManagedRuntimeName::Python, None), large), "");
    }
}
