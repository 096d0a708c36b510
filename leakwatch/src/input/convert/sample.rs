//! Targets, processes and samples.

use crate::input::Skipped;
use crate::input::convert::counters::counters_from;
use crate::input::convert::counters::counters_to;
use crate::input::convert::error::Converted;
use crate::input::convert::error::required;
use crate::input::convert::field::cgroup_from;
use crate::input::convert::field::cgroup_to;
use crate::input::convert::field::entry;
use crate::input::convert::field::key_from;
use crate::input::convert::field::key_to;
use crate::input::convert::field::missing_from;
use crate::input::convert::field::missing_to;
use crate::input::convert::field::position;
use crate::input::convert::format1;
use crate::input::messages;
use leakwatch_analysis::model::runtime::GoBuild;
use leakwatch_analysis::model::runtime::ManagedRuntime;
use leakwatch_analysis::model::runtime::ManagedRuntimeName;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample;
use leakwatch_analysis::model::sample::Limit;
use leakwatch_analysis::model::target;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::target::TargetKind;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_analysis::model::units::Timestamp;
use std::sync::Arc;

// Numbers on the wire are positions in these tables: append only.
const KINDS: [TargetKind; 3] = [TargetKind::Container, TargetKind::Service, TargetKind::Cgroup];
const MANAGED: [ManagedRuntimeName; 3] = [
    ManagedRuntimeName::Jvm,
    ManagedRuntimeName::Node,
    ManagedRuntimeName::Python,
];
const RUNTIMES: [ContainerRuntime; 4] = [
    ContainerRuntime::Containerd,
    ContainerRuntime::CriO,
    ContainerRuntime::Docker,
    ContainerRuntime::Podman,
];

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
    let container = target.container.map(|container| target::Container {
        id: container.id,
        runtime: container
            .runtime
            .and_then(|runtime| entry(&RUNTIMES, runtime, "runtime").ok()),
        pod_uid: container.pod_uid,
    });
    Ok(target::Target {
        cgroup: cgroup_from(required(target.cgroup, "cgroup")?),
        // A kind of a later version is some cgroup here.
        kind: entry(&KINDS, target.kind, "kind").unwrap_or(TargetKind::Cgroup),
        name: target.name,
        service: target.service,
        container,
        started_at: Timestamp::from_unix_nanos(target.started_at),
    })
}

fn process_to(process: &target::Process) -> messages::Process {
    let runtime = process.runtime.as_ref();
    let (go, go_build) = match runtime {
        Ok(Runtime::Go { version, build }) => (Some(version.clone()), build.as_deref().map(build_to)),
        _ => (None, None),
    };
    let managed = match runtime {
        Ok(Runtime::Managed(managed)) => Some(messages::ManagedRuntime {
            name: position(&MANAGED, &managed.name),
            version: managed.version.clone(),
            most_heap: managed.most_heap.map(|bytes| bytes.0),
            most_heap_percent: managed.most_heap_percent.map(Into::into),
        }),
        _ => None,
    };
    messages::Process {
        key: Some(key_to(process.key)),
        started_at: process.started_at.unix_nanos(),
        comm: process.comm.clone(),
        exe: process.exe.as_ref().ok().cloned(),
        exe_missing: process.exe.as_ref().err().map(missing_to),
        go,
        runtime_missing: runtime.err().map(missing_to),
        program: process.program.clone(),
        managed,
        go_build,
    }
}

fn process_from(process: messages::Process) -> Converted<target::Process> {
    let exe = match (process.exe, process.exe_missing) {
        (_, Some(missing)) => Err(missing_from(missing)),
        (exe, None) => Ok(required(exe, "exe")?),
    };
    let runtime = match (process.go, process.runtime_missing) {
        (_, Some(missing)) => Err(missing_from(missing)),
        (Some(version), None) => Ok(Runtime::Go {
            version,
            build: process.go_build.map(build_from).map(Arc::new),
        }),
        (None, None) => Ok(managed_from(process.managed)),
    };
    Ok(target::Process {
        key: key_from(process.key)?,
        started_at: Timestamp::from_unix_nanos(process.started_at),
        comm: process.comm,
        exe,
        program: process.program,
        runtime,
    })
}

fn build_to(build: &GoBuild) -> messages::GoBuild {
    messages::GoBuild {
        package: build.package.clone(),
        module: build.module.clone(),
        module_version: build.module_version.clone(),
        revision: build.revision.clone(),
        modified: build.modified,
    }
}

fn build_from(build: messages::GoBuild) -> GoBuild {
    GoBuild {
        package: build.package,
        module: build.module,
        module_version: build.module_version,
        revision: build.revision,
        modified: build.modified,
    }
}

/// A runtime of a later version is native here.
fn managed_from(managed: Option<messages::ManagedRuntime>) -> Runtime {
    let known = |managed: messages::ManagedRuntime| {
        let name = entry(&MANAGED, managed.name, "managed runtime").ok()?;
        Some(Runtime::Managed(ManagedRuntime {
            name,
            version: managed.version,
            most_heap: managed.most_heap.map(Bytes),
            most_heap_percent: managed.most_heap_percent.and_then(|percent| u8::try_from(percent).ok()),
        }))
    };
    managed.and_then(known).unwrap_or(Runtime::Native)
}

pub(super) fn sample_to(sample: &sample::Sample) -> messages::Sample {
    messages::Sample {
        target: sample.target.as_str().to_owned(),
        cgroup: sample.cgroup.as_ref().ok().map(|memory| messages::CgroupMemory {
            charge: memory.charge.0,
            limit: memory.limit.bytes().map(|limit| limit.0),
            counters: Some(counters_to(&memory.counters)),
            ..messages::CgroupMemory::default()
        }),
        cgroup_missing: sample.cgroup.as_ref().err().map(missing_to),
        new_processes: sample.new_processes.iter().map(|process| process_to(process)).collect(),
        processes: sample
            .processes
            .iter()
            .map(|process| messages::ProcessSample {
                key: Some(key_to(process.key)),
                memory: process.memory.as_ref().ok().map(|memory| messages::ProcessMemory {
                    rss: memory.rss.0,
                    anon: memory.anon.0,
                    file: memory.file.0,
                    shmem: memory.shmem.0,
                    swap: memory.swap.0,
                }),
                memory_missing: process.memory.as_ref().err().map(missing_to),
                positional: Vec::new(),
            })
            .collect(),
    }
}

pub(super) fn sample_from(at: Timestamp, sample: messages::Sample, skipped: &mut Skipped) -> Converted<sample::Sample> {
    let cgroup = match (sample.cgroup, sample.cgroup_missing) {
        (_, Some(missing)) => Err(missing_from(missing)),
        (cgroup, None) => Ok(cgroup_memory_from(required(cgroup, "cgroup")?, skipped)?),
    };
    Ok(sample::Sample {
        target: TargetId::from_text(&sample.target),
        at,
        cgroup,
        new_processes: sample
            .new_processes
            .into_iter()
            .map(|process| Ok(Arc::new(process_from(process)?)))
            .collect::<Converted<_>>()?,
        processes: sample
            .processes
            .into_iter()
            .map(process_sample_from)
            .collect::<Converted<_>>()?,
    })
}

fn process_sample_from(process: messages::ProcessSample) -> Converted<sample::ProcessSample> {
    let memory = match (process.memory_missing, process.memory) {
        (Some(missing), _) => Err(missing_from(missing)),
        (None, Some(memory)) => Ok([memory.rss, memory.anon, memory.file, memory.shmem, memory.swap]),
        (None, None) => Ok(format1::numbers(&process.positional)?),
    };
    Ok(sample::ProcessSample {
        key: key_from(process.key)?,
        memory: memory.map(|numbers| {
            let [rss, anon, file, shmem, swap] = numbers.map(Bytes);
            sample::ProcessMemory {
                rss,
                anon,
                file,
                shmem,
                swap,
            }
        }),
    })
}

fn cgroup_memory_from(mut memory: messages::CgroupMemory, skipped: &mut Skipped) -> Converted<sample::CgroupMemory> {
    Ok(sample::CgroupMemory {
        charge: Bytes(memory.charge),
        limit: memory.limit.map_or(Limit::Max, |limit| Limit::Bytes(Bytes(limit))),
        counters: match memory.counters.take() {
            Some(counters) => counters_from(counters, skipped)?,
            None => format1::counters(memory)?,
        },
    })
}
