//! Which files of the library somebody means.

use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

use crate::library::{IgnoreFiles, Tree};
use crate::store::Store;
use crate::store::index::Index;
use crate::types::RelPath;

use super::Failure;

/// A file, and what it is called below the folder that it is sent to.
pub(super) type Chosen = (RelPath, RelPath);

/// The files that paths mean: a file is itself, a folder all files below it that `.tlignore` and `.ppignore` do not leave out, under its own name. A path is absolute, or relative to the library,
/// or else to the folder `from`. Nothing at a path, or nothing of the library, is an error.
pub(super) fn chosen(tree: &Tree, store: &Store, paths: &[String], from: Option<&Path>) -> Result<Vec<Chosen>, Failure> {
    if paths.is_empty() {
        return Err(Failure::usage("name the files and folders that are to be shared").about("paths"));
    }
    let index = Index::open(&store.read()?)?;
    let (mut all, mut seen, mut ignored) = (Vec::new(), BTreeSet::new(), IgnoreFiles::of(tree));
    for text in paths {
        let path = in_library(tree, &index, text, from)?;
        let before = all.len();
        if index.get(&path)?.is_some() {
            let name = RelPath::parse(path.name()).map_err(|error| Failure::usage(format!("{text}: {error}")))?;
            all.push((path, name));
        } else {
            let above = path.parent().unwrap_or_default();
            for item in index.subtree(&path)? {
                let (file, _) = item?;
                if ignored.ignore(&file).map_err(Failure::usage)? {
                    continue;
                }
                let below = file.strip_prefix(&above).unwrap_or_else(|| file.clone());
                all.push((file, below));
            }
        }
        if all.len() == before {
            return Err(Failure::usage(format!(
                "{text}: there is no photo or other file of the library there (junk, and what .tlignore or .ppignore leaves out, is none)"
            ))
            .about("paths"));
        }
    }
    all.retain(|chosen| seen.insert(chosen.clone()));
    Ok(all)
}

fn in_library(tree: &Tree, index: &Index, text: &str, from: Option<&Path>) -> Result<RelPath, Failure> {
    let given = Path::new(text);
    if given.is_absolute() {
        return below(tree, given).ok_or_else(|| outside(tree, text));
    }
    let relative = clean(given).and_then(|path| path.to_str().map(str::to_owned)).and_then(|text| parse(&text));
    let is_there = |path: &RelPath| {
        let known = index.get(path)?.is_some() || index.subtree(path)?.next().is_some();
        Ok::<_, Failure>(known)
    };
    if let Some(path) = relative.clone()
        && is_there(&path)?
    {
        return Ok(path);
    }
    let here = from.and_then(|from| below(tree, &from.join(given)));
    match here.or(relative) {
        Some(path) => Ok(path),
        None => Err(outside(tree, text)),
    }
}

fn outside(tree: &Tree, text: &str) -> Failure {
    Failure::usage(format!("{text} does not lie in the library {}; only its files can be shared", tree.root().display())).about("paths")
}

/// The path in the library of one in the file system, whose folder may be reached through symbolic links.
fn below(tree: &Tree, place: &Path) -> Option<RelPath> {
    let place = clean(place)?;
    let root = tree.root();
    let strip = |place: &Path| place.strip_prefix(root).ok().and_then(Path::to_str).and_then(parse);
    strip(&place).or_else(|| {
        let (parent, name) = (place.parent()?.canonicalize().ok()?, place.file_name()?);
        strip(&parent.join(name)).or_else(|| strip(&place.canonicalize().ok()?))
    })
}

/// The same path without `.` and `..`; none when it leads above its beginning.
fn clean(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !clean.pop() {
                    return None;
                }
            }
            part => clean.push(part),
        }
    }
    Some(clean)
}

fn parse(text: &str) -> Option<RelPath> {
    if text.is_empty() { Some(RelPath::root()) } else { RelPath::parse(text).ok() }
}
