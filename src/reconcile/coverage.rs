//! Which folders were really listed.

use std::collections::BTreeMap;

use crate::types::RelPath;

/// Proof that a path lies where a complete listing looked. Only [`Coverage`] makes one, so that an absence that
/// nobody observed cannot be written down as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered(());

/// What could not be observed on one side, with the reasons; everything else was.
#[derive(Debug, Clone, Default)]
pub struct Coverage {
    unread: BTreeMap<RelPath, Gap>,
}

/// Why something was not observed.
#[derive(Debug, Clone)]
struct Gap {
    reason: String,
    /// It should have been possible; otherwise it is left out on purpose, or for a moment.
    is_failure: bool,
}

impl Coverage {
    /// Nothing below `path` (a folder or a file) is known, because of `reason`: it is left out on purpose, or for a moment.
    pub fn exclude(&mut self, path: RelPath, reason: impl Into<String>) {
        self.unread.entry(path).or_insert_with(|| Gap { reason: reason.into(), is_failure: false });
    }

    /// Nothing below `path` is known, because it could not be read. Whoever looks on must not take that for success.
    pub fn fail(&mut self, path: RelPath, reason: impl Into<String>) {
        self.unread.entry(path).or_insert_with(|| Gap { reason: reason.into(), is_failure: true });
    }

    /// What another look at the same side did not observe either.
    pub fn add(&mut self, other: Self) {
        for (path, gap) in other.unread {
            self.unread.entry(path).or_insert(gap);
        }
    }

    /// Whether `path` was within view: proof if so, otherwise why not.
    pub fn of(&self, path: &RelPath) -> Result<Covered, &str> {
        if self.unread.is_empty() {
            return Ok(Covered(()));
        }
        match std::iter::once(path.clone()).chain(path.ancestors()).find_map(|p| self.unread.get(&p)) {
            Some(gap) => Err(&gap.reason),
            None => Ok(Covered(())),
        }
    }

    /// The places that could not be read, with reasons.
    pub fn gaps(&self) -> impl Iterator<Item = (&RelPath, &str)> {
        self.unread.iter().map(|(path, gap)| (path, gap.reason.as_str()))
    }

    /// Whether exactly this place could not be read although it should have been possible.
    pub fn failed(&self, path: &RelPath) -> bool {
        self.unread.get(path).is_some_and(|gap| gap.is_failure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unread_folder_hides_all_below_it_and_nothing_else() {
        let path = |text| RelPath::parse(text).unwrap();
        let mut coverage = Coverage::default();
        coverage.exclude(path("a/b"), "403");
        assert_eq!(coverage.of(&path("a/b/c/d.jpg")), Err("403"));
        assert_eq!(coverage.of(&path("a/b")), Err("403"));
        assert!(coverage.of(&path("a/bc.jpg")).is_ok());
        coverage.exclude(RelPath::root(), "500");
        assert!(coverage.of(&path("x")).is_err());
    }
}
