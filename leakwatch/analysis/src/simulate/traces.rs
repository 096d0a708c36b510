//! Memory of real machines, played as that of a target: without profiles and with a live heap that does not grow, nothing in it may
//! be called a leak.

use super::MIB;
use super::heap_snapshot_of;
use super::process_facts;
use super::programs::Score;
use super::sample;
use super::target;
use crate::history::TargetHistory;
use crate::investigate;
use crate::model::units::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

const MACHINES: [(&str, &str); 3] = [
    ("m_10", include_str!("../../testdata/traces/m_10.csv")),
    ("m_100", include_str!("../../testdata/traces/m_100.csv")),
    ("m_1000", include_str!("../../testdata/traces/m_1000.csv")),
];
/// What 100 % of a machine are played as.
const MACHINE: f64 = 4096.0 * MIB;

fn levels(csv: &str) -> Vec<(u64, f64)> {
    csv.lines()
        .skip(1)
        .map(|line| {
            let (minute, percent) = line.split_once(',').unwrap();
            let percent: f64 = percent.parse().unwrap();
            (minute.parse().unwrap(), percent / 100.0 * MACHINE)
        })
        .collect()
}

#[test]
fn memory_of_real_machines_is_never_called_a_leak() {
    let mut never = Score::new("real traces never a leak");
    for (name, csv) in MACHINES {
        let levels = levels(csv);
        assert!(levels.len() > 5000, "{name}");
        for with_profile in [false, true] {
            let start = Timestamp::from_unix_seconds(1_700_000_000);
            let mut history = TargetHistory::new(target(start), start);
            for &(minute, level) in &levels {
                let now = start.plus(Duration::from_mins(minute));
                let new = history.processes.is_empty().then(|| process_facts(100, start));
                let made = sample(&history, now, 100, new, level, 0.0, 0.0, Some(MACHINE * 1.05), 0);
                history.apply_sample(&made);
                if with_profile && minute % 10 == 0 {
                    // Flat, but never twice the same.
                    let wobble = if minute % 20 == 0 { 1.0 } else { 1.004 };
                    let made = heap_snapshot_of(&mut history, "main.serve", 200.0 * MIB * wobble, 100, now);
                    history.apply_snapshot(made);
                }
                if minute % 7 == 0 {
                    let verdict = investigate(&history, &BTreeMap::new(), &[], now).verdict;
                    never.add(!verdict.class.is_leak(), || {
                        format!("{name} minute {minute} profiles {with_profile}: {}", verdict.summary)
                    });
                }
            }
        }
    }
    never.report(1.0);
}
