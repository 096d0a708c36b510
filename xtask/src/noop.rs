//! A second build compiles nothing: no build script and no file is always new.

use anyhow::bail;
use xtask::tools;

pub(crate) fn main() -> anyhow::Result<()> {
    tools::step("building the tests once more", || {
        let mut cargo = tools::cargo();
        cargo.args([
            "test",
            "--workspace",
            "--locked",
            "--no-run",
            "--quiet",
            "--message-format=json",
        ]);
        let messages = tools::output(&mut cargo)?;
        let again: Vec<String> = messages.lines().filter_map(compiled).collect();
        if !again.is_empty() {
            bail!("compiled although nothing has changed: {}", again.join(", "));
        }
        Ok(())
    })
}

/// What one of cargo's messages says was compiled.
fn compiled(message: &str) -> Option<String> {
    let message: serde_json::Value = serde_json::from_str(message).ok()?;
    let is_fresh = message.get("fresh")?.as_bool()?;
    let name = message.pointer("/target/name")?.as_str()?;
    (!is_fresh).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_compiled_is_told() {
        for (message, expected) in [
            (
                r#"{"reason":"compiler-artifact","target":{"name":"a"},"fresh":false}"#,
                Some("a"),
            ),
            (
                r#"{"reason":"compiler-artifact","target":{"name":"a"},"fresh":true}"#,
                None,
            ),
            (r#"{"reason":"build-finished","success":true}"#, None),
            ("no message", None),
        ] {
            assert_eq!(compiled(message).as_deref(), expected, "{message}");
        }
    }
}
