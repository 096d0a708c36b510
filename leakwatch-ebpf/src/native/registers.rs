//! The registers of the probed thread, by what the calling convention uses them for.

use aya_ebpf::bindings::pt_regs;

/// Where the thread is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    /// Next instruction; at a return probe the return address.
    pub(crate) instruction: u64,
    /// Stack pointer.
    pub(crate) stack_pointer: u64,
    /// Frame pointer register.
    pub(crate) frame_pointer: u64,
}

impl Place {
    /// Of a probe's registers.
    #[inline(always)]
    pub(crate) fn of(regs: *const pt_regs) -> Self {
        // SAFETY: the context of a probe is a valid `pt_regs`, which the verifier checks.
        let regs = unsafe { &*regs };
        #[cfg(bpf_target_arch = "x86_64")]
        {
            Self {
                instruction: regs.rip,
                stack_pointer: regs.rsp,
                frame_pointer: regs.rbp,
            }
        }
        #[cfg(bpf_target_arch = "aarch64")]
        {
            Self {
                instruction: regs.pc,
                stack_pointer: regs.sp,
                frame_pointer: regs.regs[29],
            }
        }
    }
}

/// What a return takes off the stack.
#[cfg(bpf_target_arch = "x86_64")]
pub(crate) const RETURN_POPS: u64 = 8;
/// What a return takes off the stack.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) const RETURN_POPS: u64 = 0;
