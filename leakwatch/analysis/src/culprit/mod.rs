//! Which frame of a stack is the program's own code. Works on names and file paths as pprof gives them; no table of known
//! programs. Must not guess from anything else.

mod origin;
mod go;
mod merge;
pub mod native;

pub use go::package_of;
pub use origin::Origin;

use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::model::stack::StackTable;

/// Stacks from which the layout of a build is learned.
const LEARNED_STACKS: usize = 64;

/// What has been learned about the build from its frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Build {
    /// Of Go.
    Go {
        /// Directory with a trailing slash that contains `runtime/`; empty for a trimmed build; none when no runtime frame was seen.
        standard_root: Option<String>,
    },
    /// Of anything that calls an allocator: C, C++, Rust.
    Native {
        /// Directory with a trailing slash that an interpreter's source was compiled in; none where no frame of one has a source line.
        interpreter_root: Option<String>,
    },
}

impl Default for Build {
    fn default() -> Self {
        Self::Go { standard_root: None }
    }
}

impl Build {
    /// Learns of a native program, as of a Go program.
    pub fn learn_native(stacks: &StackTable, ids: impl IntoIterator<Item = StackId>) -> Self {
        let interpreter_root = ids.into_iter().take(LEARNED_STACKS).find_map(|id| {
            let mut frames = stacks.frames(id);
            frames.find_map(|frame| native::interpreter_root_of(frame).map(ToOwned::to_owned))
        });
        Self::Native { interpreter_root }
    }

    /// Whether the frame is an interpreter's: what it allocates belongs to the program that it runs.
    pub fn is_interpreter(&self, frame: &Frame) -> bool {
        match self {
            Self::Native { interpreter_root } => native::is_interpreter(frame, interpreter_root.as_deref()),
            Self::Go { .. } => false,
        }
    }

    /// Learns from the first of some stacks, `LEARNED_STACKS` at most.
    pub fn learn(stacks: &StackTable, ids: impl IntoIterator<Item = StackId>) -> Self {
        let standard_root = ids.into_iter().take(LEARNED_STACKS).find_map(|id| {
            stacks
                .outermost_first(id)
                .into_iter()
                .find_map(|frame| go::standard_root_of(&frame.function, &frame.file))
        });
        Self::Go { standard_root }
    }

    /// Whose code a frame is.
    pub fn origin(&self, frame: &Frame) -> Origin {
        match self {
            Self::Native { interpreter_root } => native::origin(frame, interpreter_root.as_deref()),
            Self::Go { standard_root } => go::origin(standard_root.as_deref(), frame),
        }
    }

    /// The innermost frame of the program's own code; without one the innermost library frame, then the outermost of the standard
    /// library (`net/http.(*conn).serve` says more than the read it waits in), then whatever is innermost. None for an empty stack.
    pub fn culprit<'a>(&self, stack: impl IntoIterator<Item = &'a Frame>) -> Option<&'a Frame> {
        let mut best: Option<(Origin, &Frame)> = None;
        // Nothing but what passes requests on so far.
        let mut next_to_allocator = matches!(self, Self::Native { .. });
        for frame in stack {
            let origin = match self.origin(frame) {
                _ if next_to_allocator && native::passes_on(frame) => Origin::Runtime,
                origin => origin,
            };
            next_to_allocator &= matches!(origin, Origin::Runtime | Origin::Standard);
            let outer = |so_far| origin < so_far || (origin == Origin::Standard && so_far == Origin::Standard);
            if best.is_none_or(|(so_far, _)| outer(so_far)) {
                best = Some((origin, frame));
            }
            if origin == Origin::Own {
                break;
            }
        }
        best.map(|(_, frame)| frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: &str) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            line: 1,
        }
    }

    fn check(stack: &[(&str, &str)], expected: &str) {
        let frames: Vec<Frame> = stack.iter().map(|(function, file)| frame(function, file)).collect();
        let mut table = StackTable::default();
        let id = table.intern(&frames).unwrap();
        let build = Build::learn(&table, [id]);
        let found = build.culprit(table.frames(id)).map(|frame| frame.function.to_string());
        assert_eq!(found.as_deref(), Some(expected), "{stack:?} {build:?}");
    }

    #[test]
    fn plain_build() {
        check(
            &[
                ("bytes.growSlice", "/usr/local/go/src/bytes/buffer.go"),
                ("bytes.(*Buffer).Write", "/usr/local/go/src/bytes/buffer.go"),
                ("main.handle", "/src/app/main.go"),
                ("net/http.HandlerFunc.ServeHTTP", "/usr/local/go/src/net/http/server.go"),
                ("runtime.goexit", "/usr/local/go/src/runtime/asm_amd64.s"),
            ],
            "main.handle",
        );
    }

    #[test]
    fn trimmed_build_with_a_module_name_without_dot() {
        check(
            &[
                ("strings.Clone", "strings/clone.go"),
                (
                    "checkout/internal/cache.(*Store[...]).Put",
                    "checkout/internal/cache/store.go",
                ),
                ("main.main.func1", "checkout/cmd/server/main.go"),
                ("runtime.goexit", "runtime/asm_amd64.s"),
            ],
            "checkout/internal/cache.(*Store[...]).Put",
        );
    }

    #[test]
    fn a_library_called_by_the_program_is_not_the_culprit() {
        for library in [
            "/root/go/pkg/mod/github.com/hashicorp/golang-lru@v1.0.2/lru.go",
            "github.com/hashicorp/golang-lru@v1.0.2/lru.go",
            "/src/app/vendor/github.com/hashicorp/golang-lru/lru.go",
        ] {
            check(
                &[
                    ("github.com/hashicorp/golang-lru.(*Cache).Add", library),
                    ("github.com/acme/app/store.Remember", "/src/app/store/store.go"),
                    ("main.main", "/src/app/main.go"),
                ],
                "github.com/acme/app/store.Remember",
            );
        }
    }

    #[test]
    fn library_without_own_code_is_named_and_standard_library_comes_next() {
        check(
            &[
                ("runtime.makechan", "/opt/go/src/runtime/chan.go"),
                (
                    "github.com/x/pool.(*Pool).grow",
                    "/m/pkg/mod/github.com/x/pool@v0.1.0/pool.go",
                ),
                ("runtime.goexit", "/opt/go/src/runtime/asm_amd64.s"),
            ],
            "github.com/x/pool.(*Pool).grow",
        );
        check(
            &[
                ("runtime.gopark", "/opt/go/src/runtime/proc.go"),
                ("internal/poll.runtime_pollWait", "/opt/go/src/runtime/netpoll.go"),
                ("net.(*conn).Read", "/opt/go/src/net/net.go"),
                ("net/http.(*conn).serve", "/opt/go/src/net/http/server.go"),
                ("runtime.goexit", "/opt/go/src/runtime/asm_amd64.s"),
            ],
            "net/http.(*conn).serve",
        );
    }

    #[test]
    fn a_go_path_or_a_local_module_named_like_a_standard_package_is_own_code() {
        check(
            &[
                (
                    "container/list.(*List).PushBack",
                    "/usr/lib/go-1.26/src/container/list/list.go",
                ),
                ("container/queue.Push", "/home/dev/container/queue/queue.go"),
                ("runtime.main", "/usr/lib/go-1.26/src/runtime/proc.go"),
            ],
            "container/queue.Push",
        );
    }

    #[test]
    fn compiler_made_wrappers_are_skipped() {
        check(
            &[
                ("runtime.gopark", "/opt/go/src/runtime/proc.go"),
                ("app/worker.(*T).Run-fm", "<autogenerated>"),
                ("app/worker.Start.func1", "/w/worker/worker.go"),
                ("runtime.goexit", "/opt/go/src/runtime/asm_amd64.s"),
            ],
            "app/worker.Start.func1",
        );
    }
}
