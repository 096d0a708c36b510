//! The language runtime of a process, and what it counts.

use crate::model::units::Bytes;
use std::sync::Arc;

/// The language runtime of a process, as far as leakwatch knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runtime {
    /// Go, with the version from the binary's build info (`go1.27.3`).
    Go {
        /// As recorded by the linker; may be `devel ...`.
        version: String,
        /// From which sources it was built; none where the linker did not record a module.
        build: Option<Arc<GoBuild>>,
    },
    /// A runtime that manages a heap of its own, which is not read.
    Managed(ManagedRuntime),
    /// Anything else.
    Native,
}

/// From which sources a Go program was built, as the linker recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoBuild {
    /// Import path of the main package.
    pub package: String,
    /// Path of the main module.
    pub module: String,
    /// Its version; `(devel)` of a build in a checkout that Go could not date.
    pub module_version: Option<String>,
    /// Commit that was checked out (`vcs.revision`).
    pub revision: Option<String>,
    /// Whether the checkout had changes that are not in that commit (`vcs.modified`).
    pub modified: Option<bool>,
}

/// A runtime with a heap of its own, told from the executable's name and the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManagedRuntime {
    /// Which one.
    pub name: ManagedRuntimeName,
    /// As in the executable's name (`3.11` of `python3.11`) or in the files that are installed with it; none if they do not tell.
    pub version: Option<String>,
    /// Bound of the heap that the command line or the environment sets (`-Xmx`, `--max-old-space-size`).
    pub most_heap: Option<Bytes>,
    /// The same as a part of memory, in percent (`-XX:MaxRAMPercentage`).
    pub most_heap_percent: Option<u8>,
}

/// The managed runtimes that are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ManagedRuntimeName {
    /// A Java virtual machine.
    Jvm,
    /// Node.js and others that run `JavaScript`.
    Node,
    /// `CPython` or `PyPy`.
    Python,
}

impl ManagedRuntimeName {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Jvm, Self::Node, Self::Python];

    /// Name on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jvm => "jvm",
            Self::Node => "node",
            Self::Python => "python",
        }
    }
}

/// What the runtime of one process counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuntimeStats {
    /// A Go program.
    Go(GoRuntimeStats),
}

impl RuntimeStats {
    /// What a Go runtime counts; none of another runtime.
    pub const fn go(&self) -> Option<&GoRuntimeStats> {
        match self {
            Self::Go(stats) => Some(stats),
        }
    }
}

/// What a Go runtime counts, read from its memory (`gcController` and `memstats`). Sizes are of memory that the runtime
/// has mapped and not returned; nearly all of it is resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GoRuntimeStats {
    /// Live heap found by the last garbage collection (`heapMarked`); zero before the first.
    pub heap_marked: Bytes,
    /// Live heap and what was allocated since (`heapLive`).
    pub heap_live: Bytes,
    /// Size at which the next collection is to end, by GOGC (`MemStats.NextGC`); none with `GOGC=off`.
    pub heap_goal: Option<Bytes>,
    /// Spans in use (`MemStats.HeapInuse`): what is live, what is garbage and what is lost between objects.
    pub heap_in_use: Bytes,
    /// Free spans that the runtime keeps (`MemStats.HeapIdle` less `HeapReleased`).
    pub heap_idle: Bytes,
    /// Free spans that were returned to the system (`MemStats.HeapReleased`): not resident.
    pub heap_released: Bytes,
    /// All that is mapped and not returned (`mappedReady`): what GOMEMLIMIT counts.
    pub mapped_ready: Bytes,
    /// Stacks of goroutines (`MemStats.StackInuse`).
    pub stacks: Bytes,
    /// What the runtime needs for itself.
    pub metadata: Bytes,
    /// Garbage collections so far (`MemStats.NumGC`).
    pub collections: u32,
    /// GOGC in force; none when off.
    pub gc_percent: Option<u32>,
    /// GOMEMLIMIT in force, if any.
    pub memory_limit: Option<Bytes>,
}
