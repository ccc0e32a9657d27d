//! What uploads under names that are not indexed were: many clients upload under a temporary name and then give the file its own.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::types::{Digests, RelPath};

use super::tree::Stat;

/// So many are remembered, the newest.
const MOST: usize = 256;

/// The digests of such uploads, so that a file that takes its own name need not be read again. It is only a memory: what is not in it is read.
#[derive(Default)]
pub(super) struct Unindexed {
    uploads: Mutex<VecDeque<(RelPath, Stat, Digests)>>,
}

impl Unindexed {
    pub(super) fn keep(&self, path: &RelPath, stat: Stat, digests: Digests) {
        let mut uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.retain(|(earlier, ..)| earlier != path);
        if uploads.len() >= MOST {
            uploads.pop_front();
        }
        uploads.push_back((path.clone(), stat, digests));
    }

    /// The digests of what was uploaded to a path, if it is as it was then.
    pub(super) fn digests(&self, path: &RelPath, now: &Stat) -> Option<Digests> {
        let uploads = self.uploads.lock().unwrap_or_else(PoisonError::into_inner);
        uploads.iter().find(|(uploaded, stat, _)| uploaded == path && stat == now).map(|(.., digests)| *digests)
    }
}

#[test]
fn what_was_uploaded_is_known_until_it_changes_or_is_long_ago() {
    let uploads = Unindexed::default();
    let stat = |size| Stat::new(super::tree::Kind::File, size, (1, 0), 7);
    let path = |n: usize| RelPath::parse(&format!("{n}.part")).unwrap();
    uploads.keep(&path(0), stat(1), Digests::of(b"a"));
    assert_eq!(uploads.digests(&path(0), &stat(1)), Some(Digests::of(b"a")));
    assert_eq!((uploads.digests(&path(0), &stat(2)), uploads.digests(&path(1), &stat(1))), (None, None));
    (1..=MOST).for_each(|n| uploads.keep(&path(n), stat(1), Digests::of(b"b")));
    assert_eq!(uploads.digests(&path(0), &stat(1)), None);
    assert_eq!(uploads.digests(&path(1), &stat(1)), Some(Digests::of(b"b")));
}
