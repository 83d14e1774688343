//! Edits of a dbt project: the planned change of each stream table, and what `dbt build` then does to it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::{Duration, SystemTime},
};

use serde::Deserialize;
use serde_json::{Value as Json, json};

use crate::support::{Database, DbtProject, Ran, dbt_command, pgtrickle_ci};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Edit {
    #[serde(rename = "edit")]
    name: String,
    #[serde(default)]
    before: BTreeMap<String, Option<Json>>,
    after: BTreeMap<String, Option<Json>>,
    server: BTreeMap<String, String>,
    #[serde(default)]
    baseline: BTreeMap<String, String>,
    #[serde(default)]
    dbt: BTreeMap<String, String>,
    #[serde(default)]
    older: bool,
}

impl Edit {
    fn all() -> Vec<Self> {
        serde_yaml::from_str(include_str!("edits.yml")).unwrap()
    }

    /// The expected change of each table in the plan.
    fn planned(&self, against: Against) -> BTreeMap<String, String> {
        let mut planned = self.server.clone();
        if against == Against::Baseline {
            planned.extend(self.baseline.clone());
        }
        planned.into_iter().map(|(table, word)| (in_schema(&table), word)).collect()
    }

    /// What dbt is expected to do with each table.
    fn done(&self) -> BTreeMap<String, String> {
        let mut done = self.server.clone();
        done.extend(self.dbt.clone());
        let left = |word: String| if word == "drop" { "left".to_owned() } else { word };
        done.into_iter().map(|(table, word)| (in_schema(&table), left(word))).collect()
    }
}

#[derive(Clone, Copy, PartialEq)]
enum Against {
    Server,
    Baseline,
}

fn in_schema(table: &str) -> String {
    if table.contains('.') { table.to_owned() } else { format!("dev.{table}") }
}

/// One project with the tables of all edits.
struct Project {
    files: DbtProject,
    database: Database,
    variables: BTreeMap<String, String>,
    /// The content of `dbt_project.yml`, to which edits add.
    yaml: Json,
}

impl Project {
    fn new() -> Self {
        let database = Database::new();
        database.run(
            "create schema raw; create table raw.orders (id int primary key, amount int not null);
             insert into raw.orders select n, n from generate_series(1, 50) as n",
        );
        let files = DbtProject::new();
        let endpoint = &database.endpoint;
        let target = |schema: &str| {
            json!({"type": "postgres", "host": endpoint.host, "port": endpoint.port, "user": endpoint.user,
                "password": endpoint.password.reveal(), "dbname": endpoint.database, "schema": schema, "threads": 4})
        };
        let targets = json!({"dev": target("dev"), "prod": target("prod")});
        files.write("profiles.yml", &json!({"shop": {"target": "dev", "outputs": targets}}).to_string());
        let package = env!("CARGO_MANIFEST_DIR");
        files.write(
            "packages.yml",
            &json!({"packages": [{"local": package}, {"local": "tools"}]}).to_string(),
        );
        files.write("tools/dbt_project.yml", "name: tools\nversion: '1.0'\n");
        let yaml = json!({"name": "shop", "version": "1.0", "profile": "shop"});
        Self { files, database, variables: BTreeMap::new(), yaml }
    }

    fn edit(&mut self, changes: &BTreeMap<String, Option<Json>>, older: bool) {
        for (file, text) in changes {
            let path = match file.strip_prefix("st/") {
                Some(model) => format!("models/{model}.sql"),
                None => file.clone(),
            };
            match (file.as_str(), text) {
                ("project", Some(more)) => merge(&mut self.yaml, more),
                ("env", Some(more)) => {
                    let variables: BTreeMap<String, String> = serde_json::from_value(more.clone()).unwrap();
                    self.variables.extend(variables);
                }
                (_, None) => fs::remove_file(self.files.path().join(path)).unwrap(),
                (_, Some(text)) => {
                    let config =
                        "{{ config(materialized='stream_table', meta={'pgtrickle': {'schedule': '1h'}}) }}\n";
                    let config = if file.starts_with("st/") { config } else { "" };
                    self.files.write(&path, &format!("{config}{}", text.as_str().unwrap()));
                    if older {
                        let old = SystemTime::now() - Duration::from_hours(1000);
                        let file =
                            fs::File::options().write(true).open(self.files.path().join(path)).unwrap();
                        file.set_modified(old).unwrap();
                    }
                }
            }
        }
        self.files.write("dbt_project.yml", &self.yaml.to_string());
    }

    /// Runs `dbt build`, in which some models fail as expected.
    fn build(&self) {
        let dbt = |arguments: &[&str]| {
            let mut dbt = dbt_command();
            dbt.args(arguments).current_dir(self.files.path()).env("DBT_SEND_ANONYMOUS_USAGE_STATS", "false");
            Ran::of(dbt.env("HOME", self.files.path()).envs(&self.variables))
        };
        dbt(&["deps"]).expect(0);
        let built = dbt(&["build", "--exclude-resource-type", "test"]);
        assert!(matches!(built.code, Some(0 | 1)) && built.stdout.contains("Done."), "{}", built.stdout);
    }

    fn plan(&self, more: &[&str]) -> BTreeMap<String, String> {
        let mut plan = pgtrickle_ci();
        plan.arg("plan").arg("--project-dir").arg(self.files.path()).arg("--profiles-dir");
        plan.arg(self.files.path()).args(["--json", "-"]).args(more).envs(&self.variables);
        let ran = Ran::of(&mut plan);
        let report: Json = serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{}", ran.stderr));
        let text = |value: &Json| value.as_str().unwrap().to_owned();
        let name = |relation: &Json| format!("{}.{}", text(&relation["schema"]), text(&relation["name"]));
        let plan = &report["plan"];
        let views = plan["views"].as_array().unwrap();
        let of_views: BTreeSet<String> =
            views.iter().flat_map(|view| view["readers"].as_array().unwrap()).map(name).collect();
        let step = |step: &Json| {
            let name = name(&step["relation"]);
            let word = match text(&step["action"]).as_str() {
                _ if !step["fails"].is_null() => "fail".into(),
                "drop" if !step["becomes"].is_null() => format!("becomes {}", text(&step["becomes"])),
                "keep" if of_views.contains(&name) => "rows".into(),
                word => word.to_owned(),
            };
            (name, word)
        };
        plan["steps"].as_array().unwrap().iter().map(step).collect()
    }

    /// The stream tables on the server with the properties that [`observed`] compares.
    fn tables(&self) -> BTreeMap<String, Json> {
        let sql = "select coalesce(jsonb_object_agg(pgt_schema || '.' || pgt_name, jsonb_build_object(
            'oid', pgt_relid::oid::text, 'query', coalesce(original_query, defining_query),
            'settings', jsonb_build_array(schedule, refresh_mode))), '{}')::text
            from pgtrickle.pgt_stream_tables";
        let mut tables: BTreeMap<String, Json> =
            serde_json::from_str(&self.database.value(sql).unwrap()).unwrap();
        for (name, table) in &mut tables {
            let rows = format!(
                "select md5(string_agg(row::text, ',' order by row::text))
                 from (select to_jsonb(t) - '__pgt_row_id' as row from {name} as t) as rows"
            );
            let rows = self.database.value(&rows);
            table["rows"] = json!(rows);
        }
        tables
    }
}

fn merge(into: &mut Json, more: &Json) {
    match (into, more) {
        (Json::Object(into), Json::Object(more)) => {
            for (key, value) in more {
                merge(into.entry(key.clone()).or_insert_with(|| json!({})), value);
            }
        }
        (into, more) => *into = more.clone(),
    }
}

/// What happened to a table, as an action of the plan.
fn observed(before: Option<&Json>, after: Option<&Json>, has_model: bool) -> &'static str {
    let differs = |key: &str| before.map(|table| &table[key]) != after.map(|table| &table[key]);
    match (before, after) {
        (None, None) => "absent",
        (None, Some(_)) => "create",
        (Some(_), None) => "gone",
        (Some(_), Some(_)) if differs("oid") => "replace",
        (Some(_), Some(_)) if differs("query") => "alter-query",
        (Some(_), Some(_)) if differs("settings") => "alter",
        (Some(_), Some(_)) if differs("rows") => "rows",
        (Some(_), Some(_)) if !has_model => "left",
        (Some(_), Some(_)) => "keep",
    }
}

#[test]
fn the_plan_matches_what_dbt_then_does() {
    let edits = Edit::all();
    let mut project = Project::new();
    for edit in &edits {
        project.edit(&edit.before, false);
    }
    project.build();
    assert_eq!(
        project.plan(&[]).into_values().collect::<BTreeSet<_>>(),
        BTreeSet::from(["keep".to_owned()]),
        "right after a build"
    );
    let before = project.tables();
    let baseline = project.files.path().join("before.json");
    let kept = fs::read_dir(project.files.path().join("target/pgtrickle-ci/manifests")).unwrap();
    fs::copy(kept.last().unwrap().unwrap().path().join("manifest.json"), &baseline).unwrap();

    for edit in &edits {
        project.edit(&edit.after, edit.older);
    }
    let against_server = project.plan(&[]);
    let against_baseline = project.plan(&["--baseline", baseline.to_str().unwrap()]);
    project.build();
    let after = project.tables();

    let mut wrong = Vec::new();
    let mut known: BTreeSet<String> = BTreeSet::new();
    for edit in &edits {
        for (against, plan, name) in [
            (Against::Server, &against_server, "plan against the server"),
            (Against::Baseline, &against_baseline, "plan against the manifest"),
        ] {
            for (table, word) in edit.planned(against) {
                let said = plan.get(&table).map_or("nothing", String::as_str);
                if said != word {
                    wrong.push(format!("{}: the {name} says {said} of {table}, expected {word}", edit.name));
                }
                known.insert(table);
            }
        }
        for (table, word) in edit.done() {
            let has_model = edit.planned(Against::Server)[&table] != "drop";
            let did = observed(before.get(&table), after.get(&table), has_model);
            let is_right = did == word || word == "rows-or-keep" && ["rows", "keep"].contains(&did);
            if !is_right {
                wrong.push(format!("{}: dbt build did {did} with {table}, expected {word}", edit.name));
            }
        }
    }
    let unknown: Vec<&String> = against_server
        .keys()
        .filter(|table| !known.contains(*table) && against_server[*table] != "keep")
        .collect();
    assert!(unknown.is_empty(), "no edit is about {unknown:?}");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));

    // Flags are edits, too: a manifest compiled with one flag is not reused for another.
    let words = |plan: BTreeMap<String, String>, but: &str| -> BTreeSet<String> {
        plan.into_iter().filter(|(table, _)| table != but).map(|(_, word)| word).collect()
    };
    let now = project.plan(&[]);
    let with_vars = project.plan(&["--vars", "{most: 9}"]);
    assert_eq!(with_vars["dev.by_var"], "alter-query");
    assert_eq!(words(with_vars, "dev.by_var"), words(now.clone(), "dev.by_var"));
    // The schema macro puts `placed` into the same schema for every target. One query fails.
    let elsewhere = project.plan(&["--target", "prod"]);
    assert_eq!(words(elsewhere, "placed.placed"), BTreeSet::from(["create", "fail"].map(String::from)));
    assert_eq!(project.plan(&[]), now);
}
