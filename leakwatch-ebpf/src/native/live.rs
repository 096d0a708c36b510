//! What is allocated and sampled, and the totals of each stack.

use crate::maps;
use crate::registers::Place;
use crate::stack;
use aya_ebpf::helpers::generated::bpf_ktime_get_ns;
use leakwatch_common::native::FILTER_BITS;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::TotalKey;
use leakwatch_common::native::Totals;
use leakwatch_common::native::size_class;

/// Enters a new object.
#[inline(always)]
pub(crate) fn allocated(place: Place, address: u64, size: u64) {
    // SAFETY: a helper without arguments.
    let monotonic_nanos = unsafe { bpf_ktime_get_ns() };
    if monotonic_nanos < maps::window_start() {
        // Not everything is attached yet: its release may not be seen.
        return;
    }
    if let Some(cpu) = maps::cpu() {
        cpu.samples += 1;
    }
    let (fingerprint, goroutine) = stack::fingerprint(place);
    let object = LiveObject {
        fingerprint,
        size,
        monotonic_nanos,
    };
    if let Some(totals) = totals(&object) {
        // SAFETY: a field of a live value of the map.
        maps::add(unsafe { &raw mut (*totals).allocs }, 1);
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).alloc_bytes }, size);
        // SAFETY: likewise.
        let told = unsafe { &mut (*totals).told };
        if *told == 0 && stack::tell(place, goroutine, fingerprint) {
            *told = 1;
        }
    }
    put_back(address, &object);
}

/// Enters an object without counting an allocation.
#[inline(always)]
pub(crate) fn put_back(address: u64, object: &LiveObject) {
    if maps::NATIVE_LIVE.insert(address, object, 0).is_err() {
        maps::count(NativeCount::LiveFull);
        // Counted as freed: what is not followed must not look like a leak.
        freed(object);
        return;
    }
    filter(address, 1);
}

/// Adds to the slot of an address: sampled objects are few, and most addresses need no search of the live set.
#[inline(always)]
fn filter(address: u64, difference: i64) {
    if maps::config!(mean_bytes) > 1
        && let Some(slot) = maps::NATIVE_FILTER.get_ptr_mut(slot(address))
    {
        maps::add(slot, difference.cast_unsigned());
    }
}

#[inline(always)]
fn may_be_live(address: u64) -> bool {
    if maps::config!(mean_bytes) <= 1 {
        return true;
    }
    let slot = maps::NATIVE_FILTER.get_ptr(slot(address));
    // SAFETY: a live value of the map.
    slot.is_none_or(|slot| unsafe { slot.read_volatile() } != 0)
}

#[inline(always)]
const fn slot(address: u64) -> u32 {
    // Allocators align to sixteen bytes.
    ((address >> 4).wrapping_mul(stack::MULTIPLIER) >> (64 - FILTER_BITS)) as u32
}

/// Takes an object out of the live set, if it is in there.
#[inline(always)]
pub(crate) fn take(address: u64) -> Option<LiveObject> {
    if !may_be_live(address) {
        return None;
    }
    // SAFETY: the value is copied out before the entry is removed; the object is the caller's own until then.
    let object = unsafe { maps::NATIVE_LIVE.get(address) }.copied()?;
    // Another thread was faster: a program that frees twice.
    maps::NATIVE_LIVE.remove(address).ok()?;
    filter(address, -1);
    Some(object)
}

/// Counts an object as freed.
#[inline(always)]
pub(crate) fn freed(object: &LiveObject) {
    let Some(totals) = totals(object) else { return };
    if object.monotonic_nanos < maps::window_start() {
        // SAFETY: a field of a live value of the map.
        maps::add(unsafe { &raw mut (*totals).late_frees }, 1);
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).late_free_bytes }, object.size);
    } else {
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).frees }, 1);
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).free_bytes }, object.size);
    }
}

#[inline(always)]
fn totals(object: &LiveObject) -> Option<*mut Totals> {
    let sampled = maps::config!(mean_bytes) > 1;
    let key = TotalKey {
        fingerprint: object.fingerprint,
        size_class: if sampled { size_class(object.size) } else { 0 },
    };
    if let Some(totals) = maps::NATIVE_TOTALS.get_ptr_mut(key) {
        return Some(totals);
    }
    // Whoever is first enters it; whoever is second fails and finds it.
    let entered = maps::NATIVE_TOTALS.insert(key, Totals::default(), u64::from(aya_ebpf::bindings::BPF_NOEXIST));
    let totals = maps::NATIVE_TOTALS.get_ptr_mut(key);
    if totals.is_none() && entered.is_err() {
        maps::count(NativeCount::TotalsFull);
    }
    totals
}
