//! Which folders were listed lately: those lie in the system's caches, and are listed again without going to a blocking thread, which would cost
//! more than the listing itself. It is only a guess; a wrong one makes others wait for a disk once.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::types::RelPath;

/// So many folders are remembered.
const SLOTS: usize = 8192;
/// For about so many seconds.
const PERIOD: u64 = 64;

static SLOT: [AtomicU64; SLOTS] = [const { AtomicU64::new(0) }; SLOTS];
static SEED: LazyLock<(RandomState, Instant)> = LazyLock::new(|| (RandomState::new(), Instant::now()));

/// A folder's mark for the running period, and for the one before.
fn marks(root: &str, path: &RelPath) -> (usize, u64, u64) {
    let (state, started) = &*SEED;
    let hash = state.hash_one((root, path.as_str()));
    let period = started.elapsed().as_secs() / PERIOD + 1;
    let mark = |period: u64| (hash & !0xffff) | (period & 0xffff);
    ((hash % SLOTS as u64) as usize, mark(period), mark(period.wrapping_sub(1)))
}

/// Whether a folder was listed lately.
pub(super) fn is_warm(root: &str, path: &RelPath) -> bool {
    let (slot, now, before) = marks(root, path);
    let mark = SLOT[slot].load(Ordering::Relaxed);
    mark == now || mark == before
}

/// Remembers that a folder has just been listed.
pub(super) fn warm(root: &str, path: &RelPath) {
    let (slot, now, _) = marks(root, path);
    SLOT[slot].store(now, Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_warm_after_it_was_listed() {
        let (this, other) = (RelPath::parse("warm/this").unwrap(), RelPath::parse("warm/other").unwrap());
        assert!(!is_warm("originals", &this));
        warm("originals", &this);
        assert!(is_warm("originals", &this) && !is_warm("originals", &other) && !is_warm("import", &this));
    }
}
