//! A saved plan: applied later, to the same server, only if nothing changed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Action, LostObject, LostView, Plan, RequiredRights, UpstreamRelations, actions,
    fingerprints::{digest, fingerprints},
    views::UpstreamRelation,
};
use crate::{
    model::{Deployed, Owner, Relation, StreamTable},
    project::Project,
};

const SCHEMA_VERSION: u32 = 1;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Saved {
    /// 1; `apply` refuses other versions.
    pub schema_version: u32,
    /// The version of the program that saved the plan; another one may read the same file differently.
    pub tool: String,
    /// The name of the dbt project.
    pub project: String,
    /// A digest of the names, queries and settings in the manifest.
    pub manifest: String,
    /// The server as `host:port/database`.
    pub target: String,
    /// A fingerprint of each existing stream table, by its name.
    pub catalog: BTreeMap<String, String>,
    /// The views that stream tables read.
    pub views: Vec<SavedView>,
    /// The views that are dropped with replaced tables and restored.
    pub lost_views: Vec<LostView>,
    /// The other objects that are dropped with dropped or replaced tables.
    pub lost_objects: Vec<LostObject>,
    /// Those of replaced tables, which are not restored; `apply` refuses such a plan.
    pub lost_by_rebuilds: Vec<LostObject>,
    /// The stream tables that are dropped or replaced.
    pub dropped: Vec<Relation>,
    pub summary: String,
    /// Why the plan must not be applied; empty if it may.
    pub stopped: Vec<(Relation, String)>,
    /// The changes that only dbt can make; `apply` refuses such a plan.
    pub needs_dbt: Vec<String>,
    pub rights: RequiredRights,
    pub actions: Vec<Action>,
}

/// A view that stream tables read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavedView {
    pub relation: Relation,
    /// A digest of its definition; `None` if it did not exist.
    pub definition: Option<String>,
}

/// A file: the plan, and a digest of it that detects edits.
#[derive(Serialize, Deserialize)]
struct PlanFile {
    seal: String,
    plan: Saved,
}

/// Why a saved plan cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{file}` is not a saved plan: {source}")]
    NotAPlan { file: String, source: serde_json::Error },
    #[error("`{file}` was edited after it was saved")]
    Edited { file: String },
    #[error("`{file}` was saved by pgtrickle-ci {by}; this is {}", env!("CARGO_PKG_VERSION"))]
    Version {
        file: String,
        /// The version that saved it.
        by: String,
    },
    #[error("`{file}` is a plan for {planned}; this server is {server}")]
    OtherServer { file: String, planned: String, server: String },
    #[error("the database changed since `{file}` was saved:\n  {}", moved.join("\n  "))]
    Moved {
        file: String,
        /// The differences, a line each.
        moved: Vec<String>,
    },
}

impl Error {
    pub fn hint(&self) -> String {
        match self {
            Self::OtherServer { .. } => "connect to the plan's server: `--database-url URL`".into(),
            Self::NotAPlan { .. } | Self::Edited { .. } | Self::Version { .. } | Self::Moved { .. } => {
                "save a new plan: `pgtrickle-ci plan --out FILE`".into()
            }
        }
    }
}

impl Saved {
    #[must_use]
    pub fn new(
        project: &Project,
        owner: &Owner,
        target: String,
        (deployed, between): (&[Deployed], &UpstreamRelations),
        plan: &Plan,
    ) -> Self {
        let actions = actions(plan, &project.tables, deployed, owner);
        let is_view = |found: &&UpstreamRelation| found.stored.is_some() || found.kind.is_none();
        let view = |found: &UpstreamRelation| SavedView {
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
            rights: plan.rights(&project.tables, &actions),
            schema_version: SCHEMA_VERSION,
            tool: env!("CARGO_PKG_VERSION").into(),
            project: project.name.clone(),
            manifest: digest_of_project(project),
            target,
            catalog: fingerprints(deployed),
            summary: plan.summary(),
            stopped: plan.stopped_by(),
            actions,
        }
    }

    /// The content of the file.
    pub fn to_text(&self) -> String {
        let sealed = PlanFile { seal: self.seal(), plan: self.clone() };
        // All map keys are strings, so that JSON can represent it.
        serde_json::to_string_pretty(&sealed).expect("a saved plan is plain data") + "\n"
    }

    /// Parses the content of a file; `file` is its name in errors.
    pub fn parse(file: &str, text: &str) -> Result<Self, Error> {
        let file = file.to_owned();
        let sealed: PlanFile = match serde_json::from_str(text) {
            Ok(sealed) => sealed,
            Err(source) => return Err(Error::NotAPlan { file, source }),
        };
        if sealed.plan.tool != env!("CARGO_PKG_VERSION") || sealed.plan.schema_version != SCHEMA_VERSION {
            return Err(Error::Version { file, by: sealed.plan.tool });
        }
        if sealed.seal == sealed.plan.seal() { Ok(sealed.plan) } else { Err(Error::Edited { file }) }
    }

    /// The names of the views that are dropped with replaced tables and restored.
    pub fn lost(&self) -> Vec<Relation> {
        self.lost_views.iter().map(|view| view.relation.clone()).collect()
    }

    fn seal(&self) -> String {
        digest(serde_json::to_string(self).expect("a saved plan is plain data").as_bytes())
    }
}

fn digest_of_project(project: &Project) -> String {
    let definition = |table: &StreamTable| {
        let settings = table.settings.iter().map(|(setting, value)| format!("{setting}={value}")).collect();
        vec![vec![table.relation.to_string(), table.query.clone()], settings]
    };
    let tables: Vec<Vec<Vec<String>>> = project.tables.iter().map(definition).collect();
    let views: Vec<(String, &Option<String>)> =
        project.between.iter().map(|view| (view.relation.to_string(), &view.query)).collect();
    digest(serde_json::to_string(&(tables, views)).expect("texts are plain data").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::{super::moved::CurrentState, *};
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

    fn saved(deployed: &[Deployed]) -> Saved {
        let state = (deployed, &UpstreamRelations::default());
        Saved::new(&Project::default(), &Owner::default(), "host:1/db".into(), state, &Plan::default())
    }

    #[test]
    fn a_saved_plan_is_read_back_unchanged_and_an_edited_one_is_refused() {
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
    fn a_changed_server_is_refused_with_each_difference() {
        let mut plan = saved(&[deployed("a", "select 1"), deployed("b", "select 1")]);
        let view = |name: &str, text: &str| (Relation::new("marts", name).quoted(), Some(text.to_owned()));
        let saved_view = |name: &str, text: Option<&str>| SavedView {
            relation: Relation::new("marts", name),
            definition: text.map(|text| digest(text.as_bytes())),
        };
        plan.views = vec![saved_view("v", Some("select 1")), saved_view("w", None)];
        let mut now = CurrentState {
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

        // A changed health is not a difference.
        now.tables = vec![deployed("a", "select 1"), deployed("b", "select 1")];
        now.tables[0].table.settings.set(Setting::Status, Value::Text("ERROR".into()));
        now.definitions = BTreeMap::from([view("v", "select 1")]);
        plan.check("p.json", &now).unwrap();
        now.server = "host:1/other".into();
        assert!(matches!(plan.check("p.json", &now), Err(Error::OtherServer { .. })));
    }
}
