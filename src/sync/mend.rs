//! Fetching back a good copy of a file that was damaged here, from whichever service still has it.

use crate::client::Client;
use crate::library::{Staged, Tree};
use crate::services::Service;
use crate::store::baseline::Baseline;
use crate::store::damage::{self, Damage};
use crate::store::remote::RemoteView;
use crate::store::{Store, StoreError};
use crate::types::{Expect, RelPath, RemoteVersion, ServiceId};

use super::SyncError;
use super::download::{GATHER, append};
use super::run::blocking;

/// Puts a good copy in the place of a damaged file, which goes to the trash. Returns the service that it came from; none when no service
/// has one, or none can be reached: why is in `tried`.
pub async fn mend(
    tree: &Tree,
    store: &Store,
    services: &[(Service, Client)],
    (path, damage): (&RelPath, &Damage),
    tried: &mut Vec<String>,
) -> Result<Option<String>, SyncError> {
    for (service, client) in services {
        let folder = client.at(&service.sync.folder)?;
        for remote in held(store, service.id, path, damage)? {
            let staged = match fetch(tree, &folder, &remote, damage.version().size).await {
                Ok(staged) => staged,
                Err(error) => {
                    tried.push(format!("{}: {error}", service.name));
                    continue;
                }
            };
            if staged.digests() != damage.good {
                tried.push(format!("{}: it has other bytes there by now", service.name));
                continue;
            }
            let (store, path, damage) = (store.clone(), path.clone(), damage.clone());
            blocking(move || {
                // Somebody may have written the file meanwhile; then it is theirs.
                staged.mends().commit(&path, &Expect::Version(damage.version().into()), Some(damage.mtime))?;
                Ok(store.write(move |tx| damage::remove(tx, &path))?)
            })
            .await?;
            return Ok(Some(service.name.clone()));
        }
    }
    Ok(None)
}

/// The paths at which a service held the good bytes when it was last looked at, or when both sides were in step.
fn held(store: &Store, service: ServiceId, path: &RelPath, damage: &Damage) -> Result<Vec<RelPath>, StoreError> {
    let tx = store.read()?;
    let digests = damage.good.into();
    let mut paths = Vec::new();
    if let Some(row) = Baseline::open(&tx, service)?.get(path)?
        && row.base().remote.is_some_and(|remote| remote.digests.agree(&digests) == Some(true))
    {
        paths.push(row.remote_path(path).clone());
    }
    let listed = RemoteView::open(&tx, service)?.holding_where(&digests, &|_| true)?;
    paths.extend(listed.filter(|listed| !paths.contains(listed)));
    Ok(paths)
}

async fn fetch(tree: &Tree, folder: &Client, remote: &RelPath, size: u64) -> Result<Staged, SyncError> {
    // Whatever is there now: its bytes alone decide. Of another size it cannot be what is wanted.
    let mut download = folder.get(remote, &RemoteVersion { size: Some(size), ..RemoteVersion::default() }).await?;
    let (mut staged, mut gathered) = (None, Vec::new());
    loop {
        let piece = download.next().await?;
        let end = piece.is_none();
        gathered.extend_from_slice(&piece.unwrap_or_default());
        if end || gathered.len() >= GATHER {
            let (tree, remote, held, bytes) = (tree.clone(), remote.clone(), staged.take(), std::mem::take(&mut gathered));
            let appended = blocking(move || Ok(append(&tree, &remote, held, &bytes)?)).await?;
            if end {
                return Ok(appended);
            }
            staged = Some(appended);
        }
    }
}
