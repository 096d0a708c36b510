//! Frames: what every file of the store is made of. Each has a checksum of its own, so that what is damaged is told from what is not.
//!
//! # Form of a file
//!
//! | part | what |
//! |---|---|
//! | head | 24 bytes: `LWSTOR`, format, tier, begin of its slot in milliseconds, checksum of these, four zeros |
//! | frames | length of the payload, checksum, kind, payload |
//! | index | of a partition that is complete: one more frame, which says where the others are |
//! | trailer | after the index: where it is, checksum, `LWND` |
//!
//! Numbers outside of payloads are little-endian and of fixed length. Checksums are CRC-32. Files are only ever appended to; one that ends in the
//! middle of a frame was being written when its writer ended, and holds all that comes before.

use super::varint::CodecError;
use super::varint::Reader;
use super::varint::difference;
use super::varint::moved;
use super::varint::put;
use super::varint::zigzag;

/// The format that is written. Readers refuse later ones.
pub(crate) const FORMAT: u8 = 1;
pub(crate) const HEAD_BYTES: usize = 24;
pub(crate) const FRAME_HEAD_BYTES: usize = 9;
pub(crate) const TRAILER_BYTES: usize = 16;
/// Bytes of a payload at most.
pub(crate) const MAX_PAYLOAD: usize = 32 << 20;
/// Kinds of frames have numbers up to this.
const MAX_KIND: u8 = 32;
/// Frames of a partition at most.
pub(crate) const MAX_ENTRIES: usize = 1 << 21;

const MAGIC: &[u8; 6] = b"LWSTOR";
const END: &[u8; 4] = b"LWND";

/// What the head of a file says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) tier: u8,
    /// Milliseconds since the Unix epoch.
    pub(crate) slot: u64,
}

/// Why a head is not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeadError {
    Damaged,
    Newer(u8),
}

pub(crate) fn encode_head(head: Head) -> [u8; HEAD_BYTES] {
    let mut bytes = [0; HEAD_BYTES];
    let mut whole = Vec::with_capacity(HEAD_BYTES);
    whole.extend_from_slice(MAGIC);
    whole.push(FORMAT);
    whole.push(head.tier);
    whole.extend_from_slice(&head.slot.to_le_bytes());
    whole.extend_from_slice(&crc32fast::hash(&whole).to_le_bytes());
    for (to, from) in bytes.iter_mut().zip(whole) {
        *to = from;
    }
    bytes
}

pub(crate) fn decode_head(bytes: &[u8]) -> Result<Head, HeadError> {
    let body = bytes.get(..16).ok_or(HeadError::Damaged)?;
    let (magic, rest) = body.split_at(MAGIC.len());
    let [format, tier, slot @ ..] = rest else {
        return Err(HeadError::Damaged);
    };
    if magic != MAGIC || bytes.get(16..20) != Some(&crc32fast::hash(body).to_le_bytes()[..]) {
        return Err(HeadError::Damaged);
    }
    if *format > FORMAT {
        return Err(HeadError::Newer(*format));
    }
    let slot = slot.try_into().map_err(|_length| HeadError::Damaged)?;
    Ok(Head {
        tier: *tier,
        slot: u64::from_le_bytes(slot),
    })
}

/// Appends a frame.
pub(crate) fn put_frame(out: &mut Vec<u8>, kind: u8, payload: &[u8]) -> Result<(), CodecError> {
    let length = u32::try_from(payload.len())
        .ok()
        .filter(|_| payload.len() <= MAX_PAYLOAD);
    let length = length.ok_or(CodecError::OverBound {
        what: "bytes",
        bound: MAX_PAYLOAD,
    })?;
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&checksum(kind, payload).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
    Ok(())
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame<'a> {
    pub(crate) kind: u8,
    pub(crate) payload: &'a [u8],
    /// With its head.
    pub(crate) bytes: usize,
}

/// Why there is no frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameError {
    /// The bytes end before it does.
    CutOff,
    /// Its checksum is another.
    Damaged,
    /// Its length is beyond the bound.
    Length,
}

/// The frame at the front of these bytes.
pub(crate) fn frame(bytes: &[u8]) -> Result<Frame<'_>, FrameError> {
    let (Some(length), Some(sum), Some(kind)) = (number(bytes, 0), number(bytes, 4), bytes.get(8)) else {
        return Err(FrameError::CutOff);
    };
    let length = length as usize;
    if length > MAX_PAYLOAD {
        return Err(FrameError::Length);
    }
    let whole = FRAME_HEAD_BYTES + length;
    let payload = bytes.get(FRAME_HEAD_BYTES..whole).ok_or(FrameError::CutOff)?;
    if checksum(*kind, payload) != sum {
        return Err(FrameError::Damaged);
    }
    Ok(Frame {
        kind: *kind,
        payload,
        bytes: whole,
    })
}

fn checksum(kind: u8, payload: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&[kind]);
    hasher.update(payload);
    hasher.finalize()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at + 4)?;
    bytes.try_into().ok().map(u32::from_le_bytes)
}

/// All frames after the head of a file, and where they end; frames that are damaged are left out.
#[derive(Clone, Debug)]
pub(crate) struct Scan<'a> {
    pub(crate) frames: Vec<(u64, Frame<'a>)>,
    /// The end of the last whole frame.
    pub(crate) end: u64,
    /// Where something is damaged, first place first.
    pub(crate) damage: Vec<u64>,
}

/// Reads a file from its front. After a damaged frame it goes on with the next whole one.
pub(crate) fn scan(file: &[u8]) -> Scan<'_> {
    let mut scan = Scan {
        frames: Vec::new(),
        end: HEAD_BYTES as u64,
        damage: Vec::new(),
    };
    let mut offset = HEAD_BYTES;
    let at_end = file.len().saturating_sub(TRAILER_BYTES);
    let is_complete = file.get(at_end..).and_then(decode_trailer).is_some();
    let file = if is_complete {
        file.get(..at_end).unwrap_or(file)
    } else {
        file
    };
    while let Some(rest) = file.get(offset..).filter(|rest| !rest.is_empty()) {
        match frame(rest) {
            Ok(found) if scan.frames.len() < MAX_ENTRIES => {
                scan.frames.push((offset as u64, found));
                offset += found.bytes;
                scan.end = offset as u64;
            }
            // Whether its end is missing or its length is damaged shows by what comes after it.
            Err(error) => match next_frame(rest) {
                Some(bytes) => {
                    scan.damage.push(offset as u64);
                    offset += bytes;
                }
                None if error == FrameError::CutOff => break,
                None => {
                    scan.damage.push(offset as u64);
                    break;
                }
            },
            Ok(_) => {
                scan.damage.push(offset as u64);
                break;
            }
        }
    }
    scan
}

/// How far the next whole frame is, if there is one not far away.
fn next_frame(bytes: &[u8]) -> Option<usize> {
    const FAR: usize = 256 << 10;
    let is_whole = |at: &usize| {
        let rest = bytes.get(*at..).unwrap_or_default();
        // Most places are none by their kind or their length alone.
        let kind = rest.get(8).copied().unwrap_or(0);
        (1..=MAX_KIND).contains(&kind) && number(rest, 0) != Some(0) && frame(rest).is_ok()
    };
    (1..bytes.len().min(FAR)).find(is_whole)
}

/// Where a frame is and what it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    /// Number of the target, within the partition.
    pub(crate) target: u32,
    pub(crate) kind: u8,
    /// First and last instant in it, in milliseconds.
    pub(crate) first: u64,
    pub(crate) last: u64,
    pub(crate) offset: u64,
    /// With its head.
    pub(crate) bytes: u32,
}

/// An index, sorted by target and instant.
pub(crate) fn encode_index(entries: &mut [Entry]) -> Vec<u8> {
    entries.sort_unstable();
    let mut out = Vec::with_capacity(entries.len() * 10);
    put(&mut out, entries.len() as u64);
    let (mut target, mut first, mut offset) = (0_u32, 0, 0);
    for entry in entries {
        put(&mut out, u64::from(entry.target.wrapping_sub(target)));
        out.push(entry.kind);
        put(&mut out, zigzag(difference(first, entry.first)));
        put(&mut out, zigzag(difference(entry.first, entry.last)));
        put(&mut out, zigzag(difference(offset, entry.offset)));
        put(&mut out, entry.bytes.into());
        (target, first, offset) = (entry.target, entry.first, entry.offset);
    }
    out
}

/// The entries of an index that are wanted.
pub(crate) fn decode_index(bytes: &[u8], mut wanted: impl FnMut(&Entry) -> bool) -> Result<Vec<Entry>, CodecError> {
    let mut reader = Reader::new(bytes);
    let count = reader.count("frames", MAX_ENTRIES)?;
    let mut entries = Vec::new();
    let (mut target, mut first, mut offset) = (0_u32, 0, 0);
    for _ in 0..count {
        let step = u32::try_from(reader.number()?).map_err(|_large| CodecError::LongNumber)?;
        target = target.wrapping_add(step);
        let kind = reader.byte()?;
        first = moved(first, reader.signed()?);
        let last = moved(first, reader.signed()?);
        offset = moved(offset, reader.signed()?);
        let bytes = u32::try_from(reader.number()?).map_err(|_large| CodecError::LongNumber)?;
        let entry = Entry {
            target,
            kind,
            first,
            last,
            offset,
            bytes,
        };
        if wanted(&entry) {
            entries.push(entry);
        }
    }
    Ok(entries)
}

/// What follows the frame of the index.
pub(crate) fn encode_trailer(index_offset: u64) -> Vec<u8> {
    let mut out = index_offset.to_le_bytes().to_vec();
    out.extend_from_slice(&crc32fast::hash(&out).to_le_bytes());
    out.extend_from_slice(END);
    out
}

/// Where the index is, if these last bytes of a file are a trailer.
pub(crate) fn decode_trailer(bytes: &[u8]) -> Option<u64> {
    let (offset, rest) = bytes.split_first_chunk::<8>()?;
    let (sum, end) = rest.split_first_chunk::<4>()?;
    (end == END && *sum == crc32fast::hash(offset).to_le_bytes()).then(|| u64::from_le_bytes(*offset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn an_index_is_read_as_it_was_written(raw in prop::collection::vec((0..9_u32, 0..4_u8, any::<u64>(), any::<u64>(), any::<u64>(), any::<u32>()), 0..50)) {
            let mut entries: Vec<Entry> = raw.into_iter().map(|(target, kind, first, last, offset, bytes)| Entry { target, kind, first, last, offset, bytes }).collect();
            let bytes = encode_index(&mut entries);
            prop_assert_eq!(decode_index(&bytes, |_| true), Ok(entries));
        }
    }

    #[test]
    fn every_changed_bit_of_a_file_is_noticed() {
        let mut file = encode_head(Head { tier: 3, slot: 7 }).to_vec();
        for kind in 1..5 {
            put_frame(&mut file, kind, &[kind; 20]).unwrap();
        }
        let whole = scan(&file);
        assert_eq!(
            (whole.frames.len(), whole.end, whole.damage.len()),
            (4, file.len() as u64, 0)
        );
        for bit in 0..file.len() * 8 {
            let mut changed = file.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let found = scan(&changed);
            let head = decode_head(&changed);
            if bit / 8 < 20 {
                assert!(head.is_err(), "bit {bit}");
            } else if bit / 8 >= HEAD_BYTES {
                assert_eq!(found.frames.len(), 3, "one is damaged, the others are found: bit {bit}");
                for (_, frame) in found.frames {
                    assert_eq!(frame.payload, [frame.kind; 20], "bit {bit}");
                }
            }
        }
        for end in HEAD_BYTES..file.len() {
            let found = scan(&file[..end]);
            assert!(found.damage.is_empty() && found.frames.len() < 4 && found.end <= end as u64);
        }
    }
}
