//! What a person reads, made from what the API answers; and the client against a served API.

mod bundle;

use crate::api::listen::Listeners;
use crate::api::serve::serve;
use crate::api::tests::fixture::Daemon;
use crate::api::tests::fixture::LEAKING;
use crate::api::tests::fixture::story;
use crate::cli::CliError;
use crate::cli::Exit;
use crate::cli::args::Form;
use crate::cli::args::ReplayArgs;
use crate::cli::client::Client;
use crate::cli::investigate;
use crate::cli::list;
use crate::cli::oom;
use crate::cli::output::Output;
use crate::cli::replay;
use crate::cli::replay::Played;
use crate::cli::screen;
use crate::cli::screen::Known;
use crate::cli::services;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Environment;
use crate::config::origin::Origin;
use crate::config::token::Token;
use crate::dto::investigation::InvestigationBody;
use crate::dto::oom_kill::OomKillBody;
use crate::dto::page::Page;
use crate::dto::run::RunBody;
use crate::dto::service::ServiceBody;
use crate::dto::target::TargetBody;
use crate::input::Head;
use crate::input::Recorder;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

fn plain() -> Output {
    Output::new(Some(Form::Table), &Environment::default()).unwrap()
}

async fn body<T: DeserializeOwned>(daemon: &Daemon, path: &str) -> T {
    serde_json::from_slice(&daemon.get(path).await.body).unwrap()
}

#[tokio::test]
async fn investigate_tells_the_whole_story() {
    let daemon = Daemon::new();
    let made: InvestigationBody = body(&daemon, &format!("/api/v1/targets/{LEAKING}/investigation")).await;
    let text = investigate::body(&made, plain());
    for part in [
        "go_heap_leak",
        "Culprit\nmain.getOrQueryMarketsValues  /src/markets.go:42",
        "of the growth: ",
        "What to do\n1. ",
        "Not checked\n- ",
        "How this was found",
        "5. ",
        "lost: 3 ring_buffer_full",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
    for step in &made.steps {
        assert!(text.contains(&step.question), "{}", step.question);
    }
    assert!(text.lines().all(|line| line.chars().count() <= 160), "{text}");
    assert!(!text.contains('\u{1b}'), "no colours without a terminal");
}

/// What a person sees first, of a target as it leaks and of the same after it was killed.
#[tokio::test]
async fn the_screen_begins_with_the_kill_and_ends_with_commands_to_run() {
    for (daemon, parts, forbidden) in [
        (
            Daemon::before_the_kill(),
            vec![
                "limit     reached in about ",
                "chance ",
                "+",
                "/s\n",
                "a full block is the limit, 512.0 MiB",
            ],
            vec!["KILLED", "no process lives"],
        ),
        (
            Daemon::new(),
            vec![
                "KILLED ",
                "at its limit of 512.0 MiB: checkout (pid 4001)",
                "leakwatch oom oom-",
                "no process lives in it",
                "was go_heap_leak",
                "✗",
            ],
            vec!["reached in about", "/s\n"],
        ),
    ] {
        let path = format!("/api/v1/targets/{LEAKING}");
        let target: TargetBody = body(&daemon, &path).await;
        let investigation: InvestigationBody = body(&daemon, &format!("{path}/investigation")).await;
        let series = body(&daemon, &format!("{path}/series?metrics=unreclaimable_bytes")).await;
        let kills: Page<OomKillBody> = body(&daemon, "/api/v1/oom_kills").await;
        let known = Known {
            target: &target,
            investigation: &investigation,
            memory: Some(&series),
            kills: &kills.items,
            url: Some("http://127.0.0.1:7411"),
        };
        let text = screen::draw(&known, plain());
        let always = [
            "go_heap_leak, ",
            "where     main.getOrQueryMarketsValues  /src/markets.go:42",
            "▇▇",
            "leakwatch diff heap t29-",
            "go tool pprof -http=: -diff_base 'http://127.0.0.1:7411/pprof/t29-",
            "--explain",
        ];
        for part in parts.iter().chain(&always) {
            assert!(text.contains(part), "{part:?} is not in:\n{text}");
        }
        for part in forbidden {
            assert!(!text.contains(part), "{part:?} is in:\n{text}");
        }
        assert!(text.lines().count() <= 40, "one screen:\n{text}");
    }
}

#[tokio::test]
async fn the_post_mortem_names_victim_limit_and_last_profile() {
    let daemon = Daemon::new();
    let kills: Page<OomKillBody> = body(&daemon, "/api/v1/oom_kills").await;
    let text = oom::post_mortem(kills.items.first().unwrap(), plain());
    for part in [
        "checkout (pid 4001) was killed because the memory cgroup /docker/1111aaaa",
        "reached its limit of 512.0 MiB",
        "anonymous  420.0 MiB",
        "heap by endpoint",
        "/profiles/heap",
        "main.getOrQueryMarketsValues",
        "page_table_bytes: Linux 6.9 has it",
    ] {
        assert!(text.contains(part), "{part:?} is not in:\n{text}");
    }
}

#[tokio::test]
async fn services_are_listed_with_their_replicas() {
    let daemon = Daemon::new();
    let page: Page<ServiceBody> = body(&daemon, "/api/v1/services").await;
    let text = services::table(&page.items);
    assert_eq!(text.lines().count(), page.items.len() + 1, "{text}");
    for service in &page.items {
        assert!(text.lines().any(|line| line.starts_with(&service.name)), "{text}");
    }
}

#[tokio::test]
async fn runs_are_listed_with_their_end_and_their_peak() {
    let daemon = Daemon::new();
    let page: Page<RunBody> = body(&daemon, "/api/v1/services/checkout/runs").await;
    let text = services::runs(&page.items);
    assert_eq!(text.lines().count(), page.items.len() + 1, "{text}");
    for run in &page.items {
        let target = run.target.as_ref().unwrap();
        let line = text.lines().find(|line| line.ends_with(target.as_str())).unwrap();
        assert!(
            line.contains("runs") && line.contains("512.0 MiB") && line.contains("min"),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_table_of_targets_has_a_line_for_each() {
    let daemon = Daemon::before_the_kill();
    let page: Page<TargetBody> = body(&daemon, "/api/v1/targets").await;
    let text = list::targets_table(&page.items);
    assert_eq!(text.lines().count(), 5, "{text}");
    let leaking = text.lines().find(|line| line.contains(LEAKING)).unwrap();
    assert!(
        leaking.contains("512.0 MiB") && leaking.contains("go_heap_leak") && leaking.contains("/s"),
        "{leaking}"
    );
    let blind = text.lines().find(|line| line.contains("blind.service")).unwrap();
    assert!(!blind.contains("0 B"), "what is not known is a dash: {blind}");
}

#[test]
fn a_recording_replays_to_the_same_and_a_leak_is_exit_code_3() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("inputs");
    let head = Head {
        leakwatch: "1.2.3".to_owned(),
        host: Err(Missing::new(MissingReason::NotConfigured, "a test")),
    };
    let mut recorder = Recorder::create(&path, 1 << 30, &head).unwrap();
    let inputs = story(Clock::start().now());
    for input in &inputs {
        recorder.write(input).unwrap();
    }
    recorder.finish().unwrap();
    drop(recorder);
    let args = |until: Option<&str>| ReplayArgs {
        file: path.clone(),
        until: until.map(str::to_owned),
        serve: None,
    };
    let Played { body, text, .. } = replay::play(&args(None), plain()).unwrap();
    assert_eq!(body.inputs, inputs.len() as u64);
    assert_eq!(body.cut_off, None);
    assert_eq!(body.oom_kills.len(), 1);
    assert_eq!(replay::exit(&body), Exit::LeakFound);
    assert!(
        text.contains("OOM kill of checkout") && text.contains("main.getOrQueryMarketsValues"),
        "{text}"
    );

    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let Played { body, text, .. } = replay::play(&args(None), plain()).unwrap();
    assert!(body.inputs > 0 && body.cut_off.is_some() && text.contains("could not be played"));
    assert_eq!(replay::exit(&body), Exit::Fine, "nothing was judged yet");

    let wrong = replay::play(&args(Some("soon")), plain()).unwrap_err();
    assert_eq!(wrong.exit_code(), 2);
    std::fs::write(&path, "no recording").unwrap();
    assert!(matches!(
        replay::play(&args(None), plain()),
        Err(CliError::Replay { .. })
    ));
}

#[tokio::test]
async fn the_client_asks_over_both_transports_and_shows_the_token() {
    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    std::fs::write(&token, "0123456789abcdef").unwrap();
    let mut config = Config::defaults(&Environment::default());
    config.api.listen = Some("127.0.0.1:0".parse().unwrap());
    config.api.socket = Some(directory.path().join("api.sock"));
    config.api.token = Some(Token::read(&token, &Origin::Default).unwrap());
    let listeners = Listeners::bind(&config.api).await.unwrap();
    let url = listeners.url().unwrap();
    let socket = format!("unix://{}", listeners.socket().unwrap().display());
    let (stop, stopped) = oneshot::channel::<()>();
    let daemon = Daemon::with_config(config.clone());
    let served = tokio::spawn(serve(listeners, daemon.router.clone(), async { drop(stopped.await) }));

    let client = |url: &str, config: Config| Client::new(Some(url), Ok(&config), &Environment::default()).unwrap();
    let without_token = Config::defaults(&Environment::default());
    for client in [
        client(&socket, without_token.clone()),
        client(&url, config.clone()),
        client(
            &url.replace("http://", "http://me:0123456789abcdef@"),
            without_token.clone(),
        ),
    ] {
        let page: Page<TargetBody> = client.get("/api/v1/targets").await.unwrap();
        assert_eq!(page.items.len(), 4, "{}", client.name());
    }
    let refused = client(&url, without_token.clone())
        .bytes("/api/v1/targets")
        .await
        .unwrap_err();
    assert!(matches!(refused, CliError::Refused { status: 401, .. }), "{refused}");
    let misspelt = client(&socket, without_token.clone())
        .bytes("/api/v1/targets?sort=colour")
        .await
        .unwrap_err();
    assert_eq!((refused.exit_code(), misspelt.exit_code()), (1, 2), "{misspelt}");
    let unknown = client(&socket, without_token.clone())
        .bytes("/api/v1/targets/nobody")
        .await
        .unwrap_err();
    assert!(unknown.to_string().contains("no target `nobody`"), "{unknown}");

    drop(stop);
    served.await.unwrap();
    assert!(!directory.path().join("api.sock").exists(), "the socket is removed");
    for url in [&url, &socket] {
        let gone = client(url, without_token.clone()).bytes("/healthz").await.unwrap_err();
        assert!(matches!(gone, CliError::Unreachable { .. }), "{gone}");
        assert!(gone.to_string().contains("is `leakwatch agent` running?"), "{gone}");
    }
}
