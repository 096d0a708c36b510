//! What keeps a detector from certainty that something grows. A confidence is one minus the sum of doubts. See
//! `docs/detectors/confidence.md`.

/// Doubt from the time watched is (this / time) squared. A bounded cache may take any time to fill, so it never falls
/// exponentially.
const TIME_SECONDS: f64 = 18.0;
/// The same when the limit ends the growth: a cache would have to be bounded above the limit, or the program would have to be loading
/// still.
const TIME_SECONDS_TO_LIMIT: f64 = 8.0;
/// Doubt whether this run is like the one before.
pub(super) const BEFORE: f64 = 0.03;
/// Growth in the second half relative to the first below which it may be something that fills: an exponential with a time
/// constant of the whole observation has 0.61.
pub(super) const LEAST_ACCELERATION: f64 = 0.7;

/// Profiles that differ, and the time that they span: below either, growth cannot be told from a burst.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Least {
    pub(super) observations: usize,
    pub(super) seconds: f64,
}

impl Least {
    /// Two differences in a row are the least that can be called going on.
    const USUAL: Self = Self {
        observations: 3,
        seconds: 25.0,
    };
    /// A run that was killed shows growth with fewer when its memory grew as well; two profiles of a hurried schedule span 4 s.
    pub(super) const KILLED: Self = Self {
        observations: 2,
        seconds: 4.0,
    };

    /// Of a process that is killed at this instant or not.
    pub(super) const fn of(dying: bool) -> Self {
        if dying { Self::KILLED } else { Self::USUAL }
    }

    /// Whether there are too few profiles, or they span too little time.
    pub(super) fn is_missed(self, observations: usize, seconds: f64) -> bool {
        observations < self.observations || seconds < self.seconds
    }
}

/// Whether growth watched for `seconds` is more than a burst.
pub(super) fn time(seconds: f64) -> f64 {
    (TIME_SECONDS / seconds).powi(2)
}

/// The same when nothing but the limit can end it.
pub(super) fn time_to_limit(seconds: f64) -> f64 {
    (TIME_SECONDS_TO_LIMIT / seconds).powi(2)
}

/// Whether so few observations show it.
pub(super) fn observations(seen: f64) -> f64 {
    0.5_f64.powf(seen)
}
