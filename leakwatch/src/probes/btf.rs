//! Reads the kernel's own type information (`/sys/kernel/btf/vmlinux`): offsets of members, enumerators, arguments of
//! tracepoints. Just that, bounded, and suspicious of every byte.
//!
//! Format: `Documentation/bpf/btf.rst` of the kernel.

use std::ops::Range;
use thiserror::Error;

const MAGIC: u16 = 0xeb9f;
/// Twenty times what a distribution's kernel has.
const MAX_BYTES: usize = 128 << 20;
/// Typedefs, qualifiers and anonymous structures followed before giving up on a cycle.
const MAX_DEPTH: u32 = 16;
/// Members looked at in one search, anonymous ones included: `task_struct` has about 300.
const MAX_MEMBERS: u32 = 1 << 16;

const KIND_PTR: u32 = 2;
const KIND_ARRAY: u32 = 3;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_ENUM: u32 = 6;
const KIND_TYPEDEF: u32 = 8;
const KIND_VOLATILE: u32 = 9;
const KIND_CONST: u32 = 10;
const KIND_RESTRICT: u32 = 11;
const KIND_FUNC: u32 = 12;
const KIND_FUNC_PROTO: u32 = 13;
const KIND_TYPE_TAG: u32 = 18;
const KIND_ENUM64: u32 = 19;

/// Why type information could not be read.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum BtfError {
    /// Not BTF, or a truncated file.
    #[error("not valid type information: {0}")]
    Malformed(&'static str),
    /// Larger than any kernel's.
    #[error("{0} bytes of type information are more than expected")]
    TooLarge(usize),
}

/// Parsed type information.
#[derive(Debug)]
pub struct Btf {
    bytes: Vec<u8>,
    /// Where each type's record starts; type ids start at one.
    types: Vec<u32>,
    strings: Range<usize>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    kind_flag: bool,
    count: u32,
    /// Size in bytes, or the id of another type.
    info: u32,
    /// Position of what follows the record's three words.
    extra: usize,
}

/// Where a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Member {
    offset: u32,
    type_id: u32,
}

impl Btf {
    /// Parses the contents of a BTF file of this machine's byte order (all supported machines are little-endian).
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        if bytes.len() > MAX_BYTES {
            return Err(BtfError::TooLarge(bytes.len()));
        }
        let word = |at| read_u32(&bytes, at).ok_or(BtfError::Malformed("truncated header"));
        if word(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Malformed("wrong magic"));
        }
        let header = to_usize(word(4)?);
        let section = |offset: u32, length: u32| {
            let start = header.checked_add(to_usize(offset))?;
            let end = start.checked_add(to_usize(length))?;
            (end <= bytes.len()).then_some(start..end)
        };
        let outside = BtfError::Malformed("a section is outside of the file");
        let type_section = section(word(8)?, word(12)?);
        let strings = section(word(16)?, word(20)?);
        let (Some(type_section), Some(strings)) = (type_section, strings) else {
            return Err(outside);
        };
        let types = index_types(&bytes, type_section)?;
        Ok(Self { bytes, types, strings })
    }

    /// Id of a function of the kernel, by which programs call it.
    pub fn function(&self, name: &str) -> Option<u32> {
        self.find(KIND_FUNC, name)
    }

    /// Number of types.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    /// True if it describes nothing.
    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// Offset in bytes of a member of a member: `offset("mem_cgroup", &["memory", "usage"])`. Anonymous structures are looked into;
    /// an array stands for its first element.
    pub fn offset(&self, structure: &str, path: &[&str]) -> Option<u32> {
        self.member_at(structure, path).map(|member| member.offset)
    }

    /// Offset of element `index` of the array that `path` names, and of `rest` within the element.
    pub fn element_offset(&self, structure: &str, path: &[&str], index: u32, rest: &[&str]) -> Option<u32> {
        let array = self.member_at(structure, path)?;
        let id = self.resolve(array.type_id)?;
        let record = self.record(id)?;
        if record.kind != KIND_ARRAY || index >= read_u32(&self.bytes, record.extra + 8)? {
            return None;
        }
        let element = read_u32(&self.bytes, record.extra)?;
        let inner = self.walk(element, rest)?;
        let start = self.size_of(element)?.checked_mul(index)?;
        array.offset.checked_add(start)?.checked_add(inner.offset)
    }

    /// Value of an enumerator of any enumeration.
    pub fn enumerator(&self, name: &str) -> Option<u32> {
        self.records().find_map(|(_, record)| {
            let stride = match record.kind {
                KIND_ENUM => 8,
                KIND_ENUM64 => 12,
                _ => return None,
            };
            let positions = (0..to_usize(record.count)).map(|index| record.extra + index * stride);
            positions
                .filter(|&at| read_u32(&self.bytes, at).is_some_and(|text| self.text_is(text, name)))
                .find_map(|at| read_u32(&self.bytes, at + 4))
        })
    }

    /// Name of the structure that argument `index` of a tracepoint points to; `None` when it is no such pointer.
    pub fn tracepoint_argument(&self, tracepoint: &str, index: u32) -> Option<String> {
        // `typedef void (*btf_trace_NAME)(void *, ...)`: the first parameter is the tracing framework's own.
        let pointer = self
            .record(self.find(KIND_TYPEDEF, &format!("btf_trace_{tracepoint}"))?)?
            .info;
        let prototype = self.record(self.record(self.resolve(pointer)?)?.info)?;
        if prototype.kind != KIND_FUNC_PROTO || index + 1 >= prototype.count {
            return None;
        }
        let parameter = read_u32(&self.bytes, prototype.extra + to_usize(index + 1) * 8 + 4)?;
        let pointer = self.record(self.resolve(parameter)?)?;
        if pointer.kind != KIND_PTR {
            return None;
        }
        let target = self.record(self.resolve(pointer.info)?)?;
        (target.kind == KIND_STRUCT).then(|| self.text(target.name).map(str::to_owned))?
    }

    fn member_at(&self, structure: &str, path: &[&str]) -> Option<Member> {
        self.walk(self.find(KIND_STRUCT, structure)?, path)
    }

    fn walk(&self, type_id: u32, path: &[&str]) -> Option<Member> {
        let mut here = Member { offset: 0, type_id };
        for name in path {
            let next = self.member(here.type_id, name, MAX_DEPTH, &mut MAX_MEMBERS.clone())?;
            here = Member {
                offset: here.offset.checked_add(next.offset)?,
                type_id: next.type_id,
            };
        }
        Some(here)
    }

    /// Searches a structure and the anonymous ones in it. `depth` and `budget` bound the search where types contain each other.
    fn member(&self, type_id: u32, name: &str, depth: u32, budget: &mut u32) -> Option<Member> {
        let depth = depth.checked_sub(1)?;
        let mut record = self.record(self.resolve(type_id)?)?;
        if record.kind == KIND_ARRAY {
            record = self.record(self.resolve(read_u32(&self.bytes, record.extra)?)?)?;
        }
        if record.kind != KIND_STRUCT && record.kind != KIND_UNION {
            return None;
        }
        (0..to_usize(record.count)).find_map(|index| {
            *budget = budget.checked_sub(1)?;
            let at = record.extra + index * 12;
            let (text, inner, bits) = (
                read_u32(&self.bytes, at)?,
                read_u32(&self.bytes, at + 4)?,
                read_u32(&self.bytes, at + 8)?,
            );
            // With the flag the upper byte holds the width of a bit field.
            let offset = if record.kind_flag { bits & 0x00ff_ffff } else { bits } / 8;
            if self.text_is(text, name) {
                return Some(Member { offset, type_id: inner });
            }
            if !self.text_is(text, "") {
                return None;
            }
            let nested = self.member(inner, name, depth, budget)?;
            Some(Member {
                offset: offset.checked_add(nested.offset)?,
                type_id: nested.type_id,
            })
        })
    }

    /// Follows typedefs and qualifiers.
    fn resolve(&self, mut id: u32) -> Option<u32> {
        for _ in 0..MAX_DEPTH {
            let record = self.record(id)?;
            match record.kind {
                KIND_TYPEDEF | KIND_VOLATILE | KIND_CONST | KIND_RESTRICT | KIND_TYPE_TAG => id = record.info,
                _ => return Some(id),
            }
        }
        None
    }

    fn size_of(&self, id: u32) -> Option<u32> {
        let record = self.record(self.resolve(id)?)?;
        match record.kind {
            KIND_PTR => Some(8),
            KIND_ARRAY => None,
            _ => Some(record.info),
        }
    }

    fn find(&self, kind: u32, name: &str) -> Option<u32> {
        self.records()
            .find(|(_, record)| record.kind == kind && self.text_is(record.name, name))
            .map(|(id, _)| id)
    }

    fn records(&self) -> impl Iterator<Item = (u32, Type)> + '_ {
        (1_u32..)
            .zip(&self.types)
            .filter_map(|(id, &at)| Some((id, read_type(&self.bytes, to_usize(at))?)))
    }

    fn record(&self, id: u32) -> Option<Type> {
        let at = self.types.get(to_usize(id.checked_sub(1)?))?;
        read_type(&self.bytes, to_usize(*at))
    }

    fn text(&self, offset: u32) -> Option<&str> {
        let strings = self.bytes.get(self.strings.clone())?;
        let text = strings.get(to_usize(offset)..)?.split(|&byte| byte == 0).next()?;
        std::str::from_utf8(text).ok()
    }

    fn text_is(&self, offset: u32, expected: &str) -> bool {
        let strings = self.bytes.get(self.strings.clone()).unwrap_or_default();
        let text = strings.get(to_usize(offset)..).unwrap_or_default();
        text.strip_prefix(expected.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }
}

fn index_types(bytes: &[u8], section: Range<usize>) -> Result<Vec<u32>, BtfError> {
    let mut types = Vec::new();
    let mut at = section.start;
    while at < section.end {
        let record = read_type(bytes, at).ok_or(BtfError::Malformed("truncated type"))?;
        let extra = extra_len(record).ok_or(BtfError::Malformed("unknown kind of type"))?;
        types.push(u32::try_from(at).unwrap_or(u32::MAX));
        at = record.extra + extra;
    }
    if at == section.end {
        Ok(types)
    } else {
        Err(BtfError::Malformed("truncated type"))
    }
}

/// Bytes that follow the three words of a type's record.
fn extra_len(record: Type) -> Option<usize> {
    let count = to_usize(record.count);
    Some(match record.kind {
        // int, variable, declaration tag
        1 | 14 | 17 => 4,
        // pointer, forward, typedef, qualifiers, function, float, type tag
        KIND_PTR | 7..=12 | 16 | KIND_TYPE_TAG => 0,
        KIND_ARRAY => 12,
        // structure, union, data section, 64-bit enumeration
        KIND_STRUCT | KIND_UNION | 15 | KIND_ENUM64 => count * 12,
        KIND_ENUM | KIND_FUNC_PROTO => count * 8,
        _ => return None,
    })
}

fn read_type(bytes: &[u8], at: usize) -> Option<Type> {
    let flags = read_u32(bytes, at + 4)?;
    Some(Type {
        name: read_u32(bytes, at)?,
        kind: flags >> 24 & 0x1f,
        kind_flag: flags >> 31 == 1,
        count: flags & 0xffff,
        info: read_u32(bytes, at + 8)?,
        extra: at + 12,
    })
}

fn read_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let word = bytes.get(at..at.checked_add(4)?)?;
    word.try_into().ok().map(u32::from_le_bytes)
}

/// Widening: the daemon runs on 64-bit machines only.
const fn to_usize(value: u32) -> usize {
    value as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::any;
    use proptest::proptest;

    /// Writes a BTF file: records of words, and strings.
    fn file(types: &[u32], strings: &[u8]) -> Vec<u8> {
        let type_bytes: Vec<u8> = types.iter().flat_map(|word| word.to_le_bytes()).collect();
        let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap();
        let header = [
            u32::from(MAGIC) | 1 << 16,
            24,
            0,
            length(&type_bytes),
            length(&type_bytes),
            length(strings),
        ];
        let mut bytes: Vec<u8> = header.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.extend(type_bytes);
        bytes.extend(strings);
        bytes
    }

    /// `struct outer { int a; struct { int b; }; int c[4]; }` and `enum { ZERO, SEVEN = 7 }`.
    fn example() -> Vec<u8> {
        let strings = b"\0outer\0a\0b\0c\0SEVEN\0int\0ZERO\0";
        let (outer, a, b, c, seven, int, zero) = (1, 7, 9, 11, 13, 19, 23);
        let kind = |kind: u32, count: u32| kind << 24 | count;
        let types = [
            vec![int, kind(1, 0), 4, 32],
            vec![0, kind(KIND_STRUCT, 1), 4, b, 1, 0],
            vec![0, kind(KIND_ARRAY, 0), 0, 1, 1, 4],
            vec![outer, kind(KIND_STRUCT, 3), 24, a, 1, 0, 0, 2, 32, c, 3, 64],
            vec![0, kind(KIND_ENUM, 2), 4, zero, 0, seven, 7],
        ];
        file(&types.concat(), strings)
    }

    #[test]
    fn members_are_found_also_in_anonymous_structures_and_arrays() {
        let btf = Btf::parse(example()).unwrap();
        assert_eq!(btf.len(), 5);
        for (path, expected) in [
            (["a"], Some(0)),
            (["b"], Some(4)),
            (["c"], Some(8)),
            (["d"], None),
            (["out"], None),
        ] {
            assert_eq!(btf.offset("outer", &path), expected, "{path:?}");
        }
        assert_eq!(btf.element_offset("outer", &["c"], 3, &[]), Some(20));
        assert_eq!(btf.element_offset("outer", &["c"], 4, &[]), None);
        assert_eq!(btf.element_offset("outer", &["a"], 0, &[]), None);
        assert_eq!(btf.offset("oute", &["a"]), None);
        assert_eq!((btf.enumerator("SEVEN"), btf.enumerator("ZERO")), (Some(7), Some(0)));
        assert_eq!(btf.enumerator("EIGHT"), None);
    }

    #[test]
    fn types_that_contain_each_other_end_the_search() {
        // Two anonymous structures, each with two members of the type of the other.
        let kind = KIND_STRUCT << 24 | 2;
        let types = [[0, kind, 8, 0, 2, 0, 0, 2, 0], [0, kind, 8, 0, 1, 0, 0, 1, 0]].concat();
        let btf = Btf::parse(file(&types, b"\0x\0")).unwrap();
        assert_eq!(btf.walk(1, &["x"]), None);
    }

    #[test]
    fn a_truncated_file_is_refused() {
        let whole = example();
        for length in 0..whole.len() {
            assert!(Btf::parse(whole[..length].to_vec()).is_err(), "{length} bytes");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_parsed_or_refused(position in 0_usize..200, value in any::<u8>(), junk in any::<Vec<u8>>()) {
            let mut bytes = example();
            if let Some(byte) = bytes.get_mut(position) {
                *byte = value;
            }
            for bytes in [bytes, junk] {
                if let Ok(btf) = Btf::parse(bytes) {
                    for path in [["a"], ["b"], ["c"]] {
                        let _offset = btf.offset("outer", &path);
                    }
                    let _element = btf.element_offset("outer", &["c"], 3, &["a"]);
                    let _argument = btf.tracepoint_argument("outer", 0);
                }
            }
        }
    }
}
