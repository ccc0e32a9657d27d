//! The merge-join of library, service and baseline: one pass over three sorted streams, nothing held but what changed.

mod apart;
mod contents;
mod heads;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::reconcile::Policy;
use crate::reconcile::outcome::Collector;
use crate::reconcile::{Coverage, Decision, Held, Outcome, Row, Seen, Why, decide, parking};
use crate::services::Trust;
use crate::store::baseline::{BaseRow, Baseline};
use crate::store::folders::Folders;
use crate::store::index::Index;
use crate::store::kinds::Kinds;
use crate::store::remote::RemoteView;
use crate::store::{Store, StoreError};
use crate::types::{KnownDigests, LocalVersion, RelPath, ServiceId, Side};

use self::heads::{Heads, next_heads};
use super::filter::{Filter, Sides, is_litter};
use super::names::Spelled;
use super::rounds::{self, Place, Round, Survey, Window};

/// A row whose file on the service is not known by its content.
#[derive(Debug)]
pub(super) struct Open {
    pub local: RelPath,
    pub remote: RelPath,
    pub row: Row,
    /// Files of the library that it may be the same as.
    pub candidates: Vec<(RelPath, LocalVersion)>,
    /// It cannot be decided without its content. Otherwise that only saves a download.
    pub must_be_known: bool,
}

/// New files on either side that may be the same under other names, when the service tells no digests.
#[derive(Default)]
struct Strangers {
    here: HashMap<u64, Vec<(RelPath, LocalVersion)>>,
    there: Vec<Open>,
}

/// So many files of one size are compared with one of the service.
const CANDIDATES: usize = 4;

/// Where rows go.
struct Sink<'a> {
    collector: &'a mut Collector,
    open: Vec<Open>,
    strangers: Strangers,
    /// Only look which files are new.
    survey: Option<Survey>,
    /// Files of either side that another round would take, and that a new file of this one is the same as.
    pulled: HashSet<(Side, RelPath)>,
    kept_back: u64,
    /// New files, and their bytes: in the first round those that it leaves, in the others those that they take.
    tally: (u64, u64),
    /// New files that this round takes though they are another's.
    out_of_turn: HashSet<RelPath>,
}

/// What came of a look at all rows.
pub(super) struct Collected {
    /// What needs a digest first.
    pub open: Vec<Open>,
    /// Files that a direction which is off keeps back, and that are not named.
    pub unnamed: u64,
    /// The round after this one, if one is needed.
    pub next: Option<Round>,
}

/// Where decisions are looked up.
pub(super) struct Merge {
    window: Option<Window>,
    index: Index,
    folders: Folders,
    view: RemoteView,
    baseline: Baseline,
    policy: Policy,
    trust: Trust,
    filter: Arc<Filter>,
    kinds: Kinds,
    local_coverage: Coverage,
    remote_coverage: Coverage,
}

impl Merge {
    pub(super) fn open(
        store: &Store,
        service: ServiceId,
        (policy, trust): (Policy, Trust),
        filter: Arc<Filter>,
        coverage: (Coverage, Coverage),
        round: Round,
    ) -> Result<Self, StoreError> {
        let tx = store.read()?;
        let (local_coverage, remote_coverage) = coverage;
        let mut merge = Self {
            window: None,
            index: Index::open(&tx)?,
            folders: Folders::open(&tx)?,
            view: RemoteView::open(&tx, service)?,
            baseline: Baseline::open(&tx, service)?,
            policy,
            trust,
            filter,
            kinds: Kinds::open(&tx, service)?,
            local_coverage,
            remote_coverage,
        };
        // With fewer files than that in all one round is enough.
        if !round.is_first() || merge.index.len()? + merge.view.at_most()? > round.limit as u64 {
            merge.window = Some(match round.known() {
                Some(window) => window,
                None => merge.survey(round)?,
            });
        }
        Ok(merge)
    }

    fn survey(&self, round: Round) -> Result<Window, StoreError> {
        let mut nothing = Collector::new(self.policy, String::new());
        let mut sink = Sink::new(&mut nothing, Some(Survey::new(round.clone())));
        self.stream(&mut sink)?;
        Ok(sink.survey.take().unwrap_or_else(|| Survey::new(round)).window())
    }

    /// Decides every path; what needs a digest first comes back.
    pub(super) fn collect(&self, collector: &mut Collector) -> Result<Collected, StoreError> {
        let mut sink = Sink::new(collector, None);
        match self.window.as_ref().filter(|window| !window.is_first()) {
            Some(window) => self.look_up(window, &mut sink)?,
            None => self.stream(&mut sink)?,
        }
        if self.window.as_ref().is_none_or(Window::is_first) {
            for (side, coverage) in [(Side::Local, &self.local_coverage), (Side::Remote, &self.remote_coverage)] {
                for (path, reason) in coverage.gaps().filter(|(path, _)| !self.filter.excludes(path)) {
                    sink.collector.skip(path.clone(), Why::Unreadable { side, reason: reason.to_owned(), failed: coverage.failed(path) });
                }
            }
        }
        let Sink { mut open, strangers, kept_back, tally, out_of_turn, .. } = sink;
        open.extend(strangers.introduced());
        let next = self.window.as_ref().and_then(|window| window.next(&out_of_turn, tally));
        Ok(Collected { open, unnamed: kept_back.saturating_sub(rounds::NAMED), next })
    }

    /// Goes through the paths of a round, in order.
    fn look_up(&self, window: &Window, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.filter.begin();
        let mut paths: Vec<_> = window.paths().collect();
        paths.sort();
        for path in paths {
            let heads =
                Heads { path: path.clone(), local: self.index.get(path)?, base: self.baseline.get(path)?, remote: self.view.get(path)? };
            self.take(heads, sink)?;
        }
        Ok(())
    }

    fn stream(&self, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        self.filter.begin();
        let mut local = self.index.all()?.peekable();
        let mut base = self.baseline.all()?.peekable();
        let mut remote = self.view.all()?.peekable();
        while let Some(heads) = next_heads(&mut local, &mut base, &mut remote)? {
            self.take(heads, sink)?;
        }
        Ok(())
    }

    fn take(&self, heads: Heads, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let Heads { path, local, base, remote: mut here } = heads;
        let at = path.clone();
        if let Some(content) = parking::content_of(&path) {
            if let Some(survey) = &mut sink.survey {
                survey.parked(&content);
            } else if self.window.as_ref().is_none_or(Window::is_first) {
                let held = local.map(|row| Held::Local(row.version())).into_iter().chain(here.map(Held::Remote));
                held.for_each(|held| sink.collector.park(path.clone(), held));
            }
            return Ok(());
        }
        if is_litter(&path) {
            // Renamed to a name that is not synced: neither gone nor new.
            return Ok(());
        }
        // A remote path that is joined to another local path belongs to that row.
        let joined = if here.is_some() { self.baseline.elsewhere(&path)? } else { None };
        let spelled = Spelled { index: &self.index, view: &self.view, baseline: &self.baseline };
        if base.is_none() && joined.is_none() && spelled.belongs_elsewhere(&path, local.is_some(), here.is_some())? {
            return Ok(());
        }
        let mut remote_path = base.as_ref().map_or(&path, |row| row.remote_path(&path)).clone();
        let mut remote = if remote_path == path { here.take().filter(|_| joined.is_none()) } else { self.view.get(&remote_path)? };
        if remote.is_none()
            && joined.is_none()
            && let Some(other) = spelled.remote(&path, &remote_path)?
        {
            remote = self.view.get(&other)?;
            remote_path = other;
        }
        let (path, local) = match spelled.local(&path).transpose().filter(|_| local.is_none() && base.is_some()) {
            Some(other) => {
                let other = other?;
                let row = self.index.get(&other)?;
                (other, row)
            }
            None => (path, local),
        };
        if let Some(owner) = &joined
            && local.is_some()
            && base.is_none()
        {
            // Uploading would need a name that another file has there.
            let new = local.map(|row| Held::Local(row.version()));
            return self.make_room(sink, Side::Remote, (owner, &path), new);
        }
        if here.is_some() && joined.is_none() && remote_path != path {
            // The row at this path is joined to another remote path, and yet the service has a file here.
            self.make_room(sink, Side::Local, (&path, &remote_path), here.map(Held::Remote))?;
        }

        let sides = Sides { index: &self.index, view: &self.view, kinds: &self.kinds };
        let seen = (local.is_some().then_some(&path), remote.is_some().then_some(&remote_path));
        if self.filter.holds_back(&sides, seen.0, seen.1)? {
            return Ok(());
        }

        let local = match self.local_coverage.of(&path) {
            Ok(covered) => local.map_or(Seen::Absent(covered), |row| Seen::File(row.version())),
            Err(reason) => Seen::Unknown(reason.to_owned()),
        };
        let remote = match self.remote_coverage.of(&remote_path) {
            Ok(covered) => remote.take().map_or(Seen::Absent(covered), Seen::File),
            Err(reason) => Seen::Unknown(reason.to_owned()),
        };
        let row = Row { base: base.as_ref().map(BaseRow::base), local, remote };
        let decision = decide(&row, &self.policy);
        if let Some(survey) = &mut sink.survey {
            survey.see(&at, (&path, &remote_path), &row, &decision);
            return Ok(());
        }
        if let Some(window) = &self.window {
            match window.place(&at, (&path, &remote_path), &row, &decision, &mut sink.kept_back) {
                Place::New => {
                    if !window.is_first() {
                        sink.tally(&row);
                    }
                    self.pull_partner(&row, window, sink)?;
                }
                Place::OutOfTurn => drop(sink.out_of_turn.insert(at)),
                Place::Here => {}
                place => {
                    if window.is_first() {
                        sink.collector.count(&row);
                    }
                    if place == Place::Later {
                        sink.tally(&row);
                    }
                    return Ok(());
                }
            }
            if sink.pulled.contains(&(Side::Local, path.clone())) || sink.pulled.contains(&(Side::Remote, remote_path.clone())) {
                return Ok(());
            }
        }
        let first_seen = row.base.is_none();
        if matches!(decision, Decision::NeedDigest(_)) {
            let candidates = if let Seen::File(here) = row.local { vec![(path.clone(), here)] } else { Vec::new() };
            sink.open.push(Open { local: path, remote: remote_path, row, candidates, must_be_known: true });
            return Ok(());
        }
        match (&row.local, &row.remote) {
            (Seen::File(here), Seen::File(there))
                if first_seen && self.trust == Trust::Full && there.size == Some(here.size) && !matches!(decision, Decision::Skip(_)) =>
            {
                let candidates = vec![(path.clone(), *here)];
                sink.open.push(Open { local: path, remote: remote_path, row, candidates, must_be_known: true });
                return Ok(());
            }
            (Seen::File(here), Seen::Absent(_)) if first_seen && self.trust == Trust::Samples => sink.strangers.here(&path, here),
            (Seen::Absent(_), Seen::File(there))
                if self.trust == Trust::Samples && there.digests.is_empty() && decision == Decision::Download(Why::New) =>
            {
                sink.strangers.there.push(Open { local: path, remote: remote_path, row, candidates: Vec::new(), must_be_known: false });
                return Ok(());
            }
            _ => {}
        }
        match decision {
            // The gap itself is reported once, not each file in it.
            Decision::Skip(Why::Unreadable { .. }) => sink.collector.push(path, remote_path, row, Decision::Nothing),
            decision => sink.collector.push(path, remote_path, row, decision),
        }
        Ok(())
    }

    /// The same content new on the other side under another name: both are looked at in one round.
    fn pull_partner(&self, row: &Row, window: &Window, sink: &mut Sink<'_>) -> Result<(), StoreError> {
        let (side, digests) = match (&row.local, &row.remote) {
            (Seen::File(_), Seen::File(_)) => return Ok(()),
            (Seen::File(here), _) => (Side::Remote, KnownDigests::from(here.digests)),
            (_, Seen::File(there)) => (Side::Local, there.digests),
            _ => return Ok(()),
        };
        let Some(path) = self.new_holder(side, &digests)? else { return Ok(()) };
        let (here, there) = match side {
            Side::Local => (self.index.get(&path)?.map(|row| row.version()), None),
            Side::Remote => (None, self.view.get(&path)?),
        };
        let (Ok(local), Ok(remote)) = (self.local_coverage.of(&path), self.remote_coverage.of(&path)) else { return Ok(()) };
        let row =
            Row { base: None, local: here.map_or(Seen::Absent(local), Seen::File), remote: there.map_or(Seen::Absent(remote), Seen::File) };
        let decision = decide(&row, &self.policy);
        // One of this round comes by itself.
        let place = window.place(&path, (&path, &path), &row, &decision, &mut 0);
        if matches!(place, Place::Later | Place::Elsewhere) && sink.pulled.insert((side, path.clone())) {
            sink.out_of_turn.insert(path.clone());
            sink.collector.push(path.clone(), path, row, decision);
        }
        Ok(())
    }

    /// A file with this content that only `side` has ever seen.
    fn new_holder(&self, side: Side, digests: &KnownDigests) -> Result<Option<RelPath>, StoreError> {
        let failed = std::cell::Cell::new(None);
        let is_new = |path: &RelPath| {
            let other = match side {
                Side::Local => self.view.get(path).map(|found| found.is_some()),
                Side::Remote => self.index.get(path).map(|found| found.is_some()),
            };
            let known = self.baseline.get(path).map(|row| row.is_some());
            let joined = self.baseline.elsewhere(path).map(|row| row.is_some());
            match other.and_then(|other| Ok(!(other || known? || joined?))) {
                Ok(new) => new && !self.filter.hides(path),
                Err(error) => {
                    failed.set(Some(error));
                    false
                }
            }
        };
        let found = match side {
            Side::Local => self.index.holding_where(digests, &is_new)?,
            Side::Remote => self.view.holding_where(digests, &is_new)?,
        };
        failed.into_inner().map_or(Ok(found), Err)
    }

    /// Decides what was open, now that digests are known, and looks at everything together.
    pub(super) fn finish(&self, mut collector: Collector, closed: Vec<Open>) -> Result<Outcome, StoreError> {
        for Open { local, remote, row, .. } in closed {
            let decision = decide(&row, &self.policy);
            collector.push(local, remote, row, decision);
        }
        collector.finish(self)
    }
}

impl<'a> Sink<'a> {
    fn new(collector: &'a mut Collector, survey: Option<Survey>) -> Self {
        Self {
            collector,
            open: Vec::new(),
            strangers: Strangers::default(),
            survey,
            pulled: HashSet::new(),
            kept_back: 0,
            tally: (0, 0),
            out_of_turn: HashSet::new(),
        }
    }

    fn tally(&mut self, row: &Row) {
        self.tally.0 += 1;
        self.tally.1 += bytes_of(row);
    }
}

impl Strangers {
    fn here(&mut self, path: &RelPath, version: &LocalVersion) {
        self.here.entry(version.size).or_default().push((path.clone(), *version));
    }

    /// Those of the service, each with the files that it may be: of the same size, those of the same name first.
    fn introduced(self) -> impl Iterator<Item = Open> {
        let Self { here, there } = self;
        there.into_iter().map(move |open| {
            let size = if let Seen::File(version) = &open.row.remote { version.size } else { None };
            let same_size = size.and_then(|size| here.get(&size)).into_iter().flatten();
            let (mut named, others): (Vec<_>, Vec<_>) = same_size.cloned().partition(|(path, _)| path.name() == open.remote.name());
            named.extend(others.into_iter().take(CANDIDATES));
            named.truncate(CANDIDATES);
            Open { candidates: named, ..open }
        })
    }
}

/// How much a new file is.
fn bytes_of(row: &Row) -> u64 {
    match (&row.local, &row.remote) {
        (Seen::File(here), _) => here.size,
        (_, Seen::File(there)) => there.size.unwrap_or(0),
        _ => 0,
    }
}
