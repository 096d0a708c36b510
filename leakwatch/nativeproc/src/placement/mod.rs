//! Which instruction of a function to probe.
//!
//! A probe replaces an instruction by a breakpoint. The kernel then executes the instruction itself if it knows how to, and otherwise
//! single-steps a copy of it out of line, which costs about thirty times as much (x86-64). Here the first instruction of the cheap kind
//! is found that every call reaches with its arguments still in their registers and nothing yet on the stack. Pure: bytes in, offset out.

mod x86_64;
mod arm64;

use object::Architecture;

/// Instructions looked at from the entry.
const MAX_INSTRUCTIONS: usize = 24;

/// What the kernel does with the probed instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Execution {
    /// The kernel does its work itself: about 0.5 µs for a hit.
    Emulated,
    /// The processor executes a copy of it with the trap flag set: two exceptions, 11 to 16 µs for a hit.
    SingleStepped,
}

/// Where to probe a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Bytes from the entry.
    pub offset: u64,
    /// What a hit there costs.
    pub execution: Execution,
    /// Whether the only argument is in the register of the second there: mimalloc moves it before its first branch.
    pub moved: bool,
}

/// Registers that hold arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arguments {
    /// Only the first: `malloc`, `free`.
    One,
    /// The first two: `calloc`, `realloc`.
    Two,
    /// The first three: `posix_memalign`, `reallocarray`.
    Three,
}

impl Arguments {
    const fn count(self) -> usize {
        match self {
            Self::One => 1,
            Self::Two => 2,
            Self::Three => 3,
        }
    }
}

/// The entry as it is, where nothing better is known.
pub const AT_ENTRY: Placement = Placement {
    offset: 0,
    execution: Execution::SingleStepped,
    moved: false,
};

/// Chooses the instruction; `code` is the function from its entry, cut anywhere. Of processors that are not known it is the first.
pub fn place(architecture: Architecture, code: &[u8], arguments: Arguments) -> Placement {
    match architecture {
        Architecture::X86_64 => x86_64::place(code, arguments),
        Architecture::Aarch64 => arm64::place(code, arguments),
        _ => AT_ENTRY,
    }
}

/// Of a string of hexadecimal digits.
#[cfg(test)]
fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes()
        .chunks(2)
        .map(|digits| u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn anything_gets_a_place_inside(code: Vec<u8>) {
            for architecture in [Architecture::X86_64, Architecture::Aarch64, Architecture::Riscv64] {
                let placement = place(architecture, &code, Arguments::Three);
                proptest::prop_assert!(placement.offset == 0 || placement.offset < code.len() as u64);
            }
        }
    }
}
