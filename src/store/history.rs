//! The runs of each service, and what became of each file in them. The oldest are let go.

use redb::{ReadTransaction, ReadableTable as _, TableDefinition, WriteTransaction};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::ServiceId;

use super::StoreError;
use super::codec::{decode_grown, encode};

/// Run number -> what is told of it.
const RUNS: TableDefinition<u64, &[u8]> = TableDefinition::new("history-runs");
/// (run number, place in the run) -> a file.
const FILES: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("history-files");

/// (run number, place in the run) -> a file that it left as it was.
const SKIPPED: TableDefinition<(u64, u32), &[u8]> = TableDefinition::new("history-skipped");

/// How many runs of a service are kept.
pub const KEEP_RUNS: usize = 100;
/// Of how many files of a run it is kept what became of them.
pub const KEEP_FILES: usize = 10_000;

/// A run. Times are milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// With which service.
    pub service: ServiceId,
    /// When it began.
    pub started: i64,
    /// When it ended.
    pub ended: i64,
    /// Why it began: one of the scheduler's words.
    pub trigger: String,
    /// The counts of its report, by their names there.
    pub counts: Vec<(String, u64)>,
    /// Why the whole run stopped, if it did.
    pub error: Option<String>,
    /// Of how many files it is not kept what became of them, because there were too many.
    pub untold: u64,
    /// The kind of `error`, in a word that stays the same. Rows of an earlier version have none.
    pub cause: Option<String>,
}

/// What became of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileOutcome {
    /// In the library, or on the service for what exists only there.
    pub path: String,
    /// `upload`, `download`, ...
    pub verb: String,
    /// Bytes that were to travel.
    pub bytes: u64,
    /// Why it failed, if it did.
    pub failure: Option<String>,
    /// The kind of that, in a word that stays the same. Rows of an earlier version have none.
    pub cause: Option<String>,
}

/// A file that a run left as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SkippedFile {
    /// In the library, or on the service for what exists only there.
    pub path: String,
    /// Why.
    pub reason: String,
    /// The kind of reason, in a word that stays the same. Rows of an earlier version have none.
    pub cause: Option<String>,
}

impl Run {
    /// Whether there was nothing to do.
    fn is_idle(&self) -> bool {
        // What is left alone is so in every run, and to ask is not to do.
        self.error.is_none()
            && self.counts.iter().all(|(name, count)| *count == 0 || matches!(name.as_str(), "requests" | "skipped" | "skipped_total"))
    }

    /// The counts as an object.
    pub fn counts(&self) -> Value {
        self.counts.iter().map(|(name, count)| (name.clone(), Value::from(*count))).collect()
    }
}

pub(super) fn prepare(tx: &WriteTransaction) -> Result<(), StoreError> {
    tx.open_table(RUNS)?;
    tx.open_table(FILES)?;
    tx.open_table(SKIPPED)?;
    Ok(())
}

/// Writes a run down, lets the service's oldest ones go, and returns its number. Of runs one after the other in which there was nothing to
/// do only the last is kept: they would push out what its owner looks for.
pub fn put(tx: &WriteTransaction, run: &Run, files: &[FileOutcome], skipped: &[SkippedFile]) -> Result<u64, StoreError> {
    let mut runs = tx.open_table(RUNS)?;
    let number = runs.last()?.map_or(0, |(last, _)| last.value()) + 1;
    runs.insert(number, encode(run)?.as_slice())?;
    let mut table = tx.open_table(FILES)?;
    for (place, file) in (0..).zip(files.iter().take(KEEP_FILES)) {
        table.insert((number, place), encode(file)?.as_slice())?;
    }
    let mut left = tx.open_table(SKIPPED)?;
    for (place, file) in (0..).zip(skipped) {
        left.insert((number, place), encode(file)?.as_slice())?;
    }
    drop((runs, table, left));
    let own = own_runs(tx, run.service)?;
    let surplus = own.len().saturating_sub(KEEP_RUNS);
    let mut old: Vec<_> = own[..surplus].iter().map(|(number, _)| *number).collect();
    if let [.., (before, earlier), _] = &own[surplus..]
        && earlier.is_idle()
        && run.is_idle()
    {
        old.push(*before);
    }
    remove(tx, &old).map(|()| number)
}

/// Forgets all runs of a service.
pub fn clear(tx: &WriteTransaction, service: ServiceId) -> Result<(), StoreError> {
    let own: Vec<_> = own_runs(tx, service)?.into_iter().map(|(number, _)| number).collect();
    remove(tx, &own)
}

fn own_runs(tx: &WriteTransaction, service: ServiceId) -> Result<Vec<(u64, Run)>, StoreError> {
    let mut own = Vec::new();
    for item in tx.open_table(RUNS)?.iter()? {
        let (number, run) = item?;
        let run: Run = decode_grown(run.value())?;
        if run.service == service {
            own.push((number.value(), run));
        }
    }
    Ok(own)
}

fn remove(tx: &WriteTransaction, numbers: &[u64]) -> Result<(), StoreError> {
    let (mut runs, mut files, mut skipped) = (tx.open_table(RUNS)?, tx.open_table(FILES)?, tx.open_table(SKIPPED)?);
    for number in numbers {
        runs.remove(number)?;
        files.retain_in((*number, 0)..=(*number, u32::MAX), |_, _| false)?;
        skipped.retain_in((*number, 0)..=(*number, u32::MAX), |_, _| false)?;
    }
    Ok(())
}

/// The runs that are kept, the latest first, with their numbers.
pub fn runs(tx: &ReadTransaction) -> Result<Vec<(u64, Run)>, StoreError> {
    let mut all = Vec::new();
    for item in tx.open_table(RUNS)?.iter()?.rev() {
        let (number, run) = item?;
        all.push((number.value(), decode_grown(run.value())?));
    }
    Ok(all)
}

/// What became of the files of a run.
pub fn files(tx: &ReadTransaction, number: u64) -> Result<Vec<FileOutcome>, StoreError> {
    let range = tx.open_table(FILES)?.range((number, 0)..=(number, u32::MAX))?;
    range.map(|item| decode_grown(item?.1.value())).collect()
}

/// What a run left as it was, with the places of it, after a place: as far as the run named it.
pub fn skipped(
    tx: &ReadTransaction,
    number: u64,
    after: Option<u32>,
) -> Result<impl Iterator<Item = Result<(u32, SkippedFile), StoreError>> + use<>, StoreError> {
    let start = after.map_or(0, |after| after.saturating_add(1));
    let range = tx.open_table(SKIPPED)?.range((number, start)..=(number, u32::MAX))?;
    Ok(range.map(|item| {
        let (place, row) = item?;
        Ok((place.value().1, decode_grown(row.value())?))
    }))
}

#[cfg(test)]
mod tests {
    use super::super::Store;
    use super::*;

    #[test]
    fn the_oldest_runs_of_the_same_service_are_let_go() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("s.redb")).unwrap();
        let run = |service: u32, started: i64| Run {
            service: ServiceId(service),
            started,
            ended: started + 1,
            trigger: "manual".into(),
            counts: vec![("uploaded".into(), 1)],
            error: None,
            untold: 0,
            cause: None,
        };
        let file = |path: &str| FileOutcome { path: path.into(), verb: "upload".into(), bytes: 1, failure: None, cause: None };
        let left = |path: &str| SkippedFile { path: path.into(), reason: "why".into(), cause: Some("name-taken".into()) };
        let other = store.write(move |tx| put(tx, &run(2, 0), &[file("other")], &[])).unwrap();
        let first = store.write(move |tx| put(tx, &run(1, 1), &[file("a"), file("b")], &[left("x"), left("y")])).unwrap();
        assert_eq!(files(&store.read().unwrap(), first).unwrap(), [file("a"), file("b")]);
        let named = |after| skipped(&store.read().unwrap(), first, after).unwrap().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!((named(None), named(Some(0))), (vec![(0, left("x")), (1, left("y"))], vec![(1, left("y"))]));
        store.write(move |tx| (0..KEEP_RUNS as i64).try_for_each(|at| put(tx, &run(1, at), &[], &[]).map(drop))).unwrap();
        let tx = store.read().unwrap();
        let (kept, told) = (runs(&tx).unwrap(), files(&tx, first).unwrap());
        assert_eq!((kept.len(), told.len(), kept.last().map(|(number, _)| *number)), (KEEP_RUNS + 1, 0, Some(other)));
        assert!(kept[0].0 > kept[1].0 && skipped(&tx, first, None).unwrap().next().is_none());
        let idle = move |started: i64| Run { counts: vec![("uploaded".into(), 0), ("requests".into(), 3)], ..run(2, started) };
        store.write(move |tx| put(tx, &idle(1), &[], &[]).and_then(|_| put(tx, &idle(2), &[], &[]))).unwrap();
        let starts = |service: u32| {
            let all = runs(&store.read().unwrap()).unwrap().into_iter();
            all.filter(|(_, run)| run.service == ServiceId(service)).map(|(_, run)| run.started).collect::<Vec<_>>()
        };
        assert_eq!(starts(2), [2, 0], "of idle runs only the last is kept");
        store.write(move |tx| put(tx, &run(2, 3), &[], &[]).and_then(|_| put(tx, &idle(4), &[], &[]))).unwrap();
        assert_eq!(starts(2), [4, 3, 2, 0]);
        store.write(|tx| clear(tx, ServiceId(2))).unwrap();
        assert!(files(&store.read().unwrap(), other).unwrap().is_empty());
    }
}
