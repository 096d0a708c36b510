//! The files of a cgroup as real kernels write them. Lines of v2 files are those of `memory_stats[]` and `memcg_vm_event_stat[]` in
//! mm/memcontrol.c of each version, with everything configured in; the v1 files are of Linux 6.18.

use super::CounterFiles;
use crate::identity::cgroup::Version;
use leakwatch_analysis::model::counter::Counter;
use leakwatch_analysis::model::counter::Counters;
use leakwatch_analysis::model::counter::CountersBuilder;
use std::collections::BTreeSet;

/// Keys of `memory.stat` on cgroup v2, by version of Linux.
const V2_STAT: [((u32, u32), &str); 4] = [
    (
        (5, 10),
        "anon file kernel_stack percpu sock shmem file_mapped file_dirty file_writeback anon_thp inactive_anon \
         active_anon inactive_file active_file unevictable slab_reclaimable slab_unreclaimable slab \
         workingset_refault_anon workingset_refault_file workingset_activate_anon workingset_activate_file \
         workingset_restore_anon workingset_restore_file workingset_nodereclaim pgfault pgmajfault pgrefill pgscan \
         pgsteal pgactivate pgdeactivate pglazyfree pglazyfreed thp_fault_alloc thp_collapse_alloc",
    ),
    (
        (6, 1),
        "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped file_mapped \
         file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file \
         active_file unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon workingset_refault_file \
         workingset_activate_anon workingset_activate_file workingset_restore_anon workingset_restore_file \
         workingset_nodereclaim pgscan pgsteal pgscan_kswapd pgscan_direct pgsteal_kswapd pgsteal_direct pgfault \
         pgmajfault pgrefill pgactivate pgdeactivate pglazyfree pglazyfreed zswpin zswpout thp_fault_alloc \
         thp_collapse_alloc",
    ),
    (
        (6, 12),
        "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped file_mapped \
         file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file \
         active_file unevictable slab_reclaimable slab_unreclaimable slab workingset_refault_anon workingset_refault_file \
         workingset_activate_anon workingset_activate_file workingset_restore_anon workingset_restore_file \
         workingset_nodereclaim pgdemote_kswapd pgdemote_direct pgdemote_khugepaged pgpromote_success pgscan pgsteal \
         pgscan_kswapd pgscan_direct pgscan_khugepaged pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgfault \
         pgmajfault pgrefill pgactivate pgdeactivate pglazyfree pglazyfreed swpin_zero swpout_zero zswpin zswpout zswpwb \
         thp_fault_alloc thp_collapse_alloc thp_swpout thp_swpout_fallback numa_pages_migrated numa_pte_updates \
         numa_hint_faults",
    ),
    (
        (6, 18),
        "anon file kernel kernel_stack pagetables sec_pagetables percpu sock vmalloc shmem zswap zswapped file_mapped \
         file_dirty file_writeback swapcached anon_thp file_thp shmem_thp inactive_anon active_anon inactive_file \
         active_file unevictable slab_reclaimable slab_unreclaimable slab hugetlb workingset_refault_anon \
         workingset_refault_file workingset_activate_anon workingset_activate_file workingset_restore_anon \
         workingset_restore_file workingset_nodereclaim pgdemote_kswapd pgdemote_direct pgdemote_khugepaged \
         pgdemote_proactive pgpromote_success pgscan pgsteal pswpin pswpout pgscan_kswapd pgscan_direct pgscan_khugepaged \
         pgscan_proactive pgsteal_kswapd pgsteal_direct pgsteal_khugepaged pgsteal_proactive pgfault pgmajfault pgrefill \
         pgactivate pgdeactivate pglazyfree pglazyfreed swpin_zero swpout_zero zswpin zswpout zswpwb thp_fault_alloc \
         thp_collapse_alloc thp_swpout thp_swpout_fallback numa_pages_migrated numa_pte_updates numa_hint_faults",
    ),
];

const V1_STAT: &str = "\
cache 26972160
rss 10596352
rss_huge 0
shmem 9068544
mapped_file 7593984
dirty 159744
writeback 0
workingset_refault_anon 0
workingset_refault_file 308
swap 0
swapcached 0
pgpgin 196162
pgpgout 186990
pgfault 301524
pgmajfault 0
inactive_anon 0
active_anon 1531904
inactive_file 4169728
active_file 13733888
unevictable 18132992
hierarchical_memory_limit 9223372036854771712
hierarchical_memsw_limit 9223372036854771712
total_cache 18900992000
total_rss 5209640960
total_rss_huge 0
total_shmem 9068544
total_mapped_file 735350784
total_dirty 128675840
total_writeback 0
total_workingset_refault_anon 0
total_workingset_refault_file 9802542
total_swap 0
total_swapcached 0
total_pgpgin 175857242
total_pgpgout 172531992
total_pgfault 191674570
total_pgmajfault 25819
total_inactive_anon 5128196096
total_active_anon 72347648
total_inactive_file 7186526208
total_active_file 11705397248
total_unevictable 18132992
";

const V1_NUMA_STAT: &str = "\
total=9172 N0=9172
file=4371 N0=4371
anon=374 N0=374
unevictable=4427 N0=4427
hierarchical_total=5886966 N0=5886966
hierarchical_file=4612291 N0=4612291
hierarchical_anon=1270248 N0=1270248
hierarchical_unevictable=4427 N0=4427
";

const V1_OOM_CONTROL: &str = "\
oom_kill_disable 0
under_oom 0
oom_kill 0
";

fn parse(version: Version, files: &[(&str, &str)]) -> Counters {
    let counter_files = CounterFiles::new(version, None);
    let mut found = CountersBuilder::new(Some(version));
    for (name, text) in files {
        let file = match *name {
            "memory.stat" => &counter_files.stat,
            name => counter_files.named(name).unwrap(),
        };
        assert_eq!(
            counter_files.parse(file, text.as_bytes(), &mut found),
            Some(()),
            "{name}"
        );
    }
    found.build()
}

/// The version of Linux from which on a missing counter is there; none if every supported version has it.
fn since(counters: &Counters, counter: Counter) -> Option<(u32, u32)> {
    let missing = counters.reading(counter).unwrap_err();
    let (_, version) = missing.detail.split_once("; Linux ")?;
    let (major, minor) = version
        .strip_suffix(" and later have it")
        .unwrap()
        .split_once('.')
        .unwrap();
    Some((major.parse().unwrap(), minor.parse().unwrap()))
}

#[test]
fn every_line_of_a_v2_kernel_is_read_and_later_ones_are_known_to_be_later() {
    let nothing = CountersBuilder::new(Some(Version::V2)).build();
    for (kernel, keys) in V2_STAT {
        let lines = keys.split(' ').zip(1_u64..);
        let text: Vec<String> = lines.clone().map(|(key, value)| format!("{key} {value}\n")).collect();
        let counters = parse(Version::V2, &[("memory.stat", &text.concat())]);
        let read: BTreeSet<(&str, u64)> = Counter::in_file(Version::V2, "memory.stat")
            .filter_map(|(key, counter)| Some((key, counters.get(counter)?)))
            .collect();
        assert_eq!(read, lines.collect(), "Linux {kernel:?}");
        for (key, counter) in Counter::in_file(Version::V2, "memory.stat") {
            let is_there = since(&nothing, counter).is_none_or(|since| since <= kernel);
            assert_eq!(counters.get(counter).is_some(), is_there, "{key} of Linux {kernel:?}");
        }
    }
}

#[test]
fn a_v1_cgroup_counts_its_descendants_in() {
    let counters = parse(
        Version::V1,
        &[
            ("memory.stat", V1_STAT),
            ("memory.numa_stat", V1_NUMA_STAT),
            ("memory.oom_control", V1_OOM_CONTROL),
        ],
    );
    let totals: BTreeSet<u64> = V1_STAT
        .lines()
        .filter_map(|line| line.strip_prefix("total_")?.split_once(' ')?.1.parse().ok())
        .collect();
    let mut read = BTreeSet::new();
    for (key, counter) in Counter::in_file(Version::V1, "memory.stat") {
        let value = counters.get(counter);
        assert!(value.is_some(), "{key}");
        if key.starts_with("total_") {
            read.extend(value);
        } else {
            assert_eq!(value, Some(u64::MAX), "{key}: the kernel's largest number is no limit");
        }
    }
    assert_eq!(read, totals);
    let page = u64::try_from(rustix::param::page_size()).unwrap();
    for (counter, value) in [
        (Counter::Anon, 5_209_640_960),
        (Counter::File, 18_900_992_000),
        (Counter::NumaTotal, 5_886_966 * page),
        (Counter::NumaAnon, 1_270_248 * page),
        (Counter::LocalOomKill, 0),
    ] {
        assert_eq!(counters.get(counter), Some(value), "{counter:?}");
    }
    assert_eq!(counters.get(Counter::KernelStack), None);
}
