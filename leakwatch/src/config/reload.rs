//! The configuration loaded again: what of it applies while the daemon runs, and what waits for a restart.

use crate::config::Config;
use crate::config::error::ConfigError;
use crate::config::key::Applies;
use crate::config::key::KEYS;
use crate::config::settings::ApiConfig;
use crate::config::settings::EndpointRule;
use crate::config::settings::GoConfig;
use crate::config::token::Token;
use leakwatch_analysis::model::event::ConfigChanges;

/// The name of `[[go.endpoint]]` beside those of the keys.
const ENDPOINTS: &str = "go.endpoint";

impl Config {
    /// This configuration with those values of a newly loaded one that apply at once.
    pub fn reloaded(&self, new: Self) -> Result<(Self, ConfigChanges), ConfigError> {
        let changes = self.changes(&new);
        let mut origins = self.origins.clone();
        for key in KEYS.iter().filter(|key| key.applies == Applies::AtReload) {
            origins.remove(key.name);
            if let Some(origin) = new.origins.get(key.name) {
                origins.insert(key.name, origin.clone());
            }
        }
        let config = Self {
            interval: new.interval,
            only: self.only.clone(),
            exclude: new.exclude,
            node: self.node.clone(),
            state_dir: self.state_dir.clone(),
            cgroup_root: self.cgroup_root.clone(),
            bpf: self.bpf,
            record: self.record.clone(),
            api: ApiConfig {
                listen: self.api.listen,
                socket: self.api.socket.clone(),
                token_file: new.api.token_file,
                token: new.api.token,
                hosts: new.api.hosts,
            },
            go: GoConfig {
                outside: self.go.outside,
                ..new.go
            },
            native: new.native,
            store: self.store,
            webhook: self.webhook.clone(),
            source: new.source,
            // They are of what was found at the start.
            warnings: self.warnings.clone(),
            origins,
        };
        // The new file may be sound by itself and not with the address that stays: a token that goes while others can reach it.
        config.refuse_open_address()?;
        Ok((config, changes))
    }

    fn changes(&self, new: &Self) -> ConfigChanges {
        let mut changes = ConfigChanges::default();
        for key in KEYS {
            let differs =
                (key.show)(self) != (key.show)(new) || (key.name == "api.token_file" && self.token() != new.token());
            match key.applies {
                _ if !differs => {}
                Applies::AtReload => changes.applied.push(key.name.into()),
                Applies::AtStart => changes.need_restart.push(key.name.into()),
            }
        }
        let rules = |config: &Self| config.go.endpoints.iter().map(what_it_says).collect::<Vec<_>>();
        if rules(self) != rules(new) {
            changes.applied.push(ENDPOINTS.into());
        }
        changes
    }

    /// The file may be the same and the token in it another.
    fn token(&self) -> Option<String> {
        self.api.token.as_ref().map(Token::bearer)
    }
}

/// A rule apart from the line that it is on.
fn what_it_says(rule: &EndpointRule) -> EndpointRule {
    EndpointRule {
        origin: crate::config::origin::Origin::Default,
        ..rule.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::args::AgentArgs;
    use crate::config::environment::Environment;
    use std::fs;
    use std::path::Path;
    use tempfile::TempDir;

    fn load(directory: &TempDir, text: &str) -> Result<Config, ConfigError> {
        let path = directory.path().join("leakwatch.toml");
        fs::write(&path, text).unwrap();
        Config::load(&AgentArgs::default(), Some(&path), &Environment::default())
    }

    fn token(directory: &TempDir, name: &str, text: &str) -> String {
        let path = directory.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    /// Another value of every key: it is in force or waits, as the table says, and `config print` would tell the same.
    #[test]
    fn each_key_applies_when_its_row_says() {
        let directory = tempfile::tempdir().unwrap();
        let secret = token(&directory, "token", "0123456789abcdef");
        let before = load(&directory, "").unwrap();
        for key in KEYS {
            let value = match key.name {
                "interval" => "\"7s\"".to_owned(),
                "exclude" => "[\"/shop\"]".to_owned(),
                "only" => "\"/shop\"".to_owned(),
                "bpf" | "go.outside" | "native.automatic" => "false".to_owned(),
                "go.discover_endpoints" | "native.observe_only" => "true".to_owned(),
                "api.listen" => "\"127.0.0.1:9\"".to_owned(),
                "api.token_file" => format!("{secret:?}"),
                "api.hosts" => "[\"node7\"]".to_owned(),
                "native.cpu_budget_percent" | "native.cpu_floor_percent" => "3.5".to_owned(),
                "store.max_bytes" => "\"2GiB\"".to_owned(),
                "store.max_age" => "\"3d\"".to_owned(),
                "webhook.url" => "\"http://127.0.0.1:9/\"".to_owned(),
                "source.url_template" => "\"https://git.example.org/{path}\"".to_owned(),
                "webhook.format" => "\"alertmanager\"".to_owned(),
                _ => "\"/elsewhere\"".to_owned(),
            };
            let new = load(&directory, &format!("{} = {value}\n", key.name)).unwrap();
            let wanted = (key.show)(&new);
            assert_ne!(wanted, (key.show)(&before), "{}: the test changes nothing", key.name);
            let origin = new.origin(key.name);
            let (merged, changes) = before.reloaded(new).unwrap();
            let applies = key.applies == Applies::AtReload;
            let one = vec![key.name.into()];
            let (applied, need_restart) = if applies { (one, Vec::new()) } else { (Vec::new(), one) };
            assert_eq!(changes, ConfigChanges { applied, need_restart }, "{}", key.name);
            let expected = if applies { wanted } else { (key.show)(&before) };
            assert_eq!((key.show)(&merged), expected, "{}", key.name);
            assert_eq!(merged.origin(key.name) == origin, applies, "{}", key.name);
        }
    }

    #[test]
    fn rules_and_the_token_inside_of_its_file_count_as_changes_and_lines_do_not() {
        let directory = tempfile::tempdir().unwrap();
        let secret = token(&directory, "token", "0123456789abcdef");
        let text =
            format!("[api]\ntoken_file = {secret:?}\n[[go.endpoint]]\nport = 1\nurl = \"http://127.0.0.1:1/\"\n");
        let before = load(&directory, &text).unwrap();
        let (_, same) = before
            .reloaded(load(&directory, &format!("\n\n{text}")).unwrap())
            .unwrap();
        assert_eq!(same, ConfigChanges::default());

        token(&directory, "token", "fedcba9876543210");
        let (merged, changes) = before
            .reloaded(load(&directory, &text.replace("port = 1", "port = 2")).unwrap())
            .unwrap();
        assert_eq!(changes.applied, ["api.token_file", ENDPOINTS]);
        assert!(merged.api.token.unwrap().matches(b"fedcba9876543210"));
        assert_eq!(merged.go.endpoints.first().unwrap().port, Some(2));
    }

    /// The new file alone is fine: it listens on loopback. But the address in force stays until a restart.
    #[test]
    fn a_token_does_not_go_while_others_can_reach_the_address() {
        let directory = tempfile::tempdir().unwrap();
        let secret = token(&directory, "token", "0123456789abcdef");
        let before = load(
            &directory,
            &format!("[api]\nlisten = \"0.0.0.0:9\"\ntoken_file = {secret:?}\n"),
        )
        .unwrap();
        let refused = before.reloaded(load(&directory, "[api]\nlisten = \"127.0.0.1:9\"\n").unwrap());
        assert!(matches!(refused, Err(ConfigError::TokenRequired { .. })), "{refused:?}");
    }

    #[test]
    fn the_document_says_which_keys_apply_at_once() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let document = fs::read_to_string(root.join("docs/service.md")).unwrap();
        let section = document.split("## Reload").nth(1).unwrap();
        let (at_once, at_start) = section.split_once("need a restart").unwrap();
        for key in KEYS {
            let name = format!("`{}`", key.name);
            assert_eq!(at_once.contains(&name), key.applies == Applies::AtReload, "{name}");
            assert_eq!(at_start.contains(&name), key.applies == Applies::AtStart, "{name}");
        }
    }
}
