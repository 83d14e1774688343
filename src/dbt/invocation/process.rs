//! How a command of dbt runs, as a fork or as a process of its own, and what is shown of its output.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use tokio::sync::mpsc;

use super::{Dbt, Invocation};
use crate::{
    dbt::{
        Error, child, lines,
        profile::PASSWORD_VARIABLE,
        progress::Progress,
        started::set,
        watch::{self, Waited, Watch},
    },
    output::{self, Live},
};

impl Dbt {
    /// Prints dbt's output, unless that has been done already.
    pub(super) fn show(&self, lines: &[String]) {
        if !self.ui.passes_output_on() {
            for line in lines {
                output::to_stderr(line);
            }
        }
    }

    pub(super) async fn invoke(
        &self,
        command: &str,
        arguments: &[&str],
    ) -> Result<(Invocation, Vec<String>), Error> {
        self.ui.open_group(&format!("dbt {command}"));
        let started = Instant::now();
        let process = self.command(command, arguments);
        let mut watch = Watch::new(self.timeout);
        let ran = match self.fork(command, &process, &mut watch).await {
            Ok(None) => self.start(command, &process, &mut watch).await,
            Ok(Some(ran)) => Ok(ran),
            Err(error) => Err(error),
        };
        self.ui.close_group();
        let (code, lines) = ran?;
        let elapsed = started.elapsed();
        if self.ui.verbose {
            self.ui.say(&format!("dbt {command} took {:.1}s", elapsed.as_secs_f64()));
        }
        Ok((Invocation { code, elapsed }, lines))
    }

    /// Runs the command in a fork of the process that has imported dbt. `None` if it has to be a process of its own.
    async fn fork(&self, command: &str, process: &Command, watch: &mut Watch) -> Result<Option<Ran>, Error> {
        let mut place = self.session.lock().await;
        let Some(session) = place.as_mut() else { return Ok(None) };
        let Ok([stdout, stderr]) = session.start(process).await else {
            *place = None;
            self.say_broken(None).await;
            return Ok(None);
        };
        let (lines, said) = mpsc::unbounded_channel();
        child::forward(stdout, lines.clone());
        child::forward(stderr, lines);
        match self.follow(command, said, session.code(), watch).await {
            Ok((Ok(code), lines)) => Ok(Some((code, lines))),
            Ok((Err(reason), lines)) => {
                *place = None;
                if !CHANGES_THE_SERVER.contains(&command) {
                    self.say_broken(reason).await;
                    return Ok(None);
                }
                self.started.end().await;
                self.show(&lines);
                Err(Error::Gone { command: command.to_owned() })
            }
            Err(error) => {
                self.started.end().await;
                Err(error)
            }
        }
    }

    async fn say_broken(&self, reason: Option<String>) {
        let reason = match reason {
            Some(reason) => reason,
            None => self.started.complaint().await.unwrap_or_else(|| "its process ended".into()),
        };
        self.ui.say(&format!("cannot keep dbt running, so each command starts it: {reason}"));
    }

    /// Runs the command as a process of its own.
    async fn start(&self, command: &str, process: &Command, watch: &mut Watch) -> Result<Ran, Error> {
        let mut guarded = self.started.guarded(process);
        guarded.stdout(Stdio::piped()).stderr(Stdio::piped());
        let started = child::start(&mut guarded);
        let (mut child, ends_with_us) = started.map_err(|source| Error::Start { source })?;
        let (lines, said) = mpsc::unbounded_channel();
        child.stdout.take().into_iter().for_each(|stdout| child::forward(stdout, lines.clone()));
        child.stderr.take().into_iter().for_each(|stderr| child::forward(stderr, lines.clone()));
        drop(lines);
        match self.follow(command, said, child.wait(), watch).await {
            Ok((status, lines)) => {
                let status = status.map_err(|source| Error::Start { source })?;
                // A process without a code was ended by a signal.
                Ok((status.code().unwrap_or(2), lines))
            }
            Err(error) => {
                drop(ends_with_us);
                // It cancels its queries before it ends.
                child.wait().await.ok();
                Err(error)
            }
        }
    }

    /// Shows the lines of a command until there are no more, and waits for its end. Fails after the time limit.
    async fn follow<T>(
        &self,
        command: &str,
        mut said: mpsc::UnboundedReceiver<String>,
        end: impl Future<Output = T>,
        watch: &mut Watch,
    ) -> Result<(T, Vec<String>), Error> {
        let mut end = std::pin::pin!(end);
        let (mut kept, mut left_out) = (Vec::new(), 0);
        let show = |line: &str| {
            if self.ui.passes_output_on() {
                output::to_stderr(line);
            }
        };
        let mut progress = Progress::new(self.log_dir().join("dbt.log"));
        // dbt's own lines say more.
        let mut display = if self.ui.passes_output_on() { None } else { Live::start(self.ui) };
        let mut blocked = String::new();
        let ended = loop {
            let next = async {
                match said.recv().await {
                    Some(line) => Next::Line(line),
                    None => Next::End(end.as_mut().await),
                }
            };
            let line = match watch.until(next).await {
                Waited::Done(Next::Line(line)) => self.target.endpoint.mask(&line),
                Waited::Done(Next::End(ended)) => break ended,
                Waited::Frame => {
                    if let Some(display) = &mut display {
                        progress.read();
                        display.draw(&[progress.line(command, watch.elapsed()) + &blocked]);
                    }
                    continue;
                }
                Waited::Heartbeat => {
                    blocked = watch::blocked_by(&watch::blockers(&self.target.endpoint).await);
                    if display.is_none() {
                        progress.read();
                        self.ui.say(&(progress.line(command, watch.elapsed()) + &blocked));
                    }
                    continue;
                }
                Waited::TimedOut => {
                    drop(display);
                    let blockers = watch::blockers(&self.target.endpoint).await;
                    self.show(&kept);
                    let (command, limit) = (command.to_owned(), self.timeout);
                    return Err(Error::TimedOut { command, limit, blockers });
                }
            };
            let Some(line) = self.shown(command, line) else {
                left_out += 1;
                continue;
            };
            show(&line);
            kept.push(line);
        };
        drop(display);
        if left_out > 0 {
            let line =
                format!("lines of dbt that are left out, because they may hold values of rows: {left_out}");
            show(&line);
            kept.push(line);
        }
        Ok((ended, kept))
    }

    /// A line of dbt, as it may be shown. Only the commands that ask the server can quote rows.
    fn shown(&self, command: &str, line: String) -> Option<String> {
        let may_quote = self.hides_rows && !["deps", "parse", "ls"].contains(&command);
        if may_quote { lines::hidden(&line) } else { Some(line) }
    }

    pub(super) fn command(&self, command: &str, arguments: &[&str]) -> Command {
        let folder = self.folder.path();
        let mut process = self.started.command();
        process
            .args([command, "--project-dir"])
            .arg(&self.absolute_dir)
            .arg("--profiles-dir")
            .arg(folder)
            .args(["--profile", &self.target.profile, "--target", &self.target.name])
            .args(arguments)
            .env(PASSWORD_VARIABLE, self.target.endpoint.password.reveal());
        self.target.endpoint.override_environment(&mut process);
        set(&mut process, "TARGET_PATH", self.target_dir());
        set(&mut process, "LOG_PATH", self.log_dir());
        if command == "compile" {
            // Then dbt only sends the queries of models to the server.
            set(&mut process, "POPULATE_CACHE", "false");
        }
        if command == "ls" {
            // Otherwise it would overwrite the last manifest with one without compiled SQL.
            set(&mut process, "WRITE_JSON", "false");
        }
        if let Some(vars) = &self.vars {
            process.args(["--vars", vars]);
        }
        process
    }
}

/// The exit code of a command, and the lines that may be shown.
type Ran = (i32, Vec<String>);

/// A line of a command, or its end.
enum Next<T> {
    Line(String),
    End(T),
}

/// A command of these cannot be repeated if its end is unknown.
const CHANGES_THE_SERVER: [&str; 2] = ["build", "test"];
