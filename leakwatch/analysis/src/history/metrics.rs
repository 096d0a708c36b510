//! The kept values of a [`Metric`].

use crate::history::points::MemoryPoint;
use crate::history::target_history::TargetHistory;
use crate::model::metric::Metric;
use crate::model::profile::ProfileType;
use crate::model::runtime::GoRuntimeStats;
use crate::model::sample::Limit;
use crate::model::units::Timestamp;

impl Metric {
    /// The kept values between two instants, oldest first; `None` where a sample was taken but the value could not be read.
    pub fn values(self, history: &TargetHistory, from: Timestamp, to: Timestamp) -> Vec<(Timestamp, Option<u64>)> {
        match self {
            Self::LiveHeap => profile_totals(history, ProfileType::Heap, from, to),
            Self::Goroutines => profile_totals(history, ProfileType::Goroutine, from, to),
            Self::LeakedGoroutines => profile_totals(history, ProfileType::GoroutineLeak, from, to),
            Self::HeapMarked
            | Self::HeapGoal
            | Self::IdleHeap
            | Self::GoStacks
            | Self::GoMapped
            | Self::Collections => history
                .runtimes
                .go()
                .filter(|(at, _)| (from..=to).contains(at))
                .map(|(at, stats)| (at, self.of_go_runtime(stats)))
                .collect(),
            _ => history
                .points
                .since(from)
                .iter()
                .take_while(|point| point.at <= to)
                .map(|point| (point.at, self.of_point(history, point)))
                .collect(),
        }
    }

    fn of_go_runtime(self, stats: &GoRuntimeStats) -> Option<u64> {
        let bytes = match self {
            Self::HeapMarked => stats.heap_marked,
            Self::HeapGoal => stats.heap_goal?,
            Self::IdleHeap => stats.heap_idle,
            Self::GoStacks => stats.stacks,
            Self::GoMapped => stats.mapped_ready,
            Self::Collections => return Some(stats.collections.into()),
            _ => return None,
        };
        Some(bytes.0)
    }

    fn of_point(self, history: &TargetHistory, point: &MemoryPoint) -> Option<u64> {
        let bytes = match self {
            Self::Charge => point.charge.bytes(),
            Self::Unreclaimable => point.unreclaimable.bytes(),
            Self::Anon => point.anon.bytes(),
            Self::File => point.file.bytes(),
            Self::Shmem => point.shmem.bytes(),
            Self::Kernel => point.kernel.bytes(),
            Self::Rss => point.rss.bytes(),
            Self::Limit => limit_at(history, point.at).bytes(),
            _ => None,
        };
        bytes.map(|bytes| bytes.0)
    }
}

/// A changed limit ends a window, so each window has one.
fn limit_at(history: &TargetHistory, at: Timestamp) -> Limit {
    let past = history.past_windows.iter().find(|window| at <= window.to);
    past.map_or_else(|| history.limit(), |window| window.limit)
}

fn profile_totals(
    history: &TargetHistory,
    profile_type: ProfileType,
    from: Timestamp,
    to: Timestamp,
) -> Vec<(Timestamp, Option<u64>)> {
    let Some(series) = history.snapshots.get(&profile_type) else {
        return Vec::new();
    };
    series
        .as_slice()
        .iter()
        .filter(|snapshot| (from..=to).contains(&snapshot.at))
        .map(|snapshot| {
            let total = match profile_type {
                ProfileType::Goroutine | ProfileType::GoroutineLeak => snapshot.total.inuse_objects,
                _ => snapshot.total.inuse_space,
            };
            (snapshot.at, u64::try_from(total).ok())
        })
        .collect()
}
