//! Users and their roles, for admins.

mod form;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::Extensions;
use http::header::SET_COOKIE;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::api::{From, Shared, change_password};
use super::form::Form;
use super::page::{self, Answer, Place};
use super::parts::{self, Field, icon};
use super::refused::Refused;
use super::visit::Visit;
use super::words::Words;
use crate::accounts::{Role, User};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/settings/users", get(show))
        .route("/settings/users/list", get(list))
        .route("/settings/users/add", get(form::ask_add).post(form::add))
        .route("/settings/users/of/{name}/edit", get(form::ask_edit).post(form::edit))
        .route("/settings/users/of/{name}/password", get(ask_password).post(set_password))
        .route("/settings/users/of/{name}/remove", get(ask_remove).post(remove))
        .route("/settings/users/of/{name}/apps/{id}/revoke", post(revoke))
        .route("/settings/users/of/{name}/apps", get(apps))
}

/// What the list is told by when somebody was changed.
fn changed(said: &str) -> Value {
    json!({ "close-dialog": true, "users-changed": true, "said": said })
}

/// The path of a dialog about a user.
fn path(name: &str, what: &str) -> String {
    format!("settings/users/of/{}/{what}", page::segment(name))
}

fn role(words: Words, role: Role) -> &'static str {
    words.say(match role {
        Role::Admin => "users.role-admin",
        Role::User => "users.role-user",
        Role::Viewer => "users.role-viewer",
    })
}

async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let title = words.say("common.users");
    let content = html! {
        div.page {
            header.top {
                h1 { (title) }
                button.button.main hx-get="settings/users/add" hx-target="#dialog" { (icon("plus")) (words.say("users.add")) }
            }
            section.card.framed hx-get="settings/users/list" hx-trigger="users-changed from:body" { (rows(&visit, &shared.operations.users().await?)) }
        }
    };
    Ok(page::whole(&visit, Place::Users, title, &content))
}

async fn list(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    Ok(page::part(rows(&visit, &shared.operations.users().await?)))
}

fn rows(visit: &Visit, users: &[User]) -> Markup {
    let words = visit.words();
    html! {
        table.table.folds.users {
            thead { tr {
                th { (words.say("users.name")) } th { (words.say("users.role")) } th { (words.say("users.folder")) }
                th { span.hidden { (words.say("users.edit")) } }
            } }
            tbody {
                @for user in users {
                    tr {
                        td { strong { (user.name) } @if visit.user() == Some(&user.name) { " " span.pill { (words.say("users.you")) } } }
                        td { (role(words, user.role)) }
                        td data-label=(words.say("users.folder")) {
                            @if user.folder.is_root() { (words.say("users.whole-library")) } @else { (user.folder) }
                        }
                        td.end {
                            @for (what, sign, key, named) in [
                                ("apps", "smartphone", "users.apps", "users.apps-of"),
                                ("password", "key", "users.password", "users.password-of"),
                                ("edit", "pencil", "users.edit", "users.edit-named"),
                                ("remove", "trash", "users.remove", "users.remove-named"),
                            ] {
                                button.quiet type="button" hx-get=(path(&user.name, what)) hx-target="#dialog" title=(words.say(key))
                                    aria-label=(words.fill(named, &[("name", &user.name)])) { (icon(sign)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

async fn known(shared: &Shared, name: &str) -> Result<User, Refused> {
    shared.operations.users().await?.into_iter().find(|user| user.name == name).ok_or_else(Refused::nothing_here)
}

fn password_dialog(words: Words, name: &str, is_own: bool, refused: Option<&Refused>) -> Markup {
    let too_short = refused.filter(|refused| refused.code == "bad-input").map(|_| words.say("account.bad-password"));
    let wrong = refused.filter(|refused| refused.code == "wrong-current").map(|_| words.say("account.wrong-current"));
    let content = html! {
        form hx-post=(path(name, "password")) hx-target="#dialog" {
            input type="text" name="user" autocomplete="username" value=(name) hidden;
            @if is_own {
                (parts::field(&Field {
                    name: "current", label: words.say("account.current"), kind: "password", autocomplete: "current-password", is_required: true,
                    wrong, ..Field::default()
                }))
            }
            (parts::field(&Field {
                name: "password", label: words.say("account.new"), kind: "password", autocomplete: "new-password", is_required: true,
                help: words.say("users.password-help"), wrong: too_short, ..Field::default()
            }))
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("account.change-password")) } }))
        }
    };
    parts::dialog(words, &words.fill("users.password-of", &[("name", &name)]), &html! {}, &content)
}

async fn ask_password(visit: Visit, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer, Refused> {
    visit.admin()?;
    let user = known(&shared, &name).await?;
    Ok(page::part(password_dialog(visit.words(), &user.name, visit.user() == Some(&user.name), None)))
}

#[derive(Deserialize)]
struct NewPassword {
    current: Option<String>,
    #[serde(default)]
    password: String,
}

async fn set_password(
    visit: Visit,
    State(shared): State<Shared>,
    From(from): From,
    Path(name): Path<String>,
    extensions: Extensions,
    Form(new): Form<NewPassword>,
) -> Result<Answer, Refused> {
    let caller = visit.admin()?;
    let words = visit.words();
    match change_password(&shared, from, caller, &extensions, &name, new.password, new.current).await {
        Ok(Some(cookie)) => {
            // One's own session is another one now.
            let mut answer = page::go(&visit, "settings/users");
            answer.headers_mut().append(SET_COOKIE, cookie);
            Ok(answer)
        }
        Ok(None) => Ok(page::done(&changed(&words.fill("users.password-changed", &[("name", &name)])))),
        Err(problem) => {
            let refused = Refused::from(problem);
            if !matches!(refused.code, "wrong-current" | "bad-input") {
                return Err(refused);
            }
            Ok(page::again(&refused, password_dialog(words, &name, visit.user() == Some(&name), Some(&refused))))
        }
    }
}

async fn ask_remove(visit: Visit, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let user = known(&shared, &name).await?;
    let title = words.fill("users.remove-named", &[("name", &user.name)]);
    let content = html! {
        form hx-post=(path(&user.name, "remove")) hx-swap="none" {
            p { (words.fill("users.remove-help", &[("name", &user.name)])) }
            (parts::actions(words, &html! { button.button.danger type="submit" { (icon("trash")) (words.say("users.remove")) } }))
        }
    };
    Ok(page::part(parts::dialog(words, &title, &html! {}, &content)))
}

async fn remove(visit: Visit, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.remove_user(name.clone()).await?;
    if visit.user() == Some(&name) {
        return Ok(page::go(&visit, "signin"));
    }
    Ok(page::done(&changed(&visit.words().fill("users.removed", &[("name", &name)]))))
}

/// The apps and devices of somebody: an admin takes back what a lost phone has.
async fn apps(visit: Visit, State(shared): State<Shared>, Path(name): Path<String>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let apps = shared.operations.app_passwords(name.clone()).await?;
    let content = html! {
        div.body {
            @if apps.is_empty() { p.dim { (words.fill("users.no-apps", &[("name", &name)])) } }
            ul.rows {
                @for app in &apps {
                    li {
                        span { strong { (app.label) } br; span.dim { (words.say("account.app-created")) " " (super::account::day(words, &app.created)) } }
                        button.button.danger type="button" hx-post=(path(&name, &format!("apps/{}/revoke", page::segment(&app.id)))) hx-swap="none"
                            aria-label=(words.fill("account.revoke-named", &[("label", &app.label)])) { (words.say("account.revoke")) }
                    }
                }
            }
        }
    };
    Ok(page::part(parts::dialog(words, &words.fill("users.apps-of", &[("name", &name)]), &html! {}, &content)))
}

async fn revoke(visit: Visit, State(shared): State<Shared>, Path((name, id)): Path<(String, String)>) -> Result<Answer, Refused> {
    visit.admin()?;
    let app = shared.operations.revoke_app_password(name, id).await?;
    Ok(page::done(&changed(&visit.words().fill("account.revoked", &[("label", &app.label)]))))
}
