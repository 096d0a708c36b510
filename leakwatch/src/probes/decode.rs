//! Kernel records into events. Records are not trusted: every length and count is checked, nothing panics.

use super::MemcgReclaim;
use super::ProcessExec;
use super::load::nanos_per_tick;
use super::scope::OomCallers;
use super::scope::Testimony;
use crate::clock::Clock;
use leakwatch_analysis::model::event::OomKill;
use leakwatch_analysis::model::event::OomMemcg;
use leakwatch_analysis::model::event::OomScope;
use leakwatch_analysis::model::event::OomTrigger;
use leakwatch_analysis::model::event::OomVictim;
use leakwatch_analysis::model::event::ProcessExit;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use leakwatch_analysis::model::target::CgroupKey;
use leakwatch_analysis::model::target::ProcessKey;
use leakwatch_analysis::model::units::Bytes;
use leakwatch_common::event;
use leakwatch_common::event::MemcgLevel;
use leakwatch_common::event::OomMarkVictim;
use leakwatch_common::event::present;
use std::collections::VecDeque;
use thiserror::Error;
use zerocopy::FromBytes;

/// Processes remembered, so that the threads of one are one event. Kills and exits of one process are milliseconds apart.
const REMEMBERED: usize = 256;

/// Why a record is not one of ours.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// The record has another size.
    #[error("a record of {actual} bytes, expected {expected}")]
    Length {
        /// Size of the record type.
        expected: usize,
        /// What came.
        actual: usize,
    },
    /// A count exceeds the array it counts.
    #[error("{field} is {count}, more than the record holds")]
    Count {
        /// Which count.
        field: &'static str,
        /// Its value.
        count: u32,
    },
    /// The record lacks a fact that identifies what it is about.
    #[error("the record lacks {0}")]
    Incomplete(&'static str),
}

/// `/proc/PID/stat` shows the start in clock ticks, rounded down.
pub(super) fn ticks(boot_nanos: u64) -> u64 {
    boot_nanos / nanos_per_tick()
}

/// Turns records into events.
#[derive(Debug)]
pub struct Decoder {
    clock: Clock,
    page_size: u64,
    callers: OomCallers,
    /// Processes seen last, the oldest first.
    recent: VecDeque<ProcessKey>,
}

impl Decoder {
    /// A decoder for records of this machine.
    pub fn new(clock: Clock, callers: OomCallers) -> Self {
        Self {
            clock,
            page_size: u64::try_from(rustix::param::page_size()).unwrap_or(4096),
            callers,
            recent: VecDeque::with_capacity(REMEMBERED),
        }
    }

    /// A record of `oom:mark_victim`. `None` if it is no kill of its own: another thread of a victim already reported, or a task
    /// that was exiting anyway.
    pub fn oom_kill(&mut self, bytes: &[u8]) -> Result<Option<OomKill>, DecodeError> {
        let record: OomMarkVictim = read(bytes)?;
        let levels = counted("memcg_level_count", &record.memcg_levels, record.memcg_level_count)?;
        let frames = counted("kernel_frame_count", &record.kernel_frames, record.kernel_frame_count)?;
        let has = |bit: u32| record.present & bit != 0;
        let pid = if has(present::PID) {
            record.victim_pid
        } else {
            record.victim_tid
        };
        let start_ticks = has(present::START).then(|| ticks(record.start_boot_nanos));
        let Testimony { scope, killed } = self.callers.judge(frames);
        let mut known = || start_ticks.is_some_and(|start_ticks| self.seen_before(ProcessKey { pid, start_ticks }));
        if !killed || known() {
            return Ok(None);
        }
        let scope = scope.or_else(|| self.scope_of_levels(levels)).ok_or_else(|| {
            unsupported("neither the kernel stack nor the cgroup's counters tell which memory ran out")
                .with_fix("make kernel symbols readable: sysctl kernel.kptr_restrict=1 and CAP_SYSLOG")
        });
        let memory = |bit: u32, name: &str, value: Bytes| {
            if has(bit) {
                Ok(value)
            } else {
                Err(unsupported(format!("this kernel does not tell {name} of a victim")))
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
                comm: text(&record.victim_comm),
                rss_anon: memory(present::RSS, "rss_anon", resident(record.rss_anon)),
                rss_file: memory(present::RSS, "rss_file", resident(record.rss_file)),
                rss_shmem: memory(present::RSS, "rss_shmem", resident(record.rss_shmem)),
                page_tables: memory(present::PAGE_TABLES, "page tables", Bytes(record.page_table_bytes)),
                oom_score_adj: match i16::try_from(record.oom_score_adj) {
                    Ok(adj) if has(present::OOM_SCORE_ADJ) => Ok(adj),
                    _ => Err(unsupported("this kernel does not tell oom_score_adj of a victim")),
                },
                read_at_death: has(present::READ_AT_DEATH),
            },
            trigger: OomTrigger {
                pid: record.trigger_pid,
                comm: text(&record.trigger_comm),
            },
        }))
    }

    /// A record of `sched:sched_process_exit`. `None` if the process was reported already: its last two threads may both be last.
    pub fn process_exit(&mut self, bytes: &[u8]) -> Result<Option<ProcessExit>, DecodeError> {
        let record: event::ProcessExit = read(bytes)?;
        let has = |bit: u32| record.present & bit != 0;
        if !has(present::START) {
            return Err(DecodeError::Incomplete("the start time of the process"));
        }
        let key = ProcessKey {
            pid: record.pid,
            start_ticks: ticks(record.start_boot_nanos),
        };
        if self.seen_before(key) {
            return Ok(None);
        }
        Ok(Some(ProcessExit {
            at: self.clock.from_boot_nanos(record.boot_nanos),
            key,
            comm: text(&record.comm),
            exit_code: if has(present::EXIT_CODE) {
                Ok(record.exit_code)
            } else {
                Err(unsupported(
                    "this kernel's type information does not tell the exit code",
                ))
            },
            cgroup_inode: has(present::CGROUP).then_some(record.cgroup_id),
        }))
    }

    /// A record of `sched:sched_process_exec`.
    pub fn process_exec(&mut self, bytes: &[u8]) -> Result<ProcessExec, DecodeError> {
        let record: event::ProcessExec = read(bytes)?;
        if record.present & present::START == 0 || record.present & present::CGROUP == 0 {
            return Err(DecodeError::Incomplete("the start time or the cgroup of the process"));
        }
        Ok(ProcessExec {
            key: ProcessKey {
                pid: record.pid,
                start_ticks: ticks(record.start_boot_nanos),
            },
            cgroup_inode: record.cgroup_id,
        })
    }

    /// A record of `vmscan:mm_vmscan_memcg_reclaim_begin`.
    pub fn memcg_reclaim(&self, bytes: &[u8]) -> Result<MemcgReclaim, DecodeError> {
        let record: event::MemcgReclaim = read(bytes)?;
        Ok(MemcgReclaim {
            at: self.clock.from_boot_nanos(record.boot_nanos),
            cgroup_inode: record.cgroup_id,
        })
    }

    fn seen_before(&mut self, key: ProcessKey) -> bool {
        if self.recent.contains(&key) {
            return true;
        }
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(key);
        false
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
            return Err(unsupported("the machine's memory ran out, not a cgroup's"));
        }
        let level = self
            .tightest(levels)
            .ok_or_else(|| unsupported("no memory cgroup of the victim has a limit"))?;
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
        return Err(unsupported("the victim's memory cgroup could not be read")
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
    let names = levels.iter().rev().skip(1).map(|level| text(&level.name));
    let path = names.fold(String::new(), |path, name| path + "/" + &name);
    Ok(CgroupKey {
        inode: first.cgroup_id,
        path: if path.is_empty() { "/".to_owned() } else { path },
    })
}

fn read<T: FromBytes>(bytes: &[u8]) -> Result<T, DecodeError> {
    T::read_from_bytes(bytes).map_err(|_refusal| DecodeError::Length {
        expected: size_of::<T>(),
        actual: bytes.len(),
    })
}

fn counted<'a, T>(field: &'static str, array: &'a [T], count: u32) -> Result<&'a [T], DecodeError> {
    usize::try_from(count)
        .ok()
        .and_then(|length| array.get(..length))
        .ok_or(DecodeError::Count { field, count })
}

/// Bytes up to the first NUL. The kernel does not promise UTF-8.
fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn unsupported(detail: impl Into<String>) -> Missing {
    Missing::new(MissingReason::Unsupported, detail)
}
