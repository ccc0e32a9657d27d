//! How a service is synced.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::client::Rate;
use crate::reconcile::{Deletes, Policy};
use crate::types::RelPath;

use super::Window;

/// What is enough to believe that a file of the service is the same as one of the library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Trust {
    /// The checksum that the service tells; where it tells none, the size and the bytes at four places of the file.
    #[default]
    Samples,
    /// The checksum that the service tells; where it tells none, every byte is read.
    Checksum,
    /// Nothing but every byte.
    Full,
}

/// How far the proof of an upload goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// As far as the service helps: what it hashed or compared itself, otherwise the size, of large files also some of the bytes.
    #[default]
    Auto,
    /// Every byte is read back.
    Full,
}

/// How a service is synced. The defaults are safe: download, do not upload, follow no deletion.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default)]
pub struct SyncSettings {
    /// Whether it takes part in a sync of all services.
    pub on: bool,
    /// The folder on the service, below its WebDAV root.
    pub folder: RelPath,
    /// Minutes between runs of a serving node.
    pub interval_minutes: u32,
    /// Fetch what is new there.
    pub download: bool,
    /// Send what is new here.
    pub upload: bool,
    /// Keep remote paths; otherwise downloads are named by capture date.
    pub keep_names: bool,
    /// Sync RAW files and videos too.
    pub raw_and_video: bool,
    /// What a deletion on one side does on the other.
    pub deletes: Deletes,
    /// How much is compared before two files count as the same.
    pub trust: Trust,
    /// How far the proof of an upload goes.
    pub verify: Verify,
    /// How fast files may travel.
    pub rate: Option<Rate>,
    /// The hours in which runs may begin by themselves; they are suspended when these are over.
    pub window: Option<Window>,
    /// Patterns in the syntax of `.gitignore`; when there are any, only files that match one take part.
    pub include: Vec<String>,
    /// Patterns in the same syntax; files that match one take no part.
    pub exclude: Vec<String>,
}

impl Default for SyncSettings {
    fn default() -> Self {
        Self {
            on: false,
            folder: RelPath::root(),
            interval_minutes: 24 * 60,
            download: true,
            upload: false,
            keep_names: true,
            raw_and_video: true,
            deletes: Deletes::Ignore,
            trust: Trust::default(),
            verify: Verify::default(),
            rate: None,
            window: None,
            include: Vec::new(),
            exclude: Vec::new(),
        }
    }
}

impl SyncSettings {
    /// What reconcile needs of it.
    pub fn policy(&self) -> Policy {
        Policy { download: self.download, upload: self.upload, deletes: self.deletes, keep_names: self.keep_names }
    }
}
