//! Moves and copies: what one side has already gets its place there without travelling.

use std::collections::HashMap;
use std::sync::Arc;

use http::StatusCode;

use crate::client::{ClientError, Verified, verify};
use crate::library::{LibraryError, OnDisk, Open, Tree};
use crate::reconcile::{Action, Base, Held, Step, parking};
use crate::store::remote;
use crate::types::{Expect, LocalVersion, Mtime, RelPath, RemoteVersion, Side};

use super::execute::{Execution, StepError};
use super::record::Record;
use super::run::{SyncError, blocking};
use super::settle::vanished;

/// What a service is asked to give another name.
#[derive(Debug, Clone, Copy)]
enum Named<'a> {
    File(&'a RemoteVersion),
    Folder,
}

impl Execution {
    /// Carries out a move or copy. None when the service refuses that kind of request: then the content has to travel after all.
    pub(super) async fn carry(self: &Arc<Self>, step: &Step) -> Result<Option<Vec<Record>>, StepError> {
        let done = match &step.action {
            Action::Move { .. } => self.follow_move(step).await,
            Action::Copy { side: Side::Remote, .. } => self.copy_there(step).await,
            Action::Copy { side: Side::Local, .. } => self.copy_here(step).await,
            Action::Park { side, to, held } => self.park(step.at(*side), to, held).await.map(|()| Vec::new()),
            Action::MoveFolder { side, from, files } => self.follow_folder(*side, from, step.at(*side), files).await,
            _ => Err(StepError::Refused("neither a move nor a copy".into())),
        };
        match (done, &step.action) {
            (Err(StepError::Client(error)), Action::Move { agreed: None, .. } | Action::Copy { .. }) if refuses(&error) => Ok(None),
            // It looked like the renamed file and is another.
            (Err(StepError::Client(ClientError::Changed(_))), Action::Move { side: Side::Local, agreed: None, .. }) => Ok(None),
            // What was to be copied is not as it was.
            (Err(StepError::Client(ClientError::Changed(_) | ClientError::NotFound(_))), Action::Copy { .. }) => Ok(None),
            (Err(StepError::Library(LibraryError::Changed(_) | LibraryError::NotFound(_))), Action::Copy { .. }) => Ok(None),
            (done, _) => done.map(Some),
        }
    }

    /// The transfer that takes the place of a move or copy that cannot be.
    pub(super) async fn send_instead(self: &Arc<Self>, step: Step) -> Result<(), SyncError> {
        let (Action::Move { side, local, remote, replaces, .. } | Action::Copy { side, local, remote, replaces, .. }) = &step.action else {
            return Ok(());
        };
        match side {
            Side::Remote => {
                let action = Action::Upload { source: *local, expect: Held::expect_there(replaces.as_deref()) };
                self.upload_batch(vec![Step { action, ..step }]).await
            }
            Side::Local => {
                let action = Action::Download { source: remote.clone(), expect: Held::expect_here(replaces.as_deref()) };
                self.download_all(vec![Step { action, ..step }]).await
            }
        }
    }

    /// Follows a rename of the other side.
    async fn follow_move(self: &Arc<Self>, step: &Step) -> Result<Vec<Record>, StepError> {
        let Action::Move { side, from, base, local, remote, replaces, agreed } = &step.action else { return Ok(Vec::new()) };
        let record = match side {
            Side::Remote => {
                let now = match parking::content_of(from) {
                    // Its entity tag may be another one since it has the name of ours.
                    Some(_) => self.sync.client.look(from).await?.ok_or_else(|| vanished(from))?,
                    None => self.unchanged(from, remote).await?,
                };
                if let Some(Held::Remote(there)) = replaces.as_deref() {
                    self.unchanged(&step.remote, there).await?;
                }
                self.ensure_folder(&step.remote.parent().unwrap_or_default()).await?;
                self.rename_there(from, &step.remote, Named::File(&now), &Held::expect_there(replaces.as_deref())).await?;
                let found = self.sync.client.find(&step.remote).await?;
                match agreed {
                    Some(agreed) => Record::renamed(&step.local, &step.remote, Base::clone(agreed)),
                    None => {
                        let proof = verify::verify_listed(local, found).map_err(StepError::NotProven)?;
                        Record::uploaded(&step.local, *local, &proof)
                    }
                }
                .gone_there(from)
            }
            Side::Local => {
                let remote = &self.proven(step, local, remote).await?;
                let (tree, from, to) = (self.sync.tree.clone(), from.clone(), step.local.clone());
                let expect = Held::expect_here(replaces.as_deref());
                self.disk(move || rename_here(&tree, &from, &to, expect)).await?;
                match agreed {
                    Some(agreed) => Record::renamed(&step.local, &step.remote, Base::clone(agreed)),
                    None => adopted(step, local, remote)?,
                }
            }
        };
        self.count(|report| report.moved += 1);
        Ok(vec![record.replacing(base.as_ref().filter(|base| **base != step.local))])
    }

    /// The service's file with its digests. Where it tells none, the rename is a guess: the bytes themselves must say that they are ours.
    async fn proven(&self, step: &Step, local: &LocalVersion, remote: &RemoteVersion) -> Result<RemoteVersion, StepError> {
        if !remote.digests.is_empty() {
            return Ok(remote.clone());
        }
        let digests = self.sync.client.digests(&step.remote, remote).await?;
        self.sync.learn(&step.remote, remote, digests).await?;
        if digests != local.digests {
            return Err(ClientError::Changed(step.remote.to_string()).into());
        }
        Ok(RemoteVersion { digests: digests.into(), ..remote.clone() })
    }

    /// Gives a file a name of ours.
    async fn park(&self, from: &RelPath, to: &RelPath, held: &Held) -> Result<(), StepError> {
        match held {
            Held::Remote(version) => {
                let now = self.unchanged(from, version).await?;
                self.rename_there(from, to, Named::File(&now), &Expect::Absent).await
            }
            Held::Local(_) => {
                let (tree, from, to) = (self.sync.tree.clone(), from.clone(), to.clone());
                self.disk(move || tree.rename(&from, &to)).await
            }
        }
    }

    /// Renames a folder in one go; where that cannot be, file by file.
    async fn follow_folder(self: &Arc<Self>, side: Side, from: &RelPath, to: &RelPath, files: &[Step]) -> Result<Vec<Record>, StepError> {
        let mut there = Vec::new();
        for step in files {
            let Action::Move { local, remote, .. } = &step.action else { continue };
            match side {
                Side::Remote => there.push(remote.clone()),
                Side::Local => match self.proven(step, local, remote).await {
                    Ok(remote) => there.push(remote),
                    Err(error) => {
                        tracing::debug!(%from, %to, %error, "not everything in the folder is what it looked like");
                        return self.move_each(files).await;
                    }
                },
            }
        }
        let renamed = match side {
            Side::Remote => {
                self.ensure_folder(&to.parent().unwrap_or_default()).await?;
                self.rename_there(from, to, Named::Folder, &Expect::Absent).await
            }
            Side::Local => {
                let (tree, from, to) = (self.sync.tree.clone(), from.clone(), to.clone());
                self.disk(move || rename_here(&tree, &from, &to, Expect::Absent)).await
            }
        };
        match renamed {
            Ok(()) => {}
            Err(StepError::Client(error)) if error.stops_everything() => return Err(error.into()),
            Err(error) => {
                tracing::debug!(%from, %to, %error, "the folder cannot be renamed at once");
                return self.move_each(files).await;
            }
        }
        let found = if side == Side::Remote { self.find_there(files).await? } else { HashMap::new() };
        let mut records = Vec::new();
        if side == Side::Remote {
            self.forget_there(from.clone()).await?;
        }
        for (step, remote) in files.iter().zip(&there) {
            let Action::Move { base, local, .. } = &step.action else { continue };
            let record = match side {
                Side::Remote => verify::verify_listed(local, listed(&found, &step.remote))
                    .map(|proof| Record::uploaded(&step.local, *local, &proof))
                    .map_err(StepError::NotProven),
                Side::Local => adopted(step, local, remote),
            };
            match record {
                Ok(record) => {
                    self.count(|report| report.moved += 1);
                    records.push(record.replacing(base.as_ref()));
                }
                Err(error) => self.failed(step, &error),
            }
        }
        Ok(records)
    }

    /// A folder of the service is no more.
    pub(super) async fn forget_there(&self, folder: RelPath) -> Result<(), StepError> {
        let (store, service) = (self.sync.store.clone(), self.sync.service.id);
        Ok(blocking(move || Ok(store.write_soon(move |tx| remote::remove_all(tx, service, &folder))?)).await?)
    }

    async fn move_each(self: &Arc<Self>, files: &[Step]) -> Result<Vec<Record>, StepError> {
        let mut records = Vec::new();
        for step in files {
            match self.follow_move(step).await {
                Ok(record) => records.extend(record),
                // It looked like the renamed file and is another.
                Err(StepError::Client(ClientError::Changed(_))) if matches!(&step.action, Action::Move { side: Side::Local, .. }) => {
                    self.send_instead(step.clone()).await?;
                }
                Err(error) => self.failed(step, &error),
            }
        }
        Ok(records)
    }

    /// What the service has in the folders of these files: one look at each folder.
    async fn find_there(&self, files: &[Step]) -> Result<HashMap<RelPath, RemoteVersion>, StepError> {
        let mut found = HashMap::new();
        let folders: std::collections::BTreeSet<RelPath> = files.iter().filter_map(|step| step.remote.parent()).collect();
        for folder in folders {
            found.extend(self.members_there(&folder).await?);
        }
        Ok(found)
    }

    /// Renames on the service. An answer that was lost is looked for; a name that differs only in its spelling goes through a name of ours,
    /// because for some services both are one and taken.
    async fn rename_there(&self, from: &RelPath, to: &RelPath, what: Named<'_>, expect: &Expect<RemoteVersion>) -> Result<(), StepError> {
        let Err(error) = self.ask_rename(from, to, what, expect).await else { return Ok(()) };
        let lost = matches!(&error, ClientError::Broken { .. } | ClientError::Timeout { .. })
            || matches!(&error, ClientError::Status { status, .. } if status.is_server_error());
        // Of a single file the client has found out by itself.
        if lost && matches!(what, Named::Folder) && self.folder_is_renamed(from, to).await.unwrap_or(false) {
            return Ok(());
        }
        let taken = matches!(&error, ClientError::Changed(_))
            || matches!(&error, ClientError::Status { status, .. } if matches!(*status, StatusCode::CONFLICT | StatusCode::FORBIDDEN));
        if !taken || !matches!(expect, Expect::Absent) || !same_when_folded(from, to) {
            return Err(error.into());
        }
        let between = self.between(from, to).await?;
        self.ask_rename(from, &between, what, &Expect::Absent).await?;
        let renamed = self.ask_rename(&between, to, what, &Expect::Absent).await;
        if renamed.is_err() {
            // Something else has the name after all.
            self.ask_rename(&between, from, what, &Expect::Absent).await?;
        }
        self.sync.delivery.is_settled(between.name());
        Ok(renamed?)
    }

    async fn ask_rename(&self, from: &RelPath, to: &RelPath, what: Named<'_>, expect: &Expect<RemoteVersion>) -> Result<(), ClientError> {
        match what {
            Named::File(version) => self.sync.client.rename(from, to, version, expect).await,
            Named::Folder => self.sync.client.rename_folder(from, to).await,
        }
    }

    async fn folder_is_renamed(&self, from: &RelPath, to: &RelPath) -> Result<bool, ClientError> {
        Ok(self.sync.client.list(from).await?.is_none() && self.sync.client.list(to).await?.is_some())
    }

    /// Copies on the service, to a free name; then, if it replaces something, by MOVE into its place.
    async fn copy_there(self: &Arc<Self>, step: &Step) -> Result<Vec<Record>, StepError> {
        let Action::Copy { from, local, remote, replaces, .. } = &step.action else { return Ok(Vec::new()) };
        let now = self.unchanged(from, remote).await?;
        self.ensure_folder(&step.remote.parent().unwrap_or_default()).await?;
        let proof = match replaces {
            None => self.copy_and_prove(from, &step.remote, &now, local).await?,
            Some(there) => {
                let between = self.sync.delivery.temporary(&step.remote).await?;
                let copied = self.copy_and_prove(from, &between, &now, local).await?;
                let placed = self.put_in_place(&between, step, &copied, there, local).await;
                match &placed {
                    Ok(_) => self.sync.delivery.is_settled(between.name()),
                    Err(_) => self.sync.delivery.remove_temporary(&between).await,
                }
                placed?
            }
        };
        self.count(|report| {
            report.copied += 1;
            report.verified += 1;
        });
        Ok(vec![Record::uploaded(&step.local, *local, &proof)])
    }

    async fn copy_and_prove(
        &self,
        from: &RelPath,
        to: &RelPath,
        source: &RemoteVersion,
        local: &LocalVersion,
    ) -> Result<Verified, StepError> {
        self.sync.client.copy(from, to, source).await?;
        let found = self.sync.client.find(to).await?;
        match verify::verify_listed(local, found.clone()) {
            Ok(proof) => Ok(proof),
            Err(reason) => {
                // The name was free, or the service would have refused.
                if let Some((to, found)) = found {
                    self.remove_copy(&to, found).await;
                }
                Err(StepError::NotProven(reason))
            }
        }
    }

    async fn put_in_place(
        &self,
        between: &RelPath,
        step: &Step,
        copied: &Verified,
        there: &Held,
        local: &LocalVersion,
    ) -> Result<Verified, StepError> {
        if let Held::Remote(version) = there {
            self.unchanged(&step.remote, version).await?;
        }
        self.sync.client.rename(between, &step.remote, copied.version(), &Held::expect_there(Some(there))).await?;
        let found = self.sync.client.find(&step.remote).await?;
        verify::verify_listed(local, found).map_err(StepError::NotProven)
    }

    async fn remove_copy(&self, path: &RelPath, found: RemoteVersion) {
        if let Err(error) = self.sync.client.delete(path, &Expect::Version(found)).await {
            tracing::warn!(service = %self.sync.service.name, %path, %error, "the remains of a copy could not be removed");
        }
    }

    /// Copies in the library, as a download would put it there.
    async fn copy_here(self: &Arc<Self>, step: &Step) -> Result<Vec<Record>, StepError> {
        let Action::Copy { from, local, remote, replaces, .. } = &step.action else { return Ok(Vec::new()) };
        let (tree, from, to, content) = (self.sync.tree.clone(), from.clone(), step.local.clone(), local.digests.content);
        let (expect, mtime) = (Held::expect_here(replaces.as_deref()), remote.modified.map(Mtime::from_seconds));
        let committed = self.disk(move || {
            let Open { mut file, .. } = tree.open_file(&from)?;
            let mut staged = tree.stage();
            staged.copy_of(&mut file).map_err(|error| LibraryError::staging(&to, error))?;
            if staged.digests().content != content {
                return Err(LibraryError::Changed(from));
            }
            if let Some(parent) = to.parent() {
                tree.create_folders(&parent)?;
            }
            staged.commit(&to, &expect.map(OnDisk::from), mtime)
        });
        let record = Record::downloaded(&committed.await?, &step.remote, remote.clone());
        self.count(|report| {
            report.copied += 1;
            report.verified += 1;
        });
        Ok(vec![record])
    }

    /// Work on the library, on a blocking thread.
    pub(super) async fn disk<R: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<R, LibraryError> + Send + 'static,
    ) -> Result<R, StepError> {
        let done = blocking(move || Ok(work())).await.map_err(|error| StepError::Refused(error.to_string()))?;
        Ok(done?)
    }
}

/// Renames in the library; what is replaced goes to the trash.
pub(super) fn rename_here(tree: &Tree, from: &RelPath, to: &RelPath, expect: Expect<LocalVersion>) -> Result<(), LibraryError> {
    if let Some(parent) = to.parent() {
        tree.create_folders(&parent)?;
    }
    let Expect::Version(version) = expect else { return tree.rename(from, to) };
    match tree.stat(to)? {
        Some(now) if (now.size, now.mtime) == (version.size, version.mtime) => tree.replace(from, to),
        _ => Err(LibraryError::Changed(to.clone())),
    }
}

fn adopted(step: &Step, local: &LocalVersion, remote: &RemoteVersion) -> Result<Record, StepError> {
    let record = Record::adopted(&step.local, *local, &step.remote, remote.clone());
    record.ok_or_else(|| StepError::Refused("its digest is not known; it was renamed, and is looked at again next time".into()))
}

/// What a look at the service found under any form of a name.
fn listed(found: &HashMap<RelPath, RemoteVersion>, path: &RelPath) -> Option<(RelPath, RemoteVersion)> {
    let mut forms = std::iter::once(path.clone()).chain(path.spellings());
    forms.find_map(|form| found.get_key_value(&form)).map(|(path, version)| (path.clone(), version.clone()))
}

/// Whether a service answered that it does not do such requests.
fn refuses(error: &ClientError) -> bool {
    let refusals = [StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED, StatusCode::FORBIDDEN];
    matches!(error, ClientError::Status { status, .. } if refusals.contains(status))
}

/// Whether some file system takes two paths for one.
pub(super) fn same_when_folded(one: &RelPath, other: &RelPath) -> bool {
    use unicode_normalization::UnicodeNormalization as _;
    let folded = |path: &RelPath| path.as_str().nfc().flat_map(char::to_lowercase).nfc().collect::<String>();
    folded(one) == folded(other)
}
