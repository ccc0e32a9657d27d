//! Bringing a file back.

use std::fs::{self, File};
use std::path::PathBuf;

use crate::library::beneath::{self, Way};
use crate::library::change::rename_new;
use crate::library::scan::hash_open;
use crate::library::tree::{Open, sync_parent};
use crate::library::{LibraryError, OnDisk};
use crate::types::{Expect, RelPath};

use super::list::{Removal, Trash, Trashed};

/// So many names are tried when a place is taken.
const NAMES: u32 = 1000;

impl Trash {
    /// Puts a file back: where it was, or under a name beside it when something is there by now, or exactly at `to`. Nothing is ever
    /// replaced. Its time stays as it was, and the index knows it at once. Returns where it is.
    pub fn restore(&self, what: &Trashed, to: Option<&RelPath>) -> Result<RelPath, LibraryError> {
        let was = RelPath::parse(&what.path).map_err(|error| self.io(&what.id, std::io::Error::other(error)))?;
        let Some(to) = to else {
            let mut free = was.clone();
            for number in 1..NAMES {
                match self.bring_back(what, &was, &free) {
                    Err(LibraryError::Exists(_)) => {}
                    other => return other.map(|()| free),
                }
                let note = format!("restored {}", what.trashed.strftime("%Y-%m-%d %H%M%S"));
                free = was.with_note(&if number == 1 { note } else { format!("{note} {number}") });
            }
            return Err(LibraryError::Exists(was));
        };
        self.bring_back(what, &was, to).map(|()| to.clone())
    }

    /// Opens a file to be looked at: `name` is the id of its removal, and its path below that. None when nothing can be of that name.
    pub fn open(&self, name: &str) -> Result<Option<(RelPath, Open)>, LibraryError> {
        let named = name.match_indices('/').nth(1).map(|(at, _)| (&name[..at], RelPath::parse(&name[at + 1..])));
        let Some((id, Ok(path))) = named else { return Ok(None) };
        let (_folder, source) = self.find(id, &path, &path)?;
        let file = beneath::open_itself(&source).map_err(|_| LibraryError::NotFound(path.clone()))?;
        let open = Open::of(&path, file)?;
        Ok(Some((path, open)))
    }

    /// Where a file is, with the folder that must be open as long as that place is used. What is wrong is said of the path `about`.
    fn find(&self, id: &str, was: &RelPath, about: &RelPath) -> Result<(Option<File>, PathBuf), LibraryError> {
        let gone = || LibraryError::NotFound(was.clone());
        // The removal's own folder first, so that what is below it cannot lead anywhere else.
        let removal = Removal::of_id(id).ok_or_else(gone)?;
        let top = self.place(&removal.id());
        match beneath::folder(&top, &was.parent().unwrap_or_default()).map_err(|error| LibraryError::io(about, error))? {
            Way::Found(folder) => {
                let place = beneath::member(&folder, was.name()).unwrap_or_else(|| top.join(was.as_str()));
                Ok((Some(folder), place))
            }
            Way::Missing | Way::Link => Err(gone()),
            Way::Longer => Ok((None, top.join(was.as_str()))),
        }
    }

    fn bring_back(&self, what: &Trashed, was: &RelPath, to: &RelPath) -> Result<(), LibraryError> {
        let io = |error| LibraryError::io(to, error);
        let gone = || LibraryError::NotFound(was.clone());
        let tree = &self.tree;
        if to.is_root() || tree.stat(to)?.is_some() {
            return Err(LibraryError::Exists(to.clone()));
        }
        let (folder, source) = self.find(&what.id, was, to)?;
        let open = Open::of(was, beneath::open_itself(&source).map_err(|_| gone())?)?;
        let mut again = open.file.try_clone().map_err(io)?;
        let (stat, digests) = hash_open(open, was, |_| Ok(()))?;

        if let Some(parent) = to.parent() {
            tree.create_folders(&parent)?;
        }
        let locks = tree.lock_file(to);
        let target = tree.locate(to)?;
        tree.check(to, &target, &Expect::<OnDisk>::Absent)?;
        match rename_new(&source, &target) {
            Ok(()) => {
                tree.sync_folder_of(to, &target).map_err(io)?;
                sync_parent(&source).map_err(io)?;
                // What another program put there in this instant is for the next scan.
                if tree.stat(to)? == Some(stat) {
                    tree.remember(to, stat, digests)?;
                }
            }
            // Another disk is mounted there.
            Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                drop(locks);
                std::io::Seek::rewind(&mut again).map_err(io)?;
                let mut staged = tree.stage();
                staged.fill(&mut again).map_err(io)?;
                staged.commit(to, &Expect::Absent, Some(stat.mtime))?;
                fs::remove_file(&source).map_err(io)?;
            }
            Err(error) => return Err(io(error)),
        }
        drop(folder);
        super::sweep(tree, &tree.own().join(super::FOLDER).join(&what.id).join(was.as_str()));
        Ok(())
    }
}
