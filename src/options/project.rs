//! The dbt project, its profile and its target.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use super::{Environment, environment};
use crate::{cli::ProfileArgs, dbt, output::Ui};

/// A dbt project, from flags and from dbt's own environment variables.
#[derive(Clone, Debug)]
pub struct ProjectOptions {
    pub ui: Ui,
    pub environment: Environment,
    /// The folder of `dbt_project.yml`.
    pub dir: PathBuf,
    /// A flag or dbt's variable set the folder.
    pub is_dir_named: bool,
    /// dbt's `--vars`, a YAML mapping.
    pub vars: Option<String>,
    /// The limit for each dbt command.
    pub dbt_timeout: Duration,
    profiles_dir: Option<PathBuf>,
    profile: Option<String>,
    target: Option<String>,
    of_file: OfFile,
}

/// What `pgtrickle-ci.yml` says, if neither a flag nor dbt's own variable says it.
#[derive(Clone, Debug, Default)]
pub(super) struct OfFile {
    pub profile: Option<String>,
    pub target: Option<String>,
    pub profiles_dir: Option<PathBuf>,
}

impl ProjectOptions {
    pub(super) fn new(
        args: &ProfileArgs,
        of_file: OfFile,
        vars: Option<String>,
        dbt_timeout: Duration,
        environment: &Environment,
        ui: Ui,
    ) -> Self {
        let default = environment::default_project_dir();
        Self {
            ui,
            environment: environment.clone(),
            dir: args.project_dir.clone().unwrap_or_else(|| default.to_owned()),
            is_dir_named: args.project_dir.is_some() || default != Path::new("."),
            vars,
            dbt_timeout,
            profiles_dir: args.profiles_dir.clone(),
            profile: args.profile.clone(),
            target: args.target.clone(),
            of_file,
        }
    }

    /// Whether `--target` or pgtrickle-ci.yml sets the target.
    pub fn is_target_named(&self) -> bool {
        self.target.is_some() || self.of_file.target.is_some()
    }

    /// `dbt_project.yml`, with its Jinja rendered.
    pub fn file(&self) -> Result<dbt::ProjectFile, dbt::Error> {
        let file = self.file_with_profile()?;
        let target = if file.reads_target() { Some(self.target_values(&file)?) } else { None };
        file.with_folders(&self.dir, &dbt::Context { target, ..self.jinja_context()? })
    }

    fn file_with_profile(&self) -> Result<dbt::ProjectFile, dbt::Error> {
        dbt::ProjectFile::read(&self.dir)?.with_profile(&self.dir, &self.jinja_context()?)
    }

    /// dbt's `target`; without a profiles.yml only its name.
    fn target_values(&self, file: &dbt::ProjectFile) -> Result<BTreeMap<&'static str, String>, dbt::Error> {
        if let Some(target) = self.target_of(file, true)? {
            return Ok(target.values());
        }
        let name = self.target_name()?.map_or_else(|| dbt::DEFAULT_TARGET.to_owned(), |(name, _)| name);
        Ok(["name", "target_name"].map(|field| (field, name.clone())).into())
    }

    pub fn target_dir(&self) -> Result<PathBuf, dbt::Error> {
        let dir = self.environment.of_dbt("TARGET_PATH")?.map(|(dir, _)| dir);
        Ok(self.file()?.target_dir(&self.dir, dir))
    }

    /// The project's target in `profiles.yml`; `None` without a project or without `profiles.yml`.
    ///
    /// `without_server` skips fields that only a connection needs.
    pub fn profile(&self, without_server: bool) -> Result<Option<dbt::Target>, dbt::Error> {
        match self.file_with_profile() {
            Err(dbt::Error::NoProject { .. }) => Ok(None),
            file => self.target_of(&file?, without_server),
        }
    }

    fn target_of(
        &self,
        file: &dbt::ProjectFile,
        without_server: bool,
    ) -> Result<Option<dbt::Target>, dbt::Error> {
        let (Some(profile), Some(dir)) = (self.profile_name(file)?, self.profiles_dir()?) else {
            return Ok(None);
        };
        let wanted = dbt::RequestedProfile { dir, profile, target: self.target_name()?, without_server };
        dbt::Target::find(&wanted, &self.jinja_context()?).map(Some)
    }

    pub fn profile_name(&self, file: &dbt::ProjectFile) -> Result<Option<String>, dbt::Error> {
        Ok(self.profile_and_origin(file)?.map(|(name, _)| name))
    }

    /// The name of the profile and where it comes from.
    pub fn profile_and_origin(
        &self,
        file: &dbt::ProjectFile,
    ) -> Result<Option<(String, &'static str)>, dbt::Error> {
        let chosen = self.chosen(self.profile.as_ref(), "--profile or PGTRICKLE_CI_PROFILE", "PROFILE")?;
        let chosen = chosen.or_else(|| Some((self.of_file.profile.clone()?, "pgtrickle-ci.yml")));
        Ok(chosen.or_else(|| Some((file.profile.clone()?, "dbt_project.yml"))))
    }

    /// The name of the target and where it comes from; `None` means the profile's default.
    pub fn target_name(&self) -> Result<Option<(String, &'static str)>, dbt::Error> {
        let chosen = self.chosen(self.target.as_ref(), "--target or PGTRICKLE_CI_TARGET", "TARGET")?;
        let Some((name, by)) = chosen else {
            return Ok(self.of_file.target.clone().map(|name| (name, "pgtrickle-ci.yml")));
        };
        let by = match by {
            "DBT_TARGET" if self.environment.is_in_dotenv(by)? => "DBT_TARGET in .env",
            "DBT_ENGINE_TARGET" if self.environment.is_in_dotenv(by)? => "DBT_ENGINE_TARGET in .env",
            by => by,
        };
        Ok(Some((name, by)))
    }

    /// The flag's value, or that of dbt's variable, and which of the two it is.
    fn chosen(
        &self,
        typed: Option<&String>,
        flag: &'static str,
        variable: &str,
    ) -> Result<Option<(String, &'static str)>, dbt::Error> {
        match typed {
            Some(typed) => Ok(Some((typed.clone(), flag))),
            None => Ok(self.environment.of_dbt(variable)?.map(|(value, from)| (value.to_owned(), from))),
        }
    }

    /// The context for Jinja in dbt's files.
    fn jinja_context(&self) -> Result<dbt::Context, dbt::Error> {
        let may_be_dbt_2 =
            dbt::program(&self.environment.path()).is_none_or(|program| dbt::is_native(&program));
        let vars =
            self.vars.as_deref().map(|vars| dbt::Context::read_vars(vars, may_be_dbt_2)).transpose()?;
        Ok(dbt::Context {
            variables: self.environment.variables_of_dbt()?.clone(),
            vars: vars.unwrap_or_default(),
            target: None,
            missing_is_empty: false,
            may_be_dbt_2,
        })
    }

    /// The folder of `profiles.yml`, in dbt's own search order; `None` if dbt would not find one.
    fn profiles_dir(&self) -> Result<Option<PathBuf>, dbt::Error> {
        let named = match &self.profiles_dir {
            Some(dir) => Some(dir.clone()),
            None => self.environment.of_dbt("PROFILES_DIR")?.map(|(dir, _)| PathBuf::from(dir)),
        };
        let named = named.or_else(|| self.of_file.profiles_dir.clone());
        let has_file = |dir: &PathBuf| dir.join("profiles.yml").is_file();
        if let Some(dir) = named {
            let found = has_file(&dir);
            return if found { Ok(Some(dir)) } else { Err(dbt::Error::NoProfiles { dir }) };
        }
        let home = self.environment.home().map(|home| home.join(".dbt"));
        let found = [Some(PathBuf::from(".")), home].into_iter().flatten().find(has_file);
        if found.is_none() && has_file(&self.dir) {
            return Err(dbt::Error::NotRead { dir: self.dir.clone() });
        }
        Ok(found)
    }
}
