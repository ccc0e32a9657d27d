//! Three sorted streams, read side by side.

use std::iter::Peekable;

use crate::store::StoreError;
use crate::store::baseline::BaseRow;
use crate::store::index::FileRow;
use crate::types::{RelPath, RemoteVersion};

/// Whose turn it is: the smallest path among the three heads.
pub(super) struct Heads {
    pub(super) path: RelPath,
    pub(super) local: Option<FileRow>,
    pub(super) base: Option<BaseRow>,
    pub(super) remote: Option<RemoteVersion>,
}

type Stream<T> = Result<(RelPath, T), StoreError>;

/// The next path that any of the streams has, with what each has at it; none when all have ended.
pub(super) fn next_heads(
    local: &mut Peekable<impl Iterator<Item = Stream<FileRow>>>,
    base: &mut Peekable<impl Iterator<Item = Stream<BaseRow>>>,
    remote: &mut Peekable<impl Iterator<Item = Stream<RemoteVersion>>>,
) -> Result<Option<Heads>, StoreError> {
    let path = [head(local)?, head(base)?, head(remote)?].into_iter().flatten().min();
    let Some(path) = path else { return Ok(None) };
    let (local, base, remote) = (take_at(local, &path)?, take_at(base, &path)?, take_at(remote, &path)?);
    Ok(Some(Heads { path, local, base, remote }))
}

fn head<T>(stream: &mut Peekable<impl Iterator<Item = Stream<T>>>) -> Result<Option<RelPath>, StoreError> {
    match stream.peek() {
        Some(Ok((path, _))) => Ok(Some(path.clone())),
        Some(Err(_)) => stream.next().transpose().map(|item| item.map(|(path, _)| path)),
        None => Ok(None),
    }
}

fn take_at<T>(stream: &mut Peekable<impl Iterator<Item = Stream<T>>>, path: &RelPath) -> Result<Option<T>, StoreError> {
    match stream.next_if(|item| item.as_ref().map_or(true, |(at, _)| at == path)) {
        Some(item) => item.map(|(_, value)| Some(value)),
        None => Ok(None),
    }
}
