//! Names for the members of a stack: beside those that are there already, or by the date of the main one.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::library::{LibraryError, Tree, Untitled, capture_stem};
use crate::store::baseline::Baseline;
use crate::store::remote::RemoteView;
use crate::types::stack::{self, Sidecar, Stack, split};
use crate::types::{KnownDigests, LocalVersion, RelPath};

/// Numbers that are tried after a name that is taken.
const NUMBERS: u32 = 100_000;

/// Names that were given in this run, so that no two stacks get the same before one of them is published.
pub(super) type Given = Arc<Mutex<HashSet<RelPath>>>;

/// The stem that a stack has on the other side: that of its members that are there, the main one's if it is. `there` tells where they are.
pub(super) fn home(stack: &Stack, there: &HashMap<String, RelPath>) -> Option<RelPath> {
    let stem_of = |name: &String, ending: &str| {
        let other = there.get(name)?;
        let own = other.name();
        let cut = own.len().checked_sub(ending.len()).filter(|cut| *cut > 0 && own.is_char_boundary(*cut))?;
        own[cut..].eq_ignore_ascii_case(ending).then(|| other.with_name(&own[..cut]).ok())?
    };
    let of_media = |name: &String| {
        let extension = there.get(name)?.stem_and_extension().1;
        stem_of(name, &if extension.is_empty() { String::new() } else { format!(".{extension}") })
    };
    let of_sidecar = |sidecar: &Sidecar| {
        let described = sidecar.of.and_then(|at| stack.media.get(at)).map(|media| format!(".{}", split(media).1));
        stem_of(&sidecar.name, &format!("{}{}", described.unwrap_or_default(), sidecar.ending))
    };
    stack.media.iter().find_map(of_media).or_else(|| stack.sidecars.iter().find_map(of_sidecar))
}

/// The names that the members of a stack get with this stem, metadata first, the main file last.
pub(super) fn with_stem(stack: &Stack, there: &HashMap<String, RelPath>, stem: &RelPath) -> Result<Vec<(String, RelPath)>, LibraryError> {
    let (media, sidecars) = stack::names(stack, stem.name());
    let mut goals = Vec::new();
    for (sidecar, new) in stack.sidecars.iter().zip(&sidecars) {
        // What is called after a whole name follows the one that its picture has there.
        let described = sidecar.of.and_then(|at| there.get(stack.media.get(at)?));
        goals.push(match described {
            Some(other) => (sidecar.name.clone(), with_name(other, &format!("{}{}", other.name(), sidecar.ending))?),
            None => (sidecar.name.clone(), with_name(stem, new)?),
        });
    }
    for (name, new) in stack.media.iter().zip(&media).rev() {
        goals.push((name.clone(), with_name(stem, new)?));
    }
    Ok(goals)
}

/// What is at a path of the library, when the index knows it as it is now.
pub(super) fn known_at(tree: &Tree, path: &RelPath) -> Result<Option<LocalVersion>, LibraryError> {
    let Some(stat) = tree.stat(path)? else { return Ok(None) };
    let row = tree.view()?.index().map(|index| index.get(path)).transpose()?.flatten();
    Ok(row.filter(|row| stat.matches(row)).map(|row| row.version()))
}

/// Finds the names of a stack.
pub(super) struct Naming {
    pub(super) tree: Tree,
    pub(super) baseline: Baseline,
    pub(super) view: RemoteView,
    pub(super) stack: Stack,
    pub(super) here: HashMap<String, RelPath>,
    /// What is to be named, by its name on the service, and its content.
    pub(super) came: HashMap<String, (Untitled, KnownDigests)>,
    pub(super) given: Given,
}

impl Naming {
    /// Names for what came, in the order in which it is to be published: metadata first, the main file last.
    pub(super) fn goals(&self) -> Result<Vec<(String, RelPath)>, LibraryError> {
        let (stem, fixed) = match home(&self.stack, &self.here) {
            Some(stem) => (stem, true),
            None => (self.stem()?, false),
        };
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let goals = self.free_goals(stem, fixed, &given)?;
        given.extend(goals.iter().map(|(_, goal)| goal.clone()));
        Ok(goals)
    }

    /// Names with this stem that nothing has. When it is `fixed` only what is taken gets a number, otherwise all of them.
    fn free_goals(&self, stem: RelPath, fixed: bool, given: &HashSet<RelPath>) -> Result<Vec<(String, RelPath)>, LibraryError> {
        for number in 0..NUMBERS {
            let stem = if number == 0 { stem.clone() } else { with_name(&stem, &format!("{}.{number:05}", stem.name()))? };
            let mut goals = with_stem(&self.stack, &self.here, &stem)?;
            goals.retain(|(name, _)| self.came.contains_key(name));
            if fixed {
                return goals.into_iter().map(|(name, goal)| Ok((name.clone(), self.free(&name, goal, given)?))).collect();
            }
            let mut free = true;
            for (name, goal) in &goals {
                free &= self.is_free(name, goal, given)?;
            }
            if free {
                return Ok(goals);
            }
        }
        Err(LibraryError::Exists(stem))
    }

    /// A stem by the date of the main file.
    fn stem(&self) -> Result<RelPath, LibraryError> {
        let main = self.stack.media.iter().position(|name| self.came.contains_key(name));
        let about_main = |sidecar: &&Sidecar| sidecar.of.is_none() || sidecar.of == main;
        let (about, others): (Vec<&Sidecar>, Vec<&Sidecar>) = self.stack.sidecars.iter().partition(about_main);
        let place = |sidecar: &&Sidecar| -> Option<(PathBuf, String)> {
            let place = self.came.get(&sidecar.name)?.0.place.clone();
            Some((place, sidecar.name.clone()))
        };
        let sidecars: Vec<(PathBuf, String)> = about.iter().chain(&others).filter_map(place).collect();
        let mut files: Vec<Untitled> = self.stack.media.iter().filter_map(|name| Some(self.came.get(name)?.0.clone())).collect();
        if files.is_empty() {
            files.extend(self.stack.sidecars.iter().filter_map(|sidecar| Some(self.came.get(&sidecar.name)?.0.clone())));
        }
        let first = files.first().map(|file| file.name.clone()).unwrap_or_default();
        let io = |source| LibraryError::Io { path: first.clone(), source };
        let stem = capture_stem(&files, &sidecars).map_err(io)?;
        stem.ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))
    }

    /// Whether nothing is at a path, or just what shall be there and belongs to no other file of the service.
    fn is_free(&self, name: &str, goal: &RelPath, given: &HashSet<RelPath>) -> Result<bool, LibraryError> {
        if given.contains(goal) {
            return Ok(false);
        }
        if let Some(row) = self.baseline.get(goal)?
            && self.view.get(row.remote_path(goal))?.is_some()
        {
            return Ok(false);
        }
        if self.tree.stat(goal)?.is_none() {
            return Ok(true);
        }
        let there = known_at(&self.tree, goal)?;
        let digests = self.came.get(name).map(|(_, digests)| *digests).unwrap_or_default();
        Ok(there.is_some_and(|there| digests.agree(&there.digests.into()) == Some(true)))
    }

    fn free(&self, name: &str, goal: RelPath, given: &HashSet<RelPath>) -> Result<RelPath, LibraryError> {
        let (stem, extension) = goal.stem_and_extension();
        let dot = if extension.is_empty() { "" } else { "." };
        for number in 0..NUMBERS {
            let numbered = if number == 0 { goal.clone() } else { with_name(&goal, &format!("{stem}.{number:05}{dot}{extension}"))? };
            if self.is_free(name, &numbered, given)? {
                return Ok(numbered);
            }
        }
        Err(LibraryError::Exists(goal))
    }
}

fn with_name(path: &RelPath, name: &str) -> Result<RelPath, LibraryError> {
    path.with_name(name).map_err(|_| LibraryError::TooLong(path.clone()))
}
