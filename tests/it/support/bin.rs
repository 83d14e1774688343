//! The built binary, started as by a user, in a clean environment.

use std::process::{Command, Output};

use super::warm_dbt;

/// The inherited variables: how programs are found, and where temporary files go.
const KEPT: [&str; 5] = ["PATH", "HOME", "TMPDIR", "VIRTUAL_ENV", "LLVM_PROFILE_FILE"];

/// The binary without arguments.
pub fn pgtrickle_ci() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pgtrickle-ci"));
    command.env_clear();
    for name in KEPT {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    if let Some(warm) = warm_dbt::folder() {
        let path = std::env::var("PATH").unwrap_or_default();
        let venv = warm_dbt::venv();
        let path = format!("{}:{}:{path}", warm.display(), venv.join("bin").display());
        command.env("PATH", path).env("VIRTUAL_ENV", venv);
    }
    command.env("COLUMNS", "100");
    command
}

/// The same with the real dbt, for what depends on how dbt starts.
pub fn pgtrickle_ci_with_real_dbt() -> Command {
    let mut command = pgtrickle_ci();
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", warm_dbt::venv().join("bin").display()));
    command
}

/// A run that ended.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn of(command: &mut Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: status.code(), stdout: text(stdout), stderr: text(stderr) }
    }

    /// Fails with the whole output unless the exit code is this one.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// One `error:` line that names the thing, one `hint:` line with what to do next, and exit code 2.
    #[track_caller]
    pub fn expect_error(self, naming: &str, hint: &str) -> Self {
        let ran = self.expect(2);
        let line =
            |start: &str| ran.stderr.lines().filter(|line| line.starts_with(start)).collect::<Vec<_>>();
        let (errors, hints) = (line("error: "), line("hint: "));
        assert!(errors.len() == 1 && hints.len() == 1, "{}", ran.stderr);
        let error = &ran.stderr[ran.stderr.find("error: ").unwrap()..];
        assert!(error.contains(naming), "`{naming}` is not named:\n{}", ran.stderr);
        assert!(hints[0].contains(hint), "`{hint}` is not hinted:\n{}", ran.stderr);
        ran
    }
}
