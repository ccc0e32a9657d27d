//! Folders that moves and deletions left empty. They follow the files when deletions are followed; what holds anything stays.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::reconcile::{Action, Deletes, Plan};
use crate::types::{RelPath, Side};

use super::execute::{Execution, StepError};
use super::run::blocking;

/// The folders on each side that a plan takes files out of.
#[derive(Debug, Default)]
pub(super) struct Leftovers(BTreeSet<(Side, RelPath)>);

impl Leftovers {
    /// None, when deletions are not followed.
    pub(super) fn of(plan: &Plan, deletes: Deletes) -> Self {
        let mut folders = BTreeSet::new();
        for step in plan.steps.iter().filter(|_| deletes == Deletes::Trash) {
            let left = match &step.action {
                Action::Delete { side, .. } => Some((*side, step.at(*side))),
                Action::Move { side, from, .. } | Action::MoveFolder { side, from, .. } => Some((*side, from)),
                _ => None,
            };
            folders.extend(left.and_then(|(side, path)| Some((side, path.parent()?))));
        }
        Self(folders)
    }
}

impl Execution {
    /// Removes the folders that are empty here and no more there, or the reverse. Nothing depends on it: what goes wrong is only logged.
    pub(super) async fn remove_leftovers(self: &Arc<Self>, leftovers: Leftovers) {
        for (side, folder) in leftovers.0 {
            let mut next = Some(folder);
            while let Some(folder) = next.take().filter(|folder| !folder.is_root()) {
                match self.remove_leftover(side, &folder).await {
                    Ok(true) => next = folder.parent(),
                    Ok(false) => {}
                    Err(error) => tracing::warn!(%folder, %error, "a folder that was left empty could not be removed"),
                }
            }
        }
    }

    async fn remove_leftover(&self, side: Side, folder: &RelPath) -> Result<bool, StepError> {
        if self.fatal().is_some() {
            return Ok(false);
        }
        let (tree, path) = (self.sync.tree.clone(), folder.clone());
        let refused = |error: super::SyncError| StepError::Refused(error.to_string());
        match side {
            Side::Remote => {
                let is_here = blocking(move || Ok(tree.stat(&path)?.is_some())).await.map_err(refused)?;
                let removed = !is_here && self.sync.client.delete_empty_folder(folder).await?;
                if removed {
                    self.forget_there(folder.clone()).await?;
                }
                Ok(removed)
            }
            Side::Local => {
                let is_there = self.has_folder(folder)? || self.sync.client.list(folder).await?.is_some();
                Ok(!is_there && blocking(move || Ok(tree.remove_if_empty(&path)?)).await.map_err(refused)?)
            }
        }
    }
}
