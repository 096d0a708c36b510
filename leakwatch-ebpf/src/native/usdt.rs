//! The programs on `alloc` and `free` of a program's own sampler: what it samples, and what that stands for, is its decision.
#![expect(clippy::needless_pass_by_value, reason = "what the macros call them with")]

use crate::maps;
use crate::registers::Place;
use crate::stack;
use aya_ebpf::EbpfContext as _;
use aya_ebpf::bindings::BPF_F_NO_PREALLOC;
use aya_ebpf::helpers::bpf_probe_read_kernel;
use aya_ebpf::helpers::bpf_probe_read_user;
use aya_ebpf::helpers::generated::bpf_get_attach_cookie;
use aya_ebpf::macros::map;
use aya_ebpf::macros::uprobe;
use aya_ebpf::maps::Array;
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::ProbeContext;
use leakwatch_common::native::NativeCount;
use leakwatch_common::native::TotalKey;
use leakwatch_common::native::Totals;
use leakwatch_common::native::size_class;
use leakwatch_common::usdt::UsdtArgument;
use leakwatch_common::usdt::UsdtObject;
use leakwatch_common::usdt::UsdtSite;
use leakwatch_common::usdt::usdt_place;

/// Where the arguments of each place are.
#[map]
static USDT_SITES: Array<UsdtSite> = Array::with_max_entries(leakwatch_common::usdt::MAX_SITES, 0);

/// Sampled objects by address.
#[map]
static USDT_LIVE: HashMap<u64, UsdtObject> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// What was sampled, by stack and class of size; the bytes are those it stands for.
#[map]
static USDT_TOTALS: HashMap<TotalKey, Totals> = HashMap::with_max_entries(1, BPF_F_NO_PREALLOC);

/// `alloc(address, size, weighted_bytes)`.
#[uprobe]
fn usdt_alloc(ctx: ProbeContext) -> u32 {
    if let Some(cpu) = maps::cpu() {
        cpu.samples += 1;
    }
    let Some(site) = site(&ctx) else { return 0 };
    let address = read(&ctx, &site.arguments[0]);
    let object = UsdtObject {
        fingerprint: stack::identify(Place::of(ctx.regs)),
        size: read(&ctx, &site.arguments[1]),
        weight: read(&ctx, &site.arguments[2]),
    };
    // Its end was not seen.
    forget(address);
    add(&object, |totals| (&raw mut totals.allocs, &raw mut totals.alloc_bytes));
    if USDT_LIVE.insert(address, object, 0).is_err() {
        maps::lose(NativeCount::LiveFull);
        // Counted as freed: what is not followed must not look like a leak.
        release(&object);
    }
    0
}

/// `free(address)`.
#[uprobe]
fn usdt_free(ctx: ProbeContext) -> u32 {
    maps::count(NativeCount::SampledFrees);
    if let Some(site) = site(&ctx) {
        forget(read(&ctx, &site.arguments[0]));
    }
    0
}

#[inline(always)]
fn site(ctx: &ProbeContext) -> Option<&'static UsdtSite> {
    // SAFETY: a helper that reads the context.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    USDT_SITES.get(u32::try_from(cookie).ok()?)
}

#[inline(always)]
fn read(ctx: &ProbeContext, argument: &UsdtArgument) -> u64 {
    let value = if argument.place == usdt_place::CONSTANT {
        argument.value
    } else {
        let at = ctx
            .as_ptr()
            .cast::<u64>()
            .wrapping_byte_add(argument.register as usize & 0xff);
        // SAFETY: the helper checks the address; the verifier allows no register to be chosen by a number.
        let register = unsafe { bpf_probe_read_kernel(at) }.unwrap_or(0);
        if argument.place == usdt_place::REGISTER {
            register
        } else {
            let address = register.wrapping_add(argument.value);
            // SAFETY: the helper checks the address.
            let left = unsafe { bpf_probe_read_user(address as *const u64) };
            if left.is_err() {
                maps::lose(NativeCount::UserReadFault);
            }
            left.unwrap_or(0)
        }
    };
    let shift = argument.unused_bits & 63;
    if argument.is_signed != 0 {
        ((value << shift).cast_signed() >> shift).cast_unsigned()
    } else {
        value << shift >> shift
    }
}

#[inline(always)]
fn forget(address: u64) {
    // SAFETY: the value is copied out before the entry is removed.
    if let Some(object) = unsafe { USDT_LIVE.get(address) }.copied()
        && USDT_LIVE.remove(address).is_ok()
    {
        release(&object);
    }
}

#[inline(always)]
fn release(object: &UsdtObject) {
    add(object, |totals| (&raw mut totals.frees, &raw mut totals.free_bytes));
}

#[inline(always)]
fn add(object: &UsdtObject, fields: impl Fn(&mut Totals) -> (*mut u64, *mut u64)) {
    let key = TotalKey {
        fingerprint: object.fingerprint,
        size_class: size_class(object.size),
    };
    let totals = USDT_TOTALS.get_ptr_mut(key).or_else(|| {
        // Whoever is second fails and finds what the first has entered.
        let entered = USDT_TOTALS.insert(key, Totals::default(), u64::from(aya_ebpf::bindings::BPF_NOEXIST));
        let totals = USDT_TOTALS.get_ptr_mut(key);
        if totals.is_none() && entered.is_err() {
            maps::lose(NativeCount::TotalsFull);
        }
        totals
    });
    if let Some(totals) = totals {
        // SAFETY: a live value of the map.
        let (objects, bytes) = fields(unsafe { &mut *totals });
        maps::add(objects, 1);
        maps::add(bytes, object.weight);
    }
}
