//! Whether sampling windows show what there is: a made-up program that allocates in bursts, governed and estimated as a real one is.

use crate::capture::budget::Decision;
use crate::capture::budget::Governor;
use crate::capture::budget::Terms;
use crate::capture::budget::cost::ProbeCost;
use crate::capture::estimator::Estimator;
use crate::capture::estimator::Phase;
use crate::capture::estimator::scale;
use crate::config::CpuBudget;
use crate::probes::allocator::HitCounts;
use crate::probes::allocator::StackTotals;
use fastrand::Rng;
use leakwatch_analysis::model::profile::StackValue;
use std::time::Duration;

const SECONDS: u32 = 60;
const TICKS_PER_SECOND: u32 = 1_000;
const TICK: Duration = Duration::from_millis(1);
/// Time that attaching and detaching take, in ticks.
const CHANGE: u32 = 3;

/// A program on one processor.
struct Program {
    /// Pairs of calls a second, of which one in a thousand is on the stack of interest.
    pairs: f64,
    /// All of them in the first tenth of so many ticks; evenly when it is one.
    burst_ticks: u32,
    /// Part of the objects that are never freed.
    kept: f64,
    /// Seconds that the others live on average.
    life: f64,
}

/// What is left of one stack's allocations at the end, and what the capture says of it.
fn capture(program: &Program, random: &mut Rng) -> (StackValue, StackValue) {
    let seed = random.u64(..);
    let terms = Terms {
        budget: CpuBudget {
            percent: 2.0,
            floor_percent: 1.0,
        },
        share: 1.0,
        duration: Duration::from_secs(SECONDS.into()),
        duty_cycled: true,
        limit_slowdown: false,
        low_duty: false,
    };
    let mut governor = Governor::new(ProbeCost::TYPICAL, terms, Rng::with_seed(seed));
    let mut estimator = Estimator::default();
    let mut totals = StackTotals {
        fingerprint: 1,
        ..StackTotals::default()
    };
    let mut counts = HitCounts::default();
    // Objects that die in each tick: all, and those that were seen, by the window in which they were.
    let ticks = SECONDS * TICKS_PER_SECOND;
    let mut deaths: Vec<Vec<Option<u64>>> = vec![Vec::new(); ticks as usize];
    let (mut allocated, mut freed) = (0_i64, 0_i64);
    let (mut attached, mut phase, mut window, mut next_check, mut changing) = (true, Phase::Taking, 0_u64, 0, 0_u32);
    let mut used = Duration::ZERO;
    for now in 0..ticks {
        let in_burst = program.burst_ticks == 1 || now % program.burst_ticks < program.burst_ticks / 10;
        let factor = match (in_burst, program.burst_ticks) {
            (true, 1) => 1.0,
            (true, _) => 10.0,
            _ => 0.0,
        };
        let pairs = program.pairs * factor / f64::from(TICKS_PER_SECOND);
        estimator.pass(TICK, phase);
        used += TICK;
        if attached || changing > 0 {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "thousands")]
            let hits = pairs as u64;
            counts.entries += hits;
            counts.frees += hits;
        }
        let expected = pairs / 1_000.0;
        let number = expected.floor() + f64::from(u8::from(random.f64() < expected.fract()));
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few")]
        for _ in 0..number as u32 {
            allocated += 1;
            if phase == Phase::Taking {
                totals.allocs += 1;
                totals.alloc_bytes += 1;
            }
            if random.f64() >= program.kept {
                let life = -program.life * (1.0 - random.f64()).ln() * f64::from(TICKS_PER_SECOND);
                let death = now as usize + life as usize;
                if let Some(deaths) = deaths.get_mut(death) {
                    deaths.push((phase == Phase::Taking).then_some(window));
                }
            }
        }
        for seen in &deaths[now as usize] {
            freed += 1;
            match seen {
                Some(of) if phase != Phase::Off && *of == window => {
                    totals.frees += 1;
                    totals.free_bytes += 1;
                }
                Some(_) if phase != Phase::Off => {
                    totals.late_frees += 1;
                    totals.late_free_bytes += 1;
                }
                _ => {}
            }
        }
        changing = changing.saturating_sub(1);
        if changing == 0 && now >= next_check {
            match governor.check(TICK * now, used, &counts, attached) {
                Decision::Wait(time) => next_check = now + u32::try_from(time.as_millis()).unwrap(),
                Decision::Detach => (attached, phase, changing) = (false, Phase::Off, CHANGE),
                Decision::Attach => (attached, changing) = (true, CHANGE),
                Decision::OpenWindow => {
                    window += 1;
                    estimator.open_window(&[totals], governor.chance());
                    phase = Phase::Taking;
                }
                Decision::Follow => phase = Phase::Following,
                Decision::OverBudget | Decision::TooSlow(_) => panic!("it never costs as much"),
            }
        }
    }
    let told = scale::scale(&estimator.sampled(&totals), 1);
    let truth = StackValue {
        alloc_objects: allocated,
        inuse_objects: allocated - freed,
        ..StackValue::default()
    };
    (truth, told)
}

/// What objects live does not matter for what is allocated. Of what is left those show most that live about as long as a window, in a program that
/// has probes for a few hundredths of the time: nearly none of them is seen to end (docs/native.md).
#[test]
#[expect(clippy::cast_precision_loss, reason = "thousands")]
fn windows_show_what_all_the_time_would_show() {
    const COURSES: u32 = 60;
    for (pairs, burst_ticks, kept, life, most_error, least_held) in [
        (200_000.0, 1, 0.1, 0.001, 0.02, 45),
        (200_000.0, 1, 0.1, 3.0, 0.15, 30),
        (50_000.0, 100, 0.1, 0.001, 0.02, 45),
        (50_000.0, 1_000, 0.1, 0.01, 0.05, 25),
        (50_000.0, 5_000, 0.1, 0.01, 0.1, 0),
        (30_000.0, 1_000, 0.5, 0.3, 0.1, 35),
        (15_000.0, 300, 0.1, 0.1, 0.05, 35),
    ] {
        let program = Program {
            pairs,
            burst_ticks,
            kept,
            life,
        };
        let mut random = Rng::with_seed(7);
        let (mut allocated, mut wrongly_live, mut held) = (0.0, 0.0, 0);
        for _ in 0..COURSES {
            let (truth, told) = capture(&program, &mut random);
            let of_all = |number: i64| number as f64 / truth.alloc_objects as f64 / f64::from(COURSES);
            let error = told.inuse_objects - truth.inuse_objects;
            allocated += of_all(told.alloc_objects);
            wrongly_live += of_all(error);
            held += u32::from((error as f64).abs() <= 1.96 * told.inuse_variance.sqrt());
        }
        let said = format!(
            "{pairs} pairs a second, bursts of {burst_ticks} ms, lives of {life} s: {allocated:.3} of what is allocated, \
             {wrongly_live:.3} of it wrongly live, {held} of {COURSES} intervals hold"
        );
        println!("{said}");
        assert!((allocated - 1.0).abs() < 0.05, "{said}");
        assert!(wrongly_live.abs() < most_error && held >= least_held, "{said}");
    }
}
