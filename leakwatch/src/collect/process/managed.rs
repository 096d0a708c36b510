//! What is known of a managed runtime beside its command line: its version, by a file that is installed with it, and the bound of its heap, by its
//! environment. Each is read once, when the process is first looked up.

use crate::collect::file::Reader;
use crate::identity::program;
use leakwatch_analysis::model::runtime::ManagedRuntime;
use leakwatch_nativeproc::regular::Root;
use std::io::Read as _;
use std::os::fd::AsFd;
use std::path::Path;

/// Bytes of a file that tells a version: `node_version.h` has 3 KiB.
const MOST_BYTES: u64 = 64 * 1024;

/// Adds what is found of the process in `directory` (`/proc/PID`, at `shown`), which executes `exe`.
pub(super) fn learn(managed: &mut ManagedRuntime, directory: impl AsFd, shown: &Path, exe: &str, reader: &mut Reader) {
    if let Ok(environment) = reader.read(directory, "environ") {
        program::bound_by_environment(managed, environment);
    }
    if managed.version.is_none() {
        managed.version = version(managed, shown, exe);
    }
}

/// A file of the process's own root: it is a regular one, and no larger than it has to be.
fn version(managed: &ManagedRuntime, shown: &Path, exe: &str) -> Option<String> {
    let files = program::version_files(managed.name);
    if files.is_empty() {
        return None;
    }
    let folder = Path::new(exe).parent()?;
    let root = Root::at(&shown.join("root")).ok()?;
    files.iter().find_map(|name| {
        let mut text = String::new();
        let file = root.open(&folder.join(name), MOST_BYTES).ok()?;
        file.take(MOST_BYTES).read_to_string(&mut text).ok()?;
        program::version_in(managed.name, &text)
    })
}
