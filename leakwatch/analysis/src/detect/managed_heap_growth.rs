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

/// Bytes that the heap of a JVM may have at least by default where memory allows (`MaxHeapSize` of a 64-bit build: 96 MiB scaled by
/// 1.3), the default of `MaxRAMPercentage`, and that of `MinRAMPercentage`, which counts where memory is small
/// (`Arguments::set_heap_size` in arguments.cpp).
const JVM_LEAST_HEAP: f64 = 124.8 * 1_048_576.0;
/// What a heap is rounded up to.
const JVM_GRAIN: f64 = 2.0 * 1_048_576.0;
const JVM_PERCENT: f64 = 25.0;
const JVM_PERCENT_OF_LITTLE: f64 = 50.0;
/// Since this release a JVM goes by the limit of its cgroup (JDK-8146115).
const JVM_SEES_LIMIT: u32 = 10;

/// The bound of the heap, and what sets it.
fn bound(managed: &ManagedRuntime, limit: Option<Bytes>) -> Option<(Bytes, String)> {
    match (managed.name, managed.most_heap, managed.most_heap_percent) {
        (ManagedRuntimeName::Jvm, Some(heap), _) => Some((heap, "-Xmx".to_owned())),
        (ManagedRuntimeName::Node, Some(heap), _) => Some((heap, "--max-old-space-size".to_owned())),
        (ManagedRuntimeName::Jvm, None, percent) if sees_limit(managed) => {
            let heap = of_memory(limit?.as_f64(), percent.map_or(JVM_PERCENT, f64::from));
            let by = percent.map_or_else(
                || "the default for this limit".to_owned(),
                |percent| format!("-XX:MaxRAMPercentage={percent}"),
            );
            Some((heap, by))
        }
        _ => None,
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a part of a limit"
)]
fn of_memory(memory: f64, percent: f64) -> Bytes {
    let of_little = memory * JVM_PERCENT_OF_LITTLE / 100.0;
    let heap = if of_little < JVM_LEAST_HEAP {
        of_little
    } else {
        (memory * percent / 100.0).max(JVM_LEAST_HEAP)
    };
    Bytes(((heap / JVM_GRAIN).ceil() * JVM_GRAIN) as u64)
}

fn sees_limit(managed: &ManagedRuntime) -> bool {
    let version = managed.version.as_deref().and_then(|version| version.split('.').next());
    version.is_some_and(|major| major.parse().is_ok_and(|major: u32| major >= JVM_SEES_LIMIT))
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
    match (bound(managed, limit), limit) {
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
