//! The one door to photos on disk.
//!
//! Rank 3. Everything that reads or writes originals goes through here. It promises:
//! - a file is visible under its name only when complete: [`Staged::commit`] is the only way to publish one, and it syncs the file,
//!   renames, syncs the folder, then updates the index;
//! - what is replaced or removed goes to the trash, in the same move;
//! - no path leads out of the root, neither by `..` nor by a symbolic link;
//! - a scan that cannot read something says so; it never calls it gone.
//!
//! All calls block; asynchronous callers run them on a blocking thread.

mod beneath;
mod change;
mod copy;
mod directory;
mod embedded;
mod error;
mod facts;
mod folder;
mod group;
mod ignore;
mod import;
mod kind;
mod lookout;
mod marker;
mod naming;
mod original;
mod pieces;
mod renditions;
mod room;
mod scan;
mod seal;
mod sparing;
mod spelling;
mod staged;
mod syncing;
mod taken;
mod thumbnails;
mod trash;
mod tree;
mod unfinished;
mod unindexed;
mod uploads;
mod verify;
mod view;
mod watch;

pub use copy::Extent;
pub use error::LibraryError;
pub use folder::Folder;
pub use group::{Ready, commit_all};
pub use ignore::{IgnoreFiles, Patterns};
pub use import::{Busy, ImportReport, Importer, LeftAlone, import_once};
pub use lookout::{Asked, Post, up_to_date};
pub use marker::{Found, Probe, check_marker, find_marker, folds_case, marker_of, open_library, take_probe};
pub use naming::{Untitled, capture_stem};
pub use original::Original;
pub use renditions::{Rendition, RenditionError, Tools, Wish};
pub use scan::{DAMAGED, GROWING, Parts, ScanReport, damaged, hash_file_with, scan, scan_parts, scan_parts_quiet, scan_quiet, scan_until};
pub use seal::Past;
pub use staged::{Committed, Staged};
pub use thumbnails::{CACHE, Figures, GRID, Kept, Made, Swept, Thumbnails, Wanted, measured};
pub use trash::{Emptied, Reason, Trash, Trashed};
pub use tree::{Kind, Member, OnDisk, Open, Stat, Tree};
pub use uploads::{Assembly, Chunk, IncomingChunk, UploadError, Uploads, WeakUploads};
pub use verify::{Checked, Pace, accept, verify_some};
pub use view::View;
pub use watch::{Blind, Noticed, Waker, Watch};

#[cfg(test)]
mod tests;
