//! Marginal retention of the place: how much of what it allocates more it also holds more. Constant: a leak, or a cache that is not
//! full; falling: a cache that fills up; nothing: entries are replaced.

use crate::detect::facts::Facts;
use crate::format;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::StackId;
use crate::odds::growth::Growth;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// Bytes that one sample of a Go heap stands for (`runtime.MemProfileRate`), and samples in a half from which on it is trusted.
const SAMPLE: f64 = 524_288.0;
const ENOUGH_SAMPLES: f64 = 10.0;
/// Retention in the second half relative to the first: constant from, and falling below.
const CONSTANT: f64 = 0.8;
const FALLING: f64 = 0.6;
/// A place that keeps less of what it allocates is replaced, or keeps a little of much: neither says anything.
const LEAST_KEPT: f64 = 0.5;
/// And one that kept before what it does not keep now is full.
const FULL: f64 = 0.2;

#[expect(
    clippy::cast_precision_loss,
    reason = "a part is computed; the rounding starts at 8 PiB"
)]
pub(super) fn row(facts: &Facts<'_>, growth: &Growth) -> Option<OddsRow> {
    let profile = growth.profile.filter(|profile| !profile.is_of_capture())?;
    let heap = facts.trend(ProfileType::Heap)?;
    let mut sites = heap.sites.iter();
    let site = match profile {
        ProfileType::Heap => sites.find(|site| Some(site.stack) == growth.stack)?,
        _ => sites.next()?,
    };
    let stack = site.stack;
    let snapshots: Vec<&Snapshot> = window::snapshots(facts.history, ProfileType::Heap, facts.now).collect();
    let (first, last) = (snapshots.first()?, snapshots.last()?);
    let (at_first, at_last) = (value(first, stack), value(last, stack));
    let allocated = at_last.alloc_space.saturating_sub(at_first.alloc_space) as f64;
    let half = at_first.alloc_space as f64 + allocated / 2.0;
    let middle = snapshots
        .iter()
        .find(|snapshot| value(snapshot, stack).alloc_space as f64 >= half)?;
    let at_middle = value(middle, stack);
    let kept = |from: &StackValue, to: &StackValue| {
        let allocated = to.alloc_space.saturating_sub(from.alloc_space) as f64;
        let kept = to.inuse_space.saturating_sub(from.inuse_space) as f64;
        (allocated > 0.0).then_some((kept / allocated, allocated / SAMPLE))
    };
    let (early, early_samples) = kept(&at_first, &at_middle)?;
    let (late, late_samples) = kept(&at_middle, &at_last)?;
    let trusted = (early_samples.min(late_samples) / ENOUGH_SAMPLES).min(1.0);
    // What the halves of few samples differ by without meaning.
    let chance = (1.0 / early_samples.max(1.0) + 1.0 / late_samples.max(1.0)).sqrt();
    let constancy = late / early.max(f64::MIN_POSITIVE) + chance;
    let (claim, weight) = if early >= LEAST_KEPT && late <= FULL {
        ("kept what it allocated before, and does not any more", -2.5)
    } else if early >= LEAST_KEPT && constancy < FALLING {
        ("keeps less and less of what it allocates", -2.0)
    } else if late.max(early) >= LEAST_KEPT {
        let part = ((constancy - FALLING) / (CONSTANT - FALLING)).clamp(0.0, 1.0);
        ("keeps as much of what it allocates as before", 2.2 * part)
    } else {
        return None;
    };
    Some(OddsRow::new(
        Family::Retention,
        format!(
            "{} {claim}: {} in the second half, {} in the first",
            format::call_site(&site.frame),
            format::percent(late),
            format::percent(early)
        ),
        late,
        "ratio",
        weight * trusted,
    ))
}

fn value(snapshot: &Snapshot, stack: StackId) -> StackValue {
    snapshot.values.get(stack).unwrap_or_default()
}
