//! Where a process has code, as the kernel side needs to know it to tell stacks apart.

use crate::image;
use crate::image::Image;
use crate::image::ImageError;
use crate::image::MappedFile;
use iced_x86::Code;
use iced_x86::Decoder;
use iced_x86::DecoderOptions;
use iced_x86::Register;
use object::Object as _;
use object::ObjectSegment as _;
use object::ObjectSymbol as _;
use std::ops::Range;

/// Where Go switches from the stack of a goroutine to that of a thread to call C (Go, `src/runtime/asm_amd64.s`).
const STACK_SWITCH: &str = "runtime.asmcgocall";
/// What every goroutine returns to in the end.
const GOROUTINE_EXIT: &str = "runtime.goexit";
/// In assembly; what has the same name without it is a wrapper then.
const ASSEMBLY: &str = ".abi0";

/// Addresses of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProgramCode {
    /// The executable.
    pub executable: Range<u64>,
    /// From the first shared library to the last.
    pub libraries: Range<u64>,
    /// How Go calls C.
    pub go: GoCode,
}

/// Go's way into C; empty in other programs, without symbols, and on other processors than x86-64, where it leaves something else on the stack.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GoCode {
    /// What switches the stacks.
    pub stack_switch: Range<u64>,
    /// Bytes from the stack pointer, at the call in there, to the goroutine.
    pub goroutine_offset: u64,
    /// Bytes from there to how far the goroutine's stack pointer is from its stack's start.
    pub depth_offset: u64,
    /// Where the stacks of goroutines begin.
    pub goroutine_exit: Range<u64>,
}

impl ProgramCode {
    /// As the process is mapped now.
    pub fn of_process(pid: u32) -> Result<Self, ImageError> {
        let files = image::mapped_files(pid)?;
        let mut ranges = files
            .iter()
            .flat_map(|file| file.mappings.iter().map(|(range, _)| range));
        let executable = ranges.next().cloned().unwrap_or_default();
        let libraries = ranges.fold(None, |all: Option<Range<u64>>, range| {
            let all = all.unwrap_or_else(|| range.clone());
            Some(all.start.min(range.start)..all.end.max(range.end))
        });
        Ok(Self {
            executable,
            libraries: libraries.unwrap_or_default(),
            go: files.first().and_then(GoCode::of_file).unwrap_or_default(),
        })
    }
}

impl GoCode {
    fn of_file(executable: &MappedFile) -> Option<Self> {
        let image = Image::open(executable).ok()?;
        let elf = image.elf().ok()?;
        if elf.architecture() != object::Architecture::X86_64 {
            return None;
        }
        let bias = image::bias(executable, &image::code_segments(&elf))?;
        let [mut switch, mut exit] = <[Range<u64>; 2]>::default();
        for symbol in elf.symbols().filter(|symbol| symbol.size() > 0) {
            let Ok(name) = symbol.name() else { continue };
            let (name, is_assembly) = name.strip_suffix(ASSEMBLY).map_or((name, false), |name| (name, true));
            for (wanted, range) in [(STACK_SWITCH, &mut switch), (GOROUTINE_EXIT, &mut exit)] {
                if name == wanted && (is_assembly || range.is_empty()) {
                    *range = symbol.address()..symbol.address().saturating_add(symbol.size());
                }
            }
        }
        let code = elf.segments().find_map(|segment| {
            let bytes = segment.data_range(switch.start, switch.end - switch.start);
            bytes.ok().flatten()
        });
        let [goroutine_offset, depth_offset] = saved_offsets(code?)?;
        let mapped = |range: Range<u64>| range.start.wrapping_add(bias)..range.end.wrapping_add(bias);
        Some(Self {
            stack_switch: mapped(switch),
            goroutine_offset,
            depth_offset,
            goroutine_exit: mapped(exit),
        })
    }
}

/// Where the goroutine and then the depth of its stack are kept, both from `DI`: the offset differs between releases.
fn saved_offsets(code: &[u8]) -> Option<[u64; 2]> {
    let saves = Decoder::new(64, code, DecoderOptions::NONE)
        .into_iter()
        .filter(|instruction| {
            instruction.code() == Code::Mov_rm64_r64
                && instruction.memory_base() == Register::RSP
                && instruction.op1_register() == Register::RDI
        });
    let mut offsets = saves.map(|instruction| instruction.memory_displacement64());
    Some([offsets.next()?, offsets.next()?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_is_where_the_mappings_say() {
        let code = ProgramCode::of_process(std::process::id()).unwrap();
        assert!(code.executable.start < code.executable.end);
        assert!(code.libraries.start < code.libraries.end);
        assert!(code.executable.end <= code.libraries.start);
        assert_eq!(code.go, GoCode::default());
    }
    #[test]
    fn offsets_are_those_of_the_release() {
        // mov %rdi,0x30(%rsp); sub %rdx,%rdi; mov %rdi,0x28(%rsp): Go 1.19.
        let older = [
            0x48, 0x89, 0x7c, 0x24, 0x30, 0x48, 0x29, 0xd7, 0x48, 0x89, 0x7c, 0x24, 0x28,
        ];
        assert_eq!(saved_offsets(&older), Some([48, 40]));
        // mov %rdi,8(%rsp); sub %rdx,%rdi; mov %rdi,(%rsp): Go 1.26.
        let newer = [0x48, 0x89, 0x7c, 0x24, 0x08, 0x48, 0x29, 0xd7, 0x48, 0x89, 0x3c, 0x24];
        assert_eq!(saved_offsets(&newer), Some([8, 0]));
        assert_eq!(saved_offsets(&newer[..8]), None);
    }
}
