//! The environment variables. This is the only file that reads them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::dbt;

/// The environment as it was at the start.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(super) fn read() -> Self {
        // Variables that are no Unicode text are none that anything here asks for.
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect() }
    }

    /// A variable that is set and not empty.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What dbt's variable of this name says: `DBT_ENGINE_TARGET` and `DBT_TARGET` for `TARGET`. dbt 1.11 takes the first
    /// of the two that is set, dbt 1.9 and 2 take the second: where they differ, the user has to say.
    pub fn of_dbt(&self, name: &str) -> Result<Option<(&str, &'static str)>, dbt::Error> {
        let Some((engine, plain)) =
            dbt::VARIABLES.iter().find(|(_, plain)| plain.strip_prefix("DBT_") == Some(name))
        else {
            return Ok(None);
        };
        match (self.get(engine), self.get(plain)) {
            (Some(one), Some(other)) if one != other => {
                Err(dbt::Error::Contradiction { one: engine, other: plain })
            }
            (Some(value), _) => Ok(Some((value, engine))),
            (None, value) => Ok(value.map(|value| (value, *plain))),
        }
    }

    /// All variables, for dbt's `env_var`.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The folders in which programs are looked for.
    pub fn path(&self) -> Vec<PathBuf> {
        self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }
}

/// Where dbt looks for a project when no flag says it: in the folder that its variable names, else here and in the folders
/// above.
pub(super) fn default_project_dir() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find_project_dir)
}

#[expect(clippy::disallowed_methods, reason = "clap asks before the environment is read as a whole")]
fn find_project_dir() -> PathBuf {
    let named = ["DBT_ENGINE_PROJECT_DIR", "DBT_PROJECT_DIR"].into_iter().find_map(std::env::var_os);
    if let Some(dir) = named.filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let depth = here.ancestors().position(|dir| dir.join("dbt_project.yml").exists()).unwrap_or(0);
    if depth == 0 { ".".into() } else { [".."].repeat(depth).iter().collect() }
}
