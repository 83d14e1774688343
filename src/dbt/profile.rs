//! `profiles.yml`: reading the user's target, with dbt's Jinja in it, and writing one that leads elsewhere.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use minijinja::{Environment, Error as JinjaError, ErrorKind, Value as Jinja};
use serde_json::json;
use serde_yaml::Value as Yaml;

use super::Error;
use crate::{
    model::Secret,
    pg::{Endpoint, SslMode},
};

/// Which profile is looked for, and where.
#[derive(Clone, Debug)]
pub struct WantedProfile {
    /// The folders to look in, in this order; the first with a profiles.yml counts.
    pub dirs: Vec<PathBuf>,
    /// The profile's name.
    pub profile: Option<String>,
    /// The target's name; the profile's own choice without.
    pub target: Option<String>,
    /// Whether the target's server is not asked for, only its schema and threads: then a variable that is not set, as
    /// a laptop's secrets are not in CI, is an empty text.
    pub without_server: bool,
}

/// A target of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The profile's name.
    pub profile: String,
    /// The target's name.
    pub name: String,
    /// The server.
    pub endpoint: Endpoint,
    /// The schema that models go to.
    pub schema: String,
    /// How many models dbt runs at once.
    pub threads: u32,
}

/// The variable that carries the password to dbt, which masks variables of this name in its logs.
pub(super) const PASSWORD_VARIABLE: &str = "DBT_ENV_SECRET_PGTRICKLE_CI_PASSWORD";

impl Target {
    /// Reads the wanted target; `None` when there is no profiles.yml at all, or no profile is named.
    pub fn find(wanted: &WantedProfile, variables: &BTreeMap<String, String>) -> Result<Option<Self>, Error> {
        let file = wanted.dirs.iter().map(|dir| dir.join("profiles.yml")).find(|file| file.is_file());
        let (Some(file), Some(profile)) = (file, &wanted.profile) else {
            return Ok(None);
        };
        let text = std::fs::read_to_string(&file).map_err(Error::unreadable(&file))?;
        let wrong = |reason: String| Error::Profile { file: file.clone(), reason };
        let jinja = jinja(variables, wanted.without_server);
        Self::read(&text, profile, wanted.target.as_deref(), &jinja).map(Some).map_err(wrong)
    }

    fn read(text: &str, profile: &str, target: Option<&str>, jinja: &Environment) -> Result<Self, String> {
        let mut yaml: Yaml = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        yaml.apply_merge().map_err(|error| error.to_string())?;
        let found = yaml.get(profile).ok_or_else(|| format!("there is no profile `{profile}`"))?;
        let name = match target {
            Some(target) => target.to_owned(),
            None => match found.get("target") {
                Some(choice) => text_of(&render(jinja, choice)?),
                None => "default".into(),
            },
        };
        let output = found.get("outputs").and_then(|outputs| outputs.get(name.as_str()));
        let output = output.ok_or_else(|| format!("the profile `{profile}` has no target `{name}`"))?;
        let field = |key: &str| output.get(key).map(|value| render(jinja, value)).transpose();
        let text = |key: &str| field(key).map(|value| value.as_ref().map(text_of));

        if let Some(adapter) = text("type")?.filter(|adapter| adapter != "postgres") {
            return Err(format!("the target `{name}` is of type `{adapter}`, stream tables need postgres"));
        }
        let needed = |key: &str| text(key)?.ok_or_else(|| format!("the target `{name}` has no `{key}`"));
        let either = |one: &str, other: &str| Ok::<_, String>(text(one)?.or(text(other)?));
        let number = |key: &str, default: u32| match text(key)? {
            Some(text) if text.is_empty() => Ok(default),
            Some(text) => text
                .parse()
                .map_err(|_| format!("the target `{name}` has the {key} `{text}`, which is no number")),
            None => Ok(default),
        };
        Ok(Self {
            endpoint: Endpoint {
                host: needed("host")?,
                port: u16::try_from(number("port", 5432)?)
                    .map_err(|_| format!("the target `{name}` has no possible port"))?,
                user: needed("user")?,
                password: Secret::new(either("password", "pass")?.unwrap_or_default()),
                database: either("dbname", "database")?
                    .ok_or_else(|| format!("the target `{name}` has no `dbname`"))?,
                sslmode: text("sslmode")?.and_then(|word| SslMode::parse(&word)).unwrap_or_default(),
                sslrootcert: text("sslrootcert")?,
            },
            schema: needed("schema")?,
            threads: number("threads", 1)?,
            profile: profile.to_owned(),
            name,
        })
    }

    /// Writes a profiles.yml with this target alone into the folder. The password is not in it.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let file = dir.join("profiles.yml");
        std::fs::write(&file, self.to_profiles_yml()).map_err(Error::unreadable(&file))
    }

    /// A profiles.yml with only this target. The password is not in it.
    pub fn to_profiles_yml(&self) -> String {
        let mut output = json!({
            "type": "postgres",
            "host": self.endpoint.host,
            "port": self.endpoint.port,
            "user": self.endpoint.user,
            "password": format!("{{{{ env_var('{PASSWORD_VARIABLE}') }}}}"),
            "dbname": self.endpoint.database,
            "schema": self.schema,
            "threads": self.threads,
            "sslmode": self.endpoint.sslmode.word(),
        });
        if let Some(file) = &self.endpoint.sslrootcert {
            output["sslrootcert"] = json!(file);
        }
        let profiles = json!({ &self.profile: { "target": self.name, "outputs": { &self.name: output } } });
        // JSON is YAML.
        profiles.to_string()
    }
}

/// dbt's Jinja, as far as profiles use it: `env_var` and the filters that give a text a type.
fn jinja(variables: &BTreeMap<String, String>, missing_is_empty: bool) -> Environment<'static> {
    let mut environment = Environment::new();
    let variables = variables.clone();
    environment.add_function("env_var", move |name: &str, default: Option<String>| {
        let value = variables.get(name).cloned().or(default);
        value.or_else(|| missing_is_empty.then(String::new)).ok_or_else(|| {
            JinjaError::new(
                ErrorKind::InvalidOperation,
                format!("the environment variable `{name}` is not set"),
            )
        })
    });
    // Everything is read as a text and given its type by what it is for.
    for filter in ["as_number", "as_bool", "as_native", "as_text"] {
        environment.add_filter(filter, |value: Jinja| value);
    }
    environment
}

/// A scalar with its Jinja carried out.
fn render(jinja: &Environment, value: &Yaml) -> Result<Yaml, String> {
    match value.as_str() {
        Some(text) if text.contains("{{") || text.contains("{%") => {
            let rendered = jinja
                .render_str(text, ())
                .map_err(|error| error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned))?;
            Ok(Yaml::String(rendered))
        }
        _ => Ok(value.clone()),
    }
}

fn text_of(value: &Yaml) -> String {
    match value {
        Yaml::String(text) => text.clone(),
        Yaml::Number(number) => number.to_string(),
        Yaml::Bool(flag) => flag.to_string(),
        Yaml::Null | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROFILES: &str = r#"
base: &base {type: postgres, user: alice, password: "{{ env_var('PW', 'none') }}", schema: marts}
shop:
  target: "{{ env_var('DBT_TARGET', 'dev') }}"
  outputs:
    dev:
      <<: *base
      host: "{{ env_var('PGHOST', 'localhost') }}"
      port: "{{ env_var('PGPORT', '5432') | as_number }}"
      dbname: shop
      threads: 8
    prod: {type: postgres, host: db, port: 6432, user: bob, pass: x, database: live, schema: prod, sslmode: verify-full}
    lake: {type: duckdb, path: x}
    broken: {type: postgres, host: "{{ env_var('NO_SUCH') }}", user: u, dbname: d, schema: s}
"#;

    fn read(target: Option<&str>, variables: &[(&str, &str)]) -> Result<Target, String> {
        let variables =
            variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Target::read(PROFILES, "shop", target, &jinja(&variables, false))
    }

    #[test]
    fn jinja_anchors_and_defaults_are_understood() {
        let target = read(None, &[("PGPORT", "55555"), ("PW", "s3cret")]).unwrap();
        assert_eq!((target.name.as_str(), target.schema.as_str(), target.threads), ("dev", "marts", 8));
        assert_eq!(target.endpoint.to_string(), "localhost:55555/shop");
        assert_eq!(target.endpoint.password.reveal(), "s3cret");
        assert_eq!(read(None, &[("DBT_TARGET", "prod")]).unwrap().endpoint.sslmode, SslMode::VerifyFull);
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(read(Some("nope"), &[]).unwrap_err(), "the profile `shop` has no target `nope`");
        assert!(read(Some("lake"), &[]).unwrap_err().contains("type `duckdb`"));
        assert!(read(Some("broken"), &[]).unwrap_err().contains("`NO_SUCH`"));
        assert!(read(None, &[("PGPORT", "many")]).unwrap_err().contains("`many`"));
        assert_eq!(
            Target::read("other: {}", "shop", None, &jinja(&BTreeMap::new(), false)).unwrap_err(),
            "there is no profile `shop`"
        );
    }

    #[test]
    fn without_a_server_a_secret_that_is_not_set_does_not_hide_the_schema() {
        let target = Target::read(PROFILES, "shop", Some("broken"), &jinja(&BTreeMap::new(), true)).unwrap();
        assert_eq!((target.schema.as_str(), target.endpoint.host.as_str()), ("s", ""));
    }

    #[test]
    fn a_written_profile_reads_back_and_has_no_password_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let target = read(Some("prod"), &[]).unwrap();
        let target = Target {
            endpoint: Endpoint { password: Secret::new("{{ hunter22 }}"), ..target.endpoint.clone() },
            ..target
        };
        target.write(dir.path()).unwrap();
        let text = std::fs::read_to_string(dir.path().join("profiles.yml")).unwrap();
        assert!(!text.contains("hunter22"));
        let variables = BTreeMap::from([(PASSWORD_VARIABLE.to_owned(), "{{ hunter22 }}".to_owned())]);
        assert_eq!(Target::read(&text, "shop", None, &jinja(&variables, false)), Ok(target));
    }
}
