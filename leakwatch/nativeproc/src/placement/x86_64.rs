//! x86-64: the kernel executes `push`, a near jump, conditional jump or call, and `nop` itself (`arch/x86/kernel/uprobes.c`).

use super::probe_point::AT_ENTRY;
use super::probe_point::Arguments;
use super::probe_point::Execution;
use super::probe_point::MAX_INSTRUCTIONS;
use super::probe_point::Placement;
use iced_x86::Code;
use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::FlowControl;
use iced_x86::Instruction;
use iced_x86::InstructionInfoFactory;
use iced_x86::OpAccess;
use iced_x86::Register;

const REGISTERS: [Register; 3] = [Register::RDI, Register::RSI, Register::RDX];
/// Where a copy of the only argument may be.
const MOVED: &[Register] = &[Register::RSI];

/// Chooses the instruction; `code` is the function from its entry, cut anywhere.
pub(super) fn place(code: &[u8], arguments: Arguments) -> Placement {
    let mut info = InstructionInfoFactory::new();
    let mut decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut needed = REGISTERS.split_at(arguments.count()).0;
    let mut copied = false;
    for _ in 0..MAX_INSTRUCTIONS {
        if !decoder.can_decode() {
            break;
        }
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            break;
        }
        let offset = instruction.ip();
        if is_emulated(&instruction, code) {
            if offset > 0 && is_jumped_to(code, offset) {
                break;
            }
            return Placement {
                offset,
                execution: Execution::Emulated,
                moved: needed == MOVED,
            };
        }
        let used = info.info(&instruction);
        let writes = |wanted: &[Register]| {
            used.used_registers().iter().any(|used| {
                let written = !matches!(
                    used.access(),
                    OpAccess::Read | OpAccess::CondRead | OpAccess::NoMemAccess
                );
                written && wanted.contains(&used.register().full_register())
            })
        };
        if copied && writes(needed) && !writes(MOVED) {
            needed = MOVED;
        }
        if writes(needed) || writes(&[Register::RSP]) || instruction.flow_control() != FlowControl::Next {
            break;
        }
        let copies_now = arguments == Arguments::One && copies(&instruction);
        copied = copies_now || (copied && !writes(MOVED));
    }
    AT_ENTRY
}

/// `mov rsi, rdi`.
fn copies(instruction: &Instruction) -> bool {
    matches!(instruction.code(), Code::Mov_rm64_r64 | Code::Mov_r64_rm64)
        && instruction.op0_register() == Register::RSI
        && instruction.op1_register() == Register::RDI
}

/// `push_setup_xol_ops` and `branch_setup_xol_ops` of Linux 5.8 and later.
fn is_emulated(instruction: &Instruction, code: &[u8]) -> bool {
    let start = usize::try_from(instruction.ip()).unwrap_or(usize::MAX);
    let bytes = code.get(start..).unwrap_or_default();
    match instruction.code() {
        // With no other prefix than the one for r8 to r15.
        Code::Push_r64 => matches!(bytes, [0x50..=0x57, ..] | [0x41, 0x50..=0x57, ..]),
        Code::Nopd | Code::Nopq => bytes.first() == Some(&0x90),
        // The operand-size prefix makes them something else.
        _ => {
            let relative = matches!(
                instruction.flow_control(),
                FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch | FlowControl::Call
            ) && (instruction.is_jcc_short_or_near()
                || instruction.is_jmp_short_or_near()
                || instruction.is_call_near());
            relative && bytes.first() != Some(&0x66)
        }
    }
}

/// Whether something in the function jumps back to the place, which would then be hit more than once in a call.
fn is_jumped_to(code: &[u8], offset: u64) -> bool {
    let decoder = Decoder::with_ip(64, code, 0, DecoderOptions::NONE);
    decoder.into_iter().any(|instruction| {
        let is_jump = instruction.is_jcc_short_or_near() || instruction.is_jmp_short_or_near();
        is_jump && instruction.near_branch_target() == offset
    })
}

#[cfg(test)]
mod tests {
    use super::super::bytes;
    use super::*;

    #[test]
    fn real_prologues() {
        use Arguments::One;
        use Arguments::Three;
        use Arguments::Two;
        use Execution::Emulated;
        use Execution::SingleStepped;
        for (function, code, arguments, offset, execution) in [
            // Debian 12: glibc 2.36, jemalloc 5.3.0, mimalloc 2.0.9, musl 1.2.3.
            (
                "glibc malloc",
                "415455534889fb4883ec10803d461b1400000f84f8010000",
                One,
                0,
                Emulated,
            ),
            (
                "glibc free",
                "4885ff0f84bf00000055488d77f0534883ec18488b1dd69e",
                One,
                3,
                Emulated,
            ),
            (
                "glibc calloc",
                "41554889f8415455534883ec1848f7e64889c30f90c04885",
                Two,
                0,
                Emulated,
            ),
            (
                "glibc realloc",
                "4157415641554154554889f5534889fb4883ec28803d3d13",
                Two,
                0,
                Emulated,
            ),
            (
                "glibc posix_memalign",
                "803d010214000041544989d4554889fd534889f3745a4889",
                Three,
                7,
                Emulated,
            ),
            (
                "glibc aligned_alloc",
                "803d710e1400007407e932f6ffff66904883ec1848897424",
                Two,
                7,
                Emulated,
            ),
            (
                "jemalloc malloc",
                "4881ff001000000f8793000000488d155c7f2c00488d4707",
                One,
                7,
                Emulated,
            ),
            (
                "jemalloc operator delete",
                "e9ebaff5ff66662e0f1f840000000000",
                One,
                0,
                Emulated,
            ),
            (
                "mimalloc malloc",
                "488b0549b400004889fe64488b384881fe00040000772948",
                One,
                21,
                Emulated,
            ),
            (
                "mimalloc calloc",
                "488b05c9ad00004889f8648b3a4883f8017405",
                Two,
                0,
                SingleStepped,
            ),
            (
                "mimalloc free",
                "4889f94885ff745d488d7fff4889c84881e7000000fe4829",
                One,
                6,
                Emulated,
            ),
            (
                "mimalloc operator new",
                "55534889fb4883ec08488b0500a5000064488b284881ff00",
                One,
                0,
                Emulated,
            ),
            ("musl malloc", "e96b190000662e0f1f840000000000", One, 0, Emulated),
            (
                "musl calloc",
                "41544989f455534885f6740c4889f848f7e60f80b9000000",
                Two,
                0,
                Emulated,
            ),
        ] {
            let expected = Placement {
                offset,
                execution,
                moved: function == "mimalloc malloc",
            };
            assert_eq!(place(&bytes(code), arguments), expected, "{function}");
        }
    }

    #[test]
    fn what_would_change_the_meaning_is_left_alone() {
        let emulated = |offset, moved| Placement {
            offset,
            execution: Execution::Emulated,
            moved,
        };
        for (what, code, placement) in [
            ("endbr64; push rbp", "f30f1efa55", emulated(4, false)),
            ("mov rsi, rdi; xor edi, edi; push", "4889fe31ff55", emulated(5, true)),
            ("mov rsi, rdi; xor esi, esi; push", "4889fe31f655", emulated(5, false)),
            ("both lost", "4889fe31f631ff55", AT_ENTRY),
            ("the copy lost last", "4889fe31ff31f655", AT_ENTRY),
            ("endbr64; sub rsp, 8; push", "f30f1efa4883ec0855", AT_ENTRY),
            ("mov rdi, rax; push", "4889c755", AT_ENTRY),
            ("mov edi, eax; push", "89c755", AT_ENTRY),
            ("pop rdi; push", "5f55", AT_ENTRY),
            ("ret", "c355", AT_ENTRY),
            ("jmp rax", "ffe055", AT_ENTRY),
            // 4: nop; 5: jne 4.
            ("a loop", "f30f1efa9075fd", AT_ENTRY),
            ("rex.w push", "4855", AT_ENTRY),
            ("data16 call", "66e800000000", AT_ENTRY),
            ("not code", "0606", AT_ENTRY),
            ("nothing", "", AT_ENTRY),
        ] {
            assert_eq!(place(&bytes(code), Arguments::One), placement, "{what}");
        }
    }

    #[test]
    fn an_argument_that_is_not_needed_may_change() {
        // xor esi, esi; push rbp.
        let code = bytes("31f655");
        assert_eq!(place(&code, Arguments::One).offset, 2);
        assert_eq!(place(&code, Arguments::Two), AT_ENTRY);
    }
}
