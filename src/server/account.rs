//! The system user that runs the server. PostgreSQL does not run as root, so root uses another user.

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

/// The users that may run a server for root, in order of preference.
const SUBSTITUTES: [&str; 2] = ["postgres", "nobody"];

/// The user that runs the server's programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Account {
    /// The current user, who is not root.
    Ourselves,
    /// Another user, because the current user is root.
    Other {
        name: String,
        uid: u32,
        /// The user's primary group, the only group of the server's processes.
        gid: u32,
    },
}

impl Account {
    /// The current user unless that is root, else the first substitute that exists.
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

    /// Makes `command` run as this account.
    pub(super) fn run_as(&self, command: &mut Command) {
        if let Self::Other { uid, gid, .. } = self {
            // With a uid, std also drops root's supplementary groups.
            command.uid(*uid).gid(*gid);
        }
    }

    /// Makes this account the owner of a file or folder.
    pub(super) fn make_owner_of(&self, path: &Path) -> Result<(), Error> {
        match self {
            Self::Ourselves => Ok(()),
            Self::Other { uid, gid, .. } => {
                chown(path, Some(*uid), Some(*gid)).map_err(Error::io("change the owner of", path))
            }
        }
    }

    /// The first folder among `path` and its parents, from the root, that this account cannot enter. `path` must be
    /// canonical.
    pub(super) fn first_closed_folder(&self, path: &Path) -> Result<Option<PathBuf>, Error> {
        let Self::Other { uid, gid, .. } = self else {
            return Ok(None);
        };
        let mut folders: Vec<&Path> = path.ancestors().collect();
        folders.reverse();
        for folder in folders {
            let metadata = fs::metadata(folder).map_err(Error::io("inspect", folder))?;
            if !Rights::of(&metadata).may_enter(*uid, *gid) {
                return Ok(Some(folder.to_owned()));
            }
        }
        Ok(None)
    }

    /// Fails if this account cannot enter a folder for temporary files.
    pub(super) fn check_can_enter(&self, folder: &Path) -> Result<(), Error> {
        match (self, self.first_closed_folder(folder)?) {
            (Self::Other { name, .. }, Some(folder)) => {
                Err(Error::ClosedFolder { folder, user: name.clone() })
            }
            _ => Ok(()),
        }
    }
}

/// Access to a folder, by its mode bits.
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

    /// Only one class counts: an owner without the permission cannot enter, even if all others can.
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
    fn only_the_users_own_class_counts() {
        assert!(rights(0o755, 0, 0).may_enter(101, 104));
        assert!(!rights(0o700, 0, 0).may_enter(101, 104));
        assert!(rights(0o700, 101, 0).may_enter(101, 104));
        assert!(rights(0o710, 0, 104).may_enter(101, 104));
        assert!(!rights(0o701, 0, 104).may_enter(101, 104));
        assert!(!rights(0o077, 101, 104).may_enter(101, 104));
        assert!(!rights(0o744, 0, 0).may_enter(101, 104));
    }

    #[test]
    fn the_outermost_closed_folder_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = fs::canonicalize(root.path()).unwrap();
        fs::set_permissions(root.path(), fs::Permissions::from_mode(0o711)).unwrap();
        let closed = place.join("closed");
        let inside = closed.join("inside");
        fs::create_dir_all(&inside).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        let stranger = Account::Other { name: "stranger".into(), uid: 64_123, gid: 64_123 };
        assert_eq!(stranger.first_closed_folder(&place).unwrap(), None);
        assert_eq!(stranger.first_closed_folder(&inside).unwrap(), Some(closed));
        assert_eq!(Account::Ourselves.first_closed_folder(&inside).unwrap(), None);
        let error = stranger.check_can_enter(&inside).unwrap_err();
        assert!(error.to_string().contains("the user `stranger` cannot enter"));
    }
}
