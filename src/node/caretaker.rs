//! What a serving node does by itself: it lets go of what has been in the trash for too long, and reads every byte from time to time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::library::{self, Pace, Tree};
use crate::operations::{Failure, Live, Operations, TRASH_DAYS, blocking};
use crate::store::damage::Pass;
use crate::types::LibraryId;

/// After reading for a while it rests for so many times as long: others have the disk for most of the time.
const REST: u32 = 3;

/// How often the trash is looked at and the seal renewed. By the names in it alone, so that it costs nothing; what counts is the clock, not how long we ran.
const LOOK: Duration = Duration::from_secs(3600);

/// How a serving node looks after the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CareSettings {
    /// How long the trash keeps what was put there; none: for ever.
    pub keep_trash: Option<Duration>,
    /// How often every file is read again; none: never.
    pub verify: Option<Duration>,
}

impl Default for CareSettings {
    fn default() -> Self {
        Self { keep_trash: Some(Duration::from_secs(TRASH_DAYS * 86_400)), verify: Some(Duration::from_secs(30 * 86_400)) }
    }
}

/// The tasks; they end when this is dropped, within the file that is being read.
pub(super) struct Caretaker {
    stop: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Caretaker {
    /// Begins to look after a node that serves, as long as the library's marker is there.
    pub(super) fn start(node: &Arc<Operations>, originals: Tree, library: LibraryId, import: Option<Tree>) -> Self {
        let mut caretaker = Self { stop: Arc::default(), tasks: Vec::new() };
        let (root, mut settings) = (originals.clone(), node.live());
        caretaker.tasks.push(tokio::spawn(async move {
            // It was renewed when the library was opened.
            let mut sealed = true;
            loop {
                let (root, trees) = (root.clone(), std::iter::once(root.clone()).chain(import.clone()));
                let just_sealed = std::mem::take(&mut sealed);
                let keep = settings.borrow_and_update().keep_trash;
                let done = blocking(move || {
                    library::check_marker(root.root(), library)?;
                    // So that a backup of this hour is told from one of the next.
                    if !just_sealed {
                        root.renew_seal()?;
                    }
                    if let Some(keep) = keep {
                        trees.for_each(|tree| let_go(&tree, keep));
                    }
                    Ok(())
                });
                // The upkeep says that the library is away.
                if let Err(error) = done.await {
                    tracing::debug!(%error, "the library was not looked after");
                }
                pause(LOOK, &mut settings).await;
            }
        }));
        let reader =
            Reader { node: Arc::downgrade(node), tree: originals, library, settings: node.live(), stop: Arc::clone(&caretaker.stop) };
        caretaker.tasks.push(tokio::spawn(reader.run()));
        caretaker
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// Reads everything, a little at a time, and goes on after a restart where it was.
struct Reader {
    node: Weak<Operations>,
    tree: Tree,
    library: LibraryId,
    settings: watch::Receiver<Live>,
    stop: Arc<AtomicBool>,
}

/// Waits for so long, or until the settings are others.
async fn pause(time: Duration, settings: &mut watch::Receiver<Live>) {
    tokio::select! {
        () = tokio::time::sleep(time) => {}
        // An error means that the node is gone; then the task is ended.
        Ok(()) = settings.changed() => {}
    }
}

impl Reader {
    async fn run(self) {
        let mut settings = self.settings.clone();
        loop {
            let Some(interval) = settings.borrow_and_update().verify else {
                pause(LOOK, &mut settings).await;
                continue;
            };
            let wait = interval.min(LOOK);
            let Some(node) = self.node.upgrade() else { return };
            match self.step(&node, interval).await {
                Ok(true) => {}
                Ok(false) => {
                    // What could not be mended may be by now: a service is back.
                    if let Err(error) = node.mend_all().await {
                        tracing::debug!(%error, "damaged files were not looked at again");
                    }
                    drop(node);
                    pause(wait, &mut settings).await;
                }
                Err(error) => {
                    tracing::debug!(%error, "the files could not be looked at for damage");
                    drop(node);
                    pause(wait, &mut settings).await;
                }
            }
        }
    }

    /// The next files, when it is time; false when it is not.
    async fn step(&self, node: &Arc<Operations>, interval: Duration) -> Result<bool, Failure> {
        let (tree, library, store) = (self.tree.clone(), self.library, node.store.clone());
        let stop = Arc::clone(&self.stop);
        let (going_on, damaged) = on_a_thread_of_its_own(move || {
            library::check_marker(tree.root(), library)?;
            let pass = Pass::read(&store.read()?)?;
            let now = store.clock().seconds();
            let Some(ended) = pass.ended else {
                // Everything was read just now, when it was indexed.
                store.write(move |tx| Pass { ended: Some(now), ..pass }.write(tx))?;
                return Ok((false, false));
            };
            if pass.after.is_none() && now.saturating_sub(ended).unsigned_abs() < interval.as_secs() {
                return Ok((false, false));
            }
            let checked = library::verify_some(&tree, pass.after.as_ref(), &Pace { stop: Arc::clone(&stop), rest: Some(REST) })?;
            for (path, reason) in &checked.failed {
                tracing::error!(%path, %reason, "it could not be read");
            }
            let damaged = !checked.damaged.is_empty();
            if stop.load(Ordering::Relaxed) && checked.last.is_none() {
                return Ok((false, damaged));
            }
            let going_on = checked.last.is_some();
            let pass = match checked.last {
                Some(last) => Pass { after: Some(last), ..pass },
                None => Pass { after: None, ended: Some(now), whole: true },
            };
            store.write_soon(move |tx| pass.write(tx))?;
            Ok((going_on, damaged))
        })
        .await?;
        if damaged {
            node.mend_all().await?;
        }
        Ok(going_on)
    }
}

/// Runs what reads for long on a thread that gives way to all others.
async fn on_a_thread_of_its_own<R, F>(work: F) -> Result<R, Failure>
where
    R: Send + 'static,
    F: FnOnce() -> Result<R, Failure> + Send + 'static,
{
    let (tell, told) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("verify".into()).spawn(move || {
        give_way();
        // Nobody waits any more when the node has stopped.
        let _ = tell.send(work());
    });
    thread.map_err(|error| Failure::unreachable(format!("a thread cannot be started: {error}")))?;
    told.await.map_err(|_| Failure::unreachable("a part of the program ended unexpectedly"))?
}

/// This thread gives way to all others from now on. On Linux the disk follows it; elsewhere the rests alone must do.
pub(super) fn give_way() {
    #[cfg(target_os = "linux")]
    let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), 19);
}

/// Lets go for good of what has been in the trash for too long.
fn let_go(tree: &Tree, keep: Duration) {
    let emptied = || -> Result<library::Emptied, Failure> {
        let Some(trash) = tree.trash()? else { return Ok(library::Emptied::default()) };
        Ok(trash.empty(tree.now().checked_sub(keep).unwrap_or(Timestamp::MIN))?)
    };
    match emptied() {
        Ok(emptied) => {
            if emptied.files > 0 {
                tracing::info!(files = emptied.files, bytes = emptied.bytes, "their time in the trash is over");
            }
            for (id, reason) in emptied.failed {
                tracing::error!(%id, %reason, "it could not be removed from the trash");
            }
        }
        Err(error) => tracing::error!(%error, root = %tree.root().display(), "the trash could not be looked at"),
    }
}
