//! Pinning an OOM kill, and taking that back.

use super::check::body;
use super::fixture::Daemon;
use http::Request;
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn a_kill_is_pinned_until_that_is_taken_back() {
    let daemon = Daemon::new();
    let kill = body(&daemon, "/api/v1/oom_kills").await["items"][0].clone();
    assert_eq!(kill["pinned"], false);
    let id = kill["id"].as_str().unwrap();
    let (one, pin) = (format!("/api/v1/oom_kills/{id}"), format!("/api/v1/oom_kills/{id}/pin"));
    for _twice in 0..2 {
        let answer = daemon.post(&pin, String::new()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        assert_eq!(answer.json()["pinned"], true);
        assert_eq!(body(&daemon, &one).await["pinned"], true);
    }
    let delete = |path: &str| {
        let request = Request::delete(path.to_owned()).header("host", "localhost:7411");
        daemon.ask(request.body(axum::body::Body::empty()).unwrap())
    };
    let answer = delete(&pin).await;
    assert_eq!(
        (answer.status, &answer.json()["pinned"]),
        (StatusCode::OK, &json!(false))
    );
    assert_eq!(body(&daemon, &one).await["pinned"], false);
    let unknown = delete("/api/v1/oom_kills/nobody/pin").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
}
