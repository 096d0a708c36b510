//! What people rule for services holds for those that come later, ends when its time is over, and outlives the daemon.

use super::*;
use crate::store::event::RulingChange;
use crate::store::view::View;
use leakwatch_analysis::model::ruling::Ruled;
use leakwatch_analysis::model::ruling::Ruling;

fn at(second: u64) -> Timestamp {
    Timestamp::from_unix_seconds(second)
}

fn ruling(id: &str, ruled: Ruled, service: &str, until: u64) -> Input {
    Input::Ruling {
        at: at(1_000),
        id: id.to_owned(),
        ruling: Some(Ruling {
            id: id.to_owned(),
            service: service.to_owned(),
            version: None,
            ruled,
            reason: "known".to_owned(),
            made_at: at(1_000),
            until: at(until),
        }),
    }
}

fn changes(view: &View) -> Vec<RulingChange> {
    let of_rulings = view.events().filter_map(|event| match &event.kind {
        EventKind::Ruling { change, .. } => Some(*change),
        _ => None,
    });
    of_rulings.collect()
}

#[test]
fn a_mute_labels_events_until_it_ends() {
    let target = target(1);
    let mut engine = Engine::new(Bounds::default(), None);
    let mut inputs = life(&target);
    inputs.insert(0, ruling("1", Ruled::Mute, &target.service, 1_000_000));
    let view = run(&mut engine, inputs);
    let of_target = |view: &View| -> Vec<bool> {
        let events = view.events().filter(|event| event.target.is_some());
        events.map(|event| event.muted).collect()
    };
    let muted = of_target(&view);
    assert!(!muted.is_empty() && muted.iter().all(|muted| *muted), "{muted:?}");
    assert!(view.mute_of(view.target(&target.id()).unwrap()).is_some());
    let view = run(&mut engine, vec![Input::Tick { at: at(1_000_000) }]);
    assert!(view.rulings().iter().next().is_none());
    assert_eq!(changes(&view), [RulingChange::Made, RulingChange::Expired]);
}

#[test]
fn an_overrule_answers_for_targets_that_come_later_and_its_end_leads_back() {
    let target = target(1);
    let answer = |view: &View| {
        let made = view.target(&target.id()).unwrap().investigation.clone().unwrap();
        made.steps[0].answer
    };
    let mut inputs = life(&target);
    // Without its end: the last of it is that it is gone.
    inputs.pop();
    let untold = run(&mut Engine::new(Bounds::default(), None), inputs.clone());
    let overrule = |answer| ruling("1", Ruled::Overrule(StepId::Memory, answer), &target.service, 1_000_000);
    for told in [Answer::Yes, Answer::No] {
        let mut engine = Engine::new(Bounds::default(), None);
        let ruled = std::iter::once(overrule(told)).chain(inputs.clone());
        assert_eq!(answer(&run(&mut engine, ruled.collect())), told);
        let end = Input::Ruling {
            at: at(2_000),
            id: "1".to_owned(),
            ruling: None,
        };
        let view = run(&mut engine, vec![end]);
        assert_eq!(answer(&view), answer(&untold));
        assert_eq!(changes(&view), [RulingChange::Made, RulingChange::TakenBack]);
    }
}
