//! Which addresses the code of a function refers to: every place where a RIP-relative operand could be encoded, without a
//! disassembler. Some of them are chance; what an address holds has to tell.

/// One possible RIP-relative operand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// The byte before the `ModRM` byte: the opcode of most instructions.
    pub(super) opcode: u8,
    /// The address it leads to, when no immediate follows the operand.
    pub(super) target: u64,
}

/// `MOV r, [rip+disp32]`.
pub(super) const LOAD: u8 = 0x8b;

/// All operands with mod = 0 and rm = 5 (Intel SDM volume 2, table 2-7: a displacement relative to the next instruction).
pub(super) fn references(code: &[u8], address: u64) -> impl Iterator<Item = Reference> {
    code.windows(6).zip(address..).filter_map(|(bytes, start)| {
        let [opcode, modrm, displacement @ ..] = bytes.first_chunk::<6>()?;
        if modrm & 0xc7 != 0x05 {
            return None;
        }
        let target = start
            .checked_add(6)?
            .checked_add_signed(i32::from_le_bytes(*displacement).into())?;
        Some(Reference {
            opcode: *opcode,
            target,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_operands_relative_to_the_next_instruction() {
        // mov rax, [rip+0x100]; nop; mov ecx, [rip-0x10]; mov rax, [rbx]
        let code = [
            0x48, 0x8b, 0x05, 0x00, 0x01, 0x00, 0x00, 0x90, 0x8b, 0x0d, 0xf0, 0xff, 0xff, 0xff, 0x48, 0x8b, 0x03,
        ];
        let found: Vec<_> = references(&code, 0x40_1000)
            .filter(|reference| reference.opcode == LOAD)
            .map(|reference| reference.target)
            .collect();
        assert_eq!(found, [0x40_1107, 0x40_0ffe]);
        assert_eq!(references(&code[..3], 0x40_1000).count(), 0);
        assert_eq!(references(&[0x8b, 0x05, 0, 0, 0, 0], u64::MAX - 3).count(), 0);
    }
}
