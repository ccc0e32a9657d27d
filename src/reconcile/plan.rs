//! Ordered plain data: what will be done, and why. The dry run, the preview and the tests see the same value.

use std::fmt;

use serde::Serialize;

use crate::types::{Expect, LocalVersion, RelPath, RemoteVersion, Side};

use super::{Approved, Base};

/// Why a step is taken or left out; its `Display` is what the owner reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "code", rename_all = "kebab-case")]
pub enum Why {
    /// The other side has never seen it.
    New,
    /// One side changed since both were in step.
    Changed,
    /// One side deleted it, the other edited it.
    EditBeatsDeletion,
    /// Both sides changed it, differently.
    BothChanged,
    /// Both sides hold the same bytes.
    SameContent,
    /// It was renamed on the other side.
    Moved,
    /// The two sides have it under different names, and a new file of the other side has its name.
    NameWanted,
    /// The two sides have it under different names, and new files have both of them.
    NamesWanted,
    /// Its place is wanted by another file, whose place it wants.
    InTheWay,
    /// The other side deleted it.
    Deleted,
    /// The content is on the other side already, under this path.
    SameContentAt {
        /// Where it is.
        path: RelPath,
    },
    /// The name belongs, on the other side, to the file that is joined to this path.
    NameTaken {
        /// The other path.
        path: RelPath,
    },
    /// A file that had content is empty now.
    Emptied {
        /// Where.
        side: Side,
    },
    /// Uploads are off for this service.
    UploadOff,
    /// Downloads are off for this service.
    DownloadOff,
    /// A run that broke off left it under a name of ours, and nothing asks for its content any more.
    LeftParked {
        /// Where.
        side: Side,
    },
    /// One side could not be read there.
    Unreadable {
        /// Which one.
        side: Side,
        /// What happened.
        reason: String,
        /// It should have been possible; otherwise it is left out on purpose, or for a moment.
        failed: bool,
    },
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::New => f.write_str("new"),
            Why::Changed => f.write_str("changed"),
            Why::EditBeatsDeletion => f.write_str("edited on one side, deleted on the other: the edit wins"),
            Why::BothChanged => f.write_str("changed on both sides: both are kept"),
            Why::SameContent => f.write_str("both sides have the same content"),
            Why::Moved => f.write_str("renamed on the other side"),
            Why::NameWanted => f.write_str("a new file of the other side has its name; it gets the one that it has there"),
            Why::NamesWanted => f.write_str("new files have both of its names; the next sync keeps all of them"),
            Why::InTheWay => f.write_str("two or more files exchange their names"),
            Why::Deleted => f.write_str("deleted on the other side"),
            Why::SameContentAt { path } => write!(f, "the other side has this content already, as {path}"),
            Why::NameTaken { path } => write!(f, "the other side uses this name for the file that is in step with {path}"),
            Why::Emptied { side: Side::Local } => {
                f.write_str("it became empty here, which looks like an accident; what is on the service is left as it is")
            }
            Why::Emptied { side: Side::Remote } => {
                f.write_str("it became empty on the service, which looks like an accident; what is here is left as it is")
            }
            Why::UploadOff => f.write_str("uploads are off for this service"),
            Why::DownloadOff => f.write_str("downloads are off for this service"),
            Why::LeftParked { side } => {
                let place = if *side == Side::Local { "here" } else { "on the service" };
                write!(
                    f,
                    "a run that broke off left it {place} under this name, and nothing needs it any more: give it a name, or delete it"
                )
            }
            Why::Unreadable { side: Side::Local, reason, .. } => write!(f, "could not be read here: {reason}"),
            Why::Unreadable { side: Side::Remote, reason, .. } => {
                write!(f, "could not be read on the service, and was left as it is: {reason}")
            }
        }
    }
}

/// What one side holds at a path.
#[derive(Debug, Clone, PartialEq)]
pub enum Held {
    /// A file of the library.
    Local(LocalVersion),
    /// A file of the service.
    Remote(RemoteVersion),
}

impl Held {
    /// What a write in the library expects to find in its place.
    pub fn expect_here(held: Option<&Held>) -> Expect<LocalVersion> {
        match held {
            Some(Held::Local(version)) => Expect::Version(*version),
            _ => Expect::Absent,
        }
    }

    /// What a write on the service expects to find in its place.
    pub fn expect_there(held: Option<&Held>) -> Expect<RemoteVersion> {
        match held {
            Some(Held::Remote(version)) => Expect::Version(version.clone()),
            _ => Expect::Absent,
        }
    }
}

/// One action. Each says what it expects to find where it writes.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Send the local file to the service.
    Upload {
        /// What is sent.
        source: LocalVersion,
        /// What must be on the service.
        expect: Expect<RemoteVersion>,
    },
    /// Fetch the remote file.
    Download {
        /// What is fetched.
        source: RemoteVersion,
        /// What must be in the library.
        expect: Expect<LocalVersion>,
    },
    /// Keep the remote version under `copy`, then let the local one have the name.
    Conflict {
        /// The version here.
        local: LocalVersion,
        /// The version there.
        remote: RemoteVersion,
        /// The name of the conflict copy, on both sides.
        copy: RelPath,
    },
    /// Remove the file from `side`: to the trash here, by DELETE there.
    Delete {
        /// Where.
        side: Side,
        /// The local version when `side` is local.
        local: Option<LocalVersion>,
        /// The remote version when `side` is remote.
        remote: Option<RemoteVersion>,
    },
    /// Rename on `side`; the step's paths are the new ones.
    Move {
        /// Where the rename is done.
        side: Side,
        /// The path it has there now, or will have when the steps before this one are done.
        from: RelPath,
        /// The row of the baseline that this replaces: of a path that neither side has any more.
        base: Option<RelPath>,
        /// The file here.
        local: LocalVersion,
        /// The file there.
        remote: RemoteVersion,
        /// What it takes the place of; none where nothing may be.
        replaces: Option<Box<Held>>,
        /// What is agreed about the file when it was also edited on `side`, whose edit travels in a step of its own. Otherwise both are equal.
        agreed: Option<Box<Base>>,
    },
    /// Rename a whole folder on `side`: the step's paths are its new name. In one go, or else by its files.
    MoveFolder {
        /// Where the rename is done.
        side: Side,
        /// The name it has there now.
        from: RelPath,
        /// The files in it, each as a step of its own.
        files: Vec<Step>,
    },
    /// Give a file a name of ours on `side`, so that another can take its place; a later step gives it its own. The step's path on `side` is
    /// where it is now.
    Park {
        /// Where.
        side: Side,
        /// The name of ours.
        to: RelPath,
        /// What is parked.
        held: Held,
    },
    /// Copy within `side` what would otherwise travel; the step's paths are the copy's.
    Copy {
        /// Where.
        side: Side,
        /// What is copied.
        from: RelPath,
        /// The file here: the copied one when `side` is local.
        local: LocalVersion,
        /// The file there: the copied one when `side` is remote.
        remote: RemoteVersion,
        /// What the copy takes the place of; none where nothing may be.
        replaces: Option<Box<Held>>,
    },
    /// Record that these two hold the same content; nothing travels. `base` names a row that this replaces.
    Adopt {
        /// The file here.
        local: LocalVersion,
        /// The file there.
        remote: RemoteVersion,
        /// The row of the baseline that this replaces, when a renamed file is adopted in its new place.
        base: Option<RelPath>,
    },
    /// Record a deletion on one side that is not followed on the other.
    Tombstone {
        /// The half that stays; the other is gone.
        local: Option<LocalVersion>,
        /// The half that stays; the other is gone.
        remote: Option<RemoteVersion>,
    },
    /// Drop the row.
    Forget,
}

/// One step: a file's path on each side (they differ when names are not kept or contents were matched) and the action.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The path in the library.
    pub local: RelPath,
    /// The path below the service's folder.
    pub remote: RelPath,
    /// What is done.
    pub action: Action,
    /// Why.
    pub why: Why,
}

impl Step {
    /// Its path on a side.
    pub fn at(&self, side: Side) -> &RelPath {
        match side {
            Side::Local => &self.local,
            Side::Remote => &self.remote,
        }
    }

    /// The word for the action in output.
    pub fn verb(&self) -> &'static str {
        match &self.action {
            Action::Upload { .. } => "upload",
            Action::Download { .. } => "download",
            Action::Conflict { .. } => "conflict",
            Action::Delete { side: Side::Local, .. } => "trash",
            Action::Delete { side: Side::Remote, .. } => "delete",
            Action::Move { .. } => "move",
            Action::MoveFolder { .. } => "move-folder",
            Action::Park { .. } => "set-aside",
            Action::Copy { .. } => "copy",
            Action::Adopt { .. } => "adopt",
            Action::Tombstone { .. } => "remember-deletion",
            Action::Forget => "forget",
        }
    }

    /// How many bytes will travel.
    pub fn bytes(&self) -> u64 {
        match &self.action {
            Action::Upload { source, .. } => source.size,
            Action::Download { source, .. } => source.size.unwrap_or(0),
            Action::Conflict { local, remote, .. } => local.size + remote.size.unwrap_or(0),
            _ => 0,
        }
    }
}

/// A file that is left as it is, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Skipped {
    /// Its path.
    pub path: RelPath,
    /// The reason.
    pub why: Why,
}

/// What a sync will do. Made only from an approved outcome.
#[derive(Debug, Clone, Default)]
pub struct Plan {
    /// In the order in which they are started.
    pub steps: Vec<Step>,
    /// What is left alone.
    pub skipped: Vec<Skipped>,
}

impl From<Approved> for Plan {
    fn from(approved: Approved) -> Self {
        let outcome = approved.into_outcome();
        Self { steps: outcome.steps, skipped: outcome.skipped }
    }
}
