//! Files that are in step under a name of their own on each side, when something new has one of the two names on the other side.

use crate::reconcile::{Base, Held, Row, Seen, Why, decide};
use crate::store::StoreError;
use crate::types::{KnownDigests, LocalVersion, RelPath, RemoteVersion, Side};

use super::super::filter::Sides;
use super::super::moves::same_when_folded;
use super::super::rounds::Window;
use super::{Merge, Sink};

impl Merge {
    /// The file that is `local` here and `remote` there is in the way, on `side`, of a `new` one of the other side. It gets the name that it has
    /// there, so that the new one can come. Where that cannot be, it is told. When that name is wanted by a new file too, on this side, the two
    /// halves are no longer one file: the next run has a conflict at each of the names, and keeps everything.
    pub(super) fn make_room(
        &self,
        sink: &mut Sink<'_>,
        side: Side,
        (local, remote): (&RelPath, &RelPath),
        new: Option<Held>,
    ) -> Result<(), StoreError> {
        if sink.survey.is_some() || !self.window.as_ref().is_none_or(Window::is_first) {
            return Ok(());
        }
        let (path, to) = match side {
            Side::Local => (local, remote),
            Side::Remote => (remote, local),
        };
        // For some services and disks the two names are one, and a rename would change nothing.
        let pair = if same_when_folded(path, to) { None } else { self.in_step(local, remote)? };
        let row = match (new, self.local_coverage.of(path), self.remote_coverage.of(path)) {
            (Some(Held::Local(new)), Ok(_), Ok(covered)) => Some(Row { base: None, local: Seen::File(new), remote: Seen::Absent(covered) }),
            (Some(Held::Remote(new)), Ok(covered), Ok(_)) => {
                Some(Row { base: None, local: Seen::Absent(covered), remote: Seen::File(new) })
            }
            _ => None,
        };
        let is_whole = pair.is_some() && row.is_some();
        let sides = Sides { index: &self.index, view: &self.view, kinds: &self.kinds };
        let hidden = self.filter.holds_back(&sides, Some(local), Some(remote))?;
        let (Some((here, there)), Some(row), false, true) = (pair, row, hidden, self.may_rename(side, to)?) else {
            sink.collector.skip(path.clone(), Why::NameTaken { path: to.clone() });
            if side == Side::Remote && is_whole && !hidden && self.is_wanted_there(local)? {
                sink.collector.part(local.clone(), remote.clone());
            }
            return Ok(());
        };
        sink.collector.rename_apart(side, path.clone(), to.clone(), here, there);
        let decision = decide(&row, &self.policy);
        sink.collector.push(path.clone(), path.clone(), row, decision);
        Ok(())
    }

    /// Whether files of `side` may be renamed, and nothing is, or is known to belong, at `to`.
    fn may_rename(&self, side: Side, to: &RelPath) -> Result<bool, StoreError> {
        Ok(self.policy.keep_names
            && match side {
                Side::Local => self.policy.download && self.index.get(to)?.is_none() && self.baseline.get(to)?.is_none(),
                Side::Remote => self.policy.upload && self.view.get(to)?.is_none() && self.baseline.elsewhere(to)?.is_none(),
            })
    }

    /// Whether the service has a new file at the name that something has here, and names and files are carried both ways.
    fn is_wanted_there(&self, local: &RelPath) -> Result<bool, StoreError> {
        let both_ways = self.policy.keep_names && self.policy.download && self.policy.upload;
        Ok(both_ways && self.view.get(local)?.is_some() && self.baseline.elsewhere(local)?.is_none())
    }

    /// Both halves of a row, when neither has changed since they were in step.
    fn in_step(&self, local: &RelPath, remote: &RelPath) -> Result<Option<(LocalVersion, RemoteVersion)>, StoreError> {
        let (Some(here), Some(row), Some(there)) = (self.index.get(local)?, self.baseline.get(local)?, self.view.get(remote)?) else {
            return Ok(None);
        };
        let Base { local: Some(then), remote: Some(told) } = row.base() else { return Ok(None) };
        let here = here.version();
        let same = row.remote_path(local) == remote && here.digests.content == then.digests.content && there.unchanged_since(&told);
        Ok(same.then(|| (here, RemoteVersion { digests: KnownDigests::from(then.digests), ..there })))
    }
}
