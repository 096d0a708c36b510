//! The wire between the eBPF programs and the daemon: ring-buffer records, settings and loss counters, defined once.
//!
//! | record | written by | through | read by |
//! |---|---|---|---|
//! | [`event::OomMarkVictim`] | `oom_mark_victim`, `oom_mark_victim_format` | ring buffer `OOM_EVENTS` | `probes::hooks` |
//! | [`event::ProcessExit`] | `process_exit` | ring buffer `EXIT_EVENTS` | `probes::hooks` |
//! | [`event::ProcessExec`] | `process_exec` | ring buffer `EXEC_EVENTS` | `probes::hooks` |
//! | [`final_heap::WalkChunk`], [`final_heap::WalkEnd`] | `final_heap` and its variants | ring buffer `FINAL_HEAP_EVENTS` | `probes::final_heap` |
//! | [`final_heap::GoroutineGroup`] | likewise | hash map `GOROUTINES` | `probes::final_heap` |
//! | [`final_heap::Watch`] | `probes::final_heap` | hash map `WATCHED` | `final_heap` and its variants |
//! | [`loss::LossReason`] | every program | per-CPU array `LOSSES` | `probes::loss` |
//! | [`config::ProbeConfig`] | `probes::load`, before the programs are loaded | `.rodata` | every program |
//! | [`native::NativeStack`] | `leakwatch-ebpf-native` | ring buffer `NATIVE_STACKS` | `probes::allocator` |
//! | [`native::NativeConfig`] | `probes::allocator`, before the programs are loaded | `.rodata` | `leakwatch-ebpf-native` |
//!
//! No logic beyond layout lives here - but for what both sides compute, `exponential` - and no unsafe code: zerocopy's derives refuse a record with padding at compile time.
#![no_std]
#![forbid(unsafe_code)]
#![expect(
    non_ascii_idents,
    reason = "zerocopy's derives name their helpers with a letter nobody else uses"
)]

pub mod event;
pub mod final_heap;
pub mod loss;
pub mod config;
pub mod native;
pub mod growth;
pub mod usdt;
pub mod exponential;
