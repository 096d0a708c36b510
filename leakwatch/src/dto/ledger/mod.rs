//! The cgroup's charge split into lines that add up, with the residual shown.

mod go;

use crate::dto::instant::Instant;
use crate::dto::missing::MissingBody;
use crate::dto::missing::MissingMap;
use crate::dto::missing::Reason;
use crate::dto::page::LossBody;
use leakwatch_analysis::history::MemoryPoint;
use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::sample::CgroupMemory;
use leakwatch_analysis::model::units::Bytes;
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
    /// The line it is a part of; `null` for those that add up to the charge.
    pub part_of: Option<String>,
    /// Its size.
    pub bytes: Option<u64>,
    /// Where the number comes from.
    pub source: String,
    /// Why `bytes` is `null`.
    #[serde(skip_serializing_if = "MissingMap::is_empty", default)]
    pub missing: MissingMap,
}

/// Parts that this daemon cannot tell apart yet: name, the line they are in, and what will tell.
const PARTS_UNKNOWN: [(&str, &str, &str); 8] = [
    ("native_live", "anonymous", "allocator probes"),
    ("native_free", "anonymous", "allocator probes"),
    ("thread_stacks", "anonymous", "/proc/PID/smaps"),
    ("slab", "kernel", "memory.stat slab"),
    ("sockets", "kernel", "memory.stat sock"),
    ("page_tables", "kernel", "memory.stat pagetables"),
    ("kernel_stacks", "kernel", "memory.stat kernel_stack"),
    ("kernel_other", "kernel", "memory.stat kernel"),
];

/// The numbers that the lines are made of.
struct Numbers {
    anon: Option<u64>,
    file: Option<u64>,
    shmem: Option<u64>,
    kernel: Option<u64>,
}

impl LedgerBody {
    /// The ledger of a target at a kept sample.
    pub fn at_point(history: &TargetHistory, point: &MemoryPoint, losses: Vec<LossBody>) -> Self {
        let mut missing = MissingMap::default();
        let bytes = |bytes: Bytes| bytes.0;
        let numbers = Numbers {
            anon: point.anon.bytes().map(bytes),
            file: point.file.bytes().map(bytes),
            shmem: point.shmem.bytes().map(bytes),
            kernel: point.kernel.bytes().map(bytes),
        };
        let why = stat_missing(&history.newest);
        let mut lines = totals(&numbers, &why);
        lines.extend(go::lines(history, point.at));
        lines.extend(
            PARTS_UNKNOWN
                .iter()
                .map(|(name, part_of, source)| unknown_part(name, part_of, source)),
        );
        let swap = if point.at == history.newest_at {
            history
                .newest
                .as_ref()
                .map_err(Clone::clone)
                .and_then(|memory| memory.swap.clone())
        } else {
            Err(leakwatch_analysis::model::reading::Missing::new(
                leakwatch_analysis::model::reading::MissingReason::Unsupported,
                "swap is kept of the newest sample only",
            ))
        };
        Self {
            target: Some(history.target.id().to_string()),
            at: Some(point.at.into()),
            charge_bytes: Some(point.charge.0),
            residual_bytes: residual(point.charge.0, &lines, &mut missing),
            lines,
            swap_bytes: missing.take_owned("swap_bytes", swap, bytes),
            missing,
            losses,
        }
    }

    /// The ledger in a post-mortem: the numbers of the last sample before the kill.
    pub fn at_death(memory: &Reading<CgroupMemory>, at: Option<Timestamp>) -> Self {
        let mut missing = MissingMap::default();
        missing.applicable::<()>("target", None, "named in the post-mortem");
        let at = missing.applicable("at", at.map(Instant), "the cgroup was never sampled");
        let stat = memory.as_ref().ok().and_then(|memory| memory.stat.as_ref().ok());
        let numbers = Numbers {
            anon: stat.map(|stat| stat.anon.0),
            file: stat.map(|stat| stat.active_file.saturating_add(stat.inactive_file).0),
            shmem: stat.map(|stat| stat.shmem.0),
            kernel: stat.map(|stat| stat.kernel.0),
        };
        let lines = totals(&numbers, &stat_missing(memory));
        let charge = missing.take("charge_bytes", memory.as_ref(), |memory| memory.charge.0);
        let swap = memory
            .as_ref()
            .map_err(Clone::clone)
            .and_then(|memory| memory.swap.clone());
        Self {
            target: None,
            at,
            charge_bytes: charge,
            residual_bytes: charge
                .and_then(|charge| residual(charge, &lines, &mut missing))
                .or_else(|| missing.applicable("residual_bytes", None, "not all lines are known")),
            lines,
            swap_bytes: missing.take_owned("swap_bytes", swap, |swap| swap.0),
            missing,
            losses: Vec::new(),
        }
    }
}

fn totals(numbers: &Numbers, why: &MissingBody) -> Vec<LedgerLineBody> {
    let line = |name: &str, bytes: Option<u64>, source: &str| {
        let mut missing = MissingMap::default();
        missing.applicable::<()>("part_of", None, "it is a line of its own");
        if bytes.is_none() {
            missing.note("bytes", why.clone());
        }
        LedgerLineBody {
            name: name.to_owned(),
            part_of: None,
            bytes,
            source: source.to_owned(),
            missing,
        }
    };
    vec![
        line("anonymous", numbers.anon, "memory.stat: anon (v2) or total_rss (v1)"),
        line("file", numbers.file, "memory.stat: active_file + inactive_file"),
        line("shmem", numbers.shmem, "memory.stat: shmem"),
        line(
            "kernel",
            numbers.kernel,
            "memory.stat: kernel (v2) or memory.kmem.usage_in_bytes (v1)",
        ),
    ]
}

fn unknown_part(name: &str, part_of: &str, source: &str) -> LedgerLineBody {
    let mut missing = MissingMap::default();
    let detail = format!("this version does not read {source}; it is counted in {part_of}");
    missing.note(
        "bytes",
        MissingBody {
            reason: Reason::Unsupported,
            detail,
            fix: None,
        },
    );
    LedgerLineBody {
        name: name.to_owned(),
        part_of: Some(part_of.to_owned()),
        bytes: None,
        source: source.to_owned(),
        missing,
    }
}

fn residual(charge: u64, lines: &[LedgerLineBody], missing: &mut MissingMap) -> Option<i64> {
    let sum = lines
        .iter()
        .filter(|line| line.part_of.is_none())
        .try_fold(0_u64, |sum, line| line.bytes.map(|bytes| sum.saturating_add(bytes)));
    let residual = sum.map(|sum| {
        let difference = i128::from(charge) - i128::from(sum);
        i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX })
    });
    missing.applicable("residual_bytes", residual, "not all lines are known")
}

fn stat_missing(memory: &Reading<CgroupMemory>) -> MissingBody {
    match memory {
        Err(missing) => missing.into(),
        Ok(memory) => memory.stat.as_ref().err().map_or_else(
            || MissingBody {
                reason: Reason::NotYet,
                detail: "memory.stat was not read in this sample".to_owned(),
                fix: None,
            },
            MissingBody::from,
        ),
    }
}
