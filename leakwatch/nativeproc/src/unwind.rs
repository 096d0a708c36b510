//! Return addresses from a copied stack, by the unwind information of the mapped files (`.eh_frame`); code without any is unwound by
//! frame pointers. Debian's own builds have the former only.

use crate::code::ProgramCode;
use crate::image;
use crate::image::Image;
use crate::image::ImageError;
use crate::image::MappedFile;
use framehop::CacheNative;
use framehop::ExplicitModuleSectionInfo;
use framehop::FrameAddress;
use framehop::MayAllocateDuringUnwind;
use framehop::Module;
use framehop::UnwindRegsNative;
use framehop::Unwinder as _;
use framehop::UnwinderNative;
use object::Object as _;
use object::ObjectSection as _;
use std::ops::Range;

/// Frames of a stack; what is further out is cut.
const MAX_FRAMES: usize = 256;
/// Unwind information read of one file. That of a 500 MB binary is 30 MB.
const MAX_SECTION_BYTES: u64 = 64 << 20;
/// And of all files of a process together. Code of a file that found no room is unwound by frame pointers.
const MAX_TABLE_BYTES: usize = 96 << 20;

/// Where an allocation was made, as it was copied.
#[derive(Clone, Copy, Debug)]
pub struct Place<'a> {
    /// Return address in the caller of the allocator.
    pub instruction: u64,
    /// Address of the first byte of `memory`.
    pub stack_pointer: u64,
    /// The frame pointer register.
    pub frame_pointer: u64,
    /// The stack from its pointer on.
    pub memory: &'a [u8],
    /// Address of the first byte of `goroutine_memory`.
    pub goroutine_stack_pointer: u64,
    /// Where the stack goes on when a goroutine has called C; empty for others.
    pub goroutine_memory: &'a [u8],
}

/// A stack of return addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frames {
    /// Innermost first: the caller of the allocator.
    pub addresses: Vec<u64>,
    /// Why frames further out are missing; none when the outermost one is there.
    pub truncation: Option<StackTruncation>,
}

/// Why the outer frames of a stack are missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum StackTruncation {
    /// The stack is larger than what was copied of it.
    CopyEnded,
    /// The code there has no unwind information: it is in no mapped file.
    NoRule,
    /// It has, but that leads nowhere.
    BadRule,
    /// There are more frames than are kept.
    TooDeep,
}

impl StackTruncation {
    /// The reason under which it is counted.
    pub const fn reason(self) -> &'static str {
        match self {
            Self::CopyEnded => "native_unwind_copy_ended",
            Self::NoRule => "native_unwind_no_rule",
            Self::BadRule => "native_unwind_bad_rule",
            Self::TooDeep => "native_unwind_too_deep",
        }
    }
}

/// Unwinds the stacks of one process.
pub struct StackUnwinder {
    pid: u32,
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    known: Vec<Range<u64>>,
    /// Bytes of unwind information.
    table_bytes: usize,
    code: ProgramCode,
}

impl std::fmt::Debug for StackUnwinder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StackUnwinder")
            .field("pid", &self.pid)
            .field("known", &self.known)
            .finish_non_exhaustive()
    }
}

impl StackUnwinder {
    /// Reads the unwind information of everything that the process has mapped.
    pub fn of_process(pid: u32) -> Result<Self, ImageError> {
        let mut unwinder = Self {
            pid,
            unwinder: UnwinderNative::new(),
            cache: CacheNative::new(),
            known: Vec::new(),
            table_bytes: 0,
            code: ProgramCode::of_process(pid)?,
        };
        unwinder.look_again()?;
        Ok(unwinder)
    }

    /// Takes in files that were mapped since, by `dlopen` for instance.
    pub fn look_again(&mut self) -> Result<(), ImageError> {
        for file in image::mapped_files(self.pid)? {
            let Some((first, _)) = file.mappings.first() else {
                continue;
            };
            if self.known.contains(first) {
                continue;
            }
            self.known.push(first.clone());
            let room = MAX_TABLE_BYTES.saturating_sub(self.table_bytes);
            match module(&file, room as u64) {
                Ok(Some((module, bytes))) => {
                    self.table_bytes += bytes;
                    self.unwinder.add_module(module);
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%error, "a mapped file has no unwind information"),
            }
        }
        Ok(())
    }

    /// Whether the address is in a file that was taken in.
    pub fn knows(&self, address: u64) -> bool {
        self.known.iter().any(|range| range.contains(&address))
    }

    /// The return addresses of a stack.
    pub fn unwind(&mut self, place: &Place<'_>) -> Frames {
        let mut read = |address: u64| {
            let stack = word(place.memory, place.stack_pointer, address);
            let word = stack.or_else(|| word(place.goroutine_memory, place.goroutine_stack_pointer, address));
            word.ok_or(())
        };
        let mut frames = Frames {
            addresses: vec![place.instruction],
            truncation: Some(StackTruncation::TooDeep),
        };
        let mut registers = registers(place);
        // Inside the call: behind it another rule, or another function, may begin.
        let mut address = Some(FrameAddress::from_instruction_pointer(
            place.instruction.saturating_sub(1),
        ));
        while let Some(callee) = address
            && frames.addresses.len() < MAX_FRAMES
        {
            let caller = self
                .unwinder
                .unwind_frame(callee, &mut registers, &mut self.cache, &mut read);
            let mut caller = match caller {
                Ok(caller) => caller,
                Err(error) => {
                    frames.truncation = Some(self.why(callee.address(), error));
                    break;
                }
            };
            frames.addresses.extend(caller);
            if caller.is_none_or(|caller| self.code.go.goroutine_exit.contains(&caller)) {
                frames.truncation = None;
                break;
            }
            if caller.is_some_and(|caller| self.code.go.stack_switch.contains(&caller)) {
                let caller_in_go = self.switch_stacks(place, &mut registers);
                frames.addresses.extend(caller_in_go);
                caller = caller_in_go.or(caller);
            }
            address = caller.and_then(FrameAddress::from_return_address);
            if address.is_none() {
                frames.truncation = Some(StackTruncation::BadRule);
            }
        }
        frames
    }

    /// Why the caller of an address is not known.
    fn why(&self, address: u64, error: framehop::Error) -> StackTruncation {
        match error {
            framehop::Error::CouldNotReadStack(_) => StackTruncation::CopyEnded,
            _ if self.knows(address) => StackTruncation::BadRule,
            _ => StackTruncation::NoRule,
        }
    }

    /// Goes on where a goroutine has called C: the top of its stack is the return address of `asmcgocall`, below the frame pointer that it
    /// has saved, as releases of Go do since 1.21. Answers that address.
    #[cfg(target_arch = "x86_64")]
    fn switch_stacks(&self, place: &Place<'_>, registers: &mut UnwindRegsNative) -> Option<u64> {
        let mut at = place.goroutine_stack_pointer;
        let top = |at| word(place.goroutine_memory, place.goroutine_stack_pointer, at);
        if !self.knows(top(at)?) {
            registers.set_bp(top(at)?);
            at = at.checked_add(8)?;
        }
        let caller = top(at)?;
        registers.set_sp(at.checked_add(8)?);
        Some(caller)
    }

    /// Nothing is copied of a goroutine there.
    #[cfg(target_arch = "aarch64")]
    #[expect(clippy::unused_self, reason = "as on the other processor")]
    fn switch_stacks(&self, _place: &Place<'_>, _registers: &mut UnwindRegsNative) -> Option<u64> {
        None
    }
}

/// The word at an address of a copied stack.
fn word(memory: &[u8], stack_pointer: u64, address: u64) -> Option<u64> {
    let offset = usize::try_from(address.checked_sub(stack_pointer)?).ok()?;
    let bytes = memory.get(offset..offset.checked_add(8)?)?;
    bytes.try_into().map(u64::from_ne_bytes).ok()
}

#[cfg(target_arch = "x86_64")]
fn registers(place: &Place<'_>) -> UnwindRegsNative {
    UnwindRegsNative::new(place.instruction, place.stack_pointer, place.frame_pointer)
}

/// The link register is not known at the return of a function; its caller, which has made a call, has it on its stack.
#[cfg(target_arch = "aarch64")]
fn registers(place: &Place<'_>) -> UnwindRegsNative {
    UnwindRegsNative::new(0, place.stack_pointer, place.frame_pointer)
}

/// What unwinding needs of a file, and how many bytes that is.
type SizedModule = (Module<Vec<u8>>, usize);

/// What unwinding needs of a file, from sections of at most so many bytes each, and its size.
fn module(file: &MappedFile, room: u64) -> Result<Option<SizedModule>, ImageError> {
    let image = Image::open(file)?;
    let elf = image.elf()?;
    let segments = image::code_segments(&elf);
    let Some(bias) = image::bias(file, &segments) else {
        return Ok(None);
    };
    let start = file
        .mappings
        .iter()
        .map(|(range, _)| range.start)
        .min()
        .unwrap_or_default();
    let end = file
        .mappings
        .iter()
        .map(|(range, _)| range.end)
        .max()
        .unwrap_or_default();
    let mut info = ExplicitModuleSectionInfo::default();
    let most = MAX_SECTION_BYTES.min(room);
    (info.eh_frame_svma, info.eh_frame) = image::section(&elf, ".eh_frame", most).unzip();
    (info.eh_frame_hdr_svma, info.eh_frame_hdr) = image::section(&elf, ".eh_frame_hdr", most).unzip();
    if info.eh_frame.is_none() {
        info.debug_frame = image::section(&elf, ".debug_frame", most).map(|(_, data)| data);
    }
    let tables = [&info.eh_frame, &info.eh_frame_hdr, &info.debug_frame];
    let bytes = tables.into_iter().flatten().map(Vec::len).sum();
    info.text_svma = elf
        .section_by_name(".text")
        .map(|text| text.address()..text.address().saturating_add(text.size()));
    let module = Module::new(file.path.clone(), start..end, bias, info);
    Ok(Some((module, bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_ends_early_keeps_its_innermost_frame() {
        let mut unwinder = StackUnwinder::of_process(std::process::id()).unwrap();
        let place = Place {
            instruction: 0x1234,
            stack_pointer: 0x7000,
            frame_pointer: 0x7010,
            memory: &[],
            goroutine_stack_pointer: 0,
            goroutine_memory: &[],
        };
        let frames = unwinder.unwind(&place);
        assert_eq!(frames.addresses, [0x1234]);
        assert_eq!(frames.truncation, Some(StackTruncation::CopyEnded));
    }

    #[test]
    fn every_truncation_is_documented() {
        let documented = include_str!("../../../docs/operating.md");
        for truncation in [
            StackTruncation::CopyEnded,
            StackTruncation::NoRule,
            StackTruncation::BadRule,
            StackTruncation::TooDeep,
        ] {
            assert!(
                documented.contains(&format!("`{}`", truncation.reason())),
                "{truncation:?}"
            );
        }
    }

    #[test]
    fn what_is_mapped_is_known() {
        let executable = ProgramCode::of_process(std::process::id()).unwrap().executable;
        let unwinder = StackUnwinder::of_process(std::process::id()).unwrap();
        assert!(unwinder.knows(executable.start));
        assert!(!unwinder.knows(0));
    }
}
