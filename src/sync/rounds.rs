//! Many new files in bounded memory: each round takes the newest of those that no round had yet. Everything else is decided in the first one.
//!
//! One look at all rows finds the newest for several rounds; those after the first look only at the paths that were found.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::reconcile::{Decision, Row, Seen, Why};
use crate::types::{KnownDigests, RelPath, Side};

/// How new a file is, and something to tell files of the same age apart.
type Key = (i64, u64);

/// What is new: files that only the library has, files that only the service has, and files that both have and never agreed on.
type Kinds<T> = [T; 3];

/// So many files that are kept back by a direction that is off are named; the others are counted.
pub(super) const NAMED: u64 = 1000;

/// One look at all rows finds the files of so many rounds.
const AHEAD: usize = 16;

/// A round that is about to begin.
#[derive(Debug, Clone)]
pub(super) struct Round {
    /// The most new files of a kind that it takes.
    pub limit: usize,
    /// Only files older than these are left for another look.
    below: Kinds<Option<Key>>,
    /// What a look found, and from where on this round takes it; none when it needs a look of its own.
    found: Option<(Arc<Found>, usize)>,
    first: bool,
    /// What rounds before this one took out of turn.
    taken: Arc<HashSet<RelPath>>,
    /// How many files, with how many bytes, were left for it and those after it.
    left: (u64, u64),
}

/// The newest files that a look found.
#[derive(Debug)]
struct Found {
    paths: Kinds<Vec<RelPath>>,
    /// The oldest of each, where there are older ones.
    oldest: Kinds<Option<Key>>,
}

impl Round {
    /// The first of as many as are needed.
    pub(super) fn first(limit: usize) -> Self {
        let taken = Arc::default();
        Self { limit: limit.max(1), below: [None; 3], found: None, first: true, taken, left: (0, 0) }
    }

    pub(super) fn is_first(&self) -> bool {
        self.first
    }

    /// How many new files, with how many bytes, are left for it and those after it.
    pub(super) fn left(&self) -> (u64, u64) {
        self.left
    }

    /// The new files of this round, when an earlier look found them.
    pub(super) fn known(&self) -> Option<Window> {
        let (found, at) = self.found.as_ref()?;
        Some(Window::new(self.clone(), Arc::clone(found), *at, HashSet::new(), [None; 3]))
    }
}

/// What a look at all rows tells before a round: which new files are the newest, and which contents left their places.
#[derive(Debug)]
pub(super) struct Survey {
    round: Round,
    newest: Kinds<BinaryHeap<Reverse<(Key, RelPath)>>>,
    more: Kinds<bool>,
    gone: HashSet<u64>,
}

impl Survey {
    pub(super) fn new(round: Round) -> Self {
        Self { round, newest: Default::default(), more: [false; 3], gone: HashSet::new() }
    }

    /// Takes note of the row at `path`, whose file is at `local` and `remote`.
    pub(super) fn see(&mut self, path: &RelPath, (local, remote): (&RelPath, &RelPath), row: &Row, decision: &Decision) {
        if let Some((kind, key)) = new_file(local, remote, row, decision) {
            if self.round.below[kind].is_some_and(|below| key >= below) {
                return;
            }
            let newest = &mut self.newest[kind];
            if newest.len() < self.round.limit.saturating_mul(AHEAD) {
                newest.push(Reverse((key, path.clone())));
                return;
            }
            self.more[kind] = true;
            if let Some(mut oldest) = newest.peek_mut().filter(|oldest| oldest.0.0 < key) {
                *oldest = Reverse((key, path.clone()));
            }
        } else if let Some(base) = &row.base
            && self.round.first
            && (matches!(row.local, Seen::Absent(_)) || matches!(row.remote, Seen::Absent(_)))
        {
            let remote = base.remote.as_ref();
            self.gone.extend(base.local.iter().flat_map(|local| marks(&local.digests.into())));
            self.gone.extend(remote.iter().flat_map(|remote| marks(&remote.digests)));
            self.gone.extend(remote.map(|remote| looks(remote.size, remote.modified)));
        }
    }

    /// A file that waits under a name of ours.
    pub(super) fn parked(&mut self, digests: &KnownDigests) {
        self.gone.extend(marks(digests));
    }

    pub(super) fn window(self) -> Window {
        let Self { round, newest, more, gone } = self;
        let mut found = Found { paths: Default::default(), oldest: [None; 3] };
        let mut floor = [None; 3];
        for (kind, newest) in newest.into_iter().enumerate() {
            // Sorted by what is reversed: the newest first.
            let sorted = newest.into_sorted_vec();
            found.oldest[kind] = sorted.last().filter(|_| more[kind]).map(|Reverse((key, _))| *key);
            floor[kind] = sorted.get(round.limit - 1).filter(|_| sorted.len() > round.limit || more[kind]).map(|Reverse((key, _))| *key);
            found.paths[kind] = sorted.into_iter().map(|Reverse((_, path))| path).collect();
        }
        Window::new(round, Arc::new(found), 0, gone, floor)
    }
}

/// The new files that a round takes.
#[derive(Debug)]
pub(super) struct Window {
    round: Round,
    found: Arc<Found>,
    at: usize,
    /// In a round that is not the first: its paths.
    paths: HashSet<RelPath>,
    /// In the first: the oldest that it takes; none when it takes all.
    floor: Kinds<Option<Key>>,
    gone: HashSet<u64>,
}

/// What a round does with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It takes it: no other round does.
    Here,
    /// A new file of this round.
    New,
    /// A new file that is taken out of turn.
    OutOfTurn,
    /// A new file that a later round takes.
    Later,
    /// Another round has taken it.
    Elsewhere,
    /// It is only counted.
    Counted,
}

impl Window {
    fn new(round: Round, found: Arc<Found>, at: usize, gone: HashSet<u64>, floor: Kinds<Option<Key>>) -> Self {
        let mut paths = HashSet::new();
        if !round.first {
            let here = found.paths.iter().flat_map(|paths| paths.iter().skip(at).take(round.limit));
            paths.extend(here.filter(|path| !round.taken.contains(*path)).cloned());
        }
        Self { round, found, at, paths, floor, gone }
    }

    /// `kept_back` counts the files that a direction which is off keeps back. `path` is where the row is, its file at `local` and `remote`.
    pub(super) fn place(
        &self,
        path: &RelPath,
        (local, remote): (&RelPath, &RelPath),
        row: &Row,
        decision: &Decision,
        kept_back: &mut u64,
    ) -> Place {
        let may_be_moved = || all_marks(row).iter().any(|mark| self.gone.contains(mark));
        if let Some((kind, key)) = new_file(local, remote, row, decision) {
            return match self.floor[kind] {
                _ if !self.round.first => {
                    if self.paths.contains(path) {
                        Place::New
                    } else {
                        Place::Elsewhere
                    }
                }
                // What was renamed is told from what is new by looking at all of it together.
                Some(floor) if key < floor => {
                    if may_be_moved() {
                        Place::OutOfTurn
                    } else {
                        Place::Later
                    }
                }
                _ => Place::New,
            };
        }
        if !self.round.first {
            return Place::Elsewhere;
        }
        if matches!(decision, Decision::Skip(Why::UploadOff | Why::DownloadOff)) && row.base.is_none() && !may_be_moved() {
            *kept_back += 1;
            return if *kept_back > NAMED { Place::Counted } else { Place::Here };
        }
        Place::Here
    }

    /// Whether this is the first round, which decides everything but a part of what is new.
    pub(super) fn is_first(&self) -> bool {
        self.round.first
    }

    /// The paths of a round that is not the first: no others concern it.
    pub(super) fn paths(&self) -> impl Iterator<Item = &RelPath> {
        self.paths.iter()
    }

    /// The round after this one, if anything is left for it. `out_of_turn` is what this one took though it was another's, and `tally` how much
    /// it left if it is the first, and how much it took otherwise.
    pub(super) fn next(&self, out_of_turn: &HashSet<RelPath>, tally: (u64, u64)) -> Option<Round> {
        let Round { limit, first, .. } = self.round;
        let at = self.at.saturating_add(limit);
        let mut taken = Arc::clone(&self.round.taken);
        if !out_of_turn.is_empty() {
            Arc::make_mut(&mut taken).extend(out_of_turn.iter().cloned());
        }
        let (files, bytes) = self.round.left;
        let left = if first { tally } else { (files.saturating_sub(tally.0), bytes.saturating_sub(tally.1)) };
        let next = Round { limit, below: self.round.below, found: None, first: false, taken, left };
        if self.found.paths.iter().any(|paths| paths.len() > at) {
            return Some(Round { found: Some((Arc::clone(&self.found), at)), ..next });
        }
        let Found { oldest, .. } = &*self.found;
        let below = oldest.map(|oldest| oldest.or(Some((i64::MIN, 0))));
        oldest.iter().any(Option::is_some).then_some(Round { below, ..next })
    }
}

/// A file that the sides never agreed on: which kind of new it is, and its age.
fn new_file(local: &RelPath, remote: &RelPath, row: &Row, decision: &Decision) -> Option<(usize, Key)> {
    let hash = |path: &RelPath| {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        hasher.finish()
    };
    match (decision, &row.local, &row.remote) {
        (Decision::Upload(Why::New), Seen::File(here), _) => Some((Side::Local as usize, (here.mtime.0, hash(local)))),
        (Decision::Download(Why::New), _, Seen::File(there)) => {
            Some((Side::Remote as usize, (there.modified.unwrap_or(i64::MIN + 1), hash(remote))))
        }
        (Decision::Adopt | Decision::Conflict | Decision::NeedDigest(_), Seen::File(here), Seen::File(_)) if row.base.is_none() => {
            Some((2, (here.mtime.0, hash(local))))
        }
        _ => None,
    }
}

fn all_marks(row: &Row) -> Vec<u64> {
    match (&row.local, &row.remote) {
        (Seen::File(here), _) => marks(&here.digests.into()).collect(),
        (_, Seen::File(there)) => marks(&there.digests).chain([looks(there.size, there.modified)]).collect(),
        _ => Vec::new(),
    }
}

/// What a content is known by, in short: to be mistaken costs nothing but a little memory.
fn marks(digests: &KnownDigests) -> impl Iterator<Item = u64> + use<> {
    let short = |bytes: &[u8]| bytes.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    let content = digests.content.map(|content| short(&content.0));
    let sha1 = digests.sha1.map(|sha1| short(&sha1.0));
    content.into_iter().chain(sha1)
}

fn looks(size: Option<u64>, modified: Option<i64>) -> u64 {
    let mut hasher = DefaultHasher::new();
    (size, modified).hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Coverage, Policy, decide};
    use crate::types::{Digests, LocalVersion, Mtime};

    fn row(age: i64) -> (RelPath, Row) {
        let path = RelPath::parse(&format!("{age}.jpg")).unwrap();
        let local = LocalVersion { size: 1, mtime: Mtime(age), digests: Digests::of(&age.to_be_bytes()) };
        let covered = Coverage::default().of(&path).unwrap();
        (path, Row { base: None, local: Seen::File(local), remote: Seen::Absent(covered) })
    }

    /// The new files of each round.
    fn rounds(ages: std::ops::Range<i64>, limit: usize) -> Vec<Vec<i64>> {
        let rows: Vec<_> = ages.map(|age| (age, row(age))).collect();
        let decided = || rows.iter().map(|(age, (path, row))| (age, path, row, decide(row, &Policy::TWO_WAY)));
        let mut next = Some(Round::first(limit));
        let mut taken = Vec::new();
        while let Some(round) = next {
            let look = |round: &Round| {
                let mut survey = Survey::new(round.clone());
                decided().for_each(|(_, path, row, decision)| survey.see(path, (path, path), row, &decision));
                survey.window()
            };
            let window = round.known().unwrap_or_else(|| look(&round));
            let place = |path: &RelPath, row: &Row, decision: &Decision| window.place(path, (path, path), row, decision, &mut 0);
            let here = decided().filter(|(_, path, row, decision)| place(path, row, decision) == Place::New);
            taken.push(here.map(|(age, ..)| *age).collect::<Vec<_>>());
            next = window.next(&HashSet::new(), (0, 0));
        }
        taken
    }

    #[test]
    fn every_new_file_has_one_round_the_newest_first() {
        assert_eq!(rounds(0..10, 4), [vec![6, 7, 8, 9], vec![2, 3, 4, 5], vec![0, 1]]);
        assert_eq!(rounds(0..8, 4), [vec![4, 5, 6, 7], vec![0, 1, 2, 3]]);
        assert_eq!(rounds(0..4, 4), [vec![0, 1, 2, 3]]);
    }

    #[test]
    fn one_look_is_not_enough_for_many_rounds() {
        // Three looks, the last of which finds a single file.
        let all = 2 * AHEAD as i64 * 2 + 1;
        let expected: Vec<Vec<i64>> = (0..all).rev().collect::<Vec<_>>().chunks(2).map(|two| two.iter().rev().copied().collect()).collect();
        assert_eq!(rounds(0..all, 2), expected);
    }
}
