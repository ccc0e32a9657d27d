//! Removing what has expired: only what was sent from here, and only while it is as it was sent.

use std::collections::HashMap;

use crate::store::shares::{self, FileState, SentFile, Share, SharedFile};
use crate::types::{Expect, KnownDigests, RelPath, RemoteVersion};

use super::run::{Courier, FileError, blocking};

/// What shares need to be on the service, and until when; none: for good.
#[derive(Default)]
pub(super) struct Needed(HashMap<RelPath, Vec<Need>>);

/// Until when, and by which file of which share.
type Need = (Option<i64>, (u64, u32));

impl Needed {
    /// Another share that still needs what is at a path.
    fn by(&self, at: &RelPath, now: i64) -> Option<Need> {
        self.0.get(at)?.iter().find(|(until, _)| until.is_none_or(|until| until > now)).copied()
    }
}

const CHANGED: &str = "it was changed on the service after it was sent; it is not ours any more and stays there";

impl Courier {
    /// What becomes of a file that has expired.
    pub(super) async fn expire(&self, share: &Share, sent: &SentFile, place: (u64, u32)) -> Result<FileState, FileError> {
        let now = self.store.clock().seconds();
        let (at, removed) = (sent.at.clone(), FileState::Removed { at: sent.at.clone(), when: now });
        if let Some((until, heir)) = self.needed().await?.by(&sent.at, now) {
            return self.hand_over(share, sent, until, heir).await;
        }
        let Some(found) = self.client.look(&sent.at).await? else { return Ok(removed) };
        if !self.is_as_sent(&sent.at, &found, &sent.version).await? {
            return Ok(FileState::Left { at, reason: CHANGED.into() });
        }
        tracing::info!(service = %self.service.name, share = place.0, path = %sent.at, "it has expired and is removed from the service");
        self.client.delete(&sent.at, &Expect::Version(found)).await?;
        match self.client.look(&sent.at).await? {
            None => Ok(removed),
            Some(_) => Err(FileError::Refused("the service said that it removed it, but still has it".into())),
        }
    }

    /// Whether the service still has what was sent. An equal entity tag says so; without one, or with another one, the bytes decide: some
    /// services give a file another tag when somebody looks at it, and others tell a checksum that they were told once.
    async fn is_as_sent(&self, at: &RelPath, found: &RemoteVersion, sent: &RemoteVersion) -> Result<bool, FileError> {
        if found.size != sent.size {
            return Ok(false);
        }
        if found.etag.is_some() && found.etag == sent.etag {
            return Ok(true);
        }
        let bare = RemoteVersion { digests: KnownDigests::default(), ..found.clone() };
        let digests = self.client.digests(at, &bare).await?;
        Ok(sent.digests.agree(&digests.into()) == Some(true))
    }

    /// Another share needs the file there: it becomes that one's to remove.
    async fn hand_over(&self, share: &Share, sent: &SentFile, until: Option<i64>, heir: (u64, u32)) -> Result<FileState, FileError> {
        let (store, service) = (self.store.clone(), share.service);
        let inherited = FileState::Sent(Box::new(SentFile { expires: until, failed: None, ..sent.clone() }));
        blocking(move || {
            store.write(move |tx| match shares::file_to_change(tx, heir)? {
                Some(file) => shares::put(tx, service, heir, &SharedFile { state: inherited, ..file }),
                None => Ok(()),
            })
        })
        .await?;
        Ok(FileState::Left { at: sent.at.clone(), reason: format!("share {} needs it there for longer", heir.0) })
    }

    async fn needed(&self) -> Result<&Needed, FileError> {
        let (store, service) = (self.store.clone(), self.service.id);
        let read = || {
            blocking(move || {
                let tx = store.read()?;
                let mut needed = Needed::default();
                for (number, share) in shares::all(&tx)? {
                    if share.service != service {
                        continue;
                    }
                    for item in shares::files(&tx, number)? {
                        let (place, file) = item?;
                        if let FileState::There { at, expires } = file.state {
                            needed.0.entry(at).or_default().push((expires, (number, place)));
                        }
                    }
                }
                Ok(needed)
            })
        };
        Ok(self.needed.get_or_try_init(read).await?)
    }
}
