//! Every counter of a memory cgroup that is read: one row each.
//!
//! Kernel sources: `memory_stats[]`, `memcg_vm_event_stat[]` and `memory_events_show` in mm/memcontrol.c, `memcg1_stats[]` in
//! mm/memcontrol-v1.c, `psi_show` in kernel/sched/psi.c. On cgroup v1 the hierarchical values (`total_*`) are read, because a
//! v2 file always counts descendants in. Rows are in the order in which the kernel writes the lines of a file, which makes
//! finding a line a single comparison most of the time.
//!
//! The number of a row is its number in recordings: it is never changed and never used again.

use crate::model::counter::source::Source;
use crate::model::counter::source::Unit;

const fn stat(key: &'static str) -> Option<Source> {
    line("memory.stat", key)
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "a column of the table; `NONE` is the other value"
)]
const fn line(file: &'static str, key: &'static str) -> Option<Source> {
    Some(Source { file, key })
}

/// A file that holds one number.
const fn file(file: &'static str) -> Option<Source> {
    line(file, "")
}

/// What the collector finds beside the files of the cgroup.
const fn found(file: &'static str, key: &'static str) -> Option<Source> {
    line(file, key)
}

const NONE: Option<Source> = None;

macro_rules! counters {
    ($($(#[$doc:meta])+ $number:literal $name:ident: $unit:ident, $v2:expr, $v1:expr, $since:literal;)+) => {
        /// A counter of a memory cgroup.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Counter {
            $($(#[$doc])+ $name = $number,)+
        }

        /// All counters.
        pub(super) const ROWS: &[Row] = &[
            $(Row { counter: Counter::$name, unit: Unit::$unit, v2: $v2, v1: $v1, since: $since },)+
        ];
    };
}

/// What is known of a counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) counter: Counter,
    pub(super) unit: Unit,
    pub(super) v2: Option<Source>,
    pub(super) v1: Option<Source>,
    /// First version of Linux whose v2 files have it, where it is younger than 5.10.
    pub(super) since: &'static str,
}

counters! {
    /// Anonymous memory mapped by processes.
    1 Anon: Bytes, stat("anon"), stat("total_rss"), "";
    /// Page cache, with shared memory, tmpfs and swap cache.
    2 File: Bytes, stat("file"), stat("total_cache"), "";
    /// All memory of the kernel charged to the cgroup.
    3 Kernel: Bytes, stat("kernel"), file("memory.kmem.usage_in_bytes"), "5.18";
    /// Stacks of threads in the kernel.
    4 KernelStack: Bytes, stat("kernel_stack"), NONE, "";
    /// Page tables.
    5 PageTables: Bytes, stat("pagetables"), NONE, "5.11";
    /// Page tables of virtual machines and of devices.
    6 SecPageTables: Bytes, stat("sec_pagetables"), NONE, "6.1";
    /// Per-CPU data of the kernel.
    7 PerCpu: Bytes, stat("percpu"), NONE, "";
    /// Buffers of sockets. Charged, but no part of [`Counter::Kernel`].
    8 Sock: Bytes, stat("sock"), NONE, "";
    /// Memory that the kernel maps itself (`vmalloc`).
    9 Vmalloc: Bytes, stat("vmalloc"), NONE, "5.17";
    /// Shared memory and tmpfs.
    10 Shmem: Bytes, stat("shmem"), stat("total_shmem"), "";
    /// Memory that compressed swap takes.
    11 Zswap: Bytes, stat("zswap"), NONE, "5.19";
    /// Memory that compressed swap stands for.
    12 Zswapped: Bytes, stat("zswapped"), NONE, "5.19";
    /// Pages in compressed swap that could not be compressed.
    13 ZswapIncompressible: Bytes, stat("zswap_incomp"), NONE, "7.1";
    /// Page cache mapped by processes.
    14 FileMapped: Bytes, stat("file_mapped"), stat("total_mapped_file"), "";
    /// Page cache that has to be written back.
    15 FileDirty: Bytes, stat("file_dirty"), stat("total_dirty"), "";
    /// Page cache that is being written back.
    16 FileWriteback: Bytes, stat("file_writeback"), stat("total_writeback"), "";
    /// Memory that is in swap and in memory.
    17 SwapCached: Bytes, stat("swapcached"), stat("total_swapcached"), "5.12";
    /// Anonymous memory in transparent huge pages.
    18 AnonThp: Bytes, stat("anon_thp"), stat("total_rss_huge"), "";
    /// Page cache in transparent huge pages.
    19 FileThp: Bytes, stat("file_thp"), NONE, "5.11";
    /// Shared memory in transparent huge pages.
    20 ShmemThp: Bytes, stat("shmem_thp"), NONE, "5.11";
    /// Anonymous memory and tmpfs not used of late.
    21 InactiveAnon: Bytes, stat("inactive_anon"), stat("total_inactive_anon"), "";
    /// Anonymous memory and tmpfs used of late.
    22 ActiveAnon: Bytes, stat("active_anon"), stat("total_active_anon"), "";
    /// Page cache of files not used of late. Reclaimable; shared memory is not in it.
    23 InactiveFile: Bytes, stat("inactive_file"), stat("total_inactive_file"), "";
    /// Page cache of files used of late. Reclaimable; shared memory is not in it.
    24 ActiveFile: Bytes, stat("active_file"), stat("total_active_file"), "";
    /// Memory that must not be reclaimed (`mlock`).
    25 Unevictable: Bytes, stat("unevictable"), stat("total_unevictable"), "";
    /// Kernel objects that can be given up: directory entries and inodes.
    26 SlabReclaimable: Bytes, stat("slab_reclaimable"), NONE, "";
    /// Kernel objects that cannot be given up.
    27 SlabUnreclaimable: Bytes, stat("slab_unreclaimable"), NONE, "";
    /// All kernel objects.
    28 Slab: Bytes, stat("slab"), NONE, "";
    /// Memory of hugetlbfs, where it is charged (mount option `memory_hugetlb_accounting`).
    29 Hugetlb: Bytes, stat("hugetlb"), NONE, "6.13";
    /// Evicted anonymous pages that were needed again.
    30 WorkingsetRefaultAnon: Count, stat("workingset_refault_anon"), stat("total_workingset_refault_anon"), "";
    /// Evicted file pages that were needed again.
    31 WorkingsetRefaultFile: Count, stat("workingset_refault_file"), stat("total_workingset_refault_file"), "";
    /// Anonymous pages found in use as soon as they came back.
    32 WorkingsetActivateAnon: Count, stat("workingset_activate_anon"), NONE, "";
    /// File pages found in use as soon as they came back.
    33 WorkingsetActivateFile: Count, stat("workingset_activate_file"), NONE, "";
    /// Anonymous pages that were in use before they were evicted.
    34 WorkingsetRestoreAnon: Count, stat("workingset_restore_anon"), NONE, "";
    /// File pages that were in use before they were evicted.
    35 WorkingsetRestoreFile: Count, stat("workingset_restore_file"), NONE, "";
    /// Times that records of evicted pages were given up.
    36 WorkingsetNodereclaim: Count, stat("workingset_nodereclaim"), NONE, "";
    /// Pages moved to slower memory by kswapd.
    37 PgdemoteKswapd: Count, stat("pgdemote_kswapd"), NONE, "6.12";
    /// Pages moved to slower memory by tasks that asked for memory.
    38 PgdemoteDirect: Count, stat("pgdemote_direct"), NONE, "6.12";
    /// Pages moved to slower memory by khugepaged.
    39 PgdemoteKhugepaged: Count, stat("pgdemote_khugepaged"), NONE, "6.12";
    /// Pages moved to slower memory because user space asked for it.
    40 PgdemoteProactive: Count, stat("pgdemote_proactive"), NONE, "6.16";
    /// Pages reclaimed by kswapd.
    41 PgstealKswapd: Count, stat("pgsteal_kswapd"), NONE, "6.0";
    /// Pages reclaimed by tasks that asked for memory.
    42 PgstealDirect: Count, stat("pgsteal_direct"), NONE, "6.0";
    /// Pages reclaimed by khugepaged.
    43 PgstealKhugepaged: Count, stat("pgsteal_khugepaged"), NONE, "6.2";
    /// Pages reclaimed because user space asked for it.
    44 PgstealProactive: Count, stat("pgsteal_proactive"), NONE, "6.16";
    /// Pages scanned by kswapd.
    45 PgscanKswapd: Count, stat("pgscan_kswapd"), NONE, "6.0";
    /// Pages scanned by tasks that asked for memory.
    46 PgscanDirect: Count, stat("pgscan_direct"), NONE, "6.0";
    /// Pages scanned by khugepaged.
    47 PgscanKhugepaged: Count, stat("pgscan_khugepaged"), NONE, "6.2";
    /// Pages scanned because user space asked for it.
    48 PgscanProactive: Count, stat("pgscan_proactive"), NONE, "6.16";
    /// Active pages scanned.
    49 Pgrefill: Count, stat("pgrefill"), NONE, "";
    /// Pages moved to faster memory.
    50 PgpromoteSuccess: Count, stat("pgpromote_success"), NONE, "6.12";
    /// Inactive pages scanned.
    51 Pgscan: Count, stat("pgscan"), NONE, "";
    /// Pages reclaimed.
    52 Pgsteal: Count, stat("pgsteal"), NONE, "";
    /// Pages read from swap.
    53 Pswpin: Count, stat("pswpin"), NONE, "6.13";
    /// Pages written to swap.
    54 Pswpout: Count, stat("pswpout"), NONE, "6.13";
    /// Page faults.
    55 Pgfault: Count, stat("pgfault"), stat("total_pgfault"), "";
    /// Page faults that had to wait for a device.
    56 Pgmajfault: Count, stat("pgmajfault"), stat("total_pgmajfault"), "";
    /// Pages moved to the active list.
    57 Pgactivate: Count, stat("pgactivate"), NONE, "";
    /// Pages moved to the inactive list.
    58 Pgdeactivate: Count, stat("pgdeactivate"), NONE, "";
    /// Pages that may be dropped under pressure (`MADV_FREE`).
    59 Pglazyfree: Count, stat("pglazyfree"), NONE, "";
    /// Pages of those that were dropped.
    60 Pglazyfreed: Count, stat("pglazyfreed"), NONE, "";
    /// Pages of zeroes that came back from swap without reading.
    61 SwpinZero: Count, stat("swpin_zero"), NONE, "6.12";
    /// Pages of zeroes that went to swap without writing.
    62 SwpoutZero: Count, stat("swpout_zero"), NONE, "6.12";
    /// Pages that came back from compressed swap.
    63 Zswpin: Count, stat("zswpin"), NONE, "5.19";
    /// Pages that went to compressed swap.
    64 Zswpout: Count, stat("zswpout"), NONE, "5.19";
    /// Pages that went from compressed swap to a device.
    65 Zswpwb: Count, stat("zswpwb"), NONE, "6.8";
    /// Transparent huge pages given at a page fault.
    66 ThpFaultAlloc: Count, stat("thp_fault_alloc"), NONE, "";
    /// Transparent huge pages made of small ones.
    67 ThpCollapseAlloc: Count, stat("thp_collapse_alloc"), NONE, "";
    /// Transparent huge pages swapped out whole.
    68 ThpSwpout: Count, stat("thp_swpout"), NONE, "6.7";
    /// Transparent huge pages that had to be split to be swapped out.
    69 ThpSwpoutFallback: Count, stat("thp_swpout_fallback"), NONE, "6.7";
    /// Pages moved nearer to the tasks that use them.
    70 NumaPagesMigrated: Count, stat("numa_pages_migrated"), NONE, "6.12";
    /// Page table entries marked to find out who uses them.
    71 NumaPteUpdates: Count, stat("numa_pte_updates"), NONE, "6.12";
    /// Page faults at such entries.
    72 NumaHintFaults: Count, stat("numa_hint_faults"), NONE, "6.12";
    /// Pages charged.
    73 Pgpgin: Count, NONE, stat("total_pgpgin"), "";
    /// Pages uncharged.
    74 Pgpgout: Count, NONE, stat("total_pgpgout"), "";
    /// The tightest limit on memory of the cgroup and its ancestors.
    75 HierarchicalLimit: Limit, NONE, stat("hierarchical_memory_limit"), "";
    /// The tightest limit on memory and swap of the cgroup and its ancestors.
    76 HierarchicalMemswLimit: Limit, NONE, stat("hierarchical_memsw_limit"), "";
    /// Times the cgroup itself was reclaimed although it was below its protection (`memory.low`).
    77 LocalLow: Count, line("memory.events.local", "low"), NONE, "";
    /// Times the cgroup itself was throttled above `memory.high`.
    78 LocalHigh: Count, line("memory.events.local", "high"), NONE, "";
    /// Times the charge of the cgroup itself hit its limit.
    79 LocalMax: Count, line("memory.events.local", "max"), file("memory.failcnt"), "";
    /// Times the cgroup itself was out of memory.
    80 LocalOom: Count, line("memory.events.local", "oom"), NONE, "";
    /// Processes of the cgroup itself killed by any OOM killer.
    81 LocalOomKill: Count, line("memory.events.local", "oom_kill"), line("memory.oom_control", "oom_kill"), "";
    /// Times all processes of the cgroup itself were killed together.
    82 LocalOomGroupKill: Count, line("memory.events.local", "oom_group_kill"), NONE, "5.17";
    /// Times sockets of the cgroup itself were throttled.
    83 LocalSockThrottled: Count, line("memory.events.local", "sock_throttled"), NONE, "6.19";
    /// The same as [`Counter::LocalLow`], with descendants.
    84 EventsLow: Count, line("memory.events", "low"), NONE, "";
    /// The same as [`Counter::LocalHigh`], with descendants.
    85 EventsHigh: Count, line("memory.events", "high"), NONE, "";
    /// The same as [`Counter::LocalMax`], with descendants.
    86 EventsMax: Count, line("memory.events", "max"), NONE, "";
    /// The same as [`Counter::LocalOom`], with descendants.
    87 EventsOom: Count, line("memory.events", "oom"), NONE, "";
    /// The same as [`Counter::LocalOomKill`], with descendants.
    88 EventsOomKill: Count, line("memory.events", "oom_kill"), NONE, "";
    /// The same as [`Counter::LocalOomGroupKill`], with descendants.
    89 EventsOomGroupKill: Count, line("memory.events", "oom_group_kill"), NONE, "5.17";
    /// The same as [`Counter::LocalSockThrottled`], with descendants.
    90 EventsSockThrottled: Count, line("memory.events", "sock_throttled"), NONE, "6.19";
    /// Memory swapped out.
    91 Swap: Bytes, file("memory.swap.current"), stat("total_swap"), "";
    /// Most memory ever swapped out.
    92 SwapPeak: Bytes, file("memory.swap.peak"), NONE, "6.5";
    /// Swap above which the cgroup is throttled.
    93 SwapHigh: Limit, file("memory.swap.high"), NONE, "";
    /// Limit on swap.
    94 SwapMax: Limit, file("memory.swap.max"), NONE, "";
    /// Times swap was above `memory.swap.high`.
    95 SwapEventsHigh: Count, line("memory.swap.events", "high"), NONE, "";
    /// Times swap was about to go over its limit.
    96 SwapEventsMax: Count, line("memory.swap.events", "max"), NONE, "";
    /// Times swap could not be had, for lack of it or because of the limit.
    97 SwapEventsFail: Count, line("memory.swap.events", "fail"), NONE, "";
    /// Highest charge ever.
    98 Peak: Bytes, file("memory.peak"), file("memory.max_usage_in_bytes"), "5.19";
    /// Charge and swap together.
    99 MemswUsage: Bytes, NONE, file("memory.memsw.usage_in_bytes"), "";
    /// Times charge and swap together hit their limit.
    100 MemswMax: Count, NONE, file("memory.memsw.failcnt"), "";
    /// Buffers of TCP sockets. Not charged.
    101 KmemTcp: Bytes, NONE, file("memory.kmem.tcp.usage_in_bytes"), "";
    /// Share of the last 10 s in which some task waited for memory.
    102 PressureSomeAvg10: HundredthPercent, line("memory.pressure", "some avg10"), NONE, "";
    /// Share of the last 60 s in which some task waited for memory.
    103 PressureSomeAvg60: HundredthPercent, line("memory.pressure", "some avg60"), NONE, "";
    /// Share of the last 300 s in which some task waited for memory.
    104 PressureSomeAvg300: HundredthPercent, line("memory.pressure", "some avg300"), NONE, "";
    /// Time in which some task waited for memory.
    105 PressureSomeTotal: Microseconds, line("memory.pressure", "some total"), NONE, "";
    /// Share of the last 10 s in which all tasks waited for memory.
    106 PressureFullAvg10: HundredthPercent, line("memory.pressure", "full avg10"), NONE, "";
    /// Share of the last 60 s in which all tasks waited for memory.
    107 PressureFullAvg60: HundredthPercent, line("memory.pressure", "full avg60"), NONE, "";
    /// Share of the last 300 s in which all tasks waited for memory.
    108 PressureFullAvg300: HundredthPercent, line("memory.pressure", "full avg300"), NONE, "";
    /// Time in which all tasks waited for memory.
    109 PressureFullTotal: Microseconds, line("memory.pressure", "full total"), NONE, "";
    /// Anonymous memory, summed over the nodes.
    110 NumaAnon: Bytes, line("memory.numa_stat", "anon"), line("memory.numa_stat", "hierarchical_anon"), "";
    /// Page cache, summed over the nodes.
    111 NumaFile: Bytes, line("memory.numa_stat", "file"), line("memory.numa_stat", "hierarchical_file"), "";
    /// Unevictable memory, summed over the nodes.
    112 NumaUnevictable: Bytes, line("memory.numa_stat", "unevictable"), line("memory.numa_stat", "hierarchical_unevictable"), "";
    /// Memory of any kind, summed over the nodes.
    113 NumaTotal: Bytes, NONE, line("memory.numa_stat", "hierarchical_total"), "";
    /// How many levels further up the cgroup is whose limit is the tightest; zero for the cgroup itself.
    114 LimitLevels: Count, found("cgroups above", "levels"), found("cgroups above", "levels"), "";
    /// Of the memory below that limit, what cannot be reclaimed and belongs to others.
    115 LimitOthers: Bytes, found("cgroups above", "others"), found("cgroups above", "others"), "";
    /// Memory of the machine that is free or can be reclaimed, where no limit is set.
    116 NodeAvailable: Bytes, found("/proc/meminfo", "MemAvailable"), found("/proc/meminfo", "MemAvailable"), "";
}
