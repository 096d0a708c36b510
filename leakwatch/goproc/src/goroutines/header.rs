//! One goroutine without its stack (`runtime.g`).

use crate::layout::GoroutineLayout;
use crate::layout::STACK_HIGH;
use crate::layout::STACK_LOW;
use crate::memory::u32_at;
use crate::memory::u64_at;
use std::ops::Range;

/// Set in the status while the garbage collector scans the stack (`_Gscan`).
const SCANNED: u32 = 0x1000;

/// What a goroutine does (`atomicstatus`, runtime/runtime2.go).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// Waits for a processor.
    Runnable,
    /// Runs: its stack cannot be read.
    Running,
    /// In the kernel or in C.
    Syscall,
    /// Blocked.
    Waiting,
    /// Stopped by the runtime.
    Preempted,
    /// Found to be blocked for ever by Go's own leak detection (1.26 and later).
    Leaked,
    /// A status that releases up to 1.27 do not have, or one of a moment (a stack that is being moved).
    Other(u32),
}

impl Status {
    /// `None` for a goroutine that has ended or not begun.
    pub(crate) fn from_raw(raw: u32) -> Option<Self> {
        Some(match raw & !SCANNED {
            0 | 6 | 11 => return None,
            1 => Self::Runnable,
            2 => Self::Running,
            3 => Self::Syscall,
            4 => Self::Waiting,
            9 => Self::Preempted,
            10 => Self::Leaked,
            other => Self::Other(other),
        })
    }

    /// Whether the wait reason and the time since are about now.
    pub const fn is_blocked(self) -> bool {
        matches!(self, Self::Waiting | Self::Leaked)
    }
}

/// The fields of one goroutine; addresses of the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Address of its `runtime.g`.
    pub address: u64,
    /// Its number.
    pub id: u64,
    /// What it does.
    pub status: Status,
    /// Entry of the function it was started with; zero for those that C has created.
    pub start: u64,
    /// Return address of the `go` statement that created it.
    pub created_at: u64,
    /// Number of the reason why it waits; what it means depends on the release ([`super::WaitReasons`]).
    pub wait_reason: u8,
    /// It blocked after this moment, in nanoseconds of `CLOCK_MONOTONIC`, and before the end of the next garbage collection:
    /// the first collection that sees it blocked writes down when the one before ended (`waitsince`, `work.tstart`). `None`
    /// until then.
    pub blocked_after: Option<u64>,
    /// Its stack.
    pub stack: Range<u64>,
    /// Where the innermost frame begins.
    pub sp: u64,
    /// Where it will go on.
    pub pc: u64,
    /// `pc` and `sp` are those of a system call.
    pub in_syscall: bool,
}

impl Header {
    /// Reads the fields; `None` when the bytes are too few or the goroutine has ended.
    pub(crate) fn decode(address: u64, bytes: &[u8], layout: &GoroutineLayout) -> Option<Self> {
        let status = Status::from_raw(u32_at(bytes, layout.status)?)?;
        let syscall_sp = u64_at(bytes, layout.syscall_sp)?;
        let in_syscall = syscall_sp != 0;
        let (pc, sp) = if in_syscall {
            (u64_at(bytes, layout.syscall_pc)?, syscall_sp)
        } else {
            (u64_at(bytes, layout.sched + 8)?, u64_at(bytes, layout.sched)?)
        };
        let blocked_after = u64_at(bytes, layout.wait_since)?;
        Some(Self {
            address,
            id: u64_at(bytes, layout.id)?,
            status,
            start: u64_at(bytes, layout.start)?,
            created_at: u64_at(bytes, layout.created_at)?,
            wait_reason: *bytes.get(layout.wait_reason)?,
            blocked_after: (status.is_blocked() && blocked_after != 0).then_some(blocked_after),
            stack: u64_at(bytes, STACK_LOW)?..u64_at(bytes, STACK_HIGH)?,
            sp,
            pc,
            in_syscall,
        })
    }

    /// A stack that was read between this and `later` belongs to both.
    pub(super) fn is_unmoved(&self, later: &Self) -> bool {
        // The scan bit comes and goes with every collection and moves nothing; `decode` has dropped it.
        (self.status, self.id, self.sp, self.pc, &self.stack)
            == (later.status, later.id, later.sp, later.pc, &later.stack)
    }
}
