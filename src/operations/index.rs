//! Looking at the library.

use std::sync::atomic::AtomicBool;

use serde::Serialize;
use utoipa::ToSchema;

use crate::library;

use super::blocking::blocking;
use super::care::NotDone;
use super::{Failure, Operations};

/// What a look at the library found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct IndexReport {
    /// Files in the library.
    pub files: u64,
    /// Files whose bytes were read.
    pub hashed: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that are gone since the last look.
    pub removed: u64,
    /// What could not be read.
    pub failed: Vec<NotDone>,
}

impl Operations {
    /// Brings the index up to date with the disk.
    pub async fn index(&self) -> Result<IndexReport, Failure> {
        let (tree, _) = self.library()?;
        let events = self.events.clone();
        let report = blocking(move || Ok(library::scan_quiet(&tree, &events, &AtomicBool::new(false))?)).await?;
        let growing = report.growing.iter().map(|path| (path, library::GROWING));
        let failed = report.coverage.gaps().chain(growing).map(|(path, reason)| NotDone::of(path, reason));
        let failed = failed.collect();
        Ok(IndexReport { files: report.files, hashed: report.hashed, bytes: report.bytes, removed: report.removed, failed })
    }
}
