//! Resolves the command line, the environment and `pgtrickle-ci.yml` into one plain struct per subcommand. A flag wins
//! over its environment variable, that over the file, and the file over the default. No other module reads clap's types
//! or the configuration file.

mod commands;
mod environment;
mod error;
mod file;
mod key_line;
mod project;
mod resolver;
mod server;
mod settings;
mod workflow;

pub use commands::{
    ApplyOptions, CheckOptions, CommentOptions, ConfigOptions, DoctorOptions, FileProblem, HistoryOptions,
    InitOptions, ModelsOptions, Permissions, PlanBase, PlanOptions, RehearsalOptions, ReportOptions,
    RoundOptions, RunOptions, Selection, Sharding, ShownOptions, TableOptions, VerifyOptions, WaitLimits,
    WaitOptions,
};
pub use environment::Environment;
pub use error::{Error, how_long};
pub use file::{File, UnknownKey, WrongValue};
pub use project::ProjectOptions;
pub use resolver::Resolver;
pub use server::{ServerOptions, SourceOptions};
pub use workflow::{Pipeline, RunnerFiles, Workflow};

pub use crate::cli::When;

use crate::output::Ui;

/// With `--verbose`, prints where a setting comes from.
fn explain(ui: Ui, name: &str, value: impl std::fmt::Display, from: &str) {
    if ui.verbose {
        ui.say(&format!("{name} is {value}, from {from}"));
    }
}
