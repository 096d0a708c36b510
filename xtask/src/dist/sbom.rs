//! What the program is made of (`CycloneDX` 1.5, <https://cyclonedx.org/docs/1.5/json/>): the crates that are linked into it, with versions, licences and
//! checksums, and which of them uses which. From `cargo metadata` and `Cargo.lock`, with no time and no random number in it: the same source gives the
//! same bytes, which cargo-cyclonedx, with its serial number and its list of what merely builds, does not.

use super::binary::GNU;
use super::release::Release;
use anyhow::Context as _;
use serde_json::Value;
use serde_json::json;
use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use xtask::tools;

const PROGRAM: &str = "leakwatch";

pub(super) fn make(release: &Release) -> anyhow::Result<PathBuf> {
    let mut cargo = tools::cargo();
    cargo.args(["metadata", "--format-version=1", "--locked", "--filter-platform", GNU]);
    let metadata: Value = serde_json::from_str(&tools::output(&mut cargo)?)?;
    let lock = fs::read_to_string(tools::workspace().join("Cargo.lock")).context("read Cargo.lock")?;
    let document = document(&metadata, &checksums(&lock)).context("cargo metadata says something unexpected")?;
    let path = release.out.join(format!("leakwatch-{}.cdx.json", release.version));
    fs::write(&path, serde_json::to_string_pretty(&document)? + "\n")?;
    Ok(path)
}

/// By name and version; of a file that cargo writes, one value a line.
fn checksums(lock: &str) -> BTreeMap<(String, String), String> {
    let packages = lock.split("[[package]]").skip(1);
    let value = |package: &str, key: &str| {
        let lines = package.lines();
        let mut found = lines.filter_map(|line| line.strip_prefix(key)?.strip_prefix(" = \"")?.strip_suffix('"'));
        found.next().map(str::to_owned)
    };
    packages
        .filter_map(|package| {
            Some((
                (value(package, "name")?, value(package, "version")?),
                value(package, "checksum")?,
            ))
        })
        .collect()
}

fn document(metadata: &Value, checksums: &BTreeMap<(String, String), String>) -> Option<Value> {
    let packages: BTreeMap<&str, &Value> = list(metadata, "packages")?
        .iter()
        .filter_map(|package| Some((text(package, "id")?, package)))
        .collect();
    let uses: BTreeMap<&str, Vec<&str>> = list(metadata.get("resolve")?, "nodes")?
        .iter()
        .filter_map(|node| Some((text(node, "id")?, linked(node)?)))
        .collect();
    let (program, _) = packages
        .iter()
        .find(|(_, package)| text(package, "name") == Some(PROGRAM))?;
    let mut reached = BTreeSet::from([*program]);
    let mut next = vec![*program];
    while let Some(id) = next.pop() {
        let used = uses.get(id)?.iter().copied();
        next.extend(used.filter(|used| reached.insert(used)));
    }
    let purl = |id: &str| {
        let package = packages.get(id)?;
        Some(format!(
            "pkg:cargo/{}@{}",
            text(package, "name")?,
            text(package, "version")?
        ))
    };
    let component = |id: &&str| {
        let package = packages.get(*id)?;
        let (name, version) = (text(package, "name")?, text(package, "version")?);
        let mut component = json!({
            "type": if name == PROGRAM { "application" } else { "library" },
            "bom-ref": purl(id)?,
            "name": name,
            "version": version,
            "purl": purl(id)?,
        });
        let fields = component.as_object_mut()?;
        if let Some(licence) = text(package, "license") {
            // The slash is an older way of writing it.
            fields.insert(
                "licenses".to_owned(),
                json!([{"expression": licence.replace('/', " OR ")}]),
            );
        }
        if let Some(checksum) = checksums.get(&(name.to_owned(), version.to_owned())) {
            fields.insert("hashes".to_owned(), json!([{"alg": "SHA-256", "content": checksum}]));
        }
        Some(component)
    };
    let mut components: Vec<Value> = reached
        .iter()
        .filter(|id| *id != program)
        .filter_map(component)
        .collect();
    components.sort_by_key(|component| component["purl"].to_string());
    let mut dependencies: Vec<Value> = reached
        .iter()
        .filter_map(|id| {
            let mut used: Vec<String> = uses.get(id)?.iter().filter_map(|used| purl(used)).collect();
            used.sort();
            Some(json!({"ref": purl(id)?, "dependsOn": used}))
        })
        .collect();
    dependencies.sort_by_key(|dependency| dependency["ref"].to_string());
    Some(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(program)?},
        "components": components,
        "dependencies": dependencies,
    }))
}

/// What is linked into a crate: neither what builds it nor what tests it.
fn linked(node: &Value) -> Option<Vec<&str>> {
    let used = list(node, "deps")?.iter().filter(|used| {
        let kinds = list(used, "dep_kinds").into_iter().flatten();
        kinds.filter_map(|kind| kind.get("kind")).any(Value::is_null)
    });
    Some(used.filter_map(|used| text(used, "pkg")).collect())
}

fn list<'v>(value: &'v Value, key: &str) -> Option<&'v Vec<Value>> {
    value.get(key)?.as_array()
}

fn text<'v>(value: &'v Value, key: &str) -> Option<&'v str> {
    value.get(key)?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_linked_is_listed_and_what_builds_is_not() {
        let package = |name: &str, version: &str| json!({"id": name, "name": name, "version": version, "license": "MIT/Apache-2.0"});
        let node = |name: &str, used: &[(&str, Value)]| {
            let used: Vec<Value> = used
                .iter()
                .map(|(name, kind)| json!({"pkg": name, "dep_kinds": [{"kind": kind}]}))
                .collect();
            json!({"id": name, "deps": used})
        };
        let metadata = json!({
            "packages": [package("leakwatch", "1.0.0"), package("a", "2.0.0"), package("b", "3.0.0"), package("cc", "4.0.0"), package("other", "5.0.0")],
            "resolve": {"nodes": [
                node("leakwatch", &[("a", Value::Null), ("cc", json!("build"))]),
                node("a", &[("b", Value::Null)]),
                node("b", &[("a", json!("dev"))]),
                node("cc", &[]),
                node("other", &[("cc", Value::Null)]),
            ]},
        });
        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"2.0.0\"\nsource = \"x\"\nchecksum = \"abc\"\n\n[[package]]\nname = \"b\"\nversion = \"3.0.0\"\n";
        let document = document(&metadata, &checksums(lock)).unwrap();
        let names: Vec<&str> = document["components"]
            .as_array()
            .unwrap()
            .iter()
            .map(|component| component["purl"].as_str().unwrap())
            .collect();
        assert_eq!(names, ["pkg:cargo/a@2.0.0", "pkg:cargo/b@3.0.0"]);
        assert_eq!(document["metadata"]["component"]["name"], "leakwatch");
        assert_eq!(document["components"][0]["hashes"][0]["content"], "abc");
        assert_eq!(
            document["components"][0]["licenses"][0]["expression"],
            "MIT OR Apache-2.0"
        );
        assert_eq!(document["dependencies"][2]["dependsOn"], json!(["pkg:cargo/a@2.0.0"]));
    }
}
