//! What was typed, the environment and `pgtrickle-ci.yml` become one plain struct per subcommand. The order is flag,
//! environment, file, default. Below this module there is no clap and no configuration file.

mod commands;
mod environment;
mod error;
mod file;
mod project;
mod resolver;
mod server;
mod workflow;

pub use commands::{
    ApplyOptions, CheckOptions, CommentOptions, InitOptions, ModelsOptions, Permissions, PlanBase,
    PlanOptions, RehearsalOptions, ReportOptions, RoundOptions, RunOptions, Selection, VerifyOptions,
    WaitLimits, WaitOptions,
};
pub use environment::Environment;
pub use error::Error;
pub use file::File;
pub use project::ProjectOptions;
pub use resolver::Resolver;
pub use server::{ServerOptions, SourceOptions};
pub use workflow::{RunnerFiles, Workflow};

pub use crate::cli::When;

use crate::output::Ui;

/// Says where a setting comes from, for `--verbose`.
fn explain(ui: Ui, name: &str, value: impl std::fmt::Display, from: &str) {
    if ui.verbose {
        ui.say(&format!("{name} is {value}, from {from}"));
    }
}
