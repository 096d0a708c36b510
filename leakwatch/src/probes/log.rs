//! What the eBPF programs log: each thing they refuse, as it is counted as a loss. Off unless `RUST_LOG` has `leakwatch_ebpf=debug`: the level is a
//! constant of the object that is set before its programs are verified, so that the kernel leaves the logging out of them.
//!
//! Bounded twice: the kernel side drops what its ring has no room for, and of a second some lines are shown and the rest are counted.

use super::allocator::loss::loss_name;
use super::error::ProbeError;
use super::hook::Draining;
use super::loss;
use aya::Ebpf;
use aya::EbpfLoader;
use aya_log::EbpfLogger;
use leakwatch_common::loss::LossReason;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;
use tokio::io::unix::AsyncFd;

/// The ring of aya's log.
const RING: &str = "AYA_LOGS";
/// Its size while nobody reads it: a page.
const UNUSED_BYTES: u32 = 4096;
const OFF: u8 = 0;
const DEBUG: u8 = 4;
/// Lines shown of a second.
const LINES: u64 = 20;

/// Reads what the programs of an object log.
pub(super) type Logger = EbpfLogger<Lines>;

/// Sets the level of the programs of an object that is about to be loaded.
pub(super) fn set_level(loader: &mut EbpfLoader<'_>) {
    loader.override_global(aya_log::LEVEL, if is_on() { &DEBUG } else { &OFF }, true);
    if !is_on() {
        loader.map_max_entries(RING, UNUSED_BYTES);
    }
}

/// What reads the log of an object, if there is one.
pub(super) fn of(ebpf: &mut Ebpf) -> Option<Logger> {
    if !is_on() {
        return None;
    }
    EbpfLogger::init_with_logger(ebpf, Lines::default())
        .inspect_err(|error| tracing::warn!(%error, "what the eBPF programs log is not shown"))
        .ok()
}

/// Shows it as it comes.
#[expect(
    deprecated,
    reason = "the successor is an unsafe function; its contract, a descriptor that stays the same, is kept by EbpfLogger"
)]
pub(super) fn drain(logger: Logger) -> Result<Draining, ProbeError> {
    let mut logger = AsyncFd::new(logger).map_err(|source| ProbeError::Wait { name: RING, source })?;
    Ok(Box::pin(async move {
        loop {
            let mut ready = logger.readable_mut().await?;
            ready.get_inner_mut().flush();
            ready.clear_ready();
        }
    }))
}

fn is_on() -> bool {
    tracing::enabled!(target: "leakwatch_ebpf", tracing::Level::DEBUG)
}

/// Hands lines over to the daemon's own log, not too many at a time.
#[derive(Debug, Default)]
pub(super) struct Lines(Mutex<Second>);

/// What was shown since a second began.
#[derive(Debug, Default)]
struct Second {
    began: Option<Instant>,
    lines: u64,
}

impl Second {
    /// Whether there is room for another line; and how many were left out of the second that has ended.
    fn next(&mut self, now: Instant) -> (bool, u64) {
        let mut left_out = 0;
        if self
            .began
            .is_none_or(|began| now.duration_since(began) >= Duration::from_secs(1))
        {
            left_out = self.lines.saturating_sub(LINES);
            *self = Self {
                began: Some(now),
                lines: 0,
            };
        }
        self.lines += 1;
        (self.lines <= LINES, left_out)
    }
}

impl log::Log for Lines {
    fn enabled(&self, _metadata: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        let mut second = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (fits, left_out) = second.next(Instant::now());
        drop(second);
        if left_out > 0 {
            tracing::debug!(target: "leakwatch_ebpf", "{left_out} lines more");
        }
        if fits {
            tracing::debug!(target: "leakwatch_ebpf", "{}", named(&record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// The programs know reasons by number: a line that begins with one begins with its name instead.
fn named(line: &str) -> String {
    let name = |rest: &str, of: fn(u32) -> Option<&'static str>| {
        let (number, rest) = rest.split_once(':')?;
        Some(format!("{}:{rest}", of(number.parse().ok()?)?))
    };
    let hook = |number| {
        LossReason::ALL
            .into_iter()
            .find(|reason| reason.index() == number)
            .map(loss::name)
    };
    let native = line.strip_prefix("native loss ").and_then(|rest| name(rest, loss_name));
    native
        .or_else(|| name(line.strip_prefix("loss ")?, hook))
        .unwrap_or_else(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_second_some_lines_are_shown_and_the_rest_are_counted() {
        let (mut second, start) = (Second::default(), Instant::now());
        let shown = (0..100).filter(|_| second.next(start) == (true, 0)).count();
        assert_eq!(shown, 20);
        assert_eq!(second.next(start + Duration::from_secs(1)), (true, 80));
        assert_eq!(second.next(start + Duration::from_secs(2)), (true, 0));
    }

    #[test]
    fn reasons_have_their_names() {
        for (line, expected) in [
            ("loss 0: 1 in process 7", "oom_ring_full: 1 in process 7"),
            ("loss 99: 1 in process 7", "loss 99: 1 in process 7"),
            ("native loss 2: process 7", "native_stack_ring_full: process 7"),
            ("anything: else", "anything: else"),
        ] {
            assert_eq!(named(line), expected);
        }
    }
}
