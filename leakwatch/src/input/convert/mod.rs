//! Inputs to messages and back. Reading is fallible: a recording comes from outside.

mod counters;
mod death;
mod format1;
mod head;
mod kill;
mod runtime;
mod sample;

pub(super) use crate::input::convert::head::head_from;
pub(super) use crate::input::convert::head::head_to;

use crate::input::Input;
use crate::input::Skipped;
use crate::input::TakenProfile;
use crate::input::convert::death::death_from;
use crate::input::convert::death::death_to;
use crate::input::convert::kill::kill_from;
use crate::input::convert::kill::kill_to;
use crate::input::convert::runtime::go_runtime_from;
use crate::input::convert::runtime::runtime_from;
use crate::input::convert::runtime::runtime_to;
use crate::input::convert::sample::sample_from;
use crate::input::convert::sample::sample_to;
use crate::input::convert::sample::target_from;
use crate::input::convert::sample::target_to;
use crate::input::messages;
use leakwatch_analysis::model::event;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::investigation;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use leakwatch_analysis::pprof;
use std::sync::Arc;

/// Why a message is no input.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConvertError {
    /// It does not say what it must.
    #[error("{0} is absent")]
    Absent(&'static str),
    /// It says something that only a later version knows.
    #[error("{field} has the unknown value {value}")]
    Unknown { field: &'static str, value: String },
}

type Converted<T> = Result<T, ConvertError>;

// Numbers on the wire are positions in these tables: append only.
const KINDS: [TargetKind; 3] = [TargetKind::Container, TargetKind::Service, TargetKind::Cgroup];
const RUNTIMES: [ContainerRuntime; 4] = [
    ContainerRuntime::Containerd,
    ContainerRuntime::CriO,
    ContainerRuntime::Docker,
    ContainerRuntime::Podman,
];
const SOURCES: [ProfileSource; 4] = [
    ProfileSource::KernelAtDeath,
    ProfileSource::Snapshot,
    ProfileSource::Endpoint,
    ProfileSource::Capture,
];
const SCOPES: [OomScope; 2] = [OomScope::Memcg, OomScope::Global];
const ANSWERS: [investigation::Answer; 3] = [
    investigation::Answer::Yes,
    investigation::Answer::No,
    investigation::Answer::Unknown,
];
const REASONS: [MissingReason; 9] = [
    MissingReason::Unsupported,
    MissingReason::NotPermitted,
    MissingReason::Gone,
    MissingReason::NotConfigured,
    MissingReason::Malformed,
    MissingReason::Timeout,
    MissingReason::TooLarge,
    MissingReason::NotYet,
    MissingReason::Failed,
];

fn unknown(field: &'static str, value: impl Into<String>) -> ConvertError {
    ConvertError::Unknown {
        field,
        value: value.into(),
    }
}

fn position<T: PartialEq>(table: &[T], value: &T) -> u32 {
    table
        .iter()
        .position(|entry| entry == value)
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(u32::MAX)
}

fn entry<T: Copy>(table: &[T], index: u32, field: &'static str) -> Converted<T> {
    table
        .get(index as usize)
        .copied()
        .ok_or_else(|| unknown(field, index.to_string()))
}

fn required<T>(value: Option<T>, field: &'static str) -> Converted<T> {
    value.ok_or(ConvertError::Absent(field))
}

pub(super) fn to_message(input: &Input) -> messages::Envelope {
    let kind = match input {
        Input::TargetSeen { target, .. } => messages::Kind::TargetSeen(Box::new(target_to(target))),
        Input::TargetGone { target, .. } => messages::Kind::TargetGone(target.as_str().to_owned()),
        Input::Sample(sample) => messages::Kind::Sample(Box::new(sample_to(sample))),
        Input::Profile(profile) => messages::Kind::Profile(messages::Profile {
            target: profile.target.as_str().to_owned(),
            process: Some(key_to(profile.process)),
            type_name: profile.profile_type.name().to_owned(),
            source: position(&SOURCES, &profile.source),
            pprof: profile.profile.pprof.to_vec(),
        }),
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
        Input::Death(death) => messages::Kind::Death(Box::new(death_to(death))),
        Input::ProcessExit(exit) => messages::Kind::ProcessExit(messages::ProcessExit {
            key: Some(key_to(exit.key)),
            comm: exit.comm.clone(),
            exit_code: Some(number_to(&exit.exit_code, |code| i64::from(*code))),
            cgroup_inode: exit.cgroup_inode,
        }),
        Input::Loss(loss) => messages::Kind::Loss(messages::Loss {
            reason: loss.reason.to_string(),
            count: loss.count,
        }),
        Input::Answer {
            target, step, answer, ..
        } => messages::Kind::Answer(messages::Answer {
            target: target.as_str().to_owned(),
            step: step.name().to_owned(),
            given: answer.map(|answer| position(&ANSWERS, &answer)),
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
                profile: pprof::recorded(Arc::from(profile.pprof), profile_type),
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
        messages::Kind::Death(death) => Input::Death(Box::new(death_from(at, *death)?)),
        messages::Kind::ProcessExit(exit) => Input::ProcessExit(event::ProcessExit {
            at,
            key: key_from(exit.key)?,
            comm: exit.comm,
            exit_code: number_from(exit.exit_code, "exit_code", |code| u32::try_from(code).ok())?,
            cgroup_inode: exit.cgroup_inode,
        }),
        messages::Kind::Loss(loss) => Input::Loss(event::Loss {
            at,
            reason: loss.reason.into(),
            count: loss.count,
        }),
        messages::Kind::Answer(answer) => Input::Answer {
            at,
            target: TargetId::from_text(&answer.target),
            step: StepId::from_name(&answer.step).ok_or_else(|| unknown("step", answer.step))?,
            answer: answer
                .given
                .map(|answer| entry(&ANSWERS, answer, "answer"))
                .transpose()?,
        },
        messages::Kind::Tick(messages::Tick {}) => Input::Tick { at },
    })
}

fn missing_to(missing: &Missing) -> messages::Missing {
    messages::Missing {
        reason: position(&REASONS, &missing.reason),
        detail: missing.detail.clone(),
        fix: missing.fix.clone(),
    }
}

/// A reason of a later version is one of those that have no word here.
fn missing_from(missing: messages::Missing) -> Missing {
    Missing {
        reason: entry(&REASONS, missing.reason, "reason").unwrap_or(MissingReason::Failed),
        detail: missing.detail,
        fix: missing.fix,
    }
}

fn profile_type_from(name: &str) -> Converted<ProfileType> {
    ProfileType::from_name(name).ok_or_else(|| unknown("profile_type", name))
}

fn key_to(key: target::ProcessKey) -> messages::ProcessKey {
    messages::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    }
}

fn key_from(key: Option<messages::ProcessKey>) -> Converted<target::ProcessKey> {
    let key = required(key, "process key")?;
    Ok(target::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    })
}

fn cgroup_to(cgroup: &target::CgroupKey) -> messages::Cgroup {
    messages::Cgroup {
        inode: cgroup.inode,
        path: cgroup.path.clone(),
    }
}

fn cgroup_from(cgroup: messages::Cgroup) -> target::CgroupKey {
    target::CgroupKey {
        inode: cgroup.inode,
        path: cgroup.path,
    }
}

fn number_to<T>(reading: &Reading<T>, value: impl Fn(&T) -> i64) -> messages::Number {
    match reading {
        Ok(number) => messages::Number {
            value: value(number),
            missing: None,
        },
        Err(missing) => messages::Number {
            value: 0,
            missing: Some(missing_to(missing)),
        },
    }
}

fn number_from<T>(
    number: Option<messages::Number>,
    field: &'static str,
    value: impl Fn(i64) -> Option<T>,
) -> Converted<Reading<T>> {
    let number = required(number, field)?;
    if let Some(missing) = number.missing {
        return Ok(Err(missing_from(missing)));
    }
    value(number.value)
        .map(Ok)
        .ok_or_else(|| unknown(field, number.value.to_string()))
}

// Amounts of memory are far below 2^63 bytes; the bit pattern survives the way there and back in any case.
fn bytes_to(reading: &Reading<Bytes>) -> messages::Number {
    number_to(reading, |bytes| bytes.0.cast_signed())
}

fn bytes_from(number: Option<messages::Number>, field: &'static str) -> Converted<Reading<Bytes>> {
    number_from(number, field, |value| Some(Bytes(value.cast_unsigned())))
}
