//! How many nodes a dbt command has finished, from dbt's own log.
//!
//! dbt 1.x writes the log as JSON, a line per event, if it is asked to. dbt 2 does not: then only the time is known.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
    time::Duration,
};

use serde::Deserialize;

/// The event at the start of a node. Other events with a number are its end.
const START: &str = "LogStartLine";
/// Events of hooks, which are counted apart from nodes.
const HOOK: &str = "LogHook";

/// The progress of one command.
pub(super) struct Progress {
    file: PathBuf,
    /// What is read so far. Earlier commands wrote what is before the start.
    offset: u64,
    /// The start of a line that is not complete.
    rest: Vec<u8>,
    finished: BTreeSet<u64>,
    total: Option<u64>,
}

#[derive(Deserialize)]
struct Event {
    info: Info,
    #[serde(default)]
    data: Data,
}

#[derive(Deserialize)]
struct Info {
    name: String,
}

#[derive(Default, Deserialize)]
struct Data {
    /// The number of a node, from 1.
    index: Option<u64>,
    /// The number of nodes.
    #[serde(alias = "num_models")] // in the result of a test
    total: Option<u64>,
}

impl Progress {
    /// Of the command that starts now.
    pub(super) fn new(file: PathBuf) -> Self {
        let offset = file.metadata().map_or(0, |metadata| metadata.len());
        Self { file, offset, rest: Vec::new(), finished: BTreeSet::new(), total: None }
    }

    /// Reads what dbt has written since the last call. Best effort: without a log only the time is shown.
    pub(super) fn read(&mut self) {
        let mut new = Vec::new();
        let read = File::open(&self.file).and_then(|mut file| {
            // dbt starts a new file when this one is large.
            if file.metadata()?.len() < self.offset {
                self.offset = 0;
                self.rest.clear();
            }
            file.seek(SeekFrom::Start(self.offset))?;
            file.read_to_end(&mut new)
        });
        self.offset += read.unwrap_or_default() as u64;
        self.rest.append(&mut new);
        let Some(end) = self.rest.iter().rposition(|byte| *byte == b'\n') else { return };
        let lines: Vec<u8> = self.rest.drain(..=end).collect();
        lines.split(|byte| *byte == b'\n').for_each(|line| self.note(line));
    }

    fn note(&mut self, line: &[u8]) {
        let Ok(Event { info, data }) = serde_json::from_slice(line) else { return };
        let (Some(index), Some(total)) = (data.index, data.total) else { return };
        if info.name.starts_with(HOOK) {
            return;
        }
        self.total = Some(total);
        if info.name != START {
            self.finished.insert(index);
        }
    }

    /// `123/301`; `None` before the first node starts, and for a command without nodes.
    fn counts(&self) -> Option<String> {
        Some(format!("{}/{}", self.finished.len(), self.total?))
    }

    /// `dbt build 123/301 · 48s`
    pub(super) fn line(&self, command: &str, elapsed: Duration) -> String {
        let counts = self.counts().map(|counts| format!(" {counts}")).unwrap_or_default();
        let elapsed = Duration::from_secs(elapsed.as_secs());
        format!("dbt {command}{counts} · {}", humantime::format_duration(elapsed))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write};

    use super::*;

    /// The part of dbt 1.11's events that is read here.
    fn event(name: &str, index: u32) -> String {
        format!(
            "{{\"data\": {{\"index\": {index}, \"total\": 5, \"status\": \"x\"}}, \"info\": {{\"level\": \"info\", \"name\": \"{name}\"}}}}\n"
        )
    }

    #[test]
    fn finished_nodes_are_counted_once_as_dbt_writes_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dbt.log");
        std::fs::write(&path, event("LogModelResult", 4)).unwrap();
        let mut progress = Progress::new(path.clone());
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        let mut shown = |text: &str| {
            file.write_all(text.as_bytes()).unwrap();
            progress.read();
            progress.line("build", Duration::from_millis(48_900))
        };
        let start =
            "{\"data\": {\"log_version\": 3}, \"info\": {\"name\": \"MainReportVersion\"}}\nnot JSON\n";
        assert_eq!(shown(start), "dbt build · 48s");
        assert_eq!(shown(&event("LogStartLine", 1)), "dbt build 0/5 · 48s");
        let (first, rest) = (event("LogModelResult", 1), event("SkippingDetails", 2));
        assert_eq!(shown(&(first.clone() + &rest[..20])), "dbt build 1/5 · 48s");
        assert_eq!(shown(&rest[20..]), "dbt build 2/5 · 48s");
        assert_eq!(shown(&first), "dbt build 2/5 · 48s");
        let test = event("LogTestResult", 3).replace("total", "num_models");
        assert_eq!(shown(&test), "dbt build 3/5 · 48s");
        let hook = event("LogHookEndLine", 5).replace("\"total\": 5", "\"total\": 9");
        assert_eq!(shown(&hook), "dbt build 3/5 · 48s");
    }

    #[test]
    fn a_log_that_dbt_starts_again_is_read_from_its_start() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("dbt.log");
        let mut progress = Progress::new(path.clone());
        std::fs::write(&path, event("LogModelResult", 1) + &"x".repeat(500)).unwrap();
        progress.read();
        std::fs::rename(&path, dir.path().join("dbt.log.1")).unwrap();
        std::fs::write(&path, event("LogModelResult", 2)).unwrap();
        progress.read();
        assert_eq!(progress.counts().as_deref(), Some("2/5"));
    }

    #[test]
    fn without_a_log_only_the_time_is_shown() {
        let mut progress = Progress::new("/nowhere/dbt.log".into());
        progress.read();
        assert_eq!(progress.line("compile", Duration::from_secs(90)), "dbt compile · 1m 30s");
    }
}
