//! The configuration in force. A reload puts another in its place; whoever holds the one before goes on with it.

use crate::config::Config;
use arc_swap::ArcSwap;
use leakwatch_analysis::model::event::ConfigReload;
use std::sync::Arc;

/// A handle on the configuration in force.
#[derive(Clone, Debug)]
pub struct Live(Arc<ArcSwap<InForce>>);

/// The configuration, and what became of the newest reload.
#[derive(Clone, Debug)]
pub struct InForce {
    /// The configuration.
    pub config: Arc<Config>,
    /// None since the start.
    pub reload: Option<ConfigReload>,
}

impl Live {
    /// What the daemon starts with.
    pub fn new(config: Config) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(InForce {
            config: Arc::new(config),
            reload: None,
        })))
    }

    /// The configuration.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.load().config)
    }

    /// The configuration, and what became of the newest reload: both of one instant.
    pub fn in_force(&self) -> Arc<InForce> {
        self.0.load_full()
    }

    /// Puts what came of a reload in force. Only one task reloads.
    pub(crate) fn put(&self, config: Arc<Config>, reload: ConfigReload) {
        self.0.store(Arc::new(InForce {
            config,
            reload: Some(reload),
        }));
    }
}
