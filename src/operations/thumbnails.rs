//! How far the small pictures are.

use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;
use utoipa::ToSchema;

use super::Operations;

/// How far the small pictures are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ThumbnailStatus {
    /// Contents of which one is still to be made in the background.
    pub waiting: u64,
    /// How many were made since the start, of any size.
    pub made: u64,
    /// Of how many files none could be made, since the start.
    pub refused: u64,
    /// About how many bytes of them are kept.
    pub bytes: u64,
}

impl Operations {
    /// How far the small pictures are.
    pub fn thumbnail_status(&self) -> ThumbnailStatus {
        let figures = self.thumbnails.figures();
        let told = |figure: &AtomicU64| figure.load(Ordering::Relaxed);
        ThumbnailStatus {
            waiting: told(&figures.waiting),
            made: told(&figures.made),
            refused: told(&figures.refused),
            bytes: self.thumbnails.bytes(),
        }
    }
}
