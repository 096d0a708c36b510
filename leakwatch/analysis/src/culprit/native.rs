//! Whose code a frame of a C, C++ or Rust program is. Works on demangled names and on file paths, as for Go; where there are no source
//! lines the file is the object that the code is in. No table of known programs: what allocates for others has a name that says so.

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
/// Words in the name of what only passes a request on: `xmalloc`, `zcalloc`, `PyMem_Realloc`, `my_strdup`.
const ALLOCATING_WORDS: [&str; 7] = [
    "malloc", "calloc", "realloc", "memalign", "strdup", "strndup", "asprintf",
];

/// The same for what only passes a request on to the kernel.
const MAPPING_WORDS: [&str; 3] = ["mmap", "mremap", "sbrk"];
/// What only writes where it is told to. The C library has several of each: `__memset_avx2_unaligned`.
const WRITING_NAMES: [&str; 9] = [
    "memset", "memcpy", "memmove", "mempcpy", "strcpy", "strncpy", "stpcpy", "bzero", "wmemset",
];

/// Whether an object file, by its path, belongs to the language or is an allocator: where its source lines are is nobody's concern.
pub fn is_runtime_object(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    RUNTIME_OBJECTS.iter().any(|object| name.starts_with(object))
}

/// Whose code the frame is.
pub(crate) fn origin(frame: &Frame) -> Origin {
    let function = unqualified(&frame.function);
    if STANDARD_NAMES.iter().any(|name| function.starts_with(name)) || function.contains("GlobalAlloc") {
        return Origin::Standard;
    }
    let lower = function.to_ascii_lowercase();
    let passes_on = ALLOCATING_WORDS
        .iter()
        .chain(&MAPPING_WORDS)
        .any(|word| lower.contains(word));
    let plain = lower
        .trim_start_matches('_')
        .trim_start_matches("gi_")
        .trim_start_matches('_');
    if passes_on || WRITING_NAMES.iter().any(|name| plain.starts_with(name)) {
        return Origin::Runtime;
    }
    let object = frame.file.rsplit('/').next().unwrap_or_default();
    if frame.line == 0 && is_runtime_object(&frame.file) {
        return Origin::Runtime;
    }
    let file: &str = &frame.file;
    if file.starts_with("/rustc/") || file.contains("/lib/rustlib/") || file.starts_with("/usr/include/") {
        return Origin::Standard;
    }
    if file.contains("/.cargo/registry/")
        || file.contains("/cargo/registry/")
        || (frame.line == 0 && object.contains(".so"))
    {
        return Origin::Library;
    }
    if function.starts_with("0x") {
        return Origin::Library;
    }
    Origin::Own
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

    fn frame(function: &str, file: &str, line: u32) -> Frame {
        Frame {
            function: function.into(),
            file: file.into(),
            line,
        }
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
            let frames: Vec<Frame> = stack
                .iter()
                .map(|(function, file, line)| frame(function, file, *line))
                .collect();
            let found = Build::Native.culprit(&frames).unwrap();
            assert_eq!(&*found.function, expected);
        }
    }
}
