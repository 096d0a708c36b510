//! What the process was started with, and the paths that follow from it.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What the process was started with: variables, and whether it is root.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// Effective user id 0.
    pub root: bool,
}

impl Environment {
    /// Of this process. Variables that are not Unicode are left out.
    pub fn of_this_process() -> Self {
        let variables =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        Self {
            variables: variables.collect(),
            root: rustix::process::geteuid().is_root(),
        }
    }

    /// Where state goes unless configured: the system's directory for root, the user's own otherwise.
    pub fn default_state_dir(&self) -> PathBuf {
        if self.root {
            return PathBuf::from("/var/lib/leakwatch");
        }
        let base = self
            .absolute("XDG_STATE_HOME")
            .or_else(|| Some(self.absolute("HOME")?.join(".local/state")));
        base.unwrap_or_else(|| PathBuf::from("/var/lib")).join("leakwatch")
    }

    /// Where the socket goes unless configured.
    pub fn default_socket(&self) -> PathBuf {
        let user = if self.root {
            None
        } else {
            self.absolute("XDG_RUNTIME_DIR")
        };
        user.unwrap_or_else(|| PathBuf::from("/run")).join("leakwatch/api.sock")
    }

    fn absolute(&self, name: &str) -> Option<PathBuf> {
        self.variables
            .get(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    }
}
