//! `init`: writes a configuration file and CI workflows. It overwrites nothing.

use std::{
    collections::BTreeSet,
    fs,
    path::{Component, Path, PathBuf},
};

use serde_yaml::Value as Yaml;

use crate::{
    Error,
    dbt::{self, ProjectFile, SourcesWithoutSeed},
    exit::Exit,
    options::InitOptions,
    output,
    report::text,
};

const CONFIGURATION: &str = include_str!("init/pgtrickle-ci.yml");
const GITHUB: &str = include_str!("init/github.yml");
const GITHUB_NIGHTLY: &str = include_str!("init/github-nightly.yml");
/// What other projects include, with inputs.
const GITLAB: &str = include_str!("../../templates/stream-tables.yml");
/// Where GitLab's jobs go, and what includes them.
const GITLAB_FILE: &str = ".gitlab/pgtrickle-ci.yml";

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

/// Writes a configuration file, and workflows for GitHub or GitLab.
pub(super) fn init(options: &InitOptions) -> Result<Exit, Error> {
    let dir = &options.dir;
    let project = ProjectFile::read(dir)?;
    let (root, below) = repository(dir)?;
    let is_gitlab = root.join(".gitlab-ci.yml").exists() && !root.join(".github").exists();
    let sources = dbt::sources_without_seed(&project, dir);
    // The workflows start in the root, and dbt reads no profiles.yml of a folder below.
    let names_profiles = below != "." && dir.join("profiles.yml").exists();
    let mut files = vec![(
        dir.join("pgtrickle-ci.yml"),
        configuration(sources != SourcesWithoutSeed::default(), names_profiles),
    )];
    let workflows = if is_gitlab { gitlab_files(&below) } else { github_files(&below) };
    files.extend(workflows.into_iter().map(|(place, text)| (root.join(place), text)));
    write(options, &files)?;
    let steps: &[&str] = if is_gitlab { &GITLAB_STEPS } else { &GITHUB_STEPS };
    let mut next: Vec<String> = steps.iter().map(ToString::to_string).collect();
    if project.lacks_our_package(dir) {
        next.push(dbt::add_our_package());
    }
    next.extend(declare(&sources.untyped));
    next.extend(fill(&sources.typed));
    let there = if is_here(dir) {
        String::new()
    } else {
        format!(" --project-dir {}", text::shell_word(&dir.to_string_lossy()))
    };
    next.push(format!("pgtrickle-ci doctor{there}, which says what else is missing"));
    next.push(format!("pgtrickle-ci run{there}"));
    for step in next {
        options.ui.say(&format!("next: {step}"));
    }
    Ok(Exit::Passed)
}

const GITHUB_STEPS: [&str; 1] =
    ["for the check at night, save a role's URL as the secret DATABASE_URL of the environment `production`"];

const GITLAB_STEPS: [&str; 3] = [
    "add `include: {local: .gitlab/pgtrickle-ci.yml}` to .gitlab-ci.yml",
    "for the comment, save a project access token (role Reporter, scope `api`) as the masked variable \
     PGTRICKLE_CI_GITLAB_TOKEN of the environment `pgtrickle-ci`",
    "for the check at night, add a pipeline schedule, and save a role's URL as the masked variable DATABASE_URL of the \
     environment `production`",
];

fn github_files(below: &str) -> Vec<(&'static str, String)> {
    // Quoted: a path may contain special characters of YAML.
    let path = if below == "." { below.to_owned() } else { quoted(below) };
    let with_path = |text: &str| text.replace("project-dir: .\n", &format!("project-dir: {path}\n"));
    vec![
        (".github/workflows/pgtrickle-ci.yml", with_path(GITHUB)),
        (".github/workflows/pgtrickle-ci-nightly.yml", with_path(GITHUB_NIGHTLY)),
    ]
}

fn gitlab_files(below: &str) -> Vec<(&'static str, String)> {
    vec![(GITLAB_FILE, without_inputs(GITLAB, below))]
}

/// The jobs of the template with the project's path, and the default of every other input.
fn without_inputs(template: &str, below: &str) -> String {
    let (header, jobs) = template.split_once("\n---\n").expect("the template has a header");
    let header: Yaml = serde_yaml::from_str(header).expect("the header is YAML");
    let inputs = header["spec"]["inputs"].as_mapping().expect("the header has inputs");
    let mut jobs = jobs.to_owned();
    for (name, input) in inputs {
        let name = name.as_str().unwrap_or_default();
        let value = input["default"].as_str().unwrap_or_default();
        if name == "project-dir" {
            // GitLab expands variables in it.
            jobs = jobs.replace("'$[[ inputs.project-dir ]]'", &quoted(&below.replace('$', "$$")));
        }
        jobs = jobs.replace(&format!("$[[ inputs.{name} ]]"), value);
    }
    jobs
}

/// A string of YAML.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

fn configuration(stubs_sources: bool, names_profiles: bool) -> String {
    let wanted = [("stub_sources: true", stubs_sources), ("dbt: {profiles_dir: .}", names_profiles)];
    wanted
        .into_iter()
        .filter(|(_, is_wanted)| *is_wanted)
        .fold(CONFIGURATION.to_owned(), |text, (key, _)| text.replace(&format!("# {key}"), key))
}

/// What is to be done about sources that are empty tables; `None` without any.
fn fill(sources: &BTreeSet<String>) -> Option<String> {
    let are = if sources.len() > 1 { "are" } else { "is" };
    Some(format!(
        "{} {are} empty in `run`: to have rows, list a SQL file that creates it as `fixtures` in pgtrickle-ci.yml",
        first_of(sources)?
    ))
}

/// What is to be done about sources that cannot be created; `None` without any.
fn declare(sources: &BTreeSet<String>) -> Option<String> {
    Some(format!(
        "declare the columns of {} with their `data_type`, or list a SQL file that creates it as `fixtures` in \
         pgtrickle-ci.yml: `run` cannot create it otherwise",
        first_of(sources)?
    ))
}

/// `raw.orders and 2 other sources`.
fn first_of(sources: &BTreeSet<String>) -> Option<String> {
    let first = text::line(sources.first()?);
    Some(match sources.len() - 1 {
        0 => first,
        1 => format!("{first} and 1 other source"),
        others => format!("{first} and {others} other sources"),
    })
}

/// Whether it is the working directory.
fn is_here(dir: &Path) -> bool {
    fs::canonicalize(dir).ok() == std::env::current_dir().and_then(fs::canonicalize).ok()
}

/// The path without `.` and without steps back, for messages: through links it may lead elsewhere.
fn shown(path: &Path) -> PathBuf {
    let mut short = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if short.file_name().is_some() => drop(short.pop()),
            Component::ParentDir | Component::Normal(_) | Component::RootDir | Component::Prefix(_) => {
                short.push(part);
            }
        }
    }
    short
}

fn write(options: &InitOptions, files: &[(PathBuf, String)]) -> Result<(), Error> {
    let existing: Vec<PathBuf> =
        files.iter().map(|(file, _)| file.clone()).filter(|file| file.exists()).collect();
    if !existing.is_empty() {
        return Err(Exists { files: existing }.into());
    }
    for (file, text) in files {
        output::make_folder(file.parent().unwrap_or(&options.dir))?;
        output::to_file(file, text)?;
        options.ui.say(&format!("wrote {}", shown(file).display()));
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::File;

    #[test]
    fn the_docs_show_the_written_workflows() {
        let docs = [
            include_str!("../../docs/workflows.md"),
            include_str!("../../docs/nightly.md"),
            include_str!("../../docs/gitlab.md"),
        ];
        let files = github_files(".").into_iter().chain(gitlab_files("."));
        for (_, text) in files {
            let block = format!("```yaml\n{text}```\n");
            assert!(docs.iter().any(|page| page.contains(&block)), "{text}");
        }
    }

    #[test]
    fn the_template_is_of_this_version_and_has_no_input_left() {
        let text = without_inputs(GITLAB, ".");
        assert!(text.contains(concat!("/pgtrickle-ci:", env!("CARGO_PKG_VERSION"), "\n")), "{text}");
        assert!(!text.contains("$[["), "{text}");
    }

    #[test]
    fn the_written_configuration_can_be_parsed() {
        let file = File::parse(Path::new("pgtrickle-ci.yml"), CONFIGURATION).unwrap();
        assert_eq!(file, File::default());
        // Its examples can be parsed too.
        let examples = CONFIGURATION.lines().filter_map(|line| line.strip_prefix("# "));
        let is_key = |line: &&str| line.contains(": {") || line.contains(": [");
        let examples: String = examples.filter(is_key).map(|line| format!("{line}\n")).collect();
        assert_eq!(examples.lines().count(), 6, "{examples}");
        let file = File::parse(Path::new("pgtrickle-ci.yml"), &configuration(true, true)).unwrap();
        assert!(file.stub_sources && file.dbt.profiles_dir.is_some(), "{file:?}");
        assert_ne!(
            File::parse(Path::new("pgtrickle-ci.yml"), &examples).unwrap(),
            File::default(),
            "{examples}"
        );
    }

    #[test]
    fn a_project_path_with_special_characters_is_quoted() {
        let name = "ware house/o'dbt: #1 $HOME";
        for (place, text) in github_files(name) {
            let workflow: Yaml = serde_yaml::from_str(&text).unwrap();
            let job = workflow["jobs"].as_mapping().unwrap().values().next().unwrap();
            assert_eq!(job["steps"][1]["with"]["project-dir"].as_str(), Some(name), "{place}");
        }
        let pipeline: Yaml = serde_yaml::from_str(&without_inputs(GITLAB, name)).unwrap();
        let dir = pipeline[".pgtrickle-ci"]["variables"]["PGTRICKLE_CI_PROJECT_DIR"].as_str();
        assert_eq!(dir, Some("ware house/o'dbt: #1 $$HOME"));
    }
}
