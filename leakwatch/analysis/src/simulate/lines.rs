//! A straight line stays straight: constant rates, with noise and with a sawtooth, from one minute to two weeks, through all thinning
//! of the history.

use super::MIB;
use super::process_facts;
use super::random::Random;
use super::sample;
use super::target;
use crate::history::TargetHistory;
use crate::measure::motion::MemoryTrend;
use crate::measure::motion::Motion;
use crate::model::units::Timestamp;
use std::time::Duration;

/// Instants at which a line is asked for: each this much later than the one before.
const NEXT: f64 = 1.3;
const TWO_WEEKS: f64 = 1_209_600.0;

struct Line {
    rate: f64,
    /// Standard deviation in bytes.
    noise: f64,
    /// Height and period of the sawtooth.
    saw: (f64, f64),
    interval: f64,
}

impl Line {
    /// Growth after so many seconds is to be seen through noise and sawtooth.
    fn is_clear(&self, seconds: f64) -> bool {
        let grown = self.rate * seconds;
        grown >= 2.4 * MIB && grown >= 12.0 * self.noise + 3.0 * self.saw.0
    }
}

/// What was wrong with a line of `seconds`.
fn watch(line: &Line, seconds: f64, seed: u64) -> Vec<String> {
    let start = Timestamp::from_unix_seconds(1_700_000_000);
    let mut history = TargetHistory::new(target(start), start);
    let mut random = Random::new(seed);
    let mut wrong = Vec::new();
    let mut next = 60.0;
    let mut t = 0.0;
    while t < seconds {
        t += line.interval;
        let now = start.plus(Duration::from_secs_f64(t));
        let saw = line.saw.0 * (t / line.saw.1).fract();
        let level = 40.0 * MIB + line.rate * t + saw + line.noise * random.normal();
        let new = history.processes.is_empty().then(|| process_facts(100, start));
        let made = sample(&history, now, 100, new, level, 0.0, 0.0, None, 0);
        history.apply_sample(&made);
        if t < next {
            continue;
        }
        next *= NEXT;
        let memory = MemoryTrend::of(&history, now, false);
        let Some(trend) = &memory.trend else { continue };
        let told = memory.growth_rate().unwrap_or(0.0);
        let label = || {
            format!(
                "{:.0} B/s noise {:.0} saw {:?} at {t:.0}: {:?} {told:.0} {trend:?}",
                line.rate, line.noise, line.saw, memory.motion
            )
        };
        if !line.is_clear(t * 0.8) {
            continue;
        }
        let near = (told / line.rate - 1.0).abs() <= 0.03;
        let within = trend.slope.low <= line.rate && line.rate <= trend.slope.high;
        if memory.motion != Motion::Growing || !(near || within) {
            wrong.push(label());
        }
    }
    wrong
}

#[test]
fn a_straight_line_stays_straight_from_a_minute_to_two_weeks() {
    let mut asked = 0;
    let mut wrong = Vec::new();
    for (index, rate) in [1e3, 3e4, 1e6, 5e7].into_iter().enumerate() {
        for noise in [0.0, 0.3 * MIB] {
            for saw in [(0.0, 60.0), (6.0 * MIB, 47.0), (20.0 * MIB, 1900.0)] {
                asked += 1;
                // What is kept of an amount ends at 16 TiB.
                let seconds = TWO_WEEKS.min(8e12 / rate);
                let line = Line {
                    rate,
                    noise,
                    saw,
                    interval: 5.0,
                };
                let seed = u64::try_from(index).unwrap() * 10 + asked;
                wrong.extend(watch(&line, seconds, seed));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {asked}: {:#?}", wrong.len(), wrong);
}
