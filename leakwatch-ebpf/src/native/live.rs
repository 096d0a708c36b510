//! What is allocated and sampled, and the totals of each stack.
//!
//! With `SLOTS`, objects are kept in slots by their address where these are free. That takes an instruction of Linux 5.12, so the programs
//! that every kernel takes do without.

use crate::maps;
use crate::registers::Place;
use crate::stack;
use leakwatch_common::native::FILTER_BITS;
use leakwatch_common::native::FOLLOWING;
use leakwatch_common::native::LiveObject;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::SLOT_BITS;
use leakwatch_common::native::TotalKey;
use leakwatch_common::native::Totals;
use leakwatch_common::native::size_class;

/// Enters a new object.
#[inline(always)]
pub(crate) fn allocated<const SLOTS: bool>(place: Place, address: u64, size: u64) {
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
    put_back::<SLOTS>(address, &object);
}

/// Enters an object without counting an allocation.
#[inline(always)]
pub(crate) fn put_back<const SLOTS: bool>(address: u64, object: &LiveObject) {
    if SLOTS
        && let Some(slot) = maps::NATIVE_SLOTS.get_ptr_mut(place_of(address, SLOT_BITS))
        // SAFETY: a field of a live value of the map.
        && maps::exchange(unsafe { &raw mut (*slot).address }, 0, address)
    {
        // SAFETY: likewise; nobody asks for this address before the call that returns it has returned.
        unsafe { (*slot).object = *object };
        return;
    }
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
        && let Some(slot) = maps::NATIVE_FILTER.get_ptr_mut(place_of(address, FILTER_BITS))
    {
        maps::add(slot, difference.cast_unsigned());
    }
}

#[inline(always)]
fn may_be_live(address: u64) -> bool {
    if maps::config!(mean_bytes) <= 1 {
        return true;
    }
    let slot = maps::NATIVE_FILTER.get_ptr(place_of(address, FILTER_BITS));
    // SAFETY: a live value of the map.
    slot.is_none_or(|slot| unsafe { slot.read_volatile() } != 0)
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
pub(crate) fn take<const SLOTS: bool>(address: u64) -> Option<LiveObject> {
    if SLOTS && let Some(slot) = maps::NATIVE_SLOTS.get_ptr_mut(place_of(address, SLOT_BITS)) {
        // SAFETY: a live value of the map. What is read before the slot is the caller's own is used only if it is.
        let object = unsafe { (*slot).object };
        // SAFETY: a field of it.
        if maps::exchange(unsafe { &raw mut (*slot).address }, address, 0) {
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
    let Some(totals) = totals(object) else { return };
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
