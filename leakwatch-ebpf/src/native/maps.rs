//! Every map of a capture, and its settings.

use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use aya_ebpf::maps::HashMap;
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::maps::RingBuf;
use aya_log_ebpf::debug;
use leakwatch_common::native::FILTER_BITS;
use leakwatch_common::native::FINGERPRINT_WORDS;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeConfig;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::ObjectEntry;
use leakwatch_common::native::PerCpu;
use leakwatch_common::native::ThreadState;
use leakwatch_common::native::TotalKey;
use leakwatch_common::native::Totals;

/// Overwritten by the loader, frozen before the programs are verified.
#[unsafe(no_mangle)]
pub(crate) static NATIVE_CONFIG: NativeConfig = NativeConfig::UNSET;

/// One setting as the loader set it; the compiler must not assume the initial value.
macro_rules! config {
    ($($field:tt)+) => {
        // SAFETY: a live, aligned field of a static that is never written while programs run.
        unsafe { core::ptr::read_volatile(&raw const crate::maps::NATIVE_CONFIG.$($field)+) }
    };
}
pub(crate) use config;

/// New stacks, 250 at a time.
#[map]
pub(crate) static NATIVE_STACKS: RingBuf = RingBuf::with_byte_size(4 << 20, 0);

/// Fingerprints of the stacks the daemon was told.
#[map]
pub(crate) static NATIVE_KNOWN: HashMap<u64, u8> = HashMap::with_max_entries(65_536, BPF_F_NO_PREALLOC);

/// Sampled objects by address. Not allocated ahead: most captures need a small part of it.
#[map]
pub(crate) static NATIVE_LIVE: HashMap<u64, LiveObject> = HashMap::with_max_entries(1 << 20, BPF_F_NO_PREALLOC);

/// What was sampled, by stack.
#[map]
pub(crate) static NATIVE_TOTALS: HashMap<TotalKey, Totals> = HashMap::with_max_entries(131_072, BPF_F_NO_PREALLOC);

/// Threads by id; those that have not allocated for long make room.
#[map]
pub(crate) static NATIVE_THREADS: LruHashMap<u32, ThreadState> = LruHashMap::with_max_entries(16_384, 0);

/// How many sampled objects there are at the addresses of each entry.
#[map]
pub(crate) static NATIVE_FILTER: Array<u64> = Array::with_max_entries(1 << FILTER_BITS, 0);

/// How many threads are in a function that may call another one that is probed.
#[map]
pub(crate) static NATIVE_INSIDE: Array<u64> = Array::with_max_entries(1, 0);

/// The objects of a capture that counts every call, as far as there is room at their address: most are released soon, and never come
/// into the table that has room for all. One entry for other captures, which have few objects.
#[map]
pub(crate) static NATIVE_OBJECTS: Array<ObjectEntry> = Array::with_max_entries(1, 0);

/// Number of the window of time; zero while not all probes are attached.
#[map]
static NATIVE_WINDOW: Array<u64> = Array::with_max_entries(1, 0);

/// What every hit touches.
#[map]
static NATIVE_CPU: PerCpuArray<PerCpu> = PerCpuArray::with_max_entries(1, 0);

/// A part of the stack while it is looked at.
#[repr(C)]
pub(crate) struct StackWords {
    /// Its words.
    pub(crate) words: [u64; FINGERPRINT_WORDS],
    /// Where the innermost word is that says that Go has called C; zero if none.
    pub(crate) switched_at: u64,
}

/// Room for it: it does not fit on the stack of a program.
#[map]
static NATIVE_STACK_WORDS: PerCpuArray<StackWords> = PerCpuArray::with_max_entries(1, 0);

/// Counts by [`NativeCount`].
#[map]
static NATIVE_COUNTS: PerCpuArray<u64> = PerCpuArray::with_max_entries(NativeCount::COUNT, 0);

/// That of this processor. Numbers in it are not added to atomically: where another thread gets the processor in between, which
/// happens within a probe once in a million hits, a hit is not counted or a distance drawn anew, neither of which does harm.
#[inline(always)]
pub(crate) fn cpu() -> Option<&'static mut PerCpu> {
    // SAFETY: a live value of the map, of which each processor has its own.
    NATIVE_CPU.get_ptr_mut(0).map(|cpu| unsafe { &mut *cpu })
}

/// Number of the window of time; zero while not all probes are attached.
#[inline(always)]
pub(crate) fn window() -> u64 {
    // SAFETY: a live value of the map.
    NATIVE_WINDOW
        .get_ptr(0)
        .map_or(0, |window| unsafe { window.read_volatile() })
}

/// Room for a part of the stack.
#[inline(always)]
pub(crate) fn stack_words() -> Option<&'static mut StackWords> {
    // SAFETY: a live value of the map, of which each processor has its own.
    NATIVE_STACK_WORDS.get_ptr_mut(0).map(|words| unsafe { &mut *words })
}

/// Counts one.
#[inline(always)]
pub(crate) fn count(what: NativeCount) {
    if let Some(count) = NATIVE_COUNTS.get_ptr_mut(what.index()) {
        // Another program of ours may run on this CPU between the read and the write of a plain addition.
        add(count, 1);
    }
}

/// Counts one loss, and logs it. A function of its own: programs with many ways to lose something are shorter with one place for it.
#[inline(never)]
pub(crate) fn lose(what: NativeCount) {
    count(what);
    debug!((), target: "leakwatch_ebpf", "native loss {}: process {}", what.index(), process());
}

#[inline(always)]
fn process() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

/// Makes a number in a map `new` if it is `old`, atomically. Linux 5.12.
#[inline(always)]
pub(crate) fn exchange(number: *mut u64, old: u64, new: u64) -> bool {
    let found: u64;
    // SAFETY: `number` is in a map value that the verifier has checked.
    unsafe {
        core::arch::asm!(
            "r0 = cmpxchg_64(r1 + 0, r0, r2)",
            inlateout("r0") old => found,
            in("r1") number,
            in("r2") new,
        );
    }
    found == old
}

/// Adds to a number in a map, atomically.
#[inline(always)]
pub(crate) fn add(number: *mut u64, amount: u64) {
    // SAFETY: `number` is in a map value that the verifier has checked. The target's `fetch_add` needs a compare-and-swap that
    // older kernels do not have.
    unsafe {
        core::arch::asm!(
            "lock *(u64 *)({number} + 0) += {amount}",
            number = in(reg) number,
            amount = in(reg) amount,
        );
    }
}
