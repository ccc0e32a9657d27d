//! Halts what looks like an accident rather than a wish, before the first write.

use std::fmt;

use serde::Serialize;

use crate::types::Side;

use super::{Action, Outcome};

/// More deletions than this on one side, or ...
const DELETIONS: u64 = 100;
/// ... more than one file in so many, halt a sync. One or two files are never a mass deletion.
const FRACTION: u64 = 4;
const NEVER_MASS: u64 = 2;

/// How much there is, as counted while reconciling.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files here.
    pub local: u64,
    /// Files there.
    pub remote: u64,
    /// Files that were in step after the last run.
    pub in_step: u64,
}

/// Why a sync stops before it did anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Halt {
    /// A side shows no file at all, though there were some.
    Emptied {
        /// Which.
        side: Side,
        /// How many files were in step.
        in_step: u64,
    },
    /// Too many deletions.
    MassDeletion {
        /// Where they would happen.
        side: Side,
        /// How many files would be removed.
        deletions: u64,
        /// Of how many.
        files: u64,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |side: &Side| match side {
            Side::Local => "the library",
            Side::Remote => "the service's folder",
        };
        match self {
            Halt::Emptied { side, in_step } => write!(
                f,
                "{} is empty, but {in_step} files were in step: a disk that is not mounted or a wrong folder looks like this. \
                 Nothing was changed. If it was emptied on purpose, run the sync with --force",
                place(side)
            ),
            Halt::MassDeletion { side, deletions, files } => write!(
                f,
                "{deletions} of {files} files would be removed from {}. Nothing was changed. Look with --dry-run; \
                 if that is what you want, run the sync with --force",
                place(side)
            ),
        }
    }
}

/// An outcome that may be carried out. Only [`guard`] makes one.
#[derive(Debug)]
pub struct Approved(Outcome);

impl Approved {
    pub(super) fn into_outcome(self) -> Outcome {
        self.0
    }
}

/// Lets an outcome pass or says why not. `force` is the owner's word that it is meant.
pub fn guard(outcome: Outcome, force: bool) -> Result<Approved, Halt> {
    if force {
        return Ok(Approved(outcome));
    }
    let Totals { local, remote, in_step } = outcome.totals;
    for (side, files) in [(Side::Local, local), (Side::Remote, remote)] {
        if files == 0 && in_step >= NEVER_MASS {
            return Err(Halt::Emptied { side, in_step });
        }
        let deletes = |step: &&super::Step| matches!(step.action, Action::Delete { side: at, .. } if at == side);
        let deletions = outcome.steps.iter().filter(deletes).count() as u64;
        let mass = deletions > DELETIONS || deletions * FRACTION > files;
        if deletions > NEVER_MASS && mass {
            return Err(Halt::MassDeletion { side, deletions, files });
        }
    }
    Ok(Approved(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Plan, Step, Why};
    use crate::types::RelPath;

    fn outcome(deletions: usize, local: u64, remote: u64, in_step: u64) -> Outcome {
        let delete = |n: usize| {
            let path = RelPath::parse(&format!("{n}.jpg")).unwrap();
            let action = Action::Delete { side: Side::Remote, local: None, remote: None };
            Step { local: path.clone(), remote: path, action, why: Why::Deleted }
        };
        let totals = Totals { local, remote, in_step };
        Outcome { steps: (0..deletions).map(delete).collect(), skipped: Vec::new(), totals }
    }

    #[test]
    fn an_emptied_side_halts() {
        let halt = guard(outcome(0, 0, 5, 5), false).unwrap_err();
        assert_eq!(halt, Halt::Emptied { side: Side::Local, in_step: 5 });
        assert_eq!(guard(outcome(0, 5, 0, 5), false).unwrap_err(), Halt::Emptied { side: Side::Remote, in_step: 5 });
        assert!(guard(outcome(0, 0, 5, 0), false).is_ok(), "a first sync into an empty library is no accident");
        assert!(halt.to_string().contains("--force"));
    }

    #[test]
    fn mass_deletion_halts_unless_forced() {
        assert!(guard(outcome(101, 900, 1001, 1001), false).is_err());
        assert!(guard(outcome(100, 901, 1001, 1001), false).is_ok());
        assert!(guard(outcome(3, 7, 10, 10), false).is_err());
        assert!(guard(outcome(2, 1, 3, 3), false).is_ok());
        let approved = guard(outcome(101, 900, 1001, 1001), true).unwrap();
        assert_eq!(Plan::from(approved).steps.len(), 101);
    }
}
