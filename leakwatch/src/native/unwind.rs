//! Return addresses from a copied stack, by the unwind information of the mapped files (`.eh_frame`); code without any is unwound by
//! frame pointers. Debian's own builds have the former only.

use crate::native::image;
use crate::native::image::Image;
use crate::native::image::ImageError;
use crate::native::image::MappedFile;
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
}

/// A stack of return addresses.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Frames {
    /// Innermost first: the caller of the allocator.
    pub addresses: Vec<u64>,
    /// False when the copy ended, or the unwind information did, before the outermost frame.
    pub complete: bool,
}

/// Unwinds the stacks of one process.
pub struct StackUnwinder {
    pid: u32,
    unwinder: UnwinderNative<Vec<u8>, MayAllocateDuringUnwind>,
    cache: CacheNative<MayAllocateDuringUnwind>,
    known: Vec<Range<u64>>,
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
        };
        unwinder.look_again()?;
        Ok(unwinder)
    }

    /// Where the process has code: the executable's file, and from the first shared library to the last.
    pub fn code_ranges(pid: u32) -> Result<[Range<u64>; 2], ImageError> {
        let files = image::mapped_files(pid)?;
        let mut ranges = files
            .iter()
            .flat_map(|file| file.mappings.iter().map(|(range, _)| range));
        let first = ranges.next().cloned().unwrap_or_default();
        let rest = ranges.fold(None, |all: Option<Range<u64>>, range| {
            let all = all.unwrap_or_else(|| range.clone());
            Some(all.start.min(range.start)..all.end.max(range.end))
        });
        Ok([first, rest.unwrap_or_default()])
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
            match module(&file) {
                Ok(Some(module)) => self.unwinder.add_module(module),
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
            let offset = address.checked_sub(place.stack_pointer).ok_or(())?;
            let offset = usize::try_from(offset).map_err(drop)?;
            let bytes = place.memory.get(offset..offset.saturating_add(8)).ok_or(())?;
            bytes.try_into().map(u64::from_ne_bytes).map_err(drop)
        };
        // Inside the call: behind it another rule, or another function, may begin.
        let inside = place.instruction.saturating_sub(1);
        let mut frames = Frames {
            addresses: vec![place.instruction],
            complete: false,
        };
        let mut iterator = self
            .unwinder
            .iter_frames(inside, registers(place), &mut self.cache, &mut read);
        // The first is where we are already.
        let mut next = iterator.next();
        while frames.addresses.len() < MAX_FRAMES {
            next = match next {
                Ok(Some(FrameAddress::ReturnAddress(address))) => {
                    frames.addresses.push(address.get());
                    iterator.next()
                }
                Ok(Some(FrameAddress::InstructionPointer(_))) => iterator.next(),
                Ok(None) => {
                    frames.complete = true;
                    break;
                }
                Err(_) => break,
            };
        }
        frames
    }
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

fn module(file: &MappedFile) -> Result<Option<Module<Vec<u8>>>, ImageError> {
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
    (info.eh_frame_svma, info.eh_frame) = image::section(&elf, ".eh_frame", MAX_SECTION_BYTES).unzip();
    (info.eh_frame_hdr_svma, info.eh_frame_hdr) = image::section(&elf, ".eh_frame_hdr", MAX_SECTION_BYTES).unzip();
    info.debug_frame = image::section(&elf, ".debug_frame", MAX_SECTION_BYTES).map(|(_, data)| data);
    info.text_svma = elf
        .section_by_name(".text")
        .map(|text| text.address()..text.address().saturating_add(text.size()));
    Ok(Some(Module::new(file.path.clone(), start..end, bias, info)))
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
        };
        let frames = unwinder.unwind(&place);
        assert_eq!(frames.addresses, [0x1234]);
        assert!(!frames.complete);
    }

    #[test]
    fn code_is_where_the_mappings_say() {
        let [executable, libraries] = StackUnwinder::code_ranges(std::process::id()).unwrap();
        assert!(executable.start < executable.end);
        assert!(libraries.start < libraries.end);
        assert!(executable.end <= libraries.start);
        let unwinder = StackUnwinder::of_process(std::process::id()).unwrap();
        assert!(unwinder.knows(executable.start));
        assert!(!unwinder.knows(0));
    }
}
