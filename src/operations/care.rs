//! Looking after what is there: the trash, and the commands for all that is of this kind.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::library::Trashed;
use crate::types::{Mtime, RelPath};

use super::blocking::blocking;
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

impl Operations {
    /// Carries out one of these. The answer is the document that `--json` prints; what is in its `failed` was not done.
    pub(crate) async fn care(&self, care: Care) -> Result<Value, Failure> {
        match care {
            Care::TrashList => self.list_trash().await,
            Care::TrashRestore { what, to } => self.restore_from_trash(what, to).await,
            Care::TrashEmpty { older_than } => self.empty_trash(older_than).await,
            Care::Verify => self.verify().await,
            Care::Accept { paths } => self.accept_damage(paths).await,
            Care::Conflicts => self.list_conflicts().await,
            Care::Resolve { path, keep } => self.resolve_conflict(path, keep).await,
            Care::Tombstones { service } => self.list_tombstones(service).await,
            Care::ForgetTombstones { service, at } => self.forget_tombstones(service, at).await,
        }
    }

    /// What is in the trash, the latest first.
    pub async fn list_trash(&self) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let found = tree.trash()?.map_or_else(|| Ok(Vec::new()), |trash| trash.list())?;
            let bytes: u64 = found.iter().map(|file| file.size).sum();
            Ok(json!({ "files": found.iter().map(shown).collect::<Vec<_>>(), "bytes": bytes }))
        })
        .await
    }

    /// Brings files back from the trash. Nothing is replaced: where something is in the place by now, a single file comes back under another
    /// name, and one that was only named by its folder stays in the trash.
    pub async fn restore_from_trash(&self, what: Vec<String>, to: Option<RelPath>) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let Some(trash) = tree.trash()? else { return Err(Failure::not_found("the trash is empty")) };
            let all = trash.list()?;
            let (mut restored, mut kept, mut failed) = (Vec::new(), Vec::new(), Vec::new());
            let mut chosen = Vec::new();
            for name in &what {
                let found = choose(&all, name);
                if found.is_empty() {
                    failed.push(json!({ "path": name, "reason": "the trash has no such path or id; see `twinlens trash list`" }));
                }
                chosen.extend(found);
            }
            if to.is_some() && chosen.len() > 1 {
                return Err(Failure::usage(format!("--to is for one file, but {} were named", chosen.len())));
            }
            for Chosen { file, by_folder } in chosen {
                let taken = || RelPath::parse(&file.path).is_ok_and(|path| !matches!(tree.stat(&path), Ok(None)));
                if by_folder && taken() {
                    kept.push(json!({ "path": file.path, "id": file.id, "reason": "something is in its place; name it to get it back beside that" }));
                    continue;
                }
                match trash.restore(file, to.as_ref()) {
                    Ok(path) => restored.push(json!({ "path": path.as_str(), "was": file.path, "id": file.id, "size": file.size })),
                    Err(error) => failed.push(json!({ "path": file.path, "id": file.id, "reason": error.to_string() })),
                }
            }
            Ok(json!({ "restored": restored, "kept": kept, "failed": failed }))
        })
        .await
    }

    /// Lets go for good of what was put into the trash so long ago or longer.
    pub async fn empty_trash(&self, older_than: Duration) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        blocking(move || {
            let before = tree.now().checked_sub(older_than).unwrap_or(Timestamp::MIN);
            let trash = tree.trash()?;
            let emptied = trash.as_ref().map_or_else(|| Ok(Default::default()), |trash| trash.empty(before))?;
            let left = trash.map_or_else(|| Ok(Vec::new()), |trash| trash.list())?;
            let failed: Vec<_> = emptied.failed.iter().map(|(path, reason)| json!({ "path": path, "reason": reason })).collect();
            Ok(json!({ "removed": emptied.files, "bytes": emptied.bytes, "left": left.len(), "failed": failed }))
        })
        .await
    }
}

fn shown(file: &Trashed) -> Value {
    json!({
        "id": file.id,
        "path": file.path,
        "size": file.size,
        "modified": moment(file.mtime),
        "trashed": file.trashed.to_string(),
        "why": file.why,
    })
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

/// What an id or a path means: everything of one removal; or the latest version of a file; or that of every file below a folder.
fn choose<'a>(all: &'a [Trashed], name: &str) -> Vec<Chosen<'a>> {
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
