//! Drains the ring of what walks bring. It is large and nearly always empty: it is mapped into the daemon only while a walk is
//! under way, so that it does not count as the daemon's memory.

use super::ProbeEvent;
use super::death::Deaths;
use super::loss::Malformed;
use aya::maps::HashMap;
use aya::maps::Map;
use aya::maps::MapData;
use aya::maps::RingBuf;
use leakwatch_common::death::GoroutineGroup;
use std::io;
use std::os::fd::AsFd as _;
use std::os::fd::AsRawFd;
use std::os::fd::RawFd;
use std::sync::Arc;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use zerocopy::transmute;

/// A group as bytes, which is what the map gives.
pub(super) type GroupBytes = [u8; size_of::<GoroutineGroup>()];
/// Goroutines of victims.
pub(super) type Groups = HashMap<MapData, GroupBytes, u64>;

/// The map of the ring, not mapped.
pub(super) struct DeathRing(Map);

impl DeathRing {
    /// `None` if the map is no ring.
    pub(super) fn new(map: Map) -> Option<Self> {
        matches!(map, Map::RingBuf(_)).then_some(Self(map))
    }
}

impl AsRawFd for DeathRing {
    fn as_raw_fd(&self) -> RawFd {
        match &self.0 {
            Map::RingBuf(data) => data.fd().as_fd().as_raw_fd(),
            // Checked by `new`; no descriptor has this number.
            _ => -1,
        }
    }
}

/// Runs until the receiver is dropped.
pub(super) async fn drain(
    ring: AsyncFd<DeathRing>,
    mut groups: Groups,
    malformed: Arc<Malformed>,
    events: Sender<ProbeEvent>,
    mut deaths: Deaths,
) -> io::Result<()> {
    loop {
        ring.readable().await?.retain_ready();
        let mut mapped = RingBuf::try_from(&ring.get_ref().0).map_err(io::Error::other)?;
        loop {
            let mut ready = ring.readable().await?;
            loop {
                let taken = match mapped.next() {
                    Some(record) => deaths.take_in(&record, |pid| take_groups(&mut groups, pid)),
                    None => break,
                };
                match taken {
                    Ok(Some(death)) => {
                        if events.send(ProbeEvent::Death(Box::new(death))).await.is_err() {
                            return Ok(());
                        }
                    }
                    Ok(None) => {}
                    Err(_) => malformed.count_one(),
                }
            }
            ready.clear_ready();
            drop(ready);
            if !deaths.is_open() {
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
