//! How a command fails: one sentence and an exit code.

use serde::{Deserialize, Serialize};

use crate::accounts::AccountError;
use crate::client::{ClientError, Fingerprint};
use crate::library::LibraryError;
use crate::services::discovery::Missed;
use crate::services::{PortableError, SecretError, ServiceError};
use crate::share::ShareError;
use crate::store::StoreError;
use crate::sync::SyncError;

/// The exit codes of the program; scripts depend on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExitCode {
    /// Everything was done.
    Done = 0,
    /// Finished, but with failures, each named.
    Failures = 1,
    /// Wrong usage.
    Usage = 2,
    /// Could not start, or not reach what it needs.
    Unreachable = 3,
}

/// What kind of thing went wrong: what a program can tell failures apart by, whoever shows them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// What was said cannot be used: a value out of its range, a combination that makes no sense.
    BadInput,
    /// What was named is not there.
    NotFound,
    /// Something of this name is there already.
    Taken,
    /// It cannot be done as things are now: something is running, something changed, somebody must decide first.
    WrongState,
    /// The node runs in public mode, where there is no such thing.
    PublicMode,
    /// A remote service did not answer, or not as it should.
    ServiceUnreachable,
    /// The library is not there, or not the one that is expected.
    NoLibrary,
    /// There is no room left on a disk here.
    Full,
    /// Something here did not work that should.
    Failed,
}

/// Why a command failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the program ends for it.
    pub code: ExitCode,
    /// What kind of failure.
    pub kind: Kind,
    /// The part of the input that it is about, where there is one: `folder`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub field: Option<String>,
    /// What happened, to what, and what to do.
    pub message: String,
    /// What a service did, where that is why.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cause: Option<Box<Cause>>,
}

/// What a service did that made something fail, for whoever can offer a way out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cause {
    /// In one word: `unknown-host`, `untrusted`, `other-certificate`, `plain-http`, `redirect`, `no-dav`, or as in a report: `unauthorized`, ...
    pub word: String,
    /// The certificate that is not trusted.
    pub fingerprint: Option<Fingerprint>,
}

impl Cause {
    /// None when no service was asked.
    fn of(error: &ClientError) -> Option<Box<Self>> {
        use ClientError as E;
        let (word, fingerprint) = match error {
            E::BadUrl(_) => return None,
            E::UnknownHost(_) => ("unknown-host", None),
            E::Untrusted { fingerprint, .. } => ("untrusted", Some(*fingerprint)),
            E::WrongFingerprint { found, .. } => ("other-certificate", Some(*found)),
            E::PlainHttp { .. } => ("plain-http", None),
            E::Redirect(_) => ("redirect", None),
            E::NotDav { .. } => ("no-dav", None),
            error => (error.cause(), None),
        };
        Some(Box::new(Self { word: word.to_owned(), fingerprint }))
    }
}

impl Failure {
    /// The user asked for something that makes no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, Kind::BadInput, message)
    }

    /// Something that is needed is not there.
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Unreachable, Kind::Failed, message)
    }

    /// What was named is not there.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, Kind::NotFound, message)
    }

    /// It cannot be done as things are.
    pub fn wrong_state(message: impl Into<String>) -> Self {
        Self::new(ExitCode::Usage, Kind::WrongState, message)
    }

    /// Any other.
    pub fn new(code: ExitCode, kind: Kind, message: impl Into<String>) -> Self {
        Self { code, kind, field: None, message: message.into(), cause: None }
    }

    /// The same, of another kind.
    pub fn of_kind(self, kind: Kind) -> Self {
        Self { kind, ..self }
    }

    /// The same, about this part of the input.
    pub fn about(self, field: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..self }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let kind = if matches!(error, StoreError::Full(_)) { Kind::Full } else { Kind::Failed };
        Self::unreachable(error.to_string()).of_kind(kind)
    }
}

impl From<LibraryError> for Failure {
    fn from(error: LibraryError) -> Self {
        let kind = match &error {
            LibraryError::NotFound(_) | LibraryError::NoParent(_) | LibraryError::Outside(_) => Kind::NotFound,
            LibraryError::Exists(_) => Kind::Taken,
            LibraryError::WrongKind(_) | LibraryError::Changed(_) => Kind::WrongState,
            LibraryError::TooLong(_) => Kind::BadInput,
            LibraryError::Missing(_)
            | LibraryError::Unusable { .. }
            | LibraryError::NoMarker(_)
            | LibraryError::ForeignMarker { .. }
            | LibraryError::BadMarker { .. } => Kind::NoLibrary,
            LibraryError::Full(_) | LibraryError::Store(StoreError::Full(_)) => Kind::Full,
            LibraryError::Io { .. } | LibraryError::Store(_) => Kind::Failed,
        };
        Self::unreachable(error.to_string()).of_kind(kind)
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::unreachable(error.to_string())
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let cause = Cause::of(&error);
        let failure = match error {
            ClientError::BadUrl(_) | ClientError::PlainHttp { .. } => Self::usage(error.to_string()).about("url"),
            _ => Self::unreachable(error.to_string()).of_kind(Kind::ServiceUnreachable),
        };
        Self { cause, ..failure }
    }
}

impl From<Missed> for Failure {
    fn from(missed: Missed) -> Self {
        let failure = match &missed.error {
            Some(ClientError::BadUrl(_) | ClientError::PlainHttp { .. }) => Self::usage(missed.to_string()).about("url"),
            _ => Self::unreachable(missed.to_string()).of_kind(Kind::ServiceUnreachable).about("url"),
        };
        let cause = match &missed.error {
            Some(error) => Cause::of(error),
            None => Some(Box::new(Cause { word: missed.word().to_owned(), fingerprint: None })),
        };
        Self { cause, ..failure }
    }
}

impl From<ServiceError> for Failure {
    fn from(error: ServiceError) -> Self {
        match error {
            ServiceError::Unknown(_) => Self::not_found(error.to_string()),
            ServiceError::Taken(_) => Self::usage(error.to_string()).of_kind(Kind::Taken).about("name"),
            ServiceError::BadName => Self::usage(error.to_string()).about("name"),
            ServiceError::Portable(PortableError::WrongPassphrase | PortableError::ShortPassphrase) => {
                Self::usage(error.to_string()).about("passphrase")
            }
            ServiceError::Portable(_) => Self::usage(error.to_string()).about("document"),
            ServiceError::Clash(_) => Self::usage(error.to_string()).of_kind(Kind::Taken).about("document"),
            ServiceError::NothingToUndo(_) => Self::wrong_state(error.to_string()),
            ServiceError::Client(error) => error.into(),
            ServiceError::Store(error) => error.into(),
            ServiceError::Secret(_) => Self::unreachable(error.to_string()),
        }
    }
}

impl From<AccountError> for Failure {
    fn from(error: AccountError) -> Self {
        use AccountError as E;
        let text = error.to_string();
        match error {
            E::Store(error) => error.into(),
            E::Hash(_) => Self::unreachable(text),
            E::Unknown(_) | E::UnknownApp { .. } => Self::not_found(text),
            E::Taken(_) => Self::usage(text).of_kind(Kind::Taken).about("name"),
            E::LastAdmin(_) | E::TooMany(_) | E::Ambiguous { .. } => Self::wrong_state(text),
            E::BadName => Self::usage(text).about("name"),
            E::BadPassword => Self::usage(text).about("password"),
            E::BadLabel => Self::usage(text).about("label"),
            E::OwnFolder => Self::usage(text).about("folder"),
            E::AdminHasAll | E::ViewerReads => Self::usage(text).about("role"),
        }
    }
}

impl From<ShareError> for Failure {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Client(error) => error.into(),
            ShareError::Store(error) => error.into(),
        }
    }
}

impl From<SyncError> for Failure {
    fn from(error: SyncError) -> Self {
        match error {
            SyncError::Client(error) => error.into(),
            SyncError::Library(error) => error.into(),
            SyncError::Store(error) => error.into(),
            SyncError::Halted(_)
            | SyncError::SameLibrary(_)
            | SyncError::OtherLibrary { .. }
            | SyncError::FolderGone(_)
            | SyncError::NoFolder(_)
            | SyncError::Pattern(_)
            | SyncError::Stopped(_)
            | SyncError::Crashed(_) => Self::new(ExitCode::Failures, Kind::WrongState, error.to_string()),
        }
    }
}
