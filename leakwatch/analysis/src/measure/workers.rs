//! Equal processes of one target: the workers of a server run the same program and hold about as much each. What one of them keeps, all keep;
//! only one is captured at a time.

use crate::history::ProcessRecord;
use crate::history::TargetHistory;
use crate::history::window;
use crate::model::profile::ProfileType;
use crate::model::target::ProcessKey;
use crate::model::units::Bytes;
use crate::model::units::Timestamp;

/// A process that holds between this part of what another holds, and its inverse, is its equal.
const LEAST_PART: f64 = 0.5;

/// A process and those that equal it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Workers {
    /// How many there are, with the process itself.
    pub count: usize,
    /// What they hold together as a multiple of what the process holds.
    pub multiple: f64,
}

impl Workers {
    /// A process without equals.
    pub const ALONE: Self = Self {
        count: 1,
        multiple: 1.0,
    };

    /// Those of the process that the profiles of a type are of.
    pub fn in_profiles(history: &TargetHistory, profile_type: ProfileType, now: Timestamp) -> Self {
        let newest = window::snapshots(history, profile_type, now).last();
        newest.map_or(Self::ALONE, |snapshot| Self::of(history, snapshot.process))
    }

    /// Those of a living process; it alone where nothing is known of it.
    fn of(history: &TargetHistory, process: ProcessKey) -> Self {
        let anonymous = |record: &ProcessRecord| record.memory.as_ref().map_or(Bytes(0), |memory| memory.anon).as_f64();
        let living = || history.living();
        let Some(captured) = living().find(|record| record.process.key == process) else {
            return Self::ALONE;
        };
        let Ok(exe) = &captured.process.exe else {
            return Self::ALONE;
        };
        let own = anonymous(captured);
        if own <= 0.0 {
            return Self::ALONE;
        }
        let is_equal = |part: &f64| (LEAST_PART..=1.0 / LEAST_PART).contains(part);
        let of_program = living().filter(|record| record.process.exe.as_ref() == Ok(exe));
        let parts: Vec<f64> = of_program
            .map(|record| anonymous(record) / own)
            .filter(is_equal)
            .collect();
        Self {
            count: parts.len(),
            multiple: parts.iter().sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reading::Missing;
    use crate::model::reading::MissingReason;
    use crate::model::runtime::Runtime;
    use crate::model::sample::ProcessMemory;
    use crate::model::sample::ProcessSample;
    use crate::model::sample::Sample;
    use crate::model::target::Process;
    use crate::simulate;
    use std::sync::Arc;

    #[test]
    fn processes_of_one_program_that_hold_about_as_much_are_equal() {
        let missing = || Missing::new(MissingReason::NotPermitted, "in this test");
        let worker = |pid, exe: Option<&str>, mib| (pid, exe.map(str::to_owned).ok_or_else(missing), mib);
        let shop = Some("/app/shop");
        for (others, count, multiple) in [
            (vec![], 1, 1.0),
            (vec![worker(2, shop, 40), worker(3, shop, 60)], 3, 3.5),
            // The master, another program, one that is not known.
            (
                vec![worker(2, shop, 2), worker(3, Some("/app/log"), 40), worker(4, None, 40)],
                1,
                1.0,
            ),
        ] {
            let all: Vec<_> = std::iter::once(worker(1, shop, 40)).chain(others).collect();
            let key = |pid| ProcessKey { pid, start_ticks: 1 };
            let at = Timestamp::from_unix_seconds(10);
            let mut history = TargetHistory::new(simulate::target(at), at);
            history.apply_sample(&Sample {
                target: history.target.id(),
                at,
                cgroup: Err(missing()),
                new_processes: all
                    .iter()
                    .map(|(pid, exe, _)| {
                        Arc::new(Process {
                            key: key(*pid),
                            started_at: at,
                            comm: "shop".into(),
                            exe: exe.clone(),
                            program: None,
                            runtime: Ok(Runtime::Native),
                        })
                    })
                    .collect(),
                processes: all
                    .iter()
                    .map(|(pid, _, mib)| ProcessSample {
                        key: key(*pid),
                        memory: Ok(ProcessMemory {
                            anon: Bytes::from_mib(*mib),
                            ..ProcessMemory::default()
                        }),
                    })
                    .collect(),
            });
            assert_eq!(Workers::of(&history, key(1)), Workers { count, multiple });
        }
    }
}
