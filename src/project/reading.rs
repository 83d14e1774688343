//! Reads the stream tables of a manifest, and the errors in their configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use super::{
    Error, Project, dbt_v2,
    graph::Graph,
    intermediate::{Intermediate, is_view},
    is_model,
    manifest::{Configured, Manifest, Node},
    parse, sources_read,
};
use crate::{
    model::{AgeLimits, Origin, Relation, Schedule, Setting, Settings, StreamTable, Value, order},
    sql::query,
};

/// A project as it was read, with the errors that must be corrected before it is used.
#[derive(Debug, Default)]
pub struct Reading {
    project: Project,
    /// The errors in models, each with the model's unique_id.
    errors: Vec<(String, String)>,
    /// Probably misspelled keys of models, each with the model's file.
    misspelled: Vec<String>,
    /// The file and project name of the baseline, if that is of another project.
    other_project: Option<(String, String)>,
    /// The name of the manifest in messages.
    file: String,
    /// The stream table models without compiled SQL.
    not_compiled: Vec<String>,
}

impl Reading {
    /// Reads a manifest.
    ///
    /// `file` is its name in messages. `compiled` returns the compiled SQL for a package and a model's path. It is
    /// called if the manifest lacks the SQL, for example because another dbt command ran after the compilation.
    ///
    /// # Errors
    /// If the bytes are not a manifest.
    pub fn of(
        file: &str,
        bytes: &[u8],
        compiled: impl Fn(&str, &str) -> Option<String>,
    ) -> Result<Self, Error> {
        let manifest = parse(file, bytes)?;
        let graph = Graph::of(&manifest);
        let mut reader = Reader {
            manifest: &manifest,
            graph: &graph,
            compiled,
            ages: manifest.ages_of_sources(),
            unverified: BTreeSet::new(),
            errors: Vec::new(),
            misspelled: Vec::new(),
            not_compiled: Vec::new(),
        };
        let tables = reader.tables();
        reader.find_cycles(&tables);
        let between = reader.between(&tables);
        let Reader { ages, unverified, errors, misspelled, not_compiled, .. } = reader;
        let project = Project {
            sources: sources_read(&manifest, |_, node| is_model(node)),
            tests: manifest.tests(),
            between,
            runs_own_sql: manifest.runs_own_sql(),
            unwritable_descriptions: dbt_v2::unwritable_descriptions(&manifest),
            ages,
            unverified,
            tables,
            unselected: vec![],
            name: manifest.metadata.project_name.to_string(),
            graph,
        };
        Ok(Self { project, errors, misspelled, other_project: None, file: file.to_owned(), not_compiled })
    }

    /// Prefixes all file names with the project's folder. Reports show files relative to the repository, of which the
    /// dbt project may be a part.
    #[must_use]
    pub fn with_files_below(mut self, dir: &str) -> Self {
        let dir = dir.trim_start_matches("./").trim_end_matches('/');
        if dir.is_empty() || dir == "." {
            return self;
        }
        let origins = self.project.tables.iter_mut().filter_map(|table| table.origin.as_mut());
        let between = self.project.between.iter_mut().map(|intermediate| &mut intermediate.origin);
        for origin in
            origins.chain(between).chain(self.project.tests.values_mut().map(|test| &mut test.origin))
        {
            origin.file = format!("{dir}/{}", origin.file);
        }
        self
    }

    /// Records the baseline's file and project name.
    #[must_use]
    pub fn compared_with(mut self, file: &Path, project: &str) -> Self {
        let other = (file.display().to_string(), project.to_owned());
        self.other_project = (project != self.project.name).then_some(other);
        self
    }

    /// The models of the stream tables, including those with errors.
    pub fn origins(&self) -> impl Iterator<Item = &Origin> {
        self.project.tables.iter().filter_map(|table| table.origin.as_ref())
    }

    /// Probably misspelled keys of models, each with the model's file.
    pub fn misspelled(&self) -> &[String] {
        &self.misspelled
    }

    /// The dependencies between all nodes, which need no compiled SQL.
    pub fn graph(&self) -> &Graph {
        &self.project.graph
    }

    /// Whether the SQL of every stream table is known.
    pub fn is_compiled(&self) -> bool {
        self.not_compiled.is_empty()
    }

    /// Returns every error. They are known before the project is compiled.
    pub fn check(&self) -> Result<(), Error> {
        let mut problems: Vec<String> = self.errors.iter().map(|(_, error)| error.clone()).collect();
        if let Some((file, other)) = &self.other_project {
            let error = Error::OtherProject {
                file: file.clone(),
                other: other.clone(),
                name: self.project.name.clone(),
            };
            if problems.is_empty() {
                return Err(error);
            }
            problems.push(error.to_string());
        }
        if problems.is_empty() { Ok(()) } else { Err(Error::Wrong { problems }) }
    }

    /// The project, if it has no errors and is compiled.
    ///
    /// # Errors
    /// With every error; if there is none, with the models that are not compiled.
    pub fn into_project(self) -> Result<Project, Error> {
        self.check()?;
        if self.is_compiled() {
            return Ok(self.project);
        }
        Err(Error::NotCompiled { file: self.file, models: self.not_compiled })
    }

    /// The project without the stream tables that have errors, and those errors. This is for a base revision, which
    /// cannot be corrected any more.
    ///
    /// # Errors
    /// With the models that are not compiled.
    pub fn into_valid_part(self) -> Result<(Project, Vec<String>), Error> {
        let (wrong, problems): (BTreeSet<String>, Vec<String>) = self.errors.into_iter().unzip();
        let mut valid = Self { errors: Vec::new(), ..self };
        let is_wrong = |origin: &Origin| wrong.contains(&origin.unique_id);
        valid.project.tables.retain(|table| !table.origin.as_ref().is_some_and(is_wrong));
        Ok((valid.into_project()?, problems))
    }
}

struct Reader<'a, F> {
    manifest: &'a Manifest<'a>,
    graph: &'a Graph,
    compiled: F,
    ages: BTreeMap<Relation, AgeLimits>,
    unverified: BTreeSet<Relation>,
    errors: Vec<(String, String)>,
    misspelled: Vec<String>,
    not_compiled: Vec<String>,
}

impl<F: Fn(&str, &str) -> Option<String>> Reader<'_, F> {
    fn tables(&mut self) -> Vec<StreamTable> {
        let mut named: BTreeMap<Relation, String> = BTreeMap::new();
        let mut tables = Vec::new();
        for (id, node) in
            self.manifest.nodes.iter().filter(|(_, node)| self.manifest.is_own_stream_table(node))
        {
            let configured = node.configured();
            let relation = node.relation();
            if let Some(other) = named.insert(relation.clone(), self.manifest.file(node)) {
                self.problem(id, node, format!("{relation} is also the stream table of `{other}`"));
            }
            tables.extend(self.table(id, node, relation, configured));
        }
        tables
    }

    /// The stream table of one model; adds the errors in its configuration.
    fn table(
        &mut self,
        id: &str,
        node: &Node,
        relation: Relation,
        configured: &Configured,
    ) -> Option<StreamTable> {
        if let Some(problem) = relation.unsupported_by_pg_trickle() {
            self.problem(id, node, problem);
        }
        match configured.keys.get("freshness").map(AgeLimits::read) {
            Some(Ok(Some(limits))) => drop(self.ages.insert(relation.clone(), limits)),
            Some(Err(problem)) => self.problem(id, node, problem),
            Some(Ok(None)) | None => {}
        }
        match configured.keys.get("verify").map(|value| (value, value.as_bool())) {
            Some((_, Some(false))) => drop(self.unverified.insert(relation.clone())),
            Some((value, None)) => {
                self.problem(id, node, format!("verify is `{value}`, expected true or false"));
            }
            Some((_, Some(true))) | None => {}
        }
        if let Some(value) = configured.keys.get("on_recreate")
            && !["apply", "fail"].contains(&value.as_str().unwrap_or_default())
        {
            self.problem(id, node, format!("on_recreate is `{value}`, expected apply or fail"));
        }
        let settings = self.settings(id, node, configured);
        let Some(query) = self.query(node) else {
            self.not_compiled.push(node.name.to_string());
            return None;
        };
        Some(StreamTable {
            relation,
            query,
            settings,
            upstream: self.graph.upstream_stream_tables(id),
            columns: None,
            origin: Some(Origin { unique_id: id.to_owned(), file: self.manifest.file(node) }),
        })
    }

    /// The relations that dbt creates and these tables read, by `ref` or by name in their SQL. A view without compiled
    /// SQL counts as not compiled, because it cannot be compared.
    fn between(&mut self, tables: &[StreamTable]) -> Vec<Intermediate> {
        let created: BTreeMap<&Relation, &str> = self.graph.created_by_dbt().collect();
        let named = |sql: &str| -> Vec<&str> {
            query::relations(sql).iter().filter_map(|relation| created.get(relation).copied()).collect()
        };
        let read_by_view = |id: &str| {
            let query = || self.query(self.manifest.nodes.get(id)?);
            let is_view = self.graph.kind(id).is_some_and(is_view);
            is_view.then(query).flatten().map(|sql| named(&sql)).unwrap_or_default()
        };
        // Read only the SQL of views upstream of a stream table: many projects have more of others.
        let mut read_by_views: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut readers: BTreeMap<&str, Vec<Relation>> = BTreeMap::new();
        for table in tables {
            let ids = table.origin.iter().flat_map(|origin| self.graph.between(&origin.unique_id));
            let mut open: Vec<&str> = ids.chain(named(&table.query)).collect();
            let mut seen = BTreeSet::new();
            while let Some(id) = open.pop() {
                if seen.insert(id) {
                    open.extend(&*read_by_views.entry(id).or_insert_with(|| read_by_view(id)));
                    readers.entry(id).or_default().push(table.relation.clone());
                }
            }
        }
        let mut between = Vec::new();
        for (id, readers) in readers {
            let Some((node, kind)) = self.manifest.nodes.get(id).zip(self.graph.kind(id)) else { continue };
            let query = if is_view(kind) { self.query(node) } else { None };
            if is_view(kind) && query.is_none() {
                self.not_compiled.push(node.name.to_string());
            }
            between.push(Intermediate {
                relation: node.plain_relation(),
                kind: kind.to_owned(),
                query,
                readers,
                origin: Origin { unique_id: id.to_owned(), file: self.manifest.file(node) },
            });
        }
        between
    }

    /// The engine cannot create the tables of a dependency cycle.
    fn find_cycles(&mut self, tables: &[StreamTable]) {
        let Err(members) = order::topological(&tables.iter().collect::<Vec<_>>()) else { return };
        for table in tables.iter().filter(|table| members.contains(&table.relation)) {
            let read: Vec<String> =
                table.upstream.iter().filter(|up| members.contains(up)).map(ToString::to_string).collect();
            let Some(origin) = &table.origin else { continue };
            let cycle = format!(
                "{}: {} is in or downstream of a dependency cycle: it reads {}",
                origin.file,
                table.relation,
                read.join(", ")
            );
            self.errors.push((origin.unique_id.clone(), cycle));
        }
    }

    fn query(&self, node: &Node) -> Option<String> {
        let text =
            node.compiled_code().or_else(|| (self.compiled)(&node.package_name, &node.original_file_path))?;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    fn settings(&mut self, id: &str, node: &Node, configured: &Configured) -> Settings {
        for problem in &configured.problems {
            self.problem(id, node, problem.clone());
        }
        let file = self.manifest.file(node);
        self.misspelled.extend(configured.misspelled.iter().map(|sentence| format!("{file}: {sentence}")));
        let mut settings = default_settings();
        for setting in Setting::ALL.iter().copied() {
            let Some(json) = configured.keys.get(setting.name()) else {
                continue;
            };
            match setting.read(json) {
                Ok(Some(value)) => settings.set(setting, value),
                Ok(None) => {}
                Err(problem) => self.problem(id, node, problem),
            }
        }
        for problem in settings.conflicts() {
            self.problem(id, node, problem);
        }
        settings
    }

    fn problem(&mut self, id: &str, node: &Node, text: String) {
        self.errors.push((id.to_owned(), format!("{}: {text}", self.manifest.file(node))));
    }
}

/// The settings of a model that sets none. The materialization has the same (`_pgtrickle_known_settings`).
fn default_settings() -> Settings {
    Settings::from_iter([
        (Setting::Schedule, Value::Schedule(Schedule::Every(60))),
        (Setting::RefreshMode, Value::Text("DIFFERENTIAL".into())),
        (Setting::Temporal, Value::Bool(false)),
        (Setting::StorageBackend, Value::Text("heap".into())),
    ])
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value as Json, json};

    use super::*;

    /// A manifest with these nodes and sources, as dbt 1.11 writes it.
    fn manifest(nodes: &Json, sources: &Json) -> Vec<u8> {
        json!({
            "metadata": {
                "dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json",
                "project_name": "shop",
            },
            "nodes": nodes,
            "sources": sources,
            "macros": {"macro.dbt.x": {"anything": [1, 2]}},
        })
        .to_string()
        .into_bytes()
    }

    fn model(name: &str, materialized: &str, depends_on: &[&str], meta: &Json) -> Json {
        json!({
            "resource_type": "model", "name": name, "alias": name, "schema": "analytics", "package_name": "shop",
            "original_file_path": format!("models/{name}.sql"),
            "config": {"materialized": materialized, "meta": {"pgtrickle": meta}},
            "depends_on": {"nodes": depends_on},
            "compiled_code": format!("\nselect 1 as {name}\n"),
        })
    }

    fn read(nodes: &Json) -> Result<Project, Error> {
        Reading::of("manifest.json", &manifest(nodes, &json!({})), |_, _| None)?.into_project()
    }

    #[test]
    fn a_stream_table_is_read_with_its_settings_over_the_defaults() {
        let project = read(&json!({
            "model.shop.totals": model("totals", "stream_table", &[], &json!({"schedule": "5m", "tier": "cold", "stream_table_name": "t2"})),
            "model.shop.plain": model("plain", "table", &[], &json!({})),
        }))
        .unwrap();
        assert_eq!(project.name, "shop");
        let [table] = &project.tables[..] else { panic!("{project:?}") };
        assert_eq!(table.relation, Relation::new("analytics", "t2"));
        assert_eq!(table.query, "select 1 as totals");
        assert_eq!(table.settings.schedule(), Some(&Schedule::Every(300)));
        assert_eq!(table.settings.refresh_mode(), Some("DIFFERENTIAL"));
        assert_eq!(table.settings.get(Setting::Tier), Some(&Value::Text("cold".into())));
        assert_eq!(table.origin.as_ref().unwrap().file, "models/totals.sql");
        for (dir, file) in [
            (".", "models/totals.sql"),
            ("./", "models/totals.sql"),
            ("./dbt/shop/", "dbt/shop/models/totals.sql"),
        ] {
            let reading = Reading { project: project.clone(), ..Reading::default() };
            assert_eq!(reading.with_files_below(dir).origins().next().unwrap().file, file);
        }
    }

    #[test]
    fn age_limits_are_those_below_meta_and_not_dbts_own_freshness_of_the_model() {
        let mut built = model("built", "stream_table", &[], &json!({}));
        built["config"]["freshness"] =
            json!({"build_after": {"count": 4, "period": "hour", "updates_on": "any"}});
        built["unrendered_config"] = json!({"freshness": {"build_after": {"count": 4, "period": "hour"}}});
        let mut limited = model(
            "limited",
            "stream_table",
            &[],
            &json!({"freshness": {"warn_after": {"count": 1, "period": "day"}}}),
        );
        limited["config"]["freshness"] = json!({"warn_after": {"count": 2, "period": "minute"}});
        let project = read(&json!({"model.shop.built": built, "model.shop.limited": limited})).unwrap();
        let limits = AgeLimits { warn_after: Some(Duration::from_hours(24)), error_after: None };
        assert_eq!(project.ages, BTreeMap::from([(Relation::new("analytics", "limited"), limits)]));
    }

    #[test]
    fn upstream_includes_parents_of_views_and_ephemeral_models_but_not_of_tables() {
        let project = read(&json!({
            "model.shop.base": model("base", "stream_table", &[], &json!({})),
            "model.shop.v": model("v", "view", &["model.shop.base"], &json!({})),
            "model.shop.e": model("e", "ephemeral", &["model.shop.v"], &json!({})),
            "model.shop.t": model("t", "table", &["model.shop.base"], &json!({})),
            "model.shop.far": model("far", "stream_table", &["model.shop.e"], &json!({})),
            "model.shop.s": model("s", "stable_view", &["model.shop.v"], &json!({})),
            "model.shop.calm": model("calm", "stream_table", &["model.shop.s"], &json!({})),
            "model.shop.cut": model("cut", "stream_table", &["model.shop.t"], &json!({})),
        }))
        .unwrap();
        let upstream =
            |name: &str| project.tables.iter().find(|t| t.relation.name == name).unwrap().upstream.clone();
        assert_eq!(upstream("far"), [Relation::new("analytics", "base")]);
        assert_eq!(upstream("calm"), [Relation::new("analytics", "base")]);
        let recreated = crate::project::intermediate::recreated_by_dbt(&project.between);
        for name in ["far", "calm"] {
            let of = recreated.get(&Relation::new("analytics", name));
            assert_eq!(of, Some(&vec![Relation::new("analytics", "v")]), "{name}: without the stable view");
        }
        assert_eq!(upstream("cut"), []);
        let between = |name: &str| {
            let found = project.between.iter().find(|between| between.relation.name == name).unwrap();
            let readers: Vec<_> = found.readers.iter().map(|reader| reader.name.as_str()).collect();
            (found.kind.as_str(), found.query.as_deref(), readers)
        };
        assert_eq!(between("v"), ("view", Some("select 1 as v"), vec!["calm", "far"]));
        assert_eq!(between("t"), ("table", None, vec!["cut"]));
        assert_eq!(project.between.len(), 3, "dbt inlines ephemeral models");
    }

    #[test]
    fn a_relation_that_a_query_names_without_ref_is_read_too() {
        let mut table = model("st", "stream_table", &[], &json!({}));
        table["compiled_code"] = json!("select 1 from \"analytics\".\"v\" join analytics.base using (id)");
        let mut view = model("v", "view", &[], &json!({}));
        view["compiled_code"] = json!("select 1 from analytics.t -- analytics.unread");
        let project = read(&json!({
            "model.shop.st": table,
            "model.shop.v": view,
            "model.shop.t": model("t", "table", &[], &json!({})),
            "model.shop.base": model("base", "stream_table", &[], &json!({})),
            "model.shop.unread": model("unread", "view", &[], &json!({})),
        }))
        .unwrap();
        let between: Vec<&str> = project.between.iter().map(|one| one.relation.name.as_str()).collect();
        assert_eq!(between, ["t", "v"]);
        assert!(project.between.iter().all(|one| one.readers == [Relation::new("analytics", "st")]));
    }

    #[test]
    fn all_errors_are_reported_at_once_with_their_files() {
        let error = read(&json!({
            "model.shop.a": model("a", "stream_table", &[], &json!({"shedule": "1m", "refresh_mode": "SOMETIMES"})),
            "model.shop.B": model("B", "stream_table", &[], &json!({"schedule": "banana"})),
            "model.shop.c": model("c", "stream_table", &[], &json!({"stream_table_name": "d"})),
            "model.shop.d": model("d", "stream_table", &[], &json!({})),
            "model.shop.e": model("e", "stream_table", &["model.shop.f"], &json!({"fuse_ceiling": 0})),
            "model.shop.h": model("h", "stream_table", &[], &json!({"append_only": true, "refresh_mode": "full"})),
            "model.shop.i": model("i", "stream_table", &[], &json!({"partition_by": "LIST:a", "cdc_mode": "WAL", "refresh_mode": "IMMEDIATE"})),
            "model.shop.j": model("j", "stream_table", &[], &json!({"diamond_consistency": "none", "diamond_schedule_policy": "slowest", "on_recreate": "ask"})),
            "model.shop.g": model("g", "stream_table", &[], &json!("5m")),
            "model.shop.f": model("f", "stream_table", &["model.shop.e"], &json!({})),
        }))
        .unwrap_err();
        let Error::Wrong { problems } = error else { panic!("{error}") };
        let all = problems.join("\n");
        for part in [
            "models/a.sql: meta.pgtrickle has no key `shedule`",
            "models/a.sql: refresh_mode is `SOMETIMES`",
            "models/B.sql: name `B`",
            "`banana`",
            "models/h.sql: append_only cannot go with refresh_mode FULL",
            "models/i.sql: partition_by cannot go with refresh_mode IMMEDIATE",
            "models/i.sql: cdc_mode wal cannot go with refresh_mode IMMEDIATE",
            "models/j.sql: diamond_schedule_policy slowest cannot go with diamond_consistency none",
            "models/j.sql: on_recreate is `\"ask\"`, expected apply or fail",
            "models/g.sql: meta.pgtrickle is `\"5m\"`, expected keys with values",
            "models/e.sql: fuse_ceiling is `0`, expected a whole number above 0",
            "models/e.sql: analytics.e is in or downstream of a dependency cycle: it reads analytics.f",
            "models/f.sql: analytics.f is in or downstream of a dependency cycle: it reads analytics.e",
            "models/d.sql: analytics.d is also the stream table of `models/c.sql`",
        ] {
            assert!(all.contains(part), "{part} in {all}");
        }
    }

    #[test]
    fn a_base_revision_may_have_errors_and_the_current_one_may_not() {
        let nodes = json!({
            "model.shop.a": model("a", "stream_table", &[], &json!({"schedule": "banana"})),
            "model.shop.b": model("b", "stream_table", &[], &json!({})),
            "model.shop.c": model("c", "stream_table", &[], &json!({"stream_table_name": "b"})),
        });
        let reading = || Reading::of("m.json", &manifest(&nodes, &json!({})), |_, _| None).unwrap();
        let (project, problems) = reading().into_valid_part().unwrap();
        assert_eq!(
            project.tables.iter().map(|table| table.relation.name.as_str()).collect::<Vec<_>>(),
            ["b"]
        );
        assert_eq!(problems.len(), 2, "{problems:?}");

        let message = |reading: Reading| reading.into_project().unwrap_err().to_string();
        let all = message(reading().compared_with(Path::new("base.json"), "other"));
        let parts = [
            "models/a.sql: ",
            "models/c.sql: ",
            "`base.json` is a manifest of the project other, not of shop",
        ];
        assert!(parts.iter().all(|part| all.contains(part)), "{all}");
        assert!(!message(reading().compared_with(Path::new("base.json"), "shop")).contains("base.json"));
    }

    #[test]
    fn compiled_sql_that_is_not_in_the_manifest_is_looked_up_and_never_taken_for_empty() {
        let mut node = model("a", "stream_table", &[], &json!({}));
        node.as_object_mut().unwrap().remove("compiled_code");
        let bytes = manifest(&json!({"model.shop.a": node}), &json!({}));
        let project =
            Reading::of("m.json", &bytes, |package, path| Some(format!("select '{package} {path}'")))
                .unwrap()
                .into_project()
                .unwrap();
        assert_eq!(project.tables[0].query, "select 'shop models/a.sql'");
        for lost in [None, Some(String::new())] {
            let error =
                Reading::of("m.json", &bytes, |_, _| lost.clone()).unwrap().into_project().unwrap_err();
            assert!(matches!(&error, Error::NotCompiled { models, .. } if models == &["a"]), "{error}");
        }
    }

    #[test]
    fn a_broken_manifest_and_a_newer_one_give_different_errors() {
        let whole = manifest(&json!({}), &json!({}));
        let error = |bytes: &[u8]| Reading::of("m.json", bytes, |_, _| None).unwrap_err();
        assert!(matches!(error(&whole[..whole.len() - 5]), Error::NotJson { .. }));
        assert!(matches!(error(b"<html>"), Error::NotJson { .. }));
        let future = String::from_utf8(whole).unwrap().replace("v12", "v13");
        assert!(matches!(error(future.as_bytes()), Error::Schema { schema, .. } if schema.contains("v13")));
        assert!(matches!(error(b"{\"some\": \"json\"}"), Error::Schema { .. }));
    }

    #[test]
    fn unused_parts_with_unknown_shapes_are_ignored() {
        let mut bytes: Json = serde_json::from_slice(&manifest(
            &json!({
                "model.shop.a": model("a", "stream_table", &["model.hub.b"], &json!({})),
                // A model of another project as dbt-loom adds it: without a file, a config or compiled SQL.
                "model.hub.b": {"resource_type": "model", "name": "b", "package_name": "hub", "schema": "hub",
                    "original_file_path": "", "config": null, "depends_on": null, "alias": null},
                "model.hub.c": {"resource_type": "model", "name": "c", "package_name": "hub", "schema": "hub",
                    "config": {"materialized": "stream_table"}},
            }),
            &json!({}),
        ))
        .unwrap();
        bytes["exposures"] = json!({
            "exposure.shop.one": {"name": "one", "owner": {"name": ["ann", "bob"], "email": null},
                "depends_on": {"nodes": ["model.shop.a"]}},
            "exposure.shop.two": {"name": "two", "owner": "carl", "depends_on": {"nodes": ["model.shop.a"]}},
            "exposure.shop.three": {"name": ["?"], "owner": 7},
        });
        bytes["unknown"] = json!([{"a": 1}]);
        let project =
            Reading::of("m.json", bytes.to_string().as_bytes(), |_, _| None).unwrap().into_project().unwrap();
        assert_eq!(project.tables.len(), 1);
        let readers = project.graph.readers("model.shop.a").exposures;
        let owners: Vec<_> = readers.iter().map(|e| (e.name.as_str(), e.owner.as_deref())).collect();
        assert_eq!(owners, [("one", Some("ann, bob")), ("two", Some("carl"))]);
    }

    #[test]
    fn a_required_part_with_an_unknown_shape_is_named_with_its_path() {
        let mut node = model("a", "stream_table", &[], &json!({}));
        node["depends_on"]["nodes"] = json!([7]);
        let error = read(&json!({"model.shop.a": node})).unwrap_err().to_string();
        assert!(
            error.starts_with("`manifest.json` cannot be read at `nodes.model.shop.a.depends_on.nodes[0]`: "),
            "{error}"
        );
    }

    #[test]
    fn sources_are_listed_with_the_models_that_read_them() {
        let nodes = json!({
            "model.shop.a": model("a", "stream_table", &["source.shop.raw.orders"], &json!({})),
            "model.shop.b": model("b", "view", &["source.shop.raw.orders"], &json!({})),
        });
        let source = |name: &str| json!({"schema": "raw", "identifier": name, "name": name});
        let sources =
            json!({"source.shop.raw.orders": source("orders"), "source.shop.raw.unread": source("unread")});
        let read = Project::read_sources("m.json", &manifest(&nodes, &sources), None).unwrap();
        let files = BTreeSet::from(["models/a.sql".to_owned(), "models/b.sql".to_owned()]);
        assert_eq!(read, BTreeMap::from([(Relation::new("raw", "orders"), files)]));
    }
}
