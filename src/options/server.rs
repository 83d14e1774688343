//! The server, its limits, and its sources.

use std::path::{Path, PathBuf};

use super::{Environment, Error, ProjectOptions, explain};
use crate::{
    cli::{EngineArg, EngineVersionArg},
    pg,
    server::{EmulatorVersion, EngineChoice, EphemeralSpec},
    sources::SourceServer,
};

/// A named server and its timeouts.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// `--database-url`.
    pub url: Option<String>,
    pub limits: pg::Limits,
}

impl ServerOptions {
    /// The named server: by URL, by dbt profile, or by libpq's variables.
    pub fn endpoint(&self, project: &ProjectOptions) -> Result<pg::Endpoint, crate::Error> {
        if let Some(endpoint) = self.named(project)? {
            return Ok(endpoint);
        }
        if let Some(target) = project.profile(false)? {
            let from = format!("the dbt profile `{}`, target {}", target.profile, target.describe());
            explain(project.ui, "server", &target.endpoint, &from);
            return Ok(target.endpoint);
        }
        let endpoint = libpq_server(&project.environment)?.ok_or(Error::NoServer)?;
        explain(project.ui, "server", &endpoint, "the environment (PG*)");
        Ok(endpoint)
    }

    /// The server of `--database-url`; `None` without the flag.
    pub fn named(&self, project: &ProjectOptions) -> Result<Option<pg::Endpoint>, Error> {
        let Some(url) = &self.url else { return Ok(None) };
        let endpoint = address(url, "the database URL", &project.environment)?;
        explain(project.ui, "server", &endpoint, "--database-url or PGTRICKLE_CI_DATABASE_URL");
        Ok(Some(endpoint))
    }
}

/// Parses a URL or a `key=value` string and completes it from the environment, as libpq does.
fn address(text: &str, by: &str, environment: &Environment) -> Result<pg::Endpoint, pg::BadAddress> {
    pg::Endpoint::resolve(pg::Conninfo::parse(text, by)?, environment.variables())
}

/// The server of libpq's variables; `None` if they set no host and no service.
fn libpq_server(environment: &Environment) -> Result<Option<pg::Endpoint>, Error> {
    let has_host = ["PGHOST", "PGHOSTADDR", "PGSERVICE"].iter().any(|name| environment.get(name).is_some());
    let resolve = || pg::Endpoint::resolve(pg::Conninfo::default(), environment.variables());
    Ok(has_host.then(resolve).transpose()?)
}

/// Where an ephemeral server gets the sources that no fixture creates.
#[derive(Clone, Debug)]
pub enum SourceOptions {
    /// Fixtures create all of them.
    Existing,
    /// Empty tables, from the columns that the project declares.
    Stubs,
    /// Copies from another server, with up to `rows` rows per table.
    Copies { from: String, rows: Option<u32> },
}

impl SourceOptions {
    /// The server to copy from; `None` if sources are not copied.
    pub fn origin(
        &self,
        limits: pg::Limits,
        environment: &Environment,
    ) -> Result<Option<SourceServer>, Error> {
        let Self::Copies { from, rows } = self else { return Ok(None) };
        let endpoint = address(from, "the URL of `--sources-from`", environment)?;
        Ok(Some(SourceServer { endpoint, limits, rows: *rows }))
    }

    /// Whether rows on the ephemeral server may be real data.
    pub fn are_copies(&self) -> bool {
        matches!(self, Self::Copies { .. })
    }
}

pub(super) fn ephemeral(
    engine: EngineArg,
    version: Option<EngineVersionArg>,
    pg_bin: Option<PathBuf>,
    image: Option<String>,
    environment: &Environment,
) -> EphemeralSpec {
    EphemeralSpec {
        engine: match engine {
            EngineArg::Auto => EngineChoice::Auto,
            EngineArg::Real => EngineChoice::Real,
            EngineArg::Emulator => EngineChoice::Emulator,
        },
        emulated_version: version.map(|version| match version {
            EngineVersionArg::V0_67_0 => EmulatorVersion::V0_67_0,
            EngineVersionArg::V0_108_3 => EmulatorVersion::V0_108_3,
        }),
        pg_bin,
        image,
        python_envs: python_envs(environment),
        temp_dir: std::env::temp_dir(),
    }
}

/// Python environments that may contain a wheel with PostgreSQL: the active ones, that of this program, and those whose
/// Python is on the PATH, such as the system's own in a container.
fn python_envs(environment: &Environment) -> Vec<PathBuf> {
    let variable = |name: &str| environment.get(name).map(PathBuf::from);
    let named = [variable("VIRTUAL_ENV"), variable("CONDA_PREFIX"), Some(PathBuf::from(".venv"))];
    // pipx and uv link to the program in its environment.
    let own = std::env::current_exe().and_then(|program| program.canonicalize()).ok();
    let own = own.as_deref().and_then(Path::parent).map(Path::to_owned);
    let on_path = environment.path().into_iter().filter(|folder| folder.join("python3").is_file());
    let bins = own.into_iter().chain(on_path).filter(|folder| folder.ends_with("bin"));
    let of_bins = bins.filter_map(|bin| bin.parent().map(Path::to_owned));
    let mut envs: Vec<PathBuf> = Vec::new();
    for env in named.into_iter().flatten().chain(of_bins) {
        if !envs.contains(&env) {
            envs.push(env);
        }
    }
    envs
}
