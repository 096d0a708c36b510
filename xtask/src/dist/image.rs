//! The OCI image: the static program and nothing else, as an archive in the layout that `podman load` and `skopeo` read.

use super::release::Release;
use super::release::sha256;
use super::release::tar;
use anyhow::Context as _;
use serde_json::Value;
use serde_json::json;
use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use xtask::tools;

pub(super) fn make(release: &Release, program: &Path) -> anyhow::Result<PathBuf> {
    let work = tempfile::tempdir()?;
    let work = work.path();
    let (root, layout) = (work.join("root"), work.join("layout"));
    fs::create_dir_all(root.join("usr/bin"))?;
    fs::create_dir_all(layout.join("blobs/sha256"))?;
    fs::copy(program, root.join("usr/bin/leakwatch"))?;
    let layer = work.join("layer.tar");
    tar(release, &root, &layer, &["usr"])?;
    // What the layer is called uncompressed.
    let diff_id = sha256(&layer)?;
    tools::run(Command::new("gzip").args(["--no-name", "-6"]).arg(&layer))?;
    let layer = put_file(
        &layout,
        &layer.with_extension("tar.gz"),
        "application/vnd.oci.image.layer.v1.tar+gzip",
    )?;

    let created = created(&release.time)?;
    let config = json!({
        "architecture": "amd64",
        "os": "linux",
        "created": created,
        "config": {
            "Entrypoint": ["/usr/bin/leakwatch"],
            "Cmd": ["agent"],
            "ExposedPorts": {"7411/tcp": {}},
            "Labels": labels(&release.version),
        },
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{diff_id}")]},
        "history": [{"created": created, "created_by": "cargo xtask dist"}],
    });
    let config = put_json(&layout, &config, "application/vnd.oci.image.config.v1+json")?;
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": [layer],
        "annotations": labels(&release.version),
    });
    let mut manifest = put_json(&layout, &manifest, "application/vnd.oci.image.manifest.v1+json")?;
    manifest["annotations"] = json!({"org.opencontainers.image.ref.name": format!("leakwatch:{}", release.version)});
    manifest["platform"] = json!({"architecture": "amd64", "os": "linux"});
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest],
    });
    fs::write(layout.join("index.json"), index.to_string())?;
    fs::write(
        layout.join("oci-layout"),
        json!({"imageLayoutVersion": "1.0.0"}).to_string(),
    )?;
    let image = release.out.join(format!("leakwatch-{}-oci.tar", release.version));
    tar(release, &layout, &image, &["blobs", "index.json", "oci-layout"])?;
    Ok(image)
}

fn labels(version: &str) -> Value {
    json!({
        "org.opencontainers.image.title": "leakwatch",
        "org.opencontainers.image.version": version,
        "org.opencontainers.image.licenses": "Apache-2.0 OR MIT",
    })
}

fn created(time: &str) -> anyhow::Result<String> {
    tools::output(
        Command::new("date")
            .args(["--utc", "+%Y-%m-%dT%H:%M:%SZ"])
            .arg(format!("--date=@{time}")),
    )
}

fn put_json(layout: &Path, value: &Value, media_type: &str) -> anyhow::Result<Value> {
    let file = layout.with_file_name("blob.json");
    fs::write(&file, value.to_string())?;
    put_file(layout, &file, media_type)
}

/// Puts a file among the blobs and returns its descriptor.
fn put_file(layout: &Path, file: &Path, media_type: &str) -> anyhow::Result<Value> {
    let digest = sha256(file)?;
    let size = fs::metadata(file)?.len();
    fs::rename(file, layout.join("blobs/sha256").join(&digest)).with_context(|| format!("move {}", file.display()))?;
    Ok(json!({"mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size}))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made twice it is the same, and every descriptor leads to a blob of its digest and size.
    #[test]
    fn an_image_is_reproducible_and_whole() {
        let directory = tempfile::tempdir().unwrap();
        let program = directory.path().join("program");
        fs::write(&program, "#!/bin/true\n").unwrap();
        let images = ["one", "two"].map(|name| {
            let out = directory.path().join(name);
            fs::create_dir(&out).unwrap();
            let release = Release {
                version: "1.2.3".to_owned(),
                time: "1000000000".to_owned(),
                out,
            };
            make(&release, &program).unwrap()
        });
        let [one, two] = &images;
        assert_eq!(sha256(one).unwrap(), sha256(two).unwrap());

        let unpacked = directory.path().join("unpacked");
        fs::create_dir(&unpacked).unwrap();
        tools::run(Command::new("tar").arg("-xf").arg(one).arg("-C").arg(&unpacked)).unwrap();
        let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
        let blob = |descriptor: &Value| {
            let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
            let path = unpacked.join("blobs/sha256").join(digest);
            assert_eq!(sha256(&path).unwrap(), digest);
            assert_eq!(fs::metadata(&path).unwrap().len(), descriptor["size"].as_u64().unwrap());
            path
        };
        let manifest = read(&blob(&read(&unpacked.join("index.json"))["manifests"][0]));
        let config = read(&blob(&manifest["config"]));
        assert_eq!(config["created"], "2001-09-09T01:46:40Z");
        let layer = blob(&manifest["layers"][0]);
        let files = tools::output(Command::new("tar").arg("-tzf").arg(&layer)).unwrap();
        assert!(files.lines().any(|file| file == "usr/bin/leakwatch"), "{files}");
    }
}
