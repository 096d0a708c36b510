//! The notes of static probes: section `.note.stapsdt`, name `stapsdt`, type 3. Each tells a probe's address, the address of its semaphore, its
//! provider, its name and where its arguments are.
//!
//! Source: `sys/sdt.h` of `SystemTap`. What a file says is hostile: whatever does not fit ends the list.

use std::str;

const NAME: &[u8] = b"stapsdt\0";
const TYPE: u32 = 3;
/// Probes read of one file; a database server has a hundred.
const MAX_PROBES: usize = 4_096;

/// One probe as its note has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note<'a> {
    /// Address of the instruction, as the file numbers it.
    pub address: u64,
    /// Address of section `.stapsdt.base` when the file was linked: what it has moved by since, everything has.
    pub base: u64,
    /// Address of the semaphore; zero for none.
    pub semaphore: u64,
    /// Who has it.
    pub provider: &'a str,
    /// Its name.
    pub name: &'a str,
    /// Its arguments in the words of the assembler.
    pub arguments: &'a str,
}

/// All probes in the bytes of a section of a little-endian 64-bit file.
pub fn parse(section: &[u8]) -> Vec<Note<'_>> {
    let mut rest = section;
    let mut notes = Vec::new();
    while notes.len() < MAX_PROBES {
        let Some((name, kind, description)) = next(&mut rest) else {
            break;
        };
        if name == NAME && kind == TYPE {
            notes.extend(probe(description));
        }
    }
    notes
}

/// Name, type and description of the next note.
fn next<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], u32, &'a [u8])> {
    let mut number = || {
        let (number, behind) = rest.split_first_chunk::<4>()?;
        *rest = behind;
        Some(u32::from_le_bytes(*number))
    };
    let (name_length, length, kind) = (number()?, number()?, number()?);
    let mut bytes = |length: u32| {
        let length = usize::try_from(length).ok()?;
        let bytes = rest.get(..length)?;
        // The last one may lack what fills it up.
        *rest = rest.get(length.checked_next_multiple_of(4)?..).unwrap_or_default();
        Some(bytes)
    };
    Some((bytes(name_length)?, kind, bytes(length)?))
}

fn probe(description: &[u8]) -> Option<Note<'_>> {
    let (numbers, texts) = description.split_first_chunk::<24>()?;
    let number = |index: usize| {
        let bytes = numbers.get(index * 8..index * 8 + 8)?;
        bytes.try_into().map(u64::from_le_bytes).ok()
    };
    let mut texts = texts.split(|byte| *byte == 0).map(str::from_utf8);
    let mut text = || texts.next()?.ok();
    Some(Note {
        address: number(0)?,
        base: number(1)?,
        semaphore: number(2)?,
        provider: text()?,
        name: text()?,
        arguments: text()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn note(kind: u32, name: &[u8], texts: &[u8]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let length = u32::try_from(24 + texts.len()).unwrap();
        for number in [u32::try_from(name.len()).unwrap(), length, kind] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(name);
        for number in [0x1234_u64, 0x2000, 0x3000] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(texts);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    #[test]
    fn probes_are_found_between_other_notes() {
        let mut section = note(1, b"GNU\0", b"x");
        section.extend(note(3, NAME, b"ddheap\0alloc\08@%rdi 8@%rsi 8@%rdx\0"));
        section.extend(note(3, NAME, b"ddheap\0free\08@%rdi\0"));
        let notes = parse(&section);
        assert_eq!(notes.len(), 2);
        assert_eq!(
            notes[0],
            Note {
                address: 0x1234,
                base: 0x2000,
                semaphore: 0x3000,
                provider: "ddheap",
                name: "alloc",
                arguments: "8@%rdi 8@%rsi 8@%rdx",
            }
        );
        assert_eq!((notes[1].name, notes[1].arguments), ("free", "8@%rdi"));
        // Cut off within the second.
        assert_eq!(parse(&section[..section.len() - 8]).len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..256)) {
            prop_assert!(parse(&bytes).len() <= bytes.len() / 36);
        }
    }
}
