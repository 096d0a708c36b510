//! Where it lies what a goroutine waits for, and what the heap and its processors hold beside objects of the program.

/// Offsets and sizes on the way from a goroutine that waits to what could wake it. What all releases since Go 1.22 share is in
/// [`crate::spans`] and [`crate::wakers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WaitingLayout {
    /// Size of `runtime.sudog`: a goroutine in a list of those that wait.
    pub sudog_size: usize,
    /// Size of `runtime.special`: what the runtime keeps about one object.
    pub special_size: usize,
    /// Size of `runtime.mheap`.
    pub heap_size: usize,
    /// `sudog.elem`: the semaphore, where no channel is waited for.
    pub sudog_elem: usize,
    /// `sudog.c`: the channel.
    pub sudog_channel: usize,
    /// `sudog.waitlink`: the next one of the same goroutine.
    pub sudog_waitlink: usize,
    /// `g.waiting`: the first one.
    pub goroutine_waiting: usize,
    /// `g.param`.
    pub goroutine_param: usize,
    /// `special.kind`, 8 bits; its offset before it fills the bytes in between.
    pub special_kind: usize,
    /// `p.gcw`, the first of what the collector uses of a processor.
    pub processor_scratch: usize,
    /// `p.runSafePointFn`, the first field behind that.
    pub processor_scratch_end: usize,
    /// `moduledata.next`: another module, where there is one.
    pub module_next: usize,
}
