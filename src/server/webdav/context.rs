//! What a request says beyond what dav-server understands, and what the file system says back.

use std::sync::PoisonError;

use http::{HeaderMap, StatusCode};

use crate::library::{Extent, LibraryError};
use crate::types::{Digests, Mtime};

use super::Shared;
use super::promised::Promises;

/// Finder's way to announce the length of a chunked body. dav-server is not shown it: of a longer body it would store the beginning.
pub(super) const EXPECTED_LENGTH: &str = "x-expected-entity-length";

/// Travels with one request as dav-server's credentials.
#[derive(Clone, Default)]
pub(super) struct Context {
    mtime: Option<Mtime>,
    promises: Promises,
    conditional: bool,
    expected_length: Option<u64>,
    whole: Vec<String>,
    replaced: Option<String>,
    extent: Option<Extent>,
    locks_name: bool,
    state: Shared<State>,
}

#[derive(Default)]
struct State {
    verdict: Option<(StatusCode, String)>,
    received: Option<Digests>,
    hashes: Vec<(&'static str, String)>,
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
        let expected_length = text(EXPECTED_LENGTH).and_then(|value| value.trim().parse().ok());
        let conditions = ["if-match", "if-none-match", "if-unmodified-since", "if"];
        let conditional = conditions.iter().any(|name| headers.contains_key(*name));
        Ok(Self { mtime, promises, conditional, expected_length, ..Self::default() })
    }

    /// This request is about these paths below the mount, each as one thing; what is at `replaced` is replaced in one step.
    pub(super) fn with_whole(self, whole: Vec<String>, replaced: Option<String>, extent: Extent) -> Self {
        Self { whole, replaced, extent: Some(extent), ..self }
    }

    /// This request locks a name, and makes a file of it when it is free.
    pub(super) fn with_locked_name(self) -> Self {
        Self { locks_name: true, ..self }
    }

    pub(super) fn locks_name(&self) -> bool {
        self.locks_name
    }

    /// Whether the path is one that the request moves, copies or removes in one step.
    pub(super) fn is_whole(&self, path: &[u8]) -> bool {
        self.whole.iter().any(|own| own.as_bytes() == trimmed(path))
    }

    /// Whether what is at this path is about to be replaced in one step.
    pub(super) fn replaces(&self, path: &[u8]) -> bool {
        self.replaced.as_ref().is_some_and(|own| own.as_bytes() == trimmed(path))
    }

    /// How much a COPY of a folder copies.
    pub(super) fn extent(&self) -> Extent {
        self.extent.unwrap_or(Extent::Everything)
    }

    pub(super) fn mtime(&self) -> Option<Mtime> {
        self.mtime
    }

    /// The checksums that the client promises for the body.
    pub(super) fn promises(&self) -> Promises {
        self.promises.clone()
    }

    /// The length that Finder announces for a body without Content-Length.
    pub(super) fn expected_length(&self) -> Option<u64> {
        self.expected_length
    }

    /// True when the client set a condition: what was checked before the body came must still be so after it.
    pub(super) fn conditional(&self) -> bool {
        self.conditional
    }

    /// Answers with this instead of what dav-server makes of the error.
    pub(super) fn refuse(&self, status: StatusCode, reason: impl Into<String>) {
        self.lock().verdict = Some((status, reason.into()));
    }

    /// The answer for a failed change; its text names the path.
    pub(super) fn explain(&self, error: &LibraryError) {
        let status = match error {
            LibraryError::Changed(_) => StatusCode::PRECONDITION_FAILED,
            LibraryError::Full(_) => StatusCode::INSUFFICIENT_STORAGE,
            LibraryError::WrongKind(_) => StatusCode::METHOD_NOT_ALLOWED,
            _ => return,
        };
        self.refuse(status, format!("{error}.\n"));
    }

    pub(super) fn verdict(&self) -> Option<(StatusCode, String)> {
        self.lock().verdict.take()
    }

    pub(super) fn set_received(&self, digests: Digests) {
        self.lock().received = Some(digests);
    }

    /// The digests of the body that was stored.
    pub(super) fn received(&self) -> Option<Digests> {
        self.lock().received
    }

    pub(super) fn set_hashes(&self, hashes: Vec<(&'static str, String)>) {
        self.lock().hashes = hashes;
    }

    /// The checksums of the body that the client asked for: kind and hexadecimal digits.
    pub(super) fn hashes(&self) -> Vec<(&'static str, String)> {
        self.lock().hashes.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A path of dav-server's without the slashes at its ends.
fn trimmed(path: &[u8]) -> &[u8] {
    let path = path.strip_prefix(b"/").unwrap_or(path);
    path.strip_suffix(b"/").unwrap_or(path)
}
