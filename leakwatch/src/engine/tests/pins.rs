//! What somebody pinned outlives the bounds, in memory and on disk.

use super::restart::BEGIN;
use super::restart::end;
use super::restart::engine;
use super::*;
use crate::store::post_mortem::PostMortem;

const DAY: u64 = 24 * 3600;

fn pin(oom_kill: &str, second: u64, pinned: bool) -> [Input; 2] {
    let at = Timestamp::from_unix_seconds(second);
    let oom_kill = oom_kill.to_owned();
    [Input::Pin { at, oom_kill, pinned }, Input::Tick { at }]
}

/// A kill that is not read at death: its post-mortem is final at once.
fn killed(target: &Target, second: u64) -> [Input; 2] {
    let mut kill = kill(target, second);
    if let Input::OomKill(kill) = &mut kill {
        kill.victim.read_at_death = false;
    }
    let at = Timestamp::from_unix_seconds(second);
    [kill, Input::Tick { at }]
}

/// Days of the kills that are known, and whether they are pinned.
fn known(view: &View) -> Vec<(u64, bool)> {
    let days = |post_mortem: &PostMortem| (post_mortem.kill.at.unix_millis() / 1000 - BEGIN) / DAY;
    view.post_mortems()
        .map(|post_mortem| (days(post_mortem), post_mortem.pinned))
        .collect()
}

#[test]
fn newer_kills_push_out_what_is_not_pinned() {
    let bounds = Bounds {
        post_mortems: 3,
        ..Bounds::default()
    };
    let mut engine = Engine::new(bounds, None);
    let view = run(
        &mut engine,
        (0..3).flat_map(|day| killed(&target(1), BEGIN + day * DAY)).collect(),
    );
    let first = view.post_mortems().next().unwrap().id.clone();
    run(&mut engine, pin(&first, BEGIN + 3 * DAY, true).into());
    let view = run(
        &mut engine,
        (3..6).flat_map(|day| killed(&target(1), BEGIN + day * DAY)).collect(),
    );
    assert_eq!(known(&view), [(0, true), (4, false), (5, false)]);
    run(&mut engine, pin(&first, BEGIN + 6 * DAY, false).into());
    let view = run(&mut engine, killed(&target(1), BEGIN + 6 * DAY).into());
    assert_eq!(known(&view), [(4, false), (5, false), (6, false)]);
}

#[test]
fn there_is_a_bound_of_pins() {
    let most = u64::try_from(PostMortem::MOST_PINNED).unwrap();
    let mut engine = Engine::new(Bounds::default(), None);
    let kills = (0..=most)
        .flat_map(|second| killed(&target(1), BEGIN + second))
        .collect();
    let view = run(&mut engine, kills);
    let ids: Vec<String> = view.post_mortems().map(|post_mortem| post_mortem.id.clone()).collect();
    let view = run(
        &mut engine,
        ids.iter().flat_map(|id| pin(id, BEGIN + DAY, true)).collect(),
    );
    assert_eq!(
        view.post_mortems().filter(|post_mortem| post_mortem.pinned).count(),
        PostMortem::MOST_PINNED
    );
    assert_eq!(view.losses().get("pin_bound_reached"), Some(&1));
}

#[test]
fn on_disk_it_is_kept_beyond_the_age_until_that_is_taken_back() {
    let directory = tempfile::tempdir().unwrap();
    let (mut first, writer) = engine(directory.path(), 1000, BEGIN);
    let kills = [0, 2, 4]
        .into_iter()
        .flat_map(|day| killed(&target(1), BEGIN + day * DAY));
    let view = run(&mut first, kills.collect());
    let pinned = view.post_mortems().nth(1).unwrap().id.clone();
    run(&mut first, pin(&pinned, BEGIN + 5 * DAY, true).into());
    end(first, writer);

    // Later than the bound of fourteen days: in one life, and in the next.
    for day in [25, 26] {
        let now = BEGIN + day * DAY;
        let (mut later, writer) = engine(directory.path(), 1000, now);
        let view = run(
            &mut later,
            vec![Input::Tick {
                at: Timestamp::from_unix_seconds(now),
            }],
        );
        assert_eq!(known(&view), [(2, true)], "day {day}");
        let history = later.feed.as_ref().unwrap().history();
        end(later, writer);
        let status = history.status();
        assert_eq!(status.pinned, 1);
        assert!(
            status.pinned_bytes > 0 && status.pinned_bytes <= status.bytes,
            "{status:?}"
        );
    }

    let (mut last, writer) = engine(directory.path(), 1000, BEGIN + 27 * DAY);
    run(&mut last, pin(&pinned, BEGIN + 27 * DAY, false).into());
    end(last, writer);
    let (after, writer) = engine(directory.path(), 1000, BEGIN + 28 * DAY);
    assert_eq!(known(&after.views().newest()), []);
    end(after, writer);
}
