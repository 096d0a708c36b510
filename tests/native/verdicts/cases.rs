//! Which programs there are, and what is true of them.

use crate::verdicts::redis;
use crate::verdicts::tools;
use crate::verdicts::tools::CommandLine;
use anyhow::Result;
use std::path::Path;

/// A program under watch.
pub(super) struct Case {
    /// Its name here, and its cgroup's.
    pub(super) name: &'static str,
    /// Makes it, with files in a directory.
    pub(super) build: fn(&Path) -> Result<CommandLine>,
    /// What is true of it.
    pub(super) truth: Truth,
    /// Whether it is left to the slow tests.
    slow: bool,
}

/// What is true of a program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Truth {
    /// It leaks in a function, on the line with the mark `truth: leak` of a file below `tests/programs/native`, and says how much.
    Leak {
        /// As the verdict names it.
        function: &'static str,
        /// The file.
        file: &'static str,
        /// A function further out on the stack.
        caller: &'static str,
    },
    /// It leaks where heaptrack says that it does; it comes without source lines.
    LeakByHeaptrack,
    /// It does not leak.
    Steady,
}

impl Truth {
    pub(super) fn is_leak(self) -> bool {
        self != Self::Steady
    }
}

/// All cases, or those of the quick tests.
pub(super) fn all() -> impl Iterator<Item = Case> {
    let all_wanted = std::env::var("LEAKWATCH_SLOW_TESTS").is_ok_and(|value| value == "1");
    CASES.into_iter().filter(move |case| all_wanted || !case.slow)
}

const fn leak(function: &'static str, file: &'static str, caller: &'static str) -> Truth {
    Truth::Leak { function, file, caller }
}

const LEAK_C: Truth = leak("remember", "leak.c", "serve");

const CASES: [Case; 14] = [
    Case {
        name: "glibc",
        build: |directory| tools::c("leak", directory),
        truth: LEAK_C,
        slow: false,
    },
    Case {
        name: "beside",
        build: |directory| tools::c("beside", directory),
        truth: leak("note", "beside.c", "serve"),
        slow: false,
    },
    Case {
        name: "static",
        build: tools::static_c,
        truth: LEAK_C,
        slow: true,
    },
    Case {
        name: "operator-new",
        build: tools::cxx,
        truth: leak("Ledger::record(unsigned long)", "leak.cc", "main"),
        slow: false,
    },
    Case {
        name: "musl",
        build: tools::on_musl,
        truth: LEAK_C,
        slow: false,
    },
    Case {
        name: "tcmalloc",
        build: |directory| tools::on_library("libtcmalloc-minimal4", "libtcmalloc_minimal.so.4", directory),
        truth: LEAK_C,
        slow: true,
    },
    Case {
        name: "mimalloc",
        build: |directory| tools::on_library("libmimalloc2.0", "libmimalloc.so.2.0", directory),
        truth: LEAK_C,
        slow: true,
    },
    Case {
        name: "jemalloc",
        build: |_| tools::on_jemalloc(),
        truth: leak("ledger::Ledger::record", "jemalloc/src/main.rs", "ledger::main"),
        slow: true,
    },
    Case {
        name: "cgo",
        build: |directory| tools::cgo("local", directory),
        truth: leak("remember", "cgo/session.c", "main.login"),
        slow: true,
    },
    Case {
        name: "python",
        build: tools::python,
        truth: leak("keep_event", "extension.c", "_PyEval_EvalFrameDefault"),
        slow: true,
    },
    Case {
        name: "redis",
        build: redis::server,
        truth: Truth::LeakByHeaptrack,
        slow: true,
    },
    Case {
        name: "bounded",
        build: |directory| tools::c("bounded", directory),
        truth: Truth::Steady,
        slow: false,
    },
    Case {
        name: "pool",
        build: |directory| tools::c("pool", directory),
        truth: Truth::Steady,
        slow: false,
    },
    Case {
        name: "sawtooth",
        build: |directory| tools::c("sawtooth", directory),
        truth: Truth::Steady,
        slow: false,
    },
];
