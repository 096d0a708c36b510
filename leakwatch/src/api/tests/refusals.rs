//! What a client may not send: always a problem document, never a 500.

use super::fixture::Daemon;
use super::fixture::LEAKING;
use axum::body::Body;
use http::Request;
use http::StatusCode;
use proptest::prelude::ProptestConfig;
use proptest::prop_assert;
use proptest::prop_assert_eq;
use proptest::test_runner::TestRunner;

#[tokio::test]
async fn bad_parameters_are_named() {
    let daemon = Daemon::new();
    let target = format!("/api/v1/targets/{LEAKING}");
    for (path, parameter) in [
        ("/api/v1/targets?limit=0".to_owned(), "limit"),
        ("/api/v1/targets?limit=99999999999999999999999".to_owned(), "limit"),
        ("/api/v1/targets?limit=-1".to_owned(), "limit"),
        ("/api/v1/targets?kind=pod".to_owned(), "kind"),
        ("/api/v1/targets?verdict=leak".to_owned(), "verdict"),
        ("/api/v1/targets?sort=--name".to_owned(), "sort"),
        ("/api/v1/targets?service=".to_owned(), "service"),
        ("/api/v1/targets?limit=1&limit=2".to_owned(), "limit"),
        ("/api/v1/targets?colour=red".to_owned(), "colour"),
        ("/api/v1/events?kinds=oom_kill,nonsense".to_owned(), "kinds"),
        ("/api/v1/events?from=yesterday".to_owned(), "from"),
        (format!("{target}/series?metrics=charge_bytes,"), "metrics"),
        (format!("{target}/series?step=0"), "step"),
        (format!("{target}/series?step=NaN"), "step"),
        (format!("{target}/series?from=0&step=1"), "step"),
        (format!("{target}/series?from=now&to=-1h"), "from"),
        (format!("{target}/ledger?at=soon"), "at"),
        (format!("{target}/profiles?type=cpu"), "type"),
        (format!("{target}/profiles/heap?format=svg"), "format"),
        (format!("{target}/profiles/heap?value=objects"), "value"),
        (format!("{target}/diff?max_nodes=1"), "max_nodes"),
        (format!("{target}/diff?base=1e400"), "base"),
        (format!("/pprof/{LEAKING}/heap?at=%00"), "at"),
    ] {
        let answer = daemon.get(&path).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path}: {}", answer.text());
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        let problem = answer.json();
        assert_eq!(problem["parameter"], parameter, "{path}");
        assert_eq!(problem["status"], 400, "{path}");
        for field in ["type", "title", "detail"] {
            assert!(
                problem[field].as_str().is_some_and(|text| !text.is_empty()),
                "{path}: {field}"
            );
        }
    }
}

#[tokio::test]
async fn unknown_ids_routes_and_methods() {
    let daemon = Daemon::new();
    for path in [
        "/api/v1/targets/nobody",
        "/api/v1/targets/99999",
        "/api/v1/targets/%2Fno%2Fsuch",
        "/api/v1/targets/nobody/investigation",
        "/api/v1/services/nobody",
        "/api/v1/oom_kills/nobody",
        "/api/v1/captures/nobody",
        "/api/v1/events?target=nobody",
        "/api/v2/targets",
        "/api/v1/targets/",
        "/pprof/nobody/heap",
    ] {
        let answer = daemon.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {}", answer.text());
        assert_eq!(answer.json()["status"], 404, "{path}");
    }
    let answer = daemon.post("/api/v1/targets", "").await;
    assert_eq!(answer.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(answer.header("content-type"), "application/problem+json");
    assert_eq!(daemon.get("/api/v1/targets/%ff").await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn what_is_not_possible_says_why() {
    let daemon = Daemon::new();
    let several = daemon.get("/api/v1/targets?service=checkout&limit=1").await;
    assert_eq!(several.status, StatusCode::OK);
    let captures = daemon
        .post(&format!("/api/v1/targets/{LEAKING}/captures"), r#"{"lane": "native"}"#)
        .await;
    assert_eq!(captures.status, StatusCode::CONFLICT);
    let bundle = daemon
        .get(&format!("/api/v1/targets/{LEAKING}/bundle?from=now&to=-1h"))
        .await;
    assert_eq!(bundle.status, StatusCode::BAD_REQUEST);
    let gone = daemon
        .post(
            "/api/v1/targets/gone/investigation/answers",
            r#"{"step": "memory", "answer": "no"}"#,
        )
        .await;
    assert_eq!(gone.status, StatusCode::CONFLICT);
    let ledger = daemon.get("/api/v1/targets/blind/ledger").await;
    assert_eq!(ledger.status, StatusCode::CONFLICT);
    assert!(ledger.text().contains("permission denied"));
}

#[tokio::test]
async fn bad_answers_are_refused() {
    let daemon = Daemon::new();
    let path = format!("/api/v1/targets/{LEAKING}/investigation/answers");
    for body in [
        "",
        "{",
        "[]",
        "null",
        r#"{"step": "memory"}"#,
        r#"{"step": "soul", "answer": "yes"}"#,
        r#"{"step": "memory", "answer": "maybe"}"#,
        r#"{"step": "memory", "answer": "unknown"}"#,
        r#"{"step": "memory", "answer": "yes", "because": "I say so"}"#,
    ] {
        let answer = daemon.post(&path, body).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{body}: {}", answer.text());
    }
    let answer = daemon.post(&path, vec![b' '; 1 << 20]).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(answer.json()["status"], 413);
}

#[tokio::test]
async fn a_client_that_has_the_answer_gets_304() {
    let daemon = Daemon::new();
    let path = format!("/api/v1/targets/{LEAKING}");
    let first = daemon.get(&path).await;
    let tag = first.header("etag").to_owned();
    assert!(tag.len() > 2);
    for (known, status) in [
        (tag.clone(), StatusCode::NOT_MODIFIED),
        (format!("\"other\", W/{tag}"), StatusCode::NOT_MODIFIED),
        ("*".to_owned(), StatusCode::NOT_MODIFIED),
        ("\"other\"".to_owned(), StatusCode::OK),
    ] {
        let request = Request::get(&path)
            .header("host", "127.0.0.1")
            .header("if-none-match", &known);
        let answer = daemon.ask(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, status, "{known}");
        assert_eq!(answer.body.is_empty(), status == StatusCode::NOT_MODIFIED);
        assert_eq!(answer.header("etag"), tag);
    }
    assert_eq!(
        daemon.get("/api/v1/targets/nobody").await.header("etag"),
        "",
        "errors have none"
    );
}

/// Whatever stands in path and query, it is the client's fault.
#[test]
fn no_text_is_a_500() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let daemon = Daemon::new();
    let encode = |text: &str| -> String {
        let bytes: Vec<String> = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
        bytes.concat()
    };
    let mut runner = TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    });
    let texts = ("\\PC{0,24}", "[-+.:0-9a-zA-Z]{0,16}");
    let checked = runner.run(&texts, |(text, value)| {
        let (text, value) = (encode(&text), encode(&value));
        for path in [
            format!("/api/v1/targets/{text}x"),
            format!("/api/v1/targets?cursor={value}&sort={text}"),
            format!("/api/v1/targets?{text}={value}"),
            format!("/api/v1/events?from={value}&kinds={text}"),
            format!("/api/v1/targets/{LEAKING}/series?from={value}&to={text}&step={value}"),
            format!("/api/v1/targets/{LEAKING}/diff?base={value}&compare={value}"),
            format!("/pprof/{text}x/heap?at={value}"),
        ] {
            let answer = runtime.block_on(daemon.get(&path));
            prop_assert!(!answer.status.is_server_error(), "{path}: {}", answer.status);
            if answer.status.is_client_error() {
                prop_assert_eq!(answer.header("content-type"), "application/problem+json", "{}", path);
            }
        }
        Ok(())
    });
    checked.unwrap();
}
