//! *Edit*: the connection of a service. A change that breaks it is told, and kept or taken back as its owner says.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query, is_on};
use super::super::page::{self, Answer};
use super::super::parts::{self, Field, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::connect::trust;
use super::{Named, again, at, closed, failed, fingerprint_of, kind_name, password};
use crate::operations::{AccountChange, Edited, Failure};
use crate::services::{Kind, RETRIES_LIMIT, Service, Timeout};

const KINDS: [Kind; 5] = [Kind::Twinlens, Kind::PhotoPrism, Kind::Nextcloud, Kind::OwnCloud, Kind::WebDav];

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    let service = shared.operations.service(name).await?;
    Ok(page::part(form(visit.words(), &service)))
}

fn form(words: Words, service: &Service) -> Markup {
    let name = &service.name;
    let kind = service.kind.map_or("webdav", word);
    let has_page = matches!(service.kind, Some(Kind::Twinlens | Kind::Nextcloud | Kind::OwnCloud));
    let content = html! {
        form #edit-form data-tall hx-post=(at("edit", name)) hx-target="#attempt" {
            (parts::field(&Field { name: "name", label: words.say("services.name"), value: name, autocomplete: "off", is_required: true, ..Field::default() }))
            (parts::field(&Field { name: "url", label: words.say("services.url"), value: &service.url, autocomplete: "off", is_required: true, ..Field::default() }))
            div.pair {
                (parts::field(&Field { name: "user", label: words.say("signin.user"), value: &service.user, autocomplete: "off", ..Field::default() }))
                (password(words, words.say("signin.password"), words.say("services.keep-password"), "new-password"))
            }
            @if has_page {
                div {
                    input type="hidden" name="again" value=(name);
                    button.button type="button" hx-post="settings/services/login" hx-target="#attempt" { (icon("key")) (words.say("services.browser-again")) }
                }
            }
            div.pair {
                (parts::select("kind", words.say("services.kind"), "", kind, KINDS.map(|kind| (word(kind), kind_name(Some(kind)).to_owned()))))
                (timeouts(words, service.timeout))
            }
            (parts::field(&Field {
                name: "retries", label: words.say("services.retries"), value: &service.retries.to_string(), kind: "number",
                help: words.say("services.retries-help"), ..Field::default()
            }))
            @if service.url.starts_with("http:") || service.allow_http {
                (parts::switch("allow_http", words.say("services.allow-http"), words.say("services.allow-http-help"), service.allow_http))
            }
            div #attempt aria-live="polite" {}
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("services.save")) } }))
        }
    };
    parts::dialog(words, &words.fill("services.edit-of", &[("name", name)]), &html! {}, &content)
}

fn timeouts(words: Words, now: Timeout) -> Markup {
    let mut all = vec![
        (Timeout::Default.to_string(), words.say("services.timeout-default").to_owned()),
        (Timeout::High.to_string(), words.say("services.timeout-high").to_owned()),
        (Timeout::Low.to_string(), words.say("services.timeout-low").to_owned()),
        (Timeout::None.to_string(), words.say("services.timeout-none").to_owned()),
    ];
    if let Timeout::Seconds(seconds) = now {
        all.push((now.to_string(), words.count("services.timeout-seconds", seconds.into())));
    }
    let now = now.to_string();
    parts::select("timeout", words.say("services.timeout"), "", &now, all.iter().map(|(value, text)| (value.as_str(), text.clone())))
}

/// As it is sent.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Twinlens => "twinlens",
        Kind::PhotoPrism => "photoprism",
        Kind::Nextcloud => "nextcloud",
        Kind::OwnCloud => "owncloud",
        Kind::WebDav => "webdav",
    }
}

#[derive(Deserialize)]
pub(super) struct EditForm {
    name: String,
    url: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    kind: String,
    timeout: String,
    retries: String,
    allow_http: Option<String>,
    fingerprint: Option<String>,
    /// Although it does not work.
    keep: Option<String>,
}

impl EditForm {
    /// What is to be another way; what stays is not tried anew.
    fn change(self, old: &Service) -> Result<AccountChange, Failure> {
        let other = |new: &str, old: &str| (new != old).then(|| new.to_owned());
        let timeout: Timeout = self.timeout.parse().map_err(|error: String| Failure::usage(error).about("timeout"))?;
        let retries =
            self.retries.trim().parse().map_err(|_| Failure::usage(format!("retries: between 0 and {RETRIES_LIMIT}")).about("retries"))?;
        let kind = KINDS.into_iter().find(|kind| word(*kind) == self.kind);
        let kind = kind.ok_or_else(|| Failure::usage(format!("{} is no kind of server", self.kind)).about("kind"))?;
        let fingerprint = self.fingerprint.map(|text| text.parse()).transpose();
        let allow_http = is_on(self.allow_http.as_deref());
        Ok(AccountChange {
            name: other(self.name.trim(), &old.name),
            url: other(self.url.trim(), &old.url),
            user: other(self.user.trim(), &old.user),
            password: Some(self.password).filter(|password| !password.is_empty()),
            fingerprint: fingerprint.map_err(|error: String| Failure::usage(error).about("fingerprint"))?,
            allow_http: (allow_http != old.allow_http).then_some(allow_http),
            kind: (Some(kind) != old.kind && !(old.kind.is_none() && kind == Kind::WebDav)).then_some(kind),
            timeout: (timeout != old.timeout).then_some(timeout),
            retries: (retries != old.retries).then_some(retries),
            keep: self.keep.is_some(),
        })
    }
}

pub(super) async fn save(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Named { name }): Query<Named>,
    Form(form): Form<EditForm>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let old = shared.operations.service(name.clone()).await?;
    let edited = match form.change(&old) {
        Ok(change) => shared.operations.edit_service(name, change).await,
        Err(failure) => Err(failure),
    };
    match edited {
        Ok(edited) => Ok(saved(words, &edited)),
        Err(failure) => Ok(again(broken(words, &failure))),
    }
}

/// It does not work so, and nothing was changed: the way it is, or the change all the same.
fn broken(words: Words, failure: &Failure) -> Markup {
    let field = match failure.cause.as_ref().map(|cause| cause.word.as_str()) {
        Some("unauthorized") => Some("password"),
        Some("untrusted" | "other-certificate" | "plain-http") => None,
        _ => failure.field.as_deref(),
    };
    html! {
        div.attempt data-wrong=[field] {
            (failed(words, failure))
            @if let Some(fingerprint) = fingerprint_of(failure) { (trust(words, &fingerprint)) }
            @if failure.cause.as_ref().is_some_and(|cause| cause.word == "plain-http") {
                (parts::switch("allow_http", words.say("services.allow-http"), words.say("services.allow-http-help"), false))
            }
            @if failure.cause.is_some() {
                div.choice {
                    p { (words.say("services.unchanged")) }
                    button.button.danger type="submit" name="keep" value="on" { (words.say("services.save-anyway")) }
                }
            }
        }
    }
}

/// It is changed. What is to be known of it stays in the dialog, with the way back.
fn saved(words: Words, edited: &Edited) -> Answer {
    let name = &edited.service.service.name;
    let said = words.fill("services.saved", &[("name", name)]);
    let Some(reason) = edited.broken.as_ref() else {
        let said = if edited.forgotten { format!("{said} {}", words.say("services.forgotten")) } else { said };
        return closed(&said);
    };
    let content = html! {
        form hx-post=(at("undo", name)) hx-swap="none" {
            (parts::notice(Tone::Warning, &html! {
                p { strong { (words.fill("services.saved-broken", &[("name", name)])) } }
                p.detail.lines lang="en" { (reason) }
            }))
            @if edited.forgotten { p { (words.say("services.forgotten")) } }
            footer {
                button.button type="submit" { (icon("undo")) (words.say("services.undo")) }
                button.button.main type="button" data-close { (words.say("services.keep")) }
            }
        }
    };
    let title = words.fill("services.edit-of", &[("name", name)]);
    page::telling(page::into_dialog(parts::dialog(words, &title, &html! {}, &content)), &json!({ "services-changed": true }))
}

pub(super) async fn undo(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    let edited = shared.operations.undo_edit(name).await?;
    let said = visit.words().fill("services.undone", &[("name", &edited.service.service.name)]);
    Ok(closed(&said))
}
