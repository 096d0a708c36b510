//! Inputs to messages and back. Reading is fallible: a recording comes from outside.

use crate::engine::input::Input;
use crate::engine::input::RawProfile;
use crate::engine::record::wire;
use leakwatch_analysis::event;
use leakwatch_analysis::event::OomScope;
use leakwatch_analysis::investigation;
use leakwatch_analysis::investigation::StepId;
use leakwatch_analysis::profile::ProfileSource;
use leakwatch_analysis::profile::ProfileType;
use leakwatch_analysis::sample;
use leakwatch_analysis::sample::Limit;
use leakwatch_analysis::sample::MissingReason;
use leakwatch_analysis::sample::Reading;
use leakwatch_analysis::target;
use leakwatch_analysis::target::ContainerRuntime;
use leakwatch_analysis::target::Runtime;
use leakwatch_analysis::target::TargetId;
use leakwatch_analysis::target::TargetKind;
use leakwatch_analysis::units::Bytes;
use leakwatch_analysis::units::Timestamp;
use std::sync::Arc;

/// A message that does not say what it must.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ConvertError {
    #[error("{0} is absent")]
    Absent(&'static str),
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
const SOURCES: [ProfileSource; 3] = [
    ProfileSource::KernelAtDeath,
    ProfileSource::Snapshot,
    ProfileSource::Endpoint,
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

fn position<T: PartialEq>(table: &[T], value: &T) -> u32 {
    table
        .iter()
        .position(|entry| entry == value)
        .and_then(|index| u32::try_from(index).ok())
        .unwrap_or(u32::MAX)
}

fn entry<T: Copy>(table: &[T], index: u32, field: &'static str) -> Converted<T> {
    table.get(index as usize).copied().ok_or_else(|| ConvertError::Unknown {
        field,
        value: index.to_string(),
    })
}

fn required<T>(value: Option<T>, field: &'static str) -> Converted<T> {
    value.ok_or(ConvertError::Absent(field))
}

pub(super) fn to_wire(input: &Input) -> wire::Message {
    let kind = match input {
        Input::TargetSeen { target, .. } => wire::Kind::TargetSeen(target_to(target)),
        Input::TargetGone { target, .. } => wire::Kind::TargetGone(target.as_str().to_owned()),
        Input::Sample(sample) => wire::Kind::Sample(sample_to(sample)),
        Input::Profile(profile) => wire::Kind::Profile(wire::Profile {
            target: profile.target.as_str().to_owned(),
            process: Some(key_to(profile.process)),
            profile_type: profile.profile_type.name().to_owned(),
            source: position(&SOURCES, &profile.source),
            pprof: profile.pprof.to_vec(),
        }),
        Input::ProfileMissing {
            target,
            profile_type,
            missing,
            ..
        } => wire::Kind::ProfileMissing(wire::ProfileMissing {
            target: target.as_str().to_owned(),
            profile_type: profile_type.name().to_owned(),
            missing: Some(missing_to(missing)),
        }),
        Input::OomKill(kill) => wire::Kind::OomKill(Box::new(kill_to(kill))),
        Input::ProcessExit(exit) => wire::Kind::ProcessExit(wire::ProcessExit {
            key: Some(key_to(exit.key)),
            comm: exit.comm.clone(),
            exit_code: Some(number_to(&exit.exit_code, |code| i64::from(*code))),
            cgroup_inode: exit.cgroup_inode,
        }),
        Input::Loss(loss) => wire::Kind::Loss(wire::Loss {
            reason: loss.reason.to_string(),
            count: loss.count,
        }),
        Input::Answer {
            target, step, answer, ..
        } => wire::Kind::Answer(wire::Answer {
            target: target.as_str().to_owned(),
            step: step.name().to_owned(),
            answer: answer.map(|answer| position(&ANSWERS, &answer)),
        }),
        Input::Tick { .. } => wire::Kind::Tick(wire::Tick {}),
    };
    wire::Message {
        at: input.at().unix_nanos(),
        kind: Some(kind),
    }
}

pub(super) fn from_wire(message: wire::Message) -> Converted<Input> {
    let at = Timestamp::from_unix_nanos(message.at);
    Ok(match required(message.kind, "kind")? {
        wire::Kind::TargetSeen(target) => Input::TargetSeen {
            at,
            target: target_from(target)?,
        },
        wire::Kind::TargetGone(id) => Input::TargetGone {
            at,
            target: TargetId::from_text(&id),
        },
        wire::Kind::Sample(sample) => Input::Sample(sample_from(at, sample)?),
        wire::Kind::Profile(profile) => Input::Profile(RawProfile {
            at,
            target: TargetId::from_text(&profile.target),
            process: key_from(profile.process)?,
            profile_type: profile_type_from(&profile.profile_type)?,
            source: entry(&SOURCES, profile.source, "source")?,
            pprof: Arc::from(profile.pprof),
        }),
        wire::Kind::ProfileMissing(profile) => Input::ProfileMissing {
            at,
            target: TargetId::from_text(&profile.target),
            profile_type: profile_type_from(&profile.profile_type)?,
            missing: missing_from(required(profile.missing, "missing")?)?,
        },
        wire::Kind::OomKill(kill) => Input::OomKill(Box::new(kill_from(at, *kill)?)),
        wire::Kind::ProcessExit(exit) => Input::ProcessExit(event::ProcessExit {
            at,
            key: key_from(exit.key)?,
            comm: exit.comm,
            exit_code: number_from(exit.exit_code, "exit_code", |code| u32::try_from(code).ok())?,
            cgroup_inode: exit.cgroup_inode,
        }),
        wire::Kind::Loss(loss) => Input::Loss(event::Loss {
            at,
            reason: loss.reason.into(),
            count: loss.count,
        }),
        wire::Kind::Answer(answer) => Input::Answer {
            at,
            target: TargetId::from_text(&answer.target),
            step: StepId::from_name(&answer.step).ok_or(ConvertError::Unknown {
                field: "step",
                value: answer.step,
            })?,
            answer: answer
                .answer
                .map(|answer| entry(&ANSWERS, answer, "answer"))
                .transpose()?,
        },
        wire::Kind::Tick(wire::Tick {}) => Input::Tick { at },
    })
}

fn missing_to(missing: &sample::Missing) -> wire::Missing {
    wire::Missing {
        reason: position(&REASONS, &missing.reason),
        detail: missing.detail.clone(),
        fix: missing.fix.clone(),
    }
}

fn missing_from(missing: wire::Missing) -> Converted<sample::Missing> {
    Ok(sample::Missing {
        reason: entry(&REASONS, missing.reason, "reason")?,
        detail: missing.detail,
        fix: missing.fix,
    })
}

fn profile_type_from(name: &str) -> Converted<ProfileType> {
    ProfileType::from_name(name).ok_or_else(|| ConvertError::Unknown {
        field: "profile_type",
        value: name.to_owned(),
    })
}

fn key_to(key: target::ProcessKey) -> wire::ProcessKey {
    wire::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    }
}

fn key_from(key: Option<wire::ProcessKey>) -> Converted<target::ProcessKey> {
    let key = required(key, "process key")?;
    Ok(target::ProcessKey {
        pid: key.pid,
        start_ticks: key.start_ticks,
    })
}

fn cgroup_to(cgroup: &target::CgroupKey) -> wire::Cgroup {
    wire::Cgroup {
        inode: cgroup.inode,
        path: cgroup.path.clone(),
    }
}

fn cgroup_from(cgroup: wire::Cgroup) -> target::CgroupKey {
    target::CgroupKey {
        inode: cgroup.inode,
        path: cgroup.path,
    }
}

fn number_to<T>(reading: &Reading<T>, value: impl Fn(&T) -> i64) -> wire::Number {
    match reading {
        Ok(number) => wire::Number {
            value: value(number),
            missing: None,
        },
        Err(missing) => wire::Number {
            value: 0,
            missing: Some(missing_to(missing)),
        },
    }
}

fn number_from<T>(
    number: Option<wire::Number>,
    field: &'static str,
    value: impl Fn(i64) -> Option<T>,
) -> Converted<Reading<T>> {
    let number = required(number, field)?;
    if let Some(missing) = number.missing {
        return missing_from(missing).map(Err);
    }
    value(number.value).map(Ok).ok_or_else(|| ConvertError::Unknown {
        field,
        value: number.value.to_string(),
    })
}

// Amounts of memory are far below 2^63 bytes; the bit pattern survives the way there and back in any case.
fn bytes_to(reading: &Reading<Bytes>) -> wire::Number {
    number_to(reading, |bytes| bytes.0.cast_signed())
}

fn bytes_from(number: Option<wire::Number>, field: &'static str) -> Converted<Reading<Bytes>> {
    number_from(number, field, |value| Some(Bytes(value.cast_unsigned())))
}

fn target_to(target: &target::Target) -> wire::Target {
    wire::Target {
        cgroup: Some(cgroup_to(&target.cgroup)),
        kind: position(&KINDS, &target.kind),
        name: target.name.clone(),
        service: target.service.clone(),
        container: target.container.as_ref().map(|container| wire::Container {
            id: container.id.clone(),
            runtime: container.runtime.map(|runtime| position(&RUNTIMES, &runtime)),
            pod_uid: container.pod_uid.clone(),
        }),
        started_at: target.started_at.unix_nanos(),
    }
}

fn target_from(target: wire::Target) -> Converted<target::Target> {
    let container = target.container.map(|container| {
        let runtime = container
            .runtime
            .map(|runtime| entry(&RUNTIMES, runtime, "runtime"))
            .transpose()?;
        Ok(target::Container {
            id: container.id,
            runtime,
            pod_uid: container.pod_uid,
        })
    });
    Ok(target::Target {
        cgroup: cgroup_from(required(target.cgroup, "cgroup")?),
        kind: entry(&KINDS, target.kind, "kind")?,
        name: target.name,
        service: target.service,
        container: container.transpose()?,
        started_at: Timestamp::from_unix_nanos(target.started_at),
    })
}

fn process_to(process: &target::Process) -> wire::Process {
    let version = |runtime: &Runtime| match runtime {
        Runtime::Go { version } => Some(version.clone()),
        Runtime::Native => None,
    };
    wire::Process {
        key: Some(key_to(process.key)),
        started_at: process.started_at.unix_nanos(),
        comm: process.comm.clone(),
        exe: process.exe.as_ref().ok().cloned(),
        exe_missing: process.exe.as_ref().err().map(missing_to),
        go: process.runtime.as_ref().ok().and_then(version),
        runtime_missing: process.runtime.as_ref().err().map(missing_to),
    }
}

fn process_from(process: wire::Process) -> Converted<target::Process> {
    let exe = match (process.exe, process.exe_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (exe, None) => Ok(required(exe, "exe")?),
    };
    let runtime = match (process.go, process.runtime_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (Some(version), None) => Ok(Runtime::Go { version }),
        (None, None) => Ok(Runtime::Native),
    };
    Ok(target::Process {
        key: key_from(process.key)?,
        started_at: Timestamp::from_unix_nanos(process.started_at),
        comm: process.comm,
        exe,
        runtime,
    })
}

fn sample_to(sample: &sample::Sample) -> wire::Sample {
    wire::Sample {
        target: sample.target.as_str().to_owned(),
        cgroup: sample.cgroup.as_ref().ok().map(cgroup_memory_to),
        cgroup_missing: sample.cgroup.as_ref().err().map(missing_to),
        new_processes: sample.new_processes.iter().map(process_to).collect(),
        processes: sample
            .processes
            .iter()
            .map(|process| wire::ProcessSample {
                key: Some(key_to(process.key)),
                memory: process.memory.as_ref().map_or_else(
                    |_| Vec::new(),
                    |m| vec![m.rss.0, m.anon.0, m.file.0, m.shmem.0, m.swap.0],
                ),
                memory_missing: process.memory.as_ref().err().map(missing_to),
            })
            .collect(),
    }
}

fn sample_from(at: Timestamp, sample: wire::Sample) -> Converted<sample::Sample> {
    let cgroup = match (sample.cgroup, sample.cgroup_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (cgroup, None) => Ok(cgroup_memory_from(required(cgroup, "cgroup")?)?),
    };
    let process = |process: wire::ProcessSample| {
        let memory = reading_from(&process.memory, process.memory_missing, |numbers: &[u64; 5]| {
            let [rss, anon, file, shmem, swap] = numbers.map(Bytes);
            sample::ProcessMemory {
                rss,
                anon,
                file,
                shmem,
                swap,
            }
        });
        Ok(sample::ProcessSample {
            key: key_from(process.key)?,
            memory: memory?,
        })
    };
    Ok(sample::Sample {
        target: TargetId::from_text(&sample.target),
        at,
        cgroup,
        new_processes: sample
            .new_processes
            .into_iter()
            .map(process_from)
            .collect::<Converted<_>>()?,
        processes: sample.processes.into_iter().map(process).collect::<Converted<_>>()?,
    })
}

fn cgroup_memory_to(memory: &sample::CgroupMemory) -> wire::CgroupMemory {
    wire::CgroupMemory {
        charge: memory.charge.0,
        limit: memory.limit.bytes().map(|limit| limit.0),
        swap: Some(bytes_to(&memory.swap)),
        stat: memory.stat.as_ref().map_or_else(
            |_| Vec::new(),
            |s| {
                let numbers = [
                    s.anon,
                    s.file,
                    s.shmem,
                    s.active_file,
                    s.inactive_file,
                    s.kernel,
                    s.slab_reclaimable,
                ];
                numbers.map(|bytes| bytes.0).to_vec()
            },
        ),
        stat_missing: memory.stat.as_ref().err().map(missing_to),
        events: memory
            .events
            .as_ref()
            .map_or_else(|_| Vec::new(), |events| vec![events.oom_kill, events.max]),
        events_missing: memory.events.as_ref().err().map(missing_to),
    }
}

fn cgroup_memory_from(memory: wire::CgroupMemory) -> Converted<sample::CgroupMemory> {
    let stat = reading_from(&memory.stat, memory.stat_missing, |numbers: &[u64; 7]| {
        let [anon, file, shmem, active_file, inactive_file, kernel, slab_reclaimable] = numbers.map(Bytes);
        sample::MemoryStat {
            anon,
            file,
            shmem,
            active_file,
            inactive_file,
            kernel,
            slab_reclaimable,
        }
    });
    let events = reading_from(&memory.events, memory.events_missing, |&[oom_kill, max]: &[u64; 2]| {
        sample::MemoryEvents { oom_kill, max }
    });
    Ok(sample::CgroupMemory {
        charge: Bytes(memory.charge),
        limit: memory.limit.map_or(Limit::Max, |limit| Limit::Bytes(Bytes(limit))),
        swap: bytes_from(memory.swap, "swap")?,
        stat: stat?,
        events: events?,
    })
}

/// A record of exactly `N` numbers, or why there is none.
fn reading_from<T, const N: usize>(
    numbers: &[u64],
    missing: Option<wire::Missing>,
    build: impl Fn(&[u64; N]) -> T,
) -> Converted<Reading<T>> {
    if let Some(missing) = missing {
        return missing_from(missing).map(Err);
    }
    let numbers: Result<&[u64; N], _> = numbers.try_into();
    numbers
        .map(|numbers| Ok(build(numbers)))
        .map_err(|_length| ConvertError::Absent("a number of a record"))
}

fn kill_to(kill: &event::OomKill) -> wire::OomKill {
    let victim = &kill.victim;
    wire::OomKill {
        scope: Some(number_to(&kill.scope, |scope| i64::from(position(&SCOPES, scope)))),
        cgroup: kill.cgroup.as_ref().ok().map(cgroup_to),
        cgroup_missing: kill.cgroup.as_ref().err().map(missing_to),
        memcg: kill.memcg.as_ref().ok().map(|memcg| wire::OomMemcg {
            cgroup: Some(cgroup_to(&memcg.cgroup)),
            limit: memcg.limit.0,
            charge: memcg.charge.0,
        }),
        memcg_missing: kill.memcg.as_ref().err().map(missing_to),
        victim_pid: victim.pid,
        victim_start_ticks: victim.start_ticks,
        victim_comm: victim.comm.clone(),
        rss_anon: Some(bytes_to(&victim.rss_anon)),
        rss_file: Some(bytes_to(&victim.rss_file)),
        rss_shmem: Some(bytes_to(&victim.rss_shmem)),
        page_tables: Some(bytes_to(&victim.page_tables)),
        oom_score_adj: Some(number_to(&victim.oom_score_adj, |score| i64::from(*score))),
        trigger_pid: kill.trigger.pid,
        trigger_comm: kill.trigger.comm.clone(),
    }
}

fn kill_from(at: Timestamp, kill: wire::OomKill) -> Converted<event::OomKill> {
    let scope = number_from(kill.scope, "scope", |index| {
        SCOPES.get(usize::try_from(index).ok()?).copied()
    })?;
    let cgroup = match (kill.cgroup, kill.cgroup_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (cgroup, None) => Ok(cgroup_from(required(cgroup, "cgroup")?)),
    };
    let memcg = match (kill.memcg, kill.memcg_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (memcg, None) => {
            let memcg = required(memcg, "memcg")?;
            Ok(event::OomMemcg {
                cgroup: cgroup_from(required(memcg.cgroup, "memcg cgroup")?),
                limit: Bytes(memcg.limit),
                charge: Bytes(memcg.charge),
            })
        }
    };
    Ok(event::OomKill {
        at,
        scope,
        cgroup,
        memcg,
        victim: event::OomVictim {
            pid: kill.victim_pid,
            start_ticks: kill.victim_start_ticks,
            comm: kill.victim_comm,
            rss_anon: bytes_from(kill.rss_anon, "rss_anon")?,
            rss_file: bytes_from(kill.rss_file, "rss_file")?,
            rss_shmem: bytes_from(kill.rss_shmem, "rss_shmem")?,
            page_tables: bytes_from(kill.page_tables, "page_tables")?,
            oom_score_adj: number_from(kill.oom_score_adj, "oom_score_adj", |score| i16::try_from(score).ok())?,
        },
        trigger: event::OomTrigger {
            pid: kill.trigger_pid,
            comm: kill.trigger_comm,
        },
    })
}
