//! Who asks, and whether they may.
//!
//! Somebody is known by an Authorization header (Basic with user and password, or Bearer with an app password), by the cookie of a session, or
//! by the control socket, which only the owner of the state can open. A browser sends cookies, and passwords that it remembers, with whatever
//! page asks it to: so what changes something is refused when the browser says that a page of another origin asks for it, and with a cookie
//! it must carry the session's token besides, which no other page can read.

use std::net::IpAddr;

use axum::extract::FromRequestParts;
use http::header::{AUTHORIZATION, COOKIE, ORIGIN};
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};

use crate::accounts::{Checked, Login, Logins, Role, same_secret};

use super::super::http::{Peer, credentials};
use super::Shared;
use super::problem::Problem;

/// What a page of ours says with every change.
pub(super) const CSRF_HEADER: &str = "x-csrf-token";

/// How somebody is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) enum Via {
    /// By user and password, or an app password, in this very request.
    Credentials,
    /// By a session.
    Session {
        /// Its id.
        id: String,
        /// Its token.
        csrf: String,
        /// When it ends.
        ends: i64,
    },
    /// By the control socket: who owns the state.
    Owner,
    /// Not at all: the node is in public mode.
    Nobody,
}

/// Somebody who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Caller {
    pub(in super::super) login: Login,
    pub(in super::super) via: Via,
}

impl Caller {
    /// The owner of the state, at the control socket.
    pub(super) fn owner() -> Self {
        Self { login: Login::of("", Role::Admin), via: Via::Owner }
    }

    pub(in super::super) fn is_admin(&self) -> bool {
        self.login.role == Role::Admin
    }

    /// For what would be left when an app password is taken back: ways in, other rights, passwords of services. Those take one's own password.
    pub(in super::super) fn by_own_password(&self) -> Result<(), Problem> {
        let detail =
            "An app password gives nobody access or other rights, and takes no passwords out; please log in with your own password.";
        match self.login.app_password {
            Some(_) => Err(Problem::new(StatusCode::FORBIDDEN, "own-password-needed", detail)),
            None => Ok(()),
        }
    }

    /// The user that the access log names.
    pub(in super::super) fn name(&self) -> Option<&str> {
        Some(self.login.user.as_str()).filter(|name| !name.is_empty())
    }
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct From(pub(in super::super) IpAddr);

/// Finds out who asks. None: nobody, and perhaps they need not be.
pub(in super::super) async fn find(shared: &Shared, parts: &Parts, from: IpAddr) -> Result<Option<Caller>, Problem> {
    refuse_foreign(parts)?;
    if shared.operations.is_public() {
        return Ok(Some(Caller { login: Login::of("", Role::Viewer), via: Via::Nobody }));
    }
    if let Some(header) = parts.headers.get(AUTHORIZATION) {
        let checked = match header.to_str().ok().and_then(bearer) {
            Some(password) => shared.logins.check_app_password(password, from).await?,
            None => match credentials(header) {
                Some((user, password)) => shared.logins.check(&user, &password, from).await?,
                None => Checked::Wrong,
            },
        };
        return welcome(checked).map(|login| Some(Caller { login, via: Via::Credentials }));
    }
    // Whoever logs in is nobody until then, whatever session there was before.
    let logs_in = parts.method == Method::POST && matches!(parts.uri.path(), "/api/v1/session" | "/signin");
    let Some(id) = cookie(&parts.headers, &shared.cookie).filter(|_| !logs_in) else { return Ok(None) };
    let (users, known) = (shared.logins.users().clone(), id.clone());
    let session = super::blocking(move || Ok(users.session(&known)?)).await?;
    let Some(session) = session else { return Ok(None) };
    let is_safe = matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS);
    let token = parts.headers.get(CSRF_HEADER).map(|token| token.as_bytes());
    if !is_safe && !token.is_some_and(|token| same_secret(token, session.csrf.as_bytes())) {
        let detail =
            "A change with a session's cookie needs the header X-CSRF-Token with the token of the session; GET /api/v1/session tells it.";
        return Err(Problem::new(StatusCode::FORBIDDEN, "csrf", detail).about("X-CSRF-Token", "it is missing or not that of the session"));
    }
    Ok(Some(Caller { login: session.login, via: Via::Session { id, csrf: session.csrf, ends: session.ends } }))
}

/// Who has just proven to be somebody; a refusal for all others.
pub(super) fn welcome(checked: Checked) -> Result<Login, Problem> {
    match checked {
        Checked::Welcome(login) => Ok(login),
        Checked::Wrong => Err(Problem::new(StatusCode::UNAUTHORIZED, "wrong-login", "User or password is wrong.")),
        Checked::TooOften(pause) => {
            let detail = "Wrong too often; please wait, and check user and password.";
            Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-often", detail).retry_after(pause.as_secs().max(1)))
        }
    }
}

fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// The cookie of this name.
pub(in super::super) fn cookie(headers: &HeaderMap, name: &str) -> Option<String> {
    let texts = headers.get_all(COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    let mut pairs = texts.flat_map(|text| text.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value.to_owned())
}

/// Refuses a change that a page of another origin asks a browser for.
fn refuse_foreign(parts: &Parts) -> Result<(), Problem> {
    if matches!(parts.method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    let text = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok());
    let fetched = text("sec-fetch-site").is_none_or(|site| matches!(site, "same-origin" | "none"));
    let ours = Peer::of(&parts.extensions).map(Peer::origin);
    let original = match (parts.headers.get(ORIGIN), ours) {
        (None, _) => true,
        (Some(origin), Some(ours)) => origin.as_bytes().eq_ignore_ascii_case(ours.as_bytes()),
        (Some(_), None) => false,
    };
    if fetched && original {
        return Ok(());
    }
    let detail =
        "A page of another origin asks for this; nothing was changed. Behind a proxy, name the address of this node with --external-url.";
    Err(Problem::new(StatusCode::FORBIDDEN, "foreign-origin", detail).about("Origin", "it is not this node's"))
}

/// How somebody can log in; a browser must not ask for a password by itself when a page fetches something.
pub(super) fn please_log_in(headers: &HeaderMap) -> Problem {
    let problem = Problem::new(StatusCode::UNAUTHORIZED, "login-needed", "Please log in.");
    match headers.contains_key("sec-fetch-mode") {
        true => problem.challenge("Bearer realm=\"Twinlens\""),
        false => problem.challenge("Basic realm=\"Twinlens\", charset=\"UTF-8\"").challenge("Bearer realm=\"Twinlens\""),
    }
}

/// Checks a password that is given in a document.
pub(super) async fn check(logins: &Logins, user: &str, password: &str, from: IpAddr) -> Result<Login, Problem> {
    welcome(logins.check(user, password, from).await?)
}

fn of(parts: &Parts) -> Result<Caller, Problem> {
    parts.extensions.get::<Caller>().cloned().ok_or_else(|| please_log_in(&parts.headers))
}

/// Anybody who may look at the library: people who are logged in, and everybody in public mode.
pub(super) struct Reader(pub(super) Caller);

/// Somebody who is logged in. In public mode there is nobody.
pub(super) struct Person(pub(super) Caller);

/// Somebody who administers the node. In public mode there is nobody.
pub(super) struct Admin(pub(super) Caller);

/// Somebody who looks after the library: an admin; in public mode the owner at the control socket.
pub(super) struct Keeper;

/// The owner of the state, at the control socket.
pub(super) struct Owner;

impl FromRequestParts<Shared> for Owner {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        match Person::from_request_parts(parts, shared).await?.0.via {
            Via::Owner => Ok(Self),
            _ => Err(Problem::forbidden("This is for the owner of the state, on the node's own machine.")),
        }
    }
}

impl FromRequestParts<Shared> for Reader {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &Shared) -> Result<Self, Problem> {
        of(parts).map(Self)
    }
}

impl FromRequestParts<Shared> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        if shared.operations.is_public() {
            return Err(Problem::public());
        }
        of(parts).map(Self)
    }
}

impl FromRequestParts<Shared> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        let Person(caller) = Person::from_request_parts(parts, shared).await?;
        if caller.is_admin() { Ok(Self(caller)) } else { Err(not_admin()) }
    }
}

impl FromRequestParts<Shared> for Keeper {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, shared: &Shared) -> Result<Self, Problem> {
        match of(parts)? {
            caller if caller.is_admin() => Ok(Self),
            _ if shared.operations.is_public() => Err(Problem::public()),
            _ => Err(not_admin()),
        }
    }
}

fn not_admin() -> Problem {
    Problem::forbidden("This is for admins.")
}

impl Person {
    /// Whether this may see and change what belongs to a user: it is their own, or they administer the node. Whether there is such a user is
    /// not told.
    pub(super) fn may_act_for(&self, user: &str) -> Result<(), Problem> {
        let Self(caller) = self;
        let own = caller.via != Via::Owner && caller.login.user == user;
        if own || caller.is_admin() { Ok(()) } else { Err(not_admin()) }
    }
}

impl<S: Sync> FromRequestParts<S> for From {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().copied().ok_or_else(Problem::nothing_here)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn cookies_are_found_by_their_whole_name() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, HeaderValue::from_static("a=1; twinlens_1x=2"));
        headers.append(COOKIE, HeaderValue::from_static("twinlens_1=3=4"));
        assert_eq!(cookie(&headers, "twinlens_1").as_deref(), Some("3=4"));
        assert_eq!(cookie(&headers, "twinlens"), None);
    }

    #[test]
    fn a_foreign_page_changes_nothing() {
        let ask = |method: &str, headers: &[(&str, &str)]| {
            let mut request = http::Request::builder().method(method).uri("/api/v1/users");
            for (name, value) in headers {
                request = request.header(*name, *value);
            }
            refuse_foreign(&request.body(()).unwrap().into_parts().0).is_ok()
        };
        assert!(ask("GET", &[("sec-fetch-site", "cross-site")]) && ask("POST", &[]) && ask("POST", &[("sec-fetch-site", "same-origin")]));
        assert!(!ask("POST", &[("sec-fetch-site", "cross-site")]) && !ask("DELETE", &[("sec-fetch-site", "same-site")]));
        assert!(!ask("PUT", &[("origin", "https://evil.example")]) && !ask("PUT", &[("origin", "null")]));
    }
}
