//! `init`: writes a configuration file and a CI workflow. It overwrites nothing.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Error,
    dbt::{self, ProjectFile},
    exit::Exit,
    options::InitOptions,
    output,
};

const CONFIGURATION: &str = include_str!("init/pgtrickle-ci.yml");
const GITHUB: &str = include_str!("init/github.yml");
const GITLAB: &str = include_str!("init/gitlab.yml");

/// A file that `init` would write already exists.
#[derive(Debug, thiserror::Error)]
#[error("{}", match &files[..] {
    [file] => format!("`{}` already exists", file.display()),
    files => files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(" and ") + " already exist",
})]
pub struct Exists {
    files: Vec<PathBuf>,
}

impl Exists {
    pub fn hint(&self) -> String {
        "nothing was written; move the existing files away to start over, or use them with `pgtrickle-ci run`"
            .into()
    }
}

/// Writes a configuration file, and a workflow for GitHub or GitLab.
pub(super) fn init(options: &InitOptions) -> Result<Exit, Error> {
    let dir = &options.dir;
    let project = ProjectFile::read(dir)?;
    let (root, below) = repository(dir)?;
    let is_gitlab = root.join(".gitlab-ci.yml").exists() && !root.join(".github").exists();
    let (place, template) = if is_gitlab {
        (".gitlab/pgtrickle-ci.yml", GITLAB)
    } else {
        (".github/workflows/pgtrickle-ci.yml", GITHUB)
    };
    let files = [
        (dir.join("pgtrickle-ci.yml"), CONFIGURATION.to_owned()),
        (root.join(place), for_project(template, &below)),
    ];
    let existing: Vec<PathBuf> =
        files.iter().map(|(file, _)| file.clone()).filter(|file| file.exists()).collect();
    if !existing.is_empty() {
        return Err(Exists { files: existing }.into());
    }
    for (file, text) in files {
        output::make_folder(file.parent().unwrap_or(dir))?;
        output::to_file(&file, &text)?;
        options.ui.say(&format!("wrote {}", file.display()));
    }
    if is_gitlab {
        options.ui.say(&format!("next: add `include: {{local: {place}}}` to .gitlab-ci.yml"));
    }
    if project.lacks_our_package(dir) {
        options.ui.say(
            "next: add the dbt package dbt_pgtrickle to packages.yml, or install the adapter dbt-pgtrickle",
        );
    }
    options.ui.say("next: pgtrickle-ci run");
    Ok(Exit::Passed)
}

/// The root of the project's repository, and the project's path in it, such as `.` or `warehouse/dbt`.
fn repository(dir: &Path) -> Result<(PathBuf, String), Error> {
    let whole = fs::canonicalize(dir).map_err(dbt::Error::unreadable(dir))?;
    for (steps, root) in whole.ancestors().enumerate() {
        if root.join(".git").exists() {
            let below = whole.strip_prefix(root).unwrap_or(Path::new(""));
            let up = dir.join([".."].repeat(steps).join("/"));
            let below = below.to_string_lossy();
            return Ok((up, if below.is_empty() { ".".into() } else { below.into_owned() }));
        }
    }
    Ok((dir.to_owned(), ".".into()))
}

/// The template with the project's path.
fn for_project(template: &str, below: &str) -> String {
    if below == "." {
        return template.to_owned();
    }
    // Quoted: a path may contain special characters of YAML or a shell.
    let yaml = format!("'{}'", below.replace('\'', "''"));
    let shell = format!("'{}'", below.replace('\'', r"'\''"));
    template.replace("project-dir: .\n", &format!("project-dir: {yaml}\n")).replace(
        "    - pgtrickle-ci run\n",
        &format!("    - |\n      pgtrickle-ci run --project-dir {shell}\n"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::File;

    #[test]
    fn the_docs_show_the_written_workflows() {
        let pages = [
            (include_str!("../../docs/workflows.md"), GITHUB),
            (include_str!("../../docs/gitlab.md"), GITLAB),
        ];
        for (page, template) in pages {
            assert!(page.contains(&format!("```yaml\n{template}```\n")), "{template}");
        }
    }

    #[test]
    fn the_written_configuration_can_be_parsed() {
        let file = File::parse(Path::new("pgtrickle-ci.yml"), CONFIGURATION).unwrap();
        assert_eq!(file, File::default());
        // Its examples can be parsed too.
        let examples = CONFIGURATION.lines().filter_map(|line| line.strip_prefix("# "));
        let is_key = |line: &&str| line.contains(": {") || line.contains(": [");
        let examples: String = examples.filter(is_key).map(|line| format!("{line}\n")).collect();
        assert_eq!(examples.lines().count(), 5, "{examples}");
        assert_ne!(
            File::parse(Path::new("pgtrickle-ci.yml"), &examples).unwrap(),
            File::default(),
            "{examples}"
        );
    }

    #[test]
    fn a_project_path_with_special_characters_is_quoted() {
        let name = "ware house/o'dbt: #1";
        let workflow: serde_yaml::Value = serde_yaml::from_str(&for_project(GITHUB, name)).unwrap();
        let steps = workflow["jobs"]["gate"]["steps"].as_sequence().unwrap();
        assert_eq!(steps[1]["with"]["project-dir"].as_str(), Some(name));
        let pipeline: serde_yaml::Value = serde_yaml::from_str(&for_project(GITLAB, name)).unwrap();
        let script = pipeline["stream tables"]["script"][0].as_str().unwrap().to_owned();
        assert_eq!(script, "pgtrickle-ci run --project-dir 'ware house/o'\\''dbt: #1'\n");
    }
}
