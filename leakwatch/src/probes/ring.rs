//! Drains one ring buffer: waits until the kernel says that there are records, decodes and passes them on.
//!
//! Records that can wait are drained in batches: the kernel wakes a reader that has caught up for every record, and a
//! machine that builds software ends hundreds of processes per second; while a batch gathers, it wakes nobody.
//!
//! A record that cannot be decoded is counted as lost under its own reason. When the receiver is slow the drain waits for it; the ring then fills up and the kernel side counts what finds no room.

use super::decode::DecodeError;
use super::error::ProbeError;
use super::event::ProbeEvent;
use super::hook::Draining;
use super::hook::Ring;
use super::hook::Source;
use super::load;
use super::loss::RecordLosses;
use aya::maps::MapData;
use aya::maps::RingBuf;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// Takes a ring out of the object. After the first record of a batch its drain lets others gather for `gather`.
pub(super) fn drain<D>(source: &mut Source<'_>, ring: Ring, gather: Duration, decode: D) -> Result<Draining, ProbeError>
where
    D: FnMut(&[u8]) -> Result<Option<ProbeEvent>, DecodeError> + Send + 'static,
{
    let taken = take(source, ring)?;
    Ok(Box::pin(run(
        taken,
        Arc::clone(source.losses),
        source.events.clone(),
        gather,
        decode,
    )))
}

#[expect(
    deprecated,
    reason = "the successor is an unsafe function; its contract, a descriptor that stays the same, is kept by RingBuf"
)]
fn take(source: &mut Source<'_>, ring: Ring) -> Result<AsyncFd<RingBuf<MapData>>, ProbeError> {
    let taken: RingBuf<MapData> = load::take_map(source.ebpf, ring.map)?;
    AsyncFd::new(taken).map_err(|error| ProbeError::Wait {
        name: ring.map,
        source: error,
    })
}

async fn run<D>(
    mut ring: AsyncFd<RingBuf<MapData>>,
    losses: Arc<RecordLosses>,
    events: Sender<ProbeEvent>,
    gather: Duration,
    mut decode: D,
) -> io::Result<()>
where
    D: FnMut(&[u8]) -> Result<Option<ProbeEvent>, DecodeError>,
{
    loop {
        let mut ready = ring.readable_mut().await?;
        if !gather.is_zero() {
            sleep(gather).await;
        }
        while let Some(decoded) = ready.get_inner_mut().next().map(|record| decode(&record)) {
            match decoded {
                Ok(Some(event)) => {
                    if events.send(event).await.is_err() {
                        return Ok(());
                    }
                }
                Ok(None) => {}
                Err(error) => losses.undecodable(&error),
            }
        }
        ready.clear_ready();
    }
}
