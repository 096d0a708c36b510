//! Where the functions of code without symbols begin: the unwind information (`.eh_frame`) has an entry for each.

use crate::image;
use crate::image::Image;
use crate::image::ImageError;
use crate::image::MappedFile;
use gimli::BaseAddresses;
use gimli::CieOrFde;
use gimli::EhFrame;
use gimli::NativeEndian;
use gimli::UnwindSection as _;
use std::ops::Range;

/// Unwind information read of one file. That of a 500 MB binary is 30 MB.
const MAX_SECTION_BYTES: u64 = 64 << 20;
/// Functions known of one file, 16 bytes each.
const MAX_FUNCTIONS: usize = 1 << 20;

/// The functions of one mapped file.
#[derive(Debug)]
pub struct FunctionBounds {
    /// To be added to the file's own addresses.
    bias: u64,
    /// As the file numbers them, ascending.
    functions: Vec<Range<u64>>,
}

impl FunctionBounds {
    /// Reads them; none where the file has no unwind information.
    pub fn of_file(file: &MappedFile) -> Result<Self, ImageError> {
        let image = Image::open(file)?;
        let elf = image.elf()?;
        let bias = image::bias(file, &image::code_segments(&elf)).unwrap_or_default();
        let functions = image::section(&elf, ".eh_frame", MAX_SECTION_BYTES)
            .map(|(addresses, data)| functions(&data, addresses.start))
            .unwrap_or_default();
        Ok(Self { bias, functions })
    }

    /// Beginning of the function that an address of the process is in, as the file, and so every tool, numbers it.
    pub fn start(&self, address: u64) -> Option<u64> {
        let address = address.wrapping_sub(self.bias);
        let after = self.functions.partition_point(|function| function.start <= address);
        let function = self.functions.get(after.checked_sub(1)?)?;
        function.contains(&address).then_some(function.start)
    }
}

fn functions(data: &[u8], address: u64) -> Vec<Range<u64>> {
    let section = EhFrame::new(data, NativeEndian);
    let bases = BaseAddresses::default().set_eh_frame(address);
    let mut functions = Vec::new();
    let mut entries = section.entries(&bases);
    // What cannot be read ends the list; what was read before holds.
    while let Ok(Some(entry)) = entries.next() {
        if functions.len() >= MAX_FUNCTIONS {
            break;
        }
        if let CieOrFde::Fde(partial) = entry
            && let Ok(entry) = partial.parse(EhFrame::cie_from_offset)
        {
            functions.push(entry.initial_address()..entry.end_address());
        }
    }
    functions.sort_unstable_by_key(|function| function.start);
    functions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[inline(never)]
    fn somewhere() -> u64 {
        std::hint::black_box(7)
    }

    #[test]
    fn an_address_within_a_function_leads_to_its_beginning() {
        assert_eq!(somewhere(), 7);
        let entry = (somewhere as fn() -> u64) as usize as u64;
        let files = image::mapped_files(std::process::id()).unwrap();
        let ours = files
            .iter()
            .find(|file| file.mappings.iter().any(|(range, _)| range.contains(&entry)))
            .unwrap();
        let bounds = FunctionBounds::of_file(ours).unwrap();
        let start = bounds.start(entry).unwrap();
        assert_eq!(bounds.start(entry + 1), Some(start));
        assert_eq!(start.wrapping_add(bounds.bias), entry);
        assert_eq!(bounds.start(0), None);
    }

    #[test]
    fn rubbish_has_no_functions() {
        assert!(functions(&[0xff; 64], 0).is_empty());
    }
}
