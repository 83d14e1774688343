//! The command line as a report shows it, without secrets.

use clap::{
    ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue},
    parser::ValueSource,
};

use crate::report::text;

/// Flags whose values may hold a password.
const SECRET: [&str; 3] = ["database_url", "sources_from", "vars"];
/// Flags about the output only: they are not needed to reproduce a run.
const OUTPUT: [&str; 10] =
    ["json", "junit", "markdown", "html", "out", "findings", "color", "quiet", "verbose", "full"];

/// `pgtrickle-ci`, the subcommand, and each flag set on the command line or by its variable, quoted for a shell. Values
/// that may be secret, and URLs, become `...`.
pub(super) fn shown(mut command: Command, matches: &ArgMatches) -> String {
    command.build();
    let mut words = vec![command.get_name().to_owned()];
    let (mut command, mut matches) = (&command, matches);
    while let Some((name, inner)) = matches.subcommand() {
        words.push(name.to_owned());
        let Some(subcommand) = command.find_subcommand(name) else { break };
        (command, matches) = (subcommand, inner);
        for arg in command.get_arguments() {
            let id = arg.get_id().as_str();
            let source = matches.value_source(id);
            let is_given = matches!(source, Some(ValueSource::CommandLine | ValueSource::EnvVariable));
            if !is_given || OUTPUT.contains(&id) {
                continue;
            }
            let flag = arg.get_long().map(|long| format!("--{long}"));
            if matches!(arg.get_action(), ArgAction::SetTrue) {
                words.extend(flag.filter(|_| matches.get_flag(id)));
                continue;
            }
            for value in matches.get_raw(id).into_iter().flatten() {
                words.extend(flag.clone());
                words.push(match unless_secret(id, &value.to_string_lossy()) {
                    Some(value) => text::shell_word(&value),
                    None => HIDDEN.to_owned(),
                });
            }
        }
    }
    words.join(" ")
}

/// Replaces a value that may be secret.
pub const HIDDEN: &str = "...";

/// The value of an argument; `None` if it may be secret.
pub(super) fn unless_secret(id: &str, value: &str) -> Option<String> {
    (!SECRET.contains(&id) && !value.contains("://")).then(|| value.to_owned())
}

/// A text in a usage error.
fn context(error: &clap::Error, kind: ContextKind) -> String {
    match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    }
}

/// Names the environment variable in a usage error about a flag that was not typed.
pub(super) fn by_variable(
    mut error: clap::Error,
    typed: &[String],
    is_set: impl Fn(&str) -> bool,
) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::PriorArg] {
        let shown = context(&error, kind);
        let Some(flag) = shown.split(' ').next().filter(|flag| flag.starts_with("--")) else { continue };
        let is_typed = |word: &String| word.split('=').next() == Some(flag);
        let variable = super::variable(&flag[2..]);
        // `-q` is `--quiet`, and nobody typed that either.
        if is_set(&variable) && !typed.iter().any(is_typed) {
            error.insert(kind, ContextValue::String(format!("{variable} (`{shown}`)")));
        }
    }
    error
}

/// Hides the values in a usage error that may be secret.
pub(super) fn hide(mut error: clap::Error) -> clap::Error {
    let flag = context(&error, ContextKind::InvalidArg);
    let named = flag.split_whitespace().next().unwrap_or_default();
    let id =
        named.trim_start_matches("PGTRICKLE_CI_").trim_start_matches('-').replace('-', "_").to_lowercase();
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        let of = if kind == ContextKind::InvalidValue { &id } else { "" };
        if unless_secret(of, &context(&error, kind)).is_none() {
            error.insert(kind, ContextValue::String(HIDDEN.into()));
        }
    }
    error
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    fn shown_for(words: &str) -> String {
        let matches = Cli::command().try_get_matches_from(words.split(' ')).unwrap();
        shown(Cli::command(), &matches)
    }

    #[test]
    fn used_flags_are_shown() {
        for (typed, wanted) in [
            ("pgtrickle-ci run --json j --junit x --markdown m --html h", "pgtrickle-ci run"),
            (
                "pgtrickle-ci run --select a +b --exclude c --base-ref origin/main --sample 7 --sources-from x",
                "pgtrickle-ci run --select a --select '+b' --exclude c --base-ref origin/main --sources-from ... --sample 7",
            ),
            (
                "pgtrickle-ci --config ci.yml check --fail-on-fallback",
                "pgtrickle-ci check --fail-on-fallback --config ci.yml",
            ),
            ("pgtrickle-ci plan --json r.json -q --allow-drop a;b", "pgtrickle-ci plan --allow-drop 'a;b'"),
        ] {
            assert_eq!(shown_for(typed), wanted);
        }
    }

    #[test]
    fn an_error_names_what_was_set() {
        let error = |words: &[&str], typed: &[&str]| {
            let error = super::super::command().try_get_matches_from(words).unwrap_err();
            let typed: Vec<String> = typed.iter().map(|word| (*word).to_owned()).collect();
            hide(by_variable(error, &typed, |variable| variable != "PGTRICKLE_CI_QUIET")).to_string()
        };
        let wrong = ["pgtrickle-ci", "run", "--timeout=soon"];
        assert!(error(&wrong, &wrong).contains("for '--timeout <DUR>'"));
        // As if a variable had set it.
        assert!(
            error(&wrong, &["pgtrickle-ci", "run"])
                .contains("for 'PGTRICKLE_CI_TIMEOUT (`--timeout <DUR>`)'")
        );
        let both = ["pgtrickle-ci", "run", "--image", "x", "--pg-bin", "y"];
        let said = error(&both, &both[..4]);
        assert!(said.contains("PGTRICKLE_CI_PG_BIN") && said.contains("'--image <IMAGE>'"), "{said}");
        let secret = ["pgtrickle-ci", "run", "--vars", "hunter2"];
        let said = error(&secret, &secret[..2]);
        assert!(said.contains("PGTRICKLE_CI_VARS") && !said.contains("hunter2"), "{said}");
        let short = ["pgtrickle-ci", "run", "-q", "-v"];
        let said = error(&short, &short);
        assert!(said.contains("'--quiet'") && !said.contains("PGTRICKLE_CI_QUIET"), "{said}");
        let wrong = ["pgtrickle-ci", "run", "--budget", "abc", "--seed", "1"];
        let said = error(&wrong, &wrong);
        assert!(said.contains("expected a duration with units, such as `90s`"), "{said}");
        assert!(error(&["pgtrickle-ci", "run", "--nope"], &["pgtrickle-ci", "--nope"]).contains("'--nope'"));
    }

    #[test]
    fn secrets_and_urls_are_hidden() {
        for typed in [
            "pgtrickle-ci run --database-url postgresql://u:hunter2@h/d",
            "pgtrickle-ci run --sources-from host=h,password=hunter2",
            "pgtrickle-ci run --vars {key:hunter2}",
            "pgtrickle-ci run --image https://hunter2@registry.example/image",
        ] {
            let shown = shown_for(typed);
            assert!(!shown.contains("hunter2") && shown.ends_with(" ..."), "{shown}");
        }
    }
}
