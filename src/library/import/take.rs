//! One stack on its way into the library.

use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use jiff::civil::DateTime;

use crate::events::Event;
use crate::types::stack::{self, Sidecar, Stack, split};
use crate::types::{Digests, KnownDigests, RelPath};

use super::super::LibraryError;
use super::super::naming::dated;
use super::super::scan::hash_file_with;
use super::super::taken::{Hints, taken, told};
use super::super::tree::{Kind, OnDisk, Stat};
use super::place::{Moved, settle, withdraw};
use super::{ImportReport, Importer};

/// So long after its main file a late member of a stack still finds it.
pub(super) const LATE: Duration = Duration::from_secs(3600);
/// Pictures of one name that were taken farther apart than any two time zones are two pictures: cameras count anew after 9999.
const APART: i64 = 15 * 3600;
/// A late video or raw file belongs to a picture of the same name when it was taken in the same seconds.
const TOGETHER: i64 = 3;
const NUMBERS: u32 = 100_000;

/// A file that was read.
#[derive(Clone)]
pub(super) struct Read {
    pub path: RelPath,
    pub stat: Stat,
    pub digests: Digests,
    checksum: u32,
    taken: Option<DateTime>,
}

impl Importer {
    /// Moves a stack. What cannot be moved stays, and is in the report.
    pub(super) fn take(&mut self, folder: &RelPath, stack: &Stack, report: &mut ImportReport) -> Result<(), LibraryError> {
        if !self.originals.is_there() {
            return Ok(());
        }
        let late = self.late_home(folder, stack)?;
        if stack.media.is_empty() && late.is_none() {
            for sidecar in &stack.sidecars {
                let reason = "it is neither a picture nor a video, and there is none that it belongs to".to_owned();
                self.leave(report, &folder.join(&sidecar.name).unwrap_or_default(), reason);
            }
            return Ok(());
        }
        let mut media = Vec::new();
        for name in &stack.media {
            media.push(self.read(folder, name)?);
        }
        let Some(strangers) = strangers(&media) else {
            return self.take_together(folder, stack, &media, late, report);
        };
        // The same name, but not the same moment: each by itself.
        let (alone, rest) = apart(stack, strangers);
        self.take(folder, &rest, report)?;
        self.take(folder, &alone, report)
    }

    fn take_together(
        &mut self,
        folder: &RelPath,
        stack: &Stack,
        media: &[Read],
        late: Option<RelPath>,
        report: &mut ImportReport,
    ) -> Result<(), LibraryError> {
        let held: Vec<Option<RelPath>> = media.iter().map(|read| self.held(&read.digests)).collect::<Result<_, _>>()?;
        let goals = self.goals(folder, stack, media, &held, late)?;
        let mut moved: Vec<Moved> = Vec::new();
        // A sidecar whose place is taken by another one.
        for (sidecar, goal) in stack.sidecars.iter().zip(&goals.sidecars) {
            let path = folder.join(&sidecar.name).map_err(|_| LibraryError::TooLong(folder.clone()))?;
            let read = self.read(folder, &sidecar.name)?;
            match self.occupied(goal)? {
                None => moved.push(settle(&self.import, &self.originals, &read, goal)?),
                Some(digests) if digests == read.digests => moved.push(Moved::duplicate(read, goal.clone())),
                Some(_) => self.leave(report, &path, format!("the library has another {goal}")),
            }
        }
        let pictures: Vec<_> = media.iter().zip(&held).zip(&goals.media).collect();
        // The main file last: whoever finds it finds the others.
        for ((read, held), goal) in pictures.into_iter().rev() {
            moved.push(match (held, goal) {
                (Some(there), _) => Moved::duplicate(read.clone(), there.clone()),
                (None, Some(goal)) => match self.held(&read.digests)? {
                    // Two of the stack are the same.
                    Some(there) => Moved::duplicate(read.clone(), there),
                    None => settle(&self.import, &self.originals, read, goal)?,
                },
                (None, None) => continue,
            });
        }
        if let Some(home) = goals.home() {
            self.recent.insert(self.stack_key(folder, stack), (home, Instant::now()));
        }
        for one in moved {
            self.let_go(one, report)?;
        }
        // Their places beside the main file are taken: each finds one of its own.
        let stranded = media.iter().zip(held.iter().zip(&goals.media)).filter(|(_, (held, goal))| held.is_none() && goal.is_none());
        for (read, _) in stranded {
            let alone = Stack { media: vec![read.path.name().to_owned()], sidecars: Vec::new() };
            self.take(folder, &alone, report)?;
        }
        Ok(())
    }

    /// Gives up the first name of a file that has another in the library.
    fn let_go(&mut self, moved: Moved, report: &mut ImportReport) -> Result<(), LibraryError> {
        let (from, goal) = (moved.read.path.clone(), moved.goal.clone());
        if moved.is_duplicate() {
            if self.is_one_file(&moved)? {
                self.leave(report, &from, format!("it is the library's own {goal}: the import folder shows a part of the library"));
                return Ok(());
            }
            self.import.remove_file(&from, &crate::types::Expect::Version(OnDisk::new(&moved.read.stat, None)))?;
            report.duplicates += 1;
            tracing::info!(%from, %goal, "the library has it already; it went to the import folder's trash");
            return Ok(());
        }
        report.imported += 1;
        report.bytes += moved.read.stat.size;
        withdraw(&self.import, &moved)?;
        tracing::info!(%from, %goal, "imported");
        self.events.publish(Event::Imported { from: from.to_string(), path: goal.to_string() });
        Ok(())
    }

    /// Whether a duplicate is none, but the same name of the same file, seen through another mount.
    fn is_one_file(&self, moved: &Moved) -> Result<bool, LibraryError> {
        let place = self.import.locate(&moved.read.path)?;
        let links = std::fs::symlink_metadata(place).map_err(|error| LibraryError::io(&moved.read.path, error))?.nlink();
        let there = self.originals.stat(&moved.goal)?;
        Ok(links < 2 && there.is_some_and(|there| there.inode == moved.read.stat.inode && there == moved.read.stat))
    }

    /// Reads a file whole. It must be the one that was quiet.
    fn read(&self, folder: &RelPath, name: &str) -> Result<Read, LibraryError> {
        let path = folder.join(name).map_err(|_| LibraryError::TooLong(folder.clone()))?;
        let mut checksum = 0;
        let (stat, digests) = hash_file_with(&self.import, &path, |bytes| checksum = crc32c::crc32c_append(checksum, bytes))?;
        let place = self.import.root().join(path.as_str());
        let taken = told(&Hints { place: &place, name, sidecars: &[], mtime: stat.mtime });
        Ok(Read { path, stat, digests, checksum, taken })
    }

    /// Where the library holds this content. A row of the index whose file has changed since proves nothing.
    fn held(&self, digests: &Digests) -> Result<Option<RelPath>, LibraryError> {
        let view = self.originals.view()?;
        let Some(index) = view.index() else { return Ok(None) };
        let Some(path) = index.holding(&KnownDigests::from(*digests))? else { return Ok(None) };
        let there = self.originals.stat(&path)?.zip(index.get(&path)?);
        Ok(there.is_some_and(|(stat, row)| stat.matches(&row)).then_some(path))
    }

    /// The digests of what is at a path of the library.
    fn occupied(&self, path: &RelPath) -> Result<Option<Digests>, LibraryError> {
        match self.originals.stat(path)? {
            None => Ok(None),
            Some(stat) if stat.kind == Kind::Folder => Err(LibraryError::WrongKind(path.clone())),
            Some(stat) => match self.originals.digests(path, &stat)? {
                Some(known) => Ok(Some(known)),
                None => Ok(Some(super::super::scan::hash_file(&self.originals, path)?.1)),
            },
        }
    }

    fn stack_key(&self, folder: &RelPath, stack: &Stack) -> u64 {
        use std::hash::BuildHasher as _;
        let first = stack.media.first().or(stack.sidecars.first().map(|sidecar| &sidecar.name));
        self.hasher.hash_one((folder, first.map(|name| stack::root(name))))
    }

    /// The main file in the library that a stack without one comes late for.
    fn late_home(&self, folder: &RelPath, stack: &Stack) -> Result<Option<RelPath>, LibraryError> {
        let Some((home, _)) = self.recent.get(&self.stack_key(folder, stack)) else { return Ok(None) };
        Ok(self.originals.stat(home)?.map(|_| home.clone()))
    }

    /// What the members of a stack are going to be called.
    fn goals(
        &self,
        folder: &RelPath,
        stack: &Stack,
        media: &[Read],
        held: &[Option<RelPath>],
        late: Option<RelPath>,
    ) -> Result<Goals, LibraryError> {
        let main_held = held.first().cloned().flatten();
        let late = late.filter(|home| media.iter().all(|read| self.was_taken_with(read, home)));
        let homes = [main_held.clone(), late.clone()].into_iter().flatten().chain(held.iter().flatten().cloned());
        for home in homes {
            let goals = Goals::beside(&home, stack, held)?;
            // Without a picture of its own the stack has no other place to go to.
            let settled = main_held.as_ref() == Some(&home) || media.is_empty();
            if settled {
                return self.free_only(goals);
            }
            if self.all_free(&goals, stack, folder)? {
                return Ok(goals);
            }
        }
        let Some(main) = media.first() else { return Err(LibraryError::NotFound(folder.clone())) };
        let beside = |sidecar: &Sidecar| (self.import.root().join(folder.as_str()).join(&sidecar.name), sidecar.name.clone());
        let sidecars: Vec<(PathBuf, String)> = stack.sidecars.iter().map(beside).collect();
        let place = self.import.root().join(main.path.as_str());
        let when = taken(&Hints { place: &place, name: main.path.name(), sidecars: &sidecars, mtime: main.stat.mtime });
        let io = |error| LibraryError::io(&main.path, error);
        let stem = dated(when, main.checksum, "").map_err(io)?;
        for number in 0..NUMBERS {
            let stem = if number == 0 { stem.as_str().to_owned() } else { format!("{stem}.{number:05}") };
            let goals = Goals::with_stem(&stem, stack, held)?;
            if self.all_free(&goals, stack, folder)? {
                return Ok(goals);
            }
        }
        Err(LibraryError::Exists(stem))
    }

    /// Whether nothing is at any of these places, or just what shall be there: the rest of an import that was broken off.
    fn all_free(&self, goals: &Goals, stack: &Stack, folder: &RelPath) -> Result<bool, LibraryError> {
        for goal in goals.media.iter().flatten() {
            if self.originals.stat(goal)?.is_some() {
                return Ok(false);
            }
        }
        for (sidecar, goal) in stack.sidecars.iter().zip(&goals.sidecars) {
            if let Some(there) = self.occupied(goal)?
                && there != self.read(folder, &sidecar.name)?.digests
            {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Only the goals of pictures that are free. (Those of sidecars are looked at one by one.)
    fn free_only(&self, mut goals: Goals) -> Result<Goals, LibraryError> {
        for goal in &mut goals.media {
            if let Some(path) = goal
                && self.originals.stat(path)?.is_some()
            {
                *goal = None;
            }
        }
        Ok(goals)
    }

    /// Whether a late file was taken in the same seconds as the one in the library.
    fn was_taken_with(&self, read: &Read, home: &RelPath) -> bool {
        let place = self.originals.root().join(home.as_str());
        let there = told(&Hints { place: &place, name: home.name(), sidecars: &[], mtime: Default::default() });
        let apart = read.taken.zip(there).map(|(one, other)| one.duration_since(other).as_secs().abs());
        apart.is_some_and(|apart| apart <= TOGETHER)
    }
}

/// Where the members of a stack go.
struct Goals {
    /// None: it is in the library already, or its place is taken.
    media: Vec<Option<RelPath>>,
    sidecars: Vec<RelPath>,
    /// The main file in the library.
    main: Option<RelPath>,
}

impl Goals {
    fn with_stem(stem: &str, stack: &Stack, held: &[Option<RelPath>]) -> Result<Self, LibraryError> {
        let (folder, stem) = stem.rsplit_once('/').unwrap_or(("", stem));
        let (media, sidecars) = stack::names(stack, stem);
        let parse = |name: &String| {
            let text = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
            RelPath::parse(&text).map_err(|_| LibraryError::TooLong(RelPath::default()))
        };
        let sidecars = sidecars.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let media = media.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
        let main = media.first().cloned();
        let free = media.into_iter().zip(held).map(|(goal, held)| held.is_none().then_some(goal)).collect();
        Ok(Self { media: free, sidecars, main })
    }

    /// Beside a file of the library. A sidecar that is called after a whole name follows the name that its picture has there.
    fn beside(home: &RelPath, stack: &Stack, held: &[Option<RelPath>]) -> Result<Self, LibraryError> {
        let (folder, name) = home.split();
        let stem = if folder.is_empty() { split(name).0.to_owned() } else { format!("{folder}/{}", split(name).0) };
        let mut goals = Self::with_stem(&stem, stack, held)?;
        for (sidecar, goal) in stack.sidecars.iter().zip(&mut goals.sidecars) {
            if let Sidecar { of: Some(at), ending, .. } = sidecar
                && let Some(there) = held.get(*at).cloned().flatten()
            {
                let name = format!("{}{ending}", there.name());
                *goal = there.with_name(&name).map_err(|_| LibraryError::TooLong(there.clone()))?;
            }
        }
        goals.main = Some(home.clone());
        Ok(goals)
    }

    fn home(&self) -> Option<RelPath> {
        self.main.clone()
    }
}

/// The places of those pictures that were taken on another day than the main one, if any.
fn strangers(media: &[Read]) -> Option<Vec<usize>> {
    let main = media.iter().find_map(|read| read.taken)?;
    let far = |read: &Read| read.taken.is_some_and(|taken| taken.duration_since(main).as_secs().abs() > APART);
    let found: Vec<usize> = media.iter().enumerate().filter(|(_, read)| far(read)).map(|(at, _)| at).collect();
    (!found.is_empty()).then_some(found)
}

/// A stack without some of its pictures, and those, with the sidecars that are called after them.
fn apart(stack: &Stack, strangers: Vec<usize>) -> (Stack, Stack) {
    let part = |wanted: &dyn Fn(usize) -> bool, with_stem: bool| {
        let kept: Vec<usize> = (0..stack.media.len()).filter(|at| wanted(*at)).collect();
        let moved = |of: usize| kept.iter().position(|at| *at == of);
        let sidecars = stack.sidecars.iter().filter_map(|sidecar| match sidecar.of {
            Some(of) => moved(of).map(|of| Sidecar { of: Some(of), ..sidecar.clone() }),
            None => with_stem.then(|| sidecar.clone()),
        });
        Stack { media: kept.iter().map(|at| stack.media[*at].clone()).collect(), sidecars: sidecars.collect() }
    };
    let is_stranger = |at: usize| strangers.contains(&at);
    (part(&is_stranger, false), part(&|at| !is_stranger(at), true))
}
