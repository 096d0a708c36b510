//! Appends to a partition and completes it.

use super::index::OpenIndex;
use super::name::PartitionName;
use super::reader;
use crate::store::disk::codec::block;
use crate::store::disk::codec::frame;
use crate::store::disk::codec::frame::Entry;
use crate::store::disk::codec::frame::Head;
use crate::store::disk::codec::varint::CodecError;
use crate::store::disk::codec::varint::put;
use crate::store::disk::codec::varint::put_sized;
use crate::store::disk::error::DiskError;
use crate::store::disk::kind;
use crate::store::disk::log::LogFile;
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

/// A partition that is being filled.
#[derive(Debug)]
pub(crate) struct PartitionWriter {
    pub(crate) name: PartitionName,
    log: LogFile,
    numbers: HashMap<Arc<str>, u32>,
    index: Arc<OpenIndex>,
}

impl PartitionWriter {
    /// Begins a partition.
    pub(crate) fn create(directory: &Path, name: PartitionName) -> Result<Self, DiskError> {
        let path = name.path(directory);
        let head = Head {
            tier: name.tier.number(),
            slot: name.slot,
        };
        Ok(Self {
            name,
            log: LogFile::create(path.clone(), head)?,
            numbers: HashMap::new(),
            index: Arc::new(OpenIndex::new(path, name)),
        })
    }

    /// Goes on with a partition that was not complete. None if it is.
    pub(crate) fn resume(directory: &Path, name: PartitionName) -> Result<Option<Self>, DiskError> {
        let path = name.path(directory);
        let bytes = std::fs::read(&path).map_err(DiskError::io(&path))?;
        if reader::index_offset(&bytes).is_some() {
            return Ok(None);
        }
        let scanned = reader::scan(&path, &bytes)?;
        drop(bytes);
        let index = OpenIndex::new(path.clone(), name);
        let numbers = scanned.names.iter().map(|(number, name)| (Arc::clone(name), *number));
        let numbers = numbers.collect();
        index.extend(scanned.entries, scanned.names);
        Ok(Some(Self {
            name,
            log: LogFile::resume(path, scanned.end)?,
            numbers,
            index: Arc::new(index),
        }))
    }

    /// Where readers find what is in it.
    pub(crate) fn index(&self) -> Arc<OpenIndex> {
        Arc::clone(&self.index)
    }

    /// Bytes so far.
    pub(crate) fn bytes(&self) -> u64 {
        self.log.end()
    }

    /// The number of a target (or of whatever else the frames are about) within the partition; it gets one if it has none.
    pub(crate) fn number(&mut self, name: &Arc<str>) -> Result<u32, DiskError> {
        if let Some(number) = self.numbers.get(name) {
            return Ok(*number);
        }
        let number = u32::try_from(self.numbers.len()).unwrap_or(u32::MAX);
        self.log.append(kind::NAME, &reader::name_payload(number, name))?;
        self.index.extend([], [(number, Arc::clone(name))]);
        self.numbers.insert(Arc::clone(name), number);
        Ok(number)
    }

    /// Appends a frame about a target.
    pub(crate) fn append(
        &mut self,
        kind: u8,
        target: &Arc<str>,
        (first, last): (u64, u64),
        payload: &[u8],
    ) -> Result<Entry, DiskError> {
        let target = self.number(target)?;
        let mut whole = Vec::with_capacity(payload.len() + 16);
        put(&mut whole, target.into());
        put(&mut whole, first);
        put(&mut whole, last);
        whole.extend_from_slice(payload);
        let (offset, bytes) = self.log.append(kind, &whole)?;
        let entry = Entry {
            target,
            kind,
            first,
            last,
            offset,
            bytes,
        };
        self.index.extend([entry], []);
        Ok(entry)
    }

    /// Makes sure that a failure of power loses nothing that was written before.
    pub(crate) fn sync(&mut self) -> Result<(), DiskError> {
        self.log.sync()
    }

    /// Completes the partition.
    pub(crate) fn seal(&mut self) -> Result<(), DiskError> {
        let (entries, names) = self.index.all();
        let whole = encode_end(entries, &names, self.log.end()).map_err(DiskError::encode(self.log.path()))?;
        self.log.append_bytes(&whole)?;
        self.log.sync()
    }
}

/// What a complete partition ends with: names and entries in a frame, then the trailer.
pub(super) fn encode_end(
    mut entries: Vec<Entry>,
    names: &HashMap<u32, Arc<str>>,
    offset: u64,
) -> Result<Vec<u8>, CodecError> {
    let mut body = Vec::new();
    put(&mut body, names.len() as u64);
    let mut names: Vec<_> = names.iter().collect();
    names.sort_unstable();
    for (number, name) in names {
        put(&mut body, u64::from(*number));
        put_sized(&mut body, name.as_bytes());
    }
    body.extend(frame::encode_index(&mut entries));
    let mut whole = Vec::new();
    frame::put_frame(&mut whole, kind::INDEX, &block::compress(&body, block::LEVEL)?)?;
    whole.extend(frame::encode_trailer(offset));
    Ok(whole)
}
