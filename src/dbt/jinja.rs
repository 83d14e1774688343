//! dbt's Jinja for `profiles.yml` and `dbt_project.yml`: renders single values, never keys.

mod python;

use std::{collections::BTreeMap, sync::Arc};

use minijinja::{
    Environment, Error as JinjaError, ErrorKind, State, Value as Jinja,
    value::{Object, Rest, Serde, ValueKind, ValueOrKwargs},
};
use python::{MAX_LENGTH, NOT_RENDERED, by_place_or_name, failed, literal, written};
use serde::de::IgnoredAny;
use serde_yaml::Value as Yaml;

use super::{Error, yaml};
use crate::model::Secret;

/// dbt provides variables with this prefix only to profiles and packages, and masks their values in its logs.
const SECRET: &str = "DBT_ENV_SECRET";

/// What dbt's templates also have, and this program's do not.
const UNKNOWN: [&str; 18] = [
    "builtins",
    "context",
    "dbt_metadata_envs",
    "dbt_version",
    "diff_of_two_dicts",
    "flags",
    "invocation_id",
    "local_md5",
    "modules",
    "return",
    "run_started_at",
    "set",
    "set_strict",
    "thread_id",
    "tojson",
    "toyaml",
    "zip",
    "zip_strict",
];

/// What the library renders, and dbt does otherwise or not at all.
const OTHER_STATEMENTS: [&str; 8] =
    ["autoescape", "block", "call", "extends", "from", "import", "include", "macro"];
const OTHER_FILTERS: [&str; 8] = ["bool", "chain", "e", "escape", "lines", "pprint", "split", "zip"];
const OTHER_TESTS: [&str; 4] = ["endingwith", "int", "safe", "startingwith"];
const OTHER_ESCAPES: [&str; 3] = ["\\/", "\\N", "\\U"];

/// The last value that a template wrote.
const WRITTEN: &str = "written";

/// The text that `as_native`, `as_number` or `as_bool` makes a value of, if it is all that the template writes.
const NATIVE: &str = "native";

/// The values that the two files may use.
#[derive(Clone, Debug, Default)]
pub struct Context {
    pub variables: BTreeMap<String, String>,
    /// `--vars`, as YAML.
    pub vars: BTreeMap<String, Yaml>,
    /// `target`, which only `dbt_project.yml` may use.
    pub target: Option<BTreeMap<&'static str, String>>,
    /// Whether an unset variable is an empty text, for uses in which the value does not matter: CI has no secrets of a
    /// developer.
    pub missing_is_empty: bool,
    /// Whether a profile may be one for dbt 2, in which numbers may be texts, and fields with a default may be missing.
    pub may_be_dbt_2: bool,
}

impl Context {
    /// `--vars` as dbt reads them. A name that is no text is for no `var()` of a profile.
    pub fn read_vars(text: &str, may_be_dbt_2: bool) -> Result<BTreeMap<String, Yaml>, Error> {
        let wrong = |reason: String| Error::Vars { reason };
        let yaml = yaml::read(text, may_be_dbt_2).map_err(|error| wrong(error.to_string()))?;
        let Yaml::Mapping(vars) = yaml else { return Err(wrong("expected a mapping".into())) };
        let of_text = |(name, value)| if let Yaml::String(name) = name { Some((name, value)) } else { None };
        Ok(vars.into_iter().filter_map(of_text).collect())
    }

    /// The values of dbt's secret variables, the longest first: one may contain another.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        let secret = self.variables.iter().filter(|(name, _)| name.starts_with(SECRET));
        let mut values: Vec<&str> = secret.map(|(_, value)| value.as_str()).collect();
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        values.into_iter().map(Secret::new).collect()
    }
}

pub(super) struct Renderer {
    environment: Environment<'static>,
    variables: BTreeMap<String, String>,
}

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
        environment.set_unknown_method_callback(python::method);
        environment.set_formatter(|out, state, value| {
            state.set_temp(WRITTEN, value.clone());
            Ok(out.write_str(&written(value))?)
        });
        let Context { variables, vars, target, missing_is_empty, may_be_dbt_2 } = context.clone();
        let reading = EnvVar { variables: variables.clone(), takes_secrets, missing_is_empty };
        environment.add_global("env_var", Jinja::from_object(reading));
        environment.add_global("var", Jinja::from_object(Vars { vars, missing_is_empty }));
        if let Some(target) = target {
            environment.add_global("target", Jinja::from(Serde(target)));
        }
        environment.add_function("fromjson", |arguments| from_text(arguments, "string", from_json));
        let from_yaml = move |text: &str| yaml::read(text, may_be_dbt_2).ok().map(clear).transpose();
        environment.add_function("fromyaml", move |arguments| from_text(arguments, "value", from_yaml));
        environment.add_filter("int", python::int);
        environment.add_filter("float", python::float);
        environment.add_filter("urlencode", python::urlencode);
        environment.add_filter("truncate", python::truncate);
        environment.add_test("sequence", python::is_sequence);
        for name in OTHER_FILTERS {
            environment.remove_filter(name);
        }
        for name in OTHER_TESTS {
            environment.remove_test(name);
        }
        environment.remove_global("debug");
        for name in ["log", "print"] {
            environment.add_global(name, Jinja::from_object(Silent));
        }
        // As in dbt 1, the text stays a text for other filters and conditions.
        for (filter, expected, is_right) in LITERALS {
            environment.add_filter(
                filter,
                move |state: &mut State<'_, '_>, value: Jinja| -> Result<Jinja, JinjaError> {
                    let text = written(&value);
                    let is_missing = missing_is_empty && text.is_empty();
                    if !is_missing && !is_right(&literal(&text)?) {
                        return Err(failed(format!("`{text}` is not {expected}")));
                    }
                    let value = Jinja::from(text);
                    state.set_temp(NATIVE, value.clone());
                    Ok(value)
                },
            );
        }
        environment.add_filter("as_text", |state: &mut State<'_, '_>, value: Jinja| {
            state.set_temp(NATIVE, ().into());
            Jinja::from(written(&value))
        });
        Self { environment, variables }
    }

    /// A scalar as text with its Jinja rendered; `None` for null.
    pub(super) fn text(&self, value: &Yaml) -> Result<Option<String>, String> {
        Ok(match value {
            Yaml::String(text) => Some(self.rendered(text)?.0),
            Yaml::Number(number) => Some(number.to_string()),
            Yaml::Bool(flag) => Some(flag.to_string()),
            Yaml::Null => None,
            Yaml::Tagged(_) => return Err(yaml::UNCLEAR.into()),
            Yaml::Sequence(_) | Yaml::Mapping(_) => return Err(SEVERAL.into()),
        })
    }

    /// A scalar with its Jinja rendered. As in dbt, an expression that is all of a text keeps its type.
    pub(super) fn value(&self, value: &Yaml) -> Result<Yaml, String> {
        let value = if let Yaml::String(text) = value {
            match self.rendered(text)? {
                (_, Some(value)) if value.is_undefined() => return Err(format!("`{text}` has no value")),
                (_, Some(value)) => serde_yaml::to_value(value).map_err(|error| error.to_string())?,
                (text, None) => text.into(),
            }
        } else {
            value.clone()
        };
        match value {
            Yaml::Tagged(_) => Err(yaml::UNCLEAR.into()),
            Yaml::Sequence(_) | Yaml::Mapping(_) => Err(SEVERAL.into()),
            Yaml::Null | Yaml::Bool(_) | Yaml::Number(_) | Yaml::String(_) => Ok(value),
        }
    }

    /// The text, and the value that it stands for, if that is no text.
    fn rendered(&self, text: &str) -> Result<(String, Option<Jinja>), String> {
        // As in every template.
        let text = &*text.replace("\r\n", "\n").replace('\r', "\n");
        if !["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
            return Ok((text.strip_suffix('\n').unwrap_or(text).to_owned(), None));
        }
        if text.len() > MAX_LENGTH {
            return Err(format!(
                "a value with Jinja has {} bytes, expected at most {MAX_LENGTH}",
                text.len()
            ));
        }
        if let Some(word) = statements(text).find(|word| OTHER_STATEMENTS.contains(word)) {
            return Err(not_rendered(&format!("`{{% {word} %}}`")));
        }
        if let Some(escape) = OTHER_ESCAPES.iter().find(|escape| text.contains(**escape)) {
            return Err(not_rendered(&format!("`{escape}`")));
        }
        if has_unusual_step(text) {
            return Err(not_rendered("a slice with such a step"));
        }
        let template = self.environment.template_from_str(text).map_err(said)?;
        let used = template.undeclared_variables(false);
        if let Some(name) = UNKNOWN.iter().find(|name| used.contains(**name)) {
            return Err(not_rendered(&format!("`{name}`")));
        }
        let rendered = template.render_captured(()).map_err(said)?;
        let temp = |name: &str| rendered.state().get_temp(name);
        let value = temp(WRITTEN).filter(|value| written(value) == rendered.output());
        let is_native = value.is_some() && value == temp(NATIVE);
        let value = match value {
            Some(_) if is_native => Some(literal(rendered.output()).map_err(said)?),
            // Python's Jinja writes constants when it compiles a template.
            Some(value) if is_scalar(&value) && used.is_empty() && is_constant(text) => None,
            value => value,
        };
        Ok((self.with_secrets(rendered.output().to_owned()), value.filter(|value| value.as_str().is_none())))
    }

    /// Secrets are written last.
    fn with_secrets(&self, text: String) -> String {
        let secrets = self.variables.iter().filter(|(name, _)| name.starts_with(SECRET));
        secrets.fold(text, |text, (name, value)| text.replace(&placeholder(name), value))
    }
}

/// dbt's filters for values, what each takes, and how to see that.
type IsRight = fn(&Jinja) -> bool;
const LITERALS: [(&str, &str, IsRight); 3] = [
    ("as_native", "a value", |_| true),
    ("as_number", "a number", Jinja::is_number),
    ("as_bool", "`True` or `False`", |value| value.kind() == ValueKind::Bool),
];

const SEVERAL: &str = "expected a single value, found a list or a mapping";

/// Whether a slice in a template has a step other than a plain number: the library ends the program at `''[::-1]`.
fn has_unusual_step(text: &str) -> bool {
    let is_unusual = |inside: &str| {
        let slice = inside.split(']').next().unwrap_or_default();
        let step = slice.split(':').nth(2).map(str::trim).unwrap_or_default();
        !slice.contains('{') && !step.bytes().all(|digit| digit.is_ascii_digit())
    };
    text.split('[').skip(1).any(is_unusual)
}

/// The first words of the statements in a template.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    text.split("{%").skip(1).map(|rest| {
        let rest = rest.trim_start_matches(['-', '+']).trim_start();
        rest.split(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default()
    })
}

/// What a template has instead of a secret, as in dbt: no expression can read or change a secret.
fn placeholder(name: &str) -> String {
    format!("$$$DBT_SECRET_START$$${name}$$$DBT_SECRET_END$$$")
}

fn said(error: JinjaError) -> String {
    use ErrorKind::{UnknownFilter, UnknownFunction, UnknownMethod, UnknownTest};
    let said = error.detail().map_or_else(|| error.to_string(), ToOwned::to_owned);
    // dbt may know it.
    if matches!(error.kind(), UnknownFilter | UnknownFunction | UnknownMethod | UnknownTest) {
        return not_rendered(&format!("it: {said}"));
    }
    said
}

fn not_rendered(what: &str) -> String {
    format!("{NOT_RENDERED} {what}; pass the text with `env_var`")
}

/// Whether dbt may render a value although this error was returned for it.
pub(super) fn may_be_rendered_by_dbt(error: &str) -> bool {
    error.starts_with(NOT_RENDERED)
}

fn is_scalar(value: &Jinja) -> bool {
    matches!(value.kind(), ValueKind::None | ValueKind::Bool | ValueKind::Number | ValueKind::String)
}

/// Whether a template without variables has neither statements, nor calls, nor filters that run when it is rendered.
fn is_constant(text: &str) -> bool {
    let is_called = |before: &str| before.ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    let mut calls = text.split('(');
    calls.next_back();
    !["{%", "select", "reject", "map"].iter().any(|word| text.contains(word)) && !calls.any(is_called)
}

/// The function `env_var`.
#[derive(Debug)]
struct EnvVar {
    variables: BTreeMap<String, String>,
    takes_secrets: bool,
    missing_is_empty: bool,
}

impl Object for EnvVar {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, arguments: &[Jinja]) -> Result<Jinja, JinjaError> {
        let (name, default) = name_and_default(arguments, "var")?;
        if name.starts_with(SECRET) && !self.takes_secrets {
            return Err(failed(format!("the secret `{name}` is for profiles.yml and packages.yml only")));
        }
        let known = self.variables.get(&name).map(|value| {
            if name.starts_with(SECRET) { placeholder(&name).into() } else { Jinja::from(value) }
        });
        let value = known.or(default).or_else(|| self.missing_is_empty.then(|| Jinja::from("")));
        value.ok_or_else(|| failed(format!("the environment variable `{name}` is not set")))
    }
}

/// `--vars`, as a function with a method.
#[derive(Debug)]
struct Vars {
    vars: BTreeMap<String, Yaml>,
    missing_is_empty: bool,
}

impl Object for Vars {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, arguments: &[Jinja]) -> Result<Jinja, JinjaError> {
        let (name, default) = name_and_default(arguments, "var_name")?;
        let value = self.vars.get(&name).cloned().map(clear).transpose()?.or(default);
        let value = value.or_else(|| self.missing_is_empty.then(|| Jinja::from("")));
        value.ok_or_else(|| failed(format!("the variable `{name}` is not in `--vars`")))
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        arguments: &[Jinja],
    ) -> Result<Jinja, JinjaError> {
        match (method, arguments.first().and_then(Jinja::as_str)) {
            ("has_var", Some(name)) => Ok(self.vars.contains_key(name).into()),
            _ => Err(failed(format!("`var` has no method `{method}`"))),
        }
    }
}

/// A function that reads a text; the default, or none, for one that is not well-formed.
fn from_text(
    arguments: Rest<ValueOrKwargs>,
    name: &str,
    read: impl Fn(&str) -> Result<Option<Jinja>, JinjaError>,
) -> Result<Jinja, JinjaError> {
    let [text, default] = by_place_or_name(&arguments.into_values(), [name, "default"])?;
    let text = text.as_ref().and_then(Jinja::as_str).ok_or_else(|| failed("expected a text".into()))?;
    Ok(read(text)?.or(default).unwrap_or_else(|| ().into()))
}

/// JSON with its keys in their order.
fn from_json(text: &str) -> Result<Option<Jinja>, JinjaError> {
    if serde_json::from_str::<IgnoredAny>(text).is_err()
        && !["NaN", "Infinity"].iter().any(|word| text.contains(word))
    {
        return Ok(None);
    }
    let value = serde_json::from_str::<Yaml>(text).map_err(|error| failed(error.to_string()))?;
    clear(value).map(Some)
}

/// A function that prints, and writes nothing into the text.
#[derive(Debug)]
struct Silent;

impl Object for Silent {
    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, _: &[Jinja]) -> Result<Jinja, JinjaError> {
        Ok("".into())
    }
}

/// The arguments of `env_var` and `var`. A default of none is no default.
fn name_and_default(arguments: &[Jinja], name: &str) -> Result<(String, Option<Jinja>), JinjaError> {
    let [asked, default] = by_place_or_name(arguments, [name, "default"])?;
    let asked = asked.and_then(|value| value.as_str().map(ToOwned::to_owned));
    let asked = asked.ok_or_else(|| failed("expected the name of a variable".into()))?;
    Ok((asked, default.filter(|value| !value.is_none())))
}

/// A value of YAML for Jinja.
fn clear(value: Yaml) -> Result<Jinja, JinjaError> {
    if yaml::is_unclear(&value) {
        return Err(failed(yaml::UNCLEAR.into()));
    }
    Ok(Jinja::from(Serde(value)))
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
            target: Some([("name", "dev".to_owned())].into()),
            ..Context::default()
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
            ("a line\n", Some("a line")),
            ("{{ env_var('HOST') }}\n", Some("DB.example")),
            ("{{ env_var('NO', default='x') }}{{ env_var(var='HOST') }}", Some("xDB.example")),
            ("{{ var('none', default=true) }}{{ var.has_var('schema') }}", Some("TrueTrue")),
            ("{{ log('x', info=True) }}{{ print('x') }}y", Some("y")),
            ("{{ fromjson('{\"a\": [1]}').a[0] }}{{ fromyaml('a: b').a }}", Some("1b")),
            (
                "{{ 'a/b/c'.rsplit('/', 1)[0] }} {{ 'a/b'.partition('/')[2] }} {{ 'a'.rpartition('/')[2] }}",
                Some("a/b b a"),
            ),
            ("{{ 'pr-1'.removeprefix('pr-') }}{{ 'a.x'.removesuffix('.x') }}", Some("1a")),
            ("{{ nothing }}{{ 'a' if nothing else 'b' }}", Some("b")),
            ("{{ 'abcdef'[1:-1] }}{{ 'abcdef'[::2] }}{{ [{'a': 1, 'b': 2}][0].b }}", Some("bcdeace2")),
            ("{{ 'a' if (5 | as_number) == '5' else 'b' }}", Some("a")),
            ("{{ target.name }}", Some("dev")),
            (
                "{{ 1e20 }} {{ -1e-5 }} {{ 1e15 }} {{ 0.0001 }} {{ 5e0 }}",
                Some("1e+20 -1e-05 1000000000000000.0 0.0001 5.0"),
            ),
            ("a\r\nb{{ 1 }}\rc", Some("a\nb1\nc")),
            ("a\r\nb", Some("a\nb")),
            (r#"{{ "it's (1" | as_native }}"#, Some("it's (1")),
        ] {
            match value {
                Some(value) => assert_eq!(rendered(text), Ok(Some(value.to_owned())), "{text}"),
                None => assert!(rendered(text).is_err(), "{text}"),
            }
        }
    }

    /// In dbt, too, an expression sees a placeholder: the text of a secret decides nothing.
    #[test]
    fn no_expression_reads_a_secret() {
        for (text, value) in [
            ("{{ env_var('DBT_ENV_SECRET_X') | upper }}", "s3cret"),
            ("{{ 'a' if env_var('DBT_ENV_SECRET_X') == 's3cret' else 'b' }}", "b"),
            ("{{ 'a' if 's3' in env_var('DBT_ENV_SECRET_X') else 'b' }}", "b"),
            ("x{{ env_var('DBT_ENV_SECRET_X') }}{{ env_var('DBT_ENV_SECRET_X') }}", "xs3crets3cret"),
            ("{{ env_var('DBT_ENV_SECRET_NO', 'c') }}", "c"),
        ] {
            assert_eq!(rendered(text), Ok(Some(value.to_owned())), "{text}");
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
            ("{{ 'true' | as_bool }}", "`true` is not `True` or `False`"),
            ("{{ env_var('HOST', 'a', more='b') }}", "unknown keyword argument"),
            ("{{ modules.re.sub('a', 'b', 'c') }}", "pgtrickle-ci does not render `modules`"),
            ("{{ dbt_version }}", "pgtrickle-ci does not render `dbt_version`"),
            ("{{ builtins.env_var('HOST') }}", "pgtrickle-ci does not render `builtins`"),
            (
                "{{ 'a' | escape }}",
                "pgtrickle-ci does not render it: filter escape is unknown; pass the text",
            ),
            (
                "{{ 'a'.encode() }}",
                "pgtrickle-ci does not render it: string has no method named encode; pass",
            ),
            ("{{ 'a' | truncate(2) }}", "expected a length of at least 3"),
            ("{{ ref('a') }}", "pgtrickle-ci does not render it: ref is unknown; pass"),
            (
                "{% macro f() %}a{% endmacro %}{{ f() }}",
                "pgtrickle-ci does not render `{% macro %}`; pass the text",
            ),
            ("{%- include 'a' %}", "pgtrickle-ci does not render `{% include %}`"),
            ("{{ 'a b' | split }}", "pgtrickle-ci does not render it: filter split is unknown"),
            (
                "{{ 'a' is startingwith 'a' }}",
                "pgtrickle-ci does not render it: test startingwith is unknown",
            ),
            (r#"{{ "a\/b" }}"#, r"pgtrickle-ci does not render `\/`"),
            (r#"{{ "'5'" | as_native }}"#, "pgtrickle-ci does not render it: Python may read"),
            ("{{ '(1, 2)' | as_native }}", "pgtrickle-ci does not render it: Python may read"),
            ("{{ 5 | as_bool }}", "`5` is not `True` or `False`"),
            ("{{ var.get('schema') }}", "`var` has no method `get`"),
            ("{{ ''[::-1] }}", "pgtrickle-ci does not render a slice with such a step"),
            ("{{ env_var('HOST')[ 2 : 0 : - 1 ] }}", "pgtrickle-ci does not render a slice with such a step"),
        ] {
            assert!(rendered(text).unwrap_err().starts_with(said), "{text}");
        }
        let project = Renderer::of_project(&context());
        let refused = project.text(&Yaml::from("{{ env_var('DBT_ENV_SECRET_X') }}")).unwrap_err();
        assert!(refused.starts_with("the secret `DBT_ENV_SECRET_X`"), "{refused}");
    }
}
