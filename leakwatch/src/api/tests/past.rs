//! What is no longer in memory is served from disk: runs of containers that are gone, their samples and profiles.

use super::check::body;
use super::fixture::Daemon;
use super::fixture::MIB;
use super::fixture::heap;
use super::fixture::process;
use super::fixture::replica;
use super::fixture::sample;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Environment;
use crate::engine::Engine;
use crate::input::Input;
use crate::input::TakenProfile;
use crate::store::Bounds;
use crate::store::disk::feed::Feed;
use crate::store::disk::feed::Opened;
use crate::store::disk::restore::Axis;
use crate::store::disk::retention::Limits;
use http::StatusCode;
use leakwatch_analysis::model::decoded::ProfileContent;
use leakwatch_analysis::model::profile::ProfileLoss;
use leakwatch_analysis::model::profile::ProfileSource;
use leakwatch_analysis::model::profile::ProfileType;
use leakwatch_analysis::model::target::Process;
use leakwatch_analysis::model::target::Target;
use leakwatch_analysis::model::units::Timestamp;
use serde_json::Value;
use serde_json::json;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Of each container.
const LIFE: Duration = Duration::from_mins(20);
const STEP: Duration = Duration::from_secs(10);
const CONTAINERS: u32 = 10;

/// A container of the service and its process.
fn container(number: u32, from: Timestamp) -> (Target, Process) {
    let target = replica(&format!("{number:08x}"), 100 + u64::from(number), from);
    (target, process(5000 + number, from, "checkout", true))
}

/// Its life from start to end; it retains more and more.
fn life(number: u32, from: Timestamp, ends: bool) -> Vec<Input> {
    let (target, process) = container(number, from);
    let mut inputs = vec![Input::TargetSeen {
        at: from,
        target: target.clone(),
    }];
    let steps = u32::try_from(LIFE.as_secs() / STEP.as_secs()).unwrap();
    for step in 0..steps {
        let at = from.plus(STEP * step);
        inputs.push(sample(&target, &process, step.into(), at, (60 + u64::from(step)) * MIB));
        if step % 3 == 0 {
            inputs.push(Input::Profile(TakenProfile {
                at,
                target: target.id(),
                process: process.key,
                profile_type: ProfileType::Heap,
                source: ProfileSource::Snapshot,
                profile: Ok(profile(number, step)),
            }));
        }
        inputs.push(Input::Tick { at });
    }
    if ends {
        let at = from.plus(LIFE);
        inputs.push(Input::TargetGone {
            at,
            target: target.id(),
        });
        inputs.push(Input::Tick { at });
    }
    inputs
}

/// Of one container something is missing in each profile.
const INCOMPLETE: u32 = 3;

fn profile(number: u32, step: u32) -> Arc<ProfileContent> {
    let mut content = heap(u64::from(1 + step) * MIB);
    // Half of the containers are of another build.
    let build = if number < CONTAINERS / 2 { "old" } else { "new" };
    Arc::make_mut(&mut content).summary.program.build_id = build.into();
    if number == INCOMPLETE {
        let content = Arc::make_mut(&mut content);
        content.summary.losses.extend(ProfileLoss::of(ProfileLoss::LOST, 3));
    }
    content
}

/// What the profile says that a container had at an instant: the fixture's other stack holds 20 MiB.
fn expected_total(begin: &Value, at: &Value) -> i64 {
    let nanos = |value: &Value| {
        let instant: crate::dto::instant::Instant = value.as_str().unwrap().parse().unwrap();
        instant.0.unix_millis()
    };
    let step = (nanos(at) - nanos(begin)) / u64::try_from(STEP.as_millis()).unwrap();
    i64::try_from((1 + step + 20) * MIB).unwrap()
}

/// The runs of the service, the oldest first.
async fn runs(daemon: &Daemon) -> Vec<Value> {
    let page = body(daemon, "/api/v1/services/checkout/runs").await;
    let mut runs = page["items"].as_array().unwrap().clone();
    runs.reverse();
    runs
}

#[tokio::test]
async fn profiles_of_a_target_that_is_forgotten_are_listed_fetched_and_compared() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = remade(directory.path());
    let runs = runs(&daemon).await;
    for (number, run) in runs.iter().enumerate().take(CONTAINERS as usize) {
        let (id, begin) = (run["target"].as_str().unwrap(), &run["started_at"]);
        let list = body(&daemon, &format!("/api/v1/targets/{id}/profiles?type=heap")).await;
        let items = list["items"].as_array().unwrap();
        assert!(items.len() >= 2, "the first and the last at least: {list:#}");
        for item in items {
            assert_eq!(item["total"], expected_total(begin, &item["at"]), "{item:#}");
            assert_eq!((&item["samples"], &item["source"]), (&json!(2), &json!("snapshot")));
            assert_eq!(item["process"], run["process"]);
            let lost = number == INCOMPLETE as usize;
            assert_eq!(item["complete"], !lost);
            assert_eq!(item["losses"].as_array().unwrap().len(), usize::from(lost));
            let top = body(&daemon, &format!("{}&format=top", item["link"].as_str().unwrap())).await;
            assert_eq!((&top["at"], &top["total"]), (&item["at"], &item["total"]));
            assert_eq!(top["losses"], item["losses"]);
        }
        let (newest, first) = (items.first().unwrap(), items.last().unwrap());
        let diff = body(&daemon, &format!("/api/v1/targets/{id}/diff?max_nodes=10")).await;
        for (side, item) in [("base", first), ("compare", newest)] {
            assert_eq!((&diff[side]["at"], &diff[side]["total"]), (&item["at"], &item["total"]));
            assert_eq!(diff[side]["target"], id);
        }
        assert_eq!(diff["top"][0]["function"], "main.getOrQueryMarketsValues");
        let pages = body(&daemon, &format!("/api/v1/targets/{id}/profiles?type=heap&limit=1")).await;
        let next = pages["next_cursor"].as_str().unwrap();
        let second = body(
            &daemon,
            &format!("/api/v1/targets/{id}/profiles?type=heap&limit=1&cursor={next}"),
        )
        .await;
        assert_eq!(second["items"][0], items[1]);
    }
    let id = runs[0]["target"].as_str().unwrap();
    let none = daemon.get(&format!("/api/v1/targets/{id}/profiles/goroutine")).await;
    assert_eq!(none.status, StatusCode::CONFLICT);
    assert!(none.text().contains("none of it is kept"), "{}", none.text());
    let start = id.get(..id.len() - 1).unwrap();
    assert_eq!(
        daemon.get(&format!("/api/v1/targets/{start}/profiles")).await.status,
        StatusCode::NOT_FOUND
    );
}

#[tokio::test]
async fn the_present_run_is_compared_with_a_target_that_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = remade(directory.path());
    let runs = runs(&daemon).await;
    let (past, present) = (&runs[0], &runs[10]);
    let (id, other) = (present["target"].as_str().unwrap(), past["target"].as_str().unwrap());
    let diff = body(&daemon, &format!("/api/v1/targets/{id}/diff?base_target={other}")).await;
    assert_eq!(
        (&diff["base"]["target"], &diff["compare"]["target"]),
        (&json!(other), &json!(id))
    );
    for (side, run) in [("base", past), ("compare", present)] {
        let total = expected_total(&run["started_at"], &diff[side]["at"]);
        assert_eq!(diff[side]["total"], total, "{side}");
    }
    let (base, compare) = (&diff["tree"]["base"], &diff["tree"]["compare"]);
    assert_eq!((base, compare), (&diff["base"]["total"], &diff["compare"]["total"]));
    assert_eq!(diff["matched_by"], "function", "they are of different builds");
    let sibling = runs[7]["target"].as_str().unwrap();
    let same = body(
        &daemon,
        &format!("/api/v1/targets/{id}/diff?base_target={sibling}&max_nodes=2"),
    )
    .await;
    assert_eq!(same["matched_by"], "line");
    let begin = past["started_at"].as_str().unwrap();
    let first = body(
        &daemon,
        &format!("/api/v1/targets/{id}/diff?base_target={other}&base={begin}"),
    )
    .await;
    assert_eq!(first["base"]["at"], begin, "the nearest to that instant");
    let unknown = daemon
        .get(&format!("/api/v1/targets/{id}/diff?base_target=nobody"))
        .await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}

/// Remembers little: the rest is on disk.
const FORGETFUL: Bounds = Bounds {
    targets: 2_000,
    gone_targets: 1,
    gone_for: Duration::from_hours(6),
    events: 10_000,
    post_mortems: 500,
    profile_bytes: 20 << 20,
    runs_per_service: 2,
    runs: 8,
    final_states: 16,
};

fn open(directory: &Path, clock: Clock) -> (Engine, Disk) {
    let limits = Limits {
        max_bytes: 64 << 20,
        max_age: Duration::from_hours(24 * 14),
    };
    let axis = Axis {
        boot_id: "boot".to_owned(),
        boot_unix_nanos: clock.boot_unix_nanos(),
    };
    let Opened { feed, restored, writer } = Feed::open(directory, limits, &axis, clock.now()).unwrap();
    let history = feed.history();
    let mut engine = Engine::new(FORGETFUL, None);
    engine.keep(feed, restored);
    (engine, Disk { history, writer })
}

struct Disk {
    history: crate::store::disk::history::History,
    writer: std::thread::JoinHandle<()>,
}

/// A service whose container was made anew ten times and runs in an eleventh, as a daemon sees it that was started just now.
pub(crate) fn remade(directory: &Path) -> Daemon {
    let clock = Clock::start();
    let begin = clock.now().minus(LIFE * (CONTAINERS + 1));
    for number in 0..=CONTAINERS {
        let (mut engine, disk) = open(directory, clock);
        for input in life(number, begin.plus(LIFE * number), number < CONTAINERS) {
            engine.apply(input);
        }
        drop(engine);
        disk.writer.join().unwrap();
    }
    let (mut engine, disk) = open(directory, clock);
    let (target, process) = container(CONTAINERS, begin.plus(LIFE * CONTAINERS));
    let at = begin.plus(LIFE * (CONTAINERS + 1));
    let again = sample(&target, &process, 0, at, 180 * MIB);
    for input in [Input::TargetSeen { at, target }, again, Input::Tick { at }] {
        engine.apply(input);
    }
    let config = Config::defaults(&Environment::default());
    Daemon::of(engine, clock, config, Ok(disk.history))
}

#[tokio::test]
async fn a_container_made_anew_ten_times_has_its_runs_listed() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = remade(directory.path());
    let page = body(&daemon, "/api/v1/services/checkout/runs").await;
    let runs = page["items"].as_array().unwrap();
    let pids: Vec<u64> = runs.iter().map(|run| run["pid"].as_u64().unwrap()).collect();
    assert_eq!(
        pids,
        (5000..=5010).rev().collect::<Vec<u64>>(),
        "newest first, each once"
    );
    assert!(page["next_cursor"].is_null());
    let (present, past) = runs.split_first().unwrap();
    assert!(present["ended_by"].is_null());
    let known = present["age_seconds"].as_array().unwrap().len();
    assert!(known > 5, "the course of a run goes on after a restart: {present:#}");
    for run in past {
        assert_eq!(run["ended_by"], "exit", "{run:#}");
        assert_eq!(run["exe"], "/usr/bin/checkout");
        let version = if run["pid"].as_u64() < Some(5005) { "old" } else { "new" };
        assert_eq!(run["version"], version);
        let of = |field: &str| run[field].as_array().unwrap();
        let (age, memory) = (of("age_seconds"), of("memory_bytes"));
        assert!(age.len() > 5 && age.len() == memory.len());
        for course in ["live_heap_bytes", "goroutines", "allocated_bytes"] {
            assert_eq!(of(course).len(), age.len(), "{course}");
        }
        assert!(memory.first().unwrap().as_u64() < memory.last().unwrap().as_u64());
        assert_eq!(run["peak_bytes"], *memory.last().unwrap());
    }
    let mut paged = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = body(&daemon, &format!("/api/v1/services/checkout/runs?limit=3{cursor}")).await;
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, runs);
    let last_hour = body(&daemon, "/api/v1/services/checkout/runs?from=-50m").await;
    assert_eq!(
        last_hour["items"].as_array().unwrap().len(),
        3,
        "those that lasted into it"
    );
}

#[tokio::test]
async fn replicas_that_are_gone_have_their_line_over_the_same_steps() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = remade(directory.path());
    let path = "/api/v1/services/checkout/series?from=-240m&step=60&metrics=charge_bytes,go_heap_live_bytes";
    let set = body(&daemon, path).await;
    let lines = set["replicas"].as_array().unwrap();
    assert_eq!(lines.len(), CONTAINERS as usize + 1);
    assert_eq!(lines.iter().filter(|line| line["living"] == true).count(), 1);
    let steps = set["at"].as_array().unwrap().len();
    for line in lines {
        let series = line["series"].as_array().unwrap();
        assert_eq!(series.len(), 2);
        for series in series {
            let values = series["values"].as_array().unwrap();
            assert_eq!(values.len(), steps);
            let known = values.iter().filter(|value| !value.is_null()).count();
            assert!(
                (15..=21).contains(&known),
                "{known} of {} in {line:#}",
                series["metric"]
            );
        }
    }
    let one = body(&daemon, "/api/v1/services/checkout/series").await;
    assert!(
        one["replicas"]
            .as_array()
            .unwrap()
            .iter()
            .any(|line| line["living"] == true)
    );
    for path in ["/api/v1/services/nobody/runs", "/api/v1/services/nobody/series"] {
        assert_eq!(daemon.get(path).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    let refused = daemon.get("/api/v1/services/checkout/runs?cursor=zzz").await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "a cursor that names no page");
}

#[tokio::test]
async fn who_comes_when_too_many_read_is_sent_away_and_told_when_to_come_back() {
    let daemon = Daemon::new();
    let reading = daemon.context.reading();
    let places = u32::try_from(reading.available_permits()).unwrap();
    let taken = Arc::clone(&reading).acquire_many_owned(places).await.unwrap();
    let refused = daemon.get("/api/v1/services/checkout/runs").await;
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(refused.header("retry-after"), "1");
    drop(taken);
    let page: Value = body(&daemon, "/api/v1/services/checkout/runs").await;
    assert_eq!(
        page["items"].as_array().unwrap().len(),
        3,
        "without a store those that memory knows"
    );
}

#[tokio::test]
async fn a_new_build_is_a_deploy_and_a_container_knows_the_one_before_it() {
    let directory = tempfile::tempdir().unwrap();
    let daemon = remade(directory.path());
    let deploys = body(&daemon, "/api/v1/events?kinds=deploy").await;
    let [deploy] = &deploys["items"].as_array().unwrap()[..] else {
        panic!("once, whatever daemon saw it: {deploys:#}")
    };
    let runs = runs(&daemon).await;
    assert_eq!(deploy["target"], runs[5]["target"]);
    assert_eq!(
        deploy["detail"],
        json!({"service": "checkout", "from_version": "old", "to_version": "new"})
    );
    let id = runs[10]["target"].as_str().unwrap();
    let target = body(&daemon, &format!("/api/v1/targets/{id}")).await;
    assert_eq!(target["predecessor"], runs[9]["target"]);
}
