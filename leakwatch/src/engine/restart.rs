//! When a restart is told: once there is a new main process in the place of one that ended. The end alone is none, and where a process of the same
//! program that is older lives on, it has only lost one of its workers.

use leakwatch_analysis::history::ProcessRecord;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::history::WindowEnd;

/// After a sample: `ended` is the main process that ended and has no successor yet, `before` the one of the sample before. How the one before ended, if
/// another has taken its place.
pub(super) fn follow(
    ended: &mut Option<ProcessRecord>,
    before: Option<ProcessRecord>,
    history: &TargetHistory,
) -> Option<WindowEnd> {
    let has_ended = |record: &ProcessRecord| {
        let now = history.processes.get(&record.process.key);
        now.is_none_or(|now| now.gone_at.is_some())
    };
    if let Some(before) = before.filter(has_ended) {
        *ended = Some(before);
    }
    let main = history.main_sampled()?;
    let ended = ended.take()?;
    let is_older = |record: &ProcessRecord| record.first_seen <= ended.last_seen;
    let is_master = |record: &ProcessRecord| {
        is_older(record) && record.process.exe.is_ok() && record.process.exe == ended.process.exe
    };
    if is_older(main) || history.living().any(is_master) {
        return None;
    }
    let end = history.past_windows.last().map(|window| window.end);
    Some(match end {
        Some(WindowEnd::OomKill) => WindowEnd::OomKill,
        _ => WindowEnd::Restart,
    })
}
