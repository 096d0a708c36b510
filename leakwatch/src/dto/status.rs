//! The daemon about itself.

use crate::capture::Capture;
use crate::dto::instant::Instant;
use crate::dto::missing::MissingMap;
use crate::dto::number::finite;
use crate::dto::page::LossBody;
use crate::previous_run::End;
use crate::previous_run::PreviousRun;
use crate::store::disk;
use leakwatch_analysis::model::event::ConfigReload;
use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::units::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// What the daemon is doing and what it costs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Status)]
pub struct StatusBody {
    /// Version of the daemon.
    pub version: String,
    /// The host it watches.
    pub host: HostBody,
    /// When it started.
    pub started_at: Instant,
    /// Time since then.
    pub uptime_seconds: f64,
    /// Its own use of resources.
    pub own: OwnBody,
    /// What it keeps at most.
    pub bounds: BoundsBody,
    /// Ways of looking, with their state.
    pub lanes: Vec<LaneBody>,
    /// Captures that are running, and what they cost.
    pub captures: Vec<RunningCaptureBody>,
    /// What was dropped, by reason.
    pub losses: Vec<LossBody>,
    /// What it keeps now.
    pub store: StoreBody,
    /// Settings that were overridden or look like a mistake; more memory of the daemon itself than it should have; a daemon before it that was killed.
    pub warnings: Vec<String>,
    /// Where sources can be read.
    pub source: SourceBody,
    /// The daemon before this one, if it did not end by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous_run: Option<PreviousRunBody>,
    /// The newest reload of the configuration, if there was one since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_reload: Option<ConfigReloadBody>,
}

/// A reload of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = ConfigReload)]
pub struct ConfigReloadBody {
    /// When.
    pub at: Instant,
    /// Why the configuration before is still in force; `null` when the new one is.
    pub refused: Option<String>,
    /// Settings with a new value that is in force.
    pub applied: Vec<String>,
    /// Settings with a new value that a restart of the daemon puts in force.
    pub need_restart: Vec<String>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

impl From<&ConfigReload> for ConfigReloadBody {
    fn from(reload: &ConfigReload) -> Self {
        let mut missing = MissingMap::default();
        let changes = reload.outcome.clone().unwrap_or_default();
        let refused = reload.outcome.as_ref().err().cloned();
        Self {
            at: reload.at.into(),
            refused: missing.applicable("refused", refused, "the configuration was loaded"),
            applied: changes.applied.iter().map(ToString::to_string).collect(),
            need_restart: changes.need_restart.iter().map(ToString::to_string).collect(),
            missing,
        }
    }
}

/// Where sources can be read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Source)]
pub struct SourceBody {
    /// Address of a line, with `{repository}`, `{commit}`, `{path}`, `{file}` and `{line}` to be filled in.
    pub url_template: Option<String>,
    /// Why fields are `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl SourceBody {
    /// As it is configured.
    pub fn new(template: Option<String>) -> Self {
        let mut missing = MissingMap::default();
        Self {
            url_template: missing.applicable("url_template", template, "[source] url_template is not set"),
            missing,
        }
    }
}

/// What tells the data of two hosts apart.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Host)]
pub struct HostBody {
    /// Id of the installation (`/etc/machine-id`).
    pub machine_id: Option<String>,
    /// Id of this boot of it.
    pub boot_id: Option<String>,
    /// Its name in the network.
    pub node_name: Option<String>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

impl From<&HostIdentity> for HostBody {
    fn from(host: &HostIdentity) -> Self {
        let mut missing = MissingMap::default();
        Self {
            machine_id: missing.take("machine_id", host.machine_id.as_ref(), String::clone),
            boot_id: missing.take("boot_id", host.boot_id.as_ref(), String::clone),
            node_name: missing.take("node_name", host.node_name.as_ref(), String::clone),
            missing,
        }
    }
}

/// A capture that is running.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = RunningCapture)]
pub struct RunningCaptureBody {
    /// Its id.
    pub id: String,
    /// Id of the target.
    pub target: String,
    /// What it looks at.
    pub lane: String,
    /// Processor time that it has cost the process.
    pub cpu_seconds: f64,
    /// The same in percent of what the process has used by itself meanwhile; absent while that is nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_percent: Option<f64>,
    /// The budget.
    pub cpu_budget_percent: f64,
    /// Whether its probes are attached at the moment.
    pub attached: bool,
}

impl From<&Capture> for RunningCaptureBody {
    fn from(capture: &Capture) -> Self {
        let spent = capture.overhead.as_secs_f64();
        let own = capture.used.saturating_sub(capture.overhead).as_secs_f64();
        Self {
            id: capture.id.clone(),
            target: capture.request.target.to_string(),
            lane: capture.request.lane.name.to_owned(),
            cpu_seconds: spent,
            cpu_percent: finite(100.0 * spent / own),
            cpu_budget_percent: capture.request.cpu_budget.percent,
            attached: capture.attached,
        }
    }
}

/// The daemon's own use of resources.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Own)]
pub struct OwnBody {
    /// Processor time since it started.
    pub cpu_seconds: f64,
    /// The same per second of uptime, in percent of one core.
    pub cpu_percent: Option<f64>,
    /// Resident memory.
    pub rss_bytes: Option<u64>,
    /// What is allocated, by the allocator's own count.
    pub allocated_bytes: Option<u64>,
    /// Kernel memory of its eBPF maps.
    pub bpf_map_bytes: Option<u64>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

const WITH_HOST: &str = "with_host";

/// A daemon that did not end by itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = PreviousRun)]
pub struct PreviousRunBody {
    /// Its process id.
    pub pid: u32,
    /// `out_of_memory`, `with_host` or `unknown`.
    pub end: String,
    /// The same in a sentence, with what the kernel says.
    pub detail: String,
}

impl PreviousRunBody {
    /// Whether the host went on without it.
    pub fn was_killed(&self) -> bool {
        self.end != WITH_HOST
    }
}

impl From<&PreviousRun> for PreviousRunBody {
    fn from(previous: &PreviousRun) -> Self {
        let end = match previous.end {
            End::WithHost => WITH_HOST,
            End::OutOfMemory(_) => "out_of_memory",
            End::Unknown => "unknown",
        };
        Self {
            pid: previous.pid,
            end: end.to_owned(),
            detail: previous.to_string(),
        }
    }
}

/// What is kept at most.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Bounds)]
pub struct BoundsBody {
    /// Targets with a living cgroup.
    pub targets: usize,
    /// Targets whose cgroup is gone.
    pub gone_targets: usize,
    /// How long a gone target is remembered.
    pub gone_for_seconds: f64,
    /// Events.
    pub events: usize,
    /// Post-mortems.
    pub post_mortems: usize,
    /// Bytes of all profiles, those of post-mortems included: their values, their stacks and the names in them.
    pub profile_bytes: usize,
    /// Memory points per target.
    pub points_per_target: usize,
    /// Profiles per target and type.
    pub profiles_per_target_and_type: usize,
    /// Time between two samples.
    pub interval_seconds: f64,
}

/// A way of looking.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Lane)]
pub struct LaneBody {
    /// Its name.
    pub name: String,
    /// `on`, or `off`.
    pub state: String,
    /// What it does, or why it is off.
    pub detail: String,
    /// How to switch it on; `null` when there is nothing to do.
    pub fix: Option<String>,
    /// Its price in percent of one core.
    pub overhead_cpu_percent: Option<f64>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// What is kept now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = StoreSize)]
pub struct StoreBody {
    /// Targets with a living cgroup.
    pub targets: usize,
    /// Targets whose cgroup is gone.
    pub gone_targets: usize,
    /// Events.
    pub events: usize,
    /// Post-mortems.
    pub post_mortems: usize,
    /// Bytes of all profiles, those of post-mortems included: their values, their stacks and the names in them.
    pub profile_bytes: usize,
    /// What is on disk.
    pub disk: Option<DiskBody>,
    /// Why fields are `null`.
    pub missing: MissingMap,
}

/// What is kept on disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Disk)]
pub struct DiskBody {
    /// `written`, or `suspended` while nothing can be written: history is in memory alone then.
    pub state: String,
    /// Why nothing can be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suspended_because: Option<String>,
    /// Bytes, everything counted.
    pub bytes: u64,
    /// Bytes at most.
    pub max_bytes: u64,
    /// OOM kills that are pinned.
    pub pinned: usize,
    /// Bytes of files that stay because of them, whatever their age; counted in `bytes`.
    pub pinned_bytes: u64,
    /// Bytes written since the daemon started.
    pub written_bytes: u64,
    /// By tier.
    pub tiers: Vec<TierBody>,
    /// What happened to the store since it was opened: damage, formats, failures.
    pub notes: Vec<String>,
}

/// What is kept of one kind at one resolution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Tier)]
pub struct TierBody {
    /// `raw`, `minute`, `hour`, `profiles`, `otherprofiles`, `runs` or `incidents`.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub partitions: usize,
    /// Begin of the oldest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest: Option<Instant>,
}

impl DiskBody {
    /// How the store is, with the bound it keeps to.
    pub fn new(status: disk::status::Status, max_bytes: u64) -> Self {
        let tier = |(tier, held): (disk::Tier, disk::status::TierStatus)| TierBody {
            name: tier.name().to_owned(),
            bytes: held.bytes,
            partitions: held.partitions,
            oldest: held
                .oldest
                .map(|millis| Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000)).into()),
        };
        Self {
            state: if status.suspended.is_some() {
                "suspended"
            } else {
                "written"
            }
            .to_owned(),
            suspended_because: status.suspended,
            bytes: status.bytes,
            max_bytes,
            pinned: status.pinned,
            pinned_bytes: status.pinned_bytes,
            written_bytes: status.written_bytes,
            tiers: status.tiers.into_iter().map(tier).collect(),
            notes: status.notes,
        }
    }
}

impl LaneBody {
    /// A lane that works.
    pub fn on(name: &str, detail: &str) -> Self {
        Self::new(name, "on", detail.to_owned(), None)
    }

    /// A lane that does not, and why.
    pub fn off(name: &str, why: &Missing) -> Self {
        Self::new(name, "off", why.detail.clone(), why.fix.clone())
    }

    /// With its own price, in percent of one core.
    #[must_use]
    pub fn with_overhead(mut self, percent: Option<f64>) -> Self {
        let mut missing = MissingMap::default();
        self.overhead_cpu_percent = missing.applicable("overhead_cpu_percent", percent, "it has just started");
        self.missing = missing;
        self
    }

    fn new(name: &str, state: &str, detail: String, fix: Option<String>) -> Self {
        let mut missing = MissingMap::default();
        Self {
            name: name.to_owned(),
            state: state.to_owned(),
            detail,
            fix,
            overhead_cpu_percent: missing.applicable(
                "overhead_cpu_percent",
                None,
                "lanes are not told apart, own.cpu_percent is the price of all",
            ),
            missing,
        }
    }
}
