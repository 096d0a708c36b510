//! `signal:signal_deliver`: a watched process takes the SIGKILL that ends it, and its heap is read meanwhile; see [`super::super::final_heap`].

use crate::probes::final_heap;
use crate::probes::hook::Hook;
use crate::probes::hook::Programs;
use crate::probes::hook::Ring;
use crate::probes::hooks::requirement;

const TRACEPOINT: &str = "signal_deliver";

/// With `bpf_loop` (Linux 5.17) it is one program.
pub const ONE_PROGRAM: Programs = Programs::RawTracepoint {
    program: "final_heap",
    tracepoint: TRACEPOINT,
};

/// Before, it is several.
pub const IN_PARTS: Programs = Programs::TailCalls {
    program: "final_heap_in_parts",
    tracepoint: TRACEPOINT,
    parts: ("WALK_PARTS", &["heap_part", "goroutine_part"]),
};

/// Its row.
pub static HOOK: Hook = Hook {
    name: "signal:signal_deliver",
    without: "a post-mortem shows the last snapshot of the heap instead of the heap at the kill",
    fix: requirement::NEEDS_BTF,
    programs: |facts, offsets| {
        requirement::identifies_processes(facts, offsets)?;
        let can_loop = |btf: &crate::probes::btf::Btf| btf.enumerator("BPF_FUNC_loop").is_some();
        Ok(if facts.btf.as_ref().is_ok_and(can_loop) {
            ONE_PROGRAM
        } else {
            IN_PARTS
        })
    },
    // Four million buckets of four bytes, in case nobody drains it meanwhile: of eight large victims at once.
    ring: Ring {
        map: "FINAL_HEAP_EVENTS",
        bytes: 16 * 1024 * 1024,
    },
    drain: final_heap::drain,
};
