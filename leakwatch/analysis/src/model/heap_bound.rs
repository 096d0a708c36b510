//! What bounds the heap of a managed runtime, and how such a runtime ends when that is full while the kernel has memory left.

use crate::model::runtime::ManagedRuntime;
use crate::model::runtime::ManagedRuntimeName;
use crate::model::units::Bytes;

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
pub fn of(managed: &ManagedRuntime, limit: Option<Bytes>) -> Option<(Bytes, String)> {
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

/// A process that ended by itself and held less than this part of the bound had another reason. What is resident may lie before the last
/// allocations by a sampling interval.
const LEAST_PART: f64 = 0.75;
/// `-XX:+ExitOnOutOfMemoryError` (`vmError.hpp`, `os::exit(3)`).
const JVM_EXIT: u32 = 3;
/// `SIGABRT`, and what compilers make of a deliberate crash: `SIGILL`, `SIGTRAP`.
const ABORTS: [u32; 3] = [6, 4, 5];

/// Whether a process that once held so much anonymous memory ended as its runtime does when its heap is full. `status` is the wait status
/// of `task_struct.exit_code`. An assertion of a program with a full heap ends alike.
pub fn is_own_end(managed: &ManagedRuntime, limit: Option<Bytes>, most_anonymous: Bytes, status: u32) -> bool {
    let Some((bound, _)) = of(managed, limit) else {
        return false;
    };
    let aborted = ABORTS.contains(&(status & 0x7f));
    let has_form = match managed.name {
        ManagedRuntimeName::Jvm => aborted || status == JVM_EXIT << 8,
        ManagedRuntimeName::Node => aborted,
        // It has no bound.
        ManagedRuntimeName::Python => false,
    };
    has_form && most_anonymous.as_f64() >= bound.as_f64() * LEAST_PART
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_runtime_that_gives_up_is_told_from_one_that_crashes() {
        let managed = |name, most_heap| ManagedRuntime {
            name,
            version: None,
            most_heap: Some(Bytes::from_mib(most_heap)),
            most_heap_percent: None,
        };
        let (jvm, node) = (ManagedRuntimeName::Jvm, ManagedRuntimeName::Node);
        // As Node 20 (`--max-old-space-size=64`, aborts) and a JVM 17 (`-Xmx64m -XX:+ExitOnOutOfMemoryError`, exits with 3) end.
        for (name, held, status, is_own) in [
            (node, 100, 6, true),
            (node, 100, 0x80 | 6, true),
            (node, 100, 9, false),
            (node, 100, 3 << 8, false),
            (node, 30, 6, false),
            (jvm, 70, 3 << 8, true),
            (jvm, 70, 1 << 8, false),
            (jvm, 20, 3 << 8, false),
        ] {
            let found = is_own_end(&managed(name, 64), None, Bytes::from_mib(held), status);
            assert_eq!(found, is_own, "{name:?} {held} {status}");
        }
    }
}
