//! Sessions: logging in, being somebody, logging out.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{Checked, Login, Rights, Role};
use crate::types::RelPath;

use super::super::http::Peer;
use super::asked::Json;
use super::caller::{self, Caller, From, Person, Via};
use super::problem::Problem;
use super::{Shared, Told, blocking, told};

/// How long a browser keeps the cookie; the session may end before, but not later.
const KEPT: u32 = 30 * 86_400;

/// A login.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct SessionStart {
    /// The user.
    user: String,
    /// Their password, or one of their app passwords.
    #[schema(format = "password")]
    password: String,
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    /// The user; none at the control socket.
    user: Option<String>,
    /// What they may do.
    role: Role,
    /// The folder of the library that is their root; empty for the library itself.
    folder: RelPath,
    /// What they may do in the library.
    originals: Rights,
    /// What they may do in the import folder.
    import: Rights,
    /// The app password that they logged in with, by its id.
    app_password: Option<String>,
    /// The token that every change carries in the header X-CSRF-Token; only with a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    csrf_token: Option<String>,
    /// When the session ends unless it is used; only with a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    ends: Option<String>,
}

impl Me {
    fn of(caller: Caller) -> Self {
        let name = caller.name().map(str::to_owned);
        let Login { role, folder, originals, import, app_password, .. } = caller.login;
        let (csrf_token, ends) = match caller.via {
            Via::Session { csrf, ends, .. } => (Some(csrf), jiff::Timestamp::from_second(ends).ok().map(|at| at.to_string())),
            _ => (None, None),
        };
        Self { user: name, role, folder, originals, import, app_password, csrf_token, ends }
    }
}

/// The Set-Cookie of a session; of none, the one that removes it. Scripts do not see it. Pages of others send it with
/// nothing but a link to a page of ours, which changes nothing: with Strict whoever follows one would seem to be signed out.
pub(super) fn set_cookie(shared: &Shared, extensions: &Extensions, id: Option<&str>) -> Result<HeaderValue, Problem> {
    let peer = Peer::of(extensions);
    let path = peer.map(|peer| peer.href("/")).unwrap_or_else(|| "/".to_owned());
    let secure = if peer.is_some_and(Peer::is_secure) { "; Secure" } else { "" };
    let (name, value, kept) = (&shared.cookie, id.unwrap_or_default(), if id.is_some() { KEPT } else { 0 });
    let text = format!("{name}={value}; HttpOnly; SameSite=Lax; Path={path}; Max-Age={kept}{secure}");
    HeaderValue::from_str(&text).map_err(|error| Problem::failed(&error))
}

/// Who asks. With a session it tells the token that changes need.
#[utoipa::path(get, path = "/session", tag = "session", responses((status = 200, description = "Who asks.", body = Me)))]
pub(super) async fn show(Person(caller): Person) -> Result<Told<Me>, Problem> {
    told(Me::of(caller))
}

/// Begins a session: the answer sets its cookie. A session that the request had is ended.
#[utoipa::path(
    post, path = "/session", tag = "session", security(), request_body = SessionStart,
    responses((status = 200, description = "Logged in.", body = Me, headers(("Set-Cookie" = String, description = "The session's cookie."))))
)]
pub(super) async fn begin(
    State(shared): State<Shared>,
    From(from): From,
    headers: HeaderMap,
    extensions: Extensions,
    Json(start): Json<SessionStart>,
) -> Result<Response<axum::body::Body>, Problem> {
    let (caller, cookie) = begin_session(&shared, from, &headers, &extensions, &start.user, &start.password).await?;
    let mut answer = Told(StatusCode::OK, Me::of(caller)).into_response();
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(answer)
}

/// Logs somebody in: who they are now, and the cookie to be set. A session that the request had is ended, so that nobody shares one that was
/// begun by somebody else.
pub(in super::super) async fn begin_session(
    shared: &Shared,
    from: IpAddr,
    headers: &HeaderMap,
    extensions: &Extensions,
    user: &str,
    password: &str,
) -> Result<(Caller, HeaderValue), Problem> {
    if shared.operations.is_public() {
        return Err(Problem::public());
    }
    let login = caller::check(&shared.logins, user, password, from).await?;
    let id = begun(shared, login).await?;
    // The password may have been changed while it was checked; what was right is remembered, so this takes no time.
    let users = shared.logins.users().clone();
    if !matches!(shared.logins.check(user, password, from).await?, Checked::Welcome(_)) {
        blocking(move || Ok(users.end_session(&id)?)).await?;
        return Err(caller::please_log_in(headers));
    }
    let (old, new) = (caller::cookie(headers, &shared.cookie), id.clone());
    let session = blocking(move || {
        if let Some(old) = old {
            users.end_session(&old)?;
        }
        Ok(users.session(&new)?)
    });
    let session = session.await?.ok_or_else(|| caller::please_log_in(headers))?;
    let cookie = set_cookie(shared, extensions, Some(&id))?;
    let via = Via::Session { id, csrf: session.csrf, ends: session.ends };
    Ok((Caller { login: session.login, via }, cookie))
}

/// Begins a session of somebody who has just proven to be who they are.
pub(super) async fn begun(shared: &Shared, login: Login) -> Result<String, Problem> {
    let users = shared.logins.users().clone();
    blocking(move || Ok(users.begin_session(&login)?)).await
}

/// Ends the session of the request's cookie.
#[utoipa::path(delete, path = "/session", tag = "session", responses((status = 204, description = "The session is over.")))]
pub(super) async fn end(
    State(shared): State<Shared>,
    Person(caller): Person,
    extensions: Extensions,
) -> Result<Response<axum::body::Body>, Problem> {
    let cookie = end_session(&shared, &caller, &extensions).await?;
    let mut answer = StatusCode::NO_CONTENT.into_response();
    answer.headers_mut().append(SET_COOKIE, cookie);
    Ok(answer)
}

/// Ends the session of whoever asks, if they have one. Returns the Set-Cookie that removes it.
pub(in super::super) async fn end_session(shared: &Shared, caller: &Caller, extensions: &Extensions) -> Result<HeaderValue, Problem> {
    if let Via::Session { id, .. } = &caller.via {
        let (users, id) = (shared.logins.users().clone(), id.clone());
        blocking(move || Ok(users.end_session(&id)?)).await?;
    }
    set_cookie(shared, extensions, None)
}
