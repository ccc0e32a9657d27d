//! Looking after what is there: the trash, and the commands for all that is of this kind.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::library::{Reason, Trashed};
use crate::types::{Mtime, RelPath};

use super::blocking::blocking;
use super::command::document;
use super::{Failure, Keep, Operations};

/// How long the trash keeps what was put there, unless said otherwise.
pub const TRASH_DAYS: u64 = 30;

/// What the owner asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "care", rename_all = "kebab-case")]
pub enum Care {
    /// What is in the trash.
    TrashList,
    /// Bring files back.
    TrashRestore {
        /// Paths as they were in the library, of files or folders, or the ids of removals.
        what: Vec<String>,
        /// Another place, for one file.
        to: Option<RelPath>,
    },
    /// Let files go for good.
    TrashEmpty {
        /// Those that were put there so long ago.
        older_than: Duration,
    },
    /// Read every file again, to find and mend what is damaged.
    Verify,
    /// Take damaged files as they are.
    Accept {
        /// They, or folders of them.
        paths: Vec<RelPath>,
    },
    /// The conflict copies that exist.
    Conflicts,
    /// Decide about one.
    Resolve {
        /// The file or its copy.
        path: RelPath,
        /// What stays.
        keep: Keep,
    },
    /// The deletions that are remembered.
    Tombstones {
        /// Of one service.
        service: Option<String>,
    },
    /// Forget deletions, so that what was deleted may come back.
    ForgetTombstones {
        /// The service.
        service: String,
        /// At or below this path; the root is all.
        at: RelPath,
    },
}

/// Something that was asked for and not done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct NotDone {
    /// Its path, or whatever it was called.
    pub path: String,
    /// The removal that it is part of, in the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Why.
    pub reason: String,
}

impl NotDone {
    pub(crate) fn of(path: impl ToString, reason: impl ToString) -> Self {
        Self { path: path.to_string(), id: None, reason: reason.to_string() }
    }

    fn of_removal(file: &Trashed, reason: impl ToString) -> Self {
        Self { id: Some(file.id.clone()), ..Self::of(&file.path, reason) }
    }
}

/// A file in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrashFile {
    /// Which removal put it there. Everything that went in one step has the same.
    pub id: String,
    /// Where it was in the library.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// When it was last modified.
    pub modified: Option<String>,
    /// When it was put there.
    pub trashed: String,
    /// Why; unknown for what an earlier version put there.
    #[schema(value_type = Option<String>)]
    pub why: Option<Reason>,
}

impl TrashFile {
    fn of(file: &Trashed) -> Self {
        let Trashed { id, path, size, mtime, trashed, why } = file;
        Self { id: id.clone(), path: path.clone(), size: *size, modified: moment(*mtime), trashed: trashed.to_string(), why: *why }
    }
}

/// What is in the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrashList {
    /// The latest first.
    pub files: Vec<TrashFile>,
    /// Of all of them.
    pub bytes: u64,
}

/// A file that is back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Back {
    /// Where it is now.
    pub path: RelPath,
    /// Where it was.
    pub was: String,
    /// The removal that it was part of.
    pub id: String,
    /// Bytes.
    pub size: u64,
}

/// What was brought back from the trash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Restored {
    /// What is back.
    pub restored: Vec<Back>,
    /// What stays there, because something is in its place.
    pub kept: Vec<NotDone>,
    /// What could not be brought back.
    pub failed: Vec<NotDone>,
}

/// What was let go for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TrashEmptied {
    /// Files.
    pub removed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that stay.
    pub left: u64,
    /// What could not be removed.
    pub failed: Vec<NotDone>,
}

impl Operations {
    /// Carries out one of these. The answer is the document that `--json` prints; what is in its `failed` was not done.
    pub(crate) async fn care(&self, care: Care) -> Result<Value, Failure> {
        match care {
            Care::TrashList => document(&self.list_trash().await?),
            Care::TrashRestore { what, to } => document(&self.restore_from_trash(what, to).await?),
            Care::TrashEmpty { older_than } => document(&self.empty_trash(older_than).await?),
            Care::Verify => document(&self.verify().await?),
            Care::Accept { paths } => document(&self.accept_damage(paths).await?),
            Care::Conflicts => document(&self.list_conflicts().await?),
            Care::Resolve { path, keep } => document(&self.resolve_conflict(path, keep).await?),
            Care::Tombstones { service } => document(&self.list_tombstones(service).await?),
            Care::ForgetTombstones { service, at } => document(&self.forget_tombstones(service, at).await?),
        }
    }

    /// What is in the trash, the latest first.
    pub async fn list_trash(&self) -> Result<TrashList, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let found = tree.trash()?.map_or_else(|| Ok(Vec::new()), |trash| trash.list())?;
            let bytes: u64 = found.iter().map(|file| file.size).sum();
            Ok(TrashList { files: found.iter().map(TrashFile::of).collect(), bytes })
        })
        .await
    }

    /// Brings files back from the trash. Nothing is replaced: where something is in the place by now, a single file comes back under another
    /// name, and one that was only named by its folder stays in the trash.
    pub async fn restore_from_trash(&self, what: Vec<String>, to: Option<RelPath>) -> Result<Restored, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let Some(trash) = tree.trash()? else { return Err(Failure::not_found("the trash is empty")) };
            let all = trash.list()?;
            let (mut restored, mut kept, mut failed) = (Vec::new(), Vec::new(), Vec::new());
            let mut chosen = Vec::new();
            for name in &what {
                let found = choose(&all, name);
                if found.is_empty() {
                    failed.push(NotDone::of(name, "the trash has no such path or id; see `twinlens trash list`"));
                }
                chosen.extend(found);
            }
            if to.is_some() && chosen.len() > 1 {
                return Err(Failure::usage(format!("--to is for one file, but {} were named", chosen.len())).about("to"));
            }
            for Chosen { file, by_folder } in chosen {
                let taken = || RelPath::parse(&file.path).is_ok_and(|path| !matches!(tree.stat(&path), Ok(None)));
                if by_folder && taken() {
                    kept.push(NotDone::of_removal(file, "something is in its place; name it to get it back beside that"));
                    continue;
                }
                match trash.restore(file, to.as_ref()) {
                    Ok(path) => restored.push(Back { path, was: file.path.clone(), id: file.id.clone(), size: file.size }),
                    Err(error) => failed.push(NotDone::of_removal(file, error)),
                }
            }
            Ok(Restored { restored, kept, failed })
        })
        .await
    }

    /// Lets go for good of what was put into the trash so long ago or longer.
    pub async fn empty_trash(&self, older_than: Duration) -> Result<TrashEmptied, Failure> {
        let (tree, _) = self.library()?;
        self.empty_trash_before(tree.now().checked_sub(older_than).unwrap_or(Timestamp::MIN)).await
    }

    /// Lets go for good of what was put into the trash before a moment.
    pub async fn empty_trash_before(&self, before: Timestamp) -> Result<TrashEmptied, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let trash = tree.trash()?;
            let emptied = trash.as_ref().map_or_else(|| Ok(Default::default()), |trash| trash.empty(before))?;
            let left = trash.map_or_else(|| Ok(Vec::new()), |trash| trash.list())?;
            let failed = emptied.failed.into_iter().map(|(path, reason)| NotDone::of(path, reason)).collect();
            Ok(TrashEmptied { removed: emptied.files, bytes: emptied.bytes, left: left.len() as u64, failed })
        })
        .await
    }
}

/// A time for people and programs.
pub(crate) fn moment(mtime: Mtime) -> Option<String> {
    Timestamp::from_nanosecond(i128::from(mtime.0)).ok().map(|at| at.to_string())
}

/// A file to be restored.
struct Chosen<'a> {
    file: &'a Trashed,
    /// Only a folder above it was named.
    by_folder: bool,
}

/// What an id or a path means: everything of one removal; or one file of it, when its path follows; or the latest version of a file; or that of
/// every file below a folder.
fn choose<'a>(all: &'a [Trashed], name: &str) -> Vec<Chosen<'a>> {
    let is_named = |file: &Trashed| name.strip_prefix(&file.id).and_then(|rest| rest.strip_prefix('/')) == Some(&file.path);
    if let Some(file) = all.iter().find(|file| is_named(file)) {
        return vec![Chosen { file, by_folder: false }];
    }
    let of_removal: Vec<_> = all.iter().filter(|file| file.id == name).map(|file| Chosen { file, by_folder: false }).collect();
    if !of_removal.is_empty() {
        return of_removal;
    }
    let path = name.trim_matches('/');
    if let Some(file) = all.iter().find(|file| file.path == path) {
        return vec![Chosen { file, by_folder: false }];
    }
    let mut latest: BTreeMap<&str, &Trashed> = BTreeMap::new();
    for file in all.iter().filter(|file| file.path.strip_prefix(path).is_some_and(|below| below.starts_with('/'))) {
        latest.entry(&file.path).or_insert(file);
    }
    latest.into_values().map(|file| Chosen { file, by_folder: true }).collect()
}
