//! Halts what looks like an accident rather than a wish, before the first write.

use std::fmt;

use serde::Serialize;

use crate::types::Side;

use super::outcome::Item;
use super::{Action, Base, Outcome, Row, Seen};

/// More files than this that are deleted, or become older, on one side, or ...
const MASS: u64 = 100;
/// ... more than one file in so many, halt a sync. One or two files are never a mass.
const FRACTION: u64 = 4;
const NEVER_MASS: u64 = 2;

/// Whether so many of a side's files are too many to be meant.
fn is_mass(count: u64, files: u64) -> bool {
    count > NEVER_MASS && (count > MASS || count * FRACTION > files)
}

/// How much there is, as counted while reconciling: of each side, the library first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Files that were seen.
    pub files: [u64; 2],
    /// Files that were in step after the last run and are certainly gone. What could not be read is not among them.
    pub gone: [u64; 2],
    /// Files whose content changed while their date went back, and that would replace what the other side has.
    pub reverted: [u64; 2],
}

impl Totals {
    /// Counts a row that takes part. What a filter leaves out does not, on neither side.
    pub(super) fn count(&mut self, row: &Row) {
        let in_step = row.base.as_ref().is_some_and(|base| base.local.is_some() && base.remote.is_some());
        let there = [matches!(row.local, Seen::File(_)), matches!(row.remote, Seen::File(_))];
        let absent = [matches!(row.local, Seen::Absent(_)), matches!(row.remote, Seen::Absent(_))];
        for side in 0..2 {
            self.files[side] += u64::from(there[side]);
            self.gone[side] += u64::from(in_step && absent[side]);
        }
    }

    /// Counts a change on `side` that is going to replace the other side's version.
    pub(super) fn count_change(&mut self, side: Side, item: &Item) {
        let (Some(Base { local: Some(here), remote: Some(there) }), Some(here_now), Some(there_now)) =
            (item.base.as_deref(), &item.here, &item.there)
        else {
            return;
        };
        let went_back = match side {
            Side::Local => here_now.mtime < here.mtime,
            // That the service tells another entity tag is no proof of another content.
            Side::Remote => {
                let differs = there_now.digests.agree(&there.digests) == Some(false) || there_now.size != there.size;
                differs && there_now.modified.zip(there.modified).is_some_and(|(now, then)| now < then)
            }
        };
        self.reverted[side as usize] += u64::from(went_back);
    }
}

/// Why a sync stops before it did anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Halt {
    /// A side shows no file at all, though there were some.
    Emptied {
        /// Which.
        side: Side,
        /// How many files were in step and are gone.
        in_step: u64,
        /// How many of them would be removed from the other side.
        deletions: u64,
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
    /// Too many files became older versions.
    MassReversion {
        /// Where they changed.
        side: Side,
        /// How many files are older than what was in step.
        reverted: u64,
        /// Of how many.
        files: u64,
    },
}

impl fmt::Display for Halt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = |side: Side| match side {
            Side::Local => "the library",
            Side::Remote => "the service's folder",
        };
        let removes = |side: Side| match side {
            Side::Local => "--force moves them to the trash of the library",
            Side::Remote => "--force removes them from the service's folder",
        };
        match *self {
            Halt::Emptied { side, in_step, deletions } => {
                write!(
                    f,
                    "{} is empty, but {in_step} files were in step: a disk that is not mounted or a wrong folder looks like this. \
                     Nothing was changed. If it was emptied on purpose, run the sync with --force: ",
                    place(side)
                )?;
                match deletions {
                    0 => write!(f, "they stay in {} and are not brought back", place(side.other())),
                    _ => f.write_str(removes(side.other())),
                }
            }
            Halt::MassReversion { side, reverted, files } => {
                let force = match side {
                    Side::Local => "--force sends them, and they take the place of the newer ones on the service",
                    Side::Remote => "--force fetches them, and moves the newer ones to the trash of the library",
                };
                write!(
                    f,
                    "{reverted} of {files} files in {} have another content than the one that was in step, and an older date: a backup that was \
                     copied over files in use looks like this, and older versions would replace newer ones. Nothing was changed. If the older \
                     versions are what you want, run the sync with --force: {force}. Otherwise bring the newer ones back first",
                    place(side)
                )
            }
            Halt::MassDeletion { side, deletions, files } => write!(
                f,
                "{deletions} of {files} files would be removed from {}, because they are gone from {}. Nothing was changed. If that is \
                 what you want, run the sync with --force: {}",
                place(side),
                place(side.other()),
                removes(side)
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
    let Totals { files, gone, reverted } = outcome.totals;
    let deletions_on = |side: Side| {
        let deletes = |step: &&super::Step| matches!(step.action, Action::Delete { side: at, .. } if at == side);
        outcome.steps.iter().filter(deletes).count() as u64
    };
    for (side, files, gone) in [(Side::Local, files[0], gone[0]), (Side::Remote, files[1], gone[1])] {
        if files == 0 && gone >= NEVER_MASS {
            return Err(Halt::Emptied { side, in_step: gone, deletions: deletions_on(side.other()) });
        }
    }
    for (side, files) in [(Side::Local, files[0]), (Side::Remote, files[1])] {
        let (deletions, reverted) = (deletions_on(side), reverted[side as usize]);
        if is_mass(deletions, files) {
            return Err(Halt::MassDeletion { side, deletions, files });
        }
        if is_mass(reverted, files) {
            return Err(Halt::MassReversion { side, reverted, files });
        }
    }
    Ok(Approved(outcome))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reconcile::{Base, Plan, Step, Why};
    use crate::types::{LocalVersion, RelPath, RemoteVersion};

    fn outcome(deletions: usize, files: [u64; 2], gone: [u64; 2]) -> Outcome {
        let delete = |n: usize| {
            let path = RelPath::parse(&format!("{n}.jpg")).unwrap();
            let action = Action::Delete { side: Side::Remote, local: None, remote: None };
            Step { local: path.clone(), remote: path, action, why: Why::Deleted }
        };
        let totals = Totals { files, gone, ..Totals::default() };
        Outcome { steps: (0..deletions).map(delete).collect(), skipped: Vec::new(), totals }
    }

    #[test]
    fn an_emptied_side_halts() {
        let halt = guard(outcome(0, [0, 5], [5, 0]), false).unwrap_err();
        assert_eq!(halt, Halt::Emptied { side: Side::Local, in_step: 5, deletions: 0 });
        assert!(halt.to_string().ends_with("they stay in the service's folder and are not brought back"), "{halt}");
        let halt = guard(outcome(5, [0, 5], [5, 0]), false).unwrap_err();
        assert_eq!(halt, Halt::Emptied { side: Side::Local, in_step: 5, deletions: 5 });
        assert!(halt.to_string().ends_with("--force removes them from the service's folder"), "{halt}");
        let halt = guard(outcome(0, [5, 0], [0, 5]), false).unwrap_err();
        assert_eq!(halt, Halt::Emptied { side: Side::Remote, in_step: 5, deletions: 0 });
        assert!(guard(outcome(0, [0, 5], [0, 0]), false).is_ok(), "a first sync into an empty library is no accident");
    }

    #[test]
    fn what_could_not_be_read_is_not_gone_and_makes_no_side_larger() {
        let path = RelPath::parse("x").unwrap();
        let covered = crate::reconcile::Coverage::default().of(&path).unwrap();
        let digests = crate::types::Digests::of(b"x");
        let local = LocalVersion { size: 1, mtime: crate::types::Mtime(0), digests };
        let remote = RemoteVersion { size: Some(1), digests: digests.into(), ..Default::default() };
        let base = Some(Base { local: Some(local), remote: Some(remote.clone()) });
        let mut totals = Totals::default();
        totals.count(&Row { base: base.clone(), local: Seen::Unknown("403".into()), remote: Seen::File(remote) });
        assert_eq!(totals, Totals { files: [0, 1], ..Totals::default() });
        totals.count(&Row { base, local: Seen::File(local), remote: Seen::Absent(covered) });
        assert_eq!(totals, Totals { files: [1, 1], gone: [0, 1], ..Totals::default() });
    }

    #[test]
    fn mass_deletion_halts_unless_forced() {
        assert!(guard(outcome(101, [900, 1001], [101, 0]), false).is_err());
        assert!(guard(outcome(100, [901, 1001], [100, 0]), false).is_ok());
        assert!(guard(outcome(3, [7, 10], [3, 0]), false).is_err());
        assert!(guard(outcome(2, [1, 3], [2, 0]), false).is_ok());
        let halt = guard(outcome(101, [900, 1001], [101, 0]), false).unwrap_err();
        assert!(halt.to_string().contains("101 of 1001") && halt.to_string().contains("--force removes them"), "{halt}");
        let approved = guard(outcome(101, [900, 1001], [101, 0]), true).unwrap();
        assert_eq!(Plan::from(approved).steps.len(), 101);
    }
    #[test]
    fn only_a_different_content_with_an_older_date_is_a_reversion() {
        let path = RelPath::parse("x.jpg").unwrap();
        let version = |text: &str, date: i64| LocalVersion {
            size: text.len() as u64,
            mtime: crate::types::Mtime(date),
            digests: crate::types::Digests::of(text.as_bytes()),
        };
        let told = |text: &str, date: i64, etag: &str, checksum: bool| RemoteVersion {
            size: Some(text.len() as u64),
            etag: Some(etag.into()),
            modified: Some(date),
            digests: if checksum { crate::types::Digests::of(text.as_bytes()).into() } else { Default::default() },
            ..Default::default()
        };
        let base = Base { local: Some(version("then", 5)), remote: Some(told("then", 5, "1", true)) };
        let reverted = |side: Side, here: LocalVersion, there: RemoteVersion| {
            let mut totals = Totals::default();
            let decision = crate::reconcile::Decision::Nothing;
            let base = Some(Box::new(base.clone()));
            let item =
                Item { local: path.clone(), remote: path.clone(), here: Some(here), there: Some(there), base, decision, taken: false };
            totals.count_change(side, &item);
            totals.reverted[side as usize] == 1
        };
        let as_it_was = || told("then", 5, "1", true);
        assert!(reverted(Side::Local, version("past", 4), as_it_was()));
        assert!(!reverted(Side::Local, version("next", 6), as_it_was()) && !reverted(Side::Local, version("next", 5), as_it_was()));
        assert!(reverted(Side::Remote, version("then", 5), told("past", 4, "2", true)));
        assert!(!reverted(Side::Remote, version("then", 5), told("next", 6, "2", true)));
        assert!(!reverted(Side::Remote, version("then", 5), told("????", 4, "2", false)), "perhaps it is the same");
        assert!(reverted(Side::Remote, version("then", 5), told("another size", 4, "2", false)));
    }

    #[test]
    fn mass_reversion_halts_unless_forced() {
        let outcome = |reverted: u64, files: u64| {
            let totals = Totals { files: [files, files], reverted: [reverted, 0], ..Totals::default() };
            Outcome { totals, ..Outcome::default() }
        };
        assert!(guard(outcome(2, 2), false).is_ok() && guard(outcome(100, 400), false).is_ok());
        assert!(guard(outcome(3, 11), false).is_err() && guard(outcome(101, 9000), false).is_err());
        assert!(guard(outcome(101, 101), true).is_ok());
    }
}
