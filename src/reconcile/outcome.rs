//! Collects decisions, then looks at them together: renames, and contents that the other side already has.

use std::collections::{HashMap, HashSet};

use crate::types::{ContentHash, Expect, KnownDigests, LocalVersion, MediaKind, RelPath, RemoteVersion, Side};

use super::{Action, Decision, Policy, Row, Seen, Skipped, Step, Totals, Why};

/// Answers which paths already hold a content. The engine asks its index; tests ask a map.
pub trait Contents {
    /// What may go wrong while looking.
    type Error;

    /// A path on `side` that holds this content, of this size where that is known, if there is one.
    fn holding(&self, side: Side, digests: &KnownDigests, size: Option<u64>) -> Result<Option<RelPath>, Self::Error>;
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

/// Takes decisions one by one and makes an [`Outcome`] of them.
#[derive(Debug)]
pub struct Collector {
    policy: Policy,
    conflict_note: String,
    steps: Vec<Step>,
    skipped: Vec<Skipped>,
    totals: Totals,
    new_here: Vec<(RelPath, LocalVersion)>,
    new_there: Vec<(RelPath, RemoteVersion)>,
    gone_here: HashMap<ContentHash, Vec<Gone<RemoteVersion>>>,
    gone_there: Vec<(KnownDigests, Gone<LocalVersion>)>,
}

/// A file that left one side, and what the other side still has of it.
#[derive(Debug)]
struct Gone<V> {
    local: RelPath,
    remote: RelPath,
    stays: V,
    decision: Decision,
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
            new_here: Vec::new(),
            new_there: Vec::new(),
            gone_here: HashMap::new(),
            gone_there: Vec::new(),
        }
    }

    /// Leaves out a file that a filter excludes. It is invisible, on both sides, to everything else.
    pub fn skip(&mut self, path: RelPath, why: Why) {
        self.skipped.push(Skipped { path, why });
    }

    /// Takes one decided row. `local` and `remote` are its paths on the two sides.
    pub fn push(&mut self, local: RelPath, remote: RelPath, row: Row, decision: Decision) {
        let in_step = row.base.as_ref().is_some_and(|base| base.local.is_some() && base.remote.is_some());
        self.totals.in_step += u64::from(in_step);
        let local_base = row.base.as_ref().and_then(|base| base.local);
        let remote_base = row.base.as_ref().and_then(|base| base.remote.clone());
        let here = match row.local {
            Seen::File(version) => Some(version),
            _ => None,
        };
        let there = match row.remote {
            Seen::File(version) => Some(version),
            _ => None,
        };
        self.totals.local += u64::from(here.is_some());
        self.totals.remote += u64::from(there.is_some());

        let (action, why) = match (decision, here, there) {
            (Decision::Upload(Why::New), Some(here), None) => return self.new_here.push((local, here)),
            (Decision::Download(Why::New), None, Some(there)) => return self.new_there.push((remote, there)),
            (decision @ (Decision::Tombstone(Side::Local) | Decision::Delete(Side::Remote)), None, Some(there)) => {
                if let Some(was) = local_base {
                    let gone = Gone { local, remote, stays: there, decision };
                    self.gone_here.entry(was.digests.content).or_default().push(gone);
                }
                return;
            }
            (decision @ (Decision::Tombstone(Side::Remote) | Decision::Delete(Side::Local)), Some(here), None) => {
                let digests = remote_base.map(|was| was.digests).unwrap_or_default();
                self.gone_there.push((digests, Gone { local, remote, stays: here, decision }));
                return;
            }
            (Decision::Upload(why), Some(source), there) => {
                let expect = there.map_or(Expect::Absent, Expect::Version);
                (Action::Upload { source, expect }, why)
            }
            (Decision::Download(why), here, Some(source)) => {
                let expect = here.map_or(Expect::Absent, Expect::Version);
                (Action::Download { source, expect }, why)
            }
            (Decision::Adopt, Some(local), Some(remote)) => (Action::Adopt { local, remote, base: None }, Why::SameContent),
            (Decision::Conflict, Some(here), Some(there)) => {
                let copy = local.with_note(&self.conflict_note);
                (Action::Conflict { local: here, remote: there, copy }, Why::BothChanged)
            }
            (Decision::Forget, ..) => (Action::Forget, Why::Deleted),
            (Decision::Skip(why), ..) => return self.skip(local, why),
            // `Nothing` needs nothing; the rest cannot come from a row that `decide` saw.
            _ => return,
        };
        self.steps.push(Step { local, remote, action, why });
    }

    /// Looks at all decisions together.
    pub fn finish<C: Contents>(mut self, contents: &C) -> Result<Outcome, C::Error> {
        self.match_renames_here();
        self.match_renames_there();
        self.match_new_with_new();
        self.upload_what_is_missing(contents)?;
        self.download_what_is_missing(contents)?;
        self.follow_deletions();
        Ok(Outcome { steps: self.steps, skipped: self.skipped, totals: self.totals })
    }

    /// A path gone here and the same content new here: the file was renamed here, so rename it there.
    fn match_renames_here(&mut self) {
        for (path, version) in std::mem::take(&mut self.new_here) {
            let Some(gone) = self.gone_here.get_mut(&version.digests.content).and_then(Vec::pop) else {
                self.new_here.push((path, version));
                continue;
            };
            // Where names here are not the service's, a file keeps the one that it has there.
            let (remote, action) = if self.policy.upload && (self.policy.keep_names || gone.local == gone.remote) {
                let (side, from, base) = (Side::Remote, gone.remote, gone.local);
                (path.clone(), Action::Move { side, from, base, local: version, remote: gone.stays })
            } else {
                (gone.remote, Action::Adopt { local: version, remote: gone.stays, base: Some(gone.local) })
            };
            self.steps.push(Step { local: path, remote, action, why: Why::Moved });
        }
    }

    /// The mirror image: renamed there, so rename it here, unless names here are not the service's.
    fn match_renames_there(&mut self) {
        for (path, version) in std::mem::take(&mut self.new_there) {
            let same = |(digests, gone): &(KnownDigests, Gone<LocalVersion>)| {
                digests.agree(&version.digests) == Some(true) && version.size.is_none_or(|size| size == gone.stays.size)
            };
            let Some(at) = self.gone_there.iter().position(same) else {
                self.new_there.push((path, version));
                continue;
            };
            let (_, gone) = self.gone_there.swap_remove(at);
            let (local, action) = if self.policy.download && self.policy.keep_names {
                let (side, from, base) = (Side::Local, gone.local.clone(), gone.local);
                (path.clone(), Action::Move { side, from, base, local: gone.stays, remote: version })
            } else {
                (gone.local.clone(), Action::Adopt { local: gone.stays, remote: version, base: Some(gone.local) })
            };
            self.steps.push(Step { local, remote: path, action, why: Why::Moved });
        }
    }

    /// The same content new on both sides under different names: one row joins them, nothing travels.
    fn match_new_with_new(&mut self) {
        let mut here: HashMap<KnownKey, Vec<usize>> = HashMap::new();
        let candidates = self.new_here.iter().enumerate().filter(|(_, (path, _))| deduplicates(path));
        for (at, (_, version)) in candidates {
            for key in KnownKey::of(&version.digests.into()) {
                here.entry(key).or_default().push(at);
            }
        }
        let mut taken = vec![false; self.new_here.len()];
        for (path, version) in std::mem::take(&mut self.new_there) {
            let partner = KnownKey::of(&version.digests)
                .find_map(|key| here.get(&key)?.iter().copied().find(|&at| !taken[at] && self.new_here[at].1.is(&version) == Some(true)))
                .filter(|_| deduplicates(&path));
            let Some(at) = partner else {
                self.new_there.push((path, version));
                continue;
            };
            taken[at] = true;
            let (local, here) = self.new_here[at].clone();
            let why = Why::SameContentAt { path: path.clone() };
            let action = Action::Adopt { local: here, remote: version, base: None };
            self.steps.push(Step { local, remote: path, action, why });
        }
        let mut taken = taken.into_iter();
        self.new_here.retain(|_| !taken.next().unwrap_or(false));
    }

    /// The paths on a side whose content this very plan replaces, moves away or removes: they are no reason to leave a copy out.
    fn doomed(&self, side: Side) -> HashSet<RelPath> {
        let mut doomed = HashSet::new();
        for step in &self.steps {
            match (&step.action, side) {
                (Action::Upload { .. } | Action::Conflict { .. } | Action::Delete { side: Side::Remote, .. }, Side::Remote) => {
                    doomed.insert(step.remote.clone());
                }
                (Action::Download { .. } | Action::Delete { side: Side::Local, .. }, Side::Local) => {
                    doomed.insert(step.local.clone());
                }
                (Action::Move { side: at, from, .. }, side) if *at == side => {
                    doomed.insert(from.clone());
                }
                _ => {}
            }
        }
        match side {
            Side::Remote => doomed.extend(self.gone_here.values().flatten().map(|gone| gone.remote.clone())),
            Side::Local => doomed.extend(self.gone_there.iter().map(|(_, gone)| gone.local.clone())),
        }
        doomed
    }

    fn upload_what_is_missing<C: Contents>(&mut self, contents: &C) -> Result<(), C::Error> {
        let doomed = self.doomed(Side::Remote);
        let mut sent: HashMap<ContentHash, RelPath> = HashMap::new();
        self.new_here.sort_by_key(|(_, version)| std::cmp::Reverse(version.mtime));
        for (path, source) in std::mem::take(&mut self.new_here) {
            if deduplicates(&path) {
                let known = match sent.get(&source.digests.content) {
                    Some(path) => Some(path.clone()),
                    None => contents.holding(Side::Remote, &source.digests.into(), Some(source.size))?.filter(|at| !doomed.contains(at)),
                };
                if let Some(at) = known {
                    self.skip(path, Why::SameContentAt { path: at });
                    continue;
                }
                sent.insert(source.digests.content, path.clone());
            }
            let action = Action::Upload { source, expect: Expect::Absent };
            self.steps.push(Step { local: path.clone(), remote: path, action, why: Why::New });
        }
        Ok(())
    }

    fn download_what_is_missing<C: Contents>(&mut self, contents: &C) -> Result<(), C::Error> {
        let doomed = self.doomed(Side::Local);
        let mut fetched: HashMap<KnownKey, RelPath> = HashMap::new();
        self.new_there.sort_by_key(|(_, version)| std::cmp::Reverse(version.modified));
        for (path, source) in std::mem::take(&mut self.new_there) {
            if deduplicates(&path) && !source.digests.is_empty() {
                let known = match KnownKey::of(&source.digests).find_map(|key| fetched.get(&key)) {
                    Some(path) => Some(path.clone()),
                    None => contents.holding(Side::Local, &source.digests, source.size)?.filter(|at| !doomed.contains(at)),
                };
                if let Some(at) = known {
                    self.skip(path, Why::SameContentAt { path: at });
                    continue;
                }
                fetched.extend(KnownKey::of(&source.digests).map(|key| (key, path.clone())));
            }
            let action = Action::Download { source, expect: Expect::Absent };
            self.steps.push(Step { local: path.clone(), remote: path, action, why: Why::New });
        }
        Ok(())
    }

    /// What left one side and turned up nowhere else was deleted.
    fn follow_deletions(&mut self) {
        for gone in std::mem::take(&mut self.gone_here).into_values().flatten() {
            let remote = Some(gone.stays);
            let action = match gone.decision {
                Decision::Delete(side) => Action::Delete { side, local: None, remote },
                _ => Action::Tombstone { local: None, remote },
            };
            self.steps.push(Step { local: gone.local, remote: gone.remote, action, why: Why::Deleted });
        }
        for (_, gone) in std::mem::take(&mut self.gone_there) {
            let local = Some(gone.stays);
            let action = match gone.decision {
                Decision::Delete(side) => Action::Delete { side, local, remote: None },
                _ => Action::Tombstone { local, remote: None },
            };
            self.steps.push(Step { local: gone.local, remote: gone.remote, action, why: Why::Deleted });
        }
    }
}

/// Whether a second copy of the content is superfluous. Sidecars of two pictures may be alike to the byte and still
/// each belongs beside its own picture.
pub fn deduplicates(path: &RelPath) -> bool {
    MediaKind::of_extension(path.stem_and_extension().1).is_media()
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
