//! What the owner deleted and must not come back: to be seen, and to be forgotten on purpose.

use serde::Serialize;
use utoipa::ToSchema;

use crate::scheduler::Trigger;
use crate::services::Service;
use crate::store::baseline::{self, BaseRow, Baseline};
use crate::store::listed;
use crate::types::RelPath;

use super::blocking::blocking;
use super::{ExitCode, Failure, Kind, Operations};

/// Where something was deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Deleted {
    /// In the library.
    Here,
    /// On the service.
    There,
}

/// A deletion that is remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Tombstone {
    /// With which service.
    pub service: String,
    /// The path in the library.
    pub path: RelPath,
    /// The path on the service.
    pub remote_path: RelPath,
    /// Where it was deleted.
    pub deleted: Deleted,
    /// Bytes that it had, if they are known.
    pub size: Option<u64>,
}

/// The deletions that are remembered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct TombstoneList {
    /// By service, then by path.
    pub tombstones: Vec<Tombstone>,
}

/// Deletions that were forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Forgotten {
    /// The service.
    pub service: String,
    /// The paths in the library.
    pub forgotten: Vec<RelPath>,
}

impl Operations {
    /// The deletions that are remembered, of one service or of all.
    pub(crate) async fn list_tombstones(&self, service: Option<String>) -> Result<TombstoneList, Failure> {
        let services = match service {
            Some(name) => vec![self.service(name).await?],
            None => self.services().await?,
        };
        let store = self.store.clone();
        blocking(move || {
            let tx = store.read()?;
            let mut shown = Vec::new();
            for Service { id, name, .. } in services {
                for item in Baseline::open(&tx, id)?.tombstones()? {
                    let (path, row) = item?;
                    let base = row.base();
                    let size = base.local.map(|version| version.size).or_else(|| base.remote.as_ref().and_then(|version| version.size));
                    let deleted = if base.local.is_none() { Deleted::Here } else { Deleted::There };
                    shown.push(Tombstone { service: name.clone(), remote_path: row.remote_path(&path).clone(), path, deleted, size });
                }
            }
            Ok(TombstoneList { tombstones: shown })
        })
        .await
    }

    /// Forgets deletions: of a path and everything below it, or of everything. What was deleted may come back then.
    pub(crate) async fn forget_tombstones(&self, service: String, at: RelPath) -> Result<Forgotten, Failure> {
        let found = self.service(service).await?;
        // A sync that is under way has read them already.
        let turn = self.runs.try_turn(found.id, Trigger::Manual);
        let running = || format!("a sync with {0} is running; wait for it, or stop it with `twinlens cancel {0}`", found.name);
        let _turn = turn.ok_or_else(|| Failure::new(ExitCode::Failures, Kind::WrongState, running()))?;
        let (store, id) = (self.store.clone(), found.id);
        blocking(move || {
            let chosen = below(&Baseline::open(&store.read()?, id)?, &at)?;
            if chosen.is_empty() && !at.is_root() {
                return Err(Failure::not_found(format!(
                    "no deletion at or below {at} is remembered; see `twinlens tombstones list {}`",
                    found.name
                )));
            }
            let forgotten = chosen.clone();
            store.write(move |tx| {
                listed::unsettle(tx, id)?;
                chosen.iter().try_for_each(|path| baseline::remove(tx, id, path))
            })?;
            Ok(Forgotten { service: found.name, forgotten })
        })
        .await
    }
}

fn below(baseline: &Baseline, at: &RelPath) -> Result<Vec<RelPath>, Failure> {
    let mut chosen = Vec::new();
    for item in baseline.tombstones()? {
        let (path, row): (RelPath, BaseRow) = item?;
        if path.strip_prefix(at).is_some() || row.remote_path(&path).strip_prefix(at).is_some() {
            chosen.push(path);
        }
    }
    Ok(chosen)
}
