//! Looking at the library.

use std::sync::atomic::AtomicBool;

use serde_json::{Value, json};

use crate::library;

use super::blocking::blocking;
use super::{Failure, Operations};

impl Operations {
    /// Brings the index up to date with the disk.
    pub async fn index(&self) -> Result<Value, Failure> {
        let (tree, _) = self.library()?;
        let events = self.events.clone();
        let report = blocking(move || Ok(library::scan_quiet(&tree, &events, &AtomicBool::new(false))?)).await?;
        let growing = report.growing.iter().map(|path| (path, library::GROWING));
        let failed = report.coverage.gaps().chain(growing).map(|(path, reason)| json!({ "path": path.as_str(), "reason": reason }));
        let failed: Vec<_> = failed.collect();
        Ok(json!({
            "files": report.files,
            "hashed": report.hashed,
            "bytes": report.bytes,
            "removed": report.removed,
            "failed": failed,
        }))
    }
}
