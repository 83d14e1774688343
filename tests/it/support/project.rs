//! Small dbt projects and manifests for tests that do not need integration_tests/.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A dbt project of a test, which uses the package of this repository.
pub struct DbtProject {
    dir: TempDir,
}

impl DbtProject {
    /// An empty project named `shop`.
    pub fn new() -> Self {
        let project = Self { dir: tempfile::tempdir().unwrap() };
        let package = env!("CARGO_MANIFEST_DIR");
        project.write("dbt_project.yml", "name: shop\nversion: '1.0'\nprofile: shop\n");
        project.write("packages.yml", &format!("packages:\n  - local: {package}\n"));
        project.write(
            "profiles.yml",
            "shop:\n  target: dev\n  outputs:\n    dev: {type: postgres, host: nowhere.invalid, port: 1, user: u, password: \"{{ env_var('SHOP_PASSWORD') }}\", dbname: d, schema: marts, threads: 4}\n",
        );
        project
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file of the project.
    pub fn write(&self, file: &str, text: &str) {
        let path = self.dir.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// A stream table model.
    pub fn stream_table(&self, name: &str, settings: &str, query: &str) {
        let config =
            format!("{{{{ config(materialized='stream_table', meta={{'pgtrickle': {settings}}}) }}}}\n");
        self.write(&format!("models/{name}.sql"), &(config + query));
    }
}

/// git in a folder, whatever the user's settings.
pub fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=a", "-c", "user.email=a@b"]).args(arguments).current_dir(dir);
    let output = git.env("GIT_CONFIG_GLOBAL", "/dev/null").output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Makes the folder a repository with its files on the branch `main`.
pub fn commit(dir: &Path) {
    fs::write(dir.join(".gitignore"), "target/\nlogs/\ndbt_packages/\npackage-lock.yml\n").unwrap();
    git(dir, &["init", "-q", "-b", "main", "."]);
    git(dir, &["add", "."]);
    git(dir, &["commit", "-q", "-m", "base"]);
}

/// A stream table model in a manifest, in the schema `public`.
pub fn model(name: &str, query: &str, settings: &Value) -> (String, Value) {
    let node = json!({
        "resource_type": "model", "name": name, "alias": name, "schema": "public", "package_name": "shop",
        "original_file_path": format!("models/{name}.sql"),
        "config": {"materialized": "stream_table", "meta": {"pgtrickle": settings}},
        "depends_on": {"nodes": []},
        "compiled_code": query,
    });
    (format!("model.shop.{name}"), node)
}

/// Writes a manifest with these models into the folder.
pub fn manifest(dir: &Path, file: &str, models: impl IntoIterator<Item = (String, Value)>) -> PathBuf {
    let nodes: serde_json::Map<String, Value> = models.into_iter().collect();
    let manifest = json!({
        "metadata": {"dbt_schema_version": "https://schemas.getdbt.com/dbt/manifest/v12.json", "project_name": "shop"},
        "nodes": nodes,
        "sources": {},
    });
    let path = dir.join(file);
    fs::write(&path, manifest.to_string()).unwrap();
    path
}
