//! How names are really written on the disk. One that does not tell upper from lower case finds a file under names that it does not have.

use std::collections::{HashMap, HashSet};

use crate::types::RelPath;

use super::{LibraryError, Tree};

/// Looks up names as they are listed; each folder is listed once.
pub(super) struct Spelling<'a> {
    tree: &'a Tree,
    listed: HashMap<RelPath, HashSet<RelPath>>,
}

impl<'a> Spelling<'a> {
    pub(super) fn new(tree: &'a Tree) -> Self {
        Self { tree, listed: HashMap::new() }
    }

    /// Whether something is at a path, and is written just so.
    pub(super) fn is_there(&mut self, path: &RelPath) -> Result<bool, LibraryError> {
        if self.tree.stat(path)?.is_none() {
            return Ok(false);
        }
        let above: Vec<RelPath> = path.ancestors().filter(|above| !above.is_root()).collect();
        for part in above.iter().rev().chain([path]) {
            let folder = part.parent().unwrap_or_default();
            if !self.listed.contains_key(&folder) {
                let members = self.tree.list(&folder)?.into_iter().map(|member| member.path).collect();
                self.listed.insert(folder.clone(), members);
            }
            if !self.listed.get(&folder).is_some_and(|members| members.contains(part)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}
