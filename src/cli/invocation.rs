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
pub(super) const HIDDEN: &str = "...";

/// The value of an argument; `None` if it may be secret.
pub(super) fn unless_secret(id: &str, value: &str) -> Option<String> {
    (!SECRET.contains(&id) && !value.contains("://")).then(|| value.to_owned())
}

/// Hides the values in a usage error that may be secret.
pub(super) fn hide(mut error: clap::Error) -> clap::Error {
    let text = |error: &clap::Error, kind| match error.get(kind) {
        Some(ContextValue::String(text)) => text.clone(),
        _ => String::new(),
    };
    let flag = text(&error, ContextKind::InvalidArg);
    let id = flag.split_whitespace().next().unwrap_or_default().trim_start_matches('-').replace('-', "_");
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidValue, ContextKind::InvalidSubcommand] {
        let of = if kind == ContextKind::InvalidValue { &id } else { "" };
        if unless_secret(of, &text(&error, kind)).is_none() {
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
