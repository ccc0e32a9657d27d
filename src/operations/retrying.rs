//! Files that failed, tried again now.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::store::StoreError;
use crate::store::failures::{self, Failures};
use crate::sync::Options;
use crate::types::RelPath;

use super::blocking::blocking;
use super::{Failure, Operations};

/// Which files are to be tried again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryRequest {
    /// The service that they failed with.
    pub service: String,
    /// They, as `/failures` names them; all of the service when there are none.
    #[serde(default)]
    pub paths: Vec<RelPath>,
}

/// Files that are tried again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Retrying {
    /// With which service.
    pub service: String,
    /// They.
    pub paths: Vec<RelPath>,
    /// Named, but nothing of that name is waiting any more.
    pub unknown: Vec<RelPath>,
}

impl Operations {
    /// Has files that failed with a service tried again now: their time is come, and a run begins, after one that goes on. Others that failed
    /// are left for their own time. When the run cannot begin, they are due for the next one.
    pub async fn retry_failed(self: &Arc<Self>, request: RetryRequest) -> Result<Retrying, Failure> {
        let service = self.service(request.service).await?;
        let (store, id, wanted) = (self.store.clone(), service.id, request.paths);
        let now = self.store.clock().seconds();
        let (paths, unknown) = blocking(move || {
            let all = Failures::open(&store.read()?, id)?.all()?.map(|item| Ok(item?.0)).collect::<Result<Vec<RelPath>, StoreError>>()?;
            let named: BTreeSet<RelPath> = wanted.into_iter().collect();
            let meant: Vec<RelPath> = all.into_iter().filter(|path| named.is_empty() || named.contains(path)).collect();
            // A run that goes on may have done some of it meanwhile.
            let paths = store.write(move |tx| {
                let mut due = Vec::new();
                for path in meant {
                    if failures::bring_forward(tx, id, &path, now)? {
                        due.push(path);
                    }
                }
                Ok(due)
            })?;
            let unknown: Vec<RelPath> = named.into_iter().filter(|path| paths.binary_search(path).is_err()).collect();
            Ok((paths, unknown))
        })
        .await?;
        if paths.is_empty() {
            return Err(Failure::not_found("nothing of that is waiting to be tried again").about("paths"));
        }
        let (node, name) = (Arc::clone(self), service.name.clone());
        tokio::spawn(async move {
            let options = Options { parallel: node.parallel, patient: true, ..Options::default() };
            if let Err(error) = node.sync_when_free(service, options).await {
                tracing::error!(%error, "a sync did not begin");
            }
        });
        Ok(Retrying { service: name, paths, unknown })
    }
}
