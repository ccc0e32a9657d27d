//! People and their app passwords. Admins may do everything; everybody else what is their own.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::IntoResponse;
use http::header::SET_COOKIE;
use http::{Extensions, HeaderValue, Response, StatusCode};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::accounts::{AppPassword, Grant, GrantChange, NewAppPassword, Rights, Role, User};
use crate::operations::{Failure, NewUser};
use crate::types::RelPath;

use super::asked::{Json, Path};
use super::caller::{self, Admin, Caller, From, Person, Via};
use super::problem::Problem;
use super::{Shared, Told, session, told};

/// All users.
#[derive(Serialize, ToSchema)]
pub(super) struct Users {
    users: Vec<User>,
}

/// A user to be added.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserStart {
    /// The name to log in with.
    name: String,
    /// Their password.
    #[schema(format = "password")]
    password: String,
    /// What they may do.
    role: Role,
    /// The folder of the library that is their root; the library itself unless said otherwise.
    #[serde(default)]
    folder: RelPath,
    /// Rights in the library; what the role gives unless said otherwise.
    #[serde(default)]
    originals: Option<Rights>,
    /// Rights in the import folder; what the role gives unless said otherwise.
    #[serde(default)]
    import: Option<Rights>,
}

/// What was removed.
#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    /// Its name.
    pub(super) removed: String,
}

/// What was changed.
#[derive(Serialize, ToSchema)]
pub(super) struct Changed {
    /// Its name.
    changed: String,
}

/// A new password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordChange {
    /// The new password.
    #[schema(format = "password")]
    password: String,
    /// The old one: needed for one's own.
    #[serde(default)]
    #[schema(format = "password")]
    current: Option<String>,
}

/// What an app password is for.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AppPasswordStart {
    /// The device or program.
    label: String,
}

/// The app passwords of a user.
#[derive(Serialize, ToSchema)]
pub(super) struct AppPasswords {
    /// The user.
    user: String,
    /// Without the passwords themselves.
    app_passwords: Vec<AppPassword>,
}

/// An app password that was taken back.
#[derive(Serialize, ToSchema)]
pub(super) struct Revoked {
    /// Whose it was.
    user: String,
    /// Its id.
    revoked: String,
    /// What it was for.
    label: String,
}

/// All users.
#[utoipa::path(get, path = "/users", tag = "users", responses((status = 200, description = "All users.", body = Users)))]
pub(super) async fn list(_: Admin, State(shared): State<Shared>) -> Result<Told<Users>, Problem> {
    told(Users { users: shared.operations.users().await? })
}

/// Adds a user.
#[utoipa::path(
    post, path = "/users", tag = "users", request_body = UserStart,
    responses((status = 201, description = "The user was added.", body = User))
)]
pub(super) async fn add(Admin(caller): Admin, State(shared): State<Shared>, Json(start): Json<UserStart>) -> Result<Told<User>, Problem> {
    caller.by_own_password()?;
    let UserStart { name, password, role, folder, originals, import } = start;
    let new = NewUser { name, grant: Grant { role, folder, originals, import }, password };
    Ok(Told(StatusCode::CREATED, shared.operations.add_user(new).await?))
}

/// One user.
#[utoipa::path(
    get, path = "/users/{name}", tag = "users", params(("name" = String, Path, description = "The user.")),
    responses((status = 200, description = "The user.", body = User))
)]
pub(super) async fn show(person: Person, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<User>, Problem> {
    person.may_act_for(&name)?;
    let found = shared.operations.users().await?.into_iter().find(|user| user.name == name);
    told(found.ok_or_else(|| Failure::from(crate::accounts::AccountError::Unknown(name)))?)
}

/// Changes what a user may do.
#[utoipa::path(
    patch, path = "/users/{name}", tag = "users", params(("name" = String, Path, description = "The user.")), request_body = GrantChange,
    responses((status = 200, description = "The user as they are now.", body = User))
)]
pub(super) async fn edit(
    Admin(caller): Admin,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(change): Json<GrantChange>,
) -> Result<Told<User>, Problem> {
    caller.by_own_password()?;
    told(shared.operations.edit_user(name, change).await?)
}

/// Removes a user, their app passwords and sessions. Photos stay.
#[utoipa::path(
    delete, path = "/users/{name}", tag = "users", params(("name" = String, Path, description = "The user.")),
    responses((status = 200, description = "The user was removed.", body = Removed))
)]
pub(super) async fn remove(_: Admin, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Told<Removed>, Problem> {
    shared.operations.remove_user(name.clone()).await?;
    told(Removed { removed: name })
}

/// Gives a user another password. Their sessions are over; a session that changed its own password gets a new cookie.
#[utoipa::path(
    put, path = "/users/{name}/password", tag = "users", params(("name" = String, Path, description = "The user.")),
    request_body = PasswordChange, responses((status = 200, description = "The password is another one.", body = Changed))
)]
pub(super) async fn set_password(
    person: Person,
    State(shared): State<Shared>,
    From(from): From,
    Path(name): Path<String>,
    extensions: Extensions,
    Json(PasswordChange { password, current }): Json<PasswordChange>,
) -> Result<Response<axum::body::Body>, Problem> {
    person.may_act_for(&name)?;
    let Person(caller) = person;
    let cookie = change_password(&shared, from, &caller, &extensions, &name, password, current).await?;
    let mut answer = Told(StatusCode::OK, Changed { changed: name }).into_response();
    if let Some(cookie) = cookie {
        answer.headers_mut().append(SET_COOKIE, cookie);
    }
    Ok(answer)
}

/// Gives a user another password, asked by somebody who may. One's own is changed with the one that one has. Returns the Set-Cookie of the
/// session that follows the caller's, if it was theirs.
pub(in super::super) async fn change_password(
    shared: &Shared,
    from: IpAddr,
    caller: &Caller,
    extensions: &Extensions,
    name: &str,
    password: String,
    current: Option<String>,
) -> Result<Option<HeaderValue>, Problem> {
    let own = caller.via != Via::Owner && caller.login.user == name;
    if own {
        // Whoever finds an open browser, or an app password, must not lock its owner out.
        let needed =
            || Problem::new(StatusCode::FORBIDDEN, "wrong-current", "Your own password is changed with the one that you have now.");
        let current = current.ok_or_else(|| needed().about("current", "it is missing"))?;
        let login = match caller::check(&shared.logins, name, &current, from).await {
            Err(problem) if problem.is_login() => return Err(needed().about("current", "it is wrong")),
            checked => checked?,
        };
        if login.app_password.is_some() {
            return Err(needed().about("current", "it is an app password"));
        }
    } else {
        caller.by_own_password()?;
    }
    shared.operations.set_password(name.to_owned(), password).await?;
    let Via::Session { id, .. } = &caller.via else { return Ok(None) };
    if !own {
        return Ok(None);
    }
    let (users, id) = (shared.logins.users().clone(), id.clone());
    super::blocking(move || Ok(users.end_session(&id)?)).await?;
    let id = session::begun(shared, caller.login.clone()).await?;
    session::set_cookie(shared, extensions, Some(&id)).map(Some)
}

/// The app passwords of a user, without the passwords themselves.
#[utoipa::path(
    get, path = "/users/{name}/app-passwords", tag = "users", params(("name" = String, Path, description = "The user.")),
    responses((status = 200, description = "Oldest first.", body = AppPasswords))
)]
pub(super) async fn app_passwords(
    person: Person,
    State(shared): State<Shared>,
    Path(name): Path<String>,
) -> Result<Told<AppPasswords>, Problem> {
    person.may_act_for(&name)?;
    let app_passwords = shared.operations.app_passwords(name.clone()).await?;
    told(AppPasswords { user: name, app_passwords })
}

/// Makes an app password. This answer is the only one that tells it.
#[utoipa::path(
    post, path = "/users/{name}/app-passwords", tag = "users", params(("name" = String, Path, description = "The user.")),
    request_body = AppPasswordStart, responses((status = 201, description = "It was made.", body = NewAppPassword))
)]
pub(super) async fn add_app_password(
    person: Person,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Json(start): Json<AppPasswordStart>,
) -> Result<Told<NewAppPassword>, Problem> {
    person.may_act_for(&name)?;
    person.0.by_own_password()?;
    Ok(Told(StatusCode::CREATED, shared.operations.create_app_password(name, start.label).await?))
}

/// Takes an app password back, by its id, or by its label if there is only one of it.
#[utoipa::path(
    delete, path = "/users/{name}/app-passwords/{app}", tag = "users",
    params(("name" = String, Path, description = "The user."), ("app" = String, Path, description = "The id or label.")),
    responses((status = 200, description = "It is refused from now on.", body = Revoked))
)]
pub(super) async fn revoke_app_password(
    person: Person,
    State(shared): State<Shared>,
    Path((name, app)): Path<(String, String)>,
) -> Result<Told<Revoked>, Problem> {
    person.may_act_for(&name)?;
    let AppPassword { id, label, .. } = shared.operations.revoke_app_password(name.clone(), app).await?;
    told(Revoked { user: name, revoked: id, label })
}
