//! The environment variables. Only this file reads them.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::OnceLock,
};

use crate::dbt;

/// The environment at the start of the program.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(super) fn read() -> Self {
        // No variable that this program reads can be anything but Unicode.
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect() }
    }

    /// The value of a variable; `None` if it is empty or not set.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The value and name of dbt's variable: `TARGET` reads `DBT_ENGINE_TARGET` and `DBT_TARGET`. If both are set, dbt
    /// 1.11 uses the first, dbt 1.9 and 2 the second: different values are an error.
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

    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The folders of `PATH`.
    pub fn path(&self) -> Vec<PathBuf> {
        self.get("PATH").map(|path| std::env::split_paths(path).collect()).unwrap_or_default()
    }
}

/// Where dbt looks for a project without `--project-dir`: in the folder of its variable, else in the working directory
/// and its parents.
pub(super) fn default_project_dir() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find_project_dir)
}

#[expect(clippy::disallowed_methods, reason = "clap needs it before `Environment::read` runs")]
fn find_project_dir() -> PathBuf {
    let named = ["DBT_ENGINE_PROJECT_DIR", "DBT_PROJECT_DIR"].into_iter().find_map(std::env::var_os);
    if let Some(dir) = named.filter(|dir| !dir.is_empty()) {
        return dir.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let depth = here.ancestors().position(|dir| dir.join("dbt_project.yml").exists()).unwrap_or(0);
    if depth == 0 { ".".into() } else { [".."].repeat(depth).iter().collect() }
}
