//! The part of the charge that a Go runtime holds, by its own count.

use crate::dto::instant::Instant;
use crate::dto::ledger::LedgerLineBody;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use leakwatch_analysis::history::RuntimePoint;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::history::window::is_go;
use leakwatch_analysis::model::metric::Metric;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::runtime::GoRuntimeStats;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

/// A line, how it follows from the numbers, and of which fields of the runtime.
type Line = (&'static str, fn(&GoRuntimeStats) -> Bytes, &'static str);

const LINES: [Line; 5] = [
    ("go_live_heap", |stats| stats.heap_marked, "gcController.heapMarked"),
    (
        "go_garbage",
        |stats| stats.heap_in_use.saturating_sub(stats.heap_marked),
        "gcController.heapInUse less heapMarked: garbage, and what was allocated since the last collection",
    ),
    (
        "go_idle_heap",
        |stats| stats.heap_idle,
        "gcController.heapFree: not returned to the system",
    ),
    (
        "go_stacks",
        |stats| stats.stacks,
        "memstats.stacks_sys: stacks of goroutines",
    ),
    (
        "go_metadata",
        |stats| stats.metadata,
        "memstats: what the runtime needs for itself",
    ),
];

/// The lines at an instant. The runtime of one process is followed; the others of the cgroup are not in them.
pub(super) fn lines(history: &TargetHistory, at: Timestamp) -> Vec<LedgerLineBody> {
    let point = history.runtimes.at(at);
    let stats = point.and_then(|point| Some((point, point.stats.go()?)));
    LINES
        .iter()
        .map(|line| match stats {
            Some((point, stats)) if line.0 != "go_live_heap" || stats.collections > 0 => counted(line, point, stats),
            _ if line.0 == "go_live_heap" => by_profile(history, at),
            _ => unknown(line, history, at),
        })
        .collect()
}

fn counted((name, bytes, source): &Line, point: &RuntimePoint, stats: &GoRuntimeStats) -> LedgerLineBody {
    LedgerLineBody {
        name: (*name).to_owned(),
        part_of: Some("anonymous".to_owned()),
        bytes: Some(bytes(stats).0),
        source: format!(
            "runtime of process {} at {}: {source}",
            point.process.pid,
            Instant(point.at)
        ),
        missing: MissingMap::default(),
    }
}

/// Live heap by the profile taken at or before the instant.
fn by_profile(history: &TargetHistory, at: Timestamp) -> LedgerLineBody {
    let newest = Metric::LiveHeap
        .values(history, Timestamp::from_unix_nanos(0), at)
        .pop();
    let mut missing = MissingMap::default();
    if newest.is_none() {
        let reason = history.profile_missing.get(&ProfileType::Heap).map(MissingBody::from);
        missing.note("bytes", reason.unwrap_or_else(|| why(history, at)));
    }
    LedgerLineBody {
        name: "go_live_heap".to_owned(),
        part_of: Some("anonymous".to_owned()),
        bytes: newest.and_then(|(_, bytes)| bytes),
        source: newest.map_or_else(
            || "heap profile".to_owned(),
            |(at, _)| {
                format!(
                    "heap profile of {}, objects live after the last garbage collection",
                    Instant(at)
                )
            },
        ),
        missing,
    }
}

fn unknown((name, _, source): &Line, history: &TargetHistory, at: Timestamp) -> LedgerLineBody {
    let mut missing = MissingMap::default();
    missing.note("bytes", why(history, at));
    LedgerLineBody {
        name: (*name).to_owned(),
        part_of: Some("anonymous".to_owned()),
        bytes: None,
        source: (*source).to_owned(),
        missing,
    }
}

fn why(history: &TargetHistory, at: Timestamp) -> MissingBody {
    if is_go(history, at) == Some(false) {
        return MissingBody {
            reason: Reason::NotApplicable,
            detail: "the process with most memory is no Go program".to_owned(),
            fix: None,
        };
    }
    history.runtime_missing.as_ref().map_or_else(
        || MissingBody {
            reason: Reason::NotYet,
            detail: "the memory of a Go runtime was not read by then".to_owned(),
            fix: Some("leave go.outside switched on; leakwatch doctor says whether processes can be read".to_owned()),
        },
        MissingBody::from,
    )
}
