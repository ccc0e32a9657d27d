//! Many new files in bounded memory: each round takes the newest of those that no round had yet. Everything else is decided in the first one.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use crate::reconcile::{Decision, Row, Seen, Why};
use crate::types::{KnownDigests, RelPath, Side};

/// How new a file is, and something to tell files of the same age apart.
type Key = (i64, u64);

/// So many files that are kept back by a direction that is off are named; the others are counted.
pub(super) const NAMED: u64 = 1000;

/// A round that is about to begin.
#[derive(Debug, Clone, Copy)]
pub(super) struct Round {
    /// The most new files that it takes on either side.
    pub limit: usize,
    /// Only files older than these are left, by side.
    below: [Option<Key>; 2],
    first: bool,
}

impl Round {
    /// The first of as many as are needed.
    pub(super) fn first(limit: usize) -> Self {
        Self { limit, below: [None; 2], first: true }
    }

    pub(super) fn is_first(self) -> bool {
        self.first
    }
}

/// What a look at all rows tells before a round: which new files are the newest, and which contents left their places.
#[derive(Debug)]
pub(super) struct Survey {
    round: Round,
    newest: [BinaryHeap<Reverse<Key>>; 2],
    more: [bool; 2],
    gone: HashSet<u64>,
}

impl Survey {
    pub(super) fn new(round: Round) -> Self {
        Self { round, newest: Default::default(), more: [false; 2], gone: HashSet::new() }
    }

    pub(super) fn see(&mut self, local: &RelPath, remote: &RelPath, row: &Row, decision: &Decision) {
        if let Some((side, key, _)) = new_file(local, remote, row, decision) {
            let side = side as usize;
            if self.round.below[side].is_some_and(|below| key >= below) {
                return;
            }
            self.newest[side].push(Reverse(key));
            if self.newest[side].len() > self.round.limit {
                self.newest[side].pop();
                self.more[side] = true;
            }
        } else if let Some(base) = &row.base
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
        let floor = |side: usize| self.newest[side].peek().filter(|_| self.more[side]).map(|Reverse(key)| *key);
        Window { round: self.round, floor: [floor(0), floor(1)], more: self.more, gone: self.gone }
    }
}

/// The new files that a round takes.
#[derive(Debug)]
pub(super) struct Window {
    round: Round,
    /// The oldest that it takes; none when it takes all that are left.
    floor: [Option<Key>; 2],
    more: [bool; 2],
    gone: HashSet<u64>,
}

/// What a round does with a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It takes it: no other round does.
    Here,
    /// A new file of this round.
    New,
    /// Another round takes it, or has taken it.
    Elsewhere,
    /// It is only counted.
    Counted,
}

impl Window {
    /// `kept_back` counts the files that a direction which is off keeps back.
    pub(super) fn place(&self, local: &RelPath, remote: &RelPath, row: &Row, decision: &Decision, kept_back: &mut u64) -> Place {
        let may_be_moved = |mut marks: Vec<u64>| marks.drain(..).any(|mark| self.gone.contains(&mark));
        if let Some((side, key, marks)) = new_file(local, remote, row, decision) {
            let at = side as usize;
            let taken = self.round.below[at].is_none_or(|below| key < below) && self.floor[at].is_none_or(|floor| key >= floor);
            return match (self.round.first, taken) {
                (_, true) => Place::New,
                // What was renamed is told from what is new by looking at all of it together.
                (true, false) if may_be_moved(marks) => Place::Here,
                _ => Place::Elsewhere,
            };
        }
        if !self.round.first {
            return Place::Elsewhere;
        }
        if matches!(decision, Decision::Skip(Why::UploadOff | Why::DownloadOff)) && row.base.is_none() && !may_be_moved(all_marks(row)) {
            *kept_back += 1;
            return if *kept_back > NAMED { Place::Counted } else { Place::Here };
        }
        Place::Here
    }

    /// Whether the first round decides nothing but a part of what is new.
    pub(super) fn is_first(&self) -> bool {
        self.round.first
    }

    /// The round after this one, if anything is left for it.
    pub(super) fn next(&self) -> Option<Round> {
        let below = |side: usize| self.floor[side].or(Some((i64::MIN, 0)));
        (self.more[0] || self.more[1]).then(|| Round { limit: self.round.limit, below: [below(0), below(1)], first: false })
    }
}

/// A file that one side has and the other has never seen: the side, its age, and what it may be known by.
fn new_file(local: &RelPath, remote: &RelPath, row: &Row, decision: &Decision) -> Option<(Side, Key, Vec<u64>)> {
    let hash = |path: &RelPath| {
        let mut hasher = DefaultHasher::new();
        path.hash(&mut hasher);
        hasher.finish()
    };
    match (decision, &row.local, &row.remote) {
        (Decision::Upload(Why::New), Seen::File(here), _) => {
            Some((Side::Local, (here.mtime.0, hash(local)), marks(&here.digests.into()).collect()))
        }
        (Decision::Download(Why::New), _, Seen::File(there)) => {
            Some((Side::Remote, (there.modified.unwrap_or(i64::MIN + 1), hash(remote)), all_marks(row)))
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

    #[test]
    fn every_new_file_has_one_round_the_newest_first() {
        let rows: Vec<_> = (0..10).map(row).collect();
        let mut round = Some(Round::first(4));
        let mut taken = Vec::new();
        while let Some(now) = round {
            let mut survey = Survey::new(now);
            let decided = || rows.iter().map(|(path, row)| (path, row, decide(row, &Policy::TWO_WAY)));
            decided().for_each(|(path, row, decision)| survey.see(path, path, row, &decision));
            let window = survey.window();
            let in_it = decided().filter(|(path, row, decision)| window.place(path, path, row, decision, &mut 0) == Place::New);
            taken.push(in_it.map(|(path, ..)| path.to_string()).collect::<Vec<_>>());
            round = window.next();
        }
        assert_eq!(taken, [vec!["6.jpg", "7.jpg", "8.jpg", "9.jpg"], vec!["2.jpg", "3.jpg", "4.jpg", "5.jpg"], vec!["0.jpg", "1.jpg"]]);
    }
}
