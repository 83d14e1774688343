//! The values of all flags of a subcommand, and what set them.

use std::ffi::OsStr;

use clap::{ArgAction, ArgMatches, Command, parser::ValueSource};

use super::invocation::{HIDDEN, unless_secret};

/// A flag with a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// Without dashes, such as `lock-timeout`.
    pub flag: String,
    /// All its values; `...` for one that may be secret.
    pub value: String,
    pub source: Source,
}

/// What set a flag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    CommandLine,
    Variable,
    Default,
}

impl Given {
    /// What set it: the flag, its variable, or the default.
    pub fn setter(&self) -> String {
        match self.source {
            Source::CommandLine => format!("--{}", self.flag),
            Source::Variable => super::variable(&self.flag),
            Source::Default => "the default".into(),
        }
    }
}

/// The flags of the subcommand, in the order of its help. A switch without a value is off.
pub(super) fn given(mut command: Command, matches: &ArgMatches) -> Vec<Given> {
    command.build();
    let (mut command, mut matches) = (&command, matches);
    while let Some((name, inner)) = matches.subcommand() {
        let Some(subcommand) = command.find_subcommand(name) else { break };
        (command, matches) = (subcommand, inner);
    }
    let value_of = |arg: &clap::Arg| -> Option<Given> {
        let id = arg.get_id().as_str();
        let source = match matches.value_source(id)? {
            ValueSource::CommandLine => Source::CommandLine,
            ValueSource::EnvVariable => Source::Variable,
            ValueSource::DefaultValue | _ => Source::Default,
        };
        let is_switch = matches!(arg.get_action(), ArgAction::SetTrue);
        if is_switch && !matches.get_flag(id) {
            return None;
        }
        let shown =
            |value: &OsStr| unless_secret(id, &value.to_string_lossy()).unwrap_or_else(|| HIDDEN.into());
        let values: Vec<String> = matches.get_raw(id)?.map(shown).collect();
        let value = if is_switch { "true".into() } else { values.join(", ") };
        Some(Given { flag: arg.get_long().unwrap_or(id).to_owned(), value, source })
    };
    command.get_arguments().filter(|arg| arg.get_long().is_some()).filter_map(value_of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_flag_has_its_value_and_what_set_it() {
        let typed = [
            "pgtrickle-ci",
            "run",
            "--timeout",
            "3m",
            "--database-url",
            "postgresql://u:hunter2@h/d",
            "--until-found",
        ];
        let matches = super::super::command().try_get_matches_from(typed).unwrap();
        let given = given(super::super::command(), &matches);
        let find = |flag: &str| {
            given.iter().find(|given| given.flag == flag).map(|given| (&*given.value, given.source))
        };
        assert_eq!(find("timeout"), Some(("3m", Source::CommandLine)));
        assert_eq!(find("database-url"), Some(("...", Source::CommandLine)));
        assert_eq!(find("until-found"), Some(("true", Source::CommandLine)));
        assert_eq!(find("color"), Some(("auto", Source::Default)));
        assert_eq!((find("stub-sources"), find("budget")), (None, None));
    }
}
