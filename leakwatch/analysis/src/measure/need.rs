//! What a program steadily needs, and the limit that leaves room for it. Source: history; must not judge.
//!
//! All runs that are remembered count, so that a recommendation does not jump with every collection or restart.

use crate::format;
use crate::history::PastWindow;
use crate::history::TargetHistory;
use crate::history::window;
use crate::measure::go_memory::outside_of_heap;
use crate::measure::pacing::Pacing;
use crate::measure::runs::Runs;
use crate::measure::site_trend;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;
use crate::stats::robust;

/// Room above the need: what the Vertical Pod Autoscaler of Kubernetes adds (`recommendation-margin-fraction`).
const MARGIN: f64 = 1.15;
/// A program that was killed wanted more than its limit, but not how much more: as much as the Vertical Pod Autoscaler assumes
/// (`oom-bump-up-ratio`).
const CUT_OFF: f64 = 1.2;
/// A program that was killed before it showed its need gets this part of its limit to show it in.
const UNSEEN: f64 = 2.0;
/// Recommended limits are multiples of this, or of the next power of two above this part of them.
const GRAIN: (f64, f64) = (4.0 * 1_048_576.0, 0.02);

/// The need and how it is derived.
#[derive(Clone, Debug, PartialEq)]
pub struct Need {
    /// Bytes that have to fit below the limit; none when no run was long enough to show it.
    pub bytes: Option<f64>,
    /// A limit that fits.
    pub limit: Bytes,
    /// How `limit` was found, as a sentence.
    pub derivation: String,
}

/// Derives the need of a program with a `limit`.
pub fn of(history: &TargetHistory, runs: &Runs, now: Timestamp, limit: f64) -> Need {
    // What a run held most of the time: neither in a burst nor while it loaded.
    let held = site_trend::live_heaps(history, now)
        .into_iter()
        .filter_map(|mut run| robust::median(&mut run));
    let live = held.max_by(f64::total_cmp);
    let pacing = Pacing::of(history, now);
    let heap = live.and_then(|live| pacing.largest(live));
    if runs.hide_need() {
        let seen = heap.unwrap_or(0.0) * MARGIN;
        let recommended = round_up(seen.max(limit * UNSEEN));
        return Need {
            bytes: None,
            limit: recommended,
            derivation: format!(
                "killed after {} each time, so what it needs was never seen; twice the limit will show it",
                format::duration(runs.typical_seconds)
            ),
        };
    }
    let highest = highest_level(history, now);
    let mut candidates: Vec<(f64, String)> = Vec::new();
    if let (Some(live), Some(heap)) = (live, heap) {
        let outside = outside_of_heap(highest);
        candidates.push((
            heap + outside,
            format!(
                "{} of live heap, with garbage up to {} before it is collected ({}), and up to {} outside the heap",
                format::bytes(live),
                format::bytes(heap),
                pacing.words(),
                format::bytes(outside)
            ),
        ));
    }
    if runs.killed > 0 {
        candidates.push((
            CUT_OFF * limit,
            format!(
                "{} more than the limit it was killed at",
                format::percent(CUT_OFF - 1.0)
            ),
        ));
    }
    candidates.push((highest.max(limit), "the highest level seen".to_owned()));
    let largest = candidates.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    let (bytes, from) = largest.unwrap_or((limit, String::new()));
    let recommended = round_up(bytes * MARGIN);
    Need {
        bytes: Some(bytes),
        limit: recommended,
        derivation: format!(
            "{} ({from}) and {} of room make {recommended}",
            format::bytes(bytes),
            format::percent(MARGIN - 1.0)
        ),
    }
}

/// The highest level of all runs under this limit.
fn highest_level(history: &TargetHistory, now: Timestamp) -> f64 {
    let peaks = window::peaks(history, now);
    let same_limit = |past: &&PastWindow| past.limit == history.limit();
    let past = history.past_windows.iter().filter(same_limit);
    past.filter_map(|past| Some(past.peak?.as_f64()))
        .chain(peaks.iter().map(|point| point.1))
        .fold(0.0, f64::max)
}

fn round_up(bytes: f64) -> Bytes {
    let mut grain = GRAIN.0;
    while grain < bytes * GRAIN.1 {
        grain *= 2.0;
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the cast of a float saturates"
    )]
    Bytes(((bytes / grain).ceil() * grain) as u64)
}
