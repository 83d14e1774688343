//! Parses the command line, runs the command and exits.

use std::process::ExitCode;

use pgtrickle_ci::{cli::Cli, commands, exit::Exit, output};

fn main() -> ExitCode {
    let cli = Cli::read();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            output::to_stderr(&format!("error: cannot start: {error}"));
            return Exit::Unable.into();
        }
    };
    let result = runtime.block_on(commands::execute(cli));
    // Don't wait for background tasks.
    runtime.shutdown_background();
    match result {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::to_stderr(&format!("error: {error}"));
            if let Some(hint) = error.hint() {
                output::to_stderr(&format!("hint: {hint}"));
            }
            Exit::Unable.into()
        }
    }
}
