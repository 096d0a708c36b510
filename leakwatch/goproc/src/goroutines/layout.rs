//! Where the fields of a goroutine lie (`runtime.g`, runtime/runtime2.go), by minor release of Go.
//!
//! The offsets are those of the debug information that each release writes for amd64; no patch release has moved one so
//! far. [`super::calibrate`] compares them with the memory of every process before they are used.

/// Byte offsets in `runtime.g`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GoroutineLayout {
    /// `sched`: the stack pointer of a goroutine that does not run, then its program counter, then its own address.
    pub sched: usize,
    /// `syscallsp`: the stack pointer at which it entered the kernel, zero outside of it.
    pub syscall_sp: usize,
    /// `syscallpc`: the program counter at which it entered the kernel.
    pub syscall_pc: usize,
    /// `atomicstatus`, 32 bits.
    pub status: usize,
    /// `goid`.
    pub id: usize,
    /// `waitsince`.
    pub wait_since: usize,
    /// `waitreason`, 8 bits.
    pub wait_reason: usize,
    /// `gopc`: return address of the `go` statement.
    pub created_at: usize,
    /// `startpc`: entry of its function.
    pub start: usize,
}

/// `stack.lo`: the same in all releases, as the compiler relies on it.
pub(super) const STACK_LOW: usize = 0;
/// `stack.hi`.
pub(super) const STACK_HIGH: usize = 8;

/// The oldest and the newest minor release (1.N) whose layout is known.
pub const KNOWN_RELEASES: std::ops::RangeInclusive<u32> = 18..=27;

impl GoroutineLayout {
    /// The layout of Go 1.`minor`, where it is known.
    pub const fn of_release(minor: u32) -> Option<Self> {
        // (syscallsp, atomicstatus, gopc)
        let (syscall_sp, status, created_at) = match minor {
            18..=20 => (112, 144, 296),
            21..=22 => (112, 144, 280),
            23..=24 => (112, 152, 288),
            25 => (104, 144, 280),
            26..=27 => (104, 144, 288),
            _ => return None,
        };
        Some(Self {
            sched: 56,
            syscall_sp,
            syscall_pc: syscall_sp + 8,
            status,
            id: status + 8,
            wait_since: status + 24,
            wait_reason: status + 32,
            created_at,
            start: created_at + 16,
        })
    }

    /// Bytes from the start of a goroutine that hold all fields.
    pub const fn size(&self) -> usize {
        self.start + 8
    }
}
