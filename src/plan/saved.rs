//! A saved plan: applied later, to the same server, only if nothing changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Action, Between, LostObject, LostView, Needs, Plan, actions, moved, views::Found};
use crate::{
    model::{Deployed, Owner, Relation, StreamTable},
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
    /// The views that stream tables read.
    pub views: Vec<SavedView>,
    /// The views that are dropped and created again on the way.
    pub lost_views: Vec<LostView>,
    /// What else is dropped with tables, for good or to be built again.
    pub lost_objects: Vec<LostObject>,
    /// What of that nothing restores although its table is built again; such a plan is not carried out.
    pub lost_by_rebuilds: Vec<LostObject>,
    /// The stream tables that are dropped, for good or to be built again.
    pub dropped: Vec<Relation>,
    /// The plan's closing sentence.
    pub summary: String,
    /// Why it cannot be carried out; empty where it can.
    pub stopped: Vec<(Relation, String)>,
    /// What only dbt can do; such a plan is not carried out.
    pub needs_dbt: Vec<String>,
    /// What the role needs that carries it out.
    pub rights: Needs,
    /// What to do.
    pub actions: Vec<Action>,
}

/// A view that stream tables read, as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    /// The view.
    pub relation: Relation,
    /// A digest of its definition; `None` where there was none of the name.
    pub definition: Option<String>,
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
    #[error("the database changed since `{file}` was saved:\n  {}", moved.join("\n  "))]
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
    pub fn new(
        project: &Project,
        owner: &Owner,
        target: String,
        (deployed, between): (&[Deployed], &Between),
        plan: &Plan,
    ) -> Self {
        let is_view = |found: &&Found| found.stored.is_some() || found.kind.is_none();
        let view = |found: &Found| SavedView {
            relation: found.relation.clone(),
            definition: found.stored.as_ref().map(|text| digest(text.as_bytes())),
        };
        Self {
            views: between.found.iter().filter(is_view).map(view).collect(),
            lost_views: plan.lost_views.clone(),
            lost_objects: plan.lost_objects.clone(),
            lost_by_rebuilds: plan.lost_by_rebuilds(),
            dropped: plan.dropped(),
            needs_dbt: plan.needs_dbt.iter().map(|need| format!("{}: {}", need.relation, need.why)).collect(),
            rights: plan.rights(&project.tables),
            schema_version: SCHEMA_VERSION,
            tool: env!("CARGO_PKG_VERSION").into(),
            project: project.name.clone(),
            manifest: digest_of_project(project),
            target,
            catalog: moved::fingerprints(deployed),
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

    /// The views that are dropped and created again on the way.
    pub fn lost(&self) -> Vec<Relation> {
        self.lost_views.iter().map(|view| view.relation.clone()).collect()
    }

    fn seal(&self) -> String {
        digest(serde_json::to_string(self).expect("a saved plan is plain data").as_bytes())
    }
}

pub(super) fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn digest_of_project(project: &Project) -> String {
    let wish = |table: &StreamTable| {
        let settings = table.settings.iter().map(|(setting, value)| format!("{setting}={value}")).collect();
        vec![vec![table.relation.to_string(), table.query.clone()], settings]
    };
    let tables: Vec<Vec<Vec<String>>> = project.tables.iter().map(wish).collect();
    let views: Vec<(String, &Option<String>)> =
        project.between.iter().map(|view| (view.relation.to_string(), &view.query)).collect();
    digest(serde_json::to_string(&(tables, views)).expect("texts are plain data").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::moved::Now, *};
    use crate::model::{Health, Setting, Settings, Storage, Value};

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
        let standing = (there, &Between::default());
        Saved::new(&Project::default(), &Owner::default(), "host:1/db".into(), standing, &Plan::default())
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
        let mut plan = saved(&[deployed("a", "select 1"), deployed("b", "select 1")]);
        let view = |name: &str, text: &str| (Relation::new("marts", name).quoted(), Some(text.to_owned()));
        let saved_view = |name: &str, text: Option<&str>| SavedView {
            relation: Relation::new("marts", name),
            definition: text.map(|text| digest(text.as_bytes())),
        };
        plan.views = vec![saved_view("v", Some("select 1")), saved_view("w", None)];
        let mut now = Now {
            server: "host:1/db".into(),
            tables: vec![deployed("a", "select 2"), deployed("c", "select 1")],
            definitions: BTreeMap::from([view("v", "select 2"), view("w", "select 1")]),
            lost_views: Vec::new(),
            lost_objects: Vec::new(),
        };
        let Err(Error::Moved { moved, .. }) = plan.check("p.json", &now) else { panic!() };
        assert_eq!(
            moved,
            [
                "marts.c is new",
                "marts.b is gone",
                "marts.a has changed",
                "the view marts.v has changed",
                "the view marts.w has changed"
            ]
        );

        // How a table fares is no move.
        now.tables = vec![deployed("a", "select 1"), deployed("b", "select 1")];
        now.tables[0].table.settings.set(Setting::Status, Value::Text("ERROR".into()));
        now.definitions = BTreeMap::from([view("v", "select 1")]);
        plan.check("p.json", &now).unwrap();
        now.server = "host:1/other".into();
        assert!(matches!(plan.check("p.json", &now), Err(Error::OtherServer { .. })));
    }
}
