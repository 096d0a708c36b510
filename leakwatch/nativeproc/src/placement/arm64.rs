//! arm64: the kernel simulates branches and `adr`, `adrp`, and single-steps a copy of everything else that it takes at all
//! (`arch/arm64/kernel/probes/decode-insn.c`, the same since uprobes came in Linux 4.10; `nop` is simulated since 6.13, and is passed over here).
//!
//! The return of a function is seen by putting another address into the link register: nothing that stores it, signs it (`paciasp`) or
//! moves the stack pointer may lie before the probe.

use super::probe_point::AT_ENTRY;
use super::probe_point::Arguments;
use super::probe_point::Execution;
use super::probe_point::MAX_INSTRUCTIONS;
use super::probe_point::Placement;

const LINK_REGISTER: u32 = 30;
/// The zero register, or the stack pointer, as the instruction says.
const ZERO_OR_STACK_POINTER: u32 = 31;

/// What an instruction is to a probe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Simulated. Where it goes if it is a branch to a place near it.
    Simulated(Option<i64>),
    /// Writes this register and nothing else that matters; none for a comparison, a store or a hint.
    Passed(Option<u32>),
    /// Anything else.
    Unknown,
}

/// Chooses the instruction; `code` is the function from its entry, cut anywhere.
pub(super) fn place(code: &[u8], arguments: Arguments) -> Placement {
    for (offset, kind) in (0_u64..).step_by(4).zip(kinds(code)).take(MAX_INSTRUCTIONS) {
        match kind {
            Kind::Simulated(_) if offset > 0 && is_jumped_to(code, offset) => break,
            Kind::Simulated(_) => {
                return Placement {
                    offset,
                    execution: Execution::Emulated,
                    moved: false,
                };
            }
            Kind::Passed(None) => {}
            Kind::Passed(Some(register)) if is_free(register, arguments) => {}
            Kind::Passed(_) | Kind::Unknown => break,
        }
    }
    AT_ENTRY
}

/// Whether the register holds no argument and is not needed for the return.
fn is_free(register: u32, arguments: Arguments) -> bool {
    usize::try_from(register).is_ok_and(|register| register >= arguments.count()) && register < LINK_REGISTER
}

fn kinds(code: &[u8]) -> impl Iterator<Item = Kind> {
    let words = code.as_chunks::<4>().0.iter();
    words.map(|word| kind(u32::from_le_bytes(*word)))
}

/// Whether something in the function jumps to the place, which would then be hit more than once in a call.
fn is_jumped_to(code: &[u8], offset: u64) -> bool {
    (0_u64..).step_by(4).zip(kinds(code)).any(
        |(at, kind)| matches!(kind, Kind::Simulated(Some(distance)) if at.checked_add_signed(distance) == Some(offset)),
    )
}

/// By the encoding tables of the Arm Architecture Reference Manual, chapter C4.
fn kind(word: u32) -> Kind {
    let destination = word & 0x1f;
    let is = |mask: u32, value: u32| word & mask == value;
    // Bits of a signed number of words.
    let distance = |low: u32, bits: u32| Some(i64::from((word << (32 - low - bits)).cast_signed() >> (32 - bits)) * 4);
    // b. A call (bl) changes the link register.
    if is(0xfc00_0000, 0x1400_0000) {
        return Kind::Simulated(distance(0, 26));
    }
    if is(0x7e00_0000, 0x3400_0000) || is(0xff00_0010, 0x5400_0000) {
        // cbz, cbnz, b.cond.
        return Kind::Simulated(distance(5, 19));
    }
    if is(0x7e00_0000, 0x3600_0000) {
        // tbz, tbnz.
        return Kind::Simulated(distance(5, 14));
    }
    // br, ret: those that check no signature.
    if is(0xffff_fc1f, 0xd61f_0000) || is(0xffff_fc1f, 0xd65f_0000) {
        return Kind::Simulated(None);
    }
    // adr, adrp.
    if is(0x1f00_0000, 0x1000_0000) {
        return Kind::Simulated(None);
    }
    // nop, and bti in its four forms.
    if word == 0xd503_201f || is(0xffff_ff3f, 0xd503_241f) {
        return Kind::Passed(None);
    }
    let sets_flags = is(0x2000_0000, 0x2000_0000);
    // add, sub, and the logical operations with a constant: 31 is the stack pointer unless the flags are set.
    if is(0x1f80_0000, 0x1100_0000) {
        return written(destination, sets_flags);
    }
    if is(0x1f80_0000, 0x1200_0000) {
        return written(destination, is(0x6000_0000, 0x6000_0000));
    }
    // movn, movz, movk; bit fields, extr.
    if is(0x1f80_0000, 0x1280_0000) || is(0x1f00_0000, 0x1300_0000) {
        return written(destination, true);
    }
    // add, sub with an extended register, likewise.
    if is(0x1fe0_0000, 0x0b20_0000) {
        return written(destination, sets_flags);
    }
    // Conditional comparisons have flags where others have a register.
    if is(0x1fe0_0000, 0x1a40_0000) {
        return Kind::Passed(None);
    }
    // Everything else of registers only.
    if is(0x0e00_0000, 0x0a00_0000) {
        return written(destination, true);
    }
    // Loads and stores of one general register at a constant distance, and at that of a register.
    if is(0x3f00_0000, 0x3900_0000) || is(0x3f20_0c00, 0x3820_0800) {
        let is_store = is(0x00c0_0000, 0);
        return if is_store {
            Kind::Passed(None)
        } else {
            written(destination, true)
        };
    }
    // mrs of tpidr_el0: where the variables of the thread are.
    if is(0xffff_ffe0, 0xd53b_d040) {
        return written(destination, true);
    }
    Kind::Unknown
}

/// Writes a register, where 31 is nothing (`zero`) or the stack pointer.
const fn written(register: u32, zero: bool) -> Kind {
    match register {
        ZERO_OR_STACK_POINTER if zero => Kind::Passed(None),
        ZERO_OR_STACK_POINTER => Kind::Unknown,
        register => Kind::Passed(Some(register)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;

    const fn emulated(offset: u64) -> Placement {
        Placement {
            offset,
            execution: Execution::Emulated,
            moved: false,
        }
    }

    #[test]
    fn real_prologues() {
        use Arguments::One;
        use Arguments::Three;
        use Arguments::Two;
        for (function, code, arguments, expected) in [
            // Debian 12: glibc 2.36, jemalloc 5.3.0, gperftools 2.10, mimalloc 2.0.9, musl 1.2.3.
            ("glibc malloc", "fd7bbca9fd030091f76303a9b7080090", One, AT_ENTRY),
            ("glibc free", "800800b4fd7bbca9fd030091f55b02a9", One, emulated(0)),
            ("glibc calloc", "fd7bbba9027cc19bfd030091f35301a9", Two, AT_ENTRY),
            (
                "glibc posix_memalign",
                "fd7bbda9830800d0fd03009163a06439",
                Three,
                AT_ENTRY,
            ),
            ("jemalloc malloc", "1f0440f188040054011c0091270400b0", One, emulated(4)),
            ("jemalloc free", "010400f0217046f942d03bd5038c60d3", One, emulated(0)),
            ("jemalloc realloc", "020400d042ac46f9fd7bb3a91f0000f1", Two, emulated(0)),
            (
                "jemalloc operator delete",
                "2f51fe171f2003d51f2003d52c51fe17",
                One,
                emulated(0),
            ),
            ("tcmalloc malloc", "c10000b0211844f9e10300b5c1000090", One, emulated(0)),
            ("tcmalloc realloc", "ff4302d1fd7b02a9fd830091f35303a9", Two, AT_ENTRY),
            (
                "tcmalloc posix_memalign",
                "240400d1840840b29f0001ea240840fa61000054c0028052",
                Three,
                emulated(16),
            ),
            (
                "tcmalloc aligned_alloc",
                "e20300aa1f0840f128070054200400d1",
                Two,
                emulated(8),
            ),
            ("mimalloc malloc", "0201009042f447f943d03bd5e10300aa", One, emulated(0)),
            ("mimalloc free", "e30300aa600300b4000400d100986792", One, emulated(4)),
            ("musl malloc", "0c0600141f2003d51f2003d51f2003d5", One, emulated(0)),
            (
                "musl posix_memalign",
                "e30301aa3f1c00f1e9010054fd7bbea9",
                Three,
                emulated(8),
            ),
            ("musl aligned_alloc", "fd7bbea9e20300cbfd030091f35301a9", Two, AT_ENTRY),
        ] {
            assert_eq!(place(&bytes(code), arguments), expected, "{function}");
        }
    }

    #[test]
    fn what_would_change_the_meaning_is_left_alone() {
        for (what, code, expected) in [
            ("bti c; cbz x0, 8", "5f2403d5400000b4", emulated(4)),
            ("bti c; paciasp; cbz x0, 8", "5f2403d53f2303d5400000b4", AT_ENTRY),
            ("nop; tbnz w1, #3, 8", "1f2003d541001837", emulated(4)),
            ("mov x0, x1; cbz x0, 8", "e00301aa400000b4", AT_ENTRY),
            ("mov w0, #1; cbz x0, 8", "20008052400000b4", AT_ENTRY),
            ("mov x30, x1; cbz x0, 8", "fe0301aa400000b4", AT_ENTRY),
            ("sub sp, sp, #16; cbz x0, 8", "ff4300d1400000b4", AT_ENTRY),
            ("and sp, x1, #-16; cbz x0, 8", "3fec7c92400000b4", AT_ENTRY),
            ("add sp, x1, w2, uxtw; cbz x0, 8", "3f40228b400000b4", AT_ENTRY),
            ("subs xzr, x1, w2, uxtw; cbz x0, 8", "3f4022eb400000b4", emulated(4)),
            ("ldr x0, [x1]; cbz x0, 8", "200040f9400000b4", AT_ENTRY),
            ("ldr x3, [x1]; cbz x0, 8", "230040f9400000b4", emulated(4)),
            ("ldrb w3, [x1, x2]; cbz x0, 8", "23686238400000b4", emulated(4)),
            ("str x0, [x1]; cbz x0, 8", "200000f9400000b4", emulated(4)),
            ("str x0, [x1, #8]!; cbz x0, 8", "208c00f8400000b4", AT_ENTRY),
            ("mrs x3, tpidr_el0; cbz x0, 8", "43d03bd5400000b4", emulated(4)),
            ("mrs x0, tpidr_el0; cbz x0, 8", "40d03bd5400000b4", AT_ENTRY),
            ("ldr x3, 8; cbz x0, 8", "43000058400000b4", AT_ENTRY),
            ("bl 8", "02000094", AT_ENTRY),
            ("blr x3", "60003fd6", AT_ENTRY),
            ("svc #0; cbz x0, 8", "010000d4400000b4", AT_ENTRY),
            ("ret", "c0035fd6", emulated(0)),
            // 4: cbz x0, 4.
            ("nop; a loop", "1f2003d5000000b4", AT_ENTRY),
            // 4: adrp x3, 0; 8: b 4.
            ("nop; a loop around it", "1f2003d503000090ffffff17", AT_ENTRY),
            ("half an instruction", "1f20", AT_ENTRY),
            ("nothing", "", AT_ENTRY),
        ] {
            assert_eq!(place(&bytes(code), Arguments::One), expected, "{what}");
        }
    }
}
