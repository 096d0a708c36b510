//! The part of the charge that a Go runtime holds, by its own count.

use crate::history::RuntimePoint;
use crate::history::TargetHistory;
use crate::history::window::is_go;
use crate::ledger::line::Absent;
use crate::ledger::line::LedgerLine;
use crate::ledger::line::LineKind;
use crate::ledger::line::LineSource;
use crate::ledger::line::PartOf;
use crate::model::metric::Metric;
use crate::model::profile::ProfileType;
use crate::model::reading::Missing;
use crate::model::reading::MissingReason;
use crate::model::runtime::GoRuntimeStats;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

/// A part, how it follows from the runtime's numbers, and of which fields.
type Part = (LineKind, fn(&GoRuntimeStats) -> Bytes, &'static str);

const PARTS: [Part; 5] = [
    (
        LineKind::GoLiveHeap,
        |stats| stats.heap_marked,
        "gcController.heapMarked",
    ),
    (
        LineKind::GoGarbage,
        |stats| stats.heap_in_use.saturating_sub(stats.heap_marked),
        "gcController.heapInUse less heapMarked: garbage, and what was allocated since the last collection",
    ),
    (
        LineKind::GoIdleHeap,
        |stats| stats.heap_idle,
        "gcController.heapFree: not returned to the system",
    ),
    (
        LineKind::GoStacks,
        |stats| stats.stacks,
        "memstats.stacks_sys: stacks of goroutines",
    ),
    (
        LineKind::GoMetadata,
        |stats| stats.metadata,
        "memstats: what the runtime needs for itself",
    ),
];

/// The lines at an instant. The runtime of one process is followed; the others of the cgroup are not in them.
pub(super) fn lines(history: &TargetHistory, at: Timestamp) -> Vec<LedgerLine> {
    let point = history.runtimes.at(at);
    let counted = point.and_then(|point| Some((point, point.stats.go()?)));
    PARTS
        .into_iter()
        .map(|(kind, size, field)| {
            let (bytes, source) = match counted {
                Some((point, stats)) if kind != LineKind::GoLiveHeap || stats.collections > 0 => {
                    (Ok(size(stats)), source(point, field))
                }
                _ if kind == LineKind::GoLiveHeap => by_profile(history, at),
                _ => (Err(why(history, at)), LineSource::Named(field)),
            };
            LedgerLine {
                kind,
                part_of: PartOf::Line(LineKind::Anonymous),
                bytes,
                source,
            }
        })
        .collect()
}

fn source(point: &RuntimePoint, field: &'static str) -> LineSource {
    LineSource::Runtime {
        process: point.process,
        at: point.at,
        field,
    }
}

/// Live heap by the profile taken at or before the instant.
fn by_profile(history: &TargetHistory, at: Timestamp) -> (Result<Bytes, Absent>, LineSource) {
    let newest = Metric::LiveHeap
        .values(history, Timestamp::from_unix_nanos(0), at)
        .pop();
    if let Some((at, Some(bytes))) = newest {
        return (Ok(Bytes(bytes)), LineSource::HeapProfile { at });
    }
    let missing = history.profile_missing.get(&ProfileType::Heap).cloned();
    let absent = missing.map_or_else(|| why(history, at), Absent::Missing);
    (Err(absent), LineSource::Named("heap profile"))
}

fn why(history: &TargetHistory, at: Timestamp) -> Absent {
    if is_go(history, at) == Some(false) {
        return Absent::NotApplicable("the process with most memory is no Go program");
    }
    let missing = history.runtime_missing.clone();
    Absent::Missing(missing.unwrap_or_else(|| {
        Missing::new(MissingReason::NotYet, "the memory of a Go runtime was not read by then")
            .with_fix("leave go.outside switched on; leakwatch doctor says whether processes can be read")
    }))
}
