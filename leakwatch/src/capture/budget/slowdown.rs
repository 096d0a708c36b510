//! The slowdown factor: how fast a program works while the probes are attached, relative to the rest of the time. A program that uses all the
//! processor time it can get, or serves clients that wait for each answer, does less then, and a second with probes stands for more
//! than a second.
//!
//! Measured by how often the program reads and writes, where it does so often enough; else by the processor time that it uses by itself,
//! which is known as well as the cost of a hit is.

use std::time::Duration;

/// Reads and writes with the probes attached from which a rate is known to some per cent.
const ENOUGH_CALLS: f64 = 1_000.0;
/// A program that uses less than this share of a processor is as fast as ever.
const BUSY: f64 = 0.5;
/// With the probes and without, for as long at least: the kernel tells processor time in steps of 10 ms.
const KNOWN: Duration = Duration::from_millis(100);
/// Nobody would believe less.
const LEAST: f64 = 0.2;

/// What a program has done since a capture began.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::capture) struct Done {
    /// Seconds of processor time, without what the probes have cost.
    pub(in crate::capture) own: f64,
    /// System calls that read or write.
    pub(in crate::capture) calls: u64,
}

/// With the probes attached, and without.
#[derive(Clone, Debug, Default)]
pub(in crate::capture) struct Slowdown {
    at: Duration,
    done: Done,
    attached: Part,
    alone: Part,
}

#[derive(Clone, Copy, Debug, Default)]
struct Part {
    time: Duration,
    own: f64,
    calls: f64,
}

impl Slowdown {
    /// What was done until an instant of the capture, since the last one with the probes attached, or not.
    pub(in crate::capture) fn record(&mut self, at: Duration, done: Done, attached: bool) {
        let part = if attached { &mut self.attached } else { &mut self.alone };
        part.time += at.saturating_sub(self.at);
        part.own += done.own - self.done.own;
        part.calls += float(done.calls.saturating_sub(self.done.calls));
        (self.at, self.done) = (at, done);
    }

    /// The speed with probes, as a part of that without; one where nothing is known.
    pub(in crate::capture) fn factor(&self) -> f64 {
        let (attached, alone) = (self.attached, self.alone);
        if attached.time < KNOWN || alone.time < KNOWN {
            return 1.0;
        }
        let factor = if attached.calls >= ENOUGH_CALLS && alone.calls >= ENOUGH_CALLS {
            attached.rate(attached.calls) / alone.rate(alone.calls)
        } else if alone.rate(alone.own) >= BUSY {
            attached.rate(attached.own) / alone.rate(alone.own)
        } else {
            1.0
        };
        factor.clamp(LEAST, 1.0)
    }
}

impl Part {
    fn rate(&self, number: f64) -> f64 {
        number / self.time.as_secs_f64()
    }
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
const fn float(number: u64) -> f64 {
    number as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_has_no_time_left_is_slower_while_it_is_probed() {
        // Every tenth second with probes. Of a second, what it uses by itself; its reads and writes.
        for (what, (own_attached, own_alone), (calls_attached, calls_alone), expected) in [
            ("no time left", (0.6, 1.0), (0, 0), 0.6),
            ("time to spare", (0.3, 0.31), (0, 0), 1.0),
            ("clients that wait", (0.4, 0.8), (7_000, 10_000), 0.7),
            ("clients that do not", (0.2, 0.3), (9_990, 10_000), 0.999),
            ("few calls", (0.9, 1.0), (1, 10), 0.9),
            ("hardly any of it its own", (0.01, 1.0), (0, 0), LEAST),
            ("more than ever", (1.2, 1.0), (0, 0), 1.0),
        ] {
            let mut slowdown = Slowdown::default();
            let mut done = Done::default();
            for second in 1..=100_u32 {
                let attached = second % 10 == 0;
                done.own += if attached { own_attached } else { own_alone };
                done.calls += if attached { calls_attached } else { calls_alone };
                slowdown.record(Duration::from_secs(second.into()), done, attached);
            }
            assert!(
                (slowdown.factor() - expected).abs() < 1e-6,
                "{what}: {}",
                slowdown.factor()
            );
        }
        assert!((Slowdown::default().factor() - 1.0).abs() < f64::EPSILON);
    }
}
