//! What is known to grow, as far as the evidence needs it.

use crate::detect::facts::Facts;
use crate::detect::finding::Finding;
use crate::history::window;
use crate::measure::against_load::AgainstLoad;
use crate::measure::course;
use crate::measure::motion::Motion;
use crate::model::profile::ProfileType;
use crate::model::run::Run;
use crate::model::stack::StackId;

/// What grows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Growth {
    /// Whether anything grows for sure.
    pub is_known: bool,
    /// Whether it slows down.
    pub slows: bool,
    /// The profiles that show the place; none when the place is not known.
    pub profile: Option<ProfileType>,
    /// The stack of the place that grew most in this run's heap profiles; none when the place is not known by them.
    pub stack: Option<StackId>,
    /// Ages of the process between which this run grew, start-up left out.
    pub ages: (f64, f64),
    /// Bytes by which it grew between them.
    pub bytes: f64,
}

/// Bytes of a goroutine at least: its stack (`stackMin` in runtime/stack.go) and its record.
const GOROUTINE_BYTES: f64 = 2500.0;
/// Start-up ends at this part of the age: what is compared is the rest.
const START_UP_PART: f64 = 0.05;

impl Growth {
    /// From the finding that names the place, if one does.
    pub fn of(facts: &Facts<'_>, found: Option<(&Finding, Option<ProfileType>)>) -> Self {
        let age = facts.age();
        let watched_from = facts.history.run.as_ref().and_then(|run| run.course.points.first());
        let first = watched_from.map_or(0.0, |point| f64::from(point.age_seconds));
        let from = first.max(age * START_UP_PART);
        let by_course = facts
            .history
            .run
            .as_ref()
            .and_then(|run| course::growth_between(run, from, age));
        let by_trend = facts.memory.trend.as_ref().map_or(0.0, |trend| trend.growth().max(0.0));
        Self {
            is_known: found.is_some() || matches!(facts.memory.motion, Motion::Growing | Motion::Levelling),
            slows: found.is_none() && facts.memory.motion == Motion::Levelling,
            profile: found.and_then(|(_, profile)| profile),
            stack: found.and_then(|(found, profile)| stack(facts, found, profile?)),
            ages: (from, age),
            bytes: by_course.unwrap_or(by_trend).max(0.0),
        }
    }

    /// How what grows goes with the work done: the place where one is known, bytes of the heap or goroutines, else the
    /// live heap or the memory of the run.
    pub(super) fn against_load(&self, facts: &Facts<'_>) -> Option<AgainstLoad> {
        match (self.stack, self.profile) {
            (Some(stack), _) => AgainstLoad::of_place(facts.history, stack, facts.now),
            (None, Some(ProfileType::Heap)) => None,
            (None, Some(ProfileType::Goroutine)) => {
                let site = facts.goroutine_suspect()?;
                let each = self.bytes / site.now.max(1.0);
                AgainstLoad::of_goroutines(facts.history, site.stack, each.max(GOROUTINE_BYTES), facts.now)
            }
            (None, _) => facts.against_load(),
        }
    }

    /// The run that grows.
    pub(super) fn run<'a>(facts: &'a Facts<'_>) -> Option<&'a Run> {
        let run = facts.history.run.as_ref()?;
        let main = window::process_start(facts.history);
        (run.started_at == main || facts.history.living().next().is_none()).then_some(run)
    }
}

/// The stack of a place in the heap profiles of this run.
fn stack(facts: &Facts<'_>, found: &Finding, profile: ProfileType) -> Option<StackId> {
    let culprit = found.culprit.as_ref().filter(|_| profile == ProfileType::Heap)?;
    let mut sites = facts.trend(ProfileType::Heap)?.sites.iter();
    let site = sites.find(|site| site.frame.function == culprit.frame.function);
    site.map(|site| site.stack)
}
