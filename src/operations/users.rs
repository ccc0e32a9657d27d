//! People and their app passwords.

use crate::accounts::{AppPassword, GrantChange, NewAppPassword, User};

use super::blocking::blocking;
use super::{Failure, NewUser, Operations};

impl Operations {
    /// Adds a user.
    pub async fn add_user(&self, new: NewUser) -> Result<User, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.add(&new.name, new.grant, &new.password)?)).await
    }

    /// All users.
    pub async fn users(&self) -> Result<Vec<User>, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.list()?)).await
    }

    /// Gives a user another password.
    pub async fn set_password(&self, name: String, password: String) -> Result<(), Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.set_password(&name, &password)?)).await
    }

    /// Changes what a user may do.
    pub async fn edit_user(&self, name: String, change: GrantChange) -> Result<User, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.edit(&name, change)?)).await
    }

    /// Removes a user and their app passwords.
    pub async fn remove_user(&self, name: String) -> Result<(), Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.remove(&name)?)).await
    }

    /// Makes an app password for a user.
    pub async fn create_app_password(&self, user: String, label: String) -> Result<NewAppPassword, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.create_app_password(&user, &label)?)).await
    }

    /// The app passwords of a user.
    pub async fn app_passwords(&self, user: String) -> Result<Vec<AppPassword>, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.app_passwords(&user)?)).await
    }

    /// Takes an app password back, by its id or its label.
    pub async fn revoke_app_password(&self, user: String, app: String) -> Result<AppPassword, Failure> {
        let users = self.users.clone();
        blocking(move || Ok(users.revoke_app_password(&user, &app)?)).await
    }
}
