//! Programs of every rhythm, simulated.

use super::*;

const COST: ProbeCost = ProbeCost {
    allocation: 550.0,
    taken: 1_000.0,
    release: 550.0,
    single_step: 14_500.0,
};

const BUDGET: CpuBudget = CpuBudget {
    percent: 2.0,
    floor_percent: 1.0,
};

fn asked_for(share: f64) -> Terms {
    Terms {
        budget: BUDGET,
        share,
        duration: Duration::from_mins(1),
        duty_cycled: true,
        limit_slowdown: false,
        low_duty: false,
    }
}

/// Of a program on one processor that makes so many pairs of calls a second when left alone, for a minute: what the probes have
/// cost relative to its own time, the part of the time they were attached, and whether it ended early.
fn simulate(pairs_per_second: f64, share: f64, single_stepped: (bool, bool)) -> (f64, f64, bool) {
    let seconds = asked_for(share).duration;
    let mut governor = Governor::new(
        COST.single_stepped(single_stepped.0, single_stepped.1),
        asked_for(share),
        Rng::with_seed(1),
    );
    let pair = (COST.allocation + COST.release) / 1e9 + if single_stepped.1 { COST.single_step / 1e9 } else { 0.0 };
    let (mut at, mut used, mut pairs, mut attached_time) = (0.0, 0.0, 0.0, 0.0);
    let mut attached = true;
    let mut ended = false;
    while at < seconds.as_secs_f64() && !ended {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few millions")]
        let count = pairs as u64;
        let counts = HitCounts {
            entries: count,
            frees: count,
            ..HitCounts::default()
        };
        let instant = Duration::from_secs_f64(at);
        let mut time = 0.0;
        match governor.check(instant, Duration::from_secs_f64(used), &counts, attached) {
            Decision::Wait(wait) => time = wait.as_secs_f64(),
            // Detaching takes time, during which the others may still be hit.
            Decision::Detach => time = 0.005,
            Decision::Attach => attached = true,
            Decision::OpenWindow | Decision::Follow => {}
            Decision::OverBudget | Decision::TooSlow(_) => ended = true,
        }
        let detached = time > 0.004_9 && time < 0.005_1;
        at += time;
        if attached {
            // While it is probed it gets less done, once it has no processor time left.
            let work = share / pairs_per_second;
            let done = (time / (work + pair)).min(pairs_per_second * time);
            pairs += done;
            used += done * (work + pair);
            attached_time += time;
        } else {
            used += time * share;
        }
        if detached {
            attached = false;
        }
    }
    let cost = pairs * pair;
    (cost / (used - cost), attached_time / at, ended)
}

#[test]
fn the_budget_is_held_whatever_the_program_does() {
    for (pairs_per_second, share, single_stepped, expected) in [
        (1_000.0, 1.0, (false, false), 0.0011),
        (10_000.0, 1.0, (false, false), 0.011),
        (30_000.0, 1.0, (false, false), 0.02),
        (100_000.0, 1.0, (false, false), 0.02),
        (1_000_000.0, 1.0, (false, false), 0.02),
        (5_000_000.0, 1.0, (false, false), 0.02),
        (20_000.0, 0.1, (false, false), 0.1),
        (100_000.0, 0.3, (false, false), 0.033),
        (10_000.0, 1.0, (false, true), 0.02),
    ] {
        let (cost, duty, ended) = simulate(pairs_per_second, share, single_stepped);
        assert!(
            (cost / expected - 1.0).abs() < 0.25 && !ended,
            "{pairs_per_second} a second: {cost} instead of {expected}, attached {duty} of the time"
        );
    }
}

#[test]
fn windows_at_low_duty_are_few_and_far_between() {
    let terms = Terms {
        low_duty: true,
        duration: Duration::from_hours(1),
        ..asked_for(1.0)
    };
    let mut governor = Governor::new(COST, terms, Rng::with_seed(1));
    let (mut at, mut attached, mut attached_for) = (Duration::ZERO, true, Duration::ZERO);
    let mut windows = Vec::new();
    while at < terms.duration {
        let used = at;
        let time = match governor.check(at, used, &HitCounts::default(), attached) {
            Decision::Wait(wait) => wait,
            Decision::Attach => {
                attached = true;
                Duration::from_millis(5)
            }
            Decision::Detach => {
                attached = false;
                Duration::ZERO
            }
            Decision::OpenWindow => {
                windows.push(at);
                Duration::ZERO
            }
            Decision::Follow => Duration::ZERO,
            ended => panic!("{ended:?}"),
        };
        at += time;
        attached_for += if attached { time } else { Duration::ZERO };
    }
    // The probes are attached when the first period begins.
    let periods: Vec<u64> = windows
        .iter()
        .map(|at| at.as_secs() / LOW_DUTY_PERIOD.as_secs())
        .collect();
    assert!(periods.iter().copied().eq(1..360), "{periods:?}");
    let within = |at: &Duration| at.div_duration_f64(LOW_DUTY_PERIOD).fract();
    let mean = windows.iter().map(within).sum::<f64>() / 359.0;
    assert!((mean - 0.5).abs() < 0.05, "{mean}");
    let part = attached_for.div_duration_f64(at);
    assert!(part < 0.002, "{part}");
}

#[test]
fn a_burst_on_many_processors_ends_the_capture() {
    let mut governor = Governor::new(COST, asked_for(1.0), Rng::with_seed(1));
    let at = Duration::from_secs(10);
    let used = Duration::from_secs(10);
    let calls = |number| HitCounts {
        entries: number,
        frees: number,
        ..HitCounts::default()
    };
    assert!(matches!(
        governor.check(at, used, &calls(1_000), true),
        Decision::Wait(_)
    ));
    assert_eq!(governor.check(at, used, &calls(1_000_000), true), Decision::OverBudget);
}

#[test]
fn an_automatic_capture_ends_where_the_program_would_notice() {
    for (pairs_per_second, ends) in [(20_000.0, false), (200_000.0, true)] {
        let terms = Terms {
            limit_slowdown: true,
            ..asked_for(1.0)
        };
        let mut governor = Governor::new(COST, terms, Rng::with_seed(1));
        let mut ended_after = None;
        for tick in 0..1_000_u32 {
            let at = Duration::from_millis(10) * tick;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few millions")]
            let calls = (at.as_secs_f64() * pairs_per_second) as u64;
            let counts = HitCounts {
                entries: calls,
                frees: calls,
                ..HitCounts::default()
            };
            if let Decision::TooSlow(slowdown) = governor.check(at, at, &counts, true) {
                assert!((slowdown - 0.22).abs() < 0.1, "{slowdown}");
                ended_after = Some(at);
                break;
            }
        }
        assert_eq!(ended_after.is_some(), ends, "{pairs_per_second} a second");
        assert!(ended_after.is_none_or(|at| at < 2 * MUCH_FOR), "{ended_after:?}");
    }
}
