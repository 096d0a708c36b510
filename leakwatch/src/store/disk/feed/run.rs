//! Follows the main process of a target from its start to its end.

use crate::store::disk::codec::row::Row;
use crate::store::disk::column::Column;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::history::WindowEnd;
use leakwatch_analysis::model::run::Run;
use leakwatch_analysis::model::run::RunEnd;
use leakwatch_analysis::model::run::RunSample;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::units::Bytes;

/// Takes in a row of the target; the run that has ended by now, if one has.
pub(super) fn follow(kept: &mut Option<ServiceRun>, history: &TargetHistory, row: Option<&Row>) -> Option<ServiceRun> {
    let mut ended = kept.take_if(|kept| has_ended(&kept.run, history));
    if let Some(kept) = &mut ended {
        kept.run.ended = Some((kept.last_at, end_of(kept, history)));
    }
    if kept.is_none() && history.gone_at.is_none() {
        *kept = begun(history);
    }
    if let (Some(kept), Some(row)) = (kept, row) {
        kept.last_at = history.newest_at;
        kept.run.limit = history.limit();
        // A profile is older than the row that tells of it, by seconds: the course is coarser.
        let sample = RunSample {
            memory: row
                .get(Column::Unreclaimable)
                .or_else(|| row.get(Column::Charge))
                .map(Bytes),
            live_heap: row
                .get(Column::LiveHeap)
                .or_else(|| row.get(Column::HeapMarked))
                .map(Bytes),
            goroutines: row
                .get(Column::Goroutines)
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
            work: row.get(Column::Allocated).map(Bytes),
        };
        kept.run
            .course
            .add(history.newest_at.since(kept.run.started_at), sample);
        if kept.version.is_empty() {
            history.version().clone_into(&mut kept.version);
        }
    }
    ended
}

fn begun(history: &TargetHistory) -> Option<ServiceRun> {
    let main = history.main_process()?;
    Some(ServiceRun {
        service: history.target.service.clone(),
        target: history.target.id(),
        exe: main.process.exe.clone().unwrap_or_default(),
        version: history.version().to_owned(),
        last_at: history.newest_at,
        run: Run::new(main.process.key, main.process.started_at, history.limit()),
    })
}

fn has_ended(run: &Run, history: &TargetHistory) -> bool {
    let record = history.processes.get(&run.process);
    history.gone_at.is_some() || record.is_none_or(|record| record.gone_at.is_some())
}

fn end_of(kept: &ServiceRun, history: &TargetHistory) -> RunEnd {
    let run = &kept.run;
    let killed = |kill: &leakwatch_analysis::model::event::OomKill| {
        kill.victim.pid == run.process.pid && kill.at >= run.started_at
    };
    let by_window = || {
        let last = history.past_windows.last();
        last.is_some_and(|window| {
            window.end == WindowEnd::OomKill && window.to >= run.started_at && window.to >= kept.last_at
        })
    };
    if history.oom_kills.iter().any(killed) || by_window() {
        RunEnd::OomKill
    } else if history.processes.get(&run.process).is_some_and(|record| record.ran_out) {
        RunEnd::OutOfMemory
    } else {
        RunEnd::Exit
    }
}
