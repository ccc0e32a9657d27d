//! Small pictures of what is in the trash.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use crate::library::RenditionError;

use super::blocking::blocking;
use super::{Failure, Operations};

/// The side of the square that it fits into, in pixels.
const SIDE: u32 = 320;
/// So many are decoded at once: each may need hundreds of MiB.
static DECODERS: Semaphore = Semaphore::const_new(2);

/// Ends the work for somebody who has gone away.
struct Gone(Arc<AtomicBool>);

impl Drop for Gone {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Operations {
    /// A JPEG of a file in the trash: `name` is the id of its removal, and its path below that. Without the place where it was taken.
    pub async fn trash_picture(&self, name: String) -> Result<Vec<u8>, Failure> {
        let (tree, _) = self.library()?;
        let turn = DECODERS.acquire().await;
        let stop = Arc::new(AtomicBool::new(false));
        let _gone = Gone(Arc::clone(&stop));
        blocking(move || {
            let _turn = turn;
            let found = tree.trash()?.map(|trash| trash.open(&name)).transpose()?.flatten();
            let Some((path, open)) = found else { return Err(Failure::not_found("the trash has no such file")) };
            tree.rendition_of((&path, open), SIDE, &stop).map_err(|error| match error {
                RenditionError::Library(error) => error.into(),
                error => Failure::not_found(format!("there is no picture of it: {error}")),
            })
        })
        .await
    }
}
