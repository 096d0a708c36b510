//! Which programs there are, and what is true of each: written down before it is run.

use crate::make;
use crate::make::CommandLine;
use anyhow::Result;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// A program, and what is true of it.
pub(crate) struct Truth {
    /// Its name here, its cgroup's and that of its file in `texts`.
    pub(crate) name: &'static str,
    /// Makes it, with files in a directory.
    pub(crate) make: fn(&Path) -> Result<CommandLine>,
    /// Its limit in bytes.
    pub(crate) limit: Option<u64>,
    /// What happens to it.
    pub(crate) fate: Fate,
    /// The classes that are right. A program with none that ends with `_leak` must never be called a leak.
    pub(crate) classes: &'static [&'static str],
    /// The place.
    pub(crate) place: Place,
    /// What a person must be told, and told to do.
    pub(crate) says: &'static [&'static str],
    /// What a person must not be told.
    pub(crate) never: &'static [&'static str],
    /// Why the answer is known to miss the truth.
    pub(crate) known_miss: Option<&'static str>,
}

/// What happens to a program.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Nothing.
    Watched,
    /// The kernel kills it so often for lack of memory.
    Killed(usize),
    /// After such a kill its limit is raised to so many bytes.
    Raised(u64),
    /// Somebody kills it with a plain SIGKILL.
    Signalled,
}

/// Which place the verdict names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// This function.
    At(&'static str),
    /// None: every name would be wrong.
    Nowhere,
    /// It does not matter.
    Any,
}

/// One run of one program cannot be told from a cache that fills: then what grows is told as `growing`.
const GO_HEAP: &[&str] = &["go_heap_leak", "growing"];
const GOROUTINES: &[&str] = &["goroutine_leak", "growing"];
const NATIVE: &[&str] = &["native_leak", "growing"];
const MAPPINGS: &[&str] = &["mapping_leak", "growing"];
const MANAGED: &[&str] = &["managed_heap_growth", "growing"];
const LEVEL: &[&str] = &["stable", "warm_up", "burst"];
const HEALTHY: &[&str] = &["stable", "load_driven", "gc_headroom", "not_enough_data"];

/// Of no use to a program that is not Go.
const FOREIGN: &[&str] = &["GOMEMLIMIT", "oroutines", "live heap", "Go heap", "-Xmx"];
/// Accusations of a healthy program.
const ACCUSING: &[&str] = &[
    "does not free",
    "keeps what it allocates",
    "restart or a higher limit",
    "raise it to",
];
/// Of no use to a managed heap.
const WRONG_FOR_MANAGED: &[&str] = &[
    "GOMEMLIMIT",
    "oroutines",
    "Go heap",
    "does not free what",
    "_PyEval",
    "PyObject",
];

const WATCHED: Truth = Truth {
    name: "",
    make: make::c_need,
    limit: None,
    fate: Fate::Watched,
    classes: HEALTHY,
    place: Place::Any,
    says: &[],
    never: ACCUSING,
    known_miss: None,
};

pub(crate) const TRUTHS: [Truth; 33] = [
    Truth {
        name: "go-cache-without-expiry",
        make: |directory| make::go("markets", &["-variant=cache-leak", "-rate=1000000"], directory),
        classes: GO_HEAP,
        place: Place::At("main.getOrQueryMarketsValues"),
        says: &["main.getOrQueryMarketsValues", "markets.go", "reachable"],
        never: &["malloc", "-Xmx", "Nothing to fix"],
        ..WATCHED
    },
    Truth {
        name: "go-library-keeps",
        make: |directory| make::service("library", directory),
        classes: GO_HEAP,
        place: Place::At("main.recordVisit"),
        says: &["main.recordVisit", "github.com/acme/history", "reachable"],
        never: &["malloc", "Nothing to fix"],
        ..WATCHED
    },
    Truth {
        name: "go-bounded-cache",
        make: |directory| make::go("thumbnails", &["-warm-up=15s"], directory),
        limit: Some(256 * MIB),
        classes: LEVEL,
        ..WATCHED
    },
    Truth {
        name: "go-pool",
        make: |directory| make::service("pool", directory),
        limit: Some(128 * MIB),
        classes: HEALTHY,
        ..WATCHED
    },
    Truth {
        name: "go-map-to-its-level",
        make: |directory| make::service("prices", directory),
        limit: Some(256 * MIB),
        classes: LEVEL,
        ..WATCHED
    },
    Truth {
        name: "go-goroutines",
        make: |directory| make::go("poller", &["-rate=100"], directory),
        classes: GOROUTINES,
        place: Place::At("main.waitForUpdate"),
        says: &["main.waitForUpdate", "a way out"],
        never: &["malloc", "Nothing to fix"],
        ..WATCHED
    },
    Truth {
        name: "go-goroutines-of-a-library",
        make: |directory| make::service("watcher", directory),
        classes: GOROUTINES,
        place: Place::At("main.subscribe"),
        says: &["main.subscribe", "lose what it makes", "github.com/acme/watch"],
        never: &["malloc", "Nothing to fix"],
        known_miss: Some("a watcher of 104 bytes is too small for samples of the heap to show who makes it"),
        ..WATCHED
    },
    Truth {
        name: "go-without-profile",
        make: make::service_without_profile,
        classes: &["growing", "not_enough_data"],
        place: Place::Nowhere,
        says: &["The live Go heap grows", "runtime.MemProfile"],
        never: &["malloc", "libc"],
        ..WATCHED
    },
    Truth {
        name: "cgo",
        make: make::cgo,
        classes: NATIVE,
        place: Place::At("remember"),
        says: &["remember", "session.c", "main.login"],
        never: &["Nothing to fix"],
        ..WATCHED
    },
    Truth {
        name: "c",
        make: |directory| make::c("native/leak.c", &[], directory),
        classes: NATIVE,
        place: Place::At("remember"),
        says: &["remember", "leak.c", "freed"],
        never: FOREIGN,
        ..WATCHED
    },
    Truth {
        name: "cxx-strings",
        make: |directory| make::c("native/leak.cc", &[], directory),
        classes: NATIVE,
        place: Place::At("Ledger::record"),
        says: &["Ledger::record", "leak.cc", "container keeps it"],
        never: &["__cxx11", "basic_string<char", "GOMEMLIMIT", "oroutines"],
        ..WATCHED
    },
    Truth {
        name: "cxx-template",
        make: |directory| make::c("answers/index.cc", &[], directory),
        classes: NATIVE,
        place: Place::At("Index<unsigned long>::put"),
        says: &["Index<unsigned long>::put", "index.cc"],
        never: &["__cxx11", "basic_string<char", "GOMEMLIMIT", "oroutines"],
        ..WATCHED
    },
    Truth {
        name: "rust",
        make: make::rust,
        classes: NATIVE,
        place: Place::At("records::Archive::keep"),
        says: &["records::Archive::keep", "records.rs"],
        never: &["GOMEMLIMIT", "oroutines"],
        ..WATCHED
    },
    Truth {
        name: "c-below-a-dependency",
        make: make::dependency,
        classes: NATIVE,
        place: Place::At("lookup"),
        says: &["lookup", "lookup.c"],
        never: FOREIGN,
        ..WATCHED
    },
    Truth {
        name: "stripped",
        make: make::stripped,
        classes: NATIVE,
        place: Place::Any,
        says: &["debugging symbols", "strip"],
        never: FOREIGN,
        ..WATCHED
    },
    Truth {
        name: "mappings",
        make: |directory| make::c("native/mappings.c", &[], directory),
        classes: MAPPINGS,
        place: Place::At("open_session"),
        says: &["open_session", "munmap"],
        never: FOREIGN,
        ..WATCHED
    },
    Truth {
        name: "workers-that-leak-alike",
        make: |directory| make::c("answers/workers.c", &["4"], directory),
        classes: NATIVE,
        place: Place::At("keep_row"),
        says: &["keep_row", "workers.c"],
        never: FOREIGN,
        ..WATCHED
    },
    Truth {
        name: "worker-dies-master-lives",
        make: |directory| make::c("answers/workers.c", &["1"], directory),
        limit: Some(64 * MIB),
        fate: Fate::Killed(2),
        classes: NATIVE,
        place: Place::At("keep_row"),
        says: &["keep_row", "lived on"],
        never: &[
            "the main process restarted",
            "GOMEMLIMIT",
            "oroutines",
            "Nothing to fix",
            "raise it to",
        ],
        ..WATCHED
    },
    Truth {
        name: "killed-three-times",
        make: |directory| make::c("native/leak.c", &[], directory).map(make::again),
        limit: Some(96 * MIB),
        fate: Fate::Killed(3),
        classes: NATIVE,
        place: Place::At("remember"),
        says: &["remember", "freed"],
        never: &[
            "GOMEMLIMIT",
            "oroutines",
            "Double the limit",
            "raise it to",
            "Nothing to fix",
        ],
        ..WATCHED
    },
    Truth {
        name: "files-in-memory",
        make: make::files_in_memory,
        limit: Some(128 * MIB),
        fate: Fate::Killed(1),
        classes: &["tmpfs"],
        says: &["/dev/shm"],
        never: &["GOMEMLIMIT", "oroutines", "-Xmx", "Raise the limit to", "memray"],
        ..WATCHED
    },
    Truth {
        name: "page-cache",
        make: make::page_cache,
        limit: Some(64 * MIB),
        classes: &["stable", "page_cache", "not_enough_data"],
        never: &[
            "does not free",
            "Raise the limit",
            "GOMEMLIMIT",
            "is killed",
            "thrashes",
        ],
        ..WATCHED
    },
    Truth {
        name: "thrashes-at-its-limit",
        make: make::thrashes,
        limit: Some(128 * MIB),
        classes: &[
            "undersized_limit",
            "stable",
            "not_enough_data",
            "growing",
            "managed_heap_growth",
        ],
        says: &["thrashes", "Do not wait"],
        never: &["GOMEMLIMIT", "nothing to do", "Wait:"],
        ..WATCHED
    },
    Truth {
        name: "limit-below-the-need",
        make: |directory| make::c("answers/need.c", &["80"], directory).map(make::again),
        limit: Some(64 * MIB),
        fate: Fate::Killed(4),
        classes: &["undersized_limit", "not_enough_data"],
        says: &["imit"],
        never: &["GOMEMLIMIT", "oroutines", "-Xmx", "does not free", "nothing to do"],
        ..WATCHED
    },
    Truth {
        name: "limit-raised-after-a-kill",
        make: |directory| make::c("answers/need.c", &["80"], directory).map(make::again),
        limit: Some(64 * MIB),
        fate: Fate::Raised(160 * MIB),
        classes: &["stable"],
        says: &["steady"],
        never: &[
            "limit of 160.0 MiB is too small",
            "leaves no room",
            "raise it to",
            "Raise the limit",
            "GOMEMLIMIT",
            "does not free",
        ],
        ..WATCHED
    },
    Truth {
        name: "plain-sigkill",
        make: make::c_need,
        limit: Some(128 * MIB),
        fate: Fate::Signalled,
        classes: &["stable", "not_enough_data"],
        never: &[
            "for lack of memory",
            "OOM kill",
            "GOMEMLIMIT",
            "raise it to",
            "more per second",
        ],
        ..WATCHED
    },
    Truth {
        name: "python",
        make: |directory| make::python("remembers.py", &[], directory),
        classes: MANAGED,
        place: Place::Nowhere,
        says: &["Python", "tracemalloc"],
        never: WRONG_FOR_MANAGED,
        ..WATCHED
    },
    Truth {
        name: "node",
        make: |_| make::node(400),
        classes: MANAGED,
        place: Place::Nowhere,
        says: &["Node.js", "--max-old-space-size", "heapsnapshot-near-heap-limit"],
        never: WRONG_FOR_MANAGED,
        ..WATCHED
    },
    Truth {
        // V8 gives up after some 90 s, and a shell starts it again.
        name: "node-with-its-own-heap-full",
        make: |_| make::node(130).map(make::again),
        classes: MANAGED,
        place: Place::Nowhere,
        says: &["its own heap is full", "does not help"],
        never: WRONG_FOR_MANAGED,
        ..WATCHED
    },
    Truth {
        name: "jvm",
        make: make::jvm,
        classes: MANAGED,
        place: Place::Nowhere,
        says: &["Java", "-Xmx", "jcmd"],
        never: WRONG_FOR_MANAGED,
        ..WATCHED
    },
    Truth {
        name: "sawtooth",
        make: |directory| make::c("native/sawtooth.c", &[], directory),
        limit: Some(128 * MIB),
        ..WATCHED
    },
    Truth {
        name: "batch-job",
        make: |directory| make::go("reports", &[], directory),
        limit: Some(128 * MIB),
        ..WATCHED
    },
    Truth {
        name: "cache-that-warms-up",
        make: |directory| make::c("native/bounded.c", &[], directory),
        limit: Some(128 * MIB),
        classes: LEVEL,
        ..WATCHED
    },
    Truth {
        name: "steady",
        make: make::c_need,
        limit: Some(128 * MIB),
        classes: &["stable"],
        says: &["nothing to do"],
        ..WATCHED
    },
];
