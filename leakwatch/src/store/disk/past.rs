//! What a bundle has of the past of its target, in a store of its own: whoever reads from disk reads it from there.

use super::batch::Batch;
use super::error::DiskError;
use super::history::History;
use super::partition::name::Tier;
use super::profiles::ProfileRecord;
use super::retention::Limits;
use super::store::Store;
use crate::store::bundle::BundledPast;
use leakwatch_analysis::model::profile::Snapshot;
use leakwatch_analysis::model::target::TargetId;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// More than any bundle has.
const LIMITS: Limits = Limits {
    max_bytes: 4 << 30,
    max_age: Duration::from_hours(24 * 365 * 200),
};
/// Rows of a batch.
const ROWS: usize = 120;

/// A store that is removed with it.
#[derive(Debug)]
pub struct Past {
    store: Store,
    _directory: TempDir,
}

impl Past {
    /// A store of these samples and profiles, each oldest first.
    pub fn of(target: &TargetId, service: &str, past: BundledPast) -> Result<Self, DiskError> {
        let BundledPast { rows, profiles, stacks } = past;
        let directory = tempfile::tempdir().map_err(DiskError::io(&std::env::temp_dir()))?;
        let profile_at = |snapshot: &Snapshot| snapshot.at.unix_millis();
        let begin = rows
            .first()
            .map(|row| row.at)
            .into_iter()
            .chain(profiles.first().map(profile_at))
            .min();
        let (mut store, _) = Store::open(directory.path(), LIMITS, begin.unwrap_or(0))?;
        let mut batches: Vec<Batch> = Vec::new();
        for rows in rows.chunks(ROWS) {
            batches.push(Batch {
                at: rows.last().map_or(0, |row| row.at),
                rows: rows.iter().map(|row| (target.shared(), row.clone())).collect(),
                ..Batch::default()
            });
        }
        batches.extend(profiles.into_iter().map(|snapshot| Batch {
            at: profile_at(&snapshot),
            profiles: vec![ProfileRecord {
                tier: Tier::Profiles,
                service: service.into(),
                snapshot,
                stacks: Arc::clone(&stacks),
            }],
            ..Batch::default()
        }));
        batches.sort_by_key(|batch| batch.at);
        for batch in &batches {
            store.apply(batch);
        }
        store.close()?;
        Ok(Self {
            store,
            _directory: directory,
        })
    }

    /// A reader of it.
    pub fn history(&self) -> History {
        self.store.history()
    }
}
