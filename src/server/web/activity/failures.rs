//! Files that failed and are to be tried again: why, what to do about it, and when.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query};
use super::super::page::{self, Answer, query};
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, rows};
use crate::operations::{RetryRequest, WaitingOf};
use crate::types::RelPath;

/// The two lists of what was not done.
pub(super) fn lists(words: Words, is_failures: bool) -> Markup {
    html! {
        nav.lists aria-label=(words.say("activity.failures")) {
            a href="activity/failures" aria-current=[is_failures.then_some("page")] { (icon("alert")) (words.say("activity.failed")) }
            a href="activity/skipped" aria-current=[(!is_failures).then_some("page")] { (icon("minus")) (words.say("activity.skipped")) }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    /// A page of the files of this service only.
    #[serde(default)]
    service: String,
    #[serde(default)]
    after: usize,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(which): Query<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let waiting = shared.operations.waiting(None).await?;
    let of = |name: &str| waiting.iter().filter(|one| one.service == name).collect::<Vec<_>>();
    if visit.is_part && !which.service.is_empty() {
        return Ok(page::part(files(words, &which.service, &of(&which.service), which.after)));
    }
    let services = shared.operations.status().await?.services;
    let list = html! {
        @for service in &services {
            @let name = service.name.as_str();
            @let files = of(name);
            @if rows::stands_still(service) || !files.is_empty() {
                section.card {
                    header {
                        (icon("cloud"))
                        h2 { (rows::name(name)) }
                        @if files.is_empty() { (again("activity/sync", words.fill("activity.sync-named", &[("service", &name)]), words.say("activity.sync"), name)) }
                        @else {
                            span.dim.number { (words.files(files.len() as u64)) }
                            (again("activity/failures/retry", words.fill("activity.retry-all-named", &[("service", &name)]), words.say("activity.retry-all"), name))
                        }
                    }
                    @if let Some(standstill) = rows::standstill(words, service) { (standstill) }
                    @if !files.is_empty() {
                        ul.listed { (self::files(words, name, &files, if name == which.service { which.after } else { 0 })) }
                    }
                }
            }
        }
        @if waiting.is_empty() && !services.iter().any(rows::stands_still) {
            section.card { (parts::empty("check-circle", words.say("activity.no-failures"), words.say("activity.no-failures-help"), &html! {})) }
        }
    };
    if visit.is_part {
        return Ok(page::part(list));
    }
    let content = html! {
        (lists(words, true))
        div.stack hx-get="activity/failures" hx-trigger="failures-changed from:body" hx-swap="innerMorph" { (list) }
    };
    Ok(super::whole(&visit, Tab::Failures, &html! {}, &content))
}

/// Has everything of a service be tried again.
fn again(href: &str, label: String, word: &str, service: &str) -> Markup {
    html! {
        form hx-post=(href) hx-swap="none" {
            input type="hidden" name="service" value=(service);
            button.button type="submit" aria-label=(label) { (icon("refresh")) (word) }
        }
    }
}

fn files(words: Words, service: &str, files: &[&WaitingOf], after: usize) -> Markup {
    let end = after.saturating_add(rows::ROWS);
    html! {
        @for WaitingOf { file, .. } in files.iter().skip(after).take(rows::ROWS) {
            li {
                (rows::action(words, &file.action))
                (rows::path(file.path.as_str()))
                (rows::cause_of(words, file.cause.as_deref(), &file.reason))
                span.dim.number {
                    (rows::next_try(words, &file.next)) " · " (words.count("activity.attempts", u64::from(file.attempts)))
                }
                form hx-post="activity/failures/retry" hx-swap="none" {
                    input type="hidden" name="service" value=(service);
                    input type="hidden" name="path" value=(file.path);
                    button.quiet type="submit" title=(words.say("activity.retry")) aria-label=(words.fill("activity.retry-named", &[("path", &file.path)])) { (icon("refresh")) }
                }
            }
        }
        @if files.len() > end { (rows::more(words, &format!("activity/failures{}", query(&[("service", service), ("after", &end.to_string())])))) }
    }
}

/// One file, or all of a service.
#[derive(Deserialize)]
pub(super) struct Again {
    #[serde(default)]
    service: String,
    path: Option<String>,
}

pub(super) async fn retry(visit: Visit, State(shared): State<Shared>, Form(again): Form<Again>) -> Result<Answer, Refused> {
    visit.admin()?;
    let path = again.path.map(|path| RelPath::parse(&path).map_err(|error| Refused::bad("path", error.to_string()))).transpose()?;
    let request = RetryRequest { service: again.service, paths: path.into_iter().collect() };
    let retrying = shared.operations.retry_failed(request).await?;
    let said = visit.words().count("activity.retrying", retrying.paths.len() as u64);
    Ok(page::done(&json!({ "failures-changed": true, "said": said })))
}
