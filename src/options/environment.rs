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
    of_dbt: OnceLock<DbtEnvironment>,
}

/// The environment that dbt sees.
#[derive(Clone, Debug)]
struct DbtEnvironment {
    /// The variables of its `.env` that the shell does not set.
    dotenv: BTreeMap<String, String>,
    /// All variables.
    variables: BTreeMap<String, String>,
}

impl Environment {
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the environment")]
    pub(super) fn read() -> Self {
        // No variable that this program reads can be anything but Unicode.
        let text = |name: std::ffi::OsString, value: std::ffi::OsString| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        let variables = std::env::vars_os().filter_map(|(name, value)| text(name, value)).collect();
        Self { variables, of_dbt: OnceLock::new() }
    }

    /// The environment with dbt's `.env`, read on the first question about dbt.
    fn seen_by_dbt(&self) -> Result<&DbtEnvironment, dbt::Error> {
        if let Some(seen) = self.of_dbt.get() {
            return Ok(seen);
        }
        let here = std::env::current_dir().unwrap_or_default();
        let dotenv = dbt::dotenv(dbt::program(&self.path()).as_deref(), &here, &self.variables)?;
        let variables = self.variables.clone().into_iter().chain(dotenv.clone()).collect();
        Ok(self.of_dbt.get_or_init(|| DbtEnvironment { dotenv, variables }))
    }

    /// Whether a variable comes from dbt's `.env`.
    pub fn is_in_dotenv(&self, name: &str) -> Result<bool, dbt::Error> {
        Ok(self.seen_by_dbt()?.dotenv.contains_key(name))
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
        let variables = self.variables_of_dbt()?;
        let get = |name: &str| variables.get(name).map(String::as_str).filter(|value| !value.is_empty());
        match (get(engine), get(plain)) {
            (Some(one), Some(other)) if one != other => {
                Err(dbt::Error::Contradiction { one: engine, other: plain })
            }
            (Some(value), _) => Ok(Some((value, engine))),
            (None, value) => Ok(value.map(|value| (value, *plain))),
        }
    }

    /// The variables of this process.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// The variables for dbt's `env_var`, those of its `.env` included.
    pub fn variables_of_dbt(&self) -> Result<&BTreeMap<String, String>, dbt::Error> {
        self.seen_by_dbt().map(|seen| &seen.variables)
    }

    /// What it takes to start dbt.
    pub fn shell(&self) -> Result<dbt::Shell, dbt::Error> {
        Ok(dbt::Shell { path: self.path(), dotenv: self.seen_by_dbt()?.dotenv.clone() })
    }

    /// The user's home. Services and cron set no HOME: then Python and libpq ask the system for it.
    pub fn home(&self) -> Option<PathBuf> {
        let of_system = || nix::unistd::User::from_uid(nix::unistd::geteuid()).ok().flatten();
        self.get("HOME").map(PathBuf::from).or_else(|| of_system().map(|user| user.dir))
    }

    /// The folders of `PATH`, and last the one of this program: dbt is beside it in a virtual environment that is not
    /// active.
    pub fn path(&self) -> Vec<PathBuf> {
        let own = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
        let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
        std::env::split_paths(self.get("PATH").unwrap_or_default()).chain(own).collect()
    }
}

/// Where dbt looks for a project without `--project-dir`: in the folder of its variable, else in the working directory
/// and its parents.
pub(super) fn default_project_dir() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(find_project_dir)
}

fn find_project_dir() -> PathBuf {
    // The resolver reports what is wrong with it.
    if let Ok(Some((dir, _))) = Environment::read().of_dbt("PROJECT_DIR") {
        return dir.into();
    }
    let here = std::env::current_dir().unwrap_or_default();
    let depth = here.ancestors().position(|dir| dir.join("dbt_project.yml").exists()).unwrap_or(0);
    if depth == 0 { ".".into() } else { [".."].repeat(depth).iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_home_the_system_knows_it() {
        let of = |home: Option<&str>| {
            let variables = home.map(|home| ("HOME".to_owned(), home.to_owned())).into_iter().collect();
            Environment { variables, ..Environment::default() }.home()
        };
        let user = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap();
        assert_eq!(of(Some("/home/ann")), Some("/home/ann".into()));
        assert_eq!((of(None), of(Some(""))), (user.clone().map(|user| user.dir), user.map(|user| user.dir)));
    }
}
