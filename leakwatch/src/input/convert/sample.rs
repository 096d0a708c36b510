//! Targets, processes and samples.

use crate::input::convert::ConvertError;
use crate::input::convert::Converted;
use crate::input::convert::KINDS;
use crate::input::convert::RUNTIMES;
use crate::input::convert::bytes_from;
use crate::input::convert::bytes_to;
use crate::input::convert::cgroup_from;
use crate::input::convert::cgroup_to;
use crate::input::convert::entry;
use crate::input::convert::key_from;
use crate::input::convert::key_to;
use crate::input::convert::missing_from;
use crate::input::convert::missing_to;
use crate::input::convert::position;
use crate::input::convert::required;
use crate::input::messages;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::target;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;

pub(super) fn target_to(target: &target::Target) -> messages::Target {
    messages::Target {
        cgroup: Some(cgroup_to(&target.cgroup)),
        kind: position(&KINDS, &target.kind),
        name: target.name.clone(),
        service: target.service.clone(),
        container: target.container.as_ref().map(|container| messages::Container {
            id: container.id.clone(),
            runtime: container.runtime.map(|runtime| position(&RUNTIMES, &runtime)),
            pod_uid: container.pod_uid.clone(),
        }),
        started_at: target.started_at.unix_nanos(),
    }
}

pub(super) fn target_from(target: messages::Target) -> Converted<target::Target> {
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

fn process_to(process: &target::Process) -> messages::Process {
    let version = |runtime: &Runtime| match runtime {
        Runtime::Go { version } => Some(version.clone()),
        Runtime::Native => None,
    };
    messages::Process {
        key: Some(key_to(process.key)),
        started_at: process.started_at.unix_nanos(),
        comm: process.comm.clone(),
        exe: process.exe.as_ref().ok().cloned(),
        exe_missing: process.exe.as_ref().err().map(missing_to),
        go: process.runtime.as_ref().ok().and_then(version),
        runtime_missing: process.runtime.as_ref().err().map(missing_to),
    }
}

fn process_from(process: messages::Process) -> Converted<target::Process> {
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

pub(super) fn sample_to(sample: &sample::Sample) -> messages::Sample {
    messages::Sample {
        target: sample.target.as_str().to_owned(),
        cgroup: sample.cgroup.as_ref().ok().map(cgroup_memory_to),
        cgroup_missing: sample.cgroup.as_ref().err().map(missing_to),
        new_processes: sample.new_processes.iter().map(process_to).collect(),
        processes: sample
            .processes
            .iter()
            .map(|process| messages::ProcessSample {
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

pub(super) fn sample_from(at: Timestamp, sample: messages::Sample) -> Converted<sample::Sample> {
    let cgroup = match (sample.cgroup, sample.cgroup_missing) {
        (_, Some(missing)) => Err(missing_from(missing)?),
        (cgroup, None) => Ok(cgroup_memory_from(required(cgroup, "cgroup")?)?),
    };
    let process = |process: messages::ProcessSample| {
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

fn cgroup_memory_to(memory: &sample::CgroupMemory) -> messages::CgroupMemory {
    messages::CgroupMemory {
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

fn cgroup_memory_from(memory: messages::CgroupMemory) -> Converted<sample::CgroupMemory> {
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
pub(super) fn reading_from<T, const N: usize>(
    numbers: &[u64],
    missing: Option<messages::Missing>,
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
