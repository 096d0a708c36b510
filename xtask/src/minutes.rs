//! How long each part of the quick tier takes, beside what it may take on a bare machine with two quiet processors.

use std::time::Duration;
use std::time::Instant;
use xtask::tools;

/// Parts in their order, with their minutes, installing included. What is added has to fit in; CONTRIBUTING.md has the same table.
pub(crate) const BUDGET: [(&str, u32); 7] = [
    ("lint", 4),
    ("eBPF objects", 1),
    ("fuzz", 3),
    ("tests", 15),
    ("web page", 1),
    ("no-op build", 1),
    ("other kernels", 10),
];

/// What was measured so far.
#[derive(Debug, Default)]
pub(crate) struct Minutes(Vec<(&'static str, Duration)>);

impl Minutes {
    /// Runs a part and takes its time.
    pub(crate) fn part<T>(
        &mut self,
        name: &'static str,
        action: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let start = Instant::now();
        let done = action();
        self.0.push((name, start.elapsed()));
        done
    }

    /// Says the table.
    pub(crate) fn report(&self) {
        tools::say(format!("{:<16} {:>8} {:>8}", "part", "minutes", "budget"));
        for (name, took) in &self.0 {
            tools::say(format!("{name:<16} {:>8.1} {:>8}", minutes(*took), budget(name)));
        }
        let took: Duration = self.0.iter().map(|(_, took)| *took).sum();
        let all: u32 = BUDGET.iter().map(|(_, minutes)| minutes).sum();
        tools::say(format!("{:<16} {:>8.1} {all:>8}", "all", minutes(took)));
    }
}

fn minutes(duration: Duration) -> f64 {
    duration.as_secs_f64() / 60.0
}

fn budget(part: &str) -> u32 {
    BUDGET
        .iter()
        .find(|(name, _)| *name == part)
        .map_or(0, |(_, minutes)| *minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bare machine has 35 minutes, and the document says what the code says.
    #[test]
    fn the_parts_fit_in_and_are_documented() {
        let all: u32 = BUDGET.iter().map(|(_, minutes)| minutes).sum();
        assert!(all <= 35, "{all} minutes");
        let document = include_str!("../../CONTRIBUTING.md");
        for (name, minutes) in BUDGET {
            let row = format!("| {name} | {minutes} |");
            assert!(document.contains(&row), "CONTRIBUTING.md has no row `{row}`");
        }
    }
}
