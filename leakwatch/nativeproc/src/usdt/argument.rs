//! Where an argument of a static probe is, as the note says it in the words of the assembler: `8@%rdi`, `-4@$5`, `8@-24(%rbp)`.
//!
//! Source: <https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation>, and the order of registers in `struct pt_regs`
//! (arch/x86/include/asm/ptrace.h). The notes of other processors have another grammar.

/// Where the value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// It is this.
    Constant(i64),
    /// In a register, by its offset in `struct pt_regs`.
    Register(u32),
    /// In memory, so many bytes from where a register points.
    Memory(u32, i64),
}

/// One argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Bytes of the value: 1, 2, 4 or 8.
    pub size: u32,
    /// Whether the topmost bit is a sign.
    pub signed: bool,
    /// Where it is.
    pub place: Place,
}

/// Registers in the order of `struct pt_regs`, eight bytes each, by the names for their 8, 4, 2 and 1 bytes.
const REGISTERS: [(usize, [&str; 4]); 16] = [
    (0, ["r15", "r15d", "r15w", "r15b"]),
    (1, ["r14", "r14d", "r14w", "r14b"]),
    (2, ["r13", "r13d", "r13w", "r13b"]),
    (3, ["r12", "r12d", "r12w", "r12b"]),
    (4, ["rbp", "ebp", "bp", "bpl"]),
    (5, ["rbx", "ebx", "bx", "bl"]),
    (6, ["r11", "r11d", "r11w", "r11b"]),
    (7, ["r10", "r10d", "r10w", "r10b"]),
    (8, ["r9", "r9d", "r9w", "r9b"]),
    (9, ["r8", "r8d", "r8w", "r8b"]),
    (10, ["rax", "eax", "ax", "al"]),
    (11, ["rcx", "ecx", "cx", "cl"]),
    (12, ["rdx", "edx", "dx", "dl"]),
    (13, ["rsi", "esi", "si", "sil"]),
    (14, ["rdi", "edi", "di", "dil"]),
    (19, ["rsp", "esp", "sp", "spl"]),
];

/// All arguments of a probe; `None` when one of them is in a place that is not known here.
pub fn parse(text: &str) -> Option<Vec<Argument>> {
    text.split_ascii_whitespace().map(argument).collect()
}

fn argument(text: &str) -> Option<Argument> {
    let (size, place) = text.split_once('@')?;
    let size: i32 = size.parse().ok()?;
    let bytes = size.unsigned_abs();
    if !matches!(bytes, 1 | 2 | 4 | 8) {
        return None;
    }
    Some(Argument {
        size: bytes,
        signed: size < 0,
        place: locate(place)?,
    })
}

fn locate(place: &str) -> Option<Place> {
    if let Some(constant) = place.strip_prefix('$') {
        return number(constant).map(Place::Constant);
    }
    if let Some(name) = place.strip_prefix('%') {
        return register(name).map(Place::Register);
    }
    let (offset, base) = place.strip_suffix(')')?.split_once('(')?;
    let offset = if offset.is_empty() { 0 } else { number(offset)? };
    Some(Place::Memory(register(base.strip_prefix('%')?)?, offset))
}

fn register(name: &str) -> Option<u32> {
    let (index, _) = REGISTERS.iter().find(|(_, names)| names.contains(&name))?;
    u32::try_from(index * 8).ok()
}

fn number(text: &str) -> Option<i64> {
    match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_assembler_s_words_are_understood() {
        for (text, expected) in [
            ("8@%rdi", Some((8, false, Place::Register(112)))),
            ("-4@%esi", Some((4, true, Place::Register(104)))),
            ("8@$5", Some((8, false, Place::Constant(5)))),
            ("-8@$-0x1", None),
            ("-8@$-1", Some((8, true, Place::Constant(-1)))),
            ("8@-24(%rbp)", Some((8, false, Place::Memory(32, -24)))),
            ("8@(%rsp)", Some((8, false, Place::Memory(152, 0)))),
            ("1@%al", Some((1, false, Place::Register(80)))),
            // An address that needs more than one register, a name, a size that no integer has.
            ("8@8(%rax,%rbx,4)", None),
            ("8@counter(%rip)", None),
            ("3@%rdi", None),
            ("%rdi", None),
            ("8@", None),
        ] {
            let parsed = argument(text).map(|argument| (argument.size, argument.signed, argument.place));
            assert_eq!(parsed, expected, "{text}");
        }
        assert_eq!(parse("8@%rdi 8@%rsi").map(|arguments| arguments.len()), Some(2));
        assert_eq!(parse("8@%rdi 8@%st0"), None);
        assert_eq!(parse(""), Some(Vec::new()));
    }
}
