//! The registers of the probed thread, by what the calling convention uses them for.

use aya_ebpf::bindings::pt_regs;
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use aya_ebpf::helpers::generated::bpf_task_pt_regs;

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

impl Place {
    /// Where the current thread was in user mode when it entered the kernel.
    #[inline(always)]
    pub(crate) fn of_user() -> Self {
        Self::of(user_registers())
    }

    /// The same with the arguments of the system call that it made, also when it has returned.
    #[inline(always)]
    pub(crate) fn of_system_call() -> (Self, [u64; 4]) {
        let at = user_registers();
        // SAFETY: a valid `pt_regs`, which the verifier checks.
        let regs = unsafe { &*at };
        #[cfg(bpf_target_arch = "x86_64")]
        let arguments = [regs.rdi, regs.rsi, regs.rdx, regs.r10];
        // The result takes the place of the first argument, which is kept behind the registers of user mode (`orig_x0`).
        // SAFETY: a field of `struct pt_regs`, which is larger than what user space sees of it; the verifier checks it.
        #[cfg(bpf_target_arch = "aarch64")]
        let first = unsafe { *at.add(1).cast::<u64>() };
        #[cfg(bpf_target_arch = "aarch64")]
        let arguments = [first, regs.regs[1], regs.regs[2], regs.regs[3]];
        (Self::of(at), arguments)
    }
}

/// The registers that the current thread had in user mode. Linux 5.15.
#[inline(always)]
fn user_registers() -> *const pt_regs {
    // SAFETY: the current thread is there as long as it runs this.
    let task = unsafe { bpf_get_current_task_btf() };
    // SAFETY: a thread that the kernel has just named.
    unsafe { bpf_task_pt_regs(task) as *const pt_regs }
}

/// What a return takes off the stack.
#[cfg(bpf_target_arch = "x86_64")]
pub(crate) const RETURN_POPS: u64 = 8;
/// What a return takes off the stack.
#[cfg(bpf_target_arch = "aarch64")]
pub(crate) const RETURN_POPS: u64 = 0;
