//! What it has cost so far to look which goroutines nobody can wake.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

static COUNT: AtomicU64 = AtomicU64::new(0);
static NANOSECONDS: AtomicU64 = AtomicU64::new(0);

/// One look more.
pub fn add(took: Duration) {
    COUNT.fetch_add(1, Ordering::Relaxed);
    NANOSECONDS.fetch_add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// How many there were, and their processor time.
pub fn total() -> (u64, Duration) {
    (
        COUNT.load(Ordering::Relaxed),
        Duration::from_nanos(NANOSECONDS.load(Ordering::Relaxed)),
    )
}
