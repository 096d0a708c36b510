//! Reads from partitions, no more of them than is asked for. Everything in a file may be damaged.

use super::index::OpenIndex;
use crate::store::disk::codec::block;
use crate::store::disk::codec::frame;
use crate::store::disk::codec::frame::Entry;
use crate::store::disk::codec::frame::HeadError;
use crate::store::disk::codec::varint::CodecError;
use crate::store::disk::codec::varint::Reader;
use crate::store::disk::codec::varint::put;
use crate::store::disk::codec::varint::put_sized;
use crate::store::disk::error::DiskError;
use crate::store::disk::kind;
use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes of an index after decompression at most.
const MAX_INDEX: usize = 64 << 20;
/// Names in a partition at most.
const MAX_NAMES: usize = 1 << 20;

/// Names by their number within a partition.
pub(crate) type Names = HashMap<u32, Arc<str>>;

/// A partition to read from.
#[derive(Debug)]
pub(crate) struct PartitionReader {
    path: PathBuf,
    file: File,
    index: Index,
}

#[derive(Debug)]
enum Index {
    /// Of one that is complete: names and entries, decompressed.
    Sealed(Vec<u8>),
    /// Of one that is being filled, by its writer.
    Shared(Arc<OpenIndex>),
    /// Of one that nobody completed.
    Scanned(Scanned),
}

/// What a look at all frames finds.
#[derive(Debug)]
pub(crate) struct Scanned {
    pub(crate) entries: Vec<Entry>,
    pub(crate) names: Names,
    /// End of the last whole frame.
    pub(crate) end: u64,
}

impl PartitionReader {
    /// Opens a partition that nobody writes to.
    pub(crate) fn open(path: &Path) -> Result<Self, DiskError> {
        let file = File::open(path).map_err(DiskError::io(path))?;
        let length = file.metadata().map_err(DiskError::io(path))?.len();
        let mut head = [0; frame::HEAD_BYTES];
        read_at(path, &file, &mut head, 0)?;
        check_head(path, &head)?;
        let mut trailer = [0; frame::TRAILER_BYTES];
        let at_end = length.saturating_sub(trailer.len() as u64);
        read_at(path, &file, &mut trailer, at_end)?;
        let index = if let Some(offset) = frame::decode_trailer(&trailer) {
            let bytes = at_end.saturating_sub(offset);
            let entry = Entry {
                target: 0,
                kind: kind::INDEX,
                first: 0,
                last: 0,
                offset,
                bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            };
            let payload = read_frame(path, &file, &entry)?;
            let index = block::decompress(&payload, MAX_INDEX);
            Index::Sealed(index.map_err(|error| DiskError::damaged(path, offset, error))?)
        } else {
            let bytes = std::fs::read(path).map_err(DiskError::io(path))?;
            Index::Scanned(scan(path, &bytes)?)
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            index,
        })
    }

    /// Opens one that is being written to.
    pub(crate) fn shared(index: &Arc<OpenIndex>) -> Result<Self, DiskError> {
        Ok(Self {
            path: index.path.clone(),
            file: File::open(&index.path).map_err(DiskError::io(&index.path))?,
            index: Index::Shared(Arc::clone(index)),
        })
    }

    /// Names and all that is known about where things are.
    pub(crate) fn all(&self) -> Result<(Vec<Entry>, Names), DiskError> {
        match &self.index {
            Index::Sealed(bytes) => {
                let mut reader = Reader::new(bytes);
                let names = decode_names(&mut reader).map_err(|error| DiskError::damaged(&self.path, 0, error))?;
                let entries = frame::decode_index(reader.rest(), |_| true);
                Ok((
                    entries.map_err(|error| DiskError::damaged(&self.path, 0, error))?,
                    names,
                ))
            }
            Index::Shared(shared) => Ok(shared.all()),
            Index::Scanned(scanned) => Ok((scanned.entries.clone(), scanned.names.clone())),
        }
    }

    /// Where what is wanted about a name is, in order of time.
    pub(crate) fn entries(&self, name: &str, mut wanted: impl FnMut(&Entry) -> bool) -> Result<Vec<Entry>, DiskError> {
        let mut entries = match &self.index {
            Index::Sealed(bytes) => {
                let mut reader = Reader::new(bytes);
                let names = decode_names(&mut reader).map_err(|error| DiskError::damaged(&self.path, 0, error))?;
                let is_meant = |number: u32| names.get(&number).is_some_and(|found| &**found == name);
                let Some(number) = names.keys().copied().find(|number| is_meant(*number)) else {
                    return Ok(Vec::new());
                };
                let entries = frame::decode_index(reader.rest(), |entry| entry.target == number && wanted(entry));
                entries.map_err(|error| DiskError::damaged(&self.path, 0, error))?
            }
            Index::Shared(shared) => shared.of(name, wanted),
            Index::Scanned(scanned) => {
                let of_name = |entry: &&Entry| scanned.names.get(&entry.target).is_some_and(|found| &**found == name);
                let entries = scanned.entries.iter().filter(of_name);
                entries.filter(|entry| wanted(entry)).copied().collect()
            }
        };
        entries.sort_unstable_by_key(|entry| (entry.first, entry.offset));
        Ok(entries)
    }

    /// What a frame says, without what it is about.
    pub(crate) fn payload(&self, entry: &Entry) -> Result<Vec<u8>, DiskError> {
        let payload = read_frame(&self.path, &self.file, entry)?;
        let damaged = |error: CodecError| DiskError::damaged(&self.path, entry.offset, error);
        let mut reader = Reader::new(&payload);
        subject(&mut reader).map_err(damaged)?;
        Ok(reader.rest().to_vec())
    }

    /// The same, decoded by a codec.
    pub(crate) fn decoded<T>(
        &self,
        entry: &Entry,
        codec: impl FnOnce(&[u8]) -> Result<T, CodecError>,
    ) -> Result<T, DiskError> {
        let payload = self.payload(entry)?;
        codec(&payload).map_err(|error| DiskError::damaged(&self.path, entry.offset, error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

fn read_at(path: &Path, file: &File, bytes: &mut [u8], offset: u64) -> Result<(), DiskError> {
    file.read_exact_at(bytes, offset).map_err(|source| {
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            DiskError::damaged(path, offset, "cut off")
        } else {
            DiskError::Io {
                path: path.to_owned(),
                source,
            }
        }
    })
}

fn read_frame(path: &Path, file: &File, entry: &Entry) -> Result<Vec<u8>, DiskError> {
    let bytes = entry.bytes as usize;
    if bytes > frame::MAX_PAYLOAD + frame::FRAME_HEAD_BYTES {
        return Err(DiskError::damaged(path, entry.offset, "its length is beyond the bound"));
    }
    let mut whole = vec![0; bytes];
    read_at(path, file, &mut whole, entry.offset)?;
    match frame::frame(&whole) {
        Ok(found) if found.kind == entry.kind => Ok(found.payload.to_vec()),
        _ => Err(DiskError::damaged(path, entry.offset, "its checksum is another")),
    }
}

fn check_head(path: &Path, bytes: &[u8]) -> Result<frame::Head, DiskError> {
    frame::decode_head(bytes).map_err(|error| match error {
        HeadError::Damaged => DiskError::damaged(path, 0, "its head is none"),
        HeadError::Newer(found) => DiskError::Newer {
            path: path.to_owned(),
            found: found.into(),
            newest: frame::FORMAT.into(),
        },
    })
}

/// Where the index of a complete partition is.
pub(crate) fn index_offset(file: &[u8]) -> Option<u64> {
    let at = file.len().checked_sub(frame::TRAILER_BYTES)?;
    frame::decode_trailer(file.get(at..)?)
}

/// Entries and names of a complete partition whose index is whole.
pub(super) fn indexed(file: &[u8]) -> Option<(Vec<Entry>, Names)> {
    let at = usize::try_from(index_offset(file)?).ok()?;
    let found = frame::frame(file.get(at..)?)
        .ok()
        .filter(|found| found.kind == kind::INDEX)?;
    let index = block::decompress(found.payload, MAX_INDEX).ok()?;
    let mut reader = Reader::new(&index);
    let names = decode_names(&mut reader).ok()?;
    Some((frame::decode_index(reader.rest(), |_| true).ok()?, names))
}

/// What the frame of a name says.
pub(super) fn name_payload(number: u32, name: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    put(&mut payload, number.into());
    put_sized(&mut payload, name.as_bytes());
    payload
}

/// Target, first and last instant: what every frame about a target begins with.
fn subject(reader: &mut Reader<'_>) -> Result<(u32, u64, u64), CodecError> {
    let target = u32::try_from(reader.number()?).map_err(|_large| CodecError::LongNumber)?;
    Ok((target, reader.number()?, reader.number()?))
}

fn decode_names(reader: &mut Reader<'_>) -> Result<Names, CodecError> {
    let count = reader.count("names", MAX_NAMES)?;
    let mut names = HashMap::new();
    for _ in 0..count {
        let number = u32::try_from(reader.number()?).map_err(|_large| CodecError::LongNumber)?;
        names.insert(number, text(reader.sized()?)?);
    }
    Ok(names)
}

fn text(bytes: &[u8]) -> Result<Arc<str>, CodecError> {
    let text = std::str::from_utf8(bytes).map_err(|_error| CodecError::Inconsistent("text"))?;
    Ok(text.into())
}

/// All that is in a file, by its frames. Fails at the first that is damaged.
pub(crate) fn scan(path: &Path, file: &[u8]) -> Result<Scanned, DiskError> {
    check_head(path, file)?;
    let found = frame::scan(file);
    if let Some(offset) = found.damage.first() {
        return Err(DiskError::damaged(path, *offset, "its checksum is another"));
    }
    let (scanned, problems) = understand(&found);
    match problems.first() {
        Some((offset, error)) => Err(DiskError::damaged(path, *offset, error)),
        None => Ok(scanned),
    }
}

/// What whole frames say.
pub(crate) fn understand(found: &frame::Scan<'_>) -> (Scanned, Vec<(u64, CodecError)>) {
    let mut scanned = Scanned {
        entries: Vec::new(),
        names: HashMap::new(),
        end: found.end,
    };
    let mut problems = Vec::new();
    for (offset, frame) in &found.frames {
        let mut reader = Reader::new(frame.payload);
        let understood = match frame.kind {
            kind::INDEX => Ok(()),
            kind::NAME => reader.number().and_then(|number| {
                let number = u32::try_from(number).map_err(|_large| CodecError::LongNumber)?;
                scanned.names.insert(number, text(reader.sized()?)?);
                Ok(())
            }),
            kind => subject(&mut reader).map(|(target, first, last)| {
                scanned.entries.push(Entry {
                    target,
                    kind,
                    first,
                    last,
                    offset: *offset,
                    bytes: u32::try_from(frame.bytes).unwrap_or(u32::MAX),
                });
            }),
        };
        if let Err(error) = understood {
            problems.push((*offset, error));
        }
    }
    (scanned, problems)
}
