//! Names for the members of a stack: beside those that are there already, or by the date of the main one.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use crate::library::{LibraryError, Tree, Untitled, capture_stem};
use crate::store::baseline::Baseline;
use crate::store::remote::RemoteView;
use crate::types::stack::{self, Sidecar, Stack, split};
use crate::types::{KnownDigests, LocalVersion, RelPath};

/// Numbers that are tried after a name that is taken.
const NUMBERS: u32 = 100_000;

/// What came of a stack, by its name on the service, with its content.
pub(super) type Came = HashMap<String, (Untitled, KnownDigests)>;

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

/// A stem by the date of the main file.
pub(super) fn by_date(stack: &Stack, came: &Came) -> Result<RelPath, LibraryError> {
    let main = stack.media.iter().position(|name| came.contains_key(name));
    let about_main = |sidecar: &&Sidecar| sidecar.of.is_none() || sidecar.of == main;
    let (about, others): (Vec<&Sidecar>, Vec<&Sidecar>) = stack.sidecars.iter().partition(about_main);
    let place = |sidecar: &&Sidecar| -> Option<(PathBuf, String)> {
        let place = came.get(&sidecar.name)?.0.place.clone();
        Some((place, sidecar.name.clone()))
    };
    let sidecars: Vec<(PathBuf, String)> = about.iter().chain(&others).filter_map(place).collect();
    let mut files: Vec<Untitled> = stack.media.iter().filter_map(|name| Some(came.get(name)?.0.clone())).collect();
    if files.is_empty() {
        files.extend(stack.sidecars.iter().filter_map(|sidecar| Some(came.get(&sidecar.name)?.0.clone())));
    }
    let first = files.first().map(|file| file.name.clone()).unwrap_or_default();
    let io = |source| LibraryError::Io { path: first.clone(), source };
    let stem = capture_stem(&files, &sidecars).map_err(io)?;
    stem.ok_or_else(|| io(std::io::ErrorKind::NotFound.into()))
}

/// Finds free names for what came of a stack.
pub(super) struct Naming<'a> {
    pub(super) tree: &'a Tree,
    pub(super) baseline: Baseline,
    pub(super) view: RemoteView,
    pub(super) stack: &'a Stack,
    /// Where members of it are in the library.
    pub(super) here: &'a HashMap<String, RelPath>,
    pub(super) came: &'a Came,
    /// Names that others of the same batch get.
    pub(super) given: &'a HashSet<RelPath>,
}

impl Naming<'_> {
    /// Names for what came, in the order in which it is to be published: metadata first, the main file last. With members here they are called
    /// as those are; otherwise they get this stem.
    pub(super) fn goals(&self, stem: Option<RelPath>) -> Result<Vec<(String, RelPath)>, LibraryError> {
        let home = home(self.stack, self.here);
        let is_fixed = home.is_some();
        let stem = match home.or(stem) {
            Some(stem) => stem,
            None => by_date(self.stack, self.came)?,
        };
        for number in 0..NUMBERS {
            let stem = if number == 0 { stem.clone() } else { with_name(&stem, &format!("{}.{number:05}", stem.name()))? };
            let mut goals = with_stem(self.stack, self.here, &stem)?;
            goals.retain(|(name, _)| self.came.contains_key(name));
            if is_fixed {
                // What is here stays as it is: only what is taken gets a number.
                return goals.into_iter().map(|(name, goal)| Ok((name.clone(), self.free(&name, goal)?))).collect();
            }
            let mut free = true;
            for (name, goal) in &goals {
                free &= self.is_free(name, goal)?;
            }
            if free {
                return Ok(goals);
            }
        }
        Err(LibraryError::Exists(stem))
    }

    /// Whether nothing is at a path, or just what shall be there and belongs to no other file of the service.
    fn is_free(&self, name: &str, goal: &RelPath) -> Result<bool, LibraryError> {
        if self.given.contains(goal) {
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
        let there = known_at(self.tree, goal)?;
        let digests = self.came.get(name).map(|(_, digests)| *digests).unwrap_or_default();
        Ok(there.is_some_and(|there| digests.agree(&there.digests.into()) == Some(true)))
    }

    fn free(&self, name: &str, goal: RelPath) -> Result<RelPath, LibraryError> {
        let (stem, extension) = goal.stem_and_extension();
        let dot = if extension.is_empty() { "" } else { "." };
        for number in 0..NUMBERS {
            let numbered = if number == 0 { goal.clone() } else { with_name(&goal, &format!("{stem}.{number:05}{dot}{extension}"))? };
            if self.is_free(name, &numbered)? {
                return Ok(numbered);
            }
        }
        Err(LibraryError::Exists(goal))
    }
}

fn with_name(path: &RelPath, name: &str) -> Result<RelPath, LibraryError> {
    path.with_name(name).map_err(|_| LibraryError::TooLong(path.clone()))
}
