//! A plan in a file: what was decided on one day, to be carried out on another, on the same server and unchanged.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Action, Plan, actions};
use crate::{
    model::{Deployed, Owner, Relation, Setting, StreamTable},
    project::Project,
};

/// The version of the format.
const SCHEMA_VERSION: u32 = 1;

/// What a file holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// 1. Another one is refused.
    pub schema_version: u32,
    /// The version of the program that made it; another one may mean something else by the same words.
    pub tool: String,
    /// The dbt project.
    pub project: String,
    /// The digest of what the manifest asked for: names, queries and settings.
    pub manifest: String,
    /// The server, `host:port/database`.
    pub target: String,
    /// A fingerprint of each stream table that was there.
    pub catalog: BTreeMap<String, String>,
    /// The plan's closing sentence.
    pub summary: String,
    /// Why it cannot be carried out; empty where it can.
    pub stopped: Vec<(Relation, String)>,
    /// What to do.
    pub actions: Vec<Action>,
}

/// A file: its content with a seal, which breaks when somebody edits it.
#[derive(Serialize, Deserialize)]
struct Sealed {
    seal: String,
    plan: Saved,
}

/// Why a saved plan is not carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is no plan.
    #[error("`{file}` is not a saved plan: {source}")]
    NotAPlan {
        /// The file.
        file: String,
        /// What the parser met.
        source: serde_json::Error,
    },
    /// It is not what was saved.
    #[error("`{file}` was edited after it was saved")]
    Edited {
        /// The file.
        file: String,
    },
    /// Another version of this program made it.
    #[error("`{file}` was made by pgtrickle-ci {by}, this is {}", env!("CARGO_PKG_VERSION"))]
    Version {
        /// The file.
        file: String,
        /// Who made it.
        by: String,
    },
    /// It is for another server.
    #[error("`{file}` is a plan for {planned}, this server is {server}")]
    OtherServer {
        /// The file.
        file: String,
        /// Where it was made for.
        planned: String,
        /// Where it was to be carried out.
        server: String,
    },
    /// The server is not what it was.
    #[error("the server has moved since `{file}` was made:\n  {}", moved.join("\n  "))]
    Moved {
        /// The file.
        file: String,
        /// What moved, a line each.
        moved: Vec<String>,
    },
}

impl Error {
    /// The next command to type.
    pub fn hint(&self) -> String {
        match self {
            Self::OtherServer { .. } => "name the plan's server: `--database-url URL`".into(),
            Self::NotAPlan { .. } | Self::Edited { .. } | Self::Version { .. } | Self::Moved { .. } => {
                "make a new one: `pgtrickle-ci plan --out FILE`".into()
            }
        }
    }
}

impl Saved {
    /// A plan that is to be saved.
    #[must_use]
    pub fn new(project: &Project, owner: &Owner, target: String, deployed: &[Deployed], plan: &Plan) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            tool: env!("CARGO_PKG_VERSION").into(),
            project: project.name.clone(),
            manifest: digest_of_wishes(&project.tables),
            target,
            catalog: fingerprints(deployed),
            summary: plan.summary(),
            stopped: plan.stopped_by(),
            actions: actions(plan, &project.tables, deployed, owner),
        }
    }

    /// The file's text.
    pub fn to_text(&self) -> String {
        let sealed = Sealed { seal: self.seal(), plan: self.clone() };
        // Its keys are texts, so there is nothing that JSON could not hold.
        serde_json::to_string_pretty(&sealed).expect("a saved plan is plain data") + "\n"
    }

    /// Reads a file's text; `file` is for messages.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let file = file.to_owned();
        let sealed: Sealed = match serde_json::from_str(text) {
            Ok(sealed) => sealed,
            Err(source) => return Err(Error::NotAPlan { file, source }),
        };
        if sealed.plan.tool != env!("CARGO_PKG_VERSION") || sealed.plan.schema_version != SCHEMA_VERSION {
            return Err(Error::Version { file, by: sealed.plan.tool });
        }
        if sealed.seal == sealed.plan.seal() { Ok(sealed.plan) } else { Err(Error::Edited { file }) }
    }

    /// Refuses a server that is another one, or not what it was.
    pub fn check(&self, file: &str, server: &str, deployed: &[Deployed]) -> Result<(), Error> {
        let file = file.to_owned();
        if self.target != server {
            return Err(Error::OtherServer { file, planned: self.target.clone(), server: server.to_owned() });
        }
        let now = fingerprints(deployed);
        let came =
            now.keys().filter(|name| !self.catalog.contains_key(*name)).map(|name| format!("{name} is new"));
        let went =
            self.catalog.keys().filter(|name| !now.contains_key(*name)).map(|name| format!("{name} is gone"));
        let changed = |(name, print): (&String, &String)| {
            let other = now.get(name).is_some_and(|now| now != print);
            other.then(|| format!("{name} has changed"))
        };
        let moved: Vec<String> = came.chain(went).chain(self.catalog.iter().filter_map(changed)).collect();
        if moved.is_empty() { Ok(()) } else { Err(Error::Moved { file, moved }) }
    }

    fn seal(&self) -> String {
        digest(serde_json::to_string(self).expect("a saved plan is plain data").as_bytes())
    }
}

fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of_wishes(tables: &[StreamTable]) -> String {
    let wish = |table: &StreamTable| {
        let settings = table.settings.iter().map(|(setting, value)| format!("{setting}={value}")).collect();
        vec![vec![table.relation.to_string(), table.query.clone()], settings]
    };
    let wishes: Vec<Vec<Vec<String>>> = tables.iter().map(wish).collect();
    digest(serde_json::to_string(&wishes).expect("texts are plain data").as_bytes())
}

/// What a plan is about, table by table. How a table fares is left out, and what the engine sets by itself.
fn fingerprints(deployed: &[Deployed]) -> BTreeMap<String, String> {
    let print = |now: &Deployed| {
        let settings: Vec<String> = now
            .table
            .settings
            .iter()
            .filter(|(setting, _)| !matches!(setting, Setting::Status | Setting::AppendOnly))
            .map(|(setting, value)| format!("{setting}={value}"))
            .collect();
        let storage = &now.storage;
        let upstream: Vec<String> = now.table.upstream.iter().map(Relation::to_string).collect();
        let views: Vec<String> = storage.views.iter().map(|view| view.relation.to_string()).collect();
        let columns: Vec<String> = now
            .table
            .columns
            .iter()
            .flatten()
            .map(|column| format!("{} {}", column.name, column.r#type))
            .collect();
        let mark = now.mark.as_ref().map(|mark| serde_json::to_string(mark).expect("a mark is texts"));
        let parts = [
            vec![now.table.query.clone(), mark.unwrap_or_default(), storage.lost_source.to_string()],
            settings,
            upstream,
            views,
            columns,
            storage.grants.clone(),
            storage.indexes.clone(),
            storage.publications.clone(),
        ];
        digest(serde_json::to_string(&parts).expect("texts are plain data").as_bytes())
    };
    deployed.iter().map(|now| (now.table.relation.to_string(), print(now))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Health, Settings, Storage, Value};

    fn deployed(name: &str, query: &str) -> Deployed {
        Deployed {
            table: StreamTable {
                relation: Relation::new("marts", name),
                query: query.into(),
                settings: Settings::from_iter([(Setting::Status, Value::Text("ACTIVE".into()))]),
                upstream: Vec::new(),
                columns: None,
                origin: None,
            },
            mark: None,
            health: Health::default(),
            storage: Storage::default(),
        }
    }

    fn saved(there: &[Deployed]) -> Saved {
        Saved::new(&Project::default(), &Owner::default(), "host:1/db".into(), there, &Plan::default())
    }

    #[test]
    fn a_plan_comes_back_as_it_was_and_an_edited_one_is_refused() {
        let plan = saved(&[deployed("a", "select 1")]);
        let text = plan.to_text();
        assert_eq!(Saved::parse("p.json", &text).unwrap(), plan);
        let refusal = |text: &str| Saved::parse("p.json", text).unwrap_err();
        assert!(matches!(refusal(&text.replace("host:1/db", "host:2/db")), Error::Edited { .. }));
        let version = concat!("\"tool\": \"", env!("CARGO_PKG_VERSION"));
        assert!(matches!(refusal(&text.replace(version, "\"tool\": \"9.9")), Error::Version { .. }));
        assert!(matches!(refusal(&text[..text.len() / 2]), Error::NotAPlan { .. }));
    }

    #[test]
    fn a_server_that_moved_is_refused_with_what_moved() {
        let plan = saved(&[deployed("a", "select 1"), deployed("b", "select 1")]);
        let mut now = [deployed("a", "select 2"), deployed("c", "select 1")];
        let Err(Error::Moved { moved, .. }) = plan.check("p.json", "host:1/db", &now) else { panic!() };
        assert_eq!(moved, ["marts.c is new", "marts.b is gone", "marts.a has changed"]);
        assert!(matches!(plan.check("p.json", "host:1/other", &now), Err(Error::OtherServer { .. })));

        // How a table fares is no move.
        now = [deployed("a", "select 1"), deployed("b", "select 1")];
        now[0].table.settings.set(Setting::Status, Value::Text("ERROR".into()));
        plan.check("p.json", "host:1/db", &now).unwrap();
    }
}
