//! What a person ruled for a service.

use crate::input::convert::error::Converted;
use crate::input::convert::error::unknown;
use crate::input::convert::field::entry;
use crate::input::convert::field::position;
use crate::input::messages;
use leakwatch_analysis::model::investigation::Answer;
use leakwatch_analysis::model::investigation::StepId;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;
use leakwatch_analysis::model::units::Timestamp;

// Numbers on the wire are positions in this table: append only.
pub(super) const ANSWERS: [Answer; 3] = [Answer::Yes, Answer::No, Answer::Unknown];

pub(super) fn ruling_to(ruling: &Ruling) -> messages::Ruled {
    messages::Ruled {
        service: ruling.service.clone(),
        version: ruling.version.clone(),
        reason: ruling.reason.clone(),
        made_at: ruling.made_at.unix_nanos(),
        until: ruling.until.unix_nanos(),
        overrule: match &ruling.ruled {
            Ruled::Mute => None,
            Ruled::Overrule(step, answer) => Some(messages::Overrule {
                step: step.name().to_owned(),
                answer: position(&ANSWERS, answer),
            }),
        },
    }
}

pub(super) fn ruling_from(id: &str, message: messages::Ruled) -> Converted<Ruling> {
    let ruled = match message.overrule {
        None => Ruled::Mute,
        Some(overrule) => Ruled::Overrule(
            StepId::from_name(&overrule.step).ok_or_else(|| unknown("step", overrule.step))?,
            entry(&ANSWERS, overrule.answer, "answer")?,
        ),
    };
    Ok(Ruling {
        id: id.to_owned(),
        service: message.service,
        version: message.version,
        ruled,
        reason: message.reason,
        made_at: Timestamp::from_unix_nanos(message.made_at),
        until: Timestamp::from_unix_nanos(message.until),
    })
}
