//! Drains the ring of what heap walks bring. It is large and nearly always empty: it is mapped into the daemon only while a walk is
//! under way, so that it does not count as the daemon's memory.

use super::walk::HeapWalks;
use crate::probes::error::ProbeError;
use crate::probes::event::ProbeEvent;
use crate::probes::hook::Draining;
use crate::probes::hook::Ring;
use crate::probes::hook::Source;
use crate::probes::load;
use crate::probes::loss::HEAP_WALK_ABANDONED;
use crate::probes::loss::RecordLosses;
use aya::maps::HashMap;
use aya::maps::Map;
use aya::maps::MapData;
use aya::maps::RingBuf;
use leakwatch_common::final_heap::GoroutineGroup;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use zerocopy::transmute;

/// A group as bytes, which is what the map gives.
type GroupBytes = [u8; size_of::<GoroutineGroup>()];
/// Goroutines of victims.
type Groups = HashMap<MapData, GroupBytes, u64>;

/// The map of the ring, not mapped.
struct UnmappedRing(Map);

impl UnmappedRing {
    /// `None` if the map is no ring.
    fn new(map: Map) -> Option<Self> {
        matches!(map, Map::RingBuf(_)).then_some(Self(map))
    }
}

impl AsRawFd for UnmappedRing {
    fn as_raw_fd(&self) -> RawFd {
        match &self.0 {
            Map::RingBuf(data) => data.fd().as_fd().as_raw_fd(),
            // Checked by `new`; no descriptor has this number.
            _ => -1,
        }
    }
}

/// Takes the ring and the groups out of the object.
pub(in crate::probes) fn drain(source: &mut Source<'_>, ring: Ring) -> Result<Draining, ProbeError> {
    Ok(Box::pin(run(
        take(source, ring)?,
        load::take_map(source.ebpf, "GOROUTINES")?,
        Arc::clone(source.losses),
        source.events.clone(),
        HeapWalks::new(source.clock, source.walk_bounds),
    )))
}

#[expect(
    deprecated,
    reason = "the successor is an unsafe function; its contract, a descriptor that stays the same, is kept by UnmappedRing"
)]
fn take(source: &mut Source<'_>, ring: Ring) -> Result<AsyncFd<UnmappedRing>, ProbeError> {
    let name = ring.map;
    let taken = source.ebpf.take_map(name).and_then(UnmappedRing::new);
    AsyncFd::new(taken.ok_or(ProbeError::NoSuchMap { name })?).map_err(|source| ProbeError::Wait { name, source })
}

/// Runs until the receiver is dropped.
async fn run(
    ring: AsyncFd<UnmappedRing>,
    mut groups: Groups,
    losses: Arc<RecordLosses>,
    events: Sender<ProbeEvent>,
    mut walks: HeapWalks,
) -> io::Result<()> {
    loop {
        ring.readable().await?.retain_ready();
        let mut mapped = RingBuf::try_from(&ring.get_ref().0).map_err(io::Error::other)?;
        loop {
            let mut ready = ring.readable().await?;
            loop {
                let taken = match mapped.next() {
                    Some(record) => walks.take_in(&record, |pid| take_groups(&mut groups, pid)),
                    None => break,
                };
                match taken {
                    Ok(Some(heap)) => {
                        if events.send(ProbeEvent::FinalHeap(Box::new(heap))).await.is_err() {
                            return Ok(());
                        }
                    }
                    Ok(None) => {}
                    Err(error) => losses.undecodable(&error),
                }
            }
            let abandoned = walks.take_abandoned();
            if abandoned > 0 {
                losses.count(HEAP_WALK_ABANDONED, abandoned);
            }
            ready.clear_ready();
            drop(ready);
            if !walks.is_open() {
                break;
            }
        }
    }
}

/// Takes the groups of one victim out of the map.
fn take_groups(groups: &mut Groups, pid: u32) -> Vec<(GoroutineGroup, u64)> {
    let of_victim = |key: &GroupBytes| {
        let group: GoroutineGroup = transmute!(*key);
        group.pid == pid
    };
    let found: Vec<(GroupBytes, u64)> = groups
        .iter()
        .filter_map(Result::ok)
        .filter(|(key, _)| of_victim(key))
        .collect();
    for (key, _) in &found {
        // Taken out so that there is room for the next victim; there is nobody else who could have done it.
        drop(groups.remove(key));
    }
    found.into_iter().map(|(key, count)| (transmute!(key), count)).collect()
}
