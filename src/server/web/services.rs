//! Settings > Services: the services, and what can be done with each.

mod checks;
mod connect;
mod edit;
pub(super) mod folders;
mod preview;
mod remove;
mod sync;
mod table;
mod upload;

use axum::Router;
use axum::extract::State;
use axum::routing::{get, post};
use http::{HeaderValue, StatusCode};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

pub(super) use self::upload::{size_name, term_name};

use super::super::api::Shared;
use super::form::Query;
use super::page::{self, Answer, Place};
use super::parts::{self, Tone, icon};
use super::refused::Refused;
use super::visit::Visit;
use super::words::Words;
use crate::operations::{Failure, Kind as Trouble, SyncRequest};
use crate::services::Kind;

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/settings/services", get(show))
        .route("/settings/services/list", get(list))
        .route("/settings/services/connect", get(connect::show).post(connect::begin))
        .route("/settings/services/attempt", get(connect::attempt))
        .route("/settings/services/login", post(connect::begin_login))
        .route("/settings/services/login/poll", post(connect::poll_login))
        .route("/settings/services/login/stop", post(connect::stop_login))
        .route("/settings/services/test", post(checks::begin))
        .route("/settings/services/checks", get(checks::show))
        .route("/settings/services/stop", post(checks::stop))
        .route("/settings/services/edit", get(edit::show).post(edit::save))
        .route("/settings/services/undo", post(edit::undo))
        .route("/settings/services/upload", get(upload::show).post(upload::save))
        .route("/settings/services/sync", get(sync::show).post(sync::save))
        .route("/settings/services/folders", get(folders::show).post(folders::make))
        .route("/settings/services/preview", get(preview::show).post(preview::begin))
        .route("/settings/services/preview/stop", post(preview::stop))
        .route("/settings/services/start", post(start))
        .route("/settings/services/remove", get(remove::ask).post(remove::remove))
}

/// Which service is meant. It is not in the path: browsers take a service that is called `..` for the folder above.
#[derive(Deserialize)]
struct Named {
    name: String,
}

/// Which attempt, examination or login is meant.
#[derive(Deserialize)]
struct Token {
    token: String,
}

/// Where something is done with a service.
fn at(action: &str, name: &str) -> String {
    format!("settings/services/{action}{}", page::query(&[("name", name)]))
}

/// Where something is asked of what goes on in the background.
fn by_token(action: &str, token: &str) -> String {
    format!("settings/services/{action}{}", page::query(&[("token", token)]))
}

async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let rows = table::rows(&shared).await?;
    let title = words.say("common.services");
    let content = html! {
        div.page {
            header.top {
                h1 { (title) }
                button.button.main type="button" hx-get="settings/services/connect" hx-target="#dialog" { (icon("plus")) (words.say("services.connect")) }
            }
            (parts::lost(words))
            section.card.framed #services hx-get="settings/services/list" hx-trigger="services-changed from:body" hx-swap="innerMorph" {
                (table::show(words, &rows))
            }
            (parts::script_words(words, "services"))
        }
    };
    Ok(page::whole_with(&visit, Place::Services, title, &["services.js"], &content))
}

async fn list(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    Ok(page::part(table::show(visit.words(), &table::rows(&shared).await?)))
}

#[derive(Deserialize)]
struct Start {
    name: String,
    /// Sync is switched on for it, too.
    on: Option<String>,
}

async fn start(visit: Visit, State(shared): State<Shared>, Query(start): Query<Start>) -> Result<Answer, Refused> {
    visit.admin()?;
    let Start { name, on } = start;
    match on {
        Some(_) => shared.operations.switch_on(name.clone()).await?,
        None => drop(shared.operations.start_sync(SyncRequest { names: vec![name.clone()], ..SyncRequest::default() }).await?),
    }
    let said = visit.words().fill("services.started", &[("name", &name)]);
    Ok(closed(&said))
}

/// Something was changed: the dialog closes, the table is shown anew, and `said` is told.
fn closed(said: &str) -> Answer {
    page::done(&json!({ "close-dialog": true, "services-changed": true, "said": said }))
}

/// What a kind of server calls itself.
fn kind_name(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Twinlens) => "Twinlens",
        Some(Kind::PhotoPrism) => "PhotoPrism",
        Some(Kind::Nextcloud) => "Nextcloud",
        Some(Kind::OwnCloud) => "ownCloud",
        Some(Kind::WebDav) | None => "WebDAV",
    }
}

/// The switch of a dialog, at the right of its title. It belongs to the form of this id.
fn dialog_switch(form: &str, label: &str, is_on: bool) -> Markup {
    html! {
        div.switch.alone {
            label.hidden for="field-on" { (label) }
            input #field-on name="on" type="checkbox" role="switch" form=(form) checked[is_on];
        }
    }
}

/// A form again, with what is wrong with it.
fn again(content: Markup) -> Answer {
    let mut answer = page::part(content);
    *answer.status_mut() = StatusCode::UNPROCESSABLE_ENTITY;
    answer
}

/// What is wrong with a field, in words.
fn wrong(words: Words, failure: Option<&Failure>, field: &str) -> Option<&'static str> {
    let failure = failure.filter(|failure| failure.field.as_deref() == Some(field))?;
    // A name that is taken is not wrong in itself.
    let taken = (failure.kind == Trouble::Taken).then(|| words.known("services.taken-name")).flatten();
    taken.or_else(|| words.known(&format!("services.wrong-{}", field))).or_else(|| words.known("problem.bad-input"))
}

/// Why something failed, in words and with what to do.
fn failed(words: Words, failure: &Failure) -> Markup {
    let cause = failure.cause.as_ref().and_then(|cause| words.known(&format!("services.cause-{}", cause.word)));
    let field = || failure.field.as_deref().and_then(|field| wrong(words, Some(failure), field));
    match cause.or_else(field) {
        Some(text) => parts::notice(
            Tone::Bad,
            &html! {
                (parts::with_advice(text))
                details.own { summary { (words.say("services.exact")) } p.detail.lines lang="en" { (failure.message) } }
            },
        ),
        None => parts::refusal(words, &Refused::from(failure.clone())),
    }
}

/// Lets its owner look at a password that is typed.
fn password(words: Words, label: &str, help: &str, autocomplete: &str) -> Markup {
    html! {
        div.field {
            label for="field-password" { (label) }
            div.joined {
                input #field-password name="password" type="password" autocomplete=(autocomplete) autocapitalize="none" spellcheck="false"
                    aria-describedby=[(!help.is_empty()).then_some("field-password-help")];
                button.quiet type="button" data-reveal="#field-password" aria-pressed="false" title=(words.say("services.reveal"))
                    aria-label=(words.say("services.reveal")) { (icon("eye")) }
            }
            @if !help.is_empty() { p.help #field-password-help { (help) } }
        }
    }
}

/// Something of a certificate that people compare letter by letter.
fn fingerprint_of(failure: &Failure) -> Option<String> {
    failure.cause.as_ref()?.fingerprint.map(|fingerprint| fingerprint.to_string())
}

/// An answer that is put elsewhere than it was asked for.
fn put_into(mut answer: Answer, target: &'static str) -> Answer {
    answer.headers_mut().insert("hx-retarget", HeaderValue::from_static(target));
    answer.headers_mut().insert("hx-reswap", HeaderValue::from_static("innerHTML"));
    answer
}
