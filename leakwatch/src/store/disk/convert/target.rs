//! What is known of a target besides its samples and profiles.

use super::WINDOW_ENDS;
use super::claim::claim_from;
use super::claim::claim_to;
use super::class_from;
use super::entry;
use super::limit_from;
use super::position;
use super::run::run_from;
use super::run::run_to;
use crate::input;
use crate::input::Input;
use crate::store::disk::messages;
use leakwatch_analysis::history::Claim;
use leakwatch_analysis::history::PastWindow;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::sample::ProcessSample;
use leakwatch_analysis::model::sample::Sample;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::model::verdict::VerdictClass;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Processes of a target that are kept at most: those with most memory.
const MAX_PROCESSES: usize = 64;

/// What is known of a target from before.
#[derive(Clone, Debug)]
pub(in crate::store) struct RestoredTarget {
    pub(in crate::store) target: Target,
    pub(in crate::store) sample: Sample,
    pub(in crate::store) window_start: Timestamp,
    pub(in crate::store) past_windows: Vec<PastWindow>,
    pub(in crate::store) oom_kill_count: u64,
    pub(in crate::store) oom_kills: Vec<leakwatch_analysis::model::event::OomKill>,
    pub(in crate::store) gone_at: Option<Timestamp>,
    pub(in crate::store) pressure_at: Option<Timestamp>,
    pub(in crate::store) overrides: BTreeMap<StepId, Answer>,
    pub(in crate::store) class: Option<VerdictClass>,
    pub(in crate::store) run: Option<ServiceRun>,
    pub(in crate::store) claim: Option<Claim>,
}

pub(in crate::store) fn state_to(
    history: &TargetHistory,
    overrides: &BTreeMap<StepId, Answer>,
    class: Option<VerdictClass>,
    run: Option<&ServiceRun>,
) -> messages::TargetState {
    let at = history.newest_at;
    let id = history.target.id();
    messages::TargetState {
        seen: input::to_bytes(&Input::TargetSeen {
            at,
            target: Target::clone(&history.target),
        }),
        sample: input::to_bytes(&Input::Sample(newest_sample(history, MAX_PROCESSES))),
        window_start: history.window_start.unix_nanos(),
        past_windows: history.past_windows.iter().map(window_to).collect(),
        oom_kill_count: history.oom_kill_count,
        oom_kills: history
            .oom_kills
            .iter()
            .map(|kill| input::to_bytes(&Input::OomKill(Box::new(kill.clone()))))
            .collect(),
        gone_at: history.gone_at.map(Timestamp::unix_nanos),
        pressure_at: history.pressure_at.map(Timestamp::unix_nanos),
        answers: overrides
            .iter()
            .map(|(step, answer)| {
                input::to_bytes(&Input::Answer {
                    at,
                    target: id.clone(),
                    step: *step,
                    answer: Some(*answer),
                })
            })
            .collect(),
        class: class.map(|class| class.name().to_owned()),
        run: run.map(run_to),
        claim: history.claim.as_ref().map(claim_to),
    }
}

/// The newest sample, with all living processes as new ones: whoever has only this knows who lived.
fn newest_sample(history: &TargetHistory, at_most: usize) -> Sample {
    let mut living: Vec<_> = history.living().collect();
    living.sort_by_key(|record| std::cmp::Reverse(record.memory.as_ref().map_or(Bytes(0), |memory| memory.rss)));
    living.truncate(at_most);
    Sample {
        target: history.target.id(),
        at: history.newest_at,
        cgroup: history.newest.clone(),
        new_processes: living.iter().map(|record| Arc::clone(&record.process)).collect(),
        processes: living
            .iter()
            .map(|record| ProcessSample {
                key: record.process.key,
                memory: record.memory.clone(),
            })
            .collect(),
    }
}

fn window_to(window: &PastWindow) -> messages::PastWindow {
    messages::PastWindow {
        from: window.from.unix_nanos(),
        to: window.to.unix_nanos(),
        end: position(&WINDOW_ENDS, &window.end),
        limit: window.limit.bytes().map(|limit| limit.0),
        first: window.first.map(|bytes| bytes.0),
        peak: window.peak.map(|bytes| bytes.0),
    }
}

fn window_from(window: messages::PastWindow) -> Option<PastWindow> {
    Some(PastWindow {
        from: Timestamp::from_unix_nanos(window.from),
        to: Timestamp::from_unix_nanos(window.to),
        end: entry(&WINDOW_ENDS, window.end)?,
        limit: limit_from(window.limit),
        first: window.first.map(Bytes),
        peak: window.peak.map(Bytes),
    })
}

pub(in crate::store) fn state_from(message: messages::TargetState) -> Option<RestoredTarget> {
    let Input::TargetSeen { target, .. } = input::from_bytes(&message.seen)? else {
        return None;
    };
    let Input::Sample(sample) = input::from_bytes(&message.sample)? else {
        return None;
    };
    let kill = |bytes: &Vec<u8>| match input::from_bytes(bytes)? {
        Input::OomKill(kill) => Some(*kill),
        _ => None,
    };
    let answer = |bytes: &Vec<u8>| match input::from_bytes(bytes)? {
        Input::Answer { step, answer, .. } => Some((step, answer?)),
        _ => None,
    };
    Some(RestoredTarget {
        target,
        sample,
        window_start: Timestamp::from_unix_nanos(message.window_start),
        past_windows: message
            .past_windows
            .into_iter()
            .take(TargetHistory::MAX_PAST_WINDOWS)
            .filter_map(window_from)
            .collect(),
        oom_kill_count: message.oom_kill_count,
        oom_kills: message
            .oom_kills
            .iter()
            .take(TargetHistory::MAX_OOM_KILLS)
            .filter_map(kill)
            .collect(),
        gone_at: message.gone_at.map(Timestamp::from_unix_nanos),
        pressure_at: message.pressure_at.map(Timestamp::from_unix_nanos),
        overrides: message.answers.iter().filter_map(answer).collect(),
        class: message.class.as_deref().and_then(class_from),
        run: message.run.and_then(run_from),
        claim: message.claim.and_then(claim_from),
    })
}
