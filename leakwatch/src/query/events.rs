//! Lists of events.

use crate::query::lookup;
use crate::query::lookup::LookupError;
use crate::store::event::Event;
use crate::store::view::View;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;

/// Which events are listed.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Names of kinds; none means all.
    pub kinds: Vec<&'static str>,
    /// Of this target.
    pub target: Option<TargetId>,
    /// Not before.
    pub from: Timestamp,
    /// Not after.
    pub to: Option<Timestamp>,
}

/// The events that a filter lets through, newest first.
pub fn list<'a>(view: &'a View, filter: &Filter) -> Vec<&'a Event> {
    view.events().rev().filter(|event| filter.lets_through(event)).collect()
}

/// The target that is meant. Events outlive targets, so an id nobody has any more is looked for among the events.
pub fn target(view: &View, text: &str) -> Result<TargetId, LookupError> {
    let forgotten = TargetId::from_text(text);
    if view.events().any(|event| event.target.as_ref() == Some(&forgotten)) {
        return Ok(forgotten);
    }
    lookup::target(view, text).map(|(id, _)| id.clone())
}

impl Filter {
    fn lets_through(&self, event: &Event) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&event.kind.name()))
            && (self.target.is_none() || event.target == self.target)
            && event.at >= self.from
            && self.to.is_none_or(|to| event.at <= to)
    }
}
