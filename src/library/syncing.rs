//! Folders made durable for many at once: whoever waits for a sync that has not begun yet shares it with all the others who do.

use std::collections::HashMap;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

use crate::types::RelPath;

/// The syncs of one folder. They have numbers.
#[derive(Default)]
struct Turns {
    begun: u64,
    ended: u64,
    /// Those that went wrong, as long as somebody waits.
    failed: Vec<(u64, io::ErrorKind)>,
    running: bool,
    waiting: usize,
}

/// The syncs of a tree's folders.
#[derive(Default)]
pub(super) struct Syncing {
    folders: Mutex<HashMap<RelPath, Turns>>,
    ended: Condvar,
}

impl Syncing {
    /// Returns when the next sync of the folder has ended. Everybody who shared it hears of its failure: the system tells of one only once, so
    /// that another try could seem to go well.
    pub(super) fn sync(&self, folder: RelPath, sync: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let mut folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = folders.entry(folder.clone()).or_default();
        turns.waiting += 1;
        let own = turns.begun + 1;
        let result = loop {
            let turns = folders.entry(folder.clone()).or_default();
            if turns.ended >= own {
                let failed = turns.failed.iter().find(|(number, _)| *number == own);
                break failed.map_or(Ok(()), |(_, kind)| Err(io::Error::from(*kind)));
            }
            if turns.running {
                folders = self.ended.wait(folders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            turns.running = true;
            turns.begun = own;
            drop(folders);
            let result = sync();
            folders = self.folders.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = folders.entry(folder.clone()).or_default();
            (turns.running, turns.ended) = (false, own);
            turns.failed.extend(result.as_ref().err().map(|error| (own, error.kind())));
            self.ended.notify_all();
            break result;
        };
        let turns = folders.entry(folder.clone()).or_default();
        turns.waiting -= 1;
        if turns.waiting == 0 {
            folders.remove(&folder);
        }
        result
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Duration;

    use super::*;

    #[test]
    fn everybody_gets_a_sync_that_began_after_them_and_shares_it() {
        let (syncing, clock, count) = (Arc::new(Syncing::default()), Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let last = Arc::new(AtomicU64::new(0));
        let threads: Vec<_> = (0..32)
            .map(|_| {
                let (syncing, clock, count, last) = (Arc::clone(&syncing), Arc::clone(&clock), Arc::clone(&count), Arc::clone(&last));
                std::thread::spawn(move || {
                    for _ in 0..20 {
                        let asked = clock.fetch_add(1, Ordering::SeqCst);
                        let one = || {
                            let began = clock.fetch_add(1, Ordering::SeqCst);
                            std::thread::sleep(Duration::from_micros(200));
                            count.fetch_add(1, Ordering::SeqCst);
                            last.fetch_max(began, Ordering::SeqCst);
                            Ok(())
                        };
                        syncing.sync(RelPath::root(), one).unwrap();
                        assert!(last.load(Ordering::SeqCst) > asked);
                    }
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        assert!(count.load(Ordering::SeqCst) < 32 * 20, "nothing was shared");
        assert!(syncing.folders.lock().unwrap().is_empty());
    }

    #[test]
    fn a_failed_sync_is_nobodys_success() {
        let syncing = Syncing::default();
        assert!(syncing.sync(RelPath::root(), || Err(io::Error::other("disk"))).is_err());
        assert!(syncing.sync(RelPath::root(), || Ok(())).is_ok());
    }
}
