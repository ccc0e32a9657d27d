//! Small pictures of the library, kept by content: made once, however often a file is looked at, renamed or copied.
//!
//! Everything in the folder can be made again. It may be deleted at any time, even while the node runs, and is in no backup. What cannot be made
//! is remembered with its reason, until another version of the program or of a decoder may do better.

mod kept;
mod sweep;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::store::pictures::{self, PictureRow, Pictures};
use crate::types::{ContentHash, RelPath};

use super::renditions::{Helpers, Thumbnail};
use super::{LibraryError, RenditionError, Tools, Tree};

pub use self::kept::Kept;
pub use self::sweep::Swept;

/// The side that grids ask for, in pixels: what is made before anybody asks.
pub const GRID: u32 = 320;
/// What the folder may hold when nobody says otherwise, in bytes.
pub const CACHE: u64 = 2 << 30;
/// How often it is looked whether a decoder came or went.
const LOOK: Duration = Duration::from_secs(60);

/// The small pictures of a node.
#[derive(Debug)]
pub struct Thumbnails {
    place: PathBuf,
    limit: u64,
    /// About so many bytes are in the folder.
    bytes: AtomicU64,
    tools: Mutex<Option<(Instant, Arc<Tools>)>>,
    wanted: AtomicUsize,
    figures: Figures,
}

/// What was done since the start.
#[derive(Debug, Default)]
pub struct Figures {
    /// Pictures that were made.
    pub made: AtomicU64,
    /// Files of which none could be made.
    pub refused: AtomicU64,
    /// Contents of which one is still to be made.
    pub waiting: AtomicU64,
}

/// A picture that was made.
#[derive(Debug)]
pub struct Made {
    /// A JPEG.
    pub jpeg: Vec<u8>,
    /// It is of the content that was named.
    pub sure: bool,
}

/// Somebody waits for a picture, until this is dropped.
#[derive(Debug)]
pub struct Wanted<'a>(&'a AtomicUsize);

impl Drop for Wanted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Thumbnails {
    /// Those in this folder, which need not be there. It holds about `limit` bytes at the most, as [`Thumbnails::sweep`] sees to it.
    pub fn new(place: &Path, limit: u64) -> Self {
        Self {
            place: place.to_owned(),
            limit,
            bytes: AtomicU64::new(0),
            tools: Mutex::default(),
            wanted: AtomicUsize::new(0),
            figures: Figures::default(),
        }
    }

    /// About how many bytes are kept.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// What was done since the start.
    pub fn figures(&self) -> &Figures {
        &self.figures
    }

    /// Somebody waits for a picture: whoever makes some that nobody waits for gives way.
    pub fn wanted(&self) -> Wanted<'_> {
        self.wanted.fetch_add(1, Ordering::Relaxed);
        Wanted(&self.wanted)
    }

    /// Whether somebody waits for a picture.
    pub fn is_wanted(&self) -> bool {
        self.wanted.load(Ordering::Relaxed) > 0
    }

    /// The programs of this machine that decode what is not decoded here.
    pub fn tools(&self) -> Arc<Tools> {
        let mut known = self.tools.lock().unwrap_or_else(PoisonError::into_inner);
        match &*known {
            Some((at, tools)) if at.elapsed() < LOOK => Arc::clone(tools),
            _ => {
                let tools = Arc::new(Tools::find(std::env::var_os("PATH").as_deref()));
                *known = Some((Instant::now(), Arc::clone(&tools)));
                tools
            }
        }
    }

    /// Makes a picture of a file that fits into a square of `side` pixels, and keeps it, or that there is none, for `content`, if the file
    /// is still that. What is learned about its size on the way is kept too. Blocks.
    pub fn make(
        &self,
        tree: &Tree,
        path: &RelPath,
        content: Option<&ContentHash>,
        side: u32,
        stop: &AtomicBool,
    ) -> Result<Made, RenditionError> {
        let tools = self.tools();
        let helpers = Helpers { tools: &tools, scratch: &self.place };
        let made = guarded(|| tree.thumbnail(path, side, helpers, stop));
        let made = made.unwrap_or_else(|| Err(RenditionError::Undecodable("the decoder gave up".into())));
        let counted = match &made {
            Ok(_) => &self.figures.made,
            Err(RenditionError::Stopped | RenditionError::Library(_)) => return made.map(|made| Made { jpeg: made.jpeg, sure: false }),
            Err(_) => &self.figures.refused,
        };
        counted.fetch_add(1, Ordering::Relaxed);
        let sure = match content {
            Some(content) => is_still(tree, path, content)?,
            None => false,
        };
        if let Some(content) = content.filter(|_| sure) {
            match &made {
                Ok(Thumbnail { jpeg, size }) => {
                    self.keep(content, side, jpeg);
                    learn(tree, path, content, *size)?;
                }
                Err(error) => self.keep_refusal(content, error),
            }
        }
        made.map(|made| Made { jpeg: made.jpeg, sure })
    }
}

/// What is known of the picture at a path, by its header. None: whoever reads headers met one that it cannot read.
pub fn measured(tree: &Tree, path: &RelPath) -> Result<PictureRow, LibraryError> {
    guarded(|| tree.measure(path)).unwrap_or_else(|| Ok(PictureRow::default()))
}

/// What comes of work with untrusted bytes. None: it panicked.
fn guarded<R>(work: impl FnOnce() -> R) -> Option<R> {
    catch_unwind(AssertUnwindSafe(work)).ok()
}

/// Whether the file is still what it was when somebody began to read it.
fn is_still(tree: &Tree, path: &RelPath, content: &ContentHash) -> Result<bool, LibraryError> {
    let Some(stat) = tree.stat(path)? else { return Ok(false) };
    Ok(tree.view()?.digests(path, &stat)?.is_some_and(|digests| digests.content == *content))
}

/// Keeps how large a picture turned out to be, when that was not known.
fn learn(tree: &Tree, path: &RelPath, content: &ContentHash, size: (u32, u32)) -> Result<(), LibraryError> {
    let known = Pictures::open(&tree.store().read()?)?.get(content)?;
    if known.as_ref().is_some_and(|row| row.size == Some(size)) {
        return Ok(());
    }
    let row = match known {
        Some(row) => PictureRow { size: Some(size), ..row },
        None => PictureRow { size: Some(size), ..measured(tree, path)? },
    };
    let content = *content;
    Ok(tree.store().write_soon(move |tx| pictures::put(tx, &[(content, row)]))?)
}

#[cfg(test)]
mod tests;
