//! A leak that was claimed stands while nothing contradicts it: that evidence is not seen at the moment (a pause of the load, a replica
//! that was restarted, profiles that were thinned) takes nothing back. What refutes it is that the place gave most of it back, or did as
//! much as made it grow without growing.

use crate::detect::facts::Facts;
use crate::format;
use crate::history::Claim;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::model::profile::Snapshot;
use crate::model::profile::StackValue;
use crate::model::stack::Frame;
use crate::model::stack::StackId;
use crate::odds::row::Family;
use crate::odds::row::OddsRow;

/// A place that holds no more than this part of the most it held since it was claimed gave it back,
const FREED: f64 = 0.5;
/// if that was so much at least: samples of a heap, or goroutines. The claim of a run before holds from when nothing is there yet.
const LEAST_HELD: f64 = 4.0;
/// The newest part of all that the place ever allocated, in which it must keep a part of what it kept before.
const NEWEST: f64 = 0.2;
const KEEPS: f64 = 0.35;
/// Bytes that one sample of a Go heap stands for (`runtime.MemProfileRate`).
const SAMPLE: f64 = 524_288.0;
/// Goroutines, of which no allocation is known: of the whole heap's work the newest third without one more in twenty.
const NEWEST_WORK: f64 = 0.33;
const RISES: f64 = 0.05;

/// What was known when the leak was claimed, as far as the rows of now neither repeat nor contradict it.
pub(super) fn row(claim: &Claim, rows: &[OddsRow]) -> Option<OddsRow> {
    let now: f64 = rows.iter().map(|row| row.weight).sum();
    let against: f64 = rows
        .iter()
        .filter(|row| row.family != Family::Prior)
        .map(|row| row.weight.min(0.0))
        .sum();
    let missing = claim.log_odds + against - now;
    (missing > 0.0).then(|| {
        OddsRow::new(
            Family::Claim,
            "what spoke for it when it was claimed is not seen at the moment, and not contradicted".to_owned(),
            missing,
            "ratio",
            missing,
        )
    })
}

/// What contradicts the claim by itself, if anything does.
pub fn refuted(facts: &Facts<'_>, claim: &Claim) -> Option<String> {
    let profile = claim.profile?;
    if profile.is_of_capture() {
        let settled = facts.memory.is_steady();
        return settled.then(|| "memory does not grow any more".to_owned());
    }
    let place = format::call_site(&claim.culprit.frame);
    let snapshots: Vec<&Snapshot> = window::snapshots(facts.history, profile, facts.now).collect();
    let stack = stack(facts, &snapshots, &claim.culprit.stack)?;
    let held: Vec<f64> = snapshots
        .iter()
        .map(|snapshot| amount(profile, value(snapshot, stack)))
        .collect();
    let newest = *held.last()?;
    let since = snapshots
        .partition_point(|snapshot| snapshot.at < claim.at)
        .saturating_sub(1);
    let most = held.iter().skip(since).copied().fold(0.0, f64::max);
    let least = match profile {
        ProfileType::Heap => LEAST_HELD * SAMPLE,
        _ => LEAST_HELD,
    };
    if most >= least && newest <= most * FREED {
        return Some(format!("{place} gave back most of what it kept"));
    }
    let stopped = match profile {
        ProfileType::Heap => heap_levelled(&snapshots, stack),
        _ => count_levelled(facts, &snapshots, &held),
    };
    stopped.then(|| format!("{place} goes on as before and keeps nothing more"))
}

/// Whether the place allocated as much as ever for a while and kept hardly any of it.
fn heap_levelled(snapshots: &[&Snapshot], stack: StackId) -> bool {
    let at = |snapshot: &Snapshot| {
        let value = value(snapshot, stack);
        (bytes(value.alloc_space), bytes(value.inuse_space))
    };
    let (Some(first), Some(last)) = (snapshots.first(), snapshots.last()) else {
        return false;
    };
    let ((first_allocated, first_held), (allocated, held)) = (at(first), at(last));
    let from = allocated - (allocated - first_allocated) * NEWEST;
    let before = snapshots.iter().rev().find(|snapshot| at(snapshot).0 <= from);
    let Some((before_allocated, before_held)) = before.map(|snapshot| at(snapshot)) else {
        return false;
    };
    let (newly, earlier) = (allocated - before_allocated, before_allocated - first_allocated);
    if newly < SAMPLE || earlier < SAMPLE {
        return false;
    }
    // Two standard deviations of the samples in the newest part are read in favour of the claim.
    let chance = 2.0 / (newly / SAMPLE).sqrt();
    let (late, early) = ((held - before_held) / newly, (before_held - first_held) / earlier);
    early > 0.0 && late / early + chance < KEEPS
}

/// Whether goroutines did not become more while the program worked on.
fn count_levelled(facts: &Facts<'_>, snapshots: &[&Snapshot], held: &[f64]) -> bool {
    let work: Vec<(f64, f64)> = window::snapshots(facts.history, ProfileType::Heap, facts.now)
        .map(|heap| {
            (
                heap.at.seconds_from(facts.history.window_start),
                bytes(heap.total.alloc_space),
            )
        })
        .collect();
    let (Some(first), Some(last), Some(count_first), Some(count_last)) =
        (work.first(), work.last(), held.first(), held.last())
    else {
        return false;
    };
    // From the last profile before the newest third of the work: where all of that third came with the newest profile, nothing was seen in between.
    let from = last.1 - (last.1 - first.1) * NEWEST_WORK;
    let Some(then) = work.iter().rev().find(|point| point.1 <= from) else {
        return false;
    };
    let before = snapshots.partition_point(|snapshot| snapshot.at.seconds_from(facts.history.window_start) <= then.0);
    let at_then = before.checked_sub(1).and_then(|index| held.get(index));
    let more = at_then.map_or(f64::INFINITY, |at_then| count_last - at_then);
    last.1 > first.1 && more < (count_last - count_first) * RISES
}

fn amount(profile: ProfileType, value: StackValue) -> f64 {
    bytes(match profile {
        ProfileType::Heap => value.inuse_space,
        _ => value.inuse_objects,
    })
}

#[expect(
    clippy::cast_precision_loss,
    reason = "parts are compared; the rounding starts at 8 PiB"
)]
const fn bytes(value: i64) -> f64 {
    value as f64
}

fn value(snapshot: &Snapshot, stack: StackId) -> StackValue {
    snapshot.values.get(stack).unwrap_or_default()
}

/// The stack of these frames in the newest profiles.
fn stack(facts: &Facts<'_>, snapshots: &[&Snapshot], frames: &[Frame]) -> Option<StackId> {
    let is_it = |id: StackId| facts.history.stacks.frames(id).eq(frames.iter());
    let newest_first = snapshots.iter().rev();
    let mut ids = newest_first.flat_map(|snapshot| snapshot.values.stacks());
    ids.find(|id| is_it(*id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::TargetHistory;
    use crate::model::profile::ProfileSource;
    use crate::model::profile::Program;
    use crate::model::target::CgroupKey;
    use crate::model::target::ProcessKey;
    use crate::model::target::Target;
    use crate::model::target::TargetKind;
    use crate::model::units::Timestamp;
    use crate::model::verdict::Culprit;
    use crate::model::verdict::Estimate;
    use crate::model::verdict::VerdictClass;
    use std::sync::Arc;

    const MIB: i64 = 1 << 20;
    const PROCESS: ProcessKey = ProcessKey { pid: 1, start_ticks: 1 };

    /// A target of which a leak was claimed after the fourth profile of a type, if there are as many: MiB allocated and held at the place in each, and as many
    /// goroutines.
    fn claimed(profile: ProfileType, course: &[(i64, i64)]) -> (TargetHistory, Claim) {
        let at = |index: usize| Timestamp::from_unix_seconds(1_000 + 30 * u64::try_from(index).unwrap_or(0));
        let target = Target {
            cgroup: CgroupKey {
                inode: 1,
                path: "/t".into(),
            },
            kind: TargetKind::Cgroup,
            name: "t".into(),
            service: "t".into(),
            container: None,
            started_at: at(0),
        };
        let mut history = TargetHistory::new(target, at(0));
        let frame = Frame {
            function: "main.keep".into(),
            file: "/main.go".into(),
            line: 3,
        };
        let stack = Arc::make_mut(&mut history.stacks)
            .intern(std::slice::from_ref(&frame))
            .unwrap();
        for (index, (allocated, held)) in course.iter().enumerate() {
            let value = StackValue {
                alloc_space: allocated * MIB,
                inuse_space: held * MIB,
                ..StackValue::default()
            };
            let goroutines = StackValue {
                inuse_objects: *held,
                ..StackValue::default()
            };
            for (profile_type, value) in [(ProfileType::Heap, value), (ProfileType::Goroutine, goroutines)] {
                history.apply_snapshot(Snapshot {
                    target: history.target.id(),
                    process: PROCESS,
                    profile_type,
                    at: at(index),
                    source: ProfileSource::Snapshot,
                    values: vec![(stack, value)].into(),
                    total: value,
                    period: 524_288,
                    program: Program::default(),
                    losses: Arc::default(),
                });
            }
        }
        let claim = Claim {
            process: PROCESS,
            class: VerdictClass::leak("go_heap_leak"),
            profile: Some(profile),
            culprit: Culprit {
                frame: frame.clone(),
                share_of_growth: 1.0,
                growth: Estimate::default(),
                stack: vec![frame],
            },
            since: at(0),
            at: at(3),
            log_odds: 2.5,
        };
        (history, claim)
    }

    #[test]
    fn a_claim_is_refuted_by_what_ends_it_and_by_nothing_else() {
        let grows: Vec<(i64, i64)> = (1..=4).map(|step| (step * 50, step * 50)).collect();
        let then = |more: &[(i64, i64)]| grows.iter().chain(more).copied().collect::<Vec<_>>();
        let of_heap = [
            ("goes on", then(&[(250, 250), (300, 300)]), false),
            (
                "a pause: nothing is allocated, nothing freed",
                then(&[(200, 200); 6]),
                false,
            ),
            (
                "slower, but it keeps what it allocates",
                then(&[(210, 210), (220, 220), (260, 259)]),
                false,
            ),
            ("few samples fell out by chance", then(&[(203, 200), (206, 200)]), false),
            ("given back", then(&[(210, 90)]), true),
            (
                "full: allocates as before and keeps nothing",
                then(&[(240, 200), (280, 200), (320, 200)]),
                true,
            ),
        ];
        let of_goroutines = [
            ("more and more", then(&[(250, 250), (300, 300)]), false),
            (
                "a young run: all work so far came with the newest profile",
                vec![(1, 1), (60, 60)],
                false,
            ),
            ("a pause", then(&[(200, 200); 6]), false),
            ("ended", then(&[(210, 90)]), true),
            (
                "as many as before while it works on",
                then(&[(250, 200), (300, 200), (350, 200)]),
                true,
            ),
        ];
        let heap = of_heap.into_iter().map(|case| (ProfileType::Heap, case));
        let goroutines = of_goroutines.into_iter().map(|case| (ProfileType::Goroutine, case));
        for (profile, (label, course, refuted)) in heap.chain(goroutines) {
            let (history, claim) = claimed(profile, &course);
            let now = Timestamp::from_unix_seconds(2_000);
            let facts = Facts::of(&history, &[], now);
            assert_eq!(
                super::refuted(&facts, &claim).is_some(),
                refuted,
                "{profile:?}: {label}"
            );
        }
    }

    #[test]
    fn what_is_not_seen_at_the_moment_is_remembered_and_what_contradicts_counts_once() {
        let (_, claim) = claimed(ProfileType::Heap, &[]);
        let row = |family, weight| OddsRow::new(family, String::new(), 0.0, "ratio", weight);
        for (label, rows, sum) in [
            ("nothing is seen", vec![row(Family::Prior, -5.0)], 2.5),
            (
                "all is seen",
                vec![row(Family::Prior, -3.0), row(Family::Retention, 6.0)],
                3.0,
            ),
            (
                "it fell with the load",
                vec![row(Family::Prior, -3.0), row(Family::Load, -3.0)],
                -0.5,
            ),
        ] {
            let now: f64 = rows.iter().map(|row| row.weight).sum();
            let remembered = super::row(&claim, &rows).map_or(0.0, |row| row.weight);
            assert!((now + remembered - sum).abs() < 1e-9, "{label}: {remembered}");
        }
    }
}
