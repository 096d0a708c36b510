//! `oom:mark_victim`: the OOM killer chose a victim.

use crate::clock::Clock;
use crate::probes::decode;
use crate::probes::decode::DecodeError;
use crate::probes::decode::Recent;
use crate::probes::event::ProbeEvent;
use crate::probes::hook::Hook;
use crate::probes::hook::Programs;
use crate::probes::hook::Ring;
use crate::probes::hooks::requirement;
use crate::probes::offsets;
use crate::probes::ring;
use crate::probes::scope::OomCallers;
use crate::probes::scope::OomEvidence;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomMemcg;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;
use leakwatch_common::event;
use leakwatch_common::event::MemcgLevel;
use leakwatch_common::event::OomMarkVictim;
use leakwatch_common::event::present;
use std::time::Duration;

/// The program that gets the victim's task.
pub const BY_TASK: Programs = Programs::RawTracepoint {
    program: "oom_mark_victim",
    tracepoint: "mark_victim",
};

/// The one that gets the fields of the tracepoint.
pub const BY_FORMAT: Programs = Programs::Tracepoint {
    program: "oom_mark_victim_format",
    category: "oom",
    tracepoint: "mark_victim",
};

/// Its row.
pub static HOOK: Hook = Hook {
    name: "oom:mark_victim",
    without: "a kill shows in the cgroup's own counter only, and its post-mortem does not know the victim",
    fix: "needs tracefs: mount -t tracefs tracefs /sys/kernel/tracing, as root",
    programs: |facts, offsets| {
        if facts.btf.as_ref().is_ok_and(offsets::mark_victim_has_task) && offsets.task_pid != ABSENT {
            return Ok(BY_TASK);
        }
        match &facts.mark_victim_format {
            Ok(_) if offsets.format_pid == ABSENT => Err(Missing::new(
                MissingReason::Malformed,
                "the tracepoint oom:mark_victim has no pid",
            )),
            Ok(_) => Ok(BY_FORMAT),
            Err(missing) => Err(missing.clone()),
        }
    },
    // A hundred kills of five KiB each.
    ring: Ring {
        map: "OOM_EVENTS",
        bytes: 512 * 1024,
    },
    drain: |source, ring| {
        let mut decoder = Decoder::new(source.clock, source.oom_callers.clone());
        ring::drain(source, ring, Duration::ZERO, move |record| {
            let kill = decoder.decode(record)?;
            Ok(kill.map(Box::new).map(ProbeEvent::OomKill))
        })
    },
};

/// Where the memory breakdown of a victim comes from, with these programs.
pub fn victim_memory(programs: Programs, offsets: &ProbeConfig) -> Reading<&'static str> {
    let (source, offset) = match programs {
        BY_FORMAT => ("fields of oom:mark_victim", offsets.format_anon_rss),
        _ => ("mm_struct", offsets.mm_rss_anon),
    };
    told(offset, source, "the resident memory of a victim")
}

/// Where the memory cgroup of a victim comes from, with these programs.
pub fn victim_cgroup(programs: Programs, offsets: &ProbeConfig) -> Reading<&'static str> {
    let source = match programs {
        BY_FORMAT => "task_struct, where the victim itself asked for the memory",
        _ => "task_struct",
    };
    let needed = [
        offsets.task_cgroups,
        offsets.css_set_memory,
        offsets.css_cgroup,
        offsets.cgroup_kn,
        offsets.kernfs_node_id,
        offsets.kernfs_node_name,
        offsets.memcg_usage,
        offsets.memcg_max,
    ];
    told(
        needed.into_iter().max().unwrap_or(ABSENT),
        source,
        "the memory cgroup of a victim",
    )
}

fn told(offset: u32, source: &'static str, what: &str) -> Reading<&'static str> {
    if offset == ABSENT {
        return Err(
            Missing::new(MissingReason::Unsupported, format!("this kernel does not tell {what}"))
                .with_fix(requirement::NEEDS_BTF),
        );
    }
    Ok(source)
}

/// Turns records into kills.
#[derive(Debug)]
struct Decoder {
    clock: Clock,
    page_size: u64,
    callers: OomCallers,
    recent: Recent,
}

impl Decoder {
    fn new(clock: Clock, callers: OomCallers) -> Self {
        Self {
            clock,
            page_size: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            callers,
            recent: Recent::default(),
        }
    }

    /// `None` if it is no kill of its own: another thread of a victim already reported, or a task
    /// that was exiting anyway.
    fn decode(&mut self, bytes: &[u8]) -> Result<Option<OomKill>, DecodeError> {
        let record: OomMarkVictim = decode::read(bytes)?;
        let levels = counted("memcg_level_count", &record.memcg_levels, record.memcg_level_count)?;
        let frames = counted("kernel_frame_count", &record.kernel_frames, record.kernel_frame_count)?;
        let has = |bit: u32| record.present & bit != 0;
        let pid = if has(present::PID) {
            record.victim_pid
        } else {
            record.victim_tid
        };
        let start_ticks = has(present::START).then(|| decode::ticks(record.start_boot_nanos));
        let OomEvidence { scope, killed } = self.callers.judge(frames);
        let mut known = || start_ticks.is_some_and(|start_ticks| self.recent.has_seen(ProcessKey { pid, start_ticks }));
        if !killed || known() {
            return Ok(None);
        }
        let scope = scope.or_else(|| self.scope_of_levels(levels)).ok_or_else(|| {
            decode::unsupported("neither the kernel stack nor the cgroup's counters tell which memory ran out")
                .with_fix("make kernel symbols readable: sysctl kernel.kptr_restrict=1 and CAP_SYSLOG")
        });
        let memory = |bit: u32, name: &str, value: Bytes| {
            if has(bit) {
                Ok(value)
            } else {
                Err(decode::unsupported(format!(
                    "this kernel does not tell {name} of a victim"
                )))
            }
        };
        let resident = |value| {
            if has(present::RSS_IN_PAGES) {
                Bytes::from_pages(value, self.page_size)
            } else {
                Bytes::from_kib(value)
            }
        };
        Ok(Some(OomKill {
            at: self.clock.from_boot_nanos(record.boot_nanos),
            cgroup: cgroup(levels),
            memcg: scope.clone().and_then(|scope| self.exhausted(scope, levels)),
            scope,
            victim: OomVictim {
                pid,
                start_ticks,
                comm: decode::text(&record.victim_comm),
                rss_anon: memory(present::RSS, "rss_anon", resident(record.rss_anon)),
                rss_file: memory(present::RSS, "rss_file", resident(record.rss_file)),
                rss_shmem: memory(present::RSS, "rss_shmem", resident(record.rss_shmem)),
                page_tables: memory(present::PAGE_TABLES, "page tables", Bytes(record.page_table_bytes)),
                oom_score_adj: match i16::try_from(record.oom_score_adj) {
                    Ok(adj) if has(present::OOM_SCORE_ADJ) => Ok(adj),
                    _ => Err(decode::unsupported(
                        "this kernel does not tell oom_score_adj of a victim",
                    )),
                },
                read_at_death: has(present::FINAL_HEAP),
            },
            trigger: OomTrigger {
                pid: record.trigger_pid,
                comm: decode::text(&record.trigger_comm),
            },
        }))
    }

    /// Where the stack does not tell: without any limit on the way to the root it was the machine's memory; at a limit, the cgroup's.
    fn scope_of_levels(&self, levels: &[MemcgLevel]) -> Option<OomScope> {
        // A charge is made for up to 64 pages at once (MEMCG_CHARGE_BATCH), so usage stays that far below the limit.
        const CHARGE_BATCH_PAGES: u64 = 64;
        let complete = levels.last().is_some_and(is_root);
        match self.tightest(levels) {
            Some(level) if headroom(level) <= CHARGE_BATCH_PAGES => Some(OomScope::Memcg),
            None if complete => Some(OomScope::Global),
            _ => None,
        }
    }

    /// The cgroup that ran out: of those with a limit, the one with the least room below it.
    fn exhausted(&self, scope: OomScope, levels: &[MemcgLevel]) -> Reading<OomMemcg> {
        if scope == OomScope::Global {
            return Err(decode::unsupported("the machine's memory ran out, not a cgroup's"));
        }
        let level = self
            .tightest(levels)
            .ok_or_else(|| decode::unsupported("no memory cgroup of the victim has a limit"))?;
        let inner = levels
            .iter()
            .take_while(|other| other.cgroup_id != level.cgroup_id)
            .count();
        Ok(OomMemcg {
            cgroup: cgroup(levels.get(inner..).unwrap_or_default())?,
            limit: Bytes::from_pages(level.limit_pages, self.page_size),
            charge: Bytes::from_pages(level.usage_pages, self.page_size),
        })
    }

    /// Of several with equal room the innermost: the kernel charges from the inside out and stops at the first that is full.
    fn tightest<'a>(&self, levels: &'a [MemcgLevel]) -> Option<&'a MemcgLevel> {
        let unlimited = i64::MAX.unsigned_abs() / self.page_size;
        levels
            .iter()
            .filter(|level| level.limit_pages < unlimited)
            .min_by_key(|level| headroom(level))
    }
}

fn headroom(level: &MemcgLevel) -> u64 {
    level.limit_pages.saturating_sub(level.usage_pages)
}

fn is_root(level: &MemcgLevel) -> bool {
    level.name.first() == Some(&0)
}

/// Identity of the first of `levels`, its path put together from the names up to the root.
fn cgroup(levels: &[MemcgLevel]) -> Reading<CgroupKey> {
    let (Some(first), Some(last)) = (levels.first(), levels.last()) else {
        return Err(decode::unsupported("the victim's memory cgroup could not be read")
            .with_fix("needs a kernel with type information (CONFIG_DEBUG_INFO_BTF)"));
    };
    if !is_root(last) {
        return Err(Missing::new(
            MissingReason::TooLarge,
            format!(
                "cgroup {} is deeper than {} levels",
                first.cgroup_id,
                event::MEMCG_LEVELS
            ),
        ));
    }
    let names = levels.iter().rev().skip(1).map(|level| decode::text(&level.name));
    let path = names.fold(String::new(), |path, name| path + "/" + &name);
    Ok(CgroupKey {
        inode: first.cgroup_id,
        path: if path.is_empty() { "/".to_owned() } else { path },
    })
}

fn counted<'a, T>(field: &'static str, array: &'a [T], count: u32) -> Result<&'a [T], DecodeError> {
    usize::try_from(count)
        .ok()
        .and_then(|length| array.get(..length))
        .ok_or(DecodeError::Count { field, count })
}
