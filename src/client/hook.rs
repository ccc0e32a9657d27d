//! Telling a program of the owner's what happened here: a webhook.

use std::time::Duration;

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::header::CONTENT_TYPE;
use reqwest::Url;
use sha2::Sha256;

use super::http::build;
use super::{ClientError, tls};

/// How long the other side has for its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Of the body under the secret, as GitHub and others write it.
const SIGNATURE: &str = "X-Twinlens-Signature";

/// Answers of the 400s that say nothing about the message: 408, 425, 429.
const LATER: [u16; 3] = [408, 425, 429];

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HookError {
    /// The other side does not want it.
    #[error("it answered {0}")]
    Refused(http::StatusCode),
    /// It may take it later.
    #[error("{0}")]
    Later(String),
}

/// Where messages go. Cheap to clone.
#[derive(Clone)]
pub struct Hook {
    http: reqwest::Client,
    url: Url,
    secret: Option<Hmac<Sha256>>,
}

impl Hook {
    /// Messages to this address. With a secret each is signed: `X-Twinlens-Signature: sha256=HEX`, HMAC-SHA-256 (RFC 2104) of the body.
    pub fn new(url: &str, secret: Option<&str>) -> Result<Self, ClientError> {
        let bad = || ClientError::BadUrl(url.to_owned());
        let parsed = Url::parse(url).map_err(|_| bad())?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(bad());
        }
        let failed = |reason: String| ClientError::Tls { host: parsed.host_str().unwrap_or_default().to_owned(), reason };
        let (tls, _) = tls::config(None, tls::Shown::default()).map_err(|error| failed(error.to_string()))?;
        let http = build(&tls, 1, false).map_err(|error| failed(error.to_string()))?;
        let secret = secret.map(|secret| Hmac::new_from_slice(secret.as_bytes())).transpose().map_err(|_| bad())?;
        Ok(Self { http, url: parsed, secret })
    }

    /// Sends one message, in JSON. Any answer of 2xx is good; a redirect is not followed.
    pub async fn send(&self, body: Vec<u8>) -> Result<(), HookError> {
        let mut request = self.http.post(self.url.clone()).timeout(PATIENCE).header(CONTENT_TYPE, "application/json");
        if let Some(secret) = &self.secret {
            let signature = secret.clone().chain_update(&body).finalize().into_bytes();
            let hex: String = signature.iter().map(|byte| format!("{byte:02x}")).collect();
            request = request.header(SIGNATURE, format!("sha256={hex}"));
        }
        // An address may hold a token: it is not repeated in what is logged.
        match request.body(body).send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => match answer.status() {
                status if status.is_client_error() && !LATER.contains(&status.as_u16()) => Err(HookError::Refused(status)),
                status => Err(HookError::Later(format!("it answered {status}"))),
            },
            Err(error) => Err(HookError::Later(format!("it cannot be reached: {}", error.without_url()))),
        }
    }
}
