//! Two small trees and what the engine does with them, without a disk and a network.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;

use crate::reconcile::outcome::{Collector, Contents};
use crate::reconcile::*;
use crate::types::{Digests, Expect, KnownDigests, LocalVersion, Mtime, RelPath, RemoteVersion, Side};

/// Contents are letters; `0` is the empty file.
pub(super) type Tree = BTreeMap<RelPath, char>;

/// Two sides, their agreement, and what was replaced or removed here.
#[derive(Debug, Clone, Default)]
pub(super) struct World {
    pub(super) local: Tree,
    pub(super) remote: Tree,
    pub(super) base: BTreeMap<RelPath, (RelPath, Base)>,
    pub(super) trash: BTreeSet<char>,
    pub(super) digests: bool,
    /// Syncs so far: conflict copies of two runs have different names, as their times make them.
    pub(super) runs: u32,
    /// What cannot be read.
    pub(super) hidden: BTreeSet<(Side, RelPath)>,
}

#[derive(Debug, Clone)]
pub(super) enum Edit {
    Put(Side, usize, char),
    Remove(Side, usize),
    Rename(Side, usize, usize),
    Swap(Side, usize, usize),
    RenameFolder(Side, bool),
}

pub(super) const PATHS: [&str; 6] = ["a.jpg", "b.jpg", "d/a.jpg", "d/c.xmp", "d/b.jpg", "e/f.mov"];

pub(super) fn path(n: usize) -> RelPath {
    RelPath::parse(PATHS[n % PATHS.len()]).unwrap()
}

pub(super) fn bytes(content: char) -> Vec<u8> {
    if content == '0' { Vec::new() } else { vec![content as u8] }
}

pub(super) fn local_version(content: char) -> LocalVersion {
    LocalVersion { size: bytes(content).len() as u64, mtime: Mtime(content as i64), digests: Digests::of(&bytes(content)) }
}

impl World {
    pub(super) fn remote_version(&self, content: char) -> RemoteVersion {
        let digests = if self.digests { Digests::of(&bytes(content)).into() } else { KnownDigests::default() };
        let size = Some(bytes(content).len() as u64);
        RemoteVersion { size, etag: Some(format!("etag of {content}")), modified: Some(content as i64), digests, weak: false }
    }

    pub(super) fn apply(&mut self, edit: &Edit) {
        let tree = |world: &mut Self, side: Side| {
            if side == Side::Local { std::mem::take(&mut world.local) } else { std::mem::take(&mut world.remote) }
        };
        let (Edit::Put(side, ..) | Edit::Remove(side, _) | Edit::Rename(side, ..) | Edit::Swap(side, ..) | Edit::RenameFolder(side, _)) =
            edit;
        let side = *side;
        let mut files = tree(self, side);
        match edit {
            Edit::Put(_, at, content) => drop(files.insert(path(*at), *content)),
            Edit::Remove(_, at) => drop(files.remove(&path(*at))),
            Edit::Rename(_, from, to) if !files.contains_key(&path(*to)) => {
                if let Some(content) = files.remove(&path(*from)) {
                    files.insert(path(*to), content);
                }
            }
            Edit::Rename(..) => {}
            Edit::Swap(_, one, other) => {
                let (one, other) = (path(*one), path(*other));
                if let (Some(first), Some(second)) = (files.get(&one).copied(), files.get(&other).copied()) {
                    files.extend([(one, second), (other, first)]);
                }
            }
            Edit::RenameFolder(_, back) => {
                let (from, to) = if *back { ("g", "d") } else { ("d", "g") };
                let (from, to) = (RelPath::parse(from).unwrap(), RelPath::parse(to).unwrap());
                if !files.keys().any(|path| path.strip_prefix(&to).is_some()) {
                    let moved = |path: RelPath| path.strip_prefix(&from).map_or(path, |below| to.join_path(&below));
                    files = files.into_iter().map(|(path, content)| (moved(path), content)).collect();
                }
            }
        }
        match side {
            Side::Local => self.local = files,
            Side::Remote => self.remote = files,
        }
    }

    pub(super) fn row(&self, local: &RelPath, remote: &RelPath) -> Row {
        let covered = Coverage::default().of(local).unwrap();
        Row {
            base: self.base.get(local).map(|(_, base)| base.clone()),
            local: match self.hidden.contains(&(Side::Local, local.clone())) {
                true => Seen::Unknown("hidden".into()),
                false => self.local.get(local).map_or(Seen::Absent(covered), |content| Seen::File(local_version(*content))),
            },
            remote: match self.hidden.contains(&(Side::Remote, remote.clone())) {
                true => Seen::Unknown("hidden".into()),
                false => self.remote.get(remote).map_or(Seen::Absent(covered), |content| Seen::File(self.remote_version(*content))),
            },
        }
    }

    /// What the engine does, without a disk and a network.
    pub(super) fn plan(&self, policy: Policy) -> Plan {
        let mut collector = Collector::new(policy, format!("conflict svc {}", self.runs));
        let joined: BTreeMap<_, _> =
            self.base.iter().filter(|(_, (_, base))| base.remote.is_some()).map(|(l, (r, _))| (r.clone(), l.clone())).collect();
        let mut paths: BTreeSet<RelPath> = self.local.keys().chain(self.base.keys()).cloned().collect();
        paths.extend(self.remote.keys().filter(|path| joined.get(*path).is_none_or(|local| local == *path)).cloned());
        for local in paths {
            if parking::content_of(&local).is_some() {
                let here = self.local.get(&local).map(|content| Held::Local(local_version(*content)));
                let there = self.remote.get(&local).map(|content| Held::Remote(self.remote_version(*content)));
                here.into_iter().chain(there).for_each(|held| collector.park(local.clone(), held));
                continue;
            }
            let remote = self.base.get(&local).map_or(&local, |(remote, _)| remote).clone();
            let taken = joined.get(&local).is_some_and(|owner| *owner != local);
            if taken && !self.base.contains_key(&local) || remote != local && self.remote.contains_key(&local) && !taken {
                continue;
            }
            let mut row = self.row(&local, &remote);
            let mut decision = decide(&row, &policy);
            if decision == Decision::NeedDigest(Side::Remote) {
                row.remote = Seen::File(RemoteVersion {
                    digests: Digests::of(&bytes(self.remote[&remote])).into(),
                    ..self.remote_version(self.remote[&remote])
                });
                decision = decide(&row, &policy);
                assert!(!matches!(decision, Decision::NeedDigest(_)), "asked twice for the digest of {remote}");
            }
            collector.push(local, remote, row, decision);
        }
        let Ok(outcome) = collector.finish(self);
        Plan::from(guard::guard(outcome, true).unwrap())
    }

    /// The steps in the order in which the engine takes them.
    pub(super) fn in_order(plan: &Plan) -> Vec<Step> {
        let rank = |step: &Step| match &step.action {
            Action::Adopt { .. } | Action::Tombstone { .. } | Action::Forget => 0,
            Action::Move { .. } | Action::MoveFolder { .. } | Action::Park { .. } => 1,
            Action::Copy { .. } => 2,
            Action::Upload { .. } | Action::Download { .. } | Action::Conflict { .. } => 3,
            Action::Delete { .. } => 4,
        };
        let mut steps = plan.steps.clone();
        steps.sort_by_key(rank);
        steps
    }

    pub(super) fn carry_out(&mut self, plan: &Plan, policy: Policy) {
        Self::in_order(plan).iter().for_each(|step| self.take(step, policy, true));
    }

    pub(super) fn tree(&mut self, side: Side) -> &mut Tree {
        if side == Side::Local { &mut self.local } else { &mut self.remote }
    }

    /// What is replaced on a side; only what the step expects to find.
    pub(super) fn replace(&mut self, side: Side, at: &RelPath, held: Option<&Held>) {
        let old = self.tree(side).remove(at);
        let expected = match held {
            Some(Held::Local(version)) => Some(version.digests),
            Some(Held::Remote(version)) => {
                let old = Digests::of(&bytes(old.unwrap()));
                assert!(version.digests.agree(&old.into()) != Some(false));
                Some(old)
            }
            None => None,
        };
        assert_eq!(old.map(|content| Digests::of(&bytes(content))), expected, "{at} is overwritten");
        if side == Side::Local {
            self.trash.extend(old);
        }
    }

    /// Takes one step, as the engine does; a run may break off before the step is `recorded`.
    pub(super) fn take(&mut self, step: &Step, policy: Policy, recorded: bool) {
        let (local, remote) = (step.local.clone(), step.remote.clone());
        let old = self.base.clone();
        match &step.action {
            Action::Upload { expect, .. } => {
                self.holds_remote(expect, &remote);
                let content = self.local[&local];
                self.remote.insert(remote.clone(), content);
                self.agree(local, remote);
            }
            Action::Download { expect, .. } => {
                assert_eq!(matches!(expect, Expect::Absent), !self.local.contains_key(&local), "{step:?}");
                let content = self.remote[&remote];
                self.trash.extend(self.local.insert(local.clone(), content));
                self.agree(local, remote);
            }
            Action::Adopt { base, .. } => {
                base.as_ref().map(|base| self.base.remove(base));
                self.agree(local, remote);
            }
            Action::Conflict { copy, .. } => {
                let theirs = self.remote[&remote];
                assert!(!self.remote.contains_key(copy) && !self.local.contains_key(copy), "{step:?}");
                if policy.upload {
                    self.remote.remove(&remote);
                    self.remote.insert(copy.clone(), theirs);
                    self.remote.insert(remote.clone(), self.local[&local]);
                }
                if policy.download {
                    self.local.insert(copy.clone(), theirs);
                }
                if policy.upload && policy.download {
                    self.agree(copy.clone(), copy.clone());
                }
                self.agree(local, remote);
            }
            Action::Move { side, from, base, replaces, agreed, .. } => {
                self.replace(*side, step.at(*side), replaces.as_deref());
                let content = self.tree(*side).remove(from).unwrap_or_else(|| panic!("{from} is not there: {step:?}"));
                self.tree(*side).insert(step.at(*side).clone(), content);
                base.as_ref().map(|base| self.base.remove(base));
                match agreed {
                    Some(agreed) => drop(self.base.insert(local, (remote, Base::clone(agreed)))),
                    None => {
                        assert_eq!(self.local[&local], self.remote[&remote], "{step:?}");
                        self.agree(local, remote);
                    }
                }
            }
            Action::MoveFolder { side, from, files } => {
                let to = step.at(*side);
                let (inside, outside): (Tree, Tree) =
                    std::mem::take(self.tree(*side)).into_iter().partition(|(path, _)| path.strip_prefix(from).is_some());
                assert!(!outside.keys().any(|path| path.strip_prefix(to).is_some()), "{to} is taken: {step:?}");
                assert_eq!(inside.len(), files.len(), "something is moved that nobody moved");
                let inside = inside.into_iter().map(|(path, content)| (to.join_path(&path.strip_prefix(from).unwrap()), content));
                let moved = outside.into_iter().chain(inside).collect();
                *self.tree(*side) = moved;
                for file in files {
                    let Action::Move { base: Some(base), .. } = &file.action else { panic!("{file:?}") };
                    assert_eq!(self.local[&file.local], self.remote[&file.remote], "{step:?}");
                    self.base.remove(base);
                    self.agree(file.local.clone(), file.remote.clone());
                }
            }
            Action::Park { side, to, .. } => {
                self.replace(*side, to, None);
                let content = self.tree(*side).remove(step.at(*side)).unwrap();
                self.tree(*side).insert(to.clone(), content);
            }
            Action::Copy { side, from, replaces, .. } => {
                self.replace(*side, step.at(*side), replaces.as_deref());
                let content = self.tree(*side)[from];
                self.tree(*side).insert(step.at(*side).clone(), content);
                assert_eq!(self.local[&local], self.remote[&remote], "{step:?}");
                self.agree(local, remote);
            }
            Action::Delete { side: Side::Local, .. } => {
                self.trash.extend(self.local.remove(&local));
                self.base.remove(&local);
            }
            Action::Delete { side: Side::Remote, .. } => {
                self.remote.remove(&remote);
                self.base.remove(&local);
            }
            Action::Tombstone { local: l, remote: r } => {
                let at = if r.is_some() { remote } else { local.clone() };
                self.base.insert(local, (at, Base { local: *l, remote: r.clone() }));
            }
            Action::Forget => drop(self.base.remove(&local)),
        }
        if !recorded {
            self.base = old;
        }
    }

    pub(super) fn holds_remote(&self, expect: &Expect<RemoteVersion>, at: &RelPath) {
        assert_eq!(matches!(expect, Expect::Absent), !self.remote.contains_key(at), "{at}");
    }

    pub(super) fn agree(&mut self, local: RelPath, remote: RelPath) {
        self.base.retain(|other, (path, base)| *other == local || *path != remote || base.remote.is_none());
        let base = Base {
            local: Some(local_version(self.local[&local])),
            remote: Some(RemoteVersion {
                digests: Digests::of(&bytes(self.remote[&remote])).into(),
                ..self.remote_version(self.remote[&remote])
            }),
        };
        self.base.insert(local, (remote, base));
    }

    pub(super) fn sync(&mut self, policy: Policy) -> Plan {
        let plan = self.plan(policy);
        self.carry_out(&plan, policy);
        self.runs += 1;
        plan
    }

    pub(super) fn contents(&self) -> BTreeSet<char> {
        self.local.values().chain(self.remote.values()).copied().collect()
    }
}

impl Contents for World {
    type Error = Infallible;

    fn holding(
        &self,
        side: Side,
        digests: &KnownDigests,
        size: Option<u64>,
        wanted: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Option<(RelPath, Held)>, Infallible> {
        let tree = if side == Side::Local { &self.local } else { &self.remote };
        if side == Side::Remote && !self.digests {
            return Ok(None);
        }
        let same = |content: char| {
            let here = local_version(content);
            digests.agree(&here.digests.into()) == Some(true) && size.is_none_or(|size| size == here.size)
        };
        let held = |content: char| match side {
            Side::Local => Held::Local(local_version(content)),
            Side::Remote => Held::Remote(self.remote_version(content)),
        };
        Ok(tree.iter().find(|(path, content)| same(**content) && wanted(path)).map(|(path, content)| (path.clone(), held(*content))))
    }

    fn files_below(&self, side: Side, path: &RelPath) -> Result<Option<u64>, Infallible> {
        if self.hidden.iter().any(|(at, hidden)| *at == side && hidden.strip_prefix(path).is_some()) {
            return Ok(None);
        }
        let tree = if side == Side::Local { &self.local } else { &self.remote };
        Ok(Some(tree.keys().filter(|file| file.strip_prefix(path).is_some()).count() as u64))
    }

    fn has_folder(&self, side: Side, path: &RelPath) -> Result<bool, Infallible> {
        Ok(self.files_below(side, path)? != Some(0))
    }
}
