//! The files below a folder of a project.

use std::path::{Path, PathBuf};

use walkdir::WalkDir;

/// All files below a folder, in order. Links are followed, except those that lead back. A folder is only entered if
/// `enters` says so; what cannot be listed is left out.
pub(super) fn files_below(dir: &Path, enters: impl Fn(&Path) -> bool) -> impl Iterator<Item = PathBuf> {
    WalkDir::new(dir)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(move |entry| !entry.file_type().is_dir() || enters(entry.path()))
        .flatten()
        .filter(|entry| !entry.file_type().is_dir())
        .map(walkdir::DirEntry::into_path)
}
