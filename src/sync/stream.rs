//! Looking at a service by one long answer: everything that is there, or what changed since a token.

use std::collections::HashMap;
use std::sync::Arc;

use crate::client::{Members, Told};
use crate::events::Event;
use crate::store::listed::{self, FolderRow};
use crate::store::remote;
use crate::types::media::OWN_FOLDER;
use crate::types::{RelPath, RemoteVersion};

use super::filter::is_litter;
use super::foresight::UNNAMABLE;
use super::marker::Overlap;
use super::observe::Observed;
use super::report::Noted;
use super::run::{Sync, SyncError, blocking};

/// So many rows are written at once.
const ROWS: usize = 5000;
/// Of so many folders that look empty it is checked that they are.
const SAMPLES: usize = 8;

impl Sync {
    /// Applies what changed since a token, and returns the token of the state that is reached. None when the service does not take the
    /// token.
    pub(super) async fn follow_changes(self: &Arc<Self>, token: &str) -> Result<Option<(Observed, String)>, SyncError> {
        let mut observed = Observed { is_node: true, ..Observed::default() };
        let mut token = token.to_owned();
        loop {
            let Some(mut members) = self.client.changes(&token).await? else { return Ok(None) };
            while let Some(told) = members.next().await? {
                observed.changed |= !told.is_empty();
                for one in &told {
                    note_gap(&mut observed, one);
                }
                self.apply(told).await?;
            }
            let Some(next) = members.token().filter(|next| !members.is_cut() || *next != token) else { return Ok(None) };
            token = next.to_owned();
            if !members.is_cut() {
                return Ok(Some((observed, token)));
            }
        }
    }

    async fn apply(&self, told: Vec<Told>) -> Result<(), SyncError> {
        let (store, service) = (self.store.clone(), self.service.id);
        blocking(move || {
            if told.is_empty() {
                return Ok(());
            }
            Ok(store.write_soon(move |tx| {
                for one in &told {
                    match one {
                        Told::File(path, _) | Told::Folder(path, _) if is_litter(path) => {}
                        // We may have written it ourselves.
                        Told::File(path, version) if remote::is_known(tx, service, path, version)? => {}
                        Told::File(path, version) => {
                            remote::remove_all(tx, service, path)?;
                            remote::put(tx, service, path, version)?;
                        }
                        Told::Folder(path, _) => {
                            remote::remove(tx, service, path)?;
                            listed::found_folders(tx, service, std::slice::from_ref(path))?;
                        }
                        Told::Gone(path) => remote::remove_all(tx, service, path)?,
                        Told::Library(_) | Told::Unusable(..) | Told::Unnamable(..) => {}
                    }
                }
                Ok(())
            })?)
        })
        .await
    }
}

/// The files that are known to be directly in a folder.
type Files = Vec<(RelPath, RemoteVersion)>;

/// Takes an answer that tells everything.
pub(super) struct Whole {
    sync: Arc<Sync>,
    /// It tells the members of a folder one after the other, so that what is missing is known to be gone. Otherwise nothing was known
    /// before.
    by_folder: bool,
    observed: Observed,
    folders: HashMap<RelPath, Folder>,
    current: Option<(RelPath, Files)>,
    ready: Vec<(RelPath, Files)>,
    rows: usize,
}

#[derive(Default)]
struct Folder {
    etag: Option<String>,
    /// Something in it was told.
    has_members: bool,
}

impl Whole {
    /// Of another node: its listing goes folder by folder.
    pub(super) fn of_node(sync: &Arc<Sync>) -> Self {
        let observed = Observed { is_node: true, changed: true, ..Observed::default() };
        let folders = HashMap::from([(RelPath::root(), Folder::default())]);
        Self { sync: Arc::clone(sync), by_folder: true, observed, folders, current: None, ready: Vec::new(), rows: 0 }
    }

    /// Of a service that was never looked at: in any order. Forgets what a look that broke off may have left.
    pub(super) async fn at_first(sync: &Arc<Sync>) -> Result<Self, SyncError> {
        let (store, service) = (sync.store.clone(), sync.service.id);
        blocking(move || Ok(store.write_soon(move |tx| remote::clear(tx, service))?)).await?;
        let whole = Self::of_node(sync);
        Ok(Self { by_folder: false, observed: Observed { changed: true, ..Observed::default() }, ..whole })
    }

    /// Takes all of it. None when it is not to be trusted.
    pub(super) async fn take(mut self, mut members: Members) -> Result<Option<Observed>, SyncError> {
        loop {
            match members.next().await {
                Ok(Some(told)) => {
                    for one in told {
                        if matches!(&one, Told::Library(id) if *id == self.sync.library_id.to_string()) {
                            return Err(SyncError::SameLibrary(Overlap::Around(None)));
                        }
                        if !self.take_one(one) {
                            return Ok(None);
                        }
                    }
                    if self.rows >= ROWS {
                        self.write().await?;
                    }
                }
                Ok(None) => break,
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(service = %self.sync.service.name, %error, "its listing of everything broke off; looking folder by folder");
                    return Ok(None);
                }
            }
            let folders = self.folders.len() as u64;
            self.sync.events.publish(Event::Listing { service: self.sync.service.name.clone(), folders });
        }
        self.close_folder();
        self.write().await?;
        if !self.by_folder && !self.empty_folders_are_empty().await? {
            return Ok(None);
        }
        self.finish().await.map(Some)
    }

    /// False when the answer is not as it should be.
    fn take_one(&mut self, told: Told) -> bool {
        note_gap(&mut self.observed, &told);
        let (path, file) = match told {
            Told::File(path, version) => (path, Some(version)),
            Told::Folder(path, _) if path.name() == OWN_FOLDER => {
                self.observed.markers.extend(path.parent());
                return true;
            }
            Told::Folder(path, etag) if !is_litter(&path) => {
                self.folders.entry(path.clone()).or_default().etag = etag;
                (path, None)
            }
            _ => return true,
        };
        if is_litter(&path) {
            return true;
        }
        let folder = path.parent().unwrap_or_default();
        if self.current.as_ref().is_none_or(|(current, _)| *current != folder) {
            self.close_folder();
            let known = self.folders.entry(folder.clone()).or_default();
            if std::mem::replace(&mut known.has_members, true) && self.by_folder {
                tracing::warn!(service = %self.sync.service.name, %folder, "its listing of everything tells of a folder twice");
                return false;
            }
            self.current = Some((folder, Vec::new()));
        }
        if let (Some((_, files)), Some(version)) = (&mut self.current, file) {
            files.push((path, version));
            self.rows += 1;
        }
        true
    }

    fn close_folder(&mut self) {
        self.ready.extend(self.current.take());
    }

    /// Writes the folders that are whole. The one that is being told stays.
    async fn write(&mut self) -> Result<(), SyncError> {
        let ready = std::mem::take(&mut self.ready);
        self.rows = self.current.as_ref().map_or(0, |(_, files)| files.len());
        self.set(ready).await
    }

    async fn set(&self, folders: Vec<(RelPath, Files)>) -> Result<(), SyncError> {
        let (store, service, by_folder) = (self.sync.store.clone(), self.sync.service.id, self.by_folder);
        blocking(move || {
            Ok(store.write_soon(move |tx| {
                for (folder, files) in &folders {
                    match by_folder {
                        true => drop(remote::set_folder(tx, service, folder, files)?),
                        false => files.iter().try_for_each(|(path, version)| remote::put(tx, service, path, version))?,
                    }
                }
                Ok(())
            })?)
        })
        .await
    }

    /// A server may answer with less than everything and not say so. That shows first in folders without anything in them.
    async fn empty_folders_are_empty(&self) -> Result<bool, SyncError> {
        let empty = self.folders.iter().filter(|(_, folder)| !folder.has_members).map(|(path, _)| path);
        for folder in empty.take(SAMPLES) {
            match self.sync.client.list(folder).await {
                Ok(Some(listing)) if listing.members.is_empty() => {}
                Err(error) if error.stops_everything() => return Err(error.into()),
                _ => {
                    tracing::info!(service = %self.sync.service.name, %folder, "it does not list everything at once, though it says so");
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    async fn finish(mut self) -> Result<Observed, SyncError> {
        let folders = std::mem::take(&mut self.folders);
        if self.by_folder {
            // What is told to be without members has none any more.
            let empty = folders.iter().filter(|(_, folder)| !folder.has_members).map(|(path, _)| (path.clone(), Vec::new()));
            self.set(empty.collect()).await?;
        }
        let (store, service, coverage) = (self.sync.store.clone(), self.sync.service.id, self.observed.coverage.clone());
        // Without a gap anywhere the entity tag of a folder stands for everything below it.
        let trusted = !self.by_folder && self.observed.is_whole() && self.observed.unnamable.is_empty();
        blocking(move || {
            Ok(store.write_soon(move |tx| {
                let keep = |folder: &RelPath| folders.contains_key(folder) || coverage.of(folder).is_err();
                remote::retain_folders(tx, service, keep)?;
                listed::retain_folders(tx, service, keep)?;
                for (path, Folder { etag, .. }) in &folders {
                    let etag = etag.clone().filter(|_| trusted);
                    listed::put_folder(tx, service, path, &FolderRow { etag, ours: false })?;
                }
                Ok(())
            })?)
        })
        .await?;
        Ok(self.observed)
    }
}

/// What could not be told.
fn note_gap(observed: &mut Observed, told: &Told) {
    match told {
        Told::Unusable(path, reason) => observed.coverage.fail(path.clone(), reason),
        Told::Unnamable(path, reason) => observed.unnamable.push(Noted::new(path, UNNAMABLE, reason)),
        Told::Folder(..) | Told::File(..) | Told::Gone(_) | Told::Library(_) => {}
    }
}
