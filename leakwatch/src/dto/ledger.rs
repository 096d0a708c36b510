//! The ledger of a cgroup as JSON.

use crate::dto::instant::Instant;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::page::LossBody;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::ledger::Absent;
use leakwatch_analysis::ledger::Ledger;
use leakwatch_analysis::ledger::LedgerLine;
use leakwatch_analysis::ledger::LineSource;
use leakwatch_analysis::ledger::PartOf;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::units::Timestamp;
use serde::Deserialize;
use serde::Serialize;
use utoipa::ToSchema;

/// The ledger of a target at one instant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = Ledger)]
pub struct LedgerBody {
    /// Id of the target.
    pub target: Option<String>,
    /// Instant of the sample.
    pub at: Option<Instant>,
    /// What the kernel charges to the cgroup.
    pub charge_bytes: Option<u64>,
    /// The lines. Those without `part_of` and the residual add up to the charge.
    pub lines: Vec<LedgerLineBody>,
    /// Charge minus the sum of the lines; negative when the kernel counts pages twice or the numbers are from different
    /// instants.
    pub residual_bytes: Option<i64>,
    /// Swap in use; not part of the charge.
    pub swap_bytes: Option<u64>,
    /// Why fields are `null`.
    pub missing: MissingMap,
    /// What was dropped since the daemon started and may affect this.
    pub losses: Vec<LossBody>,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LedgerLine)]
pub struct LedgerLineBody {
    /// Name, stable.
    pub name: String,
    /// The line it is a part of; `null` for those that add up to the charge, `residual` for what the kernel does not count.
    pub part_of: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Where the number comes from.
    pub source: String,
    /// Why `bytes` is `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

impl LedgerBody {
    /// The ledger of a target at a kept sample.
    pub fn at_point(history: &TargetHistory, point: &MemoryPoint, losses: Vec<LossBody>) -> Self {
        let ledger = Ledger::at_point(history, point);
        Self {
            target: Some(history.target.id().to_string()),
            at: Some(point.at.into()),
            losses,
            ..Self::new(ledger, MissingMap::default())
        }
    }

    /// The ledger in a post-mortem: the numbers of the last sample before the kill.
    pub fn of_memory(memory: &Reading<CgroupMemory>, at: Option<Timestamp>) -> Self {
        let mut missing = MissingMap::default();
        missing.applicable::<()>("target", None, "named in the post-mortem");
        let at = missing.applicable("at", at.map(Instant), "the cgroup was never sampled");
        Self {
            at,
            ..Self::new(Ledger::of_sample(memory), missing)
        }
    }

    fn new(ledger: Ledger, mut missing: MissingMap) -> Self {
        let residual = ledger.residual();
        Self {
            target: None,
            at: None,
            charge_bytes: missing.take_owned("charge_bytes", ledger.charge, |charge| charge.0),
            residual_bytes: missing.applicable("residual_bytes", residual, "not all lines are known"),
            lines: ledger.lines.into_iter().map(LedgerLineBody::from).collect(),
            swap_bytes: missing.take_owned("swap_bytes", ledger.swap, |swap| swap.0),
            missing,
            losses: Vec::new(),
        }
    }
}

impl From<LedgerLine> for LedgerLineBody {
    fn from(line: LedgerLine) -> Self {
        let mut missing = MissingMap::default();
        let part_of = match line.part_of {
            PartOf::Charge => missing.applicable("part_of", None, "it is a line of its own"),
            PartOf::Line(whole) => Some(whole.name().to_owned()),
            PartOf::Residual => Some("residual".to_owned()),
        };
        let bytes = match line.bytes {
            Ok(bytes) => Some(bytes.0),
            Err(absent) => {
                missing.note("bytes", absent.into());
                None
            }
        };
        Self {
            name: line.kind.name().to_owned(),
            part_of,
            bytes,
            source: source(line.source),
            missing,
        }
    }
}

impl From<Absent> for MissingBody {
    fn from(absent: Absent) -> Self {
        match absent {
            Absent::Missing(missing) => (&missing).into(),
            Absent::NotApplicable(detail) => Self {
                reason: Reason::NotApplicable,
                detail: detail.to_owned(),
                fix: None,
            },
        }
    }
}

fn source(source: LineSource) -> String {
    match source {
        LineSource::Named(name) => name.to_owned(),
        LineSource::Runtime { process, at, field } => {
            format!("runtime of process {} at {}: {field}", process.pid, Instant(at))
        }
        LineSource::HeapProfile { at } => {
            format!(
                "heap profile of {}, objects live after the last garbage collection",
                Instant(at)
            )
        }
    }
}
