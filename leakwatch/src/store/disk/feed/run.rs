//! Follows the main process of a target from its start to its end.

use crate::store::disk::codec::row::Row;
use crate::store::disk::column::Column;
use leakwatch_analysis::history::SnapshotSeries;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::run::Course;
use leakwatch_analysis::model::run::CoursePoint;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::RunEnd;
use leakwatch_analysis::model::units::Bytes;

/// Takes in a row of the target; the run that has ended by now, if one has.
pub(super) fn follow(run: &mut Option<Run>, history: &TargetHistory, row: Option<&Row>) -> Option<Run> {
    let ended = run.take_if(|run| has_ended(run, history));
    let ended = ended.map(|run| Run {
        end: Some(end_of(&run, history)),
        ..run
    });
    if run.is_none() && history.gone_at.is_none() {
        *run = begun(history);
    }
    if let (Some(run), Some(row)) = (run, row) {
        let age = history.newest_at.since(run.started_at);
        run.last_at = history.newest_at;
        run.limit = history.limit();
        // A profile is older than the row that tells of it, by seconds: the course is coarser.
        run.course.push(CoursePoint {
            age_seconds: u32::try_from(age.as_secs()).unwrap_or(u32::MAX),
            memory: row
                .get(Column::Unreclaimable)
                .or_else(|| row.get(Column::Charge))
                .map(Bytes),
            live_heap: row
                .get(Column::LiveHeap)
                .or_else(|| row.get(Column::HeapMarked))
                .map(Bytes),
            goroutines: row.get(Column::Goroutines),
            work: row.get(Column::Allocated).map(Bytes),
        });
        if run.version.is_empty() {
            run.version = version(history);
        }
    }
    ended
}

fn begun(history: &TargetHistory) -> Option<Run> {
    let main = history.main_process()?;
    Some(Run {
        service: history.target.service.clone(),
        target: history.target.id(),
        process: main.process.key,
        exe: main.process.exe.clone().unwrap_or_default(),
        version: version(history),
        started_at: main.process.started_at,
        last_at: history.newest_at,
        end: None,
        limit: history.limit(),
        course: Course::default(),
    })
}

fn has_ended(run: &Run, history: &TargetHistory) -> bool {
    let record = history.processes.get(&run.process);
    history.gone_at.is_some() || record.is_none_or(|record| record.gone_at.is_some())
}

fn end_of(run: &Run, history: &TargetHistory) -> RunEnd {
    let killed = |kill: &leakwatch_analysis::model::event::OomKill| {
        kill.victim.pid == run.process.pid && kill.at >= run.started_at
    };
    let by_window = || {
        let last = history.past_windows.last();
        last.is_some_and(|window| {
            window.end == WindowEnd::OomKill && window.to >= run.started_at && window.to >= run.last_at
        })
    };
    if history.oom_kills.iter().any(killed) || by_window() {
        RunEnd::OomKill
    } else if history.gone_at.is_some() {
        RunEnd::Gone
    } else {
        RunEnd::Restart
    }
}

/// The build id, where a profile tells.
fn version(history: &TargetHistory) -> String {
    let newest = history
        .snapshots
        .get(&ProfileType::Heap)
        .and_then(SnapshotSeries::newest);
    newest
        .map(|newest| newest.program.build_id.to_string())
        .unwrap_or_default()
}
