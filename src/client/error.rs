//! What can go wrong with a service, told so that its owner knows what to do.

use http::StatusCode;

use crate::dav::xml::XmlError;

use super::Fingerprint;

/// A failed request.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ClientError {
    /// The URL is not one.
    #[error("{0} is not a web address; write it like https://photos.example.org/originals/")]
    BadUrl(String),
    /// No such host.
    #[error("the host {0} is not known; check the spelling of the URL and the network")]
    UnknownHost(String),
    /// Nothing answers there.
    #[error("{host} does not answer ({reason}); check that the server runs and that the port is right")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The certificate is not trusted.
    #[error(
        "the certificate of {host} is not trusted ({reason}). If it is your own server, compare this fingerprint with the one it shows, \
         and add the service with --fingerprint {fingerprint}"
    )]
    Untrusted {
        /// Host and port.
        host: String,
        /// What is wrong with it.
        reason: String,
        /// SHA-256 of the certificate.
        fingerprint: Fingerprint,
    },
    /// The certificate is not the one that was pinned.
    #[error("{host} shows another certificate ({found}) than the one this service was added with; do not go on unless you know why")]
    WrongFingerprint {
        /// Host and port.
        host: String,
        /// SHA-256 of the certificate shown.
        found: Fingerprint,
    },
    /// TLS failed otherwise.
    #[error("no secure connection to {host}: {reason}; perhaps it speaks http there, not https")]
    Tls {
        /// Host and port.
        host: String,
        /// What rustls said.
        reason: String,
    },
    /// A password over plain http through public networks.
    #[error(
        "{host} is reached over plain http, and is neither this machine nor in a private network: everybody on the way could read the \
         password. Nothing was sent. Use https; or, if you know that the way is safe (a VPN), allow it with --allow-http"
    )]
    PlainHttp {
        /// Host and port.
        host: String,
    },
    /// 401.
    #[error("the service does not accept this user and password; check both (a Nextcloud with two-factor login needs an app password)")]
    Unauthorized,
    /// No byte for a while.
    #[error("{host} stopped answering")]
    Timeout {
        /// Host and port.
        host: String,
    },
    /// It asked to be left alone for longer than one file waits.
    #[error("{host} is busy and asked to be left alone for {seconds} more seconds")]
    Busy {
        /// Host and port.
        host: String,
        /// How long it is to be left alone.
        seconds: u64,
    },
    /// The connection broke.
    #[error("the connection to {host} broke: {reason}")]
    Broken {
        /// Host and port.
        host: String,
        /// How.
        reason: String,
    },
    /// A redirect, which is not followed: the password would go with it.
    #[error("the service redirects to {0}; use that address as the service's URL if it is right")]
    Redirect(String),
    /// The answer is no WebDAV.
    #[error(
        "{url} does not speak WebDAV ({found}); give the WebDAV address of the service, such as .../originals/ or .../remote.php/dav/files/USER/"
    )]
    NotDav {
        /// What was asked.
        url: String,
        /// What came instead.
        found: String,
    },
    /// A WebDAV answer that makes no sense.
    #[error("the answer of the service cannot be understood: {0}")]
    Malformed(#[from] XmlError),
    /// An answer over a limit.
    #[error("the answer of the service is larger than {0} MiB; it was not read on")]
    TooLarge(usize),
    /// An answer about something else.
    #[error("the service answered about {0}, which is outside the folder that was asked for")]
    Outside(String),
    /// 404.
    #[error("the service has no {0}")]
    NotFound(String),
    /// 412: it is not as expected.
    #[error("the service's {0} was changed by somebody else meanwhile; it was left as it is")]
    Changed(String),
    /// It gave a reason.
    #[error("the service did not take {path}: {reason}")]
    Refused {
        /// What it did not take.
        path: String,
        /// What it said.
        reason: String,
    },
    /// Any other status.
    #[error("the service answered {status} to {method} {path}{}", said(told.as_deref()).unwrap_or_else(|| hint(*status).to_owned()))]
    Status {
        /// The status.
        status: StatusCode,
        /// The request.
        method: String,
        /// Its path.
        path: String,
        /// The reason that it gave.
        told: Option<String>,
    },
    /// What came is not what was announced.
    #[error("{0}")]
    Corrupt(String),
    /// It hashed what it received of a file, and that is not what was sent.
    #[error("the service received other bytes of {path} than were sent")]
    OtherBytes {
        /// Which file.
        path: String,
        /// The entity tag that it answered all the same.
        etag: Option<String>,
    },
    /// Somebody said so, or its hours are over.
    #[error("it was stopped on the way; the next run does it")]
    Stopped,
    /// The local file could not be read on.
    #[error("the file could not be sent: {0}")]
    Source(String),
}

fn said(told: Option<&str>) -> Option<String> {
    told.map(|told| format!(": \"{told}\""))
}

/// What a status usually means for the owner.
fn hint(status: StatusCode) -> &'static str {
    match status.as_u16() {
        403 => ": this user may not do that there",
        409 => ": a folder on the way is missing",
        413 => {
            ": the file is larger than the server or a proxy before it allows (client_max_body_size of nginx, LimitRequestBody of Apache, \
             upload_max_filesize and post_max_size of PHP)"
        }
        423 => ": it is locked by another program",
        425 | 429 | 503 => ": it is busy; the next run tries again",
        502 | 504 => ": a proxy before it got no answer (in time: proxy_read_timeout of nginx, ProxyTimeout of Apache)",
        500 => ": something is wrong with it; its log says what",
        507 => ": its disk or the user's quota is full",
        _ => "",
    }
}

impl ClientError {
    /// True when the whole service is out of reach or refuses us, so that going on with other files makes no sense.
    pub fn stops_everything(&self) -> bool {
        matches!(
            self,
            Self::BadUrl(_)
                | Self::UnknownHost(_)
                | Self::Unreachable { .. }
                | Self::Untrusted { .. }
                | Self::WrongFingerprint { .. }
                | Self::Tls { .. }
                | Self::PlainHttp { .. }
                | Self::Unauthorized
        )
    }

    /// True when nobody knows whether the request arrived: one must look before it is sent again.
    pub fn may_have_arrived(&self) -> bool {
        match self {
            Self::Broken { .. } | Self::Timeout { .. } => true,
            Self::Status { status, .. } => matches!(*status, StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT),
            _ => false,
        }
    }

    /// True when the service has no room: nothing more can be sent, and everything else goes on.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Status { status: StatusCode::INSUFFICIENT_STORAGE, .. })
    }

    /// What kind of failure it is, in one word that stays the same: for counting.
    pub fn cause(&self) -> &'static str {
        match self {
            Self::BadUrl(_) | Self::UnknownHost(_) | Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } | Self::WrongFingerprint { .. } | Self::Tls { .. } | Self::PlainHttp { .. } => "tls",
            Self::Unauthorized => "unauthorized",
            Self::Timeout { .. } => "timeout",
            Self::Busy { .. } => "busy",
            Self::Broken { .. } => "broken",
            Self::Redirect(_) | Self::NotDav { .. } | Self::Malformed(_) | Self::TooLarge(_) | Self::Outside(_) => "bad-answer",
            Self::NotFound(_) => "not-found",
            Self::Changed(_) => "changed",
            Self::Refused { .. } => "refused",
            Self::Status { status, .. } => match status.as_u16() {
                403 => "forbidden",
                413 => "too-large",
                423 => "locked",
                425 | 429 | 503 => "busy",
                507 => "full",
                500.. => "server-error",
                _ => "refused",
            },
            Self::Corrupt(_) | Self::OtherBytes { .. } => "not-proven",
            Self::Stopped => "stopped",
            Self::Source(_) => "library",
        }
    }
}
