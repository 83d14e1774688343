//! `init`: what a dbt project needs to be gated, where it has none of it yet. It overwrites nothing.

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

/// The project has what `init` would write.
#[derive(Debug, thiserror::Error)]
#[error("{} there already", match &files[..] {
    [file] => format!("`{}` is", file.display()),
    files => files.iter().map(|file| format!("`{}`", file.display())).collect::<Vec<_>>().join(" and ") + " are",
})]
pub struct Exists {
    files: Vec<PathBuf>,
}

impl Exists {
    /// The next thing to do.
    pub fn hint(&self) -> String {
        "nothing was written: move them away to start anew, or see what they do with `pgtrickle-ci run`"
            .into()
    }
}

/// Writes a configuration file and the workflow that fits the repository.
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
    let there: Vec<PathBuf> =
        files.iter().map(|(file, _)| file.clone()).filter(|file| file.exists()).collect();
    if !there.is_empty() {
        return Err(Exists { files: there }.into());
    }
    for (file, text) in files {
        output::make_folder(file.parent().unwrap_or(dir))?;
        output::to_file(&file, &text)?;
        options.ui.say(&format!("wrote {}", file.display()));
    }
    if is_gitlab {
        options.ui.say(&format!("next: `include: {{local: {place}}}` in .gitlab-ci.yml"));
    }
    if project.lacks_our_package(dir) {
        options.ui.say("next: the dbt package dbt_pgtrickle in packages.yml, which the stream tables need");
    }
    options.ui.say("next: pgtrickle-ci run");
    Ok(Exit::Passed)
}

/// The root of the repository that the project is in, and the project's place in it, as `.` or `warehouse/dbt`.
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

/// The template for a project at another place than the root.
fn for_project(template: &str, below: &str) -> String {
    if below == "." {
        return template.to_owned();
    }
    // A name may hold what YAML or a shell reads as something else.
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
    fn what_is_written_is_what_the_docs_show() {
        let docs = include_str!("../../docs/workflows.md");
        for template in [GITHUB, GITLAB] {
            assert!(docs.contains(&format!("```yaml\n{template}```\n")), "{template}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let file = File::parse(Path::new("pgtrickle-ci.yml"), CONFIGURATION).unwrap();
        assert_eq!(file, File::default());
        // And so can the examples in it.
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
    fn a_project_below_the_root_is_named_whatever_it_is_called() {
        let name = "ware house/o'dbt: #1";
        let workflow: serde_yaml::Value = serde_yaml::from_str(&for_project(GITHUB, name)).unwrap();
        let steps = workflow["jobs"]["gate"]["steps"].as_sequence().unwrap();
        assert_eq!(steps.last().unwrap()["with"]["project-dir"].as_str(), Some(name));
        let pipeline: serde_yaml::Value = serde_yaml::from_str(&for_project(GITLAB, name)).unwrap();
        let script = pipeline["stream tables"]["script"][0].as_str().unwrap().to_owned();
        assert_eq!(script, "pgtrickle-ci run --project-dir 'ware house/o'\\''dbt: #1'\n");
    }
}
