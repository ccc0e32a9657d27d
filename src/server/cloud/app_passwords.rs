//! The one place where app passwords are made and revoked.

use crate::accounts::{AccountError, Login, Logins, NewAppPassword};

/// Whether somebody logged in with an app password.
pub(super) fn is_app_password(login: &Login) -> bool {
    login.app_password.is_some()
}

/// Makes an app password for a user.
pub(super) async fn create(logins: &Logins, user: &str, label: &str) -> Result<NewAppPassword, AccountError> {
    let (users, user, label) = (logins.users().clone(), user.to_owned(), label.to_owned());
    blocking(move || users.create_app_password(&user, &label)).await
}

/// Whether an app password is there and nobody has logged in with it yet.
pub(super) async fn is_unused(logins: &Logins, made: &NewAppPassword) -> bool {
    let (logins, made) = (logins.clone(), made.clone());
    blocking(move || logins.is_unused(&made)).await.unwrap_or_default()
}

/// Revokes the app password that somebody logged in with; false when it was none.
pub(super) async fn revoke(logins: &Logins, login: &Login) -> Result<bool, AccountError> {
    let Some(app) = login.app_password.clone() else { return Ok(false) };
    let (users, user) = (logins.users().clone(), login.user.clone());
    blocking(move || users.revoke_app_password(&user, &app).map(|_| true)).await
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> Result<R, AccountError> + Send + 'static) -> Result<R, AccountError> {
    let done = tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| Err(AccountError::Hash(error.to_string())));
    done.inspect_err(|error| tracing::error!(%error, "an app password could not be made, looked at or revoked"))
}
