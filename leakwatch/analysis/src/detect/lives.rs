//! What earlier lives of the same target say: those that ended by an OOM kill, how long they were and how they grew.
//! Nothing is computed across lives; each is looked at on its own.

use crate::history::PastWindow;
use crate::history::TargetHistory;
use crate::history::WindowEnd;
use crate::stats;
use crate::window;

/// Newest lives that are looked at.
const MAX_LIVES: usize = 4;
/// A life shorter than this may have been killed while it was still starting up: its growth says nothing.
const LEAST_LIFE_SECONDS: f64 = 32.0;

/// This part of the highest level counts as near it. A straight line from zero is there for 0.15 of the time.
const NEAR_PEAK: f64 = 0.85;
/// At most this part of the time near the peak: climbed until it was killed.
const CLIMB_PART: f64 = 0.4;
/// At least this part of the time near the peak: lived on a plateau.
const PLATEAU_PART: f64 = 0.55;

/// Earlier lives that ended by an OOM kill.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Lives {
    /// How many are remembered.
    pub killed: usize,
    /// Median of their length in seconds.
    pub typical_seconds: f64,
    /// Seconds of those that grew all along until the kill, start-up being over.
    pub growing_seconds: f64,
    /// Of the newest lives, how many went up fast and stayed there until the kill.
    pub levelled: usize,
}

impl Lives {
    /// Looks at the past windows.
    pub fn of(history: &TargetHistory) -> Self {
        let killed = || {
            history
                .past_windows
                .iter()
                .filter(|past| past.end == WindowEnd::OomKill)
        };
        let mut lengths: Vec<f64> = killed().map(length).collect();
        let mut lives = Self {
            killed: lengths.len(),
            typical_seconds: stats::median(&mut lengths).unwrap_or(0.0),
            ..Self::default()
        };
        for past in killed().rev().take(MAX_LIVES) {
            match time_near_peak(history, past) {
                Some(part) if part <= CLIMB_PART && length(past) >= LEAST_LIFE_SECONDS => {
                    lives.growing_seconds += length(past);
                }
                Some(part) if part >= PLATEAU_PART => lives.levelled += 1,
                _ => {}
            }
        }
        lives
    }

    /// Whether none was killed.
    pub const fn is_empty(&self) -> bool {
        self.killed == 0
    }

    /// Whether the typical life ended before start-up can be told from growth.
    pub fn are_short(&self) -> bool {
        self.killed > 0 && self.typical_seconds < LEAST_LIFE_SECONDS
    }
}

fn length(past: &PastWindow) -> f64 {
    past.to.since(past.from).as_secs_f64()
}

/// Part of a life, start-up left out, that was spent near the highest level it reached.
fn time_near_peak(history: &TargetHistory, past: &PastWindow) -> Option<f64> {
    let start_up = window::start_up_end(past.from, past.to);
    let peak = past.peak?.as_f64();
    let reached = history
        .points
        .since(start_up)
        .iter()
        .take_while(|point| point.at <= past.to)
        .find(|point| {
            point
                .unreclaimable
                .is_some_and(|level| level.as_f64() >= peak * NEAR_PEAK)
        })?;
    let life = past.to.seconds_from(start_up);
    (life > 0.0).then(|| past.to.seconds_from(reached.at) / life)
}
