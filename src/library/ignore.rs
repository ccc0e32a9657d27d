//! `.tlignore` and `.ppignore`: what the owner of a library keeps out of every sync, in the syntax of `.gitignore`.
//!
//! They are read from the library only. A path that exists on a service alone is judged by them too, so that what is not wanted here does not
//! come from there. Upper and lower case are the same: cameras write `MOV` where people write `mov`.

use std::collections::HashMap;
use std::io::Read as _;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::types::RelPath;

use super::{LibraryError, Tree};

/// The files with patterns; the later one has the last word.
const NAMES: [&str; 2] = [".ppignore", ".tlignore"];
/// Nobody writes longer ones.
const LIMIT: u64 = 1 << 20;
/// Folders that are kept in mind. Paths come folder by folder, so that few are needed at a time.
const REMEMBERED: usize = 4096;

/// Whether a name is that of a file with patterns.
pub(super) fn is_ignore_file(name: &str) -> bool {
    NAMES.contains(&name)
}

/// Patterns in the syntax of `.gitignore`.
#[derive(Debug, Clone)]
pub struct Patterns(Gitignore);

impl Patterns {
    /// Reads patterns, one a line. The error names the first that cannot be understood.
    pub fn parse<'a>(lines: impl IntoIterator<Item = &'a str>) -> Result<Self, String> {
        let mut builder = GitignoreBuilder::new("");
        let told = |error: ignore::Error| error.to_string();
        builder.case_insensitive(true).map_err(told)?;
        for line in lines {
            builder.add_line(None, line).map_err(told)?;
        }
        builder.build().map(Self).map_err(told)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a file or a folder above it matches.
    pub fn match_file(&self, path: &RelPath) -> bool {
        let folder = |folder: RelPath| !folder.is_root() && self.verdict(&folder, true) == Some(true);
        !self.is_empty() && (path.ancestors().any(folder) || self.verdict(path, false) == Some(true))
    }

    /// What the last pattern that matches says; none when none does.
    fn verdict(&self, path: &RelPath, is_folder: bool) -> Option<bool> {
        match self.0.matched(path.as_str(), is_folder) {
            Match::None => None,
            Match::Ignore(_) => Some(true),
            Match::Whitelist(_) => Some(false),
        }
    }
}

/// What the ignore files of a library say. They are read when they are first asked for.
pub struct IgnoreFiles {
    tree: Tree,
    folders: HashMap<RelPath, Arc<Rules>>,
}

/// The rules of one folder.
struct Rules {
    folder: RelPath,
    parent: Option<Arc<Rules>>,
    own: Patterns,
    /// The folder itself is ignored, and everything in it.
    ignored: bool,
    /// An ignore file here or above cannot be read: nobody knows what it keeps out.
    unreadable: Option<String>,
}

impl Rules {
    fn verdict(&self, path: &RelPath, is_folder: bool) -> bool {
        let own = || self.own.verdict(&path.strip_prefix(&self.folder)?, is_folder);
        let above = || self.parent.as_ref().is_some_and(|parent| parent.verdict(path, is_folder));
        if self.own.is_empty() { above() } else { own().unwrap_or_else(above) }
    }
}

impl IgnoreFiles {
    /// Those of this tree.
    pub fn of(tree: &Tree) -> Self {
        Self { tree: tree.clone(), folders: HashMap::new() }
    }

    /// Whether a file is ignored. The error says which ignore file cannot be read.
    pub fn ignore(&mut self, path: &RelPath) -> Result<bool, String> {
        if self.folders.len() > REMEMBERED {
            self.folders.clear();
        }
        let rules = self.rules(&path.parent().unwrap_or_default());
        match &rules.unreadable {
            Some(reason) => Err(reason.clone()),
            None => Ok(rules.ignored || rules.verdict(path, false)),
        }
    }

    fn rules(&mut self, folder: &RelPath) -> Arc<Rules> {
        if let Some(known) = self.folders.get(folder) {
            return Arc::clone(known);
        }
        let parent = folder.parent().map(|parent| self.rules(&parent));
        let ignored = parent.as_ref().is_some_and(|parent| parent.ignored || parent.verdict(folder, true));
        let mut unreadable = parent.as_ref().and_then(|parent| parent.unreadable.clone());
        let mut lines = Vec::new();
        for name in NAMES.into_iter().filter(|_| !ignored) {
            match folder.join(name).map_err(|error| error.to_string()).and_then(|path| self.read(&path)) {
                Ok(text) => lines.extend(text.lines().map(str::to_owned)),
                Err(reason) => drop(unreadable.get_or_insert(reason)),
            }
        }
        // As in git, a pattern that cannot be understood matches nothing; the others count.
        let sound = |line: &&str| {
            let sound = Patterns::parse([*line]);
            sound.inspect_err(|error| tracing::warn!(%folder, %error, "a line of an ignore file cannot be understood")).is_ok()
        };
        let sound = (!lines.is_empty()).then(|| Patterns::parse(lines.iter().map(String::as_str).filter(sound)).ok());
        let own = sound.flatten().unwrap_or(Patterns(Gitignore::empty()));
        let rules = Arc::new(Rules { folder: folder.clone(), parent, own, ignored, unreadable });
        self.folders.insert(folder.clone(), Arc::clone(&rules));
        rules
    }

    /// The text of an ignore file; empty when there is none.
    fn read(&self, path: &RelPath) -> Result<String, String> {
        let file = match self.tree.open_file(path) {
            Ok(open) => open.file,
            Err(LibraryError::NotFound(_) | LibraryError::WrongKind(_)) => return Ok(String::new()),
            Err(error) => return Err(format!("{path} cannot be read: {error}")),
        };
        let mut bytes = Vec::new();
        let read = file.take(LIMIT + 1).read_to_end(&mut bytes).map_err(|error| format!("{path} cannot be read: {error}"))?;
        if read as u64 > LIMIT {
            return Err(format!("{path} is larger than a list of patterns can be"));
        }
        Ok(String::from_utf8_lossy(&bytes).trim_start_matches('\u{feff}').to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RelPath {
        RelPath::parse(text).unwrap()
    }

    #[test]
    fn patterns_mean_what_they_mean_in_a_gitignore() {
        let patterns = Patterns::parse(["*.psd", "/top.jpg", "private/", "a/**/z.jpg", "!keep.psd", "# no", ""]).unwrap();
        for held in ["x.psd", "deep/er/x.PSD", "top.jpg", "private/x.jpg", "d/Private/deep/x.jpg", "a/b/c/z.jpg", "a/z.jpg"] {
            assert!(patterns.match_file(&path(held)), "{held}");
        }
        for free in ["keep.psd", "d/top.jpg", "private", "privates/x.jpg", "b/z.jpg", "# no", "x.psd.jpg"] {
            assert!(!patterns.match_file(&path(free)), "{free}");
        }
        assert!(Patterns::parse(["a/[z-a]"]).is_err());
    }
}
