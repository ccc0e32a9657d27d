//! *Preview*: what a sync would do, in groups, before it does it.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::Query;
use super::super::format;
use super::super::page::{self, Answer};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::Named;
use crate::operations::{Preview, PreviewState};
use crate::sync::{Noted, PlanGroup, PlannedGroup, PlannedStep, SkippedGroup};

#[derive(Deserialize)]
pub(super) struct Which {
    name: String,
    /// Starting switches sync on.
    on: Option<String>,
}

pub(super) async fn begin(visit: Visit, State(shared): State<Shared>, Query(which): Query<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    let preview = shared.operations.begin_preview(which.name, None).await?;
    Ok(page::part(dialog(visit.words(), &preview, which.on.is_some())))
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(which): Query<Which>) -> Result<Answer, Refused> {
    visit.admin()?;
    Ok(page::part(body(visit.words(), &shared.operations.get_preview(which.name).await?, which.on.is_some())))
}

pub(super) async fn stop(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    shared.operations.cancel_preview(name).await?;
    Ok(page::done(&json!({})))
}

pub(super) fn dialog(words: Words, preview: &Preview, on: bool) -> Markup {
    let title = words.fill("services.preview-of", &[("name", &preview.service)]);
    parts::dialog(words, &title, &html! {}, &body(words, preview, on))
}

fn address(action: &str, preview: &Preview, on: bool) -> String {
    let mut pairs = vec![("name", preview.service.as_str())];
    if on {
        pairs.push(("on", "on"));
    }
    format!("settings/services/{action}{}", page::query(&pairs))
}

/// What is known so far; it asks for itself again as long as it goes on.
fn body(words: Words, preview: &Preview, on: bool) -> Markup {
    let goes_on = matches!(preview.state, PreviewState::Waiting | PreviewState::Looking);
    let is_ready = preview.state == PreviewState::Ready;
    html! {
        div.body.preview data-wide data-tall hx-get=[goes_on.then(|| address("preview", preview, on))] hx-trigger=[goes_on.then_some("load delay:500ms")]
            hx-swap=[goes_on.then_some("outerHTML")] data-stop=[goes_on.then(|| address("preview/stop", preview, false))] aria-busy=(goes_on) {
            div role="status" { (state(words, preview)) }
            @if is_ready { (plan(words, preview)) }
            footer {
                button.button type="button" data-close { (words.say(if goes_on { "common.cancel" } else { "common.close" })) }
                @if !goes_on {
                    button.button type="button" hx-post=(address("preview", preview, on)) hx-target="#dialog" { (icon("refresh")) (words.say("services.preview-again")) }
                }
                @if is_ready {
                    button.button.main type="button" hx-post=(address("start", preview, on)) hx-swap="none" { (icon("play")) (words.say("services.start")) }
                }
            }
        }
    }
}

fn state(words: Words, preview: &Preview) -> Markup {
    let busy = |key| html! { p.busy { span.icon.spin { (icon("loader")) } (words.say(key)) } };
    match preview.state {
        PreviewState::Waiting => busy("services.preview-waiting"),
        PreviewState::Looking => busy("services.preview-looking"),
        PreviewState::Cancelled => parts::notice(Tone::Info, &html! { p { (words.say("services.cancelled")) } }),
        PreviewState::Failed => parts::notice(
            Tone::Bad,
            &html! {
                p { strong { (words.say("services.preview-failed")) } }
                @if let Some(error) = &preview.error { p.detail.lines lang="en" { (error) } }
            },
        ),
        PreviewState::Ready => {
            let changes = preview.groups.iter().filter(|group| !is_quiet(group.group));
            let (count, bytes) = changes.fold((0, 0), |(count, bytes), group| (count + group.count, bytes + group.bytes));
            match count {
                0 if preview.skipped.is_empty() => {
                    parts::notice(Tone::Good, &html! { p { strong { (words.say("services.plan-nothing")) } } })
                }
                // They are not the same then.
                0 => parts::notice(Tone::Info, &parts::with_advice(words.say("services.plan-nothing-but"))),
                count => html! { p.sum { (words.count_with("services.plan-sum", count, &[("size", &format::size(words.0, bytes))])) } },
            }
        }
    }
}

/// Nothing is to be seen of it afterwards.
fn is_quiet(group: PlanGroup) -> bool {
    matches!(group, PlanGroup::Equal | PlanGroup::Notes)
}

fn plan(words: Words, preview: &Preview) -> Markup {
    html! {
        ul.plan {
            @for group in &preview.groups { (group_of(words, group)) }
            @for group in &preview.skipped { (skipped(words, group)) }
            @if preview.unreadable_total > 0 {
                li.warning {
                    details {
                        summary { (icon("alert")) span.what { (words.say("services.plan-unreadable")) } span.number { (words.files(preview.unreadable_total)) } span.number.bytes {} span.twig { (icon("chevron-down")) } }
                        (noted(words, "", &preview.unreadable, preview.unreadable_total))
                    }
                }
            }
        }
    }
}

fn group_of(words: Words, group: &PlannedGroup) -> Markup {
    let (sign, key, tone) = match group.group {
        PlanGroup::Uploads => ("arrow-up", "services.plan-uploads", ""),
        PlanGroup::Downloads => ("arrow-down", "services.plan-downloads", ""),
        PlanGroup::UpdatesThere => ("refresh", "services.plan-updates-there", ""),
        PlanGroup::UpdatesHere => ("refresh", "services.plan-updates-here", ""),
        PlanGroup::Moves => ("swap", "services.plan-moves", ""),
        PlanGroup::DeletesThere => ("trash", "services.plan-deletes-there", "bad"),
        PlanGroup::DeletesHere => ("trash", "services.plan-deletes-here", "bad"),
        PlanGroup::Conflicts => ("copies", "services.plan-conflicts", "warning"),
        PlanGroup::Equal => ("check", "services.plan-equal", "quiet-group"),
        PlanGroup::Notes => ("file", "services.plan-notes", "quiet-group"),
    };
    let more = group.count.saturating_sub(group.first.len() as u64);
    html! {
        li class=(tone) {
            details {
                summary {
                    (icon(sign)) span.what { (words.say(key)) }
                    span.number { (words.files(group.count)) }
                    span.number.bytes { @if group.bytes > 0 { (format::size(words.0, group.bytes)) } }
                    span.twig { (icon("chevron-down")) }
                }
                ul.names {
                    @for PlannedStep { path, remote_path, bytes, .. } in &group.first {
                        li {
                            span.path { (path) @if let Some(there) = remote_path { span.dim { " → " (there) } } }
                            @if *bytes > 0 { span.dim.number { (format::size(words.0, *bytes)) } }
                        }
                    }
                    @if more > 0 { li.dim { (words.count("services.and-more", more)) } }
                }
            }
        }
    }
}

fn skipped(words: Words, group: &SkippedGroup) -> Markup {
    let reason = words.known(&format!("services.skip-{}", group.code)).unwrap_or_else(|| words.say("services.skip-other"));
    html! {
        li.quiet-group {
            details {
                summary {
                    (icon("minus")) span.what { (reason) @if let Some(filter) = &group.filter { span.dim lang="en" { " " (filter) } } }
                    @if group.files > 0 { span.number { (words.files(group.files)) } }
                    span.number.bytes {}
                    span.twig { (icon("chevron-down")) }
                }
                (noted(words, &group.code, &group.first, group.files))
            }
        }
    }
}

/// What the program says of each in its own words; nothing where all has been said above.
fn noted(words: Words, code: &str, first: &[Noted], total: u64) -> Markup {
    let more = total.saturating_sub(first.len() as u64);
    html! {
        ul.names {
            @for Noted { path, reason, other, .. } in first {
                li {
                    span.path {
                        (path)
                        @match code {
                            "filter" | "upload-off" | "download-off" | "careful" => {}
                            "same-content-at" => { @if let Some(there) = other { span.dim { " = " (there) } } }
                            _ => { span.dim lang="en" { " – " (reason) } }
                        }
                    }
                }
            }
            @if more > 0 { li.dim { (words.count("services.and-more", more)) } }
        }
    }
}
