//! A database beside the one that is verified, in which cases are tried, get smaller, and leave nothing.

use super::{finish, moving::Wrong};
use crate::{
    judge::equality::Comparable,
    mutate::{Case, Pace, Part},
    output,
    pg::{self, Client, Endpoint, Limits},
    sql::quote_identifier,
};

/// What has to go wrong again.
pub(super) struct Sought<'a> {
    pub(super) table: &'a Comparable,
    pub(super) wrong: &'a Wrong,
    pub(super) tolerance: f64,
}

impl Sought<'_> {
    /// Whether these statements went wrong in the same way; `compare` is asked when the server took them.
    async fn is_this(
        &self,
        ran: Result<(), pg::Error>,
        compare: impl AsyncFnOnce() -> Result<bool, pg::Error>,
    ) -> Result<bool, pg::Error> {
        match (ran, self.wrong) {
            (Err(pg::Error::Server { message, .. }), Wrong::Refresh(expected)) => {
                Ok(expected.code.is_empty() || message.code == expected.code)
            }
            (Ok(()), Wrong::Differs(_)) => compare().await,
            (Ok(()), Wrong::Refresh(_)) => Ok(false),
            (Err(error), Wrong::Differs(_) | Wrong::Refresh(_)) => Err(error),
        }
    }
}

pub(super) struct Laboratory {
    /// `None` while the database is made anew.
    client: Option<Client>,
    beside: Endpoint,
    limits: Limits,
    name: String,
    /// How many more cases may be tried.
    tries: usize,
    /// What the open transaction has set up, behind a savepoint.
    prepared: Option<Vec<String>>,
}

impl Laboratory {
    pub(super) async fn open(beside: &Client, limits: Limits, tries: usize) -> Result<Self, pg::Error> {
        let mut laboratory = Self {
            client: None,
            beside: beside.endpoint().clone(),
            limits,
            name: format!("pgtrickle_ci_case_{}", std::process::id()),
            tries,
            prepared: None,
        };
        laboratory.clean(beside).await?;
        Ok(laboratory)
    }

    /// Makes the database anew.
    async fn clean(&mut self, beside: &Client) -> Result<(), pg::Error> {
        self.client = None;
        self.prepared = None;
        let name = quote_identifier(&self.name);
        beside.run_script(&format!("drop database if exists {name} with (force)")).await?;
        beside.run_script(&format!("create database {name}")).await?;
        let client = Client::connect(&self.beside.with_database(&self.name), self.limits).await?;
        client.run_script("create extension if not exists pg_trickle").await?;
        client.limit(self.limits.statement).await?;
        self.client = Some(client);
        Ok(())
    }

    pub(super) async fn close(mut self, beside: &Client) -> Result<(), pg::Error> {
        self.client = None;
        let dropped = format!("drop database if exists {} with (force)", quote_identifier(&self.name));
        beside.run_script(&dropped).await?;
        self.name.clear();
        Ok(())
    }

    /// Takes parts away as long as what is left still shows it.
    pub(super) async fn smallest(
        &mut self,
        case: Case,
        sought: &Sought<'_>,
        beside: &Client,
    ) -> Result<Case, pg::Error> {
        let mut case = match case.without_unread_columns() {
            Some(less) if self.shows(&less, sought, beside).await? => less,
            _ => case,
        };
        let mut again = false;
        loop {
            let before = case.clone();
            for part in Part::ALL {
                // Great pieces first; what was not to be had in pieces may go one by one when other things are gone.
                let mut size = if again { 1 } else { case.count(part) };
                while size > 0 {
                    let mut from = 0;
                    while from < case.count(part) {
                        match case.without(part, &(from..from + size)) {
                            Some(less) if self.shows(&less, sought, beside).await? => case = less,
                            _ => from += size,
                        }
                    }
                    size = if size == 1 { 0 } else { size.div_ceil(2) };
                }
            }
            if case == before {
                return Ok(case);
            }
            again = true;
        }
    }

    /// Whether the same goes wrong with this case, as far as there are tries left.
    pub(super) async fn shows(
        &mut self,
        case: &Case,
        sought: &Sought<'_>,
        beside: &Client,
    ) -> Result<bool, pg::Error> {
        if self.tries == 0 {
            return Ok(false);
        }
        self.tries -= 1;
        if case.pace == Pace::default() {
            self.shows_at_once(case, sought).await
        } else {
            self.shows_for_good(case, sought, beside).await
        }
    }

    /// From now on, so many tries.
    pub(super) fn allow(&mut self, tries: usize) {
        self.tries = tries;
    }

    /// All in one transaction, which is taken back; as long as cases begin alike, only what comes after their beginning
    /// is.
    async fn shows_at_once(&mut self, case: &Case, sought: &Sought<'_>) -> Result<bool, pg::Error> {
        let (Some(client), setup) = (&self.client, case.setup()) else { return Ok(false) };
        if self.prepared.as_ref() == Some(&setup) {
            client.run_script("rollback to savepoint prepared").await?;
        } else {
            self.prepared = None;
            let script = format!("rollback; begin; {}; savepoint prepared", setup.join(";\n"));
            match client.run_script(&script).await {
                Ok(()) => self.prepared = Some(setup),
                Err(pg::Error::Server { .. }) => return Ok(false),
                Err(lost) => return Err(lost),
            }
        }
        let statements = case.rounds.iter().flat_map(|round| case.round(round));
        let inside: Vec<String> =
            statements.filter(|statement| statement != "begin" && statement != "commit").collect();
        let ran = client.run_script(&inside.join(";\n")).await;
        let compare = async || Ok(!client.compare_here(sought.table, sought.tolerance).await?.is_none());
        or_not(sought.is_this(ran, compare).await)
    }

    /// Whether it does when every statement is by itself and committed, as in the script.
    pub(super) async fn shows_for_good(
        &mut self,
        case: &Case,
        sought: &Sought<'_>,
        beside: &Client,
    ) -> Result<bool, pg::Error> {
        self.clean(beside).await?;
        let Some(client) = &self.client else { return Ok(false) };
        if let Err(error) = client.run_each(&case.setup()).await {
            return or_not(Err(error));
        }
        let statements: Vec<String> = case.rounds.iter().flat_map(|round| case.round(round)).collect();
        let ran = client.run_each(&statements).await;
        let compare = async || Ok(!client.compare(sought.table, sought.tolerance).await?.is_none());
        or_not(sought.is_this(ran, compare).await)
    }
}

/// A case that the server refuses does not show it.
fn or_not(shown: Result<bool, pg::Error>) -> Result<bool, pg::Error> {
    match shown {
        Err(pg::Error::Server { .. } | pg::Error::Answer { .. }) => Ok(false),
        shown => shown,
    }
}

/// Interrupted in the middle, it leaves no database behind.
impl Drop for Laboratory {
    fn drop(&mut self) {
        if self.name.is_empty() {
            return;
        }
        let dropped = format!("drop database if exists {} with (force)", quote_identifier(&self.name));
        let gone = finish(async || {
            let client = Client::connect(&self.beside, self.limits).await.ok()?;
            client.run_script(&dropped).await.ok()
        });
        if gone.is_none() {
            output::to_stderr(&format!("the database {} is left behind", self.name));
        }
    }
}
