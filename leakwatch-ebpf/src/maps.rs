//! Every map. The daemon drains the rings as records arrive and sums the loss counters once per round.

use crate::scratch;
use crate::scratch::Scratch;
use crate::scratch::Window;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::maps::ProgramArray;
use aya_ebpf::maps::RingBuf;
use aya_log_ebpf::debug;
use leakwatch_common::event::Killer;
use leakwatch_common::final_heap::GoroutineGroup;
use leakwatch_common::final_heap::MAX_GROUPS;
use leakwatch_common::final_heap::MAX_WATCHED;
use leakwatch_common::final_heap::Watch;
use leakwatch_common::loss::LossReason;

/// OOM kills, about 100 at a time. A ring of their own: a storm of exits cannot push them out.
#[map]
pub(crate) static OOM_EVENTS: RingBuf = RingBuf::with_byte_size(512 * 1024, 0);

/// Process exits, about 3200 at a time.
#[map]
pub(crate) static EXIT_EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

/// Who sent the SIGKILL that a process dies of, by the pid of that process.
#[map]
pub(crate) static KILLERS: LruHashMap<u32, Killer> = LruHashMap::with_max_entries(1024, 0);

/// Processes that execute another program, about 3200 at a time.
#[map]
pub(crate) static EXEC_EVENTS: RingBuf = RingBuf::with_byte_size(128 * 1024, 0);

/// Cgroups that memory is reclaimed from, 170 at a time.
#[map]
pub(crate) static RECLAIM_EVENTS: RingBuf = RingBuf::with_byte_size(4096, 0);

/// When the reclaim of a cgroup was last reported, in nanoseconds since boot.
#[map]
pub(crate) static RECLAIMED: LruHashMap<u64, u64> = LruHashMap::with_max_entries(1024, 0);

/// What walks through dying processes bring; the loader sets the size.
#[map]
pub(crate) static FINAL_HEAP_EVENTS: RingBuf = RingBuf::with_byte_size(8 * 1024 * 1024, 0);

/// Processes whose heap is read when they are killed, by pid. Taking the entry out is what makes a thread the one that does it.
#[map]
pub(crate) static WATCHED: HashMap<u32, Watch> = HashMap::with_max_entries(MAX_WATCHED, 0);

/// Starts of the processes that were read last, by pid. User space may put one back into `WATCHED` while its other threads die.
#[map]
pub(crate) static READ: LruHashMap<u32, u64> = LruHashMap::with_max_entries(1024, 0);

/// Goroutines of victims, counted. User space takes them out.
#[map]
pub(crate) static GOROUTINES: HashMap<GoroutineGroup, u64> = HashMap::with_max_entries(MAX_GROUPS, 0);

/// The walk under way on each processor.
#[map]
static SCRATCH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// What a walk has read of the process last.
#[map]
pub(crate) static WINDOWS: PerCpuArray<Window> = PerCpuArray::with_max_entries(scratch::WINDOWS, 0);

/// The parts of a walk on kernels without `bpf_loop`.
#[map]
pub(crate) static WALK_PARTS: ProgramArray = ProgramArray::with_max_entries(2, 0);

/// Counts by [`LossReason`].
#[map]
static LOSSES: PerCpuArray<u64> = PerCpuArray::with_max_entries(LossReason::COUNT, 0);

/// The state of this processor's walk.
#[inline(always)]
pub(crate) fn scratch() -> Option<&'static mut Scratch> {
    let scratch = SCRATCH.get_ptr_mut(0)?;
    // SAFETY: the entry is this CPU's own and the caller is the only walk on it; any bits are a valid value.
    Some(unsafe { &mut *scratch })
}

/// Counts one loss.
#[inline(always)]
pub(crate) fn lose(reason: LossReason) {
    lose_many(reason, 1);
}

/// Counts several. A function of its own: programs with many ways to lose something are shorter with one place that counts and logs.
#[inline(never)]
pub(crate) fn lose_many(reason: LossReason, lost: u64) {
    let index = reason.index();
    if let Some(count) = LOSSES.get_ptr_mut(index) {
        // SAFETY: the entry is this CPU's own and a program is not preempted by another one of ours on it.
        unsafe { *count += lost };
    }
    debug!(
        (),
        target: "leakwatch_ebpf",
        "loss {}: {} in process {}",
        index,
        lost,
        (bpf_get_current_pid_tgid() >> 32) as u32
    );
}
