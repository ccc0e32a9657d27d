//! Where a content is on either side, for those who decide.

use crate::reconcile::{Base, Contents, Held};
use crate::store::StoreError;
use crate::types::{KnownDigests, RelPath, Side};

use super::Merge;

impl Contents for Merge {
    type Error = StoreError;

    fn holding(
        &self,
        side: Side,
        digests: &KnownDigests,
        size: Option<u64>,
        wanted: &dyn Fn(&RelPath) -> bool,
    ) -> Result<Option<(RelPath, Held)>, StoreError> {
        let wanted = |path: &RelPath| wanted(path) && !self.filter.hides(path);
        if side == Side::Local {
            let Some(path) = self.index.holding_where(digests, &wanted)? else { return Ok(None) };
            return Ok(self.index.get(&path)?.map(|row| (path, Held::Local(row.version()))));
        }
        if let Some(path) = self.view.holding_where(digests, &wanted)? {
            let there = self.view.get(&path)?.filter(|version| size.is_none() || version.size == size);
            return Ok(there.map(|version| (path, Held::Remote(version))));
        }
        // A server without checksums: what was in step there and still is as it was.
        self.still_there(digests, &wanted)
    }

    fn files_below(&self, side: Side, path: &RelPath) -> Result<Option<u64>, StoreError> {
        let coverage = if side == Side::Local { &self.local_coverage } else { &self.remote_coverage };
        if coverage.of(path).is_err() || coverage.gaps().any(|(gap, _)| gap.strip_prefix(path).is_some()) {
            return Ok(None);
        }
        let mut count = 0;
        match side {
            Side::Local => self.index.subtree(path)?.try_for_each(|item| item.map(|_| count += 1))?,
            Side::Remote => self.view.subtree(path)?.try_for_each(|item| item.map(|_| count += 1))?,
        }
        Ok(Some(count))
    }

    fn has_folder(&self, side: Side, path: &RelPath) -> Result<bool, StoreError> {
        // Of the service's folders only those with files are known; an empty one under a new name lets the rename of a folder fail, and its
        // files are renamed instead.
        Ok(side == Side::Local && self.folders.tells_of(path)?)
    }
}

impl Merge {
    /// A file of the service that was in step with this content, and is as it was.
    fn still_there(&self, digests: &KnownDigests, wanted: &dyn Fn(&RelPath) -> bool) -> Result<Option<(RelPath, Held)>, StoreError> {
        for path in self.baseline.holding(digests)?.into_iter().filter(wanted) {
            let local = self.baseline.elsewhere(&path)?.unwrap_or_else(|| path.clone());
            let Some(Base { remote: Some(then), .. }) = self.baseline.get(&local)?.map(|row| row.base()) else { continue };
            if let Some(now) = self.view.get(&path)?.filter(|now| now.unchanged_since(&then)) {
                return Ok(Some((path, Held::Remote(now))));
            }
        }
        Ok(None)
    }
}
