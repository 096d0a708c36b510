//! Events.

use super::WINDOW_ENDS;
use super::class_from;
use super::entry;
use super::limit_from;
use super::position;
use super::ruling_from;
use super::ruling_to;
use crate::input;
use crate::input::Input;
use crate::store::disk::messages;
use crate::store::event::Event;
use crate::store::event::EventKind;
use crate::store::event::RulingChange;
use leakwatch_analysis::model::target::TargetId;
use leakwatch_analysis::model::units::Timestamp;

pub(in crate::store) fn event_to(event: &Event) -> messages::Event {
    let kind = match &event.kind {
        EventKind::OomKill {
            post_mortem,
            victim_pid,
            victim_comm,
        } => messages::EventKind::OomKill(messages::KilledProcess {
            post_mortem: post_mortem.clone(),
            pid: *victim_pid,
            comm: victim_comm.clone(),
        }),
        EventKind::ProcessExit(exit) => {
            messages::EventKind::ProcessExit(input::to_bytes(&Input::ProcessExit(exit.clone())))
        }
        EventKind::Restart { end } => messages::EventKind::Restart(position(&WINDOW_ENDS, end)),
        EventKind::LimitChange { from, to } => messages::EventKind::LimitChange(messages::LimitChange {
            from: from.bytes().map(|bytes| bytes.0),
            to: to.bytes().map(|bytes| bytes.0),
        }),
        EventKind::VerdictChange { from, to } => messages::EventKind::VerdictChange(messages::VerdictChange {
            from: from.map(|class| class.name().to_owned()),
            to: to.name().to_owned(),
        }),
        EventKind::Deploy { service, from, to } => messages::EventKind::Deploy(messages::Deploy {
            service: service.clone(),
            from: from.clone(),
            to: to.clone(),
        }),
        EventKind::Loss { reason, count } => messages::EventKind::Loss(messages::CountedLoss {
            reason: reason.to_string(),
            count: *count,
        }),
        EventKind::ConfigReload(reload) => {
            messages::EventKind::ConfigReload(input::to_bytes(&Input::ConfigReload(reload.clone())))
        }
        EventKind::Ruling { ruling, change } => messages::EventKind::Ruling(messages::RulingChange {
            ruling: ruling_to(ruling),
            change: position(&RulingChange::ALL, change),
        }),
    };
    messages::Event {
        id: event.id,
        at: event.at.unix_nanos(),
        target: event.target.as_ref().map(|target| target.as_str().to_owned()),
        kind: Some(kind),
        muted: event.muted,
    }
}

pub(in crate::store) fn event_from(message: messages::Event) -> Option<Event> {
    let kind = match message.kind? {
        messages::EventKind::OomKill(kill) => EventKind::OomKill {
            post_mortem: kill.post_mortem,
            victim_pid: kill.pid,
            victim_comm: kill.comm,
        },
        messages::EventKind::ProcessExit(bytes) => match input::from_bytes(&bytes)? {
            Input::ProcessExit(exit) => EventKind::ProcessExit(exit),
            _ => return None,
        },
        messages::EventKind::Restart(end) => EventKind::Restart {
            end: entry(&WINDOW_ENDS, end)?,
        },
        messages::EventKind::LimitChange(change) => EventKind::LimitChange {
            from: limit_from(change.from),
            to: limit_from(change.to),
        },
        messages::EventKind::VerdictChange(change) => EventKind::VerdictChange {
            from: change.from.as_deref().and_then(class_from),
            to: class_from(&change.to)?,
        },
        messages::EventKind::Deploy(messages::Deploy { service, from, to }) => EventKind::Deploy { service, from, to },
        messages::EventKind::Loss(loss) => EventKind::Loss {
            reason: loss.reason.into(),
            count: loss.count,
        },
        messages::EventKind::ConfigReload(bytes) => match input::from_bytes(&bytes)? {
            Input::ConfigReload(reload) => EventKind::ConfigReload(reload),
            _ => return None,
        },
        messages::EventKind::Ruling(message) => EventKind::Ruling {
            ruling: ruling_from(&message.ruling)?,
            change: entry(&RulingChange::ALL, message.change)?,
        },
    };
    Some(Event {
        id: message.id,
        at: Timestamp::from_unix_nanos(message.at),
        target: message.target.as_deref().map(TargetId::from_text),
        kind,
        muted: message.muted,
    })
}
