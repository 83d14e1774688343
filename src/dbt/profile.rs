//! `profiles.yml`: reads the user's target and writes profiles for other servers.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde_json::{Map, Value as Json, json};
use serde_yaml::Value as Yaml;

use super::{
    Context, Error,
    jinja::{Renderer, may_be_rendered_by_dbt},
    yaml,
};
use crate::pg::{BadAddress, Conninfo, Endpoint};

/// The requested profile and target.
#[derive(Clone, Debug)]
pub struct RequestedProfile {
    pub dir: PathBuf,
    pub profile: String,
    /// The target's name and what chose it; `None` for the profile's default.
    pub target: Option<(String, &'static str)>,
    /// Whether only the target's schema, database and threads are needed, and not its server.
    pub without_server: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    pub profile: String,
    pub name: String,
    /// What chose the target, such as `DBT_TARGET`.
    pub chosen_by: &'static str,
    pub endpoint: Endpoint,
    /// dbt's adapter, one of [`ADAPTERS`].
    pub adapter: String,
    /// The default schema of models.
    pub schema: String,
    /// How many models dbt runs at once.
    pub threads: u32,
    /// The fields of the profile that configure dbt's connections to any server.
    pub manner: Map<String, Json>,
}

/// The variable with the password for dbt, which masks variables with this prefix in its logs.
pub(super) const PASSWORD_VARIABLE: &str = "DBT_ENV_SECRET_PGTRICKLE_CI_PASSWORD";

/// The name of the target where there is no profiles.yml.
pub const DEFAULT_TARGET: &str = "ci";

/// The adapters whose targets can have stream tables. Their profiles have the same fields.
const ADAPTERS: [&str; 2] = ["postgres", "pgtrickle"];

/// Fields of a profile that apply to any server.
const MANNER: [&str; 6] =
    ["application_name", "autocommit", "connect_timeout", "keepalives_idle", "retries", "search_path"];

impl Target {
    /// Reads the requested target. The environment completes the server's address, as libpq does for dbt.
    pub fn find(wanted: &RequestedProfile, context: &Context) -> Result<Self, Error> {
        let file = wanted.dir.join("profiles.yml");
        let text = std::fs::read_to_string(&file).map_err(Error::unreadable(&file))?;
        let context = Context { missing_is_empty: wanted.without_server, ..context.clone() };
        let wrong = |reason: String| Error::Profile { file: file.clone(), reason };
        let output = TargetOutput::find(&text, wanted, &context).map_err(wrong)?;
        let mut target = output.target().map_err(wrong)?;
        let endpoint = || -> Result<Endpoint, Error> {
            let address = output.address().map_err(wrong)?.map_err(|error| wrong(error.to_string()))?;
            Ok(Endpoint {
                role: output.role().map_err(wrong)?,
                // The default of dbt-postgres is one.
                retries: output.number("retries").map_err(wrong)?.unwrap_or(1),
                dbt_target: Some(target.describe()),
                secrets: context.secrets(),
                ..Endpoint::resolve(address, &context.variables)?
            })
        };
        target.endpoint = match endpoint() {
            // Compiled SQL contains the name of the database, and nothing else of the server.
            Err(_) if wanted.without_server => {
                let database =
                    output.text("dbname").ok().flatten().or(output.text("database").ok().flatten());
                Endpoint { database: database.unwrap_or_default(), ..Endpoint::default() }
            }
            endpoint => endpoint?,
        };
        Ok(target)
    }

    /// dbt's `target` in the Jinja of a project.
    pub fn values(&self) -> BTreeMap<&'static str, String> {
        let Endpoint { host, port, user, database, .. } = &self.endpoint;
        [
            ("name", self.name.clone()),
            ("target_name", self.name.clone()),
            ("profile_name", self.profile.clone()),
            ("type", self.adapter.clone()),
            ("schema", self.schema.clone()),
            ("threads", self.threads.to_string()),
            ("host", host.clone()),
            ("port", port.to_string()),
            ("user", user.clone()),
            ("database", database.clone()),
            ("dbname", database.clone()),
        ]
        .into()
    }

    /// As `prod (from DBT_TARGET)`.
    pub fn describe(&self) -> String {
        format!("{} (from {})", self.name, self.chosen_by)
    }

    /// Writes a profiles.yml with only this target into the folder. The password is not in it.
    pub fn write(&self, dir: &Path) -> Result<(), Error> {
        let file = dir.join("profiles.yml");
        std::fs::write(&file, self.to_profiles_yml()?).map_err(Error::unreadable(&file))
    }

    /// A profiles.yml with only this target. The password is not in it.
    pub fn to_profiles_yml(&self) -> Result<String, Error> {
        let endpoint = &self.endpoint;
        if endpoint.hosts().any(|(_, port)| port != endpoint.port) {
            return Err(Error::SeveralPorts { endpoint: endpoint.to_string() });
        }
        let mut output = self.manner.clone();
        let own = json!({
            "type": self.adapter,
            "host": endpoint.host_list(),
            "port": endpoint.port,
            "user": endpoint.user,
            "password": format!("{{{{ env_var('{PASSWORD_VARIABLE}') }}}}"),
            "dbname": endpoint.database,
            "schema": self.schema,
            "threads": self.threads,
            "sslmode": endpoint.sslmode.word(),
        });
        output.extend(own.as_object().cloned().unwrap_or_default());
        let parameter = |name: &str| endpoint.parameters.get(name).cloned();
        let optional = [
            ("sslrootcert", endpoint.sslrootcert.clone()),
            ("sslcert", parameter("sslcert")),
            ("sslkey", parameter("sslkey")),
            ("role", endpoint.role.clone()),
        ];
        output
            .extend(optional.into_iter().filter_map(|(name, value)| Some((name.to_owned(), json!(value?)))));
        let profiles =
            json!({ &self.profile: { "target": self.name, "outputs": { &self.name: escaped(output) } } });
        // JSON is YAML.
        Ok(profiles.to_string())
    }
}

/// Escapes braces in rendered values, so that dbt does not render them again. The password stays Jinja.
fn escaped(output: Map<String, Json>) -> Map<String, Json> {
    let is_jinja = |text: &str| ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark));
    let escape = |(name, value): (String, Json)| {
        let is_text = name != "password" && value.as_str().is_some_and(is_jinja);
        let value = if is_text { json!(format!("{{{{ {value} }}}}")) } else { value };
        (name, value)
    };
    output.into_iter().map(escape).collect()
}

/// One target as written, with its renderer.
struct TargetOutput<'a> {
    profile: &'a str,
    name: String,
    chosen_by: &'static str,
    fields: Yaml,
    renderer: Renderer,
    context: &'a Context,
}

impl<'a> TargetOutput<'a> {
    fn find(text: &str, wanted: &'a RequestedProfile, context: &'a Context) -> Result<Self, String> {
        let yaml = yaml::read(text, context.may_be_dbt_2).map_err(|error| error.to_string())?;
        let renderer = Renderer::of_profiles(context);
        let profile = wanted.profile.as_str();
        let found = yaml
            .get(profile)
            .ok_or_else(|| format!("there is no profile `{profile}`{}", list(Some(&yaml))))?;
        let (name, chosen_by) = match (&wanted.target, found.get("target")) {
            (Some((name, chosen_by)), _) => (name.clone(), *chosen_by),
            (None, Some(choice)) => {
                let Yaml::String(name) = renderer.value(choice)? else {
                    return Err(format!(
                        "the target of the profile `{profile}` is no text: write it in quotes"
                    ));
                };
                (name, "profiles.yml")
            }
            (None, None) => ("default".into(), "dbt's default"),
        };
        let outputs = found.get("outputs");
        let fields = outputs.and_then(|outputs| outputs.get(name.as_str())).cloned();
        let fields = fields
            .ok_or_else(|| format!("the profile `{profile}` has no target `{name}`{}", list(outputs)))?;
        Ok(Self { profile, name, chosen_by, fields, renderer, context })
    }

    /// A field with its Jinja rendered; `None` if it is missing.
    fn value(&self, field: &str) -> Result<Option<Yaml>, String> {
        let Some(value) = self.fields.get(field) else { return Ok(None) };
        match self.renderer.value(value) {
            // dbt uses a password that is not valid Jinja unchanged.
            Err(reason) if field == "password" && value.is_string() && !may_be_rendered_by_dbt(&reason) => {
                Ok(Some(value.clone()))
            }
            Err(reason) => Err(format!("the {field} of the target `{}`: {reason}", self.name)),
            Ok(value) => Ok(Some(value)),
        }
    }

    fn text(&self, field: &str) -> Result<Option<String>, String> {
        match self.value(field)? {
            Some(Yaml::String(text)) => Ok(Some(text)),
            None | Some(Yaml::Null) => Ok(None),
            Some(value) => {
                Err(self.mistyped(field, &value, "a text: write it in quotes, or with `| as_text`"))
            }
        }
    }

    fn number<N: FromStr>(&self, field: &str) -> Result<Option<N>, String> {
        let text = match self.value(field)? {
            // dbt takes `4.0`, too.
            Some(Yaml::Number(number)) => {
                let text = number.to_string();
                text.strip_suffix(".0").map_or_else(|| text.clone(), ToOwned::to_owned)
            }
            Some(Yaml::String(text)) if self.context.may_be_dbt_2 => text,
            // Of a variable that is not set.
            Some(Yaml::String(text)) if self.context.missing_is_empty && text.is_empty() => text,
            Some(Yaml::Null) if self.context.may_be_dbt_2 => return Ok(None),
            None => return Ok(None),
            Some(value) => {
                let expected = "a number: write it without quotes, or with `| as_number`";
                return Err(self.mistyped(field, &value, expected));
            }
        };
        if text.is_empty() {
            return Ok(None);
        }
        let number = text.parse().map(Some);
        number.map_err(|_| format!("the target `{}` has the {field} `{text}`, expected a number", self.name))
    }

    fn flag(&self, field: &str) -> Result<Option<bool>, String> {
        match self.value(field)? {
            Some(Yaml::Bool(flag)) => Ok(Some(flag)),
            Some(Yaml::String(text)) if self.context.may_be_dbt_2 => {
                Ok(Some(text.eq_ignore_ascii_case("true")))
            }
            None | Some(Yaml::Null) => Ok(None),
            Some(value) => {
                let expected = "true or false: write it without quotes, or with `| as_bool`";
                Err(self.mistyped(field, &value, expected))
            }
        }
    }

    /// The value is not shown: it may be a password.
    fn mistyped(&self, field: &str, value: &Yaml, expected: &str) -> String {
        let found = match value {
            Yaml::Null => "empty",
            Yaml::Bool(_) => "true or false",
            Yaml::Number(_) => "a number",
            Yaml::String(_) | Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => "a text",
        };
        format!("the {field} of the target `{}` is {found}, expected {expected}", self.name)
    }

    fn needed(&self, names: &[&str]) -> Result<String, String> {
        self.one_of(names)?.ok_or_else(|| self.lacks(names[0]))
    }

    fn lacks(&self, field: &str) -> String {
        format!("the target `{}` has no `{field}`", self.name)
    }

    /// A field that has several names, of which dbt takes one.
    fn one_of(&self, names: &[&str]) -> Result<Option<String>, String> {
        let given: Vec<&str> =
            names.iter().copied().filter(|name| self.fields.get(*name).is_some()).collect();
        match given[..] {
            [] => Ok(None),
            [name] => self.text(name),
            _ => Err(format!("the target `{}` has both {}", self.name, given.join(" and "))),
        }
    }

    fn target(&self) -> Result<Target, String> {
        let adapter = self.needed(&["type"])?;
        if !ADAPTERS.contains(&adapter.as_str()) {
            let (name, needed) = (&self.name, ADAPTERS.join(" or "));
            return Err(format!("the target `{name}` is of type `{adapter}`, stream tables need {needed}"));
        }
        let mut manner = Map::new();
        for field in MANNER {
            let value = match field {
                "autocommit" => self.flag(field)?.map(Json::from),
                "application_name" | "search_path" => {
                    self.text(field)?.filter(|text| !text.is_empty()).map(Json::from)
                }
                _ => self.number::<i32>(field)?.map(Json::from),
            };
            manner.extend(value.map(|value| (field.to_owned(), value)));
        }
        Ok(Target {
            profile: self.profile.to_owned(),
            name: self.name.clone(),
            chosen_by: self.chosen_by,
            endpoint: Endpoint::default(),
            adapter,
            schema: self.needed(&["schema"])?,
            threads: self.number("threads")?.unwrap_or(1),
            manner,
        })
    }

    /// The connection parameters that dbt-postgres passes to libpq.
    fn address(&self) -> Result<Result<Conninfo, BadAddress>, String> {
        let (password, port) = (self.one_of(&["password", "pass"])?, self.number::<i64>("port")?);
        if !self.context.may_be_dbt_2 && (password.is_none() || port.is_none()) {
            return Err(self.lacks(if port.is_none() { "port" } else { "password" }));
        }
        let mut given = vec![
            ("host", self.needed(&["host"])?),
            ("user", self.needed(&["user"])?),
            ("dbname", self.needed(&["dbname", "database"])?),
            ("password", password.unwrap_or_default()),
            ("port", port.map(|port| port.to_string()).unwrap_or_default()),
            ("connect_timeout", self.number::<i32>("connect_timeout")?.unwrap_or(10).to_string()),
        ];
        let idle = self.number::<u32>("keepalives_idle")?.unwrap_or_default();
        given.extend((idle != 0).then(|| ("keepalives_idle", idle.to_string())));
        if let Some(search_path) = self.text("search_path")?.filter(|path| !path.is_empty()) {
            given.push(("options", format!("-c search_path={}", search_path.replace(' ', "\\ "))));
        }
        for name in ["sslmode", "sslcert", "sslkey", "sslrootcert", "application_name"] {
            given.extend(self.text(name)?.filter(|value| !value.is_empty()).map(|value| (name, value)));
        }
        let by = format!("the target `{}`", self.name);
        let mut conninfo = Conninfo::default();
        let set = given.into_iter().try_for_each(|(name, value)| conninfo.set(name, value, &by));
        Ok(set.map(|()| conninfo))
    }

    /// dbt writes the role unquoted into `set role`, so it must be a single name.
    fn role(&self) -> Result<Option<String>, String> {
        let Some(role) = self.text("role")?.map(|role| role.trim().to_owned()) else { return Ok(None) };
        if role.is_empty() {
            return Ok(None);
        }
        let is_word = |text: &str| {
            let mut characters = text.chars();
            let is_letter = |character: char| character.is_alphabetic() || character == '_';
            characters.next().is_some_and(is_letter)
                && characters
                    .all(|character| is_letter(character) || character.is_ascii_digit() || character == '$')
        };
        let is_quoted = |quote: char| {
            let inside = role.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
            inside.is_some_and(|inside| {
                !inside.is_empty() && !inside.replace(&quote.to_string().repeat(2), "").contains(quote)
            })
        };
        if is_word(&role) || is_quoted('"') || is_quoted('\'') {
            return Ok(Some(role));
        }
        Err(format!(
            "the target `{}` has the role `{role}`, which is not one SQL name; quote it: '\"{role}\"'",
            self.name
        ))
    }
}

/// The names in a mapping, for an error about a missing one.
fn list(mapping: Option<&Yaml>) -> String {
    let keys = mapping.and_then(Yaml::as_mapping).into_iter().flat_map(|mapping| mapping.keys());
    let name = |key: &Yaml| match key {
        Yaml::String(name) => Some(name.clone()),
        // As `on`, which is true for dbt 1.
        Yaml::Tagged(unclear) => Some(format!("{} without quotes", unclear.value.as_str()?)),
        Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::Sequence(_) | Yaml::Mapping(_) => None,
    };
    let names: Vec<String> = keys.filter_map(name).collect();
    if names.is_empty() { String::new() } else { format!(", only {}", names.join(", ")) }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
