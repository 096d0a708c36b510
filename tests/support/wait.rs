//! Waiting for a condition, with a deadline. The only place that sleeps.

use anyhow::Result;
use anyhow::bail;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

const PAUSE: Duration = Duration::from_millis(100);

/// Makes every wait, now and later, end with an error, so that guards are dropped in order. For signal handlers.
pub fn interrupt() {
    INTERRUPTED.store(true, Ordering::SeqCst);
}

/// Polls `probe` until it answers `Some`, fails, or the deadline passes. `what` completes the sentence "waited for ...".
pub fn wait_until<T>(what: &str, deadline: Duration, mut probe: impl FnMut() -> Result<Option<T>>) -> Result<T> {
    wait_regardless(what, deadline, || {
        if INTERRUPTED.load(Ordering::SeqCst) {
            bail!("interrupted while waiting for {what}");
        }
        probe()
    })
}

/// The same for cleaning up, which an interrupt must not cut short.
pub(crate) fn wait_regardless<T>(
    what: &str,
    deadline: Duration,
    mut probe: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(found) = probe()? {
            return Ok(found);
        }
        if start.elapsed() > deadline {
            bail!("waited {:.0} s in vain for {what}", deadline.as_secs_f64());
        }
        pause();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "a poll needs a pause; every caller has a deadline"
)]
fn pause() {
    std::thread::sleep(PAUSE);
}
