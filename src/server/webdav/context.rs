//! What a request says beyond what dav-server understands, and what the file system says back.

use std::sync::PoisonError;

use http::{HeaderMap, StatusCode};

use crate::library::LibraryError;
use crate::types::{Digests, Mtime};

use super::Shared;
use super::promised::Promises;

/// Finder's way to announce the length of a chunked body. dav-server is not shown it: of a longer body it would store the beginning.
pub(super) const EXPECTED_LENGTH: &str = "x-expected-entity-length";

/// Travels with one request as dav-server's credentials.
#[derive(Clone, Default)]
pub(super) struct Context {
    read_only: bool,
    mtime: Option<Mtime>,
    promises: Promises,
    conditional: bool,
    expected_length: Option<u64>,
    replaced: Option<Vec<u8>>,
    state: Shared<State>,
}

#[derive(Default)]
struct State {
    verdict: Option<(StatusCode, String)>,
    received: Option<Digests>,
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

    pub(super) fn with_read_only(self, read_only: bool) -> Self {
        Self { read_only, ..self }
    }

    /// This request moves or copies a file onto the one at this path below the mount.
    pub(super) fn with_replaced(self, path: Option<String>) -> Self {
        Self { replaced: path.map(String::into_bytes), ..self }
    }

    /// Whether the file at this path is about to be replaced in one step.
    pub(super) fn replaces(&self, path: &[u8]) -> bool {
        self.replaced.as_deref() == Some(path)
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

    /// True when nothing may change.
    pub(super) fn read_only(&self) -> bool {
        self.read_only
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

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
