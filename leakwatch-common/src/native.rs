//! What the allocator probes and the daemon exchange: settings, records of new stacks, live objects, totals and counters.
//!
//! A stack is known by a fingerprint of the code addresses on it. The first time one is seen its registers and memory go to the
//! daemon, which unwinds it; from then on the kernel side only counts under the fingerprint.

use zerocopy::FromBytes;
use zerocopy::Immutable;
use zerocopy::IntoBytes;
use zerocopy::KnownLayout;

/// Name of the global that holds the [`NativeConfig`].
pub const NATIVE_CONFIG: &str = "NATIVE_CONFIG";
/// Ranges of code addresses that take part in a fingerprint.
pub const CODE_RANGES: usize = 2;
/// Bytes of the stack that the fingerprint looks at in one step.
pub const FINGERPRINT_STEP: usize = 1024;
/// The same in words.
pub const FINGERPRINT_WORDS: usize = FINGERPRINT_STEP / 8;
/// What is read at a time where a step crosses the end of the stack.
pub const FINGERPRINT_PART: usize = 256;
/// Steps of a fingerprint at most: 4 KiB of the stack.
pub const FINGERPRINT_STEPS: u32 = 4;
/// Bytes copied in one step; a step that crosses the end of the stack is not copied.
pub const COPY_STEP: usize = 512;
/// Bytes of the stack in a record.
pub const STACK_BYTES: usize = 16 * 1024;
/// Steps of a fingerprint on the stack of a goroutine that has called C: 1 KiB.
pub const GOROUTINE_STEPS: u32 = 1;
/// Bytes of a goroutine's stack in a record.
pub const GOROUTINE_BYTES: usize = 4 * 1024;

/// Addresses from `start` on, `length` of them.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct CodeRange {
    /// First address.
    pub start: u64,
    /// Bytes; zero for an unused range.
    pub length: u64,
}

/// Settings of one capture, fixed before its programs are verified.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct NativeConfig {
    /// Makes the initial value unlike any other constant of the object: LLVM merges equal ones, and the loader overwrites this one.
    pub magic: u64,
    /// Mean bytes between samples; 1 takes every call.
    pub mean_bytes: u64,
    /// Steps of [`FINGERPRINT_STEP`] bytes that a fingerprint covers.
    pub fingerprint_steps: u64,
    /// Where the program's code is: the executable, and from the first shared library to the last.
    pub code: [CodeRange; CODE_RANGES],
    /// Where Go switches to a thread's own stack to call C; empty for other programs.
    pub stack_switch: CodeRange,
    /// Bytes from the stack pointer there to the goroutine that has called C.
    pub goroutine_offset: u64,
    /// The same to how far its stack pointer is from its stack's start.
    pub depth_offset: u64,
    /// From the first to the last of them.
    pub all_code: CodeRange,
}

impl NativeConfig {
    /// The value in the object file.
    pub const UNSET: Self = Self {
        magic: 0x6e61_7469_7665_2131,
        mean_bytes: 0x6e61_7469_7665_2132,
        fingerprint_steps: 0x6e61_7469_7665_2133,
        code: [CodeRange {
            start: 0x6e61_7469_7665_2134,
            length: 0x6e61_7469_7665_2135,
        }; CODE_RANGES],
        stack_switch: CodeRange {
            start: 0x6e61_7469_7665_2136,
            length: 0x6e61_7469_7665_2137,
        },
        goroutine_offset: 0x6e61_7469_7665_2138,
        depth_offset: 0x6e61_7469_7665_2139,
        all_code: CodeRange {
            start: 0x6e61_7469_7665_213a,
            length: 0x6e61_7469_7665_213b,
        },
    };
}

/// A stack that was not seen before, as it is when the allocator returns to its caller.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct NativeStack {
    /// Its fingerprint.
    pub fingerprint: u64,
    /// The return address in the caller.
    pub instruction: u64,
    /// Stack pointer of the caller: the address of the first copied byte.
    pub stack_pointer: u64,
    /// Frame pointer register (`rbp`).
    pub frame_pointer: u64,
    /// Valid bytes of `stack`.
    pub length: u64,
    /// Where the stack goes on when it is that of a thread on which a goroutine has called C; zero for others.
    pub goroutine_stack_pointer: u64,
    /// Valid bytes of `goroutine_stack`.
    pub goroutine_length: u64,
    /// The stack from its pointer towards its start.
    pub stack: [u8; STACK_BYTES],
    /// The goroutine's stack, likewise.
    pub goroutine_stack: [u8; GOROUTINE_BYTES],
}

/// An allocation that was sampled and not freed. Key of its map: the address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct LiveObject {
    /// Fingerprint of the allocating stack.
    pub fingerprint: u64,
    /// Bytes asked for.
    pub size: u64,
    /// Number of the window of time in which it was allocated.
    pub window: u64,
}

/// Room for one object, found by its address alone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ObjectEntry {
    /// Whose it is; zero when it is free.
    pub address: u64,
    /// What is known of it.
    pub object: LiveObject,
}

/// What sampled allocations are counted by. Sizes are told apart only when sampling: the weight of a sample depends on its size.
#[repr(C)]
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
pub struct TotalKey {
    /// Fingerprint of the allocating stack.
    pub fingerprint: u64,
    /// [`size_class`] of the bytes asked for; zero when every call is taken.
    pub size_class: u64,
}

/// Least size of the class of a size. There are sixteen classes from a size to its double: few enough to keep totals of each for long, and
/// narrow enough for the chance that one of its objects is a sample to be that of their mean size.
#[inline]
pub const fn size_class(size: u64) -> u64 {
    // Without a loop: the verifier would follow each of its 64 ways, wherever this is used.
    let shift = (u64::BITS - size.leading_zeros()).saturating_sub(5);
    size >> shift << shift
}

/// Sampled allocations and those of them that were freed.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct Totals {
    /// Calls that returned memory.
    pub allocs: u64,
    /// Bytes they asked for.
    pub alloc_bytes: u64,
    /// Objects freed again, in the window of time in which they were allocated.
    pub frees: u64,
    /// Their bytes.
    pub free_bytes: u64,
    /// Objects freed in a later window.
    pub late_frees: u64,
    /// Their bytes.
    pub late_free_bytes: u64,
    /// One when the daemon was told the stack; the kernel side's own.
    pub told: u64,
}

/// What is known of a thread between two calls. Key of its map: the thread id.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct ThreadState {
    /// Stack pointer at the entry of the outermost allocator function the thread is in; zero outside.
    pub entry_stack_pointer: u64,
    /// Bytes it was asked for.
    pub size: u64,
    /// Where `posix_memalign` leaves the address; zero for the others, which return it.
    pub result_at: u64,
    /// What `realloc` was given; zero for the others.
    pub old_address: u64,
    /// What was known about it.
    pub old: LiveObject,
    /// Entries into inner allocator functions since the outermost one.
    pub inner: u32,
    /// Bits of [`thread_flags`].
    pub flags: u32,
}

/// What every hit touches, one for each processor.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
pub struct PerCpu {
    /// Hits at the entry of allocating functions.
    pub entries: u64,
    /// Returns that were looked at, beyond the price of an entry.
    pub returns: u64,
    /// Hits at freeing functions.
    pub frees: u64,
    /// Allocations sampled.
    pub samples: u64,
    /// Bytes until the next sample; zero before it is drawn.
    pub until_sample: u64,
    /// Bytes allocated, `until_sample` included.
    pub bytes_ahead: u64,
}

/// Set in the number of a window in which objects are followed and no new ones are taken.
pub const FOLLOWING: u64 = 1 << 63;

/// Logarithm of the number of [`ObjectEntry`]s when every call is counted: 4 MiB.
pub const OBJECT_BITS: u32 = 17;
/// Logarithm of the entries of the table that tells most addresses that were never sampled from those that were.
pub const FILTER_BITS: u32 = 18;
/// Calls of the kernel's functions are written as calls of helpers that do not exist, starting here: the loader knows their numbers.
pub const KERNEL_FUNCTIONS: i32 = 0x6b66_0000;
/// What they are called, in order.
pub const KERNEL_FUNCTION_NAMES: [&str; 2] = ["bpf_session_is_return", "bpf_session_cookie"];

/// How the arguments of an allocating function tell what it is asked for. The cookie of its probe, where one program is for all of them.
pub mod request {
    /// `malloc(size)`.
    pub const SIZE: u64 = 0;
    /// `calloc(count, size)`.
    pub const PRODUCT: u64 = 1;
    /// `aligned_alloc(alignment, size)`.
    pub const SECOND: u64 = 2;
    /// `posix_memalign(result, alignment, size)`.
    pub const RESULT: u64 = 3;
    /// `realloc(old, size)`.
    pub const OLD_SIZE: u64 = 4;
    /// `reallocarray(old, count, size)`.
    pub const OLD_PRODUCT: u64 = 5;
}

/// Bits of [`ThreadState::flags`].
pub mod thread_flags {
    /// The call is a sample.
    pub const SAMPLED: u32 = 1;
    /// `ThreadState::old` was live and is taken out of the live set while `realloc` works.
    pub const OLD_TAKEN: u32 = 2;
}

/// Indices of the per-CPU array `NATIVE_COUNTS`.
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NativeCount {
    /// Lost: the live set was full, a sampled object was not entered.
    LiveFull = 0,
    /// Lost: the table of totals was full.
    TotalsFull = 1,
    /// Lost: no room for the record of a new stack. It is tried again at the next call from there.
    StackRingFull = 2,
    /// Lost: the table of stacks was full.
    StacksFull = 3,
    /// Lost: the state of a thread was displaced or could not be kept while it was in a call.
    ThreadLost = 4,
    /// Lost: memory of the process could not be read.
    UserReadFault = 5,
    /// Calls that did not return as expected: the thread left them by an exception, a jump or its end.
    Abandoned = 6,
    /// Page faults sampled.
    PageSamples = 7,
    /// System calls seen that change the address space.
    MappingCalls = 8,
    /// Lost: no room for the record of a page or a system call.
    GrowthRingFull = 9,
    /// Releases that a program's own sampler has told.
    SampledFrees = 10,
}

impl NativeCount {
    /// Number of counts: the size of the array.
    pub const COUNT: u32 = 11;

    /// Index in the array.
    pub const fn index(self) -> u32 {
        self as u32
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    #[test]
    fn classes_are_a_sixteenth_wide() {
        for size in (0..4096).chain([65_535, 65_536, 1 << 40, u64::MAX]) {
            let class = size_class(size);
            assert!(class <= size && size - class <= class / 16, "{size}: {class}");
            assert_eq!(size_class(class), class);
        }
        let classes: std::collections::BTreeSet<u64> = (16..1 << 20).map(size_class).collect();
        assert_eq!(classes.len(), 16 * 16);
    }
}
