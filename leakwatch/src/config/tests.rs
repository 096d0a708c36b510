//! What is accepted, what wins, and that every refusal names the place and the way out.

use crate::config::Config;
use crate::config::Environment;
use crate::config::args::AgentArgs;
use crate::config::error::ConfigError;
use crate::config::key::KEYS;
use crate::config::origin::Origin;
use leakwatch_analysis::model::units::Bytes;
use std::path::Path;
use std::time::Duration;

/// The file of the documentation, except that the token has to exist.
const FULL: &str = r#"
interval = "5s"
only = "/kubepods"
state_dir = "/var/lib/leakwatch"

[api]
listen = "127.0.0.1:7411"
socket = "/run/leakwatch/api.sock"

[go]
outside = true
discover_endpoints = false

[[go.endpoint]]
exe = "*/checkout"
service = "checkout"
port = 6060
url = "http://127.0.0.1:6060/debug/pprof/"

[native]
cpu_budget_percent = 2.0
cpu_floor_percent = 1.0

[store]
max_bytes = "1GiB"
max_age = "14d"

[source]
url_template = "https://{repository}/blob/{commit}/{path}#L{line}"
"#;

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        root: true,
    }
}

fn load_with(text: &str, variables: &[(&str, &str)], args: &AgentArgs) -> Result<Config, ConfigError> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leakwatch.toml");
    std::fs::write(&path, text).unwrap();
    Config::load(args, Some(&path), &environment(variables))
}

fn load(text: &str) -> Result<Config, ConfigError> {
    load_with(text, &[], &AgentArgs::default())
}

/// The message with the directory of the file cut off.
fn refusal(text: &str) -> String {
    let message = load(text).unwrap_err().to_string();
    message
        .split_once("leakwatch.toml")
        .map_or(message.clone(), |(_, rest)| format!("leakwatch.toml{rest}"))
}

#[test]
fn every_documented_key_is_taken_in() {
    let config = load(FULL).unwrap();
    assert_eq!(config.interval, Duration::from_secs(5));
    assert_eq!(config.only.as_deref(), Some("/kubepods"));
    assert_eq!(config.store.max_bytes, Bytes::from_mib(1024));
    assert_eq!(config.store.max_age, Duration::from_hours(14 * 24));
    assert_eq!(
        config.source.url_template.as_deref(),
        Some("https://{repository}/blob/{commit}/{path}#L{line}")
    );
    let [rule] = config.go.endpoints.as_slice() else {
        panic!("{:?}", config.go.endpoints)
    };
    assert_eq!(rule.exe.as_deref(), Some("*/checkout"));
    assert_eq!(rule.service.as_deref(), Some("checkout"));
    assert_eq!(rule.port, Some(6060));
    assert_eq!(rule.url, "http://127.0.0.1:6060/debug/pprof/");
}

#[test]
fn flags_win_over_the_environment_over_the_file_over_defaults() {
    let args = AgentArgs {
        interval: Some("2".to_owned()),
        no_bpf: true,
        ..AgentArgs::default()
    };
    let variables = [("LEAKWATCH_INTERVAL", "3s"), ("LEAKWATCH_STORE_MAX_AGE", "2d")];
    let config = load_with(
        "interval = \"4s\"\nstore.max_age = \"1d\"\nonly = \"a/b/\"",
        &variables,
        &args,
    )
    .unwrap();
    assert_eq!(config.interval, Duration::from_secs(2));
    assert_eq!(config.origin("interval"), Origin::Flag("--interval"));
    assert_eq!(config.store.max_age, Duration::from_hours(2 * 24));
    assert_eq!(
        config.origin("store.max_age"),
        Origin::Environment("LEAKWATCH_STORE_MAX_AGE".to_owned())
    );
    assert_eq!(config.only.as_deref(), Some("/a/b"));
    assert!(matches!(config.origin("only"), Origin::File { line: 3, .. }));
    assert!(!config.bpf);
    assert_eq!(config.api.listen, Some(Config::DEFAULT_LISTEN));
    assert_eq!(config.origin("api.listen"), Origin::Default);
}

#[test]
fn unknown_keys_name_file_line_and_the_nearest_key() {
    for (text, message) in [
        (
            "\nintervall = \"5s\"",
            "leakwatch.toml:2: unknown key `intervall`, did you mean `interval`?",
        ),
        (
            "listen = \"127.0.0.1:1\"",
            "leakwatch.toml:1: unknown key `listen`, did you mean `api.listen`?",
        ),
        (
            "[store]\nmax_byte = \"1GiB\"",
            "leakwatch.toml:2: unknown key `store.max_byte`, did you mean `store.max_bytes`?",
        ),
        (
            "[stor]\nmax_bytes = \"1GiB\"",
            "leakwatch.toml:1: unknown key `stor`, did you mean `store`?",
        ),
        (
            "[[go.endpoint]]\nurl = \"http://h/\"\nexec = \"x\"",
            "leakwatch.toml:3: unknown key `go.endpoint.exec`, did you mean `go.endpoint.exe`?",
        ),
        ("[go]\nqqqqqqqq = 1", "leakwatch.toml:2: unknown key `go.qqqqqqqq`"),
    ] {
        assert_eq!(refusal(text), message);
        assert!(matches!(load(text), Err(ConfigError::UnknownKey { .. })));
    }
}

#[test]
fn wrong_units_types_and_ranges_are_refused_with_what_is_expected() {
    for (text, part) in [
        (
            "interval = 5",
            ":1: `interval`: a bare number has no unit; expected a duration with a unit",
        ),
        ("interval = \"5\"", "has no unit, write one of ms, s, m, h, d, w"),
        ("interval = \"5GiB\"", "\"GiB\" in \"5GiB\" is not a unit of time"),
        ("interval = \"1ms\"", "`interval`: 1ms is out of range"),
        (
            "[store]\nmax_bytes = \"14d\"",
            ":2: `store.max_bytes`: \"d\" in \"14d\" is not a unit of size",
        ),
        ("[store]\nmax_bytes = 1073741824", "a bare number has no unit"),
        ("[store]\nmax_bytes = \"1KiB\"", "too small"),
        ("[store]\nmax_age = \"1s\"", "too short"),
        ("[native]\ncpu_budget_percent = 0", "0 is out of range"),
        ("[native]\ncpu_budget_percent = nan", "out of range"),
        (
            "[native]\ncpu_budget_percent = 7.5",
            ":2: `native.cpu_budget_percent`: 7.5 is out of range",
        ),
        ("[native]\ncpu_floor_percent = 5.1", "5.1 is out of range"),
        ("only = \"/a/../b\"", "is not a cgroup path"),
        (
            "exclude = [\"/a\", \"b\"]",
            ":1: `exclude`: \"b\" is neither a cgroup path nor",
        ),
        ("node = \"a b\"", ":1: `node`: \"a b\" is no name of a host"),
        (
            "[source]\nurl_template = \"https://git/{branch}/{path}\"",
            ":2: `source.url_template`: \"{branch}/x\" is none of {repository}, {commit}",
        ),
        (
            "[source]\nurl_template = \"javascript:{path}\"",
            "is not of the form https://HOST/PATH",
        ),
        (
            "[source]\nurl_template = \"https://git/\"",
            "with at least one of {repository}",
        ),
        ("[api]\nlisten = \"example.org:80\"", "is not an address"),
        ("[api]\nlisten = \"127.0.0.1\"", "is not an address"),
        (
            "[[go.endpoint]]\nport = 70000\nurl = \"http://h/\"",
            ":2: `go.endpoint.port`: 70000 is not a port",
        ),
        (
            "[[go.endpoint]]\nport = 1\nurl = \"ftp://h/\"",
            ":3: `go.endpoint.url`: \"ftp://h/\" is not an http URL",
        ),
    ] {
        let message = refusal(text);
        assert!(message.contains(part), "{text:?} gives {message:?}");
        assert!(matches!(load(text), Err(ConfigError::WrongValue { .. })), "{text:?}");
    }
    for (text, part) in [
        ("bpf = \"yes\"", ":1: `bpf` is a string, expected true or false"),
        ("interval = true", "`interval` is a boolean"),
        ("api = 3", "unknown key `api`"),
        (
            "[api]\nhosts = [1]",
            "`api.hosts` is an array of something else than strings",
        ),
        (
            "go.endpoint = 3",
            "`go.endpoint` is an integer, expected an array of tables",
        ),
        (
            "[[go.endpoint]]\nport = \"6060\"\nurl = \"http://h/\"",
            "`go.endpoint.port` is a string",
        ),
    ] {
        let message = refusal(text);
        assert!(message.contains(part), "{text:?} gives {message:?}");
    }
}

#[test]
fn incomplete_endpoints_and_broken_files_are_refused() {
    assert!(refusal("\n[[go.endpoint]]\nport = 1").contains(":2: `[[go.endpoint]]` needs a `url`"));
    assert!(refusal("[[go.endpoint]]\nurl = \"http://h/\"").contains("needs at least one of"));
    assert!(matches!(
        load("interval = \n"),
        Err(ConfigError::Syntax { line: 1, .. })
    ));
    assert!(matches!(
        load("a = 1\na = 2\n"),
        Err(ConfigError::Syntax { line: 2, .. })
    ));
    let missing = Config::load(
        &AgentArgs::default(),
        Some(Path::new("/nonexistent/leakwatch.toml")),
        &environment(&[]),
    );
    assert!(matches!(missing, Err(ConfigError::Unreadable { .. })));
}

#[test]
fn flags_and_variables_are_refused_by_name() {
    let args = AgentArgs {
        interval: Some("5GiB".to_owned()),
        ..AgentArgs::default()
    };
    let message = load_with("", &[], &args).unwrap_err().to_string();
    assert!(message.starts_with("flag --interval: `interval`"), "{message}");
    let message = load_with("", &[("LEAKWATCH_BPF", "maybe")], &AgentArgs::default())
        .unwrap_err()
        .to_string();
    assert!(
        message.starts_with("environment variable LEAKWATCH_BPF: `bpf`"),
        "{message}"
    );
}

#[test]
fn variables_that_are_no_settings_are_refused_like_keys() {
    let refused = load_with("", &[("LEAKWATCH_INTERVALL", "5s")], &AgentArgs::default()).unwrap_err();
    let expected = "environment variable LEAKWATCH_INTERVALL is not a setting, did you mean `LEAKWATCH_INTERVAL`?";
    assert_eq!(refused.to_string(), expected);
    // Those of other commands, of other programs, and what Kubernetes sets for a Service of this name.
    let variables = [
        ("LEAKWATCH_ENDPOINT", "http://127.0.0.1:1"),
        ("PATH", "/bin"),
        ("LEAKWATCH_SERVICE_HOST", "10.0.0.1"),
        ("LEAKWATCH_SERVICE_PORT_HTTP", "7411"),
        ("LEAKWATCH_PORT", "tcp://10.0.0.1:7411"),
        ("LEAKWATCH_PORT_7411_TCP_ADDR", "10.0.0.1"),
        ("LEAKWATCH_PAGE_SERVICE_PORT", "80"),
    ];
    load_with("", &variables, &AgentArgs::default()).unwrap();
}

#[test]
fn other_machines_need_a_token() {
    for listen in ["0.0.0.0:7411", "[::]:7411", "10.0.0.1:1"] {
        let text = format!("[api]\nlisten = \"{listen}\"");
        assert!(
            matches!(load(&text), Err(ConfigError::TokenRequired { .. })),
            "{listen}"
        );
    }
    assert!(load("[api]\nlisten = \"[::1]:7411\"").is_ok());
    assert!(load("[api]\nlisten = \"localhost:7411\"").is_ok());
    assert!(load("[api]\nlisten = \"off\"").unwrap().api.listen.is_none());

    let directory = tempfile::tempdir().unwrap();
    let token = directory.path().join("token");
    let text = format!("[api]\nlisten = \"0.0.0.0:7411\"\ntoken_file = \"{}\"", token.display());
    assert!(matches!(load(&text), Err(ConfigError::TokenUnreadable { .. })));
    std::fs::write(&token, "short\n").unwrap();
    assert!(matches!(load(&text), Err(ConfigError::TokenWeak { length: 5, .. })));
    std::fs::write(&token, "0123456789abcdef0123\n").unwrap();
    let config = load(&text).unwrap();
    let token = config.api.token.clone().unwrap();
    assert!(token.matches(b"0123456789abcdef0123"));
    assert!(!token.matches(b"0123456789abcdef012"));
    assert!(
        !format!("{config:?}").contains("0123456789abcdef0123"),
        "the token is never printed"
    );
}

#[test]
fn what_is_printed_loads_to_the_same() {
    let first = load(FULL).unwrap();
    let printed = first.to_toml();
    let second = load(&printed).unwrap_or_else(|error| panic!("{error}\n{printed}"));
    for key in KEYS {
        assert_eq!((key.show)(&first), (key.show)(&second), "{}", key.name);
    }
    assert_eq!(first.go.endpoints.len(), second.go.endpoints.len());
    assert!(printed.contains("interval = \"5s\" # /"), "{printed}");
    assert!(
        load(&load("").unwrap().to_toml()).is_ok(),
        "defaults print as a valid file"
    );
}

#[test]
fn the_documented_defaults_are_the_defaults() {
    let documented = include_str!("../../../docs/operating.md");
    let defaults = Config::defaults(&environment(&[])).to_toml();
    assert!(
        documented.contains(&format!("```toml\n{defaults}```")),
        "docs/operating.md is stale: leakwatch config print says\n{defaults}"
    );
}

#[test]
fn without_root_the_defaults_are_the_users_own() {
    let user = Environment {
        variables: [
            ("HOME".to_owned(), "/home/u".to_owned()),
            ("XDG_RUNTIME_DIR".to_owned(), "/run/user/7".to_owned()),
        ]
        .into(),
        root: false,
    };
    assert_eq!(user.default_state_dir(), Path::new("/home/u/.local/state/leakwatch"));
    assert_eq!(user.default_socket(), Path::new("/run/user/7/leakwatch/api.sock"));
    assert_eq!(environment(&[]).default_state_dir(), Path::new("/var/lib/leakwatch"));
}

/// The file that packages install: with every setting uncommented it is valid and says what holds without it.
#[test]
fn the_packaged_file_says_what_holds_without_it() {
    let text = include_str!("../../../packaging/leakwatch.toml");
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("leakwatch.toml");
    let root = Environment {
        root: true,
        ..Environment::default()
    };
    let load = |text: &str| {
        std::fs::write(&path, text).unwrap();
        Config::load(&AgentArgs::default(), Some(&path), &root).unwrap()
    };
    let as_installed = load(text);
    let examples = [
        "only",
        "exclude",
        "node",
        "token_file",
        "hosts",
        "service",
        "url",
        "url_template",
    ];
    let is_example = |setting: &str| examples.iter().any(|name| setting.starts_with(&format!("{name} = ")));
    let settings = text.lines().map(|line| match line.strip_prefix('#') {
        Some(setting) if !setting.starts_with([' ', '[']) && !is_example(setting) => setting,
        _ => line,
    });
    let uncommented = load(&settings.collect::<Vec<_>>().join("\n"));
    for key in KEYS {
        let shown = (key.show)(&as_installed);
        assert_eq!((key.show)(&uncommented), shown, "{}", key.name);
        let name = key.name.rsplit('.').next().unwrap();
        let is_set_there = text.contains(&format!("#{name} = "));
        let left_out = ["state_dir", "cgroup_root", "record"].contains(&key.name);
        assert_ne!(is_set_there, left_out, "{}", key.name);
    }
}
