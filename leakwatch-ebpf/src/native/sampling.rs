//! Which allocations are samples: decided by bytes, each of which has the same chance, whatever object it belongs to.
//!
//! The distances between samples are drawn for each processor, not for each thread, which would have to be looked up: the exponential
//! distribution has no memory, so it makes no difference who goes on with what another thread has left over.
//!
//! The sum of the distances, less what is left of the last, is what was allocated in all: known exactly, at no price for what is no sample.

use crate::maps::config;
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use leakwatch_common::exponential;
use leakwatch_common::native::PerCpu;

/// Whether an allocation of so many bytes is a sample.
#[inline(always)]
pub(crate) fn is_sample(cpu: &mut PerCpu, size: u64) -> bool {
    let mean = config!(mean_bytes);
    if mean <= 1 {
        return true;
    }
    if cpu.until_sample == 0 {
        cpu.until_sample = distance(mean);
        cpu.bytes_ahead += cpu.until_sample;
    }
    if cpu.until_sample > size {
        cpu.until_sample -= size;
        return false;
    }
    // What of the size is left over makes no difference either.
    cpu.bytes_ahead += size - cpu.until_sample;
    cpu.until_sample = 0;
    true
}

#[inline(always)]
fn distance(mean: u64) -> u64 {
    // SAFETY: a helper without arguments.
    let random = unsafe { bpf_get_prandom_u32() };
    exponential::distance(random, mean) + 1
}
