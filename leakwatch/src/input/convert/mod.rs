//! Inputs to messages and back. Reading is fallible: a recording comes from outside.

mod counters;
mod error;
mod field;
mod final_state;
mod format1;
mod head;
mod kill;
mod profile;
mod ruling;
mod runtime;
mod sample;

pub(super) use crate::input::convert::error::ConvertError;
pub(super) use crate::input::convert::head::head_from;
pub(super) use crate::input::convert::head::head_to;

use crate::input::Input;
use crate::input::Skipped;
use crate::input::TakenProfile;
use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::error::unknown;
use crate::input::convert::field::entry;
use crate::input::convert::field::key_from;
use crate::input::convert::field::key_to;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::convert::field::number_from;
use crate::input::convert::field::number_to;
use crate::input::convert::field::position;
use crate::input::convert::final_state::final_state_from;
use crate::input::convert::final_state::final_state_to;
use crate::input::convert::kill::kill_from;
use crate::input::convert::kill::kill_to;
use crate::input::convert::kill::killer_from;
use crate::input::convert::kill::killer_to;
use crate::input::convert::profile::content_to;
use crate::input::convert::profile::recorded;
use crate::input::convert::ruling::ANSWERS;
use crate::input::convert::ruling::ruling_from;
use crate::input::convert::ruling::ruling_to;
use crate::input::convert::runtime::go_runtime_from;
use crate::input::convert::runtime::runtime_from;
use crate::input::convert::runtime::runtime_to;
use crate::input::convert::sample::sample_from;
use crate::input::convert::sample::sample_to;
use crate::input::convert::sample::target_from;
use crate::input::convert::sample::target_to;
use crate::input::messages;
use leakwatch_analysis::model::event;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;
use std::borrow::Cow;

// Numbers on the wire are positions in these tables: append only.
const SOURCES: [ProfileSource; 4] = [
    ProfileSource::KernelAtDeath,
    ProfileSource::Snapshot,
    ProfileSource::Endpoint,
    ProfileSource::Capture,
];
pub(super) fn to_message(input: &Input) -> messages::Envelope {
    let kind = match input {
        Input::TargetSeen { target, .. } => messages::Kind::TargetSeen(Box::new(target_to(target))),
        Input::TargetGone { target, .. } => messages::Kind::TargetGone(target.as_str().to_owned()),
        Input::Sample(sample) => messages::Kind::Sample(Box::new(sample_to(sample))),
        Input::Profile(profile) => messages::Kind::Profile(Box::new(messages::TakenProfile {
            target: profile.target.as_str().to_owned(),
            process: Some(key_to(profile.process)),
            type_name: profile.profile_type.name().to_owned(),
            source: position(&SOURCES, &profile.source),
            pprof: Vec::new(),
            content: profile.profile.as_ref().ok().map(|content| content_to(content)),
            content_missing: profile.profile.as_ref().err().map(missing_to),
        })),
        Input::ProfileMissing {
            target,
            profile_type,
            missing,
            ..
        } => messages::Kind::ProfileMissing(messages::ProfileMissing {
            target: target.as_str().to_owned(),
            profile_type: profile_type.name().to_owned(),
            missing: Some(missing_to(missing)),
        }),
        Input::Runtime {
            target, process, stats, ..
        } => messages::Kind::Runtime(Box::new(runtime_to(target, *process, stats))),
        Input::OomKill(kill) => messages::Kind::OomKill(Box::new(kill_to(kill))),
        Input::FinalState(state) => messages::Kind::FinalState(Box::new(final_state_to(state))),
        Input::ProcessExit(exit) => messages::Kind::ProcessExit(messages::ProcessExit {
            key: Some(key_to(exit.key)),
            comm: exit.comm.clone(),
            exit_code: Some(number_to(&exit.exit_code, |code| i64::from(*code))),
            cgroup_inode: exit.cgroup_inode,
            killer: exit.killer.as_ref().map(killer_to),
        }),
        Input::Loss(loss) => messages::Kind::Loss(messages::Loss {
            reason: loss.reason.to_string(),
            count: loss.count,
        }),
        Input::ConfigReload(reload) => messages::Kind::ConfigReload(reload_to(reload)),
        Input::Answer {
            target, step, answer, ..
        } => messages::Kind::Answer(messages::Answer {
            target: target.as_str().to_owned(),
            step: step.name().to_owned(),
            given: answer.map(|answer| position(&ANSWERS, &answer)),
        }),
        Input::Ruling { id, ruling, .. } => messages::Kind::Ruling(messages::Ruling {
            id: id.clone(),
            ruled: ruling.as_ref().map(ruling_to),
        }),
        Input::Pin { oom_kill, pinned, .. } => messages::Kind::Pin(messages::Pin {
            oom_kill: oom_kill.clone(),
            pinned: *pinned,
        }),
        Input::Tick { .. } => messages::Kind::Tick(messages::Tick {}),
    };
    messages::Envelope {
        at: input.at().unix_nanos(),
        kind: Some(kind),
    }
}

pub(super) fn from_message(envelope: messages::Envelope, skipped: &mut Skipped) -> Converted<Input> {
    let at = Timestamp::from_unix_nanos(envelope.at);
    let kind = envelope.kind.ok_or_else(|| unknown("kind", "a later one"))?;
    Ok(match kind {
        messages::Kind::TargetSeen(target) => Input::TargetSeen {
            at,
            target: target_from(*target)?,
        },
        messages::Kind::TargetGone(id) => Input::TargetGone {
            at,
            target: TargetId::from_text(&id),
        },
        messages::Kind::Sample(sample) => Input::Sample(sample_from(at, *sample, skipped)?),
        messages::Kind::Profile(profile) => {
            let profile_type = profile_type_from(&profile.type_name)?;
            Input::Profile(TakenProfile {
                at,
                target: TargetId::from_text(&profile.target),
                process: key_from(profile.process)?,
                profile_type,
                source: entry(&SOURCES, profile.source, "source")?,
                profile: match profile.content_missing {
                    Some(missing) => Err(missing_from(missing)),
                    None => recorded(profile.content.as_ref(), &profile.pprof, profile_type),
                },
            })
        }
        messages::Kind::ProfileMissing(profile) => Input::ProfileMissing {
            at,
            target: TargetId::from_text(&profile.target),
            profile_type: profile_type_from(&profile.profile_type)?,
            missing: missing_from(required(profile.missing, "missing")?),
        },
        messages::Kind::GoRuntime(runtime) => Input::Runtime {
            at,
            target: TargetId::from_text(&runtime.target),
            process: key_from(runtime.process.clone())?,
            stats: go_runtime_from(*runtime)?,
        },
        messages::Kind::Runtime(runtime) => Input::Runtime {
            at,
            target: TargetId::from_text(&runtime.target),
            process: key_from(runtime.process)?,
            stats: runtime_from(runtime.missing, runtime.go)?,
        },
        messages::Kind::OomKill(kill) => Input::OomKill(Box::new(kill_from(at, *kill)?)),
        messages::Kind::FinalState(state) => Input::FinalState(Box::new(final_state_from(at, *state)?)),
        messages::Kind::ProcessExit(exit) => Input::ProcessExit(event::ProcessExit {
            at,
            key: key_from(exit.key)?,
            comm: exit.comm,
            exit_code: number_from(exit.exit_code, "exit_code", |code| u32::try_from(code).ok())?,
            cgroup_inode: exit.cgroup_inode,
            killer: exit.killer.and_then(killer_from),
        }),
        messages::Kind::Loss(loss) => Input::Loss(event::Loss {
            at,
            reason: loss.reason.into(),
            count: loss.count,
        }),
        messages::Kind::ConfigReload(reload) => Input::ConfigReload(reload_from(at, reload)),
        messages::Kind::Answer(answer) => Input::Answer {
            at,
            target: TargetId::from_text(&answer.target),
            step: StepId::from_name(&answer.step).ok_or_else(|| unknown("step", answer.step))?,
            answer: answer
                .given
                .map(|answer| entry(&ANSWERS, answer, "answer"))
                .transpose()?,
        },
        messages::Kind::Ruling(messages::Ruling { id, ruled }) => Input::Ruling {
            at,
            ruling: ruled.map(|ruled| ruling_from(&id, ruled)).transpose()?,
            id,
        },
        messages::Kind::Pin(messages::Pin { oom_kill, pinned }) => Input::Pin { at, oom_kill, pinned },
        messages::Kind::Tick(messages::Tick {}) => Input::Tick { at },
    })
}

fn reload_to(reload: &event::ConfigReload) -> messages::ConfigReload {
    let names = |names: &[Cow<'static, str>]| names.iter().map(ToString::to_string).collect();
    let changes = reload.outcome.as_ref().ok();
    messages::ConfigReload {
        refused: reload.outcome.as_ref().err().cloned(),
        applied: changes.map(|changes| names(&changes.applied)).unwrap_or_default(),
        need_restart: changes.map(|changes| names(&changes.need_restart)).unwrap_or_default(),
    }
}

fn reload_from(at: Timestamp, reload: messages::ConfigReload) -> event::ConfigReload {
    let names = |names: Vec<String>| names.into_iter().map(Cow::Owned).collect();
    let changes = event::ConfigChanges {
        applied: names(reload.applied),
        need_restart: names(reload.need_restart),
    };
    event::ConfigReload {
        at,
        outcome: reload.refused.map_or(Ok(changes), Err),
    }
}

fn profile_type_from(name: &str) -> Converted<ProfileType> {
    ProfileType::from_name(name).ok_or_else(|| unknown("profile_type", name))
}
