//! What the writer's thread shares with readers: which files there are, and how the store is.

use super::partition::index::OpenIndex;
use super::partition::name::PartitionName;
use super::partition::name::Tier;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

/// Damage that is noticed while reading waits here for the writer; more than so many wait on disk.
const MAX_SUSPECTS: usize = 64;

/// How the store is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Why nothing is written at the moment; history is in memory alone meanwhile.
    pub suspended: Option<String>,
    /// Bytes on disk, everything counted.
    pub bytes: u64,
    /// Of each tier: bytes, partitions, begin of the oldest in milliseconds since the Unix epoch.
    pub tiers: BTreeMap<Tier, TierStatus>,
    /// Post-mortems that are pinned.
    pub pinned: usize,
    /// Bytes of complete files that stay because of them; counted in `bytes`.
    pub pinned_bytes: u64,
    /// Bytes written since the daemon started.
    pub written_bytes: u64,
    /// What happened to the store when it was opened and after, newest last.
    pub notes: Vec<String>,
    /// Losses since the daemon started, by reason.
    pub losses: BTreeMap<&'static str, u64>,
    /// Newest instant on disk, in milliseconds since the Unix epoch.
    pub newest: u64,
}

/// How one tier is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TierStatus {
    /// Bytes.
    pub bytes: u64,
    /// Files.
    pub partitions: usize,
    /// Begin of the oldest slot, in milliseconds since the Unix epoch.
    pub oldest: Option<u64>,
}

/// What readers see of the store.
#[derive(Debug)]
pub(crate) struct Shared {
    directory: PathBuf,
    content: Mutex<Content>,
}

#[derive(Debug, Default)]
struct Content {
    sealed: BTreeSet<PartitionName>,
    open: BTreeMap<Tier, Arc<OpenIndex>>,
    suspects: BTreeSet<PartitionName>,
    status: Status,
}

impl Shared {
    pub(super) fn new(directory: &Path) -> Self {
        Self {
            directory: directory.to_owned(),
            content: Mutex::default(),
        }
    }

    fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(crate) fn status(&self) -> Status {
        self.content().status.clone()
    }

    pub(super) fn update_status(&self, update: impl FnOnce(&mut Status)) {
        update(&mut self.content().status);
    }

    pub(super) fn set_files(&self, sealed: BTreeSet<PartitionName>, open: BTreeMap<Tier, Arc<OpenIndex>>) {
        let mut content = self.content();
        content.sealed = sealed;
        content.open = open;
    }

    /// Complete partitions of a tier in the order of writing, and the one that is being filled.
    pub(super) fn files(&self, tier: Tier) -> (Vec<PartitionName>, Option<Arc<OpenIndex>>) {
        let content = self.content();
        let sealed = content.sealed.iter().filter(|name| name.tier == tier && !name.damaged);
        (sealed.copied().collect(), content.open.get(&tier).map(Arc::clone))
    }

    pub(super) fn suspect(&self, name: PartitionName) {
        let mut content = self.content();
        if content.suspects.len() < MAX_SUSPECTS {
            content.suspects.insert(name);
        }
    }

    pub(super) fn take_suspects(&self) -> BTreeSet<PartitionName> {
        std::mem::take(&mut self.content().suspects)
    }
}
