//! Forecasts of real and of made-up staircases against when they ended.

use super::*;
use crate::stats::trend;

const MIB: f64 = 1_048_576.0;

/// Errors of the forecasts made between 45 % and 75 % of the head-room.
fn errors(levels: &[(f64, f64)], limit: f64, killed_at: f64) -> Vec<f64> {
    let first = levels[0].1;
    let asked = levels
        .iter()
        .filter(|(_, level)| (0.45..0.75).contains(&((level - first) / (limit - first))));
    asked
        .map(|&(now, _)| {
            let until: Vec<(f64, f64)> = levels
                .iter()
                .copied()
                .filter(|point| (now * 0.2..=now).contains(&point.0))
                .collect();
            let trend = trend::fit(&until).unwrap();
            let told = from_memory(&until, &trend, limit).unwrap();
            assert!(
                told.p10_seconds <= told.p50_seconds && told.p50_seconds <= told.p90_seconds,
                "{told:?}"
            );
            (told.p50_seconds - (killed_at - now)) / (killed_at - now)
        })
        .collect()
}

/// Recorded from a real service with a limit of 128 MiB that was killed after 177.7 s: seconds and MiB that could not be reclaimed.
/// 0.3 MB/s leaked, 200 kB of garbage per 8 kB leaked, traffic varying by 80 %.
const WIDE_ANSWERS: &[(f64, f64)] = &[
    (0.0, 20.0),
    (4.0, 35.2),
    (11.0, 38.9),
    (15.0, 39.7),
    (19.0, 42.2),
    (23.0, 43.7),
    (27.0, 44.8),
    (31.0, 47.8),
    (35.0, 48.8),
    (39.0, 51.2),
    (43.0, 52.3),
    (47.0, 56.2),
    (51.0, 58.1),
    (55.0, 59.9),
    (59.0, 61.5),
    (63.0, 64.1),
    (67.0, 66.3),
    (71.0, 70.5),
    (75.0, 72.4),
    (79.0, 75.6),
    (83.0, 77.7),
    (87.0, 80.6),
    (91.0, 84.1),
    (95.0, 84.1),
    (99.0, 88.1),
    (103.0, 90.0),
    (107.0, 90.1),
    (111.0, 93.2),
    (116.0, 96.4),
    (120.0, 96.6),
    (124.0, 97.4),
    (130.0, 102.5),
    (134.0, 106.2),
    (138.0, 109.3),
    (142.0, 109.7),
    (146.0, 113.8),
    (150.0, 114.1),
    (154.0, 117.8),
    (158.0, 118.0),
    (164.0, 121.9),
    (168.0, 125.1),
    (174.0, 125.8),
];

/// Recorded from a real service with a limit of 512 MiB that was killed after 224.4 s: seconds and MiB that could not be reclaimed.
/// 80 MB of tables, 1 MB/s leaked, traffic varying by half from second to second.
const REPLAYED_QUOTES: &[(f64, f64)] = &[
    (0.0, 79.6),
    (4.0, 113.8),
    (8.0, 128.3),
    (12.0, 150.7),
    (16.0, 151.8),
    (20.0, 166.0),
    (24.0, 165.8),
    (28.0, 177.4),
    (33.0, 178.2),
    (37.0, 191.8),
    (41.0, 193.1),
    (45.0, 193.5),
    (49.0, 206.1),
    (53.0, 206.3),
    (57.0, 219.8),
    (61.0, 223.0),
    (65.0, 223.4),
    (69.0, 253.0),
    (73.0, 257.1),
    (77.0, 257.8),
    (81.0, 281.0),
    (85.0, 283.2),
    (89.0, 283.7),
    (93.0, 286.7),
    (97.0, 309.6),
    (102.0, 309.6),
    (106.0, 309.7),
    (110.0, 313.3),
    (114.0, 340.5),
    (120.0, 340.5),
    (124.0, 341.1),
    (128.0, 342.5),
    (132.0, 371.1),
    (138.0, 371.3),
    (142.0, 371.3),
    (146.0, 374.0),
    (150.0, 390.6),
    (154.0, 406.6),
    (158.0, 407.1),
    (163.0, 406.9),
    (167.0, 408.7),
    (171.0, 413.0),
    (175.0, 442.9),
    (180.0, 445.5),
    (184.0, 445.2),
    (188.0, 445.5),
    (193.0, 445.8),
    (197.0, 455.1),
    (201.0, 487.3),
    (205.0, 487.3),
    (210.0, 487.5),
    (214.0, 487.6),
    (220.0, 488.2),
    (224.0, 508.7),
];

/// A rate taken from the steps seen last was wrong by more than that for both.
#[test]
fn real_services_are_foretold_within_a_fifth() {
    for (levels, limit, killed_at) in [(REPLAYED_QUOTES, 512.0, 224.4), (WIDE_ANSWERS, 128.0, 177.7)] {
        let levels: Vec<(f64, f64)> = levels.iter().map(|(t, mib)| (*t, mib * MIB)).collect();
        let errors = errors(&levels, limit * MIB, killed_at);
        assert!(
            errors.len() >= 10 && errors.iter().all(|error| error.abs() <= 0.2),
            "{errors:?}"
        );
    }
}

/// Highest levels of a program that leaks `rate` and collects every `cycle` seconds: it fills what was freed during `rest` of
/// each cycle and then needs the cycle's growth at once. From 1 s on.
fn staircase(rate: f64, cycle: f64, rest: f64, seconds: u32) -> Vec<(f64, f64)> {
    (1..=seconds)
        .map(f64::from)
        .map(|t| {
            let within = (t % cycle) / cycle;
            let climbed = ((within - rest) / (1.0 - rest)).max(0.0);
            (t, 50.0 * MIB + rate * cycle * ((t / cycle).floor() + climbed))
        })
        .collect()
}

/// Whatever the phase of the cycle is.
#[test]
fn steps_of_the_collector_do_not_mislead() {
    let limit = 192.0 * MIB;
    for (rate, cycle) in [
        (0.8 * MIB, 10.0),
        (0.7 * MIB, 14.0),
        (1.5 * MIB, 7.0),
        (0.3 * MIB, 25.0),
    ] {
        for rest in [0.0, 0.4, 0.8] {
            let levels = staircase(rate, cycle, rest, 1000);
            let killed_at = levels.iter().find(|point| point.1 >= limit).unwrap().0;
            let errors = errors(&levels, limit, killed_at);
            let right = errors.iter().filter(|error| error.abs() <= 0.2).count();
            assert!(
                right * 20 >= errors.len() * 19,
                "{rate} every {cycle} s, rest {rest}: {errors:?}"
            );
        }
    }
}

#[test]
fn nothing_is_foretold_without_growth() {
    let flat: Vec<(f64, f64)> = (0..60).map(|i| (f64::from(i), 50.0 * MIB)).collect();
    let trend = trend::fit(&flat).unwrap();
    assert_eq!(from_memory(&flat, &trend, 192.0 * MIB), None);
    assert_eq!(from_memory(&[], &trend, 192.0 * MIB), None);
}
