//! Deciding every path; before that, finding out what files are whose names mean several things.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};

use crate::reconcile::outcome::Collector;
use crate::store::kinds;
use crate::types::{MediaKind, RelPath, RemoteVersion, magic};

use super::merge::{Collected, Merge};
use super::run::{Sync, SyncError, blocking};

impl Sync {
    /// Decides every path; what needs a digest first comes back too. The first look may show files of the service that the filter can only
    /// judge by their first bytes: these are fetched, and everything is decided again.
    pub(super) async fn collect(self: &Arc<Self>, merge: &Arc<Merge>, note: &str) -> Result<(Collector, Collected), SyncError> {
        loop {
            let mut collector = Collector::new(self.policy, note.to_owned());
            let joined = Arc::clone(merge);
            let (collector, collected) = blocking(move || {
                let collected = joined.collect(&mut collector)?;
                Ok((collector, collected))
            })
            .await?;
            let wanted = self.filter.wanted();
            if wanted.is_empty() {
                return Ok((collector, collected));
            }
            let looked = self.look_at_kinds(wanted).await?;
            self.filter.tell(looked);
        }
    }

    async fn look_at_kinds(
        self: &Arc<Self>,
        wanted: Vec<(RelPath, RemoteVersion)>,
    ) -> Result<Vec<(RelPath, Result<MediaKind, String>)>, SyncError> {
        let looks = stream::iter(wanted).map(|(path, version)| async move {
            let head = self.client.beginning(&path, &version, magic::ENOUGH).await;
            (path, version, head)
        });
        let mut looks = std::pin::pin!(looks.buffer_unordered(self.options.parallel.max(1)));
        let (mut looked, mut found) = (Vec::new(), Vec::new());
        while let Some((path, version, head)) = looks.next().await {
            match head {
                Ok(head) => {
                    let kind = magic::kind(path.stem_and_extension().1, &head);
                    looked.push((path.clone(), Ok(kind)));
                    found.push((path, version, kind));
                }
                Err(error) if error.stops_everything() => return Err(error.into()),
                Err(error) => looked.push((path, Err(error.to_string()))),
            }
        }
        let (store, service) = (self.store.clone(), self.service.id);
        let keep = move |tx: &redb::WriteTransaction| {
            found.iter().try_for_each(|(path, version, kind)| kinds::put(tx, service, path, version, *kind))
        };
        blocking(move || Ok(store.write_soon(keep)?)).await?;
        Ok(looked)
    }
}
