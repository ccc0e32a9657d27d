//! What the headers of an upload say beyond HTTP.

use http::HeaderMap;

use crate::types::Mtime;

use super::promised::Promises;

/// Finder's way to announce the length of a chunked body.
const EXPECTED_LENGTH: &str = "x-expected-entity-length";

/// What a client says of the file that it sends.
#[derive(Clone, Default)]
pub(super) struct Context {
    mtime: Option<Mtime>,
    promises: Promises,
    announced: Option<u64>,
}

impl Context {
    /// Reads the headers of a request; an unusable one is an error, because ignoring it could lose a date or a check.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, String> {
        let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
        let mtime = match text("x-oc-mtime") {
            Some(value) => Some(Mtime::parse_oc_mtime(value).ok_or("X-OC-MTime is no number of seconds.\n")?),
            None => None,
        };
        let promises = Promises::of(headers)?;
        let length = |name: &str| text(name).and_then(|value| value.trim().parse().ok());
        Ok(Self { mtime, promises, announced: length("content-length").or_else(|| length(EXPECTED_LENGTH)) })
    }

    /// The modification time that the file is to have.
    pub(super) fn mtime(&self) -> Option<Mtime> {
        self.mtime
    }

    /// The checksums that the client promises for the body.
    pub(super) fn promises(&self) -> Promises {
        self.promises.clone()
    }

    /// How long the body is going to be: of fewer or more bytes nothing is stored.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }
}
