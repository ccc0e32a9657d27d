//! What the clients of Nextcloud and ownCloud ask for besides WebDAV: who the server is and what it can, logins in the browser, uploads in
//! pieces and many at once.
//!
//! Nothing is advertised that is not there, and what is not there is answered with 404.

mod answers;
mod app_passwords;
mod bulk;
mod capabilities;
mod collections;
mod login_flow;
mod login_page;
mod multipart;
mod ocs;
mod uploads;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use http::{HeaderMap, Method, Request, Response, StatusCode};

use crate::accounts::{Login, Logins};
use crate::dav::href;
use crate::library::Uploads;

use self::login_flow::Flows;
use super::http::{Body, Incoming, text};
use super::webdav::WebDav;

pub(super) use self::answers::Base;
pub(super) use self::uploads::{Taking, refused};

/// How often expired uploads are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// A place that is answered here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Route {
    /// `/status.php`: who this is.
    Status,
    /// `/index.php/204`: whether there is a way to the server at all.
    NoContent,
    /// `/login/v2`: a client begins a login in the browser.
    FlowStart,
    /// `/login/v2/poll`: it asks what came of it.
    FlowPoll,
    /// `/login/v2/flow/TOKEN`: the page that the user sees.
    FlowPage(String),
    /// `/ocs/v1.php/` and `/ocs/v2.php/`.
    Ocs(ocs::Version, Vec<String>),
    /// `/remote.php/dav/` and the collections in it that are not files.
    Collection(collections::Collection),
    /// `/remote.php/dav/uploads/USER/ID/CHUNK`.
    Uploads(Vec<String>),
    /// `/remote.php/dav/bulk`.
    Bulk,
}

impl Route {
    /// What an encoded path asks for here; none when it is not answered here.
    pub(super) fn of(path: &str) -> Option<Self> {
        let path = href::decode(path)?;
        let all: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let owned = |segments: &[&str]| segments.iter().map(|segment| (*segment).to_owned()).collect();
        match *all {
            ["status.php"] => return Some(Self::Status),
            ["ocs", version, ref rest @ ..] => return ocs::Version::of(version).map(|version| Self::Ocs(version, owned(rest))),
            ["remote.php", "dav", ref rest @ ..] => {
                return match *rest {
                    ["uploads", ref rest @ ..] => Some(Self::Uploads(owned(rest))),
                    ["bulk"] => Some(Self::Bulk),
                    _ => collections::Collection::of(rest).map(Self::Collection),
                };
            }
            _ => {}
        }
        match *all.strip_prefix(&["index.php"]).unwrap_or(&all) {
            ["204"] => Some(Self::NoContent),
            ["login", "v2"] => Some(Self::FlowStart),
            ["login", "v2", "poll"] => Some(Self::FlowPoll),
            ["login", "v2", "flow", token] => Some(Self::FlowPage(token.to_owned())),
            _ => None,
        }
    }

    /// Whether it is answered to people who have not logged in. The capabilities are, in part, as long as nobody tries to log in.
    pub(super) fn is_public(&self, headers: &HeaderMap) -> bool {
        match self {
            Self::Status | Self::NoContent | Self::FlowStart | Self::FlowPoll | Self::FlowPage(_) => true,
            Self::Ocs(_, rest) => *rest == ["cloud", "capabilities"] && !headers.contains_key(AUTHORIZATION),
            _ => false,
        }
    }
}

/// Everything that is answered here.
pub(super) struct Cloud {
    webdav: Arc<WebDav>,
    logins: Logins,
    uploads: Uploads,
    flows: Flows,
}

impl Cloud {
    /// Sweeps expired uploads every hour, as long as it lives.
    pub(super) fn open(webdav: Arc<WebDav>, logins: Logins, uploads: Uploads) -> Self {
        let swept = uploads.downgrade();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(SWEEP).await;
                let Some(uploads) = swept.upgrade() else { return };
                if let Err(error) = tokio::task::spawn_blocking(move || uploads.sweep()).await {
                    tracing::error!(%error, "expired uploads could not be swept");
                }
            }
        });
        Self { webdav, logins, uploads, flows: Flows::default() }
    }

    /// Answers what needs no login.
    pub(super) async fn answer_anybody(&self, route: Route, request: Request<Incoming>, from: IpAddr, base: Base) -> Response<Body> {
        match (route, request.method()) {
            (Route::Status, &(Method::GET | Method::HEAD)) => capabilities::status(),
            (Route::NoContent, &(Method::GET | Method::HEAD)) => answers::empty(StatusCode::NO_CONTENT),
            (Route::FlowStart, &Method::POST) => self.flows.start(request.headers(), from, &base),
            (Route::FlowPoll, &Method::POST) => self.flows.poll(request, &self.logins, &base).await,
            (Route::FlowPage(token), &(Method::GET | Method::HEAD)) => self.flows.show(&token, request.headers()),
            (Route::FlowPage(token), &Method::POST) => self.flows.log_in(&token, request, &self.logins, from, &base).await,
            (Route::Ocs(version, rest), &Method::GET) => ocs::anonymous(version, &rest, &request),
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "This is not answered here.\n"),
        }
    }

    /// Answers somebody who is logged in.
    pub(super) async fn answer(&self, route: Route, request: Request<Incoming>, login: Login, base: Base) -> Response<Body> {
        match route {
            Route::Ocs(version, rest) => self.ocs(version, &rest, &request, &login, &base).await,
            Route::Collection(collection) => collections::answer(&collection, request, &login, &base).await,
            Route::Uploads(rest) => self.answer_upload(&rest, request, login, &base).await,
            Route::Bulk if request.method() == Method::POST => self.bulk(request, &login).await,
            _ => text(StatusCode::METHOD_NOT_ALLOWED, "This is not answered here.\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_found_as_clients_write_them() {
        assert_eq!(Route::of("/status.php"), Some(Route::Status));
        assert_eq!(Route::of("/index.php/login/v2"), Some(Route::FlowStart));
        assert_eq!(Route::of("/login/v2/poll"), Some(Route::FlowPoll));
        assert_eq!(Route::of("//remote.php//dav/uploads/a%20b/1"), Some(Route::Uploads(vec!["a b".into(), "1".into()])));
        assert_eq!(Route::of("/remote.php/dav/bulk"), Some(Route::Bulk));
        for elsewhere in ["/", "/originals/status.php", "/remote.php/dav/files/anna/x", "/remote.php/webdav", "/index.php", "/ocs/v3.php/x"]
        {
            assert_eq!(Route::of(elsewhere), None, "{elsewhere}");
        }
    }
}
