//! Finding files by what is known of their contents.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;

use crate::types::{ContentHash, KnownDigests, RemoteVersion};

/// Finds things by any digest that is known of them.
#[derive(Debug)]
pub(super) struct Finder<T> {
    by_digest: HashMap<KnownKey, VecDeque<T>>,
    taken: HashSet<T>,
}

impl<T> Default for Finder<T> {
    fn default() -> Self {
        Self { by_digest: HashMap::new(), taken: HashSet::new() }
    }
}

impl<T: Clone + Eq + Hash> Finder<T> {
    pub(super) fn insert(&mut self, digests: &KnownDigests, thing: T) {
        for key in KnownKey::of(digests) {
            self.by_digest.entry(key).or_default().push_back(thing.clone());
        }
    }

    /// The things with this content that were not taken, in the order in which they were inserted.
    pub(super) fn all(&self, digests: &KnownDigests) -> impl Iterator<Item = &T> {
        let lists = KnownKey::of(digests).filter_map(|key| self.by_digest.get(&key));
        lists.flatten().filter(|thing| !self.taken.contains(*thing))
    }

    /// Finds one and does not find it again.
    pub(super) fn take_if(&mut self, digests: &KnownDigests, fits: impl Fn(&T) -> bool) -> Option<T> {
        let thing = self.all(digests).find(|thing| fits(thing)).cloned()?;
        self.taken.insert(thing.clone());
        for key in KnownKey::of(digests) {
            // So that many with one content do not make each other slow.
            if let Some(list) = self.by_digest.get_mut(&key) {
                while list.front().is_some_and(|first| self.taken.contains(first)) {
                    list.pop_front();
                }
            }
        }
        Some(thing)
    }
}

/// What a service without digests tells of a file and keeps when it is renamed. Two files may look alike: a guess, that has to be proven.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct Look(u64, String, Option<i64>);

impl Look {
    pub(super) fn of(version: &RemoteVersion) -> Option<Self> {
        Some(Self(version.size?, version.etag.clone()?, version.modified))
    }
}

/// One known digest as a key of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum KnownKey {
    Content(ContentHash),
    Sha1(crate::types::Sha1),
}

impl KnownKey {
    /// The keys of what is known, the stronger first.
    fn of(digests: &KnownDigests) -> impl Iterator<Item = KnownKey> + use<> {
        let content = digests.content.map(KnownKey::Content);
        let sha1 = digests.sha1.map(KnownKey::Sha1);
        content.into_iter().chain(sha1)
    }
}
