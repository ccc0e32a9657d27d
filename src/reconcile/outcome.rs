//! Collects decisions, then looks at them together: renames, exchanged names, and contents that the other side already has.

use std::collections::HashMap;

use crate::types::{Expect, KnownDigests, LocalVersion, MediaKind, RelPath, RemoteVersion, Side};

use super::finder::{Finder, Look};
use super::{Action, Base, Decision, Held, Policy, Row, Seen, Skipped, Step, Totals, Why, order};

/// Answers what the sides hold beyond the rows that changed. The engine asks its index; tests ask a map.
pub trait Contents {
    /// What may go wrong while looking.
    type Error;

    /// A path on `side` that holds this content, of this size where that is known, if there is one that is `wanted`; and what is there.
    fn holding(
        &self,
        side: Side,
        digests: &KnownDigests,
        size: Option<u64>,
        wanted: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Option<(RelPath, Held)>, Self::Error>;

    /// How many files `side` has at and below a path, filtered ones too; none when not everything there could be seen.
    fn files_below(&self, side: Side, path: &RelPath) -> Result<Option<u64>, Self::Error>;

    /// Whether a folder is known to be on `side`.
    fn has_folder(&self, side: Side, path: &RelPath) -> Result<bool, Self::Error>;
}

/// What reconcile found; not yet allowed to happen (see [`guard`](super::guard::guard)).
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    pub(super) steps: Vec<Step>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) totals: Totals,
}

impl Outcome {
    /// The steps it would take.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }
}

/// One row that something is to be done about.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub local: RelPath,
    pub remote: RelPath,
    pub here: Option<LocalVersion>,
    pub there: Option<RemoteVersion>,
    pub base: Option<Box<Base>>,
    pub decision: Decision,
    /// Another item has taken its part over.
    pub taken: bool,
}

impl Item {
    pub(super) fn at(&self, side: Side) -> &RelPath {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }

    /// Gives away everything in it.
    pub(super) fn give_up(&mut self) -> Item {
        let nothing = Item {
            local: RelPath::root(),
            remote: RelPath::root(),
            here: None,
            there: None,
            base: None,
            decision: Decision::Nothing,
            taken: true,
        };
        std::mem::replace(self, nothing)
    }

    /// What a side holds of it now.
    pub(super) fn held(&self, side: Side) -> Option<Held> {
        match side {
            Side::Local => self.here.map(Held::Local),
            Side::Remote => self.there.clone().map(Held::Remote),
        }
    }

    /// The digests of what a side holds now, as far as they are known.
    pub(super) fn digests(&self, side: Side) -> KnownDigests {
        match (side, &self.here, &self.there) {
            (Side::Local, Some(here), _) => here.digests.into(),
            // Not every service tells digests; what it has not changed since is what was proven then.
            (Side::Remote, _, Some(there)) => match self.base.as_ref().and_then(|base| base.remote.as_ref()) {
                Some(then) if !then.digests.is_empty() && there.unchanged_since(then) => then.digests,
                _ => there.digests,
            },
            _ => KnownDigests::default(),
        }
    }

    /// The digests that both sides agreed on.
    pub(super) fn agreed(&self) -> KnownDigests {
        match self.base.as_deref() {
            Some(Base { local: Some(local), remote: Some(remote) }) if local.is(remote) == Some(true) => local.digests.into(),
            _ => KnownDigests::default(),
        }
    }

    pub(super) fn size(&self, side: Side) -> Option<u64> {
        match side {
            Side::Local => self.here.map(|here| here.size),
            Side::Remote => self.there.as_ref().and_then(|there| there.size),
        }
    }
}

/// A value for each side.
pub(super) type Both<T> = [T; 2];

/// Takes decisions one by one and makes an [`Outcome`] of them.
#[derive(Debug)]
pub struct Collector {
    pub(super) policy: Policy,
    conflict_note: String,
    pub(super) steps: Vec<Step>,
    skipped: Vec<Skipped>,
    totals: Totals,
    /// By the side that has them: files that the other side has never seen.
    pub(super) new: Both<Vec<Item>>,
    /// By the side that has them: such files, when they may not go to the other side.
    kept_back: Both<Vec<Item>>,
    /// By the side that lost them: files that the other side has unchanged.
    pub(super) gone: Both<Vec<Item>>,
    /// By the side that wants a content in its place: updates, and edits that beat a deletion.
    pub(super) wants: Both<Vec<Item>>,
    /// By side: files that get the name that they have on the other side.
    unjoined: Both<Vec<Step>>,
    /// By side: files that a run which broke off left under a name of ours.
    pub(super) parked: Both<Vec<(RelPath, Held, KnownDigests)>>,
}

impl Collector {
    /// `conflict_note` goes into the names of conflict copies: `conflict SERVICE YYYY-MM-DD HHMMSS`.
    pub fn new(policy: Policy, conflict_note: String) -> Self {
        Self {
            policy,
            conflict_note,
            steps: Vec::new(),
            skipped: Vec::new(),
            totals: Totals::default(),
            new: Both::default(),
            kept_back: Both::default(),
            gone: Both::default(),
            wants: Both::default(),
            unjoined: Both::default(),
            parked: Both::default(),
        }
    }

    /// Leaves out a file that a filter excludes. It is invisible, on both sides, to everything else.
    pub fn skip(&mut self, path: RelPath, why: Why) {
        self.skipped.push(Skipped { path, why });
    }

    /// Gives a file that is in step, under a name of its own on each side, on `side` the name that it has on the other one: a new file of
    /// the other side has its name there. Nothing may be at `to`.
    pub fn rename_apart(&mut self, side: Side, from: RelPath, to: RelPath, local: LocalVersion, remote: RemoteVersion) {
        let action = Action::Move { side, from, base: None, local, remote, replaces: None, agreed: None };
        self.unjoined[side as usize].push(Step { local: to.clone(), remote: to, action, why: Why::NameWanted });
    }

    /// Takes apart what is in step under a name of its own on each side: new files have both names.
    pub fn part(&mut self, local: RelPath, remote: RelPath) {
        self.steps.push(Step { local, remote, action: Action::Forget, why: Why::NamesWanted });
    }

    /// Takes a file that waits under a name of ours (see [`parking`](super::parking)).
    pub fn park(&mut self, path: RelPath, held: Held) {
        let named = super::parking::content_of(&path).unwrap_or_default();
        let (side, digests) = match &held {
            Held::Local(version) => (Side::Local, version.digests.into()),
            Held::Remote(version) if version.digests.is_empty() => (Side::Remote, named),
            Held::Remote(version) => (Side::Remote, version.digests),
        };
        self.parked[side as usize].push((path, held, digests));
    }

    /// Counts a row that takes part and is decided elsewhere: what the guard calls many is measured by all files.
    pub fn count(&mut self, row: &Row) {
        self.totals.count(row);
    }

    /// Takes one decided row. `local` and `remote` are its paths on the two sides.
    pub fn push(&mut self, local: RelPath, remote: RelPath, row: Row, decision: Decision) {
        self.totals.count(&row);
        let here = match row.local {
            Seen::File(version) => Some(version),
            _ => None,
        };
        let there = match row.remote {
            Seen::File(version) => Some(version),
            _ => None,
        };
        if decision == Decision::Nothing {
            return;
        }

        let item = Item { local, remote, here, there, base: row.base.map(Box::new), decision, taken: false };
        let list = match (&item.decision, &item.here, &item.there) {
            (Decision::Upload(Why::New), Some(_), None) => &mut self.new[Side::Local as usize],
            (Decision::Download(Why::New), None, Some(_)) => &mut self.new[Side::Remote as usize],
            (Decision::Skip(Why::UploadOff), Some(_), None) if item.base.is_none() => &mut self.kept_back[Side::Local as usize],
            (Decision::Skip(Why::DownloadOff), None, Some(_)) if item.base.is_none() => &mut self.kept_back[Side::Remote as usize],
            (Decision::Tombstone(Side::Local) | Decision::Delete(Side::Remote), None, Some(_)) => &mut self.gone[Side::Local as usize],
            (Decision::Tombstone(Side::Remote) | Decision::Delete(Side::Local), Some(_), None) => &mut self.gone[Side::Remote as usize],
            (Decision::Upload(_), Some(_), _) => &mut self.wants[Side::Remote as usize],
            (Decision::Download(_), _, Some(_)) => &mut self.wants[Side::Local as usize],
            _ => return self.push_settled(item),
        };
        list.push(item);
    }

    /// What needs no look at other rows.
    fn push_settled(&mut self, item: Item) {
        let Item { local, remote, here, there, decision, .. } = item;
        let (action, why) = match (decision, here, there) {
            (Decision::Adopt, Some(local), Some(remote)) => (Action::Adopt { local, remote, base: None }, Why::SameContent),
            (Decision::Conflict, Some(here), Some(there)) => {
                let copy = local.with_note(&self.conflict_note);
                (Action::Conflict { local: here, remote: there, copy }, Why::BothChanged)
            }
            (Decision::Forget, ..) => (Action::Forget, Why::Deleted),
            (Decision::Skip(why), ..) => return self.skip(local, why),
            // The rest cannot come from a row that `decide` saw.
            _ => return,
        };
        self.steps.push(Step { local, remote, action, why });
    }

    /// Looks at all decisions together.
    pub fn finish<C: Contents>(mut self, contents: &C) -> Result<Outcome, C::Error> {
        let mut moves = std::mem::take(&mut self.unjoined);
        for origin in [Side::Local, Side::Remote] {
            self.follow_renames(origin, &mut moves[origin.other() as usize]);
        }
        self.match_new_with_new();
        for side in [Side::Remote, Side::Local] {
            self.arrange(side, &mut moves[side as usize], contents)?;
        }
        let mut later = Vec::new();
        for (side, moves) in [Side::Local, Side::Remote].into_iter().zip(moves) {
            let (first, rest) = order::first(self.gather_folders(side, moves, contents)?);
            self.steps.extend(first);
            later.extend(order::ordered(side, rest));
        }
        self.steps.extend(later);
        self.follow_deletions();
        for item in std::mem::take(&mut self.kept_back).into_iter().flatten().filter(|item| !item.taken) {
            if let Decision::Skip(why) = item.decision {
                self.skip(item.local, why);
            }
        }
        Ok(Outcome { steps: self.steps, skipped: self.skipped, totals: self.totals })
    }

    /// Whether paths on a side may be changed to follow the other side's.
    pub(super) fn may_move(&self, side: Side) -> bool {
        match side {
            Side::Remote => self.policy.upload,
            Side::Local => self.policy.download && self.policy.keep_names,
        }
    }

    /// A path gone on `origin` and the same content new there: the file was renamed there, so rename it on the other side. Where that may
    /// not be, only the agreement follows.
    fn follow_renames(&mut self, origin: Side, moves: &mut Vec<Step>) {
        let (o, side) = (origin as usize, origin.other());
        let (may_move, keep_names) = (self.may_move(side), self.policy.keep_names);
        let mut gone = Finder::default();
        self.gone[o].iter().enumerate().for_each(|(at, item)| gone.insert(&item.agreed(), at));
        let mut looks: HashMap<Look, Vec<usize>> = HashMap::new();
        if origin == Side::Remote {
            let look = |item: &Item| Look::of(item.base.as_ref()?.remote.as_ref()?).filter(|_| !item.agreed().is_empty());
            for (at, look) in self.gone[o].iter().enumerate().filter_map(|(at, item)| Some((at, look(item)?))) {
                looks.entry(look).or_default().push(at);
            }
        }
        let mut edited = Finder::default();
        let deleted = |item: &Item| item.held(origin).is_none();
        self.wants[o].iter().enumerate().filter(|(_, item)| deleted(item)).for_each(|(at, item)| edited.insert(&item.agreed(), at));
        let list = if self.kept_back[o].is_empty() { &mut self.new[o] } else { &mut self.kept_back[o] };
        for new in list {
            let digests = new.digests(origin);
            let known = !digests.is_empty();
            let by_look = || {
                let alike = looks.get_mut(&Look::of(new.there.as_ref().filter(|_| !known && may_move)?)?)?;
                // Of files that look alike the one of the same name: a whole folder may have been renamed.
                let namesake = alike.iter().position(|&at| self.gone[o].get(at).is_some_and(|old| old.remote.name() == new.remote.name()));
                (!alike.is_empty()).then(|| alike.swap_remove(namesake.unwrap_or(0)))
            };
            if let Some(old) = gone.take_if(&digests, |_| true).or_else(by_look).and_then(|at| self.gone[o].get_mut(at)) {
                // Where names here are not the service's, a file keeps the one that it has there.
                let may_move = may_move && (keep_names || old.local == old.remote);
                let step = if may_move { moved(side, old, new) } else { adopted(origin, old, new) };
                (old.taken, new.taken) = (true, true);
                match step {
                    Some(step) if may_move => moves.push(step),
                    step => self.steps.extend(step),
                }
            } else if may_move && let Some(old) = edited.take_if(&digests, |_| true).and_then(|at| self.wants[o].get_mut(at)) {
                // Renamed here and edited there: the name first, then the edit under the new name.
                let step = moved_and_edited(side, old, new);
                new.taken = step.is_some();
                moves.extend(step);
            }
        }
        self.new[o].retain(|item| !item.taken);
        self.gone[o].retain(|item| !item.taken);
    }

    /// The same content new on both sides under different names: one row joins them, nothing travels.
    fn match_new_with_new(&mut self) {
        if self.new.iter().any(Vec::is_empty) {
            return;
        }
        let [mut here, mut there] = std::mem::take(&mut self.new);
        let mut finder = Finder::default();
        let candidates = here.iter().enumerate().filter(|(_, item)| deduplicates(&item.local));
        candidates.for_each(|(at, item)| finder.insert(&item.digests(Side::Local), at));
        for item in there.iter_mut().filter(|item| deduplicates(&item.remote)) {
            let same =
                |at: &usize| here.get(*at).is_some_and(|new| new.here.zip(item.there.as_ref()).is_some_and(|(l, r)| l.is(r) == Some(true)));
            let Some(at) = finder.take_if(&item.digests(Side::Remote), same) else { continue };
            let partner = &mut here[at];
            if let (Some(local), Some(remote)) = (partner.here, item.there.clone()) {
                let why = Why::SameContentAt { path: item.remote.clone() };
                let action = Action::Adopt { local, remote, base: None };
                self.steps.push(Step { local: partner.local.clone(), remote: item.remote.clone(), action, why });
                (partner.taken, item.taken) = (true, true);
            }
        }
        here.retain(|item| !item.taken);
        there.retain(|item| !item.taken);
        self.new = [here, there];
    }

    /// What left one side and turned up nowhere else was deleted.
    fn follow_deletions(&mut self) {
        for item in std::mem::take(&mut self.gone).into_iter().flatten().filter(|item| !item.taken) {
            let action = match item.decision {
                Decision::Delete(side) => Action::Delete { side, local: item.here, remote: item.there },
                _ => Action::Tombstone { local: item.here, remote: item.there },
            };
            self.steps.push(Step { local: item.local, remote: item.remote, action, why: Why::Deleted });
        }
    }

    /// A content has to travel.
    pub(super) fn transfer(&mut self, side: Side, item: Item) {
        self.totals.count_change(side.other(), &item);
        let (action, why) = match (side, item.decision, item.here, item.there) {
            (Side::Remote, Decision::Upload(why), Some(source), there) => {
                (Action::Upload { source, expect: there.map_or(Expect::Absent, Expect::Version) }, why)
            }
            (Side::Local, Decision::Download(why), here, Some(source)) => {
                (Action::Download { source, expect: here.map_or(Expect::Absent, Expect::Version) }, why)
            }
            _ => return,
        };
        self.steps.push(Step { local: item.local, remote: item.remote, action, why });
    }
}

/// The file at `old`'s place on `side` gets `new`'s.
fn moved(side: Side, old: &Item, new: &Item) -> Option<Step> {
    let (local, remote) = match side {
        Side::Remote => (new.here?, old.there.clone()?),
        Side::Local => (old.here?, new.there.clone()?),
    };
    let from = old.at(side).clone();
    let action = Action::Move { side, from, base: Some(old.local.clone()), local, remote, replaces: None, agreed: None };
    let to = new.at(side.other()).clone();
    Some(Step { local: to.clone(), remote: to, action, why: Why::Moved })
}

/// The same, when `side` has edited the file meanwhile. `old`, which wants the edit, goes on under the new name.
fn moved_and_edited(side: Side, old: &mut Item, new: &Item) -> Option<Step> {
    if old.size(side) == Some(0) {
        // An empty file is no edit that replaces one with content.
        return None;
    }
    let mut step = moved(side, old, new)?;
    let base = old.base.as_ref()?;
    let agreed = Box::new(match side {
        Side::Remote => Base { local: new.here, remote: base.remote.clone() },
        Side::Local => Base { local: base.local, remote: new.there.clone() },
    });
    if let Action::Move { agreed: of_step, .. } = &mut step.action {
        *of_step = Some(agreed.clone());
    }
    old.base = Some(agreed);
    (old.local, old.remote) = (step.local.clone(), step.remote.clone());
    match side {
        Side::Remote => old.here = new.here,
        Side::Local => old.there = new.there.clone(),
    }
    old.decision = match side {
        Side::Remote => Decision::Download(Why::Changed),
        Side::Local => Decision::Upload(Why::Changed),
    };
    Some(step)
}

/// Names are not followed: the row joins the new name on `origin` to the old one on the other side.
fn adopted(origin: Side, old: &Item, new: &Item) -> Option<Step> {
    let base = Some(old.local.clone());
    let (local, remote, action) = match origin {
        Side::Local => (&new.local, &old.remote, Action::Adopt { local: new.here?, remote: old.there.clone()?, base }),
        Side::Remote => (&old.local, &new.remote, Action::Adopt { local: old.here?, remote: new.there.clone()?, base }),
    };
    Some(Step { local: local.clone(), remote: remote.clone(), action, why: Why::Moved })
}

/// Whether a second copy of the content is superfluous. Sidecars of two pictures may be alike to the byte and still
/// each belongs beside its own picture.
pub fn deduplicates(path: &RelPath) -> bool {
    MediaKind::of_extension(path.stem_and_extension().1).is_media()
}
