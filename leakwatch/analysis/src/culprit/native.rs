//! Whose code a frame of a C, C++ or Rust program is. Works on demangled names and on file paths, as for Go; where there are no source
//! lines the file is the object that the code is in. No table of known programs: what allocates for others has a name that says so.

use crate::culprit::go;
use crate::culprit::origin::Origin;
use crate::model::stack::Frame;

/// Objects of the language and of allocators: their callers are meant.
const RUNTIME_OBJECTS: [&str; 12] = [
    "libc.so",
    "libc-",
    "ld-linux",
    "ld-musl",
    "libpthread",
    "libstdc++",
    "libc++",
    "libgcc_s",
    "libjemalloc",
    "libtcmalloc",
    "libmimalloc",
    "libasan",
];
/// Namespaces and crates of the standard libraries, and of what stands between Rust and an allocator.
const STANDARD_NAMES: [&str; 9] = [
    "std::",
    "__gnu_cxx::",
    "core::",
    "alloc::",
    "hashbrown::",
    "__rust",
    "__rdl_",
    "operator ",
    "tikv_jemalloc",
];
/// How the name of what only passes a request on to an allocator or the kernel ends: `xmalloc`, `zcalloc`, `PyMem_Realloc`, `my_strdup`.
const PASSING_WORDS: [&str; 10] = [
    "malloc", "calloc", "realloc", "memalign", "strdup", "strndup", "asprintf", "mmap", "mremap", "sbrk",
];
/// What may follow that word: `g_malloc0_n`, `ztrymalloc_usable`, `xmallocarray`.
const PASSING_ENDS: [&str; 11] = [
    "array", "zero", "usable", "internal", "impl", "aligned", "nofail", "safe", "flags", "n", "x",
];
/// How the names of allocators inside of a static program begin: mimalloc, jemalloc, tcmalloc, glibc's `malloc_consolidate`.
const ALLOCATOR_PREFIXES: [&str; 6] = ["mi_", "je_", "rjem_", "tc_", "tcmalloc", "malloc_"];
/// Where standard libraries have their source: of Rust, of C++, of C.
const STANDARD_PLACES: [&str; 5] = [
    "/rustc/",
    "/lib/rustlib/",
    "/include/c++/",
    "/usr/include/",
    "/lib/gcc/",
];
/// Where dependencies have theirs: Cargo's registry and checkouts, Go's module cache.
const DEPENDENCY_PLACES: [&str; 5] = ["/cargo/registry/", "/.cargo/", "/registry/src/", "/pkg/mod/", "@v"];
/// What only writes where it is told to. The C library has several of each: `__memset_avx2_unaligned`.
const WRITING_NAMES: [&str; 9] = [
    "memset", "memcpy", "memmove", "mempcpy", "strcpy", "strncpy", "stpcpy", "bzero", "wmemset",
];

/// Whether an object file, by its path, belongs to the language or is an allocator: where its source lines are is nobody's concern.
pub fn is_runtime_object(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    RUNTIME_OBJECTS.iter().any(|object| name.starts_with(object))
}

/// Whose code the frame is, whatever stands next to it.
pub(super) fn origin(frame: &Frame, interpreter_root: Option<&str>) -> Origin {
    let file: &str = &frame.file;
    if file.strip_suffix(".go").is_some() {
        // A Go program that called C.
        return go::origin(None, frame);
    }
    if is_interpreter(frame, interpreter_root) {
        return Origin::Runtime;
    }
    let function = unqualified(&frame.function);
    if STANDARD_NAMES.iter().any(|name| function.starts_with(name)) || function.contains("GlobalAlloc") {
        return Origin::Standard;
    }
    let object = file.rsplit('/').next().unwrap_or_default();
    if frame.line == 0 && is_runtime_object(file) {
        return Origin::Runtime;
    }
    if STANDARD_PLACES.iter().any(|place| file.contains(place)) {
        return Origin::Standard;
    }
    if DEPENDENCY_PLACES.iter().any(|place| file.contains(place)) || (frame.line == 0 && object.contains(".so")) {
        return Origin::Library;
    }
    if function.starts_with("0x") {
        return Origin::Library;
    }
    Origin::Own
}

/// Where an interpreter was compiled, by the function that runs its code: `_PyEval_EvalFrameDefault` in `Python/ceval.c` of `CPython`.
pub(super) fn interpreter_root_of(frame: &Frame) -> Option<&str> {
    let root = frame.file.strip_suffix("Python/ceval.c")?;
    (!root.is_empty() && &*frame.function == "_PyEval_EvalFrameDefault").then_some(root)
}

/// Whether the frame is code of an interpreter or a virtual machine: what it allocates belongs to the program that it runs.
pub(super) fn is_interpreter(frame: &Frame, root: Option<&str>) -> bool {
    if root.is_some_and(|root| frame.file.starts_with(root)) {
        return true;
    }
    let function = frame.function.trim_start_matches('_');
    let is_python = function
        .strip_prefix("Py")
        .is_some_and(|rest| rest.starts_with(|next: char| next.is_ascii_uppercase() || next == '_'));
    if is_python || ["v8::", "node::"].iter().any(|name| function.starts_with(name)) {
        return true;
    }
    let object = frame.file.rsplit('/').next().unwrap_or_default();
    let plain = object.trim_end_matches(|last: char| last.is_ascii_digit() || last == '.');
    frame.line == 0
        && (["python", "pypy", "node", "nodejs", "java"].contains(&plain)
            || ["libpython", "libnode.so", "libjvm.so"]
                .iter()
                .any(|library| object.starts_with(library)))
}

/// Whether the frame only passes a request on, if it was called by nothing but others that do: the last component of its name ends in a word
/// for that. Namespaces, argument types (`Index::put(MmapFile const&)`) and words in the middle (`queue_asprintf_job`) do not count.
pub(super) fn passes_on(frame: &Frame) -> bool {
    let name = last_component(&frame.function).to_ascii_lowercase();
    let plain = name.trim_start_matches('_');
    let plain = plain.strip_prefix("gi_").unwrap_or(plain).trim_start_matches('_');
    if WRITING_NAMES
        .iter()
        .chain(&ALLOCATOR_PREFIXES)
        .any(|name| plain.starts_with(name))
    {
        return true;
    }
    let is_end = |end: &str| {
        let mut parts = end
            .split('_')
            .map(|part| part.trim_end_matches(|last: char| last.is_ascii_digit()));
        parts.all(|part| part.is_empty() || PASSING_ENDS.contains(&part))
    };
    PASSING_WORDS.iter().any(|word| {
        plain
            .rfind(word)
            .and_then(|at| plain.get(at + word.len()..))
            .is_some_and(is_end)
    })
}

/// `remember` of `a::B<c::D>::remember<int>(e::F const&) const`.
fn last_component(function: &str) -> &str {
    let mut depth = 0_u32;
    let mut start = 0;
    let mut previous = ' ';
    for (at, character) in function.char_indices() {
        match character {
            '<' | '[' | '{' => depth += 1,
            '>' | ']' | '}' => depth = depth.saturating_sub(1),
            // An anonymous namespace is a component, everything else in parentheses are arguments.
            '(' if depth == 0 && function.get(at..).is_some_and(|rest| rest.starts_with("(anonymous")) => {}
            '(' if depth == 0 => return function.get(start..at).unwrap_or(function),
            ':' if depth == 0 && previous == ':' => start = at + 1,
            _ => {}
        }
        previous = character;
    }
    let name = function.get(start..).unwrap_or(function);
    name.split('<').next().unwrap_or(name)
}

/// Without what stands before the path: `<std::vec::Vec<T> as X>::y` and `void std::f<int>()` begin like `std::`.
fn unqualified(function: &str) -> &str {
    let function = function.trim_start_matches('<').trim_start_matches('&');
    let function = function.strip_prefix("dyn ").unwrap_or(function);
    match function.split_once(' ') {
        Some((word, rest)) if word.chars().all(char::is_alphanumeric) && word != "operator" => rest,
        _ => function,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::culprit::Build;
    use crate::model::stack::StackTable;

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            line,
        }
    }

    fn check(expected: &str, stack: &[(&str, &str, u32)]) {
        let frames: Vec<Frame> = stack
            .iter()
            .map(|(function, file, line)| frame(function, file, *line))
            .collect();
        let mut table = StackTable::default();
        let id = table.intern(&frames).unwrap();
        let build = Build::learn_native(&table, [id]);
        let found = build.culprit(table.frames(id)).unwrap();
        assert_eq!(&*found.function, expected);
    }

    #[test]
    fn the_program_s_own_frame_is_found() {
        for (expected, stack) in [
            ("keep", vec![("keep", "/src/leak.c", 7), ("main", "/src/leak.c", 20)]),
            (
                "Cache::put(int)",
                vec![
                    (
                        "operator new(unsigned long)",
                        "/usr/lib/x86_64-linux-gnu/libstdc++.so.6.0.30",
                        0,
                    ),
                    (
                        "std::__new_allocator<char>::allocate(unsigned long)",
                        "/usr/include/c++/12/bits/new_allocator.h",
                        137,
                    ),
                    ("Cache::put(int)", "/src/cache.cc", 31),
                ],
            ),
            (
                "service::session::remember",
                vec![
                    (
                        "<tikv_jemallocator::Jemalloc as core::alloc::global::GlobalAlloc>::alloc",
                        "/root/.cargo/registry/src/x/lib.rs",
                        81,
                    ),
                    (
                        "alloc::alloc::alloc",
                        "/rustc/59807616e1/library/alloc/src/alloc.rs",
                        95,
                    ),
                    (
                        "<alloc::vec::Vec<T> as core::clone::Clone>::clone",
                        "/rustc/59807616e1/library/alloc/src/vec/mod.rs",
                        1,
                    ),
                    ("service::session::remember", "src/session.rs", 12),
                ],
            ),
            (
                "createStringObject",
                vec![
                    ("ztrymalloc_usable", "/usr/bin/redis-server", 0),
                    ("zmalloc", "/usr/bin/redis-server", 0),
                    ("createStringObject", "/usr/bin/redis-server", 0),
                    ("main", "/usr/bin/redis-server", 0),
                ],
            ),
            (
                "remember",
                vec![
                    ("getline", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("remember", "/src/lines.c", 9),
                ],
            ),
            // Who maps, not the wrapper; who lets memory be written, in a static program with symbols.
            (
                "remember",
                vec![
                    ("__GI___mmap64", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("remember", "/src/maps.c", 9),
                ],
            ),
            (
                "remember",
                vec![
                    ("__memset_avx2_unaligned_erms", "/src/static", 0),
                    ("remember", "/src/maps.c", 9),
                ],
            ),
            // A library is meant only where nobody else is.
            (
                "png_read",
                vec![
                    ("png_read", "/usr/lib/libpng16.so.16", 0),
                    ("0x7f00", "/usr/lib/libx.so", 0),
                ],
            ),
        ] {
            check(expected, &stack);
        }
    }

    #[test]
    fn wrappers_stand_next_to_the_allocator_and_dependencies_are_not_own() {
        for (expected, stack) in [
            // Words in namespaces, in arguments and in the middle of a name are no wrapper's; a wrapper next to the allocator is one.
            (
                "Index::put(MmapFile const&)",
                vec![
                    ("malloc", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("Index::put(MmapFile const&)", "/src/index.cc", 9),
                    ("main", "/src/index.cc", 20),
                ],
            ),
            (
                "queue_asprintf_job",
                vec![
                    ("vasprintf", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("asprintf", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("queue_asprintf_job", "/src/jobs.c", 9),
                    ("main", "/src/jobs.c", 20),
                ],
            ),
            (
                "mmap::Pool::grow<int>(unsigned long)",
                vec![
                    ("xmallocarray", "/src/util.c", 3),
                    ("mmap::Pool::grow<int>(unsigned long)", "/src/pool.cc", 7),
                    ("my_strdup", "/src/pool.cc", 30),
                ],
            ),
            (
                "remember_all",
                vec![
                    (
                        "(anonymous namespace)::util::xrealloc(void*, unsigned long)",
                        "/src/util.cc",
                        3,
                    ),
                    ("remember_all", "/src/pool.cc", 7),
                ],
            ),
            // An extension in C, not the interpreter that calls it, whether its lines are known or not.
            (
                "orders_append",
                vec![
                    ("mmap", "/lib/x86_64-linux-gnu/libc.so.6", 0),
                    ("_PyObject_Malloc", "/build/Python-3.11.7/Objects/obmalloc.c", 2003),
                    ("unicode_new", "/build/Python-3.11.7/Objects/unicodeobject.c", 1425),
                    ("orders_append", "/src/orders.c", 9),
                    ("_PyEval_EvalFrameDefault", "/build/Python-3.11.7/Python/ceval.c", 2039),
                    ("run_eval_code_obj", "/build/Python-3.11.7/Python/pythonrun.c", 1710),
                    ("main", "/build/Python-3.11.7/Programs/python.c", 15),
                ],
            ),
            (
                "orders_append",
                vec![
                    ("list_resize", "/usr/bin/python3.11", 0),
                    ("orders_append", "/usr/lib/python3/dist-packages/orders.so", 0),
                    ("main", "/usr/bin/python3.11", 0),
                ],
            ),
            // C below a module cache belongs to a dependency; the Go code that calls it is meant.
            (
                "main.store",
                vec![
                    (
                        "sqlite3MemMalloc",
                        "/root/go/pkg/mod/github.com/mattn/go-sqlite3@v1.14.53/sqlite3-binding.c",
                        9,
                    ),
                    (
                        "sqlite3_step",
                        "/root/go/pkg/mod/github.com/mattn/go-sqlite3@v1.14.53/sqlite3-binding.c",
                        99,
                    ),
                    ("runtime.cgocall", "/usr/local/go/src/runtime/cgocall.go", 167),
                    ("github.com/mattn/go-sqlite3._Cfunc_sqlite3_step", "_cgo_gotypes.go", 1),
                    (
                        "github.com/mattn/go-sqlite3.(*SQLiteStmt).exec",
                        "/root/go/pkg/mod/github.com/mattn/go-sqlite3@v1.14.53/sqlite3.go",
                        9,
                    ),
                    ("database/sql.(*Stmt).Exec", "/usr/local/go/src/database/sql/sql.go", 9),
                    ("main.store", "/src/main.go", 30),
                ],
            ),
        ] {
            check(expected, &stack);
        }
    }
}
