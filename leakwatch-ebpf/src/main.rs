//! The eBPF programs of leakwatch, one file per hook. They only copy facts into records: what the facts mean is decided in
//! user space. Offsets of kernel structures come from the loader, see `leakwatch_common::config`.
//!
//! Built for the host this is an empty program, so that workspace commands need no bpf toolchain.
#![cfg_attr(target_arch = "bpf", no_std, no_main)]
#![cfg_attr(
    target_arch = "bpf",
    expect(
        clippy::inline_always,
        reason = "the verifier knows pointers better within one function"
    )
)]

#[cfg(target_arch = "bpf")]
mod scratch;
#[cfg(target_arch = "bpf")]
mod maps;
#[cfg(target_arch = "bpf")]
mod kernel;
#[cfg(target_arch = "bpf")]
mod memcg;
#[cfg(target_arch = "bpf")]
mod oom_mark_victim;
#[cfg(target_arch = "bpf")]
mod memcg_reclaim;
#[cfg(target_arch = "bpf")]
mod process_exit;
#[cfg(target_arch = "bpf")]
mod signal_generate;
#[cfg(target_arch = "bpf")]
mod process_exec;
#[cfg(target_arch = "bpf")]
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_ptr_alignment,
    clippy::multiple_unsafe_ops_per_block,
    reason = "sizes are small constants, words lie at multiples of eight, and neighbouring words are written together"
)]
mod final_heap;

/// The kernel refuses some helpers to programs without a licence compatible with the GPL.
#[cfg(target_arch = "bpf")]
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[cfg(not(target_arch = "bpf"))]
fn main() {}
