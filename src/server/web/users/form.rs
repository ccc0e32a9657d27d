//! The dialogs in which a user is added or changed.

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::Shared;
use super::super::form::{Form, is_on};
use super::super::page::{self, Answer};
use super::super::parts::{self, Field};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{changed, known, path, role};
use crate::accounts::{Given, Grant, GrantChange, Rights, Role};
use crate::operations::NewUser;
use crate::types::RelPath;

const ROLES: [Role; 3] = [Role::Admin, Role::User, Role::Viewer];

/// What was filled in.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Filled {
    name: String,
    password: String,
    role: String,
    folder: String,
    add: Option<String>,
    change: Option<String>,
    delete: Option<String>,
    import: Option<String>,
}

/// What it means.
struct Wanted {
    role: Role,
    folder: RelPath,
    originals: Given,
    import: Given,
}

impl Filled {
    /// What somebody has now, or a new user would.
    fn of(role: Role, folder: &RelPath, originals: Rights, import: Rights) -> Self {
        let on = |is: bool| is.then(|| "on".to_owned());
        Self {
            role: role.to_string(),
            folder: folder.to_string(),
            add: on(originals.add),
            change: on(originals.change),
            delete: on(originals.delete),
            import: on(import.read),
            ..Self::default()
        }
    }

    fn role(&self) -> Result<Role, Refused> {
        self.role.parse().map_err(|error: String| Refused::bad("role", error))
    }

    fn wanted(&self) -> Result<Wanted, Refused> {
        let role = self.role()?;
        let folder = RelPath::parse_lenient(self.folder.trim()).map_err(|error| Refused::bad("folder", error.to_string()))?;
        // Only for somebody in between is there something to choose.
        let rights = Rights {
            read: true,
            add: is_on(self.add.as_deref()),
            change: is_on(self.change.as_deref()),
            delete: is_on(self.delete.as_deref()),
        };
        let originals = if role == Role::User && rights != Rights::ALL { Given::These(rights) } else { Given::Default };
        let import = match (role, is_on(self.import.as_deref())) {
            (Role::User, true) => Given::These(Rights::ALL),
            (Role::User, false) => Given::These(Rights::NONE),
            _ => Given::Default,
        };
        Ok(Wanted { role, folder, originals, import })
    }
}

fn given(given: Given) -> Option<Rights> {
    match given {
        Given::Default => None,
        Given::These(rights) => Some(rights),
    }
}

/// The fields that adding and changing have in common.
fn grant_fields(words: Words, filled: &Filled, refused: Option<&Refused>) -> Markup {
    let wrong = refused.and_then(|refused| refused.about("folder")).map(|_| words.say("users.bad-folder"));
    html! {
        (parts::select("role", words.say("users.role"), words.say("users.role-help"), &filled.role, ROLES.map(|each| (role_name(each), role(words, each).to_owned()))))
        div.fields.of-user {
            (parts::field(&Field {
                name: "folder", label: words.say("users.folder"), value: &filled.folder, help: words.say("users.folder-help"),
                example: words.say("users.folder-example"), autocomplete: "off", wrong, ..Field::default()
            }))
            fieldset.fields {
                legend.legend { (words.say("users.may")) }
                (parts::switch("add", words.say("users.may-add"), "", is_on(filled.add.as_deref())))
                (parts::switch("change", words.say("users.may-change"), "", is_on(filled.change.as_deref())))
                (parts::switch("delete", words.say("users.may-delete"), "", is_on(filled.delete.as_deref())))
                (parts::switch("import", words.say("users.may-import"), "", is_on(filled.import.as_deref())))
            }
        }
    }
}

fn role_name(role: Role) -> &'static str {
    match role {
        Role::Admin => "admin",
        Role::User => "user",
        Role::Viewer => "viewer",
    }
}

fn add_dialog(words: Words, filled: &Filled, refused: Option<&Refused>) -> Markup {
    let about = |field: &str| refused.is_some_and(|refused| refused.code == "bad-input" && refused.about(field).is_some());
    let wrong_name = about("name").then(|| words.say("users.bad-name"));
    let wrong_password = about("password").then(|| words.say("account.bad-password"));
    // What is said at a field needs not be said above, too.
    let is_elsewhere = wrong_name.is_none() && wrong_password.is_none();
    let content = html! {
        form hx-post="settings/users/add" hx-target="#dialog" {
            @if let Some(refused) = refused.filter(|_| is_elsewhere) { (parts::refusal(words, refused)) }
            (parts::field(&Field {
                name: "name", label: words.say("users.name"), value: &filled.name, autocomplete: "off", is_required: true, is_first: true,
                wrong: wrong_name, ..Field::default()
            }))
            (parts::field(&Field {
                name: "password", label: words.say("signin.password"), kind: "password", help: words.say("users.password-help"),
                autocomplete: "new-password", is_required: true, wrong: wrong_password, ..Field::default()
            }))
            (grant_fields(words, filled, refused))
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("users.add")) } }))
        }
    };
    parts::dialog(words, words.say("users.add"), &html! {}, &content)
}

pub(super) async fn ask_add(visit: Visit) -> Result<Answer, Refused> {
    visit.admin()?.by_own_password()?;
    let filled = Filled::of(Role::User, &RelPath::root(), Rights::ALL, Rights::ALL);
    Ok(page::part(add_dialog(visit.words(), &filled, None)))
}

pub(super) async fn add(visit: Visit, State(shared): State<Shared>, Form(filled): Form<Filled>) -> Result<Answer, Refused> {
    visit.admin()?.by_own_password()?;
    let added = async {
        let Wanted { role, folder, originals, import } = filled.wanted()?;
        let grant = Grant { role, folder, originals: given(originals), import: given(import) };
        let new = NewUser { name: filled.name.trim().to_owned(), grant, password: filled.password.clone() };
        shared.operations.add_user(new).await.map_err(Refused::from)
    };
    match added.await {
        Ok(user) => Ok(page::done(&changed(&visit.words().fill("users.added", &[("name", &user.name)])))),
        Err(refused) => Ok(page::again(&refused, add_dialog(visit.words(), &filled, Some(&refused)))),
    }
}

fn edit_dialog(words: Words, name: &str, filled: &Filled, refused: Option<&Refused>) -> Markup {
    let content = html! {
        form hx-post=(path(name, "edit")) hx-target="#dialog" {
            @if let Some(refused) = refused { (parts::refusal(words, refused)) }
            (grant_fields(words, filled, refused))
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("users.save")) } }))
        }
    };
    parts::dialog(words, &words.fill("users.edit-named", &[("name", &name)]), &html! {}, &content)
}

pub(super) async fn ask_edit(visit: Visit, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer, Refused> {
    visit.admin()?.by_own_password()?;
    let user = known(&shared, &name).await?;
    let filled = Filled::of(user.role, &user.folder, user.originals, user.import);
    Ok(page::part(edit_dialog(visit.words(), &user.name, &filled, None)))
}

pub(super) async fn edit(
    visit: Visit,
    State(shared): State<Shared>,
    Path(name): Path<String>,
    Form(filled): Form<Filled>,
) -> Result<Answer, Refused> {
    visit.admin()?.by_own_password()?;
    let edited = async {
        let Wanted { role, folder, originals, import } = filled.wanted()?;
        // What an admin has is not to be chosen: the field may still hold what was there before.
        let folder = if role == Role::Admin { RelPath::root() } else { folder };
        let change = GrantChange { role: Some(role), folder: Some(folder), originals: Some(originals), import: Some(import) };
        shared.operations.edit_user(name.clone(), change).await.map_err(Refused::from)
    };
    match edited.await {
        Ok(user) => Ok(page::done(&changed(&visit.words().fill("users.changed", &[("name", &user.name)])))),
        Err(refused) => Ok(page::again(&refused, edit_dialog(visit.words(), &name, &filled, Some(&refused)))),
    }
}
