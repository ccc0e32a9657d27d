//! What belongs to whoever signed in: how programs connect, apps and devices, the password, how pages look.

mod connect;

use axum::Router;
use axum::extract::{Path, State};
use axum::routing::{get, post};
use http::Extensions;
use http::HeaderValue;
use http::header::SET_COOKIE;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::api::{From, Shared, change_password};
use super::super::language::Language;
use super::form::Form;
use super::format;
use super::page::{self, Answer, Place};
use super::parts::{self, Field, Tone, icon};
use super::refused::Refused;
use super::visit::{LANGUAGE, THEME, Theme, Visit};
use super::words::Words;
use crate::accounts::AppPassword;

/// How long a browser remembers how pages are to look, in seconds.
const REMEMBERED: u32 = 365 * 86_400;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/settings/account", get(show))
        .route("/settings/account/connect", get(connect::show))
        .route("/settings/account/password", post(set_password))
        .route("/settings/account/look", post(set_look))
        .route("/settings/account/apps", get(apps).post(add_app))
        .route("/settings/account/apps/{id}/revoke", get(ask_revoke).post(revoke))
}

async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    let user = visit.person()?.login.user.clone();
    let words = visit.words();
    let apps = shared.operations.app_passwords(user.clone()).await?;
    let title = words.say("common.account");
    let content = html! {
        div.page {
            header.top {
                h1 { (title) }
                button.button hx-get="settings/account/connect" hx-target="#dialog" { (icon("plug")) (words.say("account.connect")) }
                form.narrow hx-post="signin/end" { button.button type="submit" { (icon("log-out")) (words.say("signin.leave")) } }
            }
            section.card #apps hx-get="settings/account/apps" hx-trigger="apps-changed from:body" { (list_of_apps(words, &apps, None)) }
            section.card {
                header { h2 { (words.say("account.password")) } }
                (password_form(words, &user, None))
            }
            section.card {
                header { h2 { (words.say("account.look")) } }
                (look_form(&visit))
            }
        }
    };
    Ok(page::whole(&visit, Place::Account, title, &content))
}

/// Apps and devices. `made` is the password of one that was just made: it is never shown again.
fn list_of_apps(words: Words, apps: &[AppPassword], made: Option<(&str, &str)>) -> Markup {
    html! {
        header { h2 { (words.say("account.apps")) } }
        p.dim { (words.say("account.apps-help")) }
        @if let Some((label, password)) = made {
            (parts::notice(Tone::Good, &html! {
                p { strong { (words.fill("account.made", &[("label", &label)])) } }
                (parts::copyable(words, words.say("signin.password"), password))
                p { (words.say("account.made-help")) }
            }))
        }
        @if !apps.is_empty() {
            table.table.folds {
                thead { tr {
                    th { (words.say("account.app-label")) } th { (words.say("account.app-created")) } th { (words.say("account.app-used")) }
                    th { span.hidden { (words.say("account.revoke")) } }
                } }
                tbody {
                    @for app in apps {
                        tr {
                            td { strong { (app.label) } }
                            td data-label=(words.say("account.app-created")) { (day(words, &app.created)) }
                            td data-label=(words.say("account.app-used")) {
                                (app.last_used.as_deref().map_or_else(|| words.say("account.never").to_owned(), |used| day(words, used)))
                            }
                            td.end {
                                button.quiet type="button" hx-get=(format!("settings/account/apps/{}/revoke", app.id)) hx-target="#dialog"
                                    title=(words.say("account.revoke")) aria-label=(words.fill("account.revoke-named", &[("label", &app.label)])) { (icon("trash")) }
                            }
                        }
                    }
                }
            }
        }
        form hx-post="settings/account/apps" hx-target="#apps" {
            div.fields {
                (parts::field(&Field {
                    name: "label", label: words.say("account.app-name"), example: words.say("account.app-example"), autocomplete: "off",
                    is_required: true, ..Field::default()
                }))
                div { button.button type="submit" { (icon("plus")) (words.say("account.app-make")) } }
            }
        }
    }
}

/// A day of an RFC 3339 text.
pub(super) fn day(words: Words, text: &str) -> String {
    text.get(..10).and_then(|day| day.parse().ok()).map_or_else(|| text.to_owned(), |day| format::day(words.0, day))
}

async fn apps(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    let user = visit.person()?.login.user.clone();
    Ok(page::part(list_of_apps(visit.words(), &shared.operations.app_passwords(user).await?, None)))
}

#[derive(Deserialize)]
struct NewApp {
    #[serde(default)]
    label: String,
}

async fn add_app(visit: Visit, State(shared): State<Shared>, Form(new): Form<NewApp>) -> Result<Answer, Refused> {
    let caller = visit.person()?;
    caller.by_own_password()?;
    let user = caller.login.user.clone();
    let made = shared.operations.create_app_password(user.clone(), new.label).await?;
    let apps = shared.operations.app_passwords(user).await?;
    Ok(page::part(list_of_apps(visit.words(), &apps, Some((&made.label, &made.password)))))
}

async fn ask_revoke(visit: Visit, State(shared): State<Shared>, Path(id): Path<String>) -> Result<Answer, Refused> {
    let user = visit.person()?.login.user.clone();
    let words = visit.words();
    let apps = shared.operations.app_passwords(user).await?;
    let app = apps.iter().find(|app| app.id == id).ok_or_else(Refused::nothing_here)?;
    let content = html! {
        form hx-post=(format!("settings/account/apps/{}/revoke", app.id)) hx-swap="none" {
            p { (words.fill("account.revoke-help", &[("label", &app.label)])) }
            (parts::actions(words, &html! { button.button.danger type="submit" { (icon("trash")) (words.say("account.revoke")) } }))
        }
    };
    let title = words.fill("account.revoke-named", &[("label", &app.label)]);
    Ok(page::part(parts::dialog(words, &title, &html! {}, &content)))
}

async fn revoke(visit: Visit, State(shared): State<Shared>, Path(id): Path<String>) -> Result<Answer, Refused> {
    let user = visit.person()?.login.user.clone();
    let app = shared.operations.revoke_app_password(user, id).await?;
    let said = visit.words().fill("account.revoked", &[("label", &app.label)]);
    Ok(page::done(&json!({ "close-dialog": true, "apps-changed": true, "said": said })))
}

fn password_form(words: Words, user: &str, refused: Option<&Refused>) -> Markup {
    let wrong = |field: &str| refused.and_then(|refused| refused.about(field)).map(|_| words.say("account.wrong-current"));
    let too_short = refused.filter(|refused| refused.code == "bad-input").map(|_| words.say("account.bad-password"));
    html! {
        form.fields hx-post="settings/account/password" hx-swap="outerHTML" {
            // For password managers.
            input type="text" name="user" autocomplete="username" value=(user) hidden;
            div.pair {
                (parts::field(&Field {
                    name: "current", label: words.say("account.current"), kind: "password", autocomplete: "current-password", is_required: true,
                    wrong: wrong("current"), ..Field::default()
                }))
                (parts::field(&Field {
                    name: "password", label: words.say("account.new"), kind: "password", autocomplete: "new-password", is_required: true,
                    help: words.say("account.new-help"), wrong: too_short, ..Field::default()
                }))
            }
            div { button.button type="submit" { (words.say("account.change-password")) } }
        }
    }
}

#[derive(Deserialize)]
struct NewPassword {
    #[serde(default)]
    current: String,
    #[serde(default)]
    password: String,
}

async fn set_password(
    visit: Visit,
    State(shared): State<Shared>,
    From(from): From,
    extensions: Extensions,
    Form(new): Form<NewPassword>,
) -> Result<Answer, Refused> {
    let caller = visit.person()?;
    let words = visit.words();
    match change_password(&shared, from, caller, &extensions, &caller.login.user, new.password, Some(new.current)).await {
        Ok(cookie) => {
            // The session is another one, and with it the token that this page has: it is loaded anew.
            let mut answer = page::go(&visit, "settings/account");
            if let Some(cookie) = cookie {
                answer.headers_mut().append(SET_COOKIE, cookie);
            }
            Ok(answer)
        }
        Err(problem) => {
            let refused = Refused::from(problem);
            if !matches!(refused.code, "wrong-current" | "bad-input") {
                return Err(refused);
            }
            Ok(page::again(&refused, password_form(words, &caller.login.user, Some(&refused))))
        }
    }
}

fn look_form(visit: &Visit) -> Markup {
    let words = visit.words();
    let languages = Language::ALL.map(|language| (language.code(), language.pick("English", "Deutsch").to_owned()));
    let themes = Theme::ALL.map(|theme| {
        let key = match theme {
            Theme::System => "account.theme-system",
            Theme::Light => "account.theme-light",
            Theme::Dark => "account.theme-dark",
        };
        (theme.name(), words.say(key).to_owned())
    });
    html! {
        form.fields hx-post="settings/account/look" hx-trigger="change" {
            div.pair {
                (parts::select("language", words.say("account.language"), "", visit.language.code(), languages))
                (parts::select("theme", words.say("account.theme"), "", visit.theme.name(), themes))
            }
        }
    }
}

#[derive(Deserialize)]
struct Look {
    language: String,
    theme: String,
}

/// How pages look is remembered by the browser: another one at another place may be used by others.
async fn set_look(visit: Visit, Form(look): Form<Look>) -> Result<Answer, Refused> {
    visit.reader()?;
    let language = Language::of_code(&look.language).ok_or_else(|| Refused::bad("language", "There is no such language."))?;
    let theme = Theme::of(&look.theme).ok_or_else(|| Refused::bad("theme", "There is no such theme."))?;
    let mut answer = page::go(&visit, "settings/account");
    for (name, value) in [(LANGUAGE, language.code()), (THEME, theme.name())] {
        let cookie = format!("{name}={value}; SameSite=Lax; HttpOnly; Path={}; Max-Age={REMEMBERED}", visit.base);
        if let Ok(cookie) = HeaderValue::try_from(cookie) {
            answer.headers_mut().append(SET_COOKIE, cookie);
        }
    }
    Ok(answer)
}
