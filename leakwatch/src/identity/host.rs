//! Which host this is.

use leakwatch_analysis::model::host::HostIdentity;
use leakwatch_analysis::model::reading::Missing;
use leakwatch_analysis::model::reading::MissingReason;
use leakwatch_analysis::model::reading::Reading;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

/// The identity of the host whose files are below `root`.
pub fn identity(root: &Path) -> HostIdentity {
    HostIdentity {
        machine_id: line(&root.join("etc/machine-id")).map_err(|missing| {
            missing.with_fix("run systemd-machine-id-setup; in a container mount the host's /etc/machine-id read-only")
        }),
        boot_id: line(&root.join("proc/sys/kernel/random/boot_id")),
        node_name: line(&root.join("proc/sys/kernel/hostname")),
    }
}

/// The only line of a file.
fn line(path: &Path) -> Reading<String> {
    let text = fs::read_to_string(path).map_err(|error| {
        let reason = match error.kind() {
            ErrorKind::NotFound => MissingReason::Unsupported,
            ErrorKind::PermissionDenied => MissingReason::NotPermitted,
            _ => MissingReason::Failed,
        };
        Missing::new(reason, format!("cannot read {}: {error}", path.display()))
    })?;
    let line = text.trim();
    if line.is_empty() || line.len() > 256 || line.contains(char::is_control) {
        return Err(Missing::new(
            MissingReason::Malformed,
            format!("{} does not hold one line", path.display()),
        ));
    }
    Ok(line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_or_not_one_line_is_missing() {
        let root = tempfile::tempdir().expect("a directory");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
            fs::write(path, text).expect("a file");
        };
        write("etc/machine-id", "0123456789abcdef0123456789abcdef\n");
        write("proc/sys/kernel/hostname", "one\ntwo\n");
        let host = identity(root.path());
        assert_eq!(host.machine_id.as_deref(), Ok("0123456789abcdef0123456789abcdef"));
        let reason = |text: Reading<String>| text.map_err(|missing| missing.reason);
        assert_eq!(reason(host.node_name), Err(MissingReason::Malformed));
        assert_eq!(reason(host.boot_id), Err(MissingReason::Unsupported));
    }
}
