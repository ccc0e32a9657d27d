//! Makes small pictures before anybody asks for them, and looks at what the headers of files tell: of what is new, the newest first, one at a
//! time, while nobody else needs the machine. Nothing is noted of how far it came: after a restart it looks again what is missing.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::watch;

use crate::library::{GRID, Thumbnails, Tree, measured};
use crate::operations::{Failure, Operations, Runs};
use crate::store::Store;
use crate::store::index::FileRow;
use crate::store::pictures::{self, PictureRow};
use crate::store::snapshot::Snapshot;
use crate::types::{ContentHash, MediaKind, Mtime, RelPath};

use super::caretaker::give_way;

/// While something is synced it rests for so many times as long as it worked.
const REST: u32 = 3;
/// It looks so often whether somebody still waits for a picture.
const MOMENT: Duration = Duration::from_millis(20);
/// It looks so often whether there is too much, and whether a library that is away is back.
const LOOK: Duration = Duration::from_secs(60);
/// How often what belongs to no file any more is let go.
const SWEEP: Duration = Duration::from_secs(24 * 3600);
/// So many are in view at once; the others are found when these are done.
const VIEW: usize = 50_000;
/// So many headers are written down together, or those of so long.
const TOGETHER: usize = 200;
const SOON: Duration = Duration::from_secs(2);

/// How small pictures are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ThumbnailSettings {
    /// Before anybody asks for them.
    pub background: bool,
    /// What may be kept of them, in bytes.
    pub cache: u64,
}

impl Default for ThumbnailSettings {
    fn default() -> Self {
        Self { background: true, cache: crate::library::CACHE }
    }
}

/// The thread.
pub(super) struct Painter {
    bell: Arc<Bell>,
    thread: Option<JoinHandle<()>>,
    listener: tokio::task::JoinHandle<()>,
}

impl Painter {
    /// Begins when the index is whole.
    pub(super) fn start(
        node: &Operations,
        tree: Tree,
        mut indexed: watch::Receiver<bool>,
        settings: ThumbnailSettings,
    ) -> Result<Self, Failure> {
        let bell = Arc::<Bell>::default();
        let (rung, mut latest) = (Arc::clone(&bell), node.store.watch());
        let listener = tokio::spawn(async move {
            // An error means that the node is gone.
            if indexed.wait_for(|whole| *whole).await.is_err() {
                return;
            }
            loop {
                rung.ring(&rung.changed);
                if latest.changed().await.is_err() {
                    return;
                }
            }
        });
        let work = Work {
            tree,
            store: node.store.clone(),
            thumbnails: Arc::clone(&node.thumbnails),
            runs: Arc::clone(&node.runs),
            bell: Arc::clone(&bell),
            background: settings.background,
            seen: None,
            more: false,
            headers: VecDeque::new(),
            pictures: VecDeque::new(),
        };
        let thread = std::thread::Builder::new().name("thumbnails".into()).spawn(move || work.run());
        let thread = thread.map_err(|error| Failure::unreachable(format!("a thread cannot be started: {error}")))?;
        Ok(Self { bell, thread: Some(thread), listener })
    }

    /// Ends what goes on, and waits for that. Blocks.
    pub(super) fn stop(mut self) {
        self.bell.ring(&self.bell.stop);
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the making of thumbnails ended unexpectedly");
        }
    }
}

impl Drop for Painter {
    fn drop(&mut self) {
        self.bell.ring(&self.bell.stop);
        self.listener.abort();
    }
}

/// Wakes the thread.
#[derive(Default)]
struct Bell {
    stop: AtomicBool,
    changed: AtomicBool,
    lock: Mutex<()>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self, why: &AtomicBool) {
        // Under the lock, so that nobody goes to sleep between looking and being told.
        let _held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        why.store(true, Ordering::SeqCst);
        self.rings.notify_all();
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    /// Sleeps until it is rung for one of these reasons, no longer than this. Being told to stop is always one.
    fn sleep(&self, longest: Duration, also: Option<&AtomicBool>) {
        let held = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        let asleep = |(): &mut ()| !self.stopped() && !also.is_some_and(|also| also.load(Ordering::SeqCst));
        drop(self.rings.wait_timeout_while(held, longest, asleep));
    }
}

/// A content of which something is not known.
struct Item {
    path: RelPath,
    content: ContentHash,
    mtime: Mtime,
}

struct Work {
    tree: Tree,
    store: Store,
    thumbnails: Arc<Thumbnails>,
    runs: Arc<Runs>,
    bell: Arc<Bell>,
    background: bool,
    /// Up to which change everything was looked at.
    seen: Option<u64>,
    /// There is more than is in view.
    more: bool,
    headers: VecDeque<Item>,
    pictures: VecDeque<Item>,
}

impl Work {
    fn run(mut self) {
        give_way();
        let mut swept: Option<Instant> = None;
        let mut whole = false;
        while !self.bell.stopped() {
            self.bell.sleep(LOOK, Some(&self.bell.changed));
            whole |= self.bell.changed.load(Ordering::SeqCst);
            if !whole || self.bell.stopped() {
                continue;
            }
            if self.thumbnails.is_full() || swept.is_none_or(|at| at.elapsed() >= SWEEP) {
                self.sweep();
                swept = Some(Instant::now());
            }
            if self.background {
                self.look();
                self.work();
            } else {
                self.bell.changed.store(false, Ordering::SeqCst);
            }
        }
    }

    fn sweep(&self) {
        match self.thumbnails.sweep(&self.store, &self.bell.stop) {
            Ok(swept) => tracing::debug!(?swept, "thumbnails were looked through"),
            Err(error) => tracing::warn!(%error, "thumbnails could not be looked through"),
        }
    }

    /// Does all that is known to be missing, and what comes meanwhile before it.
    fn work(&mut self) {
        let (mut rows, mut since) = (Vec::new(), Instant::now());
        while !self.bell.stopped() {
            self.let_others();
            if self.bell.changed.load(Ordering::SeqCst) {
                self.look();
            }
            let began = Instant::now();
            if let Some(item) = self.headers.pop_front() {
                rows.extend(self.header(item));
                if rows.len() >= TOGETHER || since.elapsed() >= SOON || self.headers.is_empty() {
                    self.write(std::mem::take(&mut rows));
                    since = Instant::now();
                }
            } else if let Some(item) = self.pictures.pop_front() {
                self.picture(item);
                if self.thumbnails.is_full() {
                    self.sweep();
                }
            } else if self.more {
                self.seen = None;
                self.look();
            } else {
                break;
            }
            self.thumbnails.figures().waiting.store(self.pictures.len() as u64, Ordering::Relaxed);
            if self.runs.is_any() {
                self.bell.sleep(began.elapsed() * REST, None);
            }
        }
        self.write(rows);
    }

    /// Waits while somebody waits for a picture, and while the library is away.
    fn let_others(&self) {
        while self.thumbnails.is_wanted() && !self.bell.stopped() {
            self.bell.sleep(MOMENT, None);
        }
        while !self.tree.is_there() && !self.bell.stopped() {
            self.bell.sleep(LOOK, None);
        }
    }

    /// Finds what is missing among what changed since the last look.
    fn look(&mut self) {
        self.bell.changed.store(false, Ordering::SeqCst);
        if let Err(error) = self.find() {
            tracing::warn!(%error, "it cannot be told which thumbnails are missing");
        }
    }

    fn find(&mut self) -> Result<(), Failure> {
        let snapshot = self.store.snapshot()?;
        let latest = snapshot.changes.latest();
        let mut found = Found { known: HashSet::new(), items: Vec::new(), more: false };
        match self.seen.filter(|seen| snapshot.changes.reaches_back_to(*seen)) {
            Some(seen) => {
                for change in snapshot.changes.since(seen)? {
                    let change = change?;
                    if let (false, Some(row)) = (change.folder || change.gone, snapshot.index.get(&change.path)?) {
                        found.add(&snapshot, &self.thumbnails, change.path, &row)?;
                    }
                }
                self.more |= found.more;
            }
            None => {
                for item in snapshot.index.all()? {
                    let (path, row) = item?;
                    found.add(&snapshot, &self.thumbnails, path, &row)?;
                    if self.bell.stopped() {
                        return Ok(());
                    }
                }
                self.more = found.more;
                self.headers.clear();
                self.pictures.clear();
            }
        }
        self.seen = Some(latest);
        found.narrow(VIEW);
        // What came last is looked at first.
        for (item, header, picture) in found.items.into_iter().rev() {
            if header {
                self.headers.push_front(Item { path: item.path.clone(), ..item });
            }
            if picture {
                self.pictures.push_front(item);
            }
        }
        self.thumbnails.figures().waiting.store(self.pictures.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// What the header of a file tells, if the file is still that.
    fn header(&self, item: Item) -> Option<(ContentHash, PictureRow)> {
        if !self.is_still(&item) {
            return None;
        }
        match measured(&self.tree, &item.path) {
            Ok(row) if self.is_still(&item) => Some((item.content, row)),
            Ok(_) => None,
            Err(error) => {
                tracing::debug!(%error, path = %item.path, "its header was not read");
                None
            }
        }
    }

    fn write(&self, rows: Vec<(ContentHash, PictureRow)>) {
        if rows.is_empty() {
            return;
        }
        if let Err(error) = self.store.write_soon(move |tx| pictures::put(tx, &rows)) {
            tracing::warn!(%error, "what the headers of pictures tell could not be written down");
        }
    }

    fn picture(&self, item: Item) {
        if self.thumbnails.has(&item.content, GRID) || !self.is_still(&item) {
            return;
        }
        if let Err(error) = self.thumbnails.make(&self.tree, &item.path, Some(&item.content), GRID, &self.bell.stop) {
            tracing::debug!(%error, path = %item.path, "there is no thumbnail of it");
        }
    }

    fn is_still(&self, item: &Item) -> bool {
        let stat = self.tree.stat(&item.path).ok().flatten();
        let digests = stat.and_then(|stat| self.tree.digests(&item.path, &stat).ok().flatten());
        digests.is_some_and(|digests| digests.content == item.content)
    }
}

/// What a look found: each content once, and whether its header and its picture are missing.
struct Found {
    known: HashSet<ContentHash>,
    items: Vec<(Item, bool, bool)>,
    more: bool,
}

impl Found {
    fn add(&mut self, snapshot: &Snapshot, thumbnails: &Thumbnails, path: RelPath, row: &FileRow) -> Result<(), Failure> {
        let (_, extension) = path.stem_and_extension();
        let content = row.digests.content;
        let may_be_seen = matches!(MediaKind::of_extension(extension), MediaKind::Image | MediaKind::Raw | MediaKind::Video);
        if !may_be_seen || !self.known.insert(content) {
            return Ok(());
        }
        let (header, picture) = (snapshot.pictures.get(&content)?.is_none(), !thumbnails.has(&content, GRID));
        if header || picture {
            self.items.push((Item { path, content, mtime: row.mtime }, header, picture));
            if self.items.len() >= 2 * VIEW {
                self.narrow(VIEW);
                self.more = true;
            }
        }
        Ok(())
    }

    /// Keeps so many, the newest first.
    fn narrow(&mut self, most: usize) {
        self.items.sort_by_key(|(item, ..)| std::cmp::Reverse(item.mtime));
        self.more |= self.items.len() > most;
        self.items.truncate(most);
    }
}
