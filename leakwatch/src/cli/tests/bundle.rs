//! A bundle of one daemon, opened elsewhere: the same verdict, and the same answers of API and command line.

use super::plain;
use crate::api;
use crate::api::tests::fixture::Daemon;
use crate::api::tests::fixture::LEAKING;
use crate::api::tests::fixture::story;
use crate::api::tests::past;
use crate::cli::args::ReplayArgs;
use crate::cli::error::CliError;
use crate::cli::exit::Exit;
use crate::cli::offline;
use crate::cli::replay;
use crate::cli::replay::Played;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Environment;
use crate::engine::Engine;
use crate::input::Input;
use crate::store::Bounds;
use http::StatusCode;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use serde_json::Value;
use std::path::Path;
use std::path::PathBuf;

fn args(file: PathBuf) -> ReplayArgs {
    ReplayArgs {
        file,
        until: None,
        serve: None,
    }
}

async fn json(daemon: &Daemon, path: &str) -> Value {
    let answer = daemon.get(path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text());
    answer.json()
}

/// Saves a bundle of a target and opens it.
async fn opened(daemon: &Daemon, target: &str, directory: &Path) -> Played {
    let answer = daemon.get(&format!("/api/v1/targets/{target}/bundle")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let file = directory.join("bundle");
    std::fs::write(&file, &answer.body).unwrap();
    replay::play(&args(file), plain()).unwrap()
}

fn served(known: offline::Known) -> (Daemon, offline::Offline) {
    let offline = offline::open(known, Config::defaults(&Environment::default())).unwrap();
    let context = offline.context.clone();
    let router = api::router(context.clone());
    (Daemon { router, context }, offline)
}

/// A daemon that watches a leak, before its kill.
fn leaking() -> Daemon {
    let clock = Clock::start();
    let mut engine = Engine::new(Bounds::default(), None);
    for input in story(clock.now()) {
        let is_last = matches!(input, Input::Tick { .. });
        engine.apply(input);
        if is_last {
            break;
        }
    }
    let disk = Missing::new(MissingReason::NotConfigured, "not in this test");
    Daemon::of(engine, clock, Config::defaults(&Environment::default()), Err(disk))
}

#[tokio::test]
async fn a_leak_is_found_again_elsewhere_to_the_last_number() {
    let (daemon, directory) = (leaking(), tempfile::tempdir().unwrap());
    let here = daemon.get(&format!("/api/v1/targets/{LEAKING}/investigation")).await;
    let Played { body, text, known } = opened(&daemon, LEAKING, directory.path()).await;
    let [made] = &body.investigations[..] else {
        panic!("{text}")
    };
    assert_eq!(serde_json::to_string(made).unwrap(), here.text(), "byte for byte");
    let here = here.json();
    assert_eq!(made.verdict.class, "go_heap_leak");
    assert_eq!(body.bundle.as_ref().unwrap().identical, Some(true));
    assert_eq!(replay::exit(&body), Exit::LeakFound);
    assert!(
        text.contains("and is the same") && text.contains("main.getOrQueryMarketsValues"),
        "{text}"
    );
    assert_eq!(body.host.as_ref().unwrap().node_name.as_deref(), Some("node-1"));

    let (elsewhere, _offline) = served(known);
    let id = here["target"].as_str().unwrap();
    for path in [
        format!("/api/v1/targets/{id}"),
        format!("/api/v1/targets/{id}/investigation"),
        format!("/api/v1/targets/{id}/ledger"),
        format!("/api/v1/targets/{id}/profiles"),
        format!("/api/v1/targets/{id}/profiles/heap?format=top"),
        format!("/api/v1/targets/{id}/diff"),
        format!("/api/v1/targets/{id}/series?metrics=charge_bytes,go_heap_live_bytes"),
        "/api/v1/services/checkout".to_owned(),
        "/api/v1/services/checkout/runs".to_owned(),
        "/api/v1/events?target=".to_owned() + id,
    ] {
        assert_eq!(json(&elsewhere, &path).await, json(&daemon, &path).await, "{path}");
    }
    assert!(elsewhere.get("/").await.status.is_success());
    // A person may overrule it there, too.
    let answers = format!("/api/v1/targets/{id}/investigation/answers");
    let overruled = elsewhere.post(&answers, r#"{"step":"live_heap","answer":"no"}"#).await;
    assert_eq!(overruled.status, StatusCode::OK, "{}", overruled.text());
    assert_ne!(overruled.json()["verdict"]["class"], "go_heap_leak");
}

#[tokio::test]
async fn what_was_killed_is_shown_as_it_was() {
    let (daemon, directory) = (Daemon::new(), tempfile::tempdir().unwrap());
    let here = json(&daemon, &format!("/api/v1/targets/{LEAKING}")).await;
    let Played { body, known, .. } = opened(&daemon, LEAKING, directory.path()).await;
    assert_eq!(body.bundle.as_ref().unwrap().identical, None);
    let made = &body.investigations[0].verdict;
    assert_eq!(made.class, here["verdict"]["class"].as_str().unwrap());
    assert_eq!(made.summary, here["verdict"]["summary"].as_str().unwrap());
    let (elsewhere, _offline) = served(known);
    let kills = json(&elsewhere, "/api/v1/oom_kills").await;
    let id = kills["items"][0]["id"].as_str().unwrap();
    let path = format!("/api/v1/oom_kills/{id}/profiles/heap?format=top");
    assert_eq!(json(&elsewhere, &path).await, json(&daemon, &path).await);
}

#[tokio::test]
async fn what_was_on_disk_only_is_in_the_bundle() {
    let (state, directory) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let daemon = past::remade(state.path());
    let runs = json(&daemon, "/api/v1/services/checkout/runs").await;
    let id = runs["items"][0]["target"].as_str().unwrap();
    let here = daemon.get(&format!("/api/v1/targets/{id}/investigation")).await;
    let Played { body, known, .. } = opened(&daemon, id, directory.path()).await;
    assert_eq!(body.bundle.as_ref().unwrap().identical, Some(true));
    assert_eq!(serde_json::to_string(&body.investigations[0]).unwrap(), here.text());
    let here = here.json();
    let (elsewhere, _offline) = served(known);
    let begin = runs["items"][0]["started_at"].as_str().unwrap();
    let end = here["at"].as_str().unwrap();
    let range = format!("from={begin}&to={end}");
    for path in [
        "/api/v1/services/checkout/runs".to_owned(),
        format!("/api/v1/targets/{id}/series?step=10&metrics=charge_bytes,go_heap_live_bytes&{range}"),
        format!("/api/v1/targets/{id}/profiles?type=heap&{range}"),
    ] {
        let (there, here) = (json(&elsewhere, &path).await, json(&daemon, &path).await);
        for list in ["items", "at", "series"] {
            assert_eq!(there[list], here[list], "{path}: {list}");
        }
    }
}

#[tokio::test]
async fn a_bundle_that_was_changed_is_refused() {
    let (daemon, directory) = (leaking(), tempfile::tempdir().unwrap());
    let bytes = daemon.get(&format!("/api/v1/targets/{LEAKING}/bundle")).await.body;
    let file = directory.path().join("bundle");
    let play = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        replay::play(&args(file.clone()), plain())
    };
    let refused = |bytes: &[u8]| matches!(play(bytes), Err(CliError::Bundle { .. }));
    let whole = play(&bytes).unwrap().text;
    for end in [8, 20, bytes.len() / 2, bytes.len() - 1] {
        assert!(refused(bytes.get(..end).unwrap()), "cut off at {end}");
    }
    // Who made it stands before what is checked, and some bits of the compression mean nothing.
    let mut flagged = 0;
    for place in (120..bytes.len()).step_by(97) {
        let mut changed = bytes.to_vec();
        changed[place] ^= 4;
        match play(&changed) {
            Ok(played) => assert_eq!(played.text, whole, "a bit changed at {place}"),
            Err(CliError::Bundle { .. }) => flagged += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(flagged > 20, "{flagged}");
    let mut newer = bytes.to_vec();
    newer[7] = 9;
    assert!(refused(&newer));
}
