//! Files that failed, per service: why, how often, and when they are tried again.

use std::time::Duration;

use redb::{ReadOnlyTable, ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};

use crate::types::backoff::doubling;
use crate::types::{RelPath, ServiceId};

use super::StoreError;
use super::codec::{after_service, decode_grown, encode, member_range, path_key, path_of, service_key, service_range};

const ROWS: TableDefinition<&[u8], &[u8]> = TableDefinition::new("failures");

/// A file is tried again after this; then after twice as long, and so on.
const FIRST_RETRY: Duration = Duration::from_secs(60);
/// It is never left alone for longer.
const LONGEST_RETRY: Duration = Duration::from_secs(24 * 3600);

/// What failed with one file. Times are seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedFile {
    /// What was to be done: `upload`, `download`, ...
    pub verb: String,
    /// Stands for the versions it was to be done with: other versions are another thing.
    pub versions: [u8; 16],
    /// Why it failed the last time.
    pub reason: String,
    /// How often it failed.
    pub attempts: u32,
    /// When it failed for the first time.
    pub first: i64,
    /// Not before this it is tried again by itself.
    pub next: i64,
    /// The kind of reason, in a word that stays the same. Rows of an earlier version have none.
    pub cause: Option<String>,
}

impl FailedFile {
    /// It failed for the first time.
    pub fn new(verb: &str, versions: [u8; 16], (cause, reason): (&str, &str), now: i64) -> Self {
        let (verb, reason, cause) = (verb.to_owned(), reason.to_owned(), Some(cause.to_owned()));
        Self { verb, versions, reason, attempts: 0, first: now, next: now, cause }.again(now)
    }

    /// It failed once more: the same thing with the same versions, or something else at the same path.
    pub fn after(self, earlier: Option<&Self>, now: i64) -> Self {
        match earlier.filter(|earlier| earlier.is(&self.verb, self.versions)) {
            Some(earlier) => Self { attempts: earlier.attempts, first: earlier.first, ..self }.again(now),
            None => self,
        }
    }

    /// Whether it is this that failed.
    pub fn is(&self, verb: &str, versions: [u8; 16]) -> bool {
        self.verb == verb && self.versions == versions
    }

    fn again(mut self, now: i64) -> Self {
        self.attempts = self.attempts.saturating_add(1);
        self.next = now.saturating_add_unsigned(doubling(FIRST_RETRY, self.attempts, LONGEST_RETRY).as_secs());
        self
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(ROWS)?;
    Ok(())
}

/// Remembers that a file failed.
pub fn put(tx: &WriteTransaction, service: ServiceId, path: &RelPath, failed: &FailedFile) -> Result<(), StoreError> {
    tx.open_table(ROWS)?.insert(service_key(service, &path_key(path)).as_slice(), encode(failed)?.as_slice())?;
    Ok(())
}

/// Has a file be tried again now, if it is still among those that failed; says whether it is.
pub fn bring_forward(tx: &WriteTransaction, service: ServiceId, path: &RelPath, now: i64) -> Result<bool, StoreError> {
    let (mut rows, key) = (tx.open_table(ROWS)?, service_key(service, &path_key(path)));
    let Some(row) = rows.get(key.as_slice())?.map(|row| decode_grown::<FailedFile>(row.value())).transpose()? else { return Ok(false) };
    if row.next > now {
        rows.insert(key.as_slice(), encode(&FailedFile { next: now, ..row })?.as_slice())?;
    }
    Ok(true)
}

/// Forgets that a file failed.
pub fn remove(tx: &WriteTransaction, service: ServiceId, path: &RelPath) -> Result<(), StoreError> {
    tx.open_table(ROWS)?.remove(service_key(service, &path_key(path)).as_slice())?;
    Ok(())
}

/// Forgets all that failed with a service.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let (start, end) = service_range(service);
    tx.open_table(ROWS)?.retain_in(start.as_slice()..end.as_slice(), |_, _| false)?;
    Ok(())
}

/// Reads what failed with one service.
pub struct Failures {
    service: ServiceId,
    rows: ReadOnlyTable<&'static [u8], &'static [u8]>,
}

impl Failures {
    /// Opens it for reading.
    pub fn open(tx: &ReadTransaction, service: ServiceId) -> Result<Self, StoreError> {
        Ok(Self { service, rows: tx.open_table(ROWS)? })
    }

    /// What failed directly in a folder, from a name on, in the order of the names.
    pub fn members_from(
        &self,
        folder: &RelPath,
        from: &str,
    ) -> Result<impl Iterator<Item = Result<(RelPath, FailedFile), StoreError>> + use<>, StoreError> {
        let ((start, _), (_, end)) = (member_range(folder, from), member_range(folder, ""));
        let (start, end) = (service_key(self.service, &start), service_key(self.service, &end));
        Ok(self.rows.range(start.as_slice()..end.as_slice())?.map(|item| {
            let (key, row) = item?;
            Ok((path_of(after_service(key.value())?)?, decode_grown(row.value())?))
        }))
    }

    /// What failed, in order of the paths.
    pub fn all(&self) -> Result<impl Iterator<Item = Result<(RelPath, FailedFile), StoreError>> + use<>, StoreError> {
        let (start, end) = service_range(self.service);
        Ok(self.rows.range(start.as_slice()..end.as_slice())?.map(|item| {
            let (key, row) = item?;
            Ok((path_of(after_service(key.value())?)?, decode_grown(row.value())?))
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn the_same_failure_waits_longer_each_time_up_to_a_day_and_another_begins_anew() {
        let failed = |versions: u8| FailedFile::new("upload", [versions; 16], ("refused", "no"), 1000);
        let mut row = failed(1);
        let mut waits = vec![row.next - 1000];
        for _ in 0..12 {
            row = failed(1).after(Some(&row), 1000);
            waits.push(row.next - 1000);
        }
        assert_eq!(waits[..4], [60, 120, 240, 480]);
        assert_eq!((waits[12], row.attempts, row.first), (86_400, 13, 1000));
        assert_eq!(failed(2).after(Some(&row), 2000).attempts, 1, "another version");
    }

    #[test]
    fn they_are_kept_until_they_are_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("s.redb");
        let (one, other) = (ServiceId(1), ServiceId(2));
        let path = RelPath::parse("d/a.jpg").unwrap();
        let row = FailedFile::new("download", [0; 16], ("refused", "no"), 5);
        let store = Store::open(&place).unwrap();
        let (at, put_row) = (path.clone(), row.clone());
        store.write(move |tx| put(tx, one, &at, &put_row).and_then(|()| put(tx, other, &at, &put_row))).unwrap();
        drop(store);
        let store = Store::open(&place).unwrap();
        let all = |service| Failures::open(&store.read().unwrap(), service).unwrap().all().unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(all(one), [(path.clone(), row.clone())]);
        // One that is not waiting any more is not made to wait again.
        let at = path.clone();
        let forward = |now| {
            let at = at.clone();
            store.write(move |tx| Ok((bring_forward(tx, one, &at, now)?, bring_forward(tx, ServiceId(3), &at, now)?))).unwrap()
        };
        assert_eq!((forward(row.next + 1), all(one)[0].1.next), ((true, false), row.next));
        assert_eq!((forward(7), all(one)[0].1.next, all(ServiceId(3))), ((true, false), 7, vec![]));
        store.write(move |tx| remove(tx, one, &path).and_then(|()| clear(tx, other))).unwrap();
        assert!(all(one).is_empty() && all(other).is_empty());
    }
}
