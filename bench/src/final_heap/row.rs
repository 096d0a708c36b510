//! One kind of death as a row of the table at the end.

use crate::final_heap::kind::Kills;
use crate::final_heap::kind::Scenario;
use crate::statistics::Paired;
use crate::statistics::median;
use xtask::tools;

/// What came of all deaths of one kind.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) scenario: Scenario,
    pub(crate) with: Vec<Kills>,
    /// Milliseconds from the kernel's choice to the end of the last thread, with the daemon and without.
    pub(crate) delays: Vec<(f64, f64)>,
    /// MiB of the daemon after each, and the most at any time.
    pub(crate) resident: Vec<f64>,
    pub(crate) peak: Vec<f64>,
}

impl Row {
    /// Of all victims, the least share and the one in the middle, in per cent.
    fn share(&self, of: impl Fn(&crate::final_heap::post_mortem::Remains) -> f64) -> String {
        let shares: Vec<f64> = self.with.iter().flat_map(|kills| &kills.remains).map(of).collect();
        let least = shares.iter().copied().fold(f64::INFINITY, f64::min);
        let middle = median(shares).unwrap_or(f64::NAN);
        if (middle - least).abs() < 0.000_5 {
            format!("{:.1} %", 100.0 * least)
        } else {
            format!("{:.1} % (least {:.1} %)", 100.0 * middle, 100.0 * least)
        }
    }

    fn delay(&self) -> String {
        let Some(later) = Paired::difference(&self.delays) else {
            return "-".to_owned();
        };
        let what = if later.sure { "" } else { ", least and most" };
        format!(
            "{:+.1} ms ({:+.1} to {:+.1}{what})",
            later.middle, later.low, later.high
        )
    }

    fn line(&self) -> String {
        let walks = self
            .with
            .iter()
            .flat_map(|kills| &kills.remains)
            .filter_map(|remains| remains.walk);
        let middle = |values: Vec<f64>| median(values).unwrap_or(f64::NAN);
        format!(
            "| {} | {} | {} | {} | {:.1} ms | {:.0} ms | {:.0} MiB | {:.0} MiB |",
            self.scenario,
            self.share(|remains| remains.buckets),
            self.share(|remains| remains.bytes),
            self.delay(),
            middle(walks.collect()),
            middle(self.with.iter().map(|kills| kills.processor).collect()),
            middle(self.resident.clone()),
            middle(self.peak.clone()),
        )
    }
}

/// The table: what arrived of what the programs themselves counted, how much later they were gone, and what it cost the daemon.
pub(crate) fn say(rows: &[Row]) {
    tools::say("| killed | buckets | bytes | gone later | walk | processor time | resident after it | at most |");
    tools::say("|---|---|---|---|---|---|---|---|");
    for row in rows {
        tools::say(row.line());
    }
}
