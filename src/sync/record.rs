//! Writing down what happened, last. Each record needs a receipt: [`Verified`] for what is on the service, [`Committed`] for what is in
//! the library, or both sides' digests for what was found equal.

use std::collections::BTreeSet;

use redb::WriteTransaction;

use crate::client::Verified;
use crate::library::Committed;
use crate::reconcile::Base;
use crate::store::baseline::{self, BaseRow};
use crate::store::origins::{self, Origin};
use crate::store::{StoreError, listed, remote};
use crate::types::{ContentHash, Evidence, KnownDigests, LocalVersion, RelPath, RemoteVersion, ServiceId};

use super::run::{Sync, SyncError, blocking};

/// A change to the baseline that has been earned.
#[derive(Debug, Clone)]
pub(super) struct Record {
    /// Rows that this one replaces.
    drops: Vec<RelPath>,
    puts: Option<(RelPath, BaseRow)>,
    /// What it is known by that the service holds it, where that was found out just now.
    proof: Option<Evidence>,
    /// What the service has and has not any more, so that the listing is true before the next look.
    there: Vec<(RelPath, Option<RemoteVersion>)>,
    /// We wrote on the service.
    wrote: bool,
    /// The conflict copy that was made, and which side each version came from.
    origin: Option<Box<(RelPath, Origin)>>,
}

impl Record {
    fn nothing() -> Self {
        Self { drops: Vec::new(), puts: None, proof: None, there: Vec::new(), wrote: false, origin: None }
    }

    fn put(local_path: &RelPath, remote_path: &RelPath, base: Base) -> Self {
        let there = base.remote.iter().map(|version| (remote_path.clone(), Some(version.clone()))).collect();
        let puts = Some((local_path.clone(), BaseRow::new(local_path, remote_path, base)));
        Self { puts, there, ..Self::nothing() }
    }

    /// A proven upload of the local version.
    pub(super) fn uploaded(local_path: &RelPath, local: LocalVersion, proof: &Verified) -> Self {
        let base = Base { local: Some(local), remote: Some(proof.version().clone()) };
        Self { wrote: true, proof: Some(proof.evidence()), ..Self::put(local_path, proof.path(), base) }
    }

    /// A published download of the remote version.
    pub(super) fn downloaded(committed: &Committed, remote_path: &RelPath, remote: RemoteVersion) -> Self {
        let remote = RemoteVersion { digests: committed.version().digests.into(), ..remote };
        let base = Base { local: Some(committed.version()), remote: Some(remote) };
        // Every byte of it came from there.
        Self { proof: Some(Evidence::ReadBack), ..Self::put(committed.path(), remote_path, base) }
    }

    /// The same content on both sides; none unless digests prove it.
    pub(super) fn adopted(local_path: &RelPath, local: LocalVersion, remote_path: &RelPath, remote: RemoteVersion) -> Option<Self> {
        if local.is(&remote) != Some(true) {
            return None;
        }
        let remote = RemoteVersion { digests: KnownDigests::from(local.digests), ..remote };
        Some(Self::put(local_path, remote_path, Base { local: Some(local), remote: Some(remote) }))
    }

    /// Both sides differ and may: the other side's version was kept as the committed copy.
    pub(super) fn kept_both(
        _copy: &Committed,
        local_path: &RelPath,
        local: LocalVersion,
        remote_path: &RelPath,
        remote: RemoteVersion,
    ) -> Self {
        Self::put(local_path, remote_path, Base { local: Some(local), remote: Some(remote) })
    }

    /// A file that was in step and was only renamed here, to a service that tells no digests: what was proven still holds.
    pub(super) fn carried_over(local_path: &RelPath, local: LocalVersion, remote_path: &RelPath, remote: RemoteVersion) -> Self {
        let remote = RemoteVersion { digests: local.digests.into(), ..remote };
        Self::put(local_path, remote_path, Base { local: Some(local), remote: Some(remote) })
    }

    /// A file in its new place, about which nothing else is agreed than before: one side has also edited it.
    pub(super) fn renamed(local_path: &RelPath, remote_path: &RelPath, agreed: Base) -> Self {
        Self::put(local_path, remote_path, agreed)
    }

    /// One side deleted the file and the other keeps it.
    pub(super) fn tombstone(local_path: &RelPath, remote_path: &RelPath, half: Base) -> Self {
        Self::put(local_path, remote_path, half)
    }

    /// What a file of the service turned out to hold, so that it need not be read again.
    pub(super) fn learned(remote_path: &RelPath, remote: RemoteVersion) -> Self {
        Self { there: vec![(remote_path.clone(), Some(remote))], ..Self::nothing() }
    }

    /// Both sides are without the file.
    pub(super) fn forgotten(local_path: &RelPath) -> Self {
        Self { drops: vec![local_path.clone()], ..Self::nothing() }
    }

    /// The service has nothing at a path any more: we renamed or deleted it.
    pub(super) fn gone_there(mut self, remote_path: &RelPath) -> Self {
        self.there.insert(0, (remote_path.clone(), None));
        self.wrote = true;
        self
    }

    /// This record takes the place of the row at `old`.
    pub(super) fn replacing(mut self, old: Option<&RelPath>) -> Self {
        self.drops.extend(old.cloned());
        self
    }

    /// With it a conflict copy came to be.
    pub(super) fn with_copy(mut self, copy: RelPath, origin: Origin) -> Self {
        self.origin = Some(Box::new((copy, origin)));
        self
    }

    fn write(&self, tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
        // What was proven of a content holds for it in its new place too.
        let earlier = self.drops.iter().chain(self.puts.iter().map(|(path, _)| path));
        let earlier = earlier.filter_map(|path| baseline::proof_to_change(tx, service, path).transpose());
        let earlier: Vec<(ContentHash, Evidence)> = earlier.collect::<Result<_, _>>()?;
        for path in &self.drops {
            baseline::remove(tx, service, path)?;
        }
        if let Some((path, row)) = &self.puts {
            baseline::put(tx, service, path, row)?;
            let content = row.base().local.filter(|_| !row.is_tombstone()).map(|local| local.digests.content);
            let known = content.and_then(|content| earlier.iter().find(|(then, _)| *then == content)).map(|(_, evidence)| *evidence);
            if let Some((content, evidence)) = content.zip(self.proof.max(known)) {
                baseline::prove(tx, service, path, (content, evidence))?;
            }
        }
        for (path, version) in &self.there {
            match version {
                Some(version) => remote::put(tx, service, path, version)?,
                None => remote::remove(tx, service, path)?,
            }
        }
        if let Some((copy, origin)) = self.origin.as_deref() {
            origins::put(tx, copy, origin)?;
        }
        Ok(())
    }
}

impl Sync {
    /// Writes records down, durably.
    pub(super) async fn record(&self, records: Vec<Record>) -> Result<(), SyncError> {
        if records.is_empty() {
            return Ok(());
        }
        let (store, service) = (self.store.clone(), self.service.id);
        let write = move |tx: &WriteTransaction| {
            records.iter().try_for_each(|record| record.write(tx, service))?;
            let wrote = records.iter().filter(|record| record.wrote).flat_map(|record| &record.there);
            let folders: BTreeSet<RelPath> = wrote.map(|(path, _)| path.parent().unwrap_or_default()).collect();
            folders.iter().try_for_each(|folder| listed::wrote_in(tx, service, folder))?;
            listed::unsettle(tx, service)
        };
        blocking(move || Ok(store.write(write)?)).await
    }
}
