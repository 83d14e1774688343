//! Who runs the server. PostgreSQL refuses root, so root lends it to somebody else.

use std::{
    fs::{self, Metadata},
    os::unix::{
        fs::{MetadataExt, chown},
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
};

use nix::unistd::{User, geteuid};

use super::Error;

/// The users that may run a server for root, the better one first.
const SUBSTITUTES: [&str; 2] = ["postgres", "nobody"];

/// Who runs the server's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// We, who are not root.
    Ourselves,
    /// Somebody else, because we are root.
    Other {
        /// The login name.
        name: String,
        /// The user's number.
        uid: u32,
        /// The number of the user's first group, the only one that the server's processes have.
        gid: u32,
    },
}

impl Account {
    /// Ourselves if we may, else the first substitute that this system knows.
    pub(super) fn choose() -> Result<Self, Error> {
        if !geteuid().is_root() {
            let id = geteuid();
            return match User::from_uid(id) {
                Ok(None) => Err(Error::NoName { id: id.as_raw() }),
                Ok(Some(_)) | Err(_) => Ok(Self::Ourselves),
            };
        }
        SUBSTITUTES
            .iter()
            .find_map(|name| User::from_name(name).ok().flatten())
            .map(|user| Self::Other { name: user.name, uid: user.uid.as_raw(), gid: user.gid.as_raw() })
            .ok_or(Error::NoAccount)
    }

    /// Has `command` run as this account.
    pub(super) fn run_as(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            // With a uid, std also drops root's supplementary groups.
            command.uid(*uid).gid(*gid);
        }
    }

    /// Gives a file or a folder to this account.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::io("give away", path))
            }
        }
    }

    /// The first folder on the way to `path`, itself included, that this account cannot enter. The path is canonical.
    pub(super) fn barrier(&self, path: &Path) -> Result<Option<PathBuf>, Error> {
        let Self::Other { uid, gid, .. } = self else {
            return Ok(None);
        };
        let mut way: Vec<&Path> = path.ancestors().collect();
        way.reverse();
        for folder in way {
            let metadata = fs::metadata(folder).map_err(Error::io("look at", folder))?;
            if !Rights::of(&metadata).may_enter(*uid, *gid) {
                return Ok(Some(folder.to_owned()));
            }
        }
        Ok(None)
    }

    /// Refuses a place for temporary files that this account could not get to.
    pub(super) fn check_way_to(&self, folder: &Path) -> Result<(), Error> {
        match (self, self.barrier(folder)?) {
            (Self::Other { name, .. }, Some(folder)) => {
                Err(Error::ClosedFolder { folder, user: name.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Who may do what with a folder, by its mode bits.
#[derive(Clone, Copy, Debug)]
struct Rights {
    mode: u32,
    owner: u32,
    group: u32,
}

impl Rights {
    fn of(metadata: &Metadata) -> Self {
        Self { mode: metadata.mode(), owner: metadata.uid(), group: metadata.gid() }
    }

    /// The system looks at one class only: an owner without the right is refused even if all others have it.
    fn may_enter(self, uid: u32, gid: u32) -> bool {
        let search = match (self.owner == uid, self.group == gid) {
            (true, _) => 0o100,
            (false, true) => 0o010,
            (false, false) => 0o001,
        };
        self.mode & search != 0
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn rights(mode: u32, owner: u32, group: u32) -> Rights {
        Rights { mode, owner, group }
    }

    #[test]
    fn only_the_class_that_one_belongs_to_counts() {
        assert!(rights(0o755, 0, 0).may_enter(101, 104));
        assert!(!rights(0o700, 0, 0).may_enter(101, 104));
        assert!(rights(0o700, 101, 0).may_enter(101, 104));
        assert!(rights(0o710, 0, 104).may_enter(101, 104));
        assert!(!rights(0o701, 0, 104).may_enter(101, 104));
        assert!(!rights(0o077, 101, 104).may_enter(101, 104));
        assert!(!rights(0o744, 0, 0).may_enter(101, 104));
    }

    #[test]
    fn the_outermost_closed_folder_on_the_way_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(root.path()).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let closed = place.join("closed");
        let inside = closed.join("inside");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other { name: "stranger".into(), uid: 64_123, gid: 64_123 };
        assert_eq!(stranger.barrier(&place).unwrap(), None);
        assert_eq!(stranger.barrier(&inside).unwrap(), Some(closed));
        assert_eq!(Account::Ourselves.barrier(&inside).unwrap(), None);
        let refused = stranger.check_way_to(&inside).unwrap_err();
        assert!(refused.to_string().contains("cannot be entered by the user `stranger`"));
    }
}
