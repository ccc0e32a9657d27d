//! What a serving node does about the trash by itself.

use std::time::Duration;

use jiff::Timestamp;
use tokio::task::JoinHandle;

use crate::library::{self, Tree};
use crate::types::LibraryId;

use super::operations::blocking;
use super::{Failure, TRASH_DAYS};

/// How often the trash is looked at. By the names in it alone, so that it costs nothing; what counts is the clock, not how long we ran.
const LOOK: Duration = Duration::from_secs(3600);

/// How a serving node looks after the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CareSettings {
    /// How long the trash keeps what was put there; none: for ever.
    pub keep_trash: Option<Duration>,
}

impl Default for CareSettings {
    fn default() -> Self {
        Self { keep_trash: Some(Duration::from_secs(TRASH_DAYS * 86_400)) }
    }
}

/// The task; it ends when this is dropped.
pub(super) struct Caretaker(JoinHandle<()>);

impl Caretaker {
    /// Begins to look after the trash of these trees, as long as the library's marker is there.
    pub(super) fn start(originals: Tree, library: LibraryId, import: Option<Tree>, settings: CareSettings) -> Self {
        Self(tokio::spawn(async move {
            let Some(keep) = settings.keep_trash else { return };
            loop {
                let (root, trees) = (originals.clone(), std::iter::once(originals.clone()).chain(import.clone()));
                let done = blocking(move || {
                    library::check_marker(root.root(), library)?;
                    trees.into_iter().for_each(|tree| let_go(&tree, keep));
                    Ok(())
                });
                // The upkeep says that the library is away.
                if let Err(error) = done.await {
                    tracing::debug!(%error, "the trash was not looked at");
                }
                tokio::time::sleep(LOOK).await;
            }
        }))
    }
}

impl Drop for Caretaker {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Lets go for good of what has been in the trash for too long.
fn let_go(tree: &Tree, keep: Duration) {
    let emptied = || -> Result<library::Emptied, Failure> {
        let Some(trash) = tree.trash()? else { return Ok(library::Emptied::default()) };
        Ok(trash.empty(Timestamp::now().checked_sub(keep).unwrap_or(Timestamp::MIN))?)
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
