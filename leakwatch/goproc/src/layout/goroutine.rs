//! Where the fields of a goroutine lie (`runtime.g`, runtime/runtime2.go), by minor release of Go.
//!
//! The offsets are those of the debug information that each release writes for amd64; no patch release has moved one so
//! far. [`crate::goroutines::Calibration`] compares them with the memory of every process before they are used.

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
pub(crate) const STACK_LOW: usize = 0;
/// `stack.hi`.
pub(crate) const STACK_HIGH: usize = 8;

impl GoroutineLayout {
    /// Bytes from the start of a goroutine that hold all fields.
    pub const fn size(&self) -> usize {
        self.start + 8
    }
}
