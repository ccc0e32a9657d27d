//! What the owner deleted and must not come back: to be seen, and to be forgotten on purpose.

use serde_json::{Value, json};

use crate::scheduler::Trigger;
use crate::services::Service;
use crate::store::baseline::{self, BaseRow, Baseline};
use crate::store::listed;
use crate::types::RelPath;

use super::blocking::blocking;
use super::{ExitCode, Failure, Kind, Operations};

impl Operations {
    /// The deletions that are remembered, of one service or of all.
    pub(crate) async fn list_tombstones(&self, service: Option<String>) -> Result<Value, Failure> {
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
                    shown.push(json!({
                        "service": name,
                        "path": path.as_str(),
                        "remote_path": row.remote_path(&path).as_str(),
                        "deleted": if base.local.is_none() { "here" } else { "there" },
                        "size": size,
                    }));
                }
            }
            Ok(json!({ "tombstones": shown }))
        })
        .await
    }

    /// Forgets deletions: of a path and everything below it, or of everything. What was deleted may come back then.
    pub(crate) async fn forget_tombstones(&self, service: String, at: RelPath) -> Result<Value, Failure> {
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
            let forgotten: Vec<_> = chosen.iter().map(RelPath::to_string).collect();
            store.write(move |tx| {
                listed::unsettle(tx, id)?;
                chosen.iter().try_for_each(|path| baseline::remove(tx, id, path))
            })?;
            Ok(json!({ "service": found.name, "forgotten": forgotten }))
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
