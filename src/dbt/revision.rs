//! A revision of the git repository of a dbt project, checked out temporarily to compile it.

use std::{
    fmt, io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use tempfile::TempDir;
use tokio::process::Command;

use super::{Error, ProjectFile, inputs::used_variables};
use crate::report::text::shell_word;

/// A commit, and the place of the project in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revision {
    pub name: String,
    /// The full commit hash.
    pub commit: String,
    repository: PathBuf,
    /// The project's folder relative to the repository's root; empty, or with a slash at its end.
    inside: String,
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, &self.commit[..12])
    }
}

#[derive(Debug, thiserror::Error)]
pub enum GitError {
    #[error("cannot run git: {0}")]
    NotRun(io::Error),
    /// The project is not in a repository, or in one that git refuses to open.
    #[error("`{}` is not in a git repository: {said}", dir.display())]
    NoRepository {
        dir: PathBuf,
        said: String,
        /// Whether the repository belongs to another user, so that git refuses to open it.
        is_of_another: bool,
    },
    #[error("there is no revision `{name}`{}", if *is_shallow { " in this shallow clone" } else { "" })]
    Unknown {
        name: String,
        /// Whether the repository is a shallow clone.
        is_shallow: bool,
    },
    #[error("`git {command}` failed: {said}")]
    Failed { command: String, said: String },
}

impl GitError {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NotRun(_) => "install git, or name a manifest: `--baseline FILE`".into(),
            Self::NoRepository { dir, is_of_another: true, .. } => {
                let dir = top_of(dir).unwrap_or_else(|| dir.clone());
                format!(
                    "it belongs to another user; trust it: `git config --global --add safe.directory {}`",
                    shell_word(&dir.to_string_lossy())
                )
            }
            Self::NoRepository { .. } => "name a manifest instead: `--baseline FILE`".into(),
            Self::Unknown { name, .. } if name == "HEAD" => "commit something first: `git commit`".into(),
            Self::Unknown { name, .. } if name == "origin/HEAD" => {
                "let it name the remote's default branch: `git remote set-head origin --auto`".into()
            }
            Self::Unknown { name, is_shallow: true } if is_expression(name) => {
                "fetch the history: `git fetch --unshallow`".into()
            }
            Self::Unknown { name, .. } if is_expression(name) => {
                format!("see what it means: `git rev-parse {}`", shell_word(&format!("{name}^{{commit}}")))
            }
            // `github.event.before` of a new branch.
            Self::Unknown { name, .. } if is_number(name) && name.bytes().all(|byte| byte == b'0') => {
                "that is git's word for no commit: a new branch has none before its first push; omit `--base-ref` for it".into()
            }
            Self::Unknown { name, is_shallow } if is_number(name) => {
                let depth = if *is_shallow { "--depth 1 " } else { "" };
                format!("fetch it: `git fetch {depth}origin {name}`")
            }
            Self::Unknown { name, is_shallow } => {
                let branch =
                    name.strip_prefix("origin/").or(name.strip_prefix("refs/heads/")).unwrap_or(name);
                if branch.is_empty() {
                    return Some(
                        "the name of the branch is empty: GITHUB_BASE_REF is only set for pull requests; omit `--base-ref` for other events"
                            .into(),
                    );
                }
                let depth = if *is_shallow { "--depth 1 " } else { "" };
                let typed = |word: String| if shell_word(branch) == branch { word } else { shell_word(&word) };
                let refs = typed(format!("+{branch}:refs/remotes/origin/{branch}"));
                let base = typed(format!("origin/{branch}"));
                format!("fetch it: `git fetch {depth}origin {refs}`, then `--base-ref {base}`")
            }
            Self::Failed { .. } => return None,
        })
    }
}

/// Whether it is more than a name: `HEAD~1`, `main@{yesterday}`, `main:models`.
fn is_expression(name: &str) -> bool {
    name.contains(['~', '^', ':', '{', ' ', '\'']) || name.starts_with('-')
}

/// Whether it is a commit's number.
fn is_number(name: &str) -> bool {
    (7..=40).contains(&name.len()) && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

impl GitError {
    /// Replaces the error if git itself failed.
    fn or_failed(self, other: impl FnOnce(String) -> Self) -> Self {
        if let Self::Failed { said, .. } = self { other(said) } else { self }
    }
}

/// The folder above with a `.git` of any owner.
fn top_of(dir: &Path) -> Option<PathBuf> {
    let dir = dir.canonicalize().ok()?;
    dir.ancestors().find(|dir| dir.join(".git").exists()).map(Path::to_owned)
}

impl Revision {
    /// Resolves `name` in the project's repository.
    pub async fn find(project_dir: &Path, name: &str) -> Result<Self, GitError> {
        let no_repository = |said: String| {
            let owner =
                top_of(project_dir).and_then(|top| std::fs::metadata(top).ok()).map(|data| data.uid());
            let is_of_another = owner.is_some_and(|owner| owner != nix::unistd::geteuid().as_raw());
            GitError::NoRepository { dir: project_dir.to_owned(), said, is_of_another }
        };
        let top = git(project_dir, &["rev-parse", "--show-toplevel"]).await;
        let top = top.map_err(|error| error.or_failed(no_repository))?;
        let inside = git(project_dir, &["rev-parse", "--show-prefix"]).await?;
        let wanted = format!("{name}^{{commit}}");
        let found =
            git(project_dir, &["rev-parse", "--verify", "--quiet", "--end-of-options", &wanted]).await;
        let commit = match found {
            Err(error @ GitError::Failed { .. }) => {
                let shallow = git(project_dir, &["rev-parse", "--is-shallow-repository"]).await?;
                let is_shallow = shallow == "true";
                return Err(error.or_failed(|_| GitError::Unknown { name: name.to_owned(), is_shallow }));
            }
            found => found?,
        };
        Ok(Self { name: name.to_owned(), commit, repository: top.into(), inside })
    }

    /// Whether the revision has a dbt project in the same place.
    pub async fn has_project(&self) -> bool {
        let file = format!("{}:{}dbt_project.yml", self.commit, self.inside);
        git(&self.repository, &["cat-file", "-e", &file]).await.is_ok()
    }

    /// The environment variables that the project's files in this revision use by name, and whether they use computed
    /// names.
    pub async fn used_variables(&self) -> Result<(Vec<String>, bool), GitError> {
        let place = format!("{}:{}", self.commit, self.inside);
        match git(&self.repository, &["grep", "-h", "-I", "-F", "-e", "env_var", &place]).await {
            // A call with its name on the next line counts as one with a computed name.
            Ok(found) => Ok(used_variables(&found)),
            // git grep fails without a message if it finds nothing.
            Err(GitError::Failed { said, .. }) if said.is_empty() => Ok((Vec::new(), false)),
            Err(error) => Err(error),
        }
    }

    /// Checks the revision out in a temporary folder, which is removed with the returned value. Uncommitted changes and
    /// other work trees stay unchanged.
    pub async fn check_out(&self) -> Result<Checkout, GitError> {
        let place =
            tempfile::Builder::new().prefix("pgtrickle-ci-base-").tempdir().map_err(GitError::NotRun)?;
        let work_tree = place.path().join("work-tree");
        // Created before the checkout, so that it is also removed after an interruption.
        let checkout = Checkout {
            repository: self.repository.clone(),
            project_dir: work_tree.join(&self.inside),
            work_tree,
            _place: place,
        };
        let folder = checkout.work_tree.to_string_lossy().into_owned();
        // The user's hooks are for their own work trees.
        let add = [
            "-c",
            "core.hooksPath=/dev/null",
            "worktree",
            "add",
            "--detach",
            "--quiet",
            &folder,
            &self.commit,
        ];
        git(&self.repository, &add).await?;
        Ok(checkout)
    }
}

/// A temporary git work tree, which is removed when this value is dropped.
#[derive(Debug)]
pub struct Checkout {
    repository: PathBuf,
    work_tree: PathBuf,
    project_dir: PathBuf,
    _place: TempDir,
}

impl Checkout {
    pub fn project_dir(&self) -> &Path {
        &self.project_dir
    }

    /// Links the packages that are installed in the current project, if both have the same ones. A package inside of
    /// the repository belongs to the revision and has to be installed.
    pub fn borrow_packages(&self, project_dir: &Path) -> Result<(), Error> {
        let read = |dir: &Path| {
            ["packages.yml", "dependencies.yml", "package-lock.yml"]
                .map(|file| std::fs::read_to_string(dir.join(file)).unwrap_or_default())
        };
        let named = read(&self.project_dir);
        if named != read(project_dir) || named.iter().any(|text| text.contains("local:")) {
            return Ok(());
        }
        let installed = ProjectFile::read(project_dir)?.packages_dir(project_dir);
        let wanted = ProjectFile::read(&self.project_dir)?.packages_dir(&self.project_dir);
        if let Ok(installed) = installed.canonicalize()
            && !wanted.exists()
        {
            // If the link fails, dbt installs them.
            let _ = std::os::unix::fs::symlink(installed, wanted);
        }
        Ok(())
    }
}

impl Drop for Checkout {
    fn drop(&mut self) {
        // Forced twice: an interrupted checkout may be incomplete and locked.
        let remove = command(&self.repository)
            .args(["worktree", "remove", "--force", "--force"])
            .arg(&self.work_tree)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        // The folder itself is removed in any case, and git prunes work trees without a folder.
        drop(remove);
    }
}

async fn git(dir: &Path, arguments: &[&str]) -> Result<String, GitError> {
    let mut process = Command::from(command(dir));
    let output = process.args(arguments).kill_on_drop(true).output().await.map_err(GitError::NotRun)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() {
        return Ok(text(&output.stdout));
    }
    Err(GitError::Failed { command: arguments.join(" "), said: text(&output.stderr) })
}

/// git in this folder, whatever repository the environment names.
fn command(dir: &Path) -> std::process::Command {
    let mut command = std::process::Command::new("git");
    command.arg("-C").arg(dir).stdin(Stdio::null()).env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0");
    for name in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR"] {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(dir: &Path, script: &str) {
        let status = std::process::Command::new("sh")
            .args(["-ec", script])
            .current_dir(dir)
            .envs([("GIT_AUTHOR_NAME", "a"), ("GIT_AUTHOR_EMAIL", "a@b"), ("GIT_COMMITTER_NAME", "a")])
            .envs([("GIT_COMMITTER_EMAIL", "a@b"), ("GIT_CONFIG_GLOBAL", "/dev/null")])
            .status();
        assert!(status.unwrap().success(), "{script}");
    }

    /// A repository whose project is in the folder `dbt`: with a file at the first commit, another at the second, and a
    /// third that is not committed.
    fn repository() -> TempDir {
        let dir = tempfile::tempdir().unwrap();
        run(
            dir.path(),
            "git init -q -b main . && git commit -q --allow-empty -m none && git tag none && mkdir dbt
             printf 'name: shop\\n' > dbt/dbt_project.yml && touch dbt/first && git add . && git commit -q -m first && git tag first
             git mv dbt/first dbt/second && git commit -q -m second && touch dbt/third
             printf '#!/bin/sh\\ntouch hooked\\n' > .git/hooks/post-checkout && chmod +x .git/hooks/post-checkout",
        );
        dir
    }

    #[tokio::test]
    async fn a_checkout_is_separate_and_leaves_no_trace() {
        let repository = repository();
        let project = repository.path().join("dbt");
        let revision = Revision::find(&project, "first").await.unwrap();
        assert!(revision.has_project().await && revision.commit.len() == 40);
        let checkout = revision.check_out().await.unwrap();
        let place = checkout.work_tree.clone();
        assert!(
            checkout.project_dir().join("first").exists() && !checkout.project_dir().join("second").exists()
        );
        assert!(!place.join("hooked").exists() && project.join("third").exists());
        drop(checkout);
        assert!(!place.exists());
        let trees = git(repository.path(), &["worktree", "list", "--porcelain"]).await.unwrap();
        assert_eq!(trees.matches("worktree ").count(), 1, "{trees}");
        assert!(!Revision::find(&project, "none").await.unwrap().has_project().await);
    }

    #[tokio::test]
    async fn finds_the_variables_that_a_revision_uses() {
        let repository = repository();
        let project = repository.path().join("dbt");
        let first = Revision::find(&project, "first").await.unwrap();
        assert_eq!(first.used_variables().await.unwrap(), (Vec::new(), false));
        run(
            &project,
            "printf \"{{ env_var('ONE') }} {{ env_var( \\\"TWO_2\\\", 'x') }}\" > a.sql; git add a.sql; git commit -q -m variables",
        );
        let head = Revision::find(&project, "HEAD").await.unwrap();
        assert_eq!(head.used_variables().await.unwrap(), (vec!["ONE".to_owned(), "TWO_2".to_owned()], false));
        run(&project, "printf '{{ env_var(name) }}' > b.sql; git add b.sql; git commit -q -m computed");
        let head = Revision::find(&project, "HEAD").await.unwrap();
        assert!(head.used_variables().await.unwrap().1);
    }

    #[tokio::test]
    async fn an_unknown_revision_has_a_hint_to_fetch_it() {
        let repository = repository();
        let clone = tempfile::tempdir().unwrap();
        let from = format!("git clone -q --depth 1 --branch main 'file://{}' .", repository.path().display());
        run(clone.path(), &from);
        let error = Revision::find(clone.path(), "origin/next").await.unwrap_err();
        assert_eq!(error.to_string(), "there is no revision `origin/next` in this shallow clone");
        assert!(error.hint().unwrap().contains("git fetch --depth 1 origin +next:refs/remotes/origin/next"));
        for (name, hint) in [
            ("HEAD~1", "`git fetch --unshallow`"),
            ("0123456789abcdef", "`git fetch --depth 1 origin 0123456789abcdef`"),
            (
                "a;b",
                "`git fetch --depth 1 origin '+a;b:refs/remotes/origin/a;b'`, then `--base-ref 'origin/a;b'`",
            ),
        ] {
            let error = Revision::find(clone.path(), name).await.unwrap_err();
            assert!(error.hint().unwrap().contains(hint), "{error}: {:?}", error.hint());
        }
        run(clone.path(), "rm -rf .git; git init -q .");
        let error = Revision::find(clone.path(), "HEAD").await.unwrap_err();
        assert_eq!(error.hint().as_deref(), Some("commit something first: `git commit`"));
        let error = Revision::find(repository.path(), "main:dbt").await.unwrap_err();
        assert!(error.hint().unwrap().starts_with("see what it means"), "{:?}", error.hint());
        let error = Revision::find(repository.path(), "--upload-pack=x").await.unwrap_err();
        assert_eq!(error.to_string(), "there is no revision `--upload-pack=x`");
        let nowhere = tempfile::tempdir().unwrap();
        let error = Revision::find(nowhere.path(), "main").await.unwrap_err();
        assert!(error.to_string().contains("is not in a git repository"), "{error}");
    }

    #[tokio::test]
    async fn packages_are_borrowed_if_both_have_the_same() {
        let repository = repository();
        let project = repository.path().join("dbt");
        run(
            &project,
            "mkdir -p dbt_packages/utils; printf 'packages: []' > packages.yml; git add packages.yml; git commit -q -m packages",
        );
        let checkout = Revision::find(&project, "HEAD").await.unwrap().check_out().await.unwrap();
        checkout.borrow_packages(&project).unwrap();
        assert!(checkout.project_dir().join("dbt_packages/utils").is_dir());
        drop(checkout);
        assert!(project.join("dbt_packages/utils").is_dir(), "the borrowed packages were removed");
        let checkout = Revision::find(&project, "first").await.unwrap().check_out().await.unwrap();
        checkout.borrow_packages(&project).unwrap();
        assert!(!checkout.project_dir().join("dbt_packages").exists());
    }
}
