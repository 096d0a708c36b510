//! Mutes and overrules of services: made, listed, shown where they have an effect, taken back.

use super::check::body;
use super::check::has_fields;
use super::check::is_instant;
use super::fixture::Daemon;
use super::fixture::LEAKING;
use http::Request;
use http::StatusCode;
use serde_json::Value;
use serde_json::json;

async fn delete(daemon: &Daemon, path: &str) -> super::fixture::Answer {
    let request = Request::delete(path).header("host", "localhost:7411");
    daemon.ask(request.body(axum::body::Body::empty()).unwrap()).await
}

async fn post(daemon: &Daemon, path: &str, sent: &Value) -> super::fixture::Answer {
    daemon.post(path, sent.to_string()).await
}

/// Lines of the metric of a family.
async fn metric(daemon: &Daemon, name: &str) -> Vec<String> {
    let text = daemon.get("/metrics").await.text();
    let lines = text.lines().filter(|line| line.starts_with(&format!("{name}{{")));
    lines.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_mute_labels_and_hides_nothing() {
    let daemon = Daemon::before_the_kill();
    let path = format!("/api/v1/targets/{LEAKING}");
    let before = body(&daemon, &path).await;
    assert!(
        before["muted"].is_null() && before["missing"]["muted"].is_object(),
        "{before:#}"
    );
    let leaks = metric(&daemon, "leakwatch_target_leak").await;
    assert!(leaks.len() == 1 && leaks[0].contains(r#"muted="false""#), "{leaks:?}");

    let asked = json!({"service": "checkout", "reason": "fixed in the next release", "for_seconds": 3600});
    let answer = post(&daemon, "/api/v1/mutes", &asked).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let mute = answer.json();
    has_fields(
        &mute,
        &[
            "/id",
            "/service",
            "/version",
            "/reason",
            "/made_at",
            "/until",
            "/missing/version",
        ],
    );
    is_instant(&mute["until"]);

    let target = body(&daemon, &path).await;
    assert_eq!(target["muted"], mute);
    assert_eq!(target["verdict"]["class"], "go_heap_leak");
    assert_eq!(target["fingerprint"], before["fingerprint"]);
    let leaks = metric(&daemon, "leakwatch_target_leak").await;
    assert!(leaks.len() == 1 && leaks[0].contains(r#"muted="true""#), "{leaks:?}");
    assert_eq!(metric(&daemon, "leakwatch_target_muted").await.len(), 3, "all replicas");
    let listed = body(&daemon, "/api/v1/mutes").await;
    assert_eq!(listed["items"], json!([mute]));
    let events = body(&daemon, "/api/v1/events?kinds=ruling").await;
    assert_eq!(events["items"][0]["detail"]["change"], "made");
    assert_eq!(events["items"][0]["detail"]["service"], "checkout");

    let path = format!("/api/v1/mutes/{}", mute["id"].as_str().unwrap());
    assert_eq!(delete(&daemon, &path).await.json(), mute);
    assert_eq!(delete(&daemon, &path).await.status, StatusCode::NOT_FOUND);
    assert_eq!(body(&daemon, "/api/v1/mutes").await["items"], json!([]));
    assert!(metric(&daemon, "leakwatch_target_muted").await.is_empty());
    let events = body(&daemon, "/api/v1/events?kinds=ruling").await;
    assert_eq!(events["items"][0]["detail"]["change"], "taken_back");
}

#[tokio::test]
async fn a_version_is_muted_by_any_of_its_names() {
    let daemon = Daemon::before_the_kill();
    for (version, muted) in [("8f2d", 3), ("(devel)", 3), ("9", 0)] {
        let asked = json!({"service": "checkout", "version": version, "reason": "known", "for_seconds": 60});
        let mute = post(&daemon, "/api/v1/mutes", &asked).await.json();
        assert_eq!(
            metric(&daemon, "leakwatch_target_muted").await.len(),
            muted,
            "{version}"
        );
        delete(&daemon, &format!("/api/v1/mutes/{}", mute["id"].as_str().unwrap())).await;
    }
}

#[tokio::test]
async fn an_overrule_answers_for_all_replicas_and_undone_leads_back() {
    let daemon = Daemon::before_the_kill();
    let step = async |id: &str| {
        let made = body(&daemon, &format!("/api/v1/targets/{id}/investigation")).await;
        let steps = made["steps"].as_array().unwrap();
        let step = steps.iter().find(|step| step["id"] == "memory").unwrap();
        (
            step["answer"].clone(),
            step["answered_by"].clone(),
            made["verdict"]["class"].clone(),
        )
    };
    let before = [step(LEAKING).await, step("2222bbbb").await];
    let asked =
        json!({"service": "checkout", "step": "memory", "answer": "no", "reason": "a cache", "for_seconds": 60});
    let answer = post(&daemon, "/api/v1/overrules", &asked).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text());
    let overrule = answer.json();
    assert_eq!(
        (&overrule["step"], &overrule["answer"]),
        (&json!("memory"), &json!("no"))
    );
    for id in [LEAKING, "2222bbbb"] {
        let (answer, by, _) = step(id).await;
        assert_eq!((answer, by), (json!("no"), json!("user")), "{id}");
    }
    assert_eq!(body(&daemon, "/api/v1/overrules").await["items"], json!([overrule]));
    assert_eq!(
        body(&daemon, "/api/v1/mutes").await["items"],
        json!([]),
        "it is no mute"
    );
    let id = overrule["id"].as_str().unwrap();
    let as_mute = delete(&daemon, &format!("/api/v1/mutes/{id}")).await;
    assert_eq!(as_mute.status, StatusCode::NOT_FOUND);

    // What is said of one target alone goes before it.
    let path = format!("/api/v1/targets/{LEAKING}/investigation/answers");
    post(&daemon, &path, &json!({"step": "memory", "answer": "yes"})).await;
    assert_eq!(step(LEAKING).await.0, json!("yes"));
    post(&daemon, &path, &json!({"step": "memory", "answer": null})).await;
    assert_eq!(step(LEAKING).await.0, json!("no"));

    delete(&daemon, &format!("/api/v1/overrules/{id}")).await;
    assert_eq!([step(LEAKING).await, step("2222bbbb").await], before);
}

#[tokio::test]
async fn what_says_too_little_is_refused() {
    let daemon = Daemon::new();
    let mute = json!({"service": "checkout", "reason": "known", "for_seconds": 60});
    let overrule =
        json!({"service": "checkout", "reason": "known", "for_seconds": 60, "step": "memory", "answer": "no"});
    for (path, whole, field, value) in [
        ("/api/v1/mutes", &mute, "service", json!("")),
        ("/api/v1/mutes", &mute, "reason", json!("")),
        ("/api/v1/mutes", &mute, "reason", json!("x".repeat(257))),
        ("/api/v1/mutes", &mute, "version", json!("")),
        ("/api/v1/mutes", &mute, "for_seconds", json!(0)),
        ("/api/v1/mutes", &mute, "for_seconds", json!(31_536_001)),
        ("/api/v1/overrules", &overrule, "step", json!("nonsense")),
        ("/api/v1/overrules", &overrule, "answer", json!("unknown")),
    ] {
        let mut sent = whole.clone();
        sent[field] = value;
        let answer = post(&daemon, path, &sent).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{sent}: {}", answer.text());
        assert_eq!(answer.json()["parameter"], field, "{sent}");
    }
    for (path, sent) in [
        ("/api/v1/mutes", json!({"service": "checkout", "for_seconds": 60})),
        ("/api/v1/mutes", overrule),
        ("/api/v1/overrules", mute),
    ] {
        let answer = post(&daemon, path, &sent).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{sent}: {}", answer.text());
    }
}

#[tokio::test]
async fn there_are_at_most_so_many() {
    let daemon = Daemon::new();
    let mute = json!({"service": "checkout", "reason": "known", "for_seconds": 60});
    for _ in 0..crate::store::rulings::Rulings::MOST {
        assert_eq!(post(&daemon, "/api/v1/mutes", &mute).await.status, StatusCode::CREATED);
    }
    let answer = post(&daemon, "/api/v1/mutes", &mute).await;
    assert_eq!(answer.status, StatusCode::CONFLICT, "{}", answer.text());
}
