//! Fault-tolerant reads of kernel structures at offsets the loader has resolved.

use crate::maps;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::bpf_probe_read_kernel_str_bytes;
use aya_ebpf::helpers::generated::bpf_get_current_task;
use leakwatch_common::config::ABSENT;
use leakwatch_common::config::ProbeConfig;
use leakwatch_common::loss::LossReason;

/// Overwritten by the loader, frozen before the programs are verified.
#[unsafe(no_mangle)]
pub(crate) static PROBE_CONFIG: ProbeConfig = ProbeConfig::UNKNOWN;

/// One offset of [`PROBE_CONFIG`] as the loader set it; the compiler must not assume the initial value.
macro_rules! offset {
    ($field:ident) => {
        // SAFETY: a live, aligned field of a static that is never written while programs run.
        unsafe { core::ptr::read_volatile(&raw const crate::kernel::PROBE_CONFIG.$field) }
    };
}
pub(crate) use offset;

/// Address of an object in kernel memory, not null.
#[derive(Clone, Copy)]
pub(crate) struct Object(u64);

impl Object {
    /// From an address, unless it is null.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Option<Self> {
        (address != 0).then_some(Self(address))
    }

    /// The `task_struct` of the current thread.
    #[inline(always)]
    pub(crate) fn current_task() -> Option<Self> {
        // SAFETY: a helper without arguments.
        Self::at(unsafe { bpf_get_current_task() })
    }

    /// Reads a member. `None` when this kernel does not have it or the read faults; a fault is counted.
    #[inline(always)]
    pub(crate) fn read<T>(self, offset: u32) -> Option<T> {
        if offset == ABSENT {
            return None;
        }
        let address = (self.0 + u64::from(offset)) as *const T;
        // SAFETY: the helper checks the address and fails where nothing is mapped.
        let value = unsafe { bpf_probe_read_kernel(address) };
        if value.is_err() {
            maps::lose(LossReason::KernelReadFault);
        }
        value.ok()
    }

    /// Follows a pointer member.
    #[inline(always)]
    pub(crate) fn follow(self, offset: u32) -> Option<Self> {
        Self::at(self.read(offset)?)
    }

    /// Reads the text at this address, its NUL included. `None` when the read faults, which is counted.
    #[inline(always)]
    pub(crate) fn read_text(self, text: &mut [u8]) -> Option<()> {
        // SAFETY: the helper checks the address and writes at most the length of `text`.
        let read = unsafe { bpf_probe_read_kernel_str_bytes(self.0 as *const u8, text) };
        if read.is_err() {
            maps::lose(LossReason::KernelReadFault);
        }
        read.ok().map(drop)
    }
}
