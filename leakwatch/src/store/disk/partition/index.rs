//! What is in a partition that is still being filled, shared between its writer and readers.

use super::name::PartitionName;
use crate::store::disk::codec::frame::Entry;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

#[derive(Debug)]
pub(crate) struct OpenIndex {
    pub(crate) path: PathBuf,
    pub(crate) name: PartitionName,
    content: RwLock<Content>,
}

#[derive(Debug, Default)]
struct Content {
    entries: Vec<Entry>,
    names: HashMap<u32, Arc<str>>,
}

impl OpenIndex {
    pub(super) fn new(path: PathBuf, name: PartitionName) -> Self {
        Self {
            path,
            name,
            content: RwLock::default(),
        }
    }

    pub(super) fn extend(
        &self,
        entries: impl IntoIterator<Item = Entry>,
        names: impl IntoIterator<Item = (u32, Arc<str>)>,
    ) {
        let mut content = self.content.write().unwrap_or_else(PoisonError::into_inner);
        content.entries.extend(entries);
        content.names.extend(names);
    }

    /// Entries about one name.
    pub(super) fn of(&self, wanted: &str, mut is_wanted: impl FnMut(&Entry) -> bool) -> Vec<Entry> {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        let numbers: Vec<u32> = content
            .names
            .iter()
            .filter(|(_, name)| &***name == wanted)
            .map(|(number, _)| *number)
            .collect();
        let entries = content.entries.iter().filter(|entry| numbers.contains(&entry.target));
        entries.filter(|entry| is_wanted(entry)).copied().collect()
    }

    pub(super) fn all(&self) -> (Vec<Entry>, HashMap<u32, Arc<str>>) {
        let content = self.content.read().unwrap_or_else(PoisonError::into_inner);
        (content.entries.clone(), content.names.clone())
    }
}
