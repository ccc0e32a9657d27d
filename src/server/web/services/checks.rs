//! The connection doctor's checks, as they happen: each with words for people, and below it what the doctor says in its own.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::Query;
use super::super::page::{self, Answer};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Token, at, by_token, failed};
use crate::operations::{Examination, ExaminationState};
use crate::services::doctor::{Check, Verdict};

#[derive(Deserialize)]
pub(super) struct Wanted {
    name: String,
    /// Small files may be written, also to a service that nothing is uploaded to.
    write: Option<String>,
}

/// Begins to examine a service, in a dialog; in its place when somebody asked for more of it.
pub(super) async fn begin(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Wanted { name, write }): Query<Wanted>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let examination = shared.operations.begin_examination(name.clone(), write.is_some().then_some(true)).await?;
    if write.is_some() {
        return Ok(page::part(watched(words, &examination)));
    }
    let content = html! {
        div.body data-tall {
            (watched(words, &examination))
            footer {
                button.button type="button" hx-get=(at("edit", &name)) hx-target="#dialog" { (icon("pencil")) (words.say("services.edit")) }
                button.button type="button" hx-post=(at("test", &name)) hx-target="#dialog" { (icon("refresh")) (words.say("services.test-again")) }
                button.button.main type="button" data-close { (words.say("common.close")) }
            }
        }
    };
    Ok(page::part(parts::dialog(words, &words.fill("services.test-of", &[("name", &name)]), &html! {}, &content)))
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(Token { token }): Query<Token>) -> Result<Answer, Refused> {
    visit.admin()?;
    Ok(page::part(watched(visit.words(), &shared.operations.examination(&token)?)))
}

/// Nobody looks on any more.
pub(super) async fn stop(visit: Visit, State(shared): State<Shared>, Query(Token { token }): Query<Token>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.stop_watching(&token);
    Ok(page::done(&json!({})))
}

/// An examination, which asks for itself again as long as it goes on.
pub(super) fn watched(words: Words, examination: &Examination) -> Markup {
    let goes_on = matches!(examination.state, ExaminationState::Examining);
    let token = &examination.token;
    let next = examination.next().filter(|_| goes_on);
    html! {
        div.examination hx-get=[goes_on.then(|| by_token("checks", token))] hx-trigger=[goes_on.then_some("load delay:400ms")]
            hx-swap=[goes_on.then_some("outerHTML")] data-stop=[goes_on.then(|| by_token("stop", token))] aria-busy=(goes_on) {
            div role="status" {
                @match &examination.state {
                    ExaminationState::Examining => p.busy { span.icon.spin { (icon("loader")) } (words.say("services.examining")) },
                    ExaminationState::Cancelled => p.busy { (words.say("services.cancelled")) },
                    ExaminationState::Failed(failure) => (failed(words, failure)),
                    ExaminationState::Over(tested) => (verdict(words, tested.connected, &tested.checks)),
                }
            }
            (list(words, &examination.checks, next))
            @if !goes_on && was_only_read(&examination.checks) {
                div.choice {
                    p.dim { (words.say("services.only-read")) }
                    button.button type="button" hx-post=(writing(&examination.name)) hx-target="closest .examination" hx-swap="outerHTML" {
                        (icon("upload")) (words.say("services.try-writing"))
                    }
                }
            }
        }
    }
}

fn writing(name: &str) -> String {
    format!("settings/services/test{}", page::query(&[("name", name), ("write", "on")]))
}

/// All is well with the folder, and nothing was written to it.
fn was_only_read(checks: &[Check]) -> bool {
    let is = |id, status| checks.iter().any(|check| check.id == id && check.status == status);
    is("folder", Verdict::Ok) && is("write", Verdict::Skipped)
}

fn verdict(words: Words, connected: bool, checks: &[Check]) -> Markup {
    let any = |status| checks.iter().any(|check| check.status == status);
    let (tone, key) = match (connected, any(Verdict::Failed), any(Verdict::Warning)) {
        (false, _, _) => (Tone::Bad, "services.verdict-lost"),
        (_, true, _) => (Tone::Bad, "services.verdict-failed"),
        (_, _, true) => (Tone::Warning, "services.verdict-warning"),
        _ => (Tone::Good, "services.verdict-well"),
    };
    parts::notice(tone, &html! { p { strong { (words.say(key)) } } })
}

/// The checks that were made. `next` is the one that is being made.
pub(super) fn list(words: Words, checks: &[Check], next: Option<&str>) -> Markup {
    let made = checks.iter().filter(|check| check.status != Verdict::Skipped);
    let skipped: Vec<&Check> = checks.iter().filter(|check| check.status == Verdict::Skipped).collect();
    html! {
        ol.checks {
            @for check in made { li class=(class(check.status)) { (one(words, check)) } }
            @if let Some(id) = next { li.now { span.mark { span.icon.spin { (icon("loader")) } } (title(words, id)) } }
        }
        @if !skipped.is_empty() {
            details.own.skipped {
                summary { (words.count("services.not-tried", skipped.len() as u64)) }
                // Where nothing was written, a button beside it says why and what to do; the text names an option of the command line.
                @let says_why = !was_only_read(checks);
                ul { @for check in skipped { li { (title(words, check.id)) @if says_why { span.dim lang="en" { " – " (check.text) } } } } }
            }
        }
    }
}

fn class(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

fn one(words: Words, check: &Check) -> Markup {
    let (sign, said) = match check.status {
        Verdict::Ok => ("check-circle", "services.verdict-of-ok"),
        Verdict::Warning => ("alert", "services.verdict-of-warning"),
        Verdict::Failed => ("circle-x", "services.verdict-of-failed"),
        Verdict::Skipped => ("minus", "services.verdict-of-skipped"),
    };
    let is_well = check.status == Verdict::Ok;
    let advice = (!is_well).then(|| words.known(&format!("services.advice-{}", check.id))).flatten();
    html! {
        span.mark { (icon(sign)) span.hidden { (words.say(said)) ": " } }
        details open[!is_well] {
            summary { (title(words, check.id)) }
            @if let Some(advice) = advice { p { (advice) } }
            p.detail lang="en" { (check.text) }
        }
    }
}

fn title(words: Words, id: &str) -> &'static str {
    words.known(&format!("services.check-{}", id)).unwrap_or_default()
}
