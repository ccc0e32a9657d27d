//! *Connect*: from an address that a person types to a service, with a password or by logging in with a browser.

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
use super::{Token, again, at, by_token, checks, closed, failed, fingerprint_of, password};
use crate::operations::{Attempt, AttemptState, BegunLogin, Connected, Discovered, Failure, LoginState, NewLogin, NewService};
use crate::services::discovery::Tried;

/// So many of the folders that were found are named.
const NAMED: usize = 12;

pub(super) async fn show(visit: Visit) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let content = html! {
        form #connect-form data-tall hx-post="settings/services/connect" hx-target="#attempt" {
            (parts::field(&Field {
                name: "url", label: words.say("services.url"), example: "cloud.example.org", help: words.say("services.url-help"),
                autocomplete: "off", is_required: true, is_first: true, ..Field::default()
            }))
            div.pair {
                (parts::field(&Field { name: "user", label: words.say("signin.user"), autocomplete: "off", ..Field::default() }))
                (password(words, words.say("signin.password"), "", "new-password"))
            }
            div.or {
                span.dim { (words.say("services.or")) }
                button.button type="button" hx-post="settings/services/login" hx-target="#attempt" { (icon("key")) (words.say("services.browser")) }
            }
            (parts::field(&Field {
                name: "name", label: words.say("services.own-name"), help: words.say("services.own-name-help"), autocomplete: "off", ..Field::default()
            }))
            div #attempt aria-live="polite" {}
            footer {
                button.button type="button" data-close { (words.say("common.cancel")) }
                button.button.main type="submit" { (icon("plug")) (words.say("services.connect")) }
            }
        }
    };
    Ok(page::part(parts::dialog(words, words.say("services.connect-title"), &html! {}, &content)))
}

/// What the form says. Its password is not told by `Debug`, because there is none.
#[derive(Deserialize)]
pub(super) struct NewForm {
    #[serde(default)]
    url: String,
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(default)]
    name: String,
    /// A certificate that its owner has looked at.
    fingerprint: Option<String>,
    allow_http: Option<String>,
    /// The service that is there already, and gets another password.
    again: Option<String>,
}

impl NewForm {
    fn trusted(&self) -> Option<crate::client::Fingerprint> {
        self.fingerprint.as_deref().and_then(|text| text.parse().ok())
    }
}

pub(super) async fn begin(visit: Visit, State(shared): State<Shared>, Form(form): Form<NewForm>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let fingerprint = form.trusted();
    let name = match form.name.trim() {
        "" => shared.operations.suggest_name(form.url.trim()).await,
        name => Ok(name.to_owned()),
    };
    let name = match name {
        Ok(name) => name,
        Err(failure) => return Ok(again(missed(words, &failure, &[], &[]))),
    };
    let allow_http = is_on(form.allow_http.as_deref());
    let NewForm { url, user, password, .. } = form;
    let new = NewService { name, url: url.trim().to_owned(), user: user.trim().to_owned(), password, fingerprint, allow_http, kind: None };
    Ok(match shared.operations.begin_attempt(new) {
        Ok(attempt) => page::part(going(words, &attempt)),
        Err(failure) => again(missed(words, &failure, &[], &[])),
    })
}

pub(super) async fn attempt(visit: Visit, State(shared): State<Shared>, Query(Token { token }): Query<Token>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let attempt = shared.operations.attempt(&token)?;
    match &attempt.state {
        AttemptState::Searching => Ok(page::part(going(words, &attempt))),
        AttemptState::Failed(failure, checks) => Ok(page::part(missed(words, failure, &attempt.tried, checks))),
        AttemptState::Cancelled => Ok(page::part(parts::notice(Tone::Info, &html! { p { (words.say("services.cancelled")) } }))),
        AttemptState::Connected(connected) => found(words, &shared, connected).await,
    }
}

/// The search goes on.
fn going(words: Words, attempt: &Attempt) -> Markup {
    html! {
        div.attempt hx-get=(by_token("attempt", &attempt.token)) hx-trigger="load delay:400ms" hx-swap="outerHTML" data-stop=(by_token("stop", &attempt.token)) {
            p.busy { span.icon.spin { (icon("loader")) } (words.say("services.searching")) }
            (list_of_tried(&attempt.tried))
        }
    }
}

fn list_of_tried(tried: &[Tried]) -> Markup {
    html! {
        @if !tried.is_empty() {
            ul.tried lang="en" { @for Tried { url, answer } in tried { li { code { (url) } " " span.dim { (answer) } } } }
        }
    }
}

/// It was not found: why, how far one comes, and what can be done in the form.
fn missed(words: Words, failure: &Failure, tried: &[Tried], checks: &[crate::services::doctor::Check]) -> Markup {
    let field = match failure.cause.as_ref().map(|cause| cause.word.as_str()) {
        Some("unauthorized") => Some("password"),
        Some("needs-login") => Some("user"),
        // There is something to be decided about these.
        Some("untrusted" | "other-certificate" | "plain-http") => None,
        _ => failure.field.as_deref().filter(|field| matches!(*field, "url" | "user" | "password" | "name")),
    };
    let word = failure.cause.as_ref().map(|cause| cause.word.as_str());
    html! {
        div.attempt data-wrong=[field] {
            (failed(words, failure))
            @if let Some(fingerprint) = fingerprint_of(failure) { (trust(words, &fingerprint)) }
            @if word == Some("plain-http") { (parts::switch("allow_http", words.say("services.allow-http"), words.say("services.allow-http-help"), false)) }
            @if !checks.is_empty() { (checks::list(words, checks, None)) }
            @if tried.len() > 1 {
                details.own { summary { (words.count("services.tried", tried.len() as u64)) } (list_of_tried(tried)) }
            }
        }
    }
}

/// A certificate that nobody vouches for: its owner looks at it.
pub(super) fn trust(words: Words, fingerprint: &str) -> Markup {
    html! {
        div.trust {
            p { (words.say("services.trust-help")) }
            code.fingerprint { (fingerprint) }
            label.check { input type="checkbox" name="fingerprint" value=(fingerprint); span { (words.say("services.trust")) } }
        }
    }
}

/// The service is there: what was found, and its examination, which has begun.
async fn found(words: Words, shared: &Shared, connected: &Connected) -> Result<Answer, Refused> {
    let Connected { service, discovered } = connected;
    let examination = shared.operations.begin_examination(service.name.clone(), None).await?;
    let content = html! {
        div.body data-tall {
            (parts::notice(Tone::Good, &html! {
                p { strong { (words.fill("services.connected", &[("name", &service.name)])) } }
                p.detail { (super::kind_name(service.kind)) @if let Some(version) = &discovered.version { " " (version) } " · " (discovered.url) }
            }))
            @if discovered.plain_http { (parts::notice(Tone::Warning, &html! { p { (words.say("services.plain-http")) } })) }
            (folders_found(words, discovered))
            p { (words.say("services.choose-next")) }
            h3 { (words.say("services.checks")) }
            (checks::watched(words, &examination))
            footer {
                button.button type="button" data-close { (words.say("services.later")) }
                button.button type="button" hx-get=(at("upload", &service.name)) hx-target="#dialog" { (icon("upload")) (words.say("services.set-up-upload")) }
                button.button.main type="button" hx-get=(at("sync", &service.name)) hx-target="#dialog" { (icon("swap")) (words.say("services.set-up-sync")) }
            }
        }
    };
    let answer = page::into_dialog(parts::dialog(words, words.say("services.connected-title"), &html! {}, &content));
    Ok(page::telling(answer, &json!({ "services-changed": true })))
}

fn folders_found(words: Words, discovered: &Discovered) -> Markup {
    let more = discovered.folders_total.saturating_sub(NAMED);
    html! {
        div.found {
            h3 { (words.count("services.folders-found", discovered.folders_total as u64)) @if discovered.files > 0 { ", " (words.files(discovered.files as u64)) } }
            @if !discovered.folders.is_empty() {
                ul.chips {
                    @for folder in discovered.folders.iter().take(NAMED) { li.pill { (icon("folder")) (folder) } }
                    @if more > 0 { li.pill { (words.count("services.more", more as u64)) } }
                }
            }
        }
    }
}

pub(super) async fn begin_login(visit: Visit, State(shared): State<Shared>, Form(form): Form<NewForm>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let url = form.url.trim().to_owned();
    let is_again = form.again.is_some();
    let name = match (&form.again, form.name.trim()) {
        (Some(service), _) => Ok(service.clone()),
        (None, "") => shared.operations.suggest_name(&url).await,
        (None, name) => Ok(name.to_owned()),
    };
    let name = match name {
        Ok(name) => name,
        Err(failure) => return Ok(again(missed(words, &failure, &[], &[]))),
    };
    let (fingerprint, allow_http) = (form.trusted(), is_on(form.allow_http.as_deref()));
    let new = NewLogin { name, url: (!is_again).then_some(url), fingerprint, allow_http, again: is_again };
    Ok(match shared.operations.begin_login(new).await {
        Ok(begun) => page::part(login(words, &begun)),
        Err(failure) => again(missed(words, &failure, &[], &[])),
    })
}

/// The page on which its owner logs in, in a tab of its own.
fn login(words: Words, begun: &BegunLogin) -> Markup {
    // What a service says is an address of another kind is not one to click at.
    let is_page = begun.login_url.starts_with("https://") || begun.login_url.starts_with("http://");
    html! {
        div.attempt {
            @if let Some(host) = &begun.other_host { (parts::notice(Tone::Warning, &html! { p { (words.fill("services.other-host", &[("host", host)])) } })) }
            @if is_page {
                p { (words.fill("services.login-help", &[("server", &begun.server)])) }
                a.button.main href=(begun.login_url) target="_blank" rel="noopener noreferrer" { (icon("link")) (words.say("services.login-open")) }
            } @else {
                p { (words.say("services.login-strange")) } code { (begun.login_url) }
            }
            (waiting(words, &begun.token))
        }
    }
}

fn waiting(words: Words, token: &str) -> Markup {
    html! {
        p.busy hx-post=(by_token("login/poll", token)) hx-trigger="load delay:1500ms" hx-swap="outerHTML" data-stop=(by_token("login/stop", token)) {
            span.icon.spin { (icon("loader")) } (words.say("services.login-waiting"))
        }
    }
}

pub(super) async fn poll_login(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Token { token }): Query<Token>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    match shared.operations.poll_login(&token).await {
        Ok(LoginState::Waiting) => Ok(page::part(waiting(words, &token))),
        Ok(LoginState::Added(connected)) => found(words, &shared, &connected).await,
        Ok(LoginState::Edited(edited)) => {
            let said = words.fill("services.saved", &[("name", &edited.service.service.name)]);
            Ok(closed(&said))
        }
        Err(failure) => Ok(super::put_into(again(missed(words, &failure, &[], &[])), "#attempt")),
    }
}

pub(super) async fn stop_login(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Token { token }): Query<Token>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.cancel_login(&token);
    Ok(page::done(&json!({})))
}
