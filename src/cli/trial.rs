//! What `iogate bridge test` and `iogate notify test` take, and the part of the configuration that they are about.

use std::sync::Arc;

use indexmap::IndexMap;

use super::{ConfigFile, Exit, complain, load};
use crate::config::Plan;

/// What such a test takes.
#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Its name in the configuration.
    pub(super) name: String,
    /// The configuration file.
    #[arg(short, long, value_name = "FILE", default_value = super::DEFAULT_CONFIG)]
    config: std::path::PathBuf,
}

impl Arguments {
    /// The configuration, once `of` finds the name in it; otherwise the names that there are of this `kind` are told.
    pub(super) fn load<T>(&self, kind: &str, of: fn(&Plan) -> &IndexMap<Arc<str>, T>) -> Result<Plan, Exit> {
        let plan = load(ConfigFile { config: self.config.clone(), file: None }.path())?;
        let all = of(&plan);
        if all.contains_key(&*self.name) {
            return Ok(plan);
        }
        let names: Vec<&str> = all.keys().map(|name| &**name).collect();
        let name = &self.name;
        complain(&format!("there is no {kind} `{name}`; the configuration has: {}", names.join(", ")));
        Err(Exit::Config)
    }
}
