//! Connecting services by logging in with a browser: a page shows the address, and asks what came of it.

use axum::extract::State;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::operations::{BegunLogin, LoginState, NewLogin};

use super::asked::{Json, Path};
use super::caller::Admin;
use super::problem::Problem;
use super::{Shared, Told, told};

/// What became of a login that was given up.
#[derive(Serialize, ToSchema)]
pub(super) struct LoginCancelled {
    /// There was one.
    cancelled: bool,
}

/// Begins a login with a browser at a Nextcloud or a node.
#[utoipa::path(
    post, path = "/service-logins", tag = "services", request_body = NewLogin,
    responses((status = 201, description = "The page on which to log in.", body = BegunLogin))
)]
pub(super) async fn begin(_: Admin, State(shared): State<Shared>, Json(new): Json<NewLogin>) -> Result<Told<BegunLogin>, Problem> {
    Ok(Told(StatusCode::CREATED, shared.operations.begin_login(new).await?))
}

/// Begins a login, tells the page as a live event, and answers when somebody has logged in there. Whoever goes away gives it up.
#[utoipa::path(
    post, path = "/service-logins/wait", tag = "services", request_body = NewLogin,
    responses((status = 200, description = "What came of it.", body = LoginState))
)]
pub(super) async fn wait(_: Admin, State(shared): State<Shared>, Json(new): Json<NewLogin>) -> Result<Told<LoginState>, Problem> {
    told(shared.operations.log_in(new).await?)
}

/// Asks what came of a login. When it was granted, the service is added now; the password is not told.
#[utoipa::path(
    post, path = "/service-logins/{token}/poll", tag = "services", params(("token" = String, Path, description = "Which login.")),
    responses((status = 200, description = "What came of it.", body = LoginState))
)]
pub(super) async fn poll(_: Admin, State(shared): State<Shared>, Path(token): Path<String>) -> Result<Told<LoginState>, Problem> {
    told(shared.operations.poll_login(&token).await?)
}

/// Gives a login up.
#[utoipa::path(
    delete, path = "/service-logins/{token}", tag = "services", params(("token" = String, Path, description = "Which login.")),
    responses((status = 200, description = "It is given up.", body = LoginCancelled))
)]
pub(super) async fn cancel(_: Admin, State(shared): State<Shared>, Path(token): Path<String>) -> Result<Told<LoginCancelled>, Problem> {
    told(LoginCancelled { cancelled: shared.operations.cancel_login(&token) })
}
