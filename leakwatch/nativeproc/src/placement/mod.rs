//! Which instruction of a function to probe.
//!
//! A probe replaces an instruction by a breakpoint. The kernel then executes the instruction itself if it knows how to, and otherwise
//! single-steps a copy of it out of line, which costs about thirty times as much (x86-64). Here the first instruction of the cheap kind
//! is found that every call reaches with its arguments still in their registers and nothing yet on the stack. Pure: bytes in, offset out.

mod arm64;
mod probe_point;
mod x86_64;

pub use probe_point::AT_ENTRY;
pub use probe_point::Arguments;
pub use probe_point::Execution;
pub use probe_point::Placement;

use object::Architecture;

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
