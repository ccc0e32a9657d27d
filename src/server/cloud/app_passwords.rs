//! The one place where app passwords are made and revoked.

use crate::accounts::{AccountError, Login, Logins};

/// Whether somebody logged in with an app password.
pub(super) fn is_app_password(_: &Login) -> bool {
    false
}

/// Makes an app password for a user.
pub(super) async fn create(_: &Logins, user: &str, _: &str) -> Result<String, AccountError> {
    Err(AccountError::Unknown(user.to_owned()))
}

/// Revokes the app password that somebody logged in with; false when it was none.
pub(super) async fn revoke(_: &Logins, _: &Login, _: &str) -> Result<bool, AccountError> {
    Ok(false)
}
