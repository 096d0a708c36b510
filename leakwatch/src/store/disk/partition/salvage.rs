//! What is done about a damaged partition: it is set aside, and what is whole in it goes to a new file of the same name.

use super::name::PartitionName;
use super::reader;
use super::writer::encode_end;
use crate::store::disk::codec::frame;
use crate::store::disk::codec::frame::Head;
use crate::store::disk::error::DiskError;
use crate::store::disk::kind;
use std::fs;
use std::path::Path;

/// What was saved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Salvaged {
    /// Frames that were whole.
    pub(crate) frames: usize,
}

/// Sets a partition aside and saves what is whole.
pub(crate) fn quarantine(directory: &Path, name: PartitionName) -> Result<Salvaged, DiskError> {
    let path = name.path(directory);
    let aside = PartitionName { damaged: true, ..name }.path(directory);
    fs::rename(&path, &aside).map_err(DiskError::io(&path))?;
    let bytes = fs::read(&aside).map_err(DiskError::io(&aside))?;
    let Some((saved, frames)) = whole_frames(&bytes, name) else {
        return Ok(Salvaged::default());
    };
    let fresh = path.with_extension("tmp");
    let written = fs::write(&fresh, &saved).and_then(|()| fs::rename(&fresh, &path));
    if written.is_err() {
        drop(fs::remove_file(&fresh));
    }
    written.map_err(DiskError::io(&path))?;
    Ok(Salvaged { frames })
}

/// A complete partition of what is whole in another; none if nothing is. An index that is whole finds frames behind a damaged length, too.
fn whole_frames(bytes: &[u8], name: PartitionName) -> Option<(Vec<u8>, usize)> {
    let mut saved = frame::encode_head(Head {
        tier: name.tier.number(),
        slot: name.slot,
    })
    .to_vec();
    if let Some((entries, names)) = reader::indexed(bytes) {
        for (number, name) in names {
            frame::put_frame(&mut saved, kind::NAME, &reader::name_payload(number, &name)).ok()?;
        }
        let mut entries = entries;
        entries.sort_unstable_by_key(|entry| entry.offset);
        for entry in entries {
            let at = usize::try_from(entry.offset).ok()?;
            let found = bytes.get(at..).and_then(|rest| frame::frame(rest).ok());
            if let Some(found) = found.filter(|found| found.kind == entry.kind) {
                frame::put_frame(&mut saved, found.kind, found.payload).ok()?;
            }
        }
    } else {
        let found = frame::scan(bytes);
        for (_, frame) in found.frames.iter().filter(|(_, frame)| frame.kind != kind::INDEX) {
            frame::put_frame(&mut saved, frame.kind, frame.payload).ok()?;
        }
    }
    let again = frame::scan(&saved);
    let (scanned, _) = reader::understand(&again);
    let frames = scanned.entries.len();
    let end = encode_end(scanned.entries, &scanned.names, saved.len() as u64).ok()?;
    saved.extend(end);
    (frames > 0).then_some((saved, frames))
}
