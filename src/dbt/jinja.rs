//! dbt's Jinja for `profiles.yml` and `dbt_project.yml`: renders single values, never keys.

use std::collections::BTreeMap;

use minijinja::{
    Environment, Error as JinjaError, ErrorKind, UndefinedBehavior, Value as Jinja, value::Serde,
};
use serde_yaml::Value as Yaml;

use crate::model::Secret;

/// dbt provides variables with this prefix only to profiles and packages, and masks their values in its logs.
const SECRET: &str = "DBT_ENV_SECRET";

/// The maximum length of a template in bytes: the renderer counts the columns of a line in 16 bits.
const MAX_LENGTH: usize = 65_000;

/// The values that the two files may use.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub variables: BTreeMap<String, String>,
    /// `--vars`, as YAML.
    pub vars: BTreeMap<String, Yaml>,
    /// Whether an unset variable is an empty text, for uses in which the value does not matter: CI has no secrets of a
    /// developer.
    pub missing_is_empty: bool,
}

impl Context {
    /// The values of dbt's secret variables, the longest first: one may contain another.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let secret = self.variables.iter().filter(|(name, _)| name.starts_with(SECRET));
        let mut values: Vec<&str> = secret.map(|(_, value)| value.as_str()).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().map(Secret::new).collect()
    }
}

pub(super) struct Renderer(Environment<'static>);

impl Renderer {
    /// For `profiles.yml`.
    pub(super) fn of_profiles(context: &Context) -> Self {
        Self::new(context, true)
    }

    /// For `dbt_project.yml`, in which dbt rejects secrets.
    pub(super) fn of_project(context: &Context) -> Self {
        Self::new(context, false)
    }

    fn new(context: &Context, takes_secrets: bool) -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        let Context { variables, vars, missing_is_empty } = context.clone();
        environment.add_function("env_var", move |name: &str, default: Option<Jinja>| {
            if name.starts_with(SECRET) && !takes_secrets {
                return Err(failed(format!("the secret `{name}` is for profiles.yml and packages.yml only")));
            }
            let value = variables.get(name).map(Jinja::from).or(default);
            let value = value.or_else(|| missing_is_empty.then(|| Jinja::from("")));
            value.ok_or_else(|| failed(format!("the environment variable `{name}` is not set")))
        });
        environment.add_function("var", move |name: &str, default: Option<Jinja>| {
            let value = vars.get(name).map(|value| Jinja::from(Serde(value))).or(default);
            let value = value.or_else(|| missing_is_empty.then(|| Jinja::from("")));
            value.ok_or_else(|| failed(format!("the variable `{name}` is not in `--vars`")))
        });
        environment.add_filter("as_number", |value: Jinja| {
            let is_number = value.as_str().is_none_or(|text| text.trim().parse::<f64>().is_ok());
            if is_number { Ok(value) } else { Err(failed(format!("`{value}` is not a number"))) }
        });
        // Only Python's literals.
        environment.add_filter("as_bool", |value: Jinja| match value.as_str() {
            None | Some("True" | "False") => Ok(value),
            Some(other) => Err(failed(format!("`{other}` is neither `True` nor `False`"))),
        });
        for filter in ["as_native", "as_text"] {
            environment.add_filter(filter, |value: Jinja| value);
        }
        Self(environment)
    }

    /// A scalar as text with its Jinja rendered; `None` for null.
    pub(super) fn text(&self, value: &Yaml) -> Result<Option<String>, String> {
        Ok(match value {
            Yaml::String(text) => Some(self.rendered(text)?),
            Yaml::Number(number) => Some(number.to_string()),
            Yaml::Bool(flag) => Some(flag.to_string()),
            Yaml::Null => None,
            Yaml::Sequence(_) | Yaml::Mapping(_) | Yaml::Tagged(_) => {
                return Err("expected a single value, found a list or a mapping".into());
            }
        })
    }

    fn rendered(&self, text: &str) -> Result<String, String> {
        if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
            return Ok(text.to_owned());
        }
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "a value with Jinja has {} bytes, expected at most {MAX_LENGTH}",
                text.len()
            ));
        }
        let rendered = self.0.render_str(text, ());
        rendered.map_err(|error| error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned))
    }
}

fn failed(text: String) -> JinjaError {
    JinjaError::new(ErrorKind::InvalidOperation, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context() -> Context {
        Context {
            variables: [("HOST", "DB.example"), ("DBT_ENV_SECRET_X", "s3cret"), ("FLAG", "True")]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            vars: [("schema".to_owned(), Yaml::from("marts")), ("port".to_owned(), Yaml::from(6432))].into(),
            missing_is_empty: false,
        }
    }

    fn rendered(text: &str) -> Result<Option<String>, String> {
        Renderer::of_profiles(&context()).text(&Yaml::from(text))
    }

    #[test]
    fn values_are_rendered_as_by_dbt() {
        for (text, value) in [
            ("plain {{", None),
            ("plain", Some("plain")),
            ("{{ env_var('HOST') | lower }}", Some("db.example")),
            ("{{ env_var('HOST').lower().split('.')[0] }}:x", Some("db:x")),
            ("{{ env_var('NO', 'other') }}", Some("other")),
            ("{{ env_var('NO', 5432) | as_number }}", Some("5432")),
            ("{% if env_var('FLAG') | as_bool %}a{% else %}b{% endif %}", Some("a")),
            ("{{ var('schema') ~ '_' ~ var('none', 'x') }}", Some("marts_x")),
            ("{{ var('port') | as_native }}", Some("6432")),
            ("{{ env_var('DBT_ENV_SECRET_X') }}", Some("s3cret")),
            ("{# a comment #}x", Some("x")),
        ] {
            match value {
                Some(value) => assert_eq!(rendered(text), Ok(Some(value.to_owned())), "{text}"),
                None => assert!(rendered(text).is_err(), "{text}"),
            }
        }
    }

    #[test]
    fn a_template_that_is_too_long_is_an_error() {
        for end in ["{{ 1a }}", "{{ 99e }}", "{{ ' }}", "{{ 'x' }}"] {
            let said = rendered(&format!("{}{end}", "x".repeat(70_000))).unwrap_err();
            assert!(said.contains("expected at most 65000"), "{said}");
            assert!(
                rendered(&format!("{}{end}", "x".repeat(60_000))).is_ok() == end.contains("'x'"),
                "{end}"
            );
        }
    }

    #[test]
    fn a_rendering_error_names_its_cause() {
        for (text, said) in [
            ("{{ env_var('NO') }}", "the environment variable `NO` is not set"),
            ("{{ var('none') }}", "the variable `none` is not in `--vars`"),
            ("{{ env_var('HOST') | as_number }}", "`DB.example` is not a number"),
            ("{{ 'true' | as_bool }}", "`true` is neither"),
        ] {
            assert!(rendered(text).unwrap_err().starts_with(said), "{text}");
        }
        let project = Renderer::of_project(&context());
        let refused = project.text(&Yaml::from("{{ env_var('DBT_ENV_SECRET_X') }}")).unwrap_err();
        assert!(refused.starts_with("the secret `DBT_ENV_SECRET_X`"), "{refused}");
    }
}
