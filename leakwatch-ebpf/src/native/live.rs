//! What is allocated and sampled, and the totals of each stack.
//!
//! With `TABLE`, objects are kept in a table by their address where its entry is free. That takes an instruction of Linux 5.12, so the programs
//! that every kernel takes do without.

use crate::maps;
use crate::registers::Place;
use crate::stack;
use leakwatch_common::native::FILTER_BITS;
use leakwatch_common::native::FOLLOWING;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::OBJECT_BITS;
use leakwatch_common::native::TotalKey;
use leakwatch_common::native::Totals;
use leakwatch_common::native::size_class;

/// Enters a new object.
#[inline(always)]
pub(crate) fn allocated<const TABLE: bool>(place: Place, address: u64, size: u64) {
    let window = maps::window();
    if window == 0 || window & FOLLOWING != 0 {
        // Not everything is attached yet, or the probes will go soon: its release may not be seen.
        return;
    }
    if let Some(cpu) = maps::cpu() {
        cpu.samples += 1;
    }
    let (fingerprint, goroutine) = stack::fingerprint(place);
    let object = LiveObject {
        fingerprint,
        size,
        window,
    };
    if let Some(totals) = totals::<true>(&object) {
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
    put_back::<TABLE>(address, &object);
}

/// Enters an object without counting an allocation.
#[inline(always)]
pub(crate) fn put_back<const TABLE: bool>(address: u64, object: &LiveObject) {
    if TABLE
        && let Some(entry) = maps::NATIVE_OBJECTS.get_ptr_mut(place_of(address, OBJECT_BITS))
        // SAFETY: a field of a live value of the map.
        && maps::exchange(unsafe { &raw mut (*entry).address }, 0, address)
    {
        // SAFETY: likewise; nobody asks for this address before the call that returns it has returned.
        unsafe { (*entry).object = *object };
        return;
    }
    if maps::NATIVE_LIVE.insert(address, object, 0).is_err() {
        maps::lose(NativeCount::LiveFull);
        // Counted as freed: what is not followed must not look like a leak.
        freed(object);
        return;
    }
    filter(address, 1);
}

/// Adds to the entry of an address: sampled objects are few, and most addresses need no search of the live set.
#[inline(always)]
fn filter(address: u64, difference: i64) {
    if maps::config!(mean_bytes) > 1
        && let Some(entry) = maps::NATIVE_FILTER.get_ptr_mut(place_of(address, FILTER_BITS))
    {
        maps::add(entry, difference.cast_unsigned());
    }
}

#[inline(always)]
fn may_be_live(address: u64) -> bool {
    if maps::config!(mean_bytes) <= 1 {
        return true;
    }
    let entry = maps::NATIVE_FILTER.get_ptr(place_of(address, FILTER_BITS));
    // SAFETY: a live value of the map.
    entry.is_none_or(|entry| unsafe { entry.read_volatile() } != 0)
}

#[inline(always)]
#[expect(
    clippy::cast_possible_truncation,
    reason = "as many bits as the caller wants, which are few"
)]
const fn place_of(address: u64, bits: u32) -> u32 {
    // Allocators align to sixteen bytes.
    ((address >> 4).wrapping_mul(stack::MULTIPLIER) >> (64 - bits)) as u32
}

/// Takes an object out of the live set, if it is in there.
#[inline(always)]
pub(crate) fn take<const TABLE: bool>(address: u64) -> Option<LiveObject> {
    if TABLE && let Some(entry) = maps::NATIVE_OBJECTS.get_ptr_mut(place_of(address, OBJECT_BITS)) {
        // SAFETY: a live value of the map. What is read before the entry is the caller's own is used only if it is.
        let object = unsafe { (*entry).object };
        // SAFETY: a field of it.
        if maps::exchange(unsafe { &raw mut (*entry).address }, address, 0) {
            return Some(object);
        }
    }
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
    let window = maps::window();
    if window == 0 {
        // Probes come or go: what is released now belongs to no window, as if nobody had looked.
        return;
    }
    // There since its objects were allocated: nothing to log, and a release is shorter without.
    let Some(totals) = totals::<false>(object) else { return };
    if object.window == window & !FOLLOWING {
        // SAFETY: a field of a live value of the map.
        maps::add(unsafe { &raw mut (*totals).frees }, 1);
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).free_bytes }, object.size);
    } else {
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).late_frees }, 1);
        // SAFETY: likewise.
        maps::add(unsafe { &raw mut (*totals).late_free_bytes }, object.size);
    }
}

#[inline(always)]
fn totals<const LOGS: bool>(object: &LiveObject) -> Option<*mut Totals> {
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
        if LOGS {
            maps::lose(NativeCount::TotalsFull);
        } else {
            maps::count(NativeCount::TotalsFull);
        }
    }
    totals
}
