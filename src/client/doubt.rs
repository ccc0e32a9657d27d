//! What became of a change whose answer was lost: one looks before one asks again.

use http::{HeaderMap, Method};
use reqwest::Response;

use crate::types::{Expect, RelPath, RemoteVersion};

use super::{Client, ClientError};

/// What became of a MOVE.
pub(super) enum Moved {
    /// The file has its new name.
    Done,
    /// It has its old name, and what is at the new one is as before.
    NotYet,
    /// Neither is certain.
    Unclear,
}

impl Client {
    /// Deletes a file whose answer may be lost: what is not there any more is gone, what is there as before is asked for again.
    pub(super) async fn delete_once(
        &self,
        path: &RelPath,
        headers: &HeaderMap,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Response, ClientError> {
        let mut patience = self.patience();
        loop {
            let deleted = self.send(Method::DELETE, self.url_of(path, false), headers.clone(), None).await;
            let Err(error) = &deleted else { return deleted };
            let as_before = match expect {
                Expect::Version(then) if error.may_have_arrived() => match self.look(path).await? {
                    Some(now) => now.unchanged_since(then),
                    // It is gone: the next answer says so.
                    None => true,
                },
                // Whatever is there is to go.
                Expect::Anything => error.may_have_arrived(),
                _ => false,
            };
            match patience.broken().filter(|_| as_before) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => return deleted,
            }
        }
    }

    /// What became of a MOVE that was answered with doubt, or not at all. `expect` is what was to be at the new name before it.
    pub(super) async fn after_move(
        &self,
        (from, to): (&RelPath, &RelPath),
        source: &RemoteVersion,
        expect: &Expect<RemoteVersion>,
    ) -> Result<Moved, ClientError> {
        let look = async |path| match self.look(path).await {
            // It has the name in another case, and answers about that one.
            Err(ClientError::Outside(_)) => Ok(None),
            found => found.map(Some),
        };
        let (Some(here), Some(there)) = (look(from).await?, look(to).await?) else { return Ok(Moved::Unclear) };
        Ok(match (here, there) {
            (None, Some(there)) if there.size == source.size && there.digests.agree(&source.digests) != Some(false) => Moved::Done,
            (Some(here), there) if here.unchanged_since(source) && is_as_before(there.as_ref(), expect) => Moved::NotYet,
            _ => Moved::Unclear,
        })
    }
}

fn is_as_before(there: Option<&RemoteVersion>, expect: &Expect<RemoteVersion>) -> bool {
    match (expect, there) {
        (Expect::Absent, None) => true,
        (Expect::Version(then), Some(now)) => now.unchanged_since(then),
        _ => false,
    }
}
