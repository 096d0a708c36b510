//! Who may ask.

use super::fixture::Daemon;
use crate::api::guard::Transport;
use crate::config::Config;
use crate::config::Environment;
use crate::config::origin::Origin;
use crate::config::token::Token;
use axum::body::Body;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http::StatusCode;
use leakwatch_analysis::model::event::ConfigChanges;
use leakwatch_analysis::model::event::ConfigReload;
use std::sync::Arc;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

fn config(token: bool) -> Config {
    let mut config = Config::defaults(&Environment::default());
    config.api.hosts = vec!["node7.example.org".to_owned()];
    if token {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        std::fs::write(&path, TOKEN).unwrap();
        config.api.token = Some(Token::read(&path, &Origin::Default).unwrap());
    }
    config
}

async fn status(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> StatusCode {
    let request = headers.iter().fold(Request::get(path), |request, (name, value)| {
        request.header(*name, *value)
    });
    daemon.ask(request.body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn names_that_could_be_rebound_are_refused() {
    let daemon = Daemon::with_config(config(false));
    for host in [
        "127.0.0.1:7411",
        "127.0.0.1",
        "[::1]:7411",
        "localhost:7411",
        "LOCALHOST",
        "10.1.2.3",
        "node7.example.org:7411",
    ] {
        assert_eq!(
            status(&daemon, "/api/v1/status", &[("host", host)]).await,
            StatusCode::OK,
            "{host}"
        );
    }
    for host in [
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example:7411",
        "node7",
        "user@",
        "[::1",
        "",
    ] {
        assert_eq!(
            status(&daemon, "/api/v1/status", &[("host", host)]).await,
            StatusCode::FORBIDDEN,
            "{host}"
        );
    }
    assert_eq!(
        status(&daemon, "/api/v1/status", &[]).await,
        StatusCode::BAD_REQUEST,
        "no host at all"
    );
}

#[tokio::test]
async fn pages_of_others_are_refused() {
    let daemon = Daemon::with_config(config(false));
    for (origin, expected) in [
        ("http://127.0.0.1:7411", StatusCode::OK),
        ("https://127.0.0.1:7411", StatusCode::OK),
        ("http://127.0.0.1:8080", StatusCode::FORBIDDEN),
        ("http://10.0.0.1", StatusCode::FORBIDDEN),
        ("http://evil.example", StatusCode::FORBIDDEN),
        ("null", StatusCode::FORBIDDEN),
        ("", StatusCode::FORBIDDEN),
    ] {
        let headers = [("host", "127.0.0.1:7411"), ("origin", origin)];
        assert_eq!(status(&daemon, "/api/v1/targets", &headers).await, expected, "{origin}");
    }
}

/// A reload puts another token in force for the routes that are served already.
#[tokio::test]
async fn a_reload_changes_token_and_names() {
    let daemon = Daemon::with_config(config(false));
    let ask = async |host| status(&daemon, "/api/v1/status", &[("host", host)]).await;
    assert_eq!(ask("node7.example.org").await, StatusCode::OK);
    let mut reloaded = config(true);
    reloaded.api.hosts.clear();
    let reload = ConfigReload {
        at: daemon.context.now(),
        outcome: Ok(ConfigChanges::default()),
    };
    daemon.context.config.put(Arc::new(reloaded), reload);
    assert_eq!(ask("node7.example.org").await, StatusCode::FORBIDDEN);
    assert_eq!(ask("127.0.0.1").await, StatusCode::UNAUTHORIZED);
    let authorization = format!("Bearer {TOKEN}");
    let headers = [("host", "127.0.0.1"), ("authorization", authorization.as_str())];
    assert_eq!(status(&daemon, "/api/v1/status", &headers).await, StatusCode::OK);
}

#[tokio::test]
async fn a_configured_token_has_to_be_shown() {
    let daemon = Daemon::with_config(config(true));
    let basic = |text: &str| format!("Basic {}", STANDARD.encode(text));
    for (authorization, expected) in [
        (format!("Bearer {TOKEN}"), StatusCode::OK),
        (format!("bearer {TOKEN}"), StatusCode::OK),
        (basic(&format!("anybody:{TOKEN}")), StatusCode::OK),
        (basic(&format!(":{TOKEN}")), StatusCode::OK),
        (basic(TOKEN), StatusCode::UNAUTHORIZED),
        (basic(&format!("{TOKEN}:")), StatusCode::UNAUTHORIZED),
        (format!("Bearer {TOKEN}0"), StatusCode::UNAUTHORIZED),
        ("Bearer ".to_owned(), StatusCode::UNAUTHORIZED),
        ("Basic !!!".to_owned(), StatusCode::UNAUTHORIZED),
        (TOKEN.to_owned(), StatusCode::UNAUTHORIZED),
    ] {
        let headers = [("host", "127.0.0.1"), ("authorization", authorization.as_str())];
        for path in [
            "/api/v1/targets",
            "/metrics",
            "/api/openapi.json",
            "/pprof/1111aaaa/heap",
        ] {
            assert_eq!(
                status(&daemon, path, &headers).await,
                expected,
                "{path} with {authorization}"
            );
        }
    }
    let refused = daemon.get("/api/v1/targets").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(refused.headers.get_all("www-authenticate").iter().count() == 2);
    assert!(!refused.text().contains("leaking"));
    assert_eq!(
        daemon.get("/healthz").await.status,
        StatusCode::OK,
        "orchestrators have no token"
    );
    assert_eq!(daemon.get("/readyz").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_page_asks_for_the_token_itself() {
    let daemon = Daemon::with_config(config(true));
    for (path, accept, content_type, part) in [
        (
            "/",
            "text/html,*/*;q=0.8",
            "text/html; charset=utf-8",
            "<div id=\"page\">",
        ),
        ("/", "*/*", "text/plain; charset=utf-8", "/api/v1/targets"),
        ("/leakwatch.js", "*/*", "text/javascript; charset=utf-8", "/api/v1"),
        ("/leakwatch.css", "text/css", "text/css; charset=utf-8", "--paper"),
    ] {
        let request = |tag: Option<&http::HeaderValue>| {
            let request = Request::get(path).header("host", "127.0.0.1").header("accept", accept);
            let request = tag
                .into_iter()
                .fold(request, |request, tag| request.header("if-none-match", tag));
            request.body(Body::empty()).unwrap()
        };
        let answer = daemon.ask(request(None)).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        assert_eq!(answer.headers["content-type"], content_type, "{path}");
        assert!(answer.text().contains(part), "{path}");
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(
            policy.contains("default-src 'none'") && !policy.contains("unsafe"),
            "{policy}"
        );
        let again = daemon.ask(request(answer.headers.get("etag"))).await;
        assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}");
    }
    assert_eq!(daemon.get("/leakwatch.map").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_unix_socket_is_guarded_by_its_permissions() {
    let daemon = Daemon::with_config(config(true));
    let request = Request::get("/api/v1/targets")
        .extension(Transport::Unix)
        .body(Body::empty())
        .unwrap();
    assert_eq!(daemon.ask(request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn streams_are_bounded_and_freed() {
    let daemon = Daemon::new();
    let open = async || {
        let request = Request::get("/api/v1/stream")
            .header("host", "127.0.0.1")
            .body(Body::empty())
            .unwrap();
        tower::ServiceExt::oneshot(daemon.router.clone(), request)
            .await
            .unwrap()
    };
    let mut streams = Vec::new();
    for _ in 0..crate::api::context::MAX_STREAMS {
        streams.push(open().await);
    }
    assert!(streams.iter().all(|stream| stream.status() == StatusCode::OK));
    let refused = open().await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(refused.headers().contains_key("retry-after"));
    streams.pop();
    assert_eq!(open().await.status(), StatusCode::OK);
}
