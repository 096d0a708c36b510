//! Runs of a service that are kept.

use super::History;
use super::MAX_RECORD;
use crate::store::disk::codec::block;
use crate::store::disk::codec::frame::Entry;
use crate::store::disk::convert;
use crate::store::disk::kind;
use crate::store::disk::messages;
use crate::store::disk::partition::name::PartitionName;
use crate::store::disk::partition::name::Tier;
use crate::store::disk::partition::reader::PartitionReader;
use leakwatch_analysis::model::run::ServiceRun;
use leakwatch_analysis::model::units::Timestamp;
use prost::Message as _;

impl History {
    /// Runs of a service that have ended and are wanted, the one that started last first: those that lasted into a range, at most so many and those that
    /// started in the same millisecond as the last of them.
    pub fn runs(
        &self,
        service: &str,
        (from, to): (Timestamp, Timestamp),
        is_wanted: impl Fn(&ServiceRun) -> bool,
        at_most: usize,
    ) -> Vec<ServiceRun> {
        let (from, to) = (from.unix_millis(), to.unix_millis());
        let overlaps = |entry: &Entry| entry.kind == kind::RUN && entry.first <= to && entry.last >= from;
        let readers = self.run_partitions();
        let mut places = Vec::new();
        for (place, (partition, reader)) in readers.iter().enumerate() {
            match reader.entries(service, overlaps) {
                Ok(entries) => places.extend(entries.into_iter().map(|entry| (place, entry))),
                Err(error) => self.notice(*partition, &error),
            }
        }
        places.sort_unstable_by_key(|(place, entry)| std::cmp::Reverse((entry.first, *place, entry.offset)));
        let mut runs: Vec<ServiceRun> = Vec::new();
        for (place, entry) in places {
            let last = runs.last().map(|run| run.run.started_at.unix_millis());
            if runs.len() >= at_most && last.is_none_or(|last| entry.first < last) {
                break;
            }
            let Some((partition, reader)) = readers.get(place) else {
                continue;
            };
            match reader.decoded(&entry, |bytes| block::decompress(bytes, MAX_RECORD)) {
                Ok(bytes) => runs.extend(run_of(&bytes).filter(&is_wanted)),
                Err(error) => self.notice(*partition, &error),
            }
        }
        runs
    }

    fn run_partitions(&self) -> Vec<(Option<PartitionName>, PartitionReader)> {
        let (sealed, open) = self.0.files(Tier::Runs);
        let sealed = sealed
            .into_iter()
            .filter_map(|name| Some((Some(name), self.open(name)?)));
        let open = open
            .and_then(|open| PartitionReader::shared(&open).ok())
            .map(|reader| (None, reader));
        sealed.chain(open).collect()
    }
}

fn run_of(bytes: &[u8]) -> Option<ServiceRun> {
    convert::run_from(messages::Run::decode(bytes).ok()?)
}
