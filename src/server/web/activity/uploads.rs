//! What was chosen to be uploaded to services: how far it is, when it is removed again, what failed.

use axum::extract::{Path, State};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query};
use super::super::format;
use super::super::page::{self, Answer};
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, graph, live, rows};
use crate::operations::{Sending, ShareReport, ToldFile};
use crate::share::Counts;

/// So many of the files that failed are named with a share.
const NAMED: usize = 5;

/// All of them, the latest first.
pub(super) async fn list(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let shares = shared.operations.shares().await?.shares;
    let sending = shared.operations.sending();
    let content = html! {
        @for one in &sending { (self::sending(words, one)) }
        @for share in &shares { (card(words, share)) }
        @if shares.is_empty() {
            section.card {
                (parts::empty("cloud-up", words.say("activity.no-uploads"), words.say("activity.no-uploads-help"), &html! {
                    a.button.main href="library" { (icon("images")) (words.say("activity.to-library")) }
                }))
            }
        }
    };
    if visit.is_part {
        return Ok(page::part(content));
    }
    let has_failed = shares.iter().any(|share| share.counts.failed > 0);
    let beside = html! {
        @if has_failed {
            form hx-post="activity/uploads/retry" hx-swap="none" {
                button.button type="submit" { (icon("refresh")) (words.say("activity.retry-all")) }
            }
        }
    };
    let content = html! { div.stack hx-get="activity/uploads" hx-trigger="uploads-changed from:body" hx-swap="innerMorph" { (content) } };
    Ok(super::whole(&visit, Tab::Uploads, &beside, &content))
}

/// What is being sent to a service now.
pub(super) fn sending(words: Words, sending: &Sending) -> Markup {
    let Sending { service, files, files_total, bytes, path, pace } = sending;
    let number = |number: u64| format::number(words.0, number);
    html! {
        section.card.service data-going {
            header {
                (icon("cloud-up"))
                h2 { (rows::name(service)) }
                span.pill.accent { (icon("upload")) (words.say("activity.state-uploading")) }
            }
            (live::bar(words, Some((*files, *files_total))))
            dl.facts.number {
                div { dt { (words.say("activity.files")) } dd { (words.fill("activity.of", &[("done", &number(*files)), ("total", &number(*files_total))])) } }
                div { dt { (words.say("activity.bytes")) } dd { (format::size(words.0, *bytes)) } }
                (live::pace(words, pace))
            }
            (graph::throughput(words, &pace.throughput))
            // It has its place before there is one.
            ul.moving.one aria-label=(words.say("activity.moving")) {
                li { @if let Some(path) = path { (rows::action(words, "upload")) (rows::path(path)) } }
            }
        }
    }
}

/// One share, with the first of what failed.
pub(super) fn card(words: Words, share: &ShareReport) -> Markup {
    let Counts { total, waiting, failed, .. } = share.counts;
    let is_open = waiting + failed > 0;
    let href = format!("activity/uploads/{}", share.share);
    html! {
        section.card.share {
            header {
                (icon("cloud-up"))
                h2 { a href=(href) { (words.count("activity.upload-of", total)) } }
                (state(words, &share.counts))
            }
            p.dim {
                (rows::name(&share.service)) " › " (rows::name(&share.folder)) " · " (rows::moment(words, &share.created)) " · "
                (format::size(words.0, share.bytes))
            }
            @if is_open { (live::bar(words, Some((total - waiting - failed, total)))) }
            (counts(words, &share.counts))
            @if let Some(from) = &share.removed_from { p { (icon("clock")) span { (words.say("activity.removed-from")) " " (rows::moment(words, from)) } } }
            @if !share.failed_files.is_empty() {
                ul.listed {
                    @for file in share.failed_files.iter().take(NAMED) {
                        li {
                            (rows::path(&file.path))
                            (rows::cause_of(words, file.cause.as_deref(), &file.reason))
                            span.dim.number { @if let Some(next) = &file.next { (rows::next_try(words, next)) } }
                        }
                    }
                    @if share.failed_files.len() > NAMED { li { a href=(href) { (words.count("activity.and-more", (share.failed_files.len() - NAMED) as u64)) } } }
                }
            }
            @if is_open {
                div.buttons {
                    @if failed > 0 {
                        form hx-post="activity/uploads/retry" hx-swap="none" {
                            input type="hidden" name="share" value=(share.share);
                            button.button type="submit" { (icon("refresh")) (words.say("activity.retry")) }
                        }
                    }
                    button.button type="button" hx-get=(format!("{href}/cancel")) hx-target="#dialog" { (icon("x")) (words.say("activity.cancel-upload")) }
                }
            }
        }
    }
}

fn state(words: Words, counts: &Counts) -> Markup {
    let (tone, sign, key) = match counts {
        Counts { failed: 1.., .. } => ("bad", "alert", "activity.upload-failed"),
        Counts { waiting: 1.., .. } => ("accent", "clock", "activity.upload-waiting"),
        Counts { left: 1.., .. } => ("warning", "alert", "activity.upload-left"),
        Counts { total, cancelled, .. } if total == cancelled => ("plain", "x", "activity.upload-cancelled"),
        Counts { total, expired, .. } if total == expired => ("plain", "clock", "activity.upload-expired"),
        _ => ("good", "check", "activity.upload-done"),
    };
    html! { span.pill.(tone) { (icon(sign)) (words.say(key)) } }
}

/// How many files are how far; what there is none of is left out.
fn counts(words: Words, counts: &Counts) -> Markup {
    let told = [
        ("activity.count-uploaded", counts.uploaded),
        ("activity.count-there", counts.already_there),
        ("activity.count-waiting", counts.waiting),
        ("activity.count-failed", counts.failed),
        ("activity.count-skipped", counts.skipped),
        ("activity.count-cancelled", counts.cancelled),
        ("activity.count-expired", counts.expired),
        ("activity.count-left", counts.left),
    ];
    html! { p.number { @for (at, (key, count)) in told.into_iter().filter(|(_, count)| *count > 0).enumerate() { @if at > 0 { " · " } (words.count(key, count)) } } }
}

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    after: usize,
}

/// One share with its files, a page at a time.
pub(super) async fn show(
    visit: Visit,
    State(shared): State<Shared>,
    Path(number): Path<u64>,
    Query(from): Query<From>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let share = shared.operations.told_share(number).await?;
    let rest = share.files.len().saturating_sub(from.after.saturating_add(rows::ROWS));
    let list = html! {
        @for file in share.files.iter().skip(from.after).take(rows::ROWS) { (row(words, file)) }
        @if rest > 0 { (rows::more(words, &format!("activity/uploads/{number}?after={}", from.after + rows::ROWS))) }
    };
    if visit.is_part {
        return Ok(page::part(list));
    }
    let content = html! {
        p { a href="activity/uploads" { (words.say("activity.back-uploads")) } }
        (card(words, &share.report))
        section.card { header { h2 { (words.say("activity.files")) } } ul.listed { (list) } }
    };
    Ok(super::whole(&visit, Tab::Uploads, &html! {}, &content))
}

fn row(words: Words, file: &ToldFile) -> Markup {
    let state = words.known(&format!("activity.file-{}", file.state)).unwrap_or_default();
    html! {
        li {
            (rows::path(&file.path))
            span.cause {
                span { (state) @if let Some(at) = &file.at { ": " (rows::name(at)) } }
                @if let Some(reason) = &file.reason { span.detail lang="en" { (rows::name(reason)) } }
            }
            span.dim.number {
                @if let Some(next) = &file.next { (rows::next_try(words, next)) }
                @else if let Some(expires) = &file.expires { (words.say("activity.removed-at")) " " (rows::moment(words, expires)) }
                @else if let Some(bytes) = file.bytes { (format::size(words.0, bytes)) }
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct OneOrAll {
    share: Option<u64>,
}

pub(super) async fn retry(visit: Visit, State(shared): State<Shared>, Form(which): Form<OneOrAll>) -> Result<Answer, Refused> {
    visit.admin()?;
    let count = shared.operations.retry_shares_soon(which.share).await?;
    let said = visit.words().count("activity.retrying", count);
    Ok(page::done(&json!({ "uploads-changed": true, "now-changed": true, "said": said })))
}

pub(super) async fn ask_cancel(visit: Visit, State(shared): State<Shared>, Path(number): Path<u64>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let counts = shared.operations.told_share(number).await?.report.counts;
    let form = html! {
        form hx-post=(format!("activity/uploads/{number}/cancel")) {
            p { (words.count("activity.cancel-upload-ask", counts.waiting + counts.failed)) }
            footer {
                button.button type="button" data-close { (words.say("activity.go-on")) }
                button.button.danger type="submit" { (words.say("activity.cancel-upload")) }
            }
        }
    };
    Ok(page::part(parts::dialog(words, words.say("activity.cancel-upload"), &html! {}, &form)))
}

pub(super) async fn cancel(visit: Visit, State(shared): State<Shared>, Path(number): Path<u64>) -> Result<Answer, Refused> {
    visit.admin()?;
    let count = shared.operations.cancel_shares(Some(number)).await?;
    let said = visit.words().count("activity.cancelled-upload", count);
    Ok(page::done(&json!({ "close-dialog": true, "uploads-changed": true, "now-changed": true, "said": said })))
}
