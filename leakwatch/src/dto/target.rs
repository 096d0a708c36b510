//! A target with its newest numbers, processes and verdict.

use crate::dto::instant::Instant;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::page::LossBody;
use crate::dto::ruling::MuteBody;
use crate::dto::verdict::VerdictBody;
use crate::query::fingerprint::fingerprint;
use crate::store::view::TargetView;
use crate::store::view::View;
use leakwatch_analysis::history::ProcessRecord;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::runtime::GoBuild;
use leakwatch_analysis::model::runtime::Runtime;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::sample::LimitSource;
use leakwatch_analysis::model::target::ContainerRuntime;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Bytes;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// One target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Target)]
pub struct TargetBody {
    /// Opaque, stable for the life of the cgroup.
    pub id: String,
    /// `container`, `service` or `cgroup`.
    pub kind: String,
    /// Short human name.
    pub name: String,
    /// The service it is a replica of.
    pub service: String,
    /// Kubernetes namespace.
    pub namespace: Option<String>,
    /// Kubernetes pod.
    pub pod: Option<String>,
    /// Uid of the Kubernetes pod.
    pub pod_uid: Option<String>,
    /// Full id of the container.
    pub container_id: Option<String>,
    /// `containerd`, `crio`, `docker` or `podman`.
    pub container_runtime: Option<String>,
    /// Below the hierarchy's root.
    pub cgroup_path: String,
    /// Creation of the cgroup, else first seen.
    pub started_at: Instant,
    /// When the cgroup was removed.
    pub gone_at: Option<Instant>,
    /// Id of the target in which that run of the service was that ended last before this target began. Its profiles and its runs are served as long as they are kept.
    pub predecessor: Option<String>,
    /// Instant of the numbers.
    pub sampled_at: Option<Instant>,
    /// The newest numbers.
    pub memory: MemoryBody,
    /// Living processes, the largest first.
    pub processes: Vec<ProcessBody>,
    /// OOM kills seen in this cgroup.
    pub oom_kills: u64,
    /// What is going on.
    pub verdict: Option<VerdictBody>,
    /// One name for the leak, the same on all replicas and hosts: of service, program and function.
    pub fingerprint: Option<String>,
    /// Why its leaks and kills alert nobody, and until when.
    pub muted: Option<MuteBody>,
    /// Why fields are `null`.
    pub missing: MissingMap,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// Memory of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Memory)]
pub struct MemoryBody {
    /// What the kernel charges to the cgroup.
    pub charge_bytes: Option<u64>,
    /// Resident memory of all processes; shared pages count once per process.
    pub rss_bytes: Option<u64>,
    /// Charge minus inactive file pages.
    pub working_set_bytes: Option<u64>,
    /// Charge minus all page cache that can be dropped: what has to fit below the limit.
    pub unreclaimable_bytes: Option<u64>,
    /// The tightest limit on the way to the root; `null` also when there is none.
    pub limit_bytes: Option<u64>,
    /// Who has that limit: `own`, `ancestor` (a cgroup around it, shared by all below) or `node` (none is set: there is the machine's memory).
    pub limit_source: Option<String>,
    /// The cgroup that has the limit.
    pub limit_cgroup_path: Option<String>,
    /// How far the memory that cannot be reclaimed may still grow: to the limit, less what others below the same limit hold, or to the end of the machine's
    /// memory. What forecasts go by.
    pub room_bytes: Option<u64>,
    /// Swap in use.
    pub swap_bytes: Option<u64>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// A process of a target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Process)]
pub struct ProcessBody {
    /// Opaque, stable for the life of the process.
    pub id: String,
    /// Process id in the daemon's pid namespace.
    pub pid: u32,
    /// When it started.
    pub started_at: Instant,
    /// The executable, as the process sees it.
    pub exe: Option<String>,
    /// Command name.
    pub comm: String,
    /// `go`, `jvm`, `node`, `python` or `native`.
    pub runtime: Option<String>,
    /// Version of the runtime.
    pub runtime_version: Option<String>,
    /// From which sources it was built, as its own build information says.
    pub build: Option<BuildBody>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// From which sources a program was built.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Build)]
pub struct BuildBody {
    /// Import path of the main package.
    pub package: String,
    /// Path of the main module.
    pub module: String,
    /// Version of the main module; `(devel)` of a build in a checkout that Go could not date.
    pub module_version: Option<String>,
    /// Commit that was checked out.
    pub revision: Option<String>,
    /// Whether the checkout had changes that are not in that commit.
    pub modified: Option<bool>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl From<&GoBuild> for BuildBody {
    fn from(build: &GoBuild) -> Self {
        let mut missing = MissingMap::default();
        let unrecorded = "the linker recorded none: it was not built in a checkout, or with -buildvcs=false";
        Self {
            package: build.package.clone(),
            module: build.module.clone(),
            module_version: missing.applicable("module_version", build.module_version.clone(), unrecorded),
            revision: missing.applicable("revision", build.revision.clone(), unrecorded),
            modified: missing.applicable("modified", build.modified, unrecorded),
            missing,
        }
    }
}

impl TargetBody {
    /// A stored target.
    pub fn new(view: &View, stored: &TargetView, predecessor: Option<&TargetId>, losses: Vec<LossBody>) -> Self {
        let history = &stored.history;
        let target = &history.target;
        let id = target.id();
        let mut missing = MissingMap::default();
        let container = target.container.as_ref();
        let no_container = "it is not a container";
        let pod_uid = container.and_then(|container| container.pod_uid.clone());
        if pod_uid.is_some() {
            for field in ["namespace", "pod"] {
                missing.note(field, kubernetes_names());
            }
        } else {
            for field in ["namespace", "pod", "pod_uid"] {
                missing.applicable::<()>(field, None, "it is not in a Kubernetes pod");
            }
        }
        let runtime = container.and_then(|container| container.runtime).map(runtime_name);
        let sampled = !history.points.all().is_empty();
        let verdict = stored
            .investigation
            .as_ref()
            .map(|made| VerdictBody::new(&id, &made.verdict));
        if verdict.is_none() {
            missing.note(
                "verdict",
                not_yet("it is judged at the end of the first round of samples"),
            );
        }
        if !sampled {
            missing.note("sampled_at", not_yet("no sample taken yet"));
        }
        let leak = stored.verdict().filter(|verdict| verdict.class.is_leak());
        let fingerprint = leak.and_then(|verdict| fingerprint(stored, verdict));
        let mut living: Vec<&ProcessRecord> = history.living().collect();
        living.sort_by_key(|record| std::cmp::Reverse(record.memory.as_ref().map_or(Bytes(0), |memory| memory.rss)));
        Self {
            kind: target.kind.name().to_owned(),
            name: target.name.clone(),
            service: target.service.clone(),
            namespace: None,
            pod: None,
            pod_uid,
            container_id: missing.applicable(
                "container_id",
                container.map(|container| container.id.clone()),
                no_container,
            ),
            container_runtime: missing.applicable(
                "container_runtime",
                runtime.map(str::to_owned),
                if container.is_some() {
                    "the cgroup path does not tell"
                } else {
                    no_container
                },
            ),
            cgroup_path: target.cgroup.path.clone(),
            started_at: target.started_at.into(),
            predecessor: missing.applicable(
                "predecessor",
                predecessor.map(ToString::to_string),
                "no run of its service is known that ended before it began",
            ),
            gone_at: missing.applicable("gone_at", history.gone_at.map(Instant), "it is still there"),
            sampled_at: sampled.then_some(Instant(history.newest_at)),
            memory: MemoryBody::new(history),
            processes: living.into_iter().map(ProcessBody::from).collect(),
            oom_kills: history.oom_kill_count,
            verdict,
            fingerprint: missing.applicable("fingerprint", fingerprint, "no leak is claimed"),
            muted: missing.applicable(
                "muted",
                view.mute_of(stored).and_then(MuteBody::of),
                "nobody has muted it",
            ),
            missing,
            losses,
            id: id.to_string(),
        }
    }
}

impl MemoryBody {
    fn new(history: &TargetHistory) -> Self {
        let mut missing = MissingMap::default();
        let newest = &history.newest;
        let read = |part: fn(&CgroupMemory) -> Reading<Bytes>| -> Reading<Bytes> {
            newest.as_ref().map_err(Clone::clone).and_then(part)
        };
        let bytes = |bytes: Bytes| bytes.0;
        let limit = missing.take("limit_bytes", newest.as_ref(), |memory| memory.limit.bytes());
        let source = newest.as_ref().ok().and_then(CgroupMemory::limit_source);
        let room = newest.as_ref().ok().and_then(|memory| {
            let ceiling = memory.ceiling()?;
            Some(ceiling.saturating_sub(memory.unreclaimable().ok()?).0)
        });
        let path = source.and_then(|source| holder(&history.target.cgroup.path, source));
        let unknown = "it was not found out who has it";
        Self {
            charge_bytes: missing.take_owned("charge_bytes", read(|memory| Ok(memory.charge)), bytes),
            rss_bytes: missing.take_owned("rss_bytes", resident(history), bytes),
            working_set_bytes: missing.take_owned("working_set_bytes", read(CgroupMemory::working_set), bytes),
            unreclaimable_bytes: missing.take_owned("unreclaimable_bytes", read(CgroupMemory::unreclaimable), bytes),
            limit_bytes: missing.applicable("limit_bytes", limit.flatten().map(bytes), "no limit is set"),
            limit_source: missing.applicable("limit_source", source.map(|source| source.name().to_owned()), unknown),
            limit_cgroup_path: missing.applicable("limit_cgroup_path", path, "no cgroup is known to have it"),
            room_bytes: missing.applicable("room_bytes", room, "neither a limit nor the machine's memory is known"),
            swap_bytes: missing.take_owned("swap_bytes", read(CgroupMemory::swap), bytes),
            missing,
        }
    }
}

/// The cgroup that has the limit of another one.
fn holder(path: &str, source: LimitSource) -> Option<String> {
    let levels = match source {
        LimitSource::Own => 0,
        LimitSource::Ancestor(levels) => usize::try_from(levels).ok()?,
        LimitSource::Node => return None,
    };
    let mut components: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    let kept = components.len().checked_sub(levels)?;
    components.truncate(kept);
    Some(format!("/{}", components.join("/")))
}

/// Sum over the living processes, unless one of them could not be read.
fn resident(history: &TargetHistory) -> Reading<Bytes> {
    history.newest.as_ref().map_err(Missing::clone)?;
    history.living().try_fold(Bytes(0), |sum, record| {
        record
            .memory
            .as_ref()
            .map(|memory| sum.saturating_add(memory.rss))
            .map_err(Missing::clone)
    })
}

impl From<&ProcessRecord> for ProcessBody {
    fn from(record: &ProcessRecord) -> Self {
        let process = &record.process;
        let mut missing = MissingMap::default();
        let runtime = missing.take("runtime", process.runtime.as_ref(), Clone::clone);
        let (runtime, version, build) = match runtime {
            Some(Runtime::Go { version, build }) => (Some("go".to_owned()), Some(version), build),
            Some(Runtime::Managed(managed)) => (Some(managed.name.name().to_owned()), managed.version, None),
            Some(Runtime::Native) => (Some("native".to_owned()), None, None),
            None => (None, None, None),
        };
        Self {
            id: process.key.to_string(),
            pid: process.key.pid,
            started_at: process.started_at.into(),
            exe: missing.take("exe", process.exe.as_ref(), Clone::clone),
            comm: process.comm.clone(),
            runtime,
            runtime_version: missing.applicable("runtime_version", version, "no runtime with a version is known in it"),
            build: missing.applicable(
                "build",
                build.as_deref().map(BuildBody::from),
                "only programs in Go that were built with modules tell",
            ),
            rss_bytes: missing.take("rss_bytes", record.memory.as_ref(), |memory| memory.rss.0),
            missing,
        }
    }
}

const fn runtime_name(runtime: ContainerRuntime) -> &'static str {
    match runtime {
        ContainerRuntime::Containerd => "containerd",
        ContainerRuntime::CriO => "crio",
        ContainerRuntime::Docker => "docker",
        ContainerRuntime::Podman => "podman",
    }
}

fn kubernetes_names() -> MissingBody {
    MissingBody {
        reason: Reason::Unsupported,
        detail: "the container runtime is not asked for names; pod_uid tells the pod".to_owned(),
        fix: None,
    }
}

fn not_yet(detail: &str) -> MissingBody {
    MissingBody {
        reason: Reason::NotYet,
        detail: detail.to_owned(),
        fix: None,
    }
}
