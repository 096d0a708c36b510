//! Ring-buffer records, one per hook. A fact that was not read has no bit in the record's `present`; its field is then zero and
//! means nothing.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Length of `task_struct.comm`, the final NUL included.
pub const COMM_LEN: usize = 16;
/// Length of a cgroup's name, `NAME_MAX` and the final NUL.
pub const CGROUP_NAME_LEN: usize = 256;
/// Ancestors of a memory cgroup that are recorded, itself included; deeper hierarchies are cut at the root's side.
pub const MEMCG_LEVELS: usize = 16;
/// Kernel stack frames recorded at a kill: the OOM killer's caller is within the first twenty.
pub const KERNEL_FRAMES: usize = 48;

/// One memory cgroup on the way from the victim's to the root.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct MemcgLevel {
    /// `kernfs_node.id` of the cgroup: the inode of its directory.
    pub cgroup_id: u64,
    /// `mem_cgroup.memory.usage`.
    pub usage_pages: u64,
    /// `mem_cgroup.memory.max`; at or above `i64::MAX / page size` there is no limit.
    pub limit_pages: u64,
    /// `kernfs_node.name`, ended by a NUL; bytes after it mean nothing. Empty for the root. Taken along because a container's
    /// cgroup is often removed before anyone could look the inode up.
    pub name: [u8; CGROUP_NAME_LEN],
}

/// The OOM killer chose a victim (`oom:mark_victim`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct OomMarkVictim {
    /// `bpf_ktime_get_boot_ns` at the hook.
    pub boot_nanos: u64,
    /// Which of the facts below were read: bits of [`present`].
    pub present: u32,
    /// Thread that was marked, `task_struct.pid`; always there.
    pub victim_tid: u32,
    /// Its process, `task_struct.tgid`.
    pub victim_pid: u32,
    /// `signal_struct.oom_score_adj`.
    pub oom_score_adj: i32,
    /// Start of the victim's thread group leader since boot, `task_struct.start_boottime`.
    pub start_boot_nanos: u64,
    /// Anonymous resident memory in KiB (format) or pages (BTF), see [`present::RSS_IN_PAGES`]. Since Linux 6.2 either is off by up
    /// to a batch (32 pages or more) for each processor that the victim ran on.
    pub rss_anon: u64,
    /// File-backed resident memory, same unit.
    pub rss_file: u64,
    /// Shared resident memory, same unit.
    pub rss_shmem: u64,
    /// Page tables in bytes.
    pub page_table_bytes: u64,
    /// Current process: the one whose allocation found no memory.
    pub trigger_pid: u32,
    /// Valid entries of `memcg_levels`.
    pub memcg_level_count: u32,
    /// Valid entries of `kernel_frames`.
    pub kernel_frame_count: u32,
    /// Keeps the arrays below aligned; zero.
    pub reserved: u32,
    /// `task_struct.comm` of the victim.
    pub victim_comm: [u8; COMM_LEN],
    /// `task_struct.comm` of the current thread.
    pub trigger_comm: [u8; COMM_LEN],
    /// Memory cgroup of the victim first, its ancestors after it.
    pub memcg_levels: [MemcgLevel; MEMCG_LEVELS],
    /// Return addresses in the kernel, innermost first.
    pub kernel_frames: [u64; KERNEL_FRAMES],
}

/// Bits of [`OomMarkVictim::present`] and [`ProcessExit::present`].
pub mod present {
    /// `victim_pid`.
    pub const PID: u32 = 1 << 0;
    /// The start time.
    pub const START: u32 = 1 << 1;
    /// The command name of the victim or of the exiting process.
    pub const COMM: u32 = 1 << 2;
    /// `rss_anon`, `rss_file` and `rss_shmem`.
    pub const RSS: u32 = 1 << 3;
    /// The three are pages (read from `mm_struct`); otherwise KiB (read from the tracepoint's own fields).
    pub const RSS_IN_PAGES: u32 = 1 << 4;
    /// `page_table_bytes`.
    pub const PAGE_TABLES: u32 = 1 << 5;
    /// `oom_score_adj`.
    pub const OOM_SCORE_ADJ: u32 = 1 << 6;
    /// The exit code.
    pub const EXIT_CODE: u32 = 1 << 7;
    /// The memory cgroup.
    pub const CGROUP: u32 = 1 << 8;
    /// Not a fact of the record: the memory of the victim is read while it dies, or was just read.
    pub const FINAL_HEAP: u32 = 1 << 9;
    /// `killer_pid` and `killer_comm`.
    pub const KILLER: u32 = 1 << 10;
    /// The kernel sent the signal of its own accord, and the process is the one that ran then.
    pub const KILLER_IS_KERNEL: u32 = 1 << 11;
}

/// The last thread of a process ended (`sched:sched_process_exit`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcessExit {
    /// `bpf_ktime_get_boot_ns` at the hook.
    pub boot_nanos: u64,
    /// Start of the thread group leader since boot.
    pub start_boot_nanos: u64,
    /// `kernfs_node.id` of its memory cgroup.
    pub cgroup_id: u64,
    /// Which of the facts were read: bits of [`present`].
    pub present: u32,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Wait status of the process.
    pub exit_code: u32,
    /// Process that sent the SIGKILL that ended it, or in which the kernel did.
    pub killer_pid: u32,
    /// `task_struct.comm` of the thread group leader.
    pub comm: [u8; COMM_LEN],
    /// `task_struct.comm` of the thread that sent the SIGKILL.
    pub killer_comm: [u8; COMM_LEN],
}

/// Who sent a SIGKILL (`signal:signal_generate`): a note on the kernel's side until the process has ended.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Killer {
    /// Start of the killed process since boot.
    pub start_boot_nanos: u64,
    /// The current process.
    pub pid: u32,
    /// Not zero if the kernel sent it of its own accord.
    pub from_kernel: u32,
    /// Name of the current thread.
    pub comm: [u8; COMM_LEN],
}

/// A process executes another program (`sched:sched_process_exec`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ProcessExec {
    /// Start of the thread group leader since boot: executing another program does not change it.
    pub start_boot_nanos: u64,
    /// `kernfs_node.id` of its memory cgroup.
    pub cgroup_id: u64,
    /// Process id in the initial pid namespace.
    pub pid: u32,
    /// Which of the facts were read: bits of [`present`].
    pub present: u32,
}

/// The kernel began to reclaim memory of a cgroup (`vmscan:mm_vmscan_memcg_reclaim_begin`).
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct MemcgReclaim {
    /// `bpf_ktime_get_boot_ns` at the hook.
    pub boot_nanos: u64,
    /// `kernfs_node.id` of the memory cgroup of the thread that asked for memory.
    pub cgroup_id: u64,
}
