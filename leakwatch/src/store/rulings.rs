//! What people have ruled for services, bounded: the newest view has them, and the store on disk keeps them.

use leakwatch_analysis::history::TargetHistory;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::units::Timestamp;
use std::collections::BTreeMap;

/// Rulings in force, by id: ids rise with time, so a later one comes after an earlier one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rulings(BTreeMap<String, Ruling>);

impl Rulings {
    /// Rulings at most. Each is looked at whenever a target is judged or shown.
    pub const MOST: usize = 256;

    /// All, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Ruling> {
        self.0.values()
    }

    /// One of them.
    pub fn get(&self, id: &str) -> Option<&Ruling> {
        self.0.get(id)
    }

    /// Whether there is no room for another.
    pub fn is_full(&self) -> bool {
        self.0.len() >= Self::MOST
    }

    /// The ruling that lets a target alert nobody: of several the one that holds longest.
    pub fn mute_of(&self, history: &TargetHistory) -> Option<&Ruling> {
        let mutes = self.of(history).filter(|ruling| ruling.ruled == Ruled::Mute);
        mutes.max_by_key(|ruling| ruling.until)
    }

    /// Answers for a target: those of its service, and before them its own.
    pub(crate) fn answers(&self, history: &TargetHistory, own: &BTreeMap<StepId, Answer>) -> BTreeMap<StepId, Answer> {
        let ruled = self.of(history).filter_map(|ruling| match ruling.ruled {
            Ruled::Overrule(step, answer) => Some((step, answer)),
            Ruled::Mute => None,
        });
        ruled.chain(own.iter().map(|(step, answer)| (*step, *answer))).collect()
    }

    fn of<'r>(&'r self, history: &TargetHistory) -> impl Iterator<Item = &'r Ruling> {
        self.iter()
            .filter(|ruling| ruling.is_for(&history.target.service, history.versions()))
    }

    /// Adds one; false where there is no room.
    pub(crate) fn put(&mut self, ruling: Ruling) -> bool {
        let has_room = !self.is_full() || self.0.contains_key(&ruling.id);
        if has_room {
            self.0.insert(ruling.id.clone(), ruling);
        }
        has_room
    }

    /// Takes one out.
    pub(crate) fn remove(&mut self, id: &str) -> Option<Ruling> {
        self.0.remove(id)
    }

    /// Ids of those that have ended by then.
    pub(crate) fn ended(&self, at: Timestamp) -> Vec<String> {
        let ended = self.iter().filter(|ruling| ruling.until <= at);
        ended.map(|ruling| ruling.id.clone()).collect()
    }
}
