//! Which contents a side has already when a place on it wants them: they are moved or copied there instead of sent.
//!
//! A content comes, in this order, from: a file that a run left under a name of ours; a file that the other side has no more; a place that gets
//! another content in the same way (so names are exchanged); a place whose content is about to be replaced; any other place. The first three
//! are moved, the others copied. A second copy of a new photo is superfluous while its content stays.

use std::collections::HashSet;

use crate::types::{KnownDigests, RelPath, Side};

use super::finder::Finder;
use super::outcome::{Collector, Contents, Item, deduplicates};
use super::{Action, Decision, Held, Step, Why};

/// Where a content comes from.
#[derive(Debug)]
enum Source {
    Parked(usize),
    Gone(usize),
    /// A place that wants something else: an index into the targets.
    Place(usize),
    /// Anywhere else, after all moves.
    Lasting(RelPath, Held),
}

/// The state of arranging one side.
struct Arranging<'a> {
    side: Side,
    /// What wants a content: first the places that have something, then files that are new on the other side.
    targets: Vec<Item>,
    gone: &'a mut Vec<Item>,
    parked: &'a mut Vec<(RelPath, Held, KnownDigests)>,
    by_parked: Finder<usize>,
    by_gone: Finder<usize>,
    by_place: Finder<usize>,
    /// By target: whether its own content comes from this side, so that what is there now has to make room.
    arranged: Vec<bool>,
    /// By target: whether what was there has been moved away.
    vacated: Vec<bool>,
    /// What is where on the side when all moves are done.
    placed: Finder<(RelPath, usize)>,
    placed_held: Vec<Held>,
    doomed: HashSet<RelPath>,
}

impl Collector {
    /// Decides for each content that `side` wants whether it is moved, copied, left out or sent.
    pub(super) fn arrange<C: Contents>(&mut self, side: Side, moves: &mut Vec<Step>, contents: &C) -> Result<(), C::Error> {
        let (s, origin) = (side as usize, side.other());
        let mut targets = std::mem::take(&mut self.wants[s]);
        let mut new = std::mem::take(&mut self.new[origin as usize]);
        // The newest first: they are missed most.
        match origin {
            Side::Local => new.sort_by_key(|item| std::cmp::Reverse(item.here.map(|here| here.mtime))),
            Side::Remote => new.sort_by_key(|item| std::cmp::Reverse(item.there.as_ref().and_then(|there| there.modified))),
        }
        targets.extend(new);
        let may_place_new = self.may_move(side);
        let mut parked = std::mem::take(&mut self.parked[s]);
        let mut gone = std::mem::take(&mut self.gone[origin as usize]);
        let mut arranging = Arranging::new(side, targets, &mut gone, &mut parked, moves);
        arranging.find_arranged(contents)?;

        let mut steps = Vec::new();
        let mut sent = Finder::default();
        for at in 0..arranging.targets.len() {
            let item = &arranging.targets[at];
            let (digests, to) = (item.digests(origin), item.at(side).clone());
            let is_new = matches!(item.decision, Decision::Upload(Why::New) | Decision::Download(Why::New));
            let superfluous = is_new && deduplicates(&to);
            let known = arranging.placed.all(&digests).map(|(path, _)| path).chain(sent.all(&digests)).next().cloned();
            if let Some(path) = known.filter(|_| superfluous) {
                self.skip(to, Why::SameContentAt { path });
                continue;
            }
            let source = if is_new && !may_place_new { arranging.lasting(at, contents)? } else { arranging.source(at, contents)? };
            match source {
                Some(Source::Lasting(path, _)) if superfluous => self.skip(to, Why::SameContentAt { path }),
                Some(source) if !is_new || may_place_new => {
                    arranging.place(at, &source, &digests);
                    sent.insert(&digests, to);
                    steps.push((at, source));
                }
                _ => {
                    sent.insert(&digests, to);
                    let target = &mut arranging.targets[at];
                    // Nobody looks at a new file again, and there may be very many.
                    let item = if is_new { target.give_up() } else { target.clone() };
                    self.transfer(side, item);
                }
            }
        }
        for (at, source) in steps {
            let Some(step) = arranging.step(at, source) else { continue };
            match step.action {
                Action::Move { .. } => moves.push(step),
                _ => self.steps.push(step),
            }
        }
        let left: Vec<_> = arranging.left_parked();
        left.into_iter().for_each(|path| self.skip(path, Why::LeftParked { side }));
        gone.retain(|item| !item.taken);
        self.gone[origin as usize] = gone;
        Ok(())
    }
}

impl<'a> Arranging<'a> {
    fn new(
        side: Side,
        targets: Vec<Item>,
        gone: &'a mut Vec<Item>,
        parked: &'a mut Vec<(RelPath, Held, KnownDigests)>,
        moves: &[Step],
    ) -> Self {
        let (mut by_parked, mut by_gone, mut by_place) = (Finder::default(), Finder::default(), Finder::default());
        let mut placed = Finder::default();
        let mut placed_held = Vec::new();
        let mut doomed = HashSet::new();
        for (at, (path, _, digests)) in parked.iter().enumerate() {
            by_parked.insert(digests, at);
            doomed.insert(path.clone());
        }
        for (at, item) in gone.iter().enumerate() {
            by_gone.insert(&item.digests(side), at);
            doomed.insert(item.at(side).clone());
        }
        for (at, item) in targets.iter().enumerate().filter(|(_, item)| item.held(side).is_some()) {
            by_place.insert(&item.digests(side), at);
            doomed.insert(item.at(side).clone());
        }
        for step in moves {
            if let Action::Move { from, local, remote, agreed, .. } = &step.action {
                doomed.insert(from.clone());
                let edited = agreed.is_some() && side == Side::Remote;
                let digests = if edited { remote.digests } else { local.digests.into() };
                placed.insert(&digests, (step.at(side).clone(), placed_held.len()));
                placed_held.push(if side == Side::Local { Held::Local(*local) } else { Held::Remote(remote.clone()) });
            }
        }
        let (arranged, vacated) = (vec![false; targets.len()], vec![false; targets.len()]);
        Self { side, targets, gone, parked, by_parked, by_gone, by_place, arranged, vacated, placed, placed_held, doomed }
    }

    /// What the target wants: its digests and size on the other side.
    fn wanted(&self, at: usize) -> (KnownDigests, Option<u64>) {
        let item = &self.targets[at];
        (item.digests(self.side.other()), item.size(self.side.other()))
    }

    fn find_arranged<C: Contents>(&mut self, contents: &C) -> Result<(), C::Error> {
        for at in 0..self.targets.len() {
            if self.targets[at].held(self.side).is_none() {
                continue;
            }
            let (digests, size) = self.wanted(at);
            let fits = |item: &Item| same_size(size, item.size(self.side));
            self.arranged[at] = self.by_parked.all(&digests).next().is_some()
                || self.by_gone.all(&digests).any(|&other| fits(&self.gone[other]))
                || self.by_place.all(&digests).any(|&other| other != at && fits(&self.targets[other]))
                || self.lasting(at, contents)?.is_some();
        }
        Ok(())
    }

    /// The best source of what a target wants. What is moved is not found again.
    fn source<C: Contents>(&mut self, at: usize, contents: &C) -> Result<Option<Source>, C::Error> {
        let (digests, size) = self.wanted(at);
        let side = self.side;
        if let Some(parked) = self.by_parked.take_if(&digests, |_| true) {
            return Ok(Some(Source::Parked(parked)));
        }
        if let Some(other) = self.by_gone.take_if(&digests, |&other| same_size(size, self.gone[other].size(side))) {
            self.gone[other].taken = true;
            return Ok(Some(Source::Gone(other)));
        }
        let fits = |other: &usize| *other != at && !self.vacated[*other] && same_size(size, self.targets[*other].size(side));
        let place = self.by_place.all(&digests).copied().filter(fits).max_by_key(|&other| self.arranged[other]);
        if let Some(other) = place {
            self.vacated[other] = self.arranged[other];
            return Ok(Some(Source::Place(other)));
        }
        self.lasting(at, contents)
    }

    /// A place that has the content and keeps it.
    fn lasting<C: Contents>(&self, at: usize, contents: &C) -> Result<Option<Source>, C::Error> {
        let (digests, size) = self.wanted(at);
        if digests.is_empty() {
            return Ok(None);
        }
        if let Some((path, held)) = self.placed.all(&digests).next() {
            return Ok(self.placed_held.get(*held).map(|held| Source::Lasting(path.clone(), held.clone())));
        }
        let found = contents.holding(self.side, &digests, size, &|path| !self.doomed.contains(path))?;
        Ok(found.map(|(path, held)| Source::Lasting(path, held)))
    }

    /// Remembers where a moved content goes: others may be copied from there.
    fn place(&mut self, at: usize, source: &Source, digests: &KnownDigests) {
        let held = match source {
            Source::Parked(other) => Some(self.parked[*other].1.clone()),
            Source::Gone(other) => self.gone[*other].held(self.side),
            Source::Place(other) if self.vacated[*other] => self.targets[*other].held(self.side),
            Source::Place(_) | Source::Lasting(..) => None,
        };
        if let Some(held) = held {
            self.placed.insert(digests, (self.targets[at].at(self.side).clone(), self.placed_held.len()));
            self.placed_held.push(held);
        }
    }

    fn step(&self, at: usize, source: Source) -> Option<Step> {
        let (side, item) = (self.side, &self.targets[at]);
        let replaces = item.held(side).filter(|_| !self.vacated[at]).map(Box::new);
        let (from, held, base, moves) = match source {
            Source::Parked(other) => (self.parked[other].0.clone(), self.parked[other].1.clone(), None, true),
            Source::Gone(other) => {
                let gone = &self.gone[other];
                (gone.at(side).clone(), gone.held(side)?, Some(gone.local.clone()), true)
            }
            Source::Place(other) => {
                let place = &self.targets[other];
                (place.at(side).clone(), place.held(side)?, None, self.vacated[other])
            }
            Source::Lasting(path, held) => (path, held, None, false),
        };
        let (local, remote) = match held {
            Held::Local(local) => (local, item.there.clone()?),
            Held::Remote(remote) => (item.here?, remote),
        };
        let (action, why) = if moves {
            (Action::Move { side, from, base, local, remote, replaces, agreed: None }, Why::Moved)
        } else {
            let why = Why::SameContentAt { path: from.clone() };
            (Action::Copy { side, from, local, remote, replaces }, why)
        };
        Some(Step { local: item.local.clone(), remote: item.remote.clone(), action, why })
    }

    fn left_parked(&self) -> Vec<RelPath> {
        let left = self.parked.iter().enumerate().filter(|(at, (.., digests))| self.by_parked.all(digests).any(|other| other == at));
        left.map(|(_, (path, ..))| path.clone()).collect()
    }
}

/// Whether two sizes do not contradict each other.
fn same_size(one: Option<u64>, other: Option<u64>) -> bool {
    one.zip(other).is_none_or(|(one, other)| one == other)
}
