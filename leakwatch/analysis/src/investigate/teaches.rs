//! What each step teaches about memory in a Go process and in a memory cgroup. Text only.

use crate::model::investigation::StepId;

/// The lesson that belongs to a step.
pub(super) const fn lesson(step: StepId) -> &'static str {
    match step {
        StepId::Memory => {
            "A cgroup is charged for every page its processes touch first: anonymous memory, page cache, shared memory and kernel \
             memory. Page cache is given back when the limit is near, so what counts for survival is the charge minus reclaimable \
             cache. A Go heap moves up and down with each garbage collection; only a rising lower envelope is growth."
        }
        StepId::Ledger => {
            "The charge splits into anonymous memory (heaps and stacks), page cache (file), shared memory and tmpfs (shmem: looks \
             like cache, cannot be dropped) and kernel memory (page tables, sockets, slab). Which part grows decides where to look \
             next: only anonymous growth can be a heap or goroutine leak."
        }
        StepId::Goroutines => {
            "Each goroutine owns a stack of at least 2 KiB and keeps everything reachable from it alive. A goroutine that waits for \
             a channel, lock or reply that never comes is never collected. Blocked goroutines at the same line that only grow in \
             number are a leak; numbers that follow load are not."
        }
        StepId::LiveHeap => {
            "Live heap is what the last garbage collection could still reach. With GOGC=100 the runtime lets the heap grow to twice \
             that before it collects again, so resident memory shows live heap plus garbage. The heap profile (inuse_space) counts \
             sampled allocations that are not freed yet, as of a finished collection: it lags by up to two collections, and when it \
             grows collection after collection, something keeps the objects reachable."
        }
        StepId::Native => {
            "Memory outside the Go heap - C libraries called through cgo, memory mapped by hand, thread stacks, runtime metadata - \
             is anonymous too but in no Go profile. It shows as anonymous memory that grows while the live heap and its garbage \
             headroom do not."
        }
        StepId::Other => {
            "Not everything that fills a limit leaks. Caches fill to a bound and runtimes warm up; a steady program can need more \
             than its limit, so that it dies at the same level in every life. A leak reaches any limit; a need has a level."
        }
        StepId::Conclusion => {
            "A verdict is as good as its evidence: it names what was seen, what was ruled out and what would change it."
        }
    }
}
