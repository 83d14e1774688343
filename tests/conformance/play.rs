//! A scenario, played in a database of its own.

use std::{
    collections::HashMap,
    fmt::Write as _,
    path::Path,
    time::{Duration, Instant},
};

use tokio::{
    sync::mpsc::{UnboundedReceiver, unbounded_channel},
    task::JoinHandle,
};
use tokio_postgres::{AsyncMessage, Client, NoTls, SimpleQueryMessage, error::DbError};

use crate::{
    engine::{self, Server},
    scenario::{Manner, Scenario, Step},
};

/// How long a step may take, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_mins(1);

/// The same where the mark says already that it will not agree.
const PATIENCE_WITH_MARKED: Duration = Duration::from_secs(10);

const PAUSE: Duration = Duration::from_millis(50);

/// How much of a message is recorded: enough to know it by.
const STEM: usize = 100;

/// What came of a step.
pub struct Answer {
    pub step: Step,
    pub came: Vec<String>,
}

/// Plays all steps; after one that does not agree, too, so that all can be recorded.
pub async fn play(server: &Server, place: usize, scenario: &Scenario) -> Vec<Answer> {
    let database = format!("pgtrickle_ci_conformance_{}_{place}", std::process::id());
    server.create(&database).await;
    let marked = scenario.mark(server.engine()).is_some();
    let patience = if marked { PATIENCE_WITH_MARKED } else { PATIENCE };
    let mut stage = Stage { server, database: &database, patience, sessions: HashMap::new() };
    let mut answers: Vec<Answer> = Vec::new();
    for step in &scenario.steps {
        let came = stage.step(step).await;
        let came = came.iter().map(|line| line.replace(&database, "$db")).collect();
        answers.push(Answer { step: step.clone(), came });
        // What does not agree is known now; the rest would only be waited for.
        if marked && !answers.last().is_some_and(Answer::agrees) {
            break;
        }
    }
    drop(stage);
    server.drop(&database).await;
    answers
}

struct Stage<'a> {
    server: &'a Server,
    database: &'a str,
    patience: Duration,
    sessions: HashMap<String, Session>,
}

struct Session {
    client: std::sync::Arc<Client>,
    pid: i32,
    messages: UnboundedReceiver<AsyncMessage>,
    heard: Vec<String>,
    started: Option<JoinHandle<Vec<String>>>,
}

impl Stage<'_> {
    async fn step(&mut self, step: &Step) -> Vec<String> {
        let sql = step.sql.replace("$db", self.database);
        if !self.sessions.contains_key(&step.session) {
            let session = Session::open(self.server, self.database).await;
            self.sessions.insert(step.session.clone(), session);
        }
        let (server, database, patience) = (self.server, self.database, self.patience);
        let session = self.sessions.get_mut(&step.session).unwrap();
        match step.manner {
            Manner::Once => session.once(&sql, &step.expected, patience).await,
            Manner::Until => session.until(&sql, step, patience).await,
            Manner::Starts => session.start(server, database, sql, patience).await,
            Manner::Ends => session.end(&step.expected, patience).await,
            Manner::Hears => session.hear(&step.expected, patience).await,
        }
    }
}

impl Session {
    async fn open(server: &Server, database: &str) -> Self {
        let endpoint = server.database(database);
        let (client, mut connection) = tokio_postgres::connect(endpoint.url().reveal(), NoTls).await.unwrap();
        let (sender, messages) = unbounded_channel();
        tokio::spawn(async move {
            let mut next = std::future::poll_fn(|context| connection.poll_message(context));
            while let Some(Ok(message)) = (&mut next).await {
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let pid = client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0);
        Self { client: client.into(), pid, messages, heard: Vec::new(), started: None }
    }

    async fn once(&mut self, sql: &str, expected: &[String], patience: Duration) -> Vec<String> {
        let answer = tokio::time::timeout(patience, ask(&self.client, sql)).await;
        let answer = answer.unwrap_or_else(|_| vec!["no answer in time".to_owned()]);
        self.with_messages(answer, expected)
    }

    /// Without an answer below it, what is waited for is `t`.
    async fn until(&mut self, sql: &str, step: &Step, patience: Duration) -> Vec<String> {
        let wanted = if step.expected.is_empty() { vec!["t".to_owned()] } else { step.expected.clone() };
        let begin = Instant::now();
        loop {
            let came = self.once(sql, &wanted, patience).await;
            if agree(&wanted, &came) || begin.elapsed() > patience {
                return came;
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    async fn start(
        &mut self,
        server: &Server,
        database: &str,
        sql: String,
        patience: Duration,
    ) -> Vec<String> {
        let client = self.client.clone();
        self.started = Some(tokio::spawn(async move { ask(&client, &sql).await }));
        let watcher = engine::client(&server.database(database)).await;
        let waits = "select from pg_stat_activity where pid = $1 and state = 'active' \
                     and wait_event_type in ('Lock', 'Timeout')";
        let begin = Instant::now();
        while begin.elapsed() < patience && !self.started.as_ref().is_some_and(JoinHandle::is_finished) {
            if watcher.query_opt(waits, &[&self.pid]).await.unwrap().is_some() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        Vec::new()
    }

    async fn end(&mut self, expected: &[String], patience: Duration) -> Vec<String> {
        let started = self.started.take().expect("something was started");
        let answer = tokio::time::timeout(patience, started).await;
        let answer = answer.map_or_else(|_| vec!["no answer in time".to_owned()], Result::unwrap);
        self.with_messages(answer, expected)
    }

    /// Notifications come in their own time, and more of them than a scenario is about.
    async fn hear(&mut self, expected: &[String], patience: Duration) -> Vec<String> {
        let begin = Instant::now();
        loop {
            let _ = self.with_messages(Vec::new(), expected);
            if let Some(place) = self.heard.iter().position(|heard| matches(&expected[0], heard)) {
                return vec![self.heard.drain(..=place).next_back().unwrap()];
            }
            if begin.elapsed() > patience {
                return self.heard.clone();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// The answer behind the messages that came with it: every warning, and of the others those that are expected.
    fn with_messages(&mut self, answer: Vec<String>, expected: &[String]) -> Vec<String> {
        let mut lines = Vec::new();
        while let Ok(message) = self.messages.try_recv() {
            match message {
                AsyncMessage::Notification(said) => {
                    let heard = format!("{} {}", said.channel(), said.payload());
                    self.heard.push(heard.trim_end().to_owned());
                }
                AsyncMessage::Notice(notice) => {
                    let line = format!("{}: {}", notice.severity(), on_one_line(notice.message()));
                    if notice.severity() == "WARNING" || expected.iter().any(|one| matches(one, &line)) {
                        lines.push(line);
                    }
                }
                _ => {}
            }
        }
        lines.extend(answer);
        lines
    }
}

/// The rows, and the error if it came to one.
async fn ask(client: &Client, sql: &str) -> Vec<String> {
    let messages = match client.simple_query(sql).await {
        Ok(messages) => messages,
        Err(error) => {
            return vec![error.as_db_error().map_or_else(|| "the connection is gone".to_owned(), refusal)];
        }
    };
    let mut lines = Vec::new();
    for message in messages {
        let SimpleQueryMessage::Row(row) = message else { continue };
        let values: Vec<_> = (0..row.len()).map(|nth| on_one_line(row.get(nth).unwrap_or("NULL"))).collect();
        if values != [""] {
            lines.push(values.join(" | "));
        }
    }
    lines
}

fn refusal(error: &DbError) -> String {
    format!("ERROR {}: {}", error.code().code(), on_one_line(error.message()))
}

fn on_one_line(text: &str) -> String {
    text.replace('\n', "\\n")
}

impl Answer {
    pub fn agrees(&self) -> bool {
        agree(&self.step.expected, &self.came)
    }

    /// As it is written into the file: messages are cut to what one knows them by.
    pub fn as_recorded(&self) -> Vec<String> {
        self.came.iter().map(|line| format!("--> {}", stem(line))).collect()
    }

    pub fn explain(&self, file: &Path) -> String {
        let mut text = format!("         {}:{}\n", file.display(), self.step.answer_at);
        self.step.sql.lines().for_each(|line| writeln!(text, "           {line}").unwrap());
        self.step.expected.iter().for_each(|line| writeln!(text, "         - {line}").unwrap());
        self.came.iter().for_each(|line| writeln!(text, "         + {line}").unwrap());
        text
    }
}

fn stem(line: &str) -> String {
    let is_message = ["ERROR ", "WARNING: "].iter().any(|start| line.starts_with(start));
    match line.char_indices().nth(STEM) {
        Some((end, _)) if is_message => format!("{}…", &line[..end]),
        _ => line.to_owned(),
    }
}

fn agree(expected: &[String], came: &[String]) -> bool {
    expected.len() == came.len() && expected.iter().zip(came).all(|(one, other)| matches(one, other))
}

/// Whether the text is the expected one, in which `…` matches any text.
fn matches(expected: &str, text: &str) -> bool {
    let Some((start, rest)) = expected.split_once('…') else {
        return expected == text;
    };
    let Some(mut text) = text.strip_prefix(start) else { return false };
    let parts: Vec<&str> = rest.split('…').collect();
    let (end, middle) = parts.split_last().unwrap();
    for part in middle {
        let Some(at) = text.find(part) else { return false };
        text = &text[at + part.len()..];
    }
    text.ends_with(end)
}
