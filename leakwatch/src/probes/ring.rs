//! Drains one ring buffer: waits until the kernel says that there are records, decodes and passes them on.
//!
//! Records that can wait are drained in batches: the kernel wakes a reader that has caught up for every record, and a
//! machine that builds software ends hundreds of processes per second; while a batch gathers, it wakes nobody.
//!
//! When the receiver is slow the drain waits for it; the ring then fills up and the kernel side counts what finds no room.

use super::ProbeEvent;
use super::loss::Malformed;
use aya::maps::MapData;
use aya::maps::RingBuf;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::mpsc::Sender;
use tokio::time::sleep;

/// Runs until the receiver is dropped. After the first record of a batch it lets others gather for `gather`.
pub(super) async fn drain<D, E>(
    mut ring: AsyncFd<RingBuf<MapData>>,
    malformed: Arc<Malformed>,
    events: Sender<ProbeEvent>,
    gather: Duration,
    mut decode: D,
) -> io::Result<()>
where
    D: FnMut(&[u8]) -> Result<Option<ProbeEvent>, E>,
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
                Err(_) => malformed.count_one(),
            }
        }
        ready.clear_ready();
    }
}
