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
    unread: BTreeMap<RelPath, String>,
}

impl Coverage {
    /// Nothing below `path` (a folder or a file) is known, because of `reason`.
    pub fn exclude(&mut self, path: RelPath, reason: impl Into<String>) {
        self.unread.entry(path).or_insert_with(|| reason.into());
    }

    /// Whether `path` was within view: proof if so, otherwise why not.
    pub fn of(&self, path: &RelPath) -> Result<Covered, &str> {
        if self.unread.is_empty() {
            return Ok(Covered(()));
        }
        match std::iter::once(path.clone()).chain(path.ancestors()).find_map(|p| self.unread.get(&p)) {
            Some(reason) => Err(reason),
            None => Ok(Covered(())),
        }
    }

    /// The places that could not be read, with reasons.
    pub fn gaps(&self) -> impl Iterator<Item = (&RelPath, &str)> {
        self.unread.iter().map(|(path, reason)| (path, reason.as_str()))
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
