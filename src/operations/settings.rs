//! How a running node is set up.

use serde::Serialize;
use utoipa::ToSchema;

use super::Operations;

/// How a running node is set up, by the flags and variables that it was started with. Secrets are not among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// The version of the program.
    pub version: String,
    /// The library.
    pub library: String,
    /// The import folder.
    pub import: String,
    /// Where the state is.
    pub data: String,
    /// The address that the node serves on; none inside another server.
    pub url: Option<String>,
    /// SHA-256 of the certificate, when it serves TLS.
    pub fingerprint: Option<String>,
    /// Nobody logs in.
    pub public: bool,
    /// Nothing is changed over HTTP.
    pub read_only: bool,
    /// Services are synced only when somebody says so.
    pub by_hand: bool,
    /// Transfers at the same time.
    pub parallel: usize,
    /// How many seconds the trash keeps what was put there; none: for ever.
    pub keep_trash: Option<u64>,
    /// After how many seconds every file is read again; none: never.
    pub verify_interval: Option<u64>,
    /// After how many seconds the whole library is looked at; none: never.
    pub scan_interval: Option<u64>,
    /// For how many seconds a dropped file must be left in peace before it is imported; none: nothing is imported.
    pub import_quiet: Option<u64>,
    /// Thumbnails are made before anybody asks for them.
    pub thumbnails_in_background: bool,
    /// How many bytes of thumbnails are kept.
    pub thumbnail_cache: u64,
    /// The programs that decode HEIC, AVIF and JPEG XL pictures and videos, as far as they were found.
    pub decoders: Vec<String>,
    /// The bytes that a body may have; none: unlimited.
    pub max_upload: Option<u64>,
}

impl Operations {
    /// How the running node is set up; none when it does not run.
    pub fn settings(&self) -> Option<Settings> {
        self.settings.get().cloned()
    }

    /// The node runs like this from now on.
    pub(crate) fn runs_with(&self, settings: Settings) {
        let _ = self.settings.set(settings);
    }
}
