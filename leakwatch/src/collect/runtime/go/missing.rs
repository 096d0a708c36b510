//! Why a process could not be read, in the words of its user, and what they can do about it.

use crate::collect::endpoint::causes;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_goproc::BinaryError;
use leakwatch_goproc::attach::AttachError;
use leakwatch_goproc::attach::NoGc;
use leakwatch_goproc::attach::NoGoroutines;
use leakwatch_goproc::attach::NoHeap;
use leakwatch_goproc::attach::NoLook;
use leakwatch_goproc::gc::GcError;
use leakwatch_goproc::goroutines::GoroutinesError;
use leakwatch_goproc::heap::HeapError;
use leakwatch_goproc::locate::LocateError;
use leakwatch_goproc::memory::MemoryError;
use leakwatch_goproc::os::OpenError;
use leakwatch_goproc::spans::SpansError;
use leakwatch_goproc::wakers::WakersError;
use std::error::Error;

/// The process cannot be read at all.
pub(super) fn attach(error: &AttachError) -> Missing {
    let reason = match error {
        AttachError::Open(OpenError::Gone { .. }) => MissingReason::Gone,
        AttachError::Open(OpenError::Denied { .. }) => {
            return told(MissingReason::NotPermitted, error).with_fix("run the daemon as root or with CAP_SYS_PTRACE");
        }
        AttachError::Open(OpenError::Io { .. }) => MissingReason::Failed,
        AttachError::Binary { source, .. } => match source {
            BinaryError::NoEntry => MissingReason::NotYet,
            BinaryError::TableTooLarge { .. } => MissingReason::TooLarge,
            BinaryError::Image(_) | BinaryError::NotGo => MissingReason::Unsupported,
            BinaryError::BuildInfo(_) | BinaryError::Pclntab(_) => MissingReason::Malformed,
            BinaryError::Locate(source) => locate(source),
            BinaryError::Table(source) => memory(source),
        },
    };
    told(reason, error)
}

/// It has no heap profile.
pub(super) fn heap(error: &NoHeap) -> Missing {
    let reason = match error {
        NoHeap::NotLinked => {
            return told(MissingReason::Unsupported, error).with_fix(
                "add `func init() { runtime.MemProfile(nil, false) }` to the program, or `import _ \"net/http/pprof\"`",
            );
        }
        NoHeap::RateZero { .. } => {
            return told(MissingReason::Unsupported, error)
                .with_fix("do not set runtime.MemProfileRate to zero in the program");
        }
        NoHeap::Locate(source) => locate(source),
        NoHeap::Heap(HeapError::Gone) => MissingReason::Gone,
        NoHeap::Heap(HeapError::Unfinished { .. }) => MissingReason::Timeout,
        NoHeap::Heap(HeapError::UnknownLayout { .. }) => MissingReason::Unsupported,
        NoHeap::Heap(HeapError::Variable { source, .. }) => memory(source),
        NoHeap::Heap(_) => MissingReason::Malformed,
    };
    told(reason, error)
}

/// Its goroutines were not found.
pub(super) fn no_goroutines(error: &NoGoroutines) -> Missing {
    let reason = match error {
        NoGoroutines::Locate(source) => locate(source),
        NoGoroutines::Layout { .. } => MissingReason::Unsupported,
        NoGoroutines::Memory(source) => memory(source),
    };
    told(reason, error)
}

/// Its goroutines were found, but not read.
pub(super) fn goroutines(error: &GoroutinesError) -> Missing {
    let reason = match error {
        GoroutinesError::Memory(source) => memory(source),
        GoroutinesError::TooMany { .. } => MissingReason::TooLarge,
        GoroutinesError::NotAList { .. } => MissingReason::Malformed,
        GoroutinesError::ListMoves => MissingReason::Failed,
    };
    told(reason, error)
}

/// It cannot be told which of them nobody can wake.
pub(super) fn wakers(error: &NoLook) -> Missing {
    let reason = match error {
        NoLook::UnknownVersion { .. } | NoLook::NoReasons | NoLook::SeveralModules => MissingReason::Unsupported,
        NoLook::Goroutines(source) => return no_goroutines(source),
        NoLook::Locate(source) => locate(source),
        NoLook::Memory(source)
        | NoLook::Look(WakersError::Memory(source) | WakersError::Spans(SpansError::Memory(source))) => memory(source),
        NoLook::Look(WakersError::Goroutines(source)) => return goroutines(source),
        NoLook::Look(WakersError::Spans(SpansError::NotAList { .. })) => MissingReason::Malformed,
        NoLook::Look(WakersError::Spans(SpansError::TooLarge { .. }) | WakersError::TooMuch { .. }) => {
            MissingReason::TooLarge
        }
    };
    told(reason, error)
}

/// The numbers of its runtime were not found or not read.
pub(super) fn gc(error: &NoGc) -> Missing {
    let reason = match error {
        NoGc::UnknownVersion { .. } => MissingReason::Unsupported,
        NoGc::Locate(source) => locate(source),
        NoGc::Gc(GcError::Gone) => MissingReason::Gone,
        NoGc::Gc(GcError::Variable { source, .. }) => memory(source),
        NoGc::Gc(GcError::Contradiction { .. }) => MissingReason::Malformed,
    };
    told(reason, error)
}

fn locate(error: &LocateError) -> MissingReason {
    match error {
        LocateError::Memory(source) => memory(source),
        LocateError::NoCandidate { .. } | LocateError::Ambiguous { .. } => MissingReason::Failed,
    }
}

fn memory(error: &MemoryError) -> MissingReason {
    match error {
        MemoryError::Gone => MissingReason::Gone,
        MemoryError::TimedOut => MissingReason::Timeout,
        _ => MissingReason::Failed,
    }
}

fn told(reason: MissingReason, error: &dyn Error) -> Missing {
    Missing::new(reason, causes(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_can_change_comes_with_advice() {
        let denied = attach(&AttachError::Open(OpenError::Denied { pid: 7 }));
        assert_eq!(denied.reason, MissingReason::NotPermitted);
        assert!(denied.fix.is_some_and(|fix| fix.contains("CAP_SYS_PTRACE")));
        let unlinked = heap(&NoHeap::NotLinked);
        assert_eq!(unlinked.reason, MissingReason::Unsupported);
        assert!(unlinked.fix.is_some_and(|fix| fix.contains("runtime.MemProfile")));
        let off = heap(&NoHeap::RateZero { rate: 0 });
        assert!(off.fix.is_some_and(|fix| fix.contains("MemProfileRate")));
    }

    #[test]
    fn the_end_of_a_process_is_told_apart_and_causes_are_named() {
        for error in [
            NoHeap::Heap(HeapError::Gone),
            NoHeap::Locate(LocateError::Memory(MemoryError::Gone)),
        ] {
            assert_eq!(heap(&error).reason, MissingReason::Gone, "{error:?}");
        }
        let damaged = attach(&AttachError::Binary {
            pid: 7,
            source: BinaryError::Table(MemoryError::Unmapped { address: 16 }),
        });
        assert_eq!(damaged.reason, MissingReason::Failed);
        assert_eq!(
            damaged.detail,
            "process 7: read the function table: nothing readable is mapped at 0x10"
        );
    }
}
