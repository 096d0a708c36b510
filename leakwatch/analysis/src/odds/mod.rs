//! Does what grows end by itself? The odds that it does not, as a sum of natural logarithms: one row and one file per piece of evidence,
//! on a prior that is a row like the others. Rows of one family measure the same thing: the strongest counts, within the family's bound.
//! A function of what is known now: nothing is summed over time. See `docs/detectors/leak_probability.md`.

mod row;
mod prior;
mod growth;
mod replicas;
mod earlier_runs;
mod load;
mod retention;
mod goroutines;
mod nobody_can_wake;
mod limit;
mod claimed;

pub use crate::odds::claimed::refuted;
pub use crate::odds::growth::Growth;
pub use crate::odds::row::Family;
pub use crate::odds::row::OddsRow;

use crate::detect::facts::Facts;
use crate::history::Claim;

/// A leak is claimed from this probability.
pub const CLAIM: f64 = 0.9;
/// Families of evidence that must speak for a leak, unless it is proven.
const LEAST_FAMILIES: usize = 2;
/// Below this a row hardly speaks for anything.
const SPEAKS: f64 = 0.5;

/// One function per piece of evidence.
const EVIDENCE: [fn(&Facts<'_>, &Growth) -> Option<OddsRow>; 7] = [
    replicas::row,
    earlier_runs::row,
    load::row,
    retention::row,
    goroutines::row,
    nobody_can_wake::row,
    limit::row,
];

/// The odds, with the rows that they are the sum of.
#[derive(Clone, Debug, PartialEq)]
pub struct LeakOdds {
    /// The prior first, then one row of each family that says something.
    pub rows: Vec<OddsRow>,
    /// The probability that what grows does not end by itself.
    pub probability: f64,
    /// Whether that is enough to claim a leak.
    pub is_claim: bool,
}

impl LeakOdds {
    /// The weight of a family; 0 when it says nothing.
    pub fn weight(&self, family: Family) -> f64 {
        let row = self.rows.iter().find(|row| row.family == family);
        row.map_or(0.0, |row| row.weight)
    }
}

/// Weighs all evidence about what grows. `person` is set when a person says that it leaks, `claim` when it was claimed before and
/// nothing refutes that.
pub fn weigh(facts: &Facts<'_>, growth: &Growth, person: bool, claim: Option<&Claim>) -> LeakOdds {
    let mut rows = vec![prior::row(growth)];
    let mut all: Vec<OddsRow> = EVIDENCE.iter().filter_map(|row| row(facts, growth)).collect();
    if person {
        all.push(OddsRow::of_person());
    }
    for family in Family::ALL {
        let of_family = all.iter().filter(|row| row.family == family);
        if let Some(strongest) = of_family.max_by(|a, b| a.weight.abs().total_cmp(&b.weight.abs())) {
            let mut row = strongest.clone();
            row.weight = row.weight.clamp(-family.bound(), family.bound());
            rows.push(row);
        }
    }
    rows.extend(claim.and_then(|claim| claimed::row(claim, &rows)));
    let sum: f64 = rows.iter().map(|row| row.weight).sum();
    let probability = 1.0 / (1.0 + (-sum).exp());
    let speaking = rows
        .iter()
        .filter(|row| !matches!(row.family, Family::Prior | Family::Claim) && row.weight >= SPEAKS)
        .count();
    let is_proven = rows.iter().any(|row| row.is_proof);
    LeakOdds {
        is_claim: growth.is_known && probability >= CLAIM && (is_proven || speaking >= LEAST_FAMILIES),
        rows,
        probability,
    }
}
