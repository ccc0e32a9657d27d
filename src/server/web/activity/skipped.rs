//! What the last runs left as it was, in groups by the kinds of reasons.

use axum::extract::State;
use maud::{Markup, html};

use super::super::super::api::Shared;
use super::super::format;
use super::super::page::Answer;
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, failures, rows};
use crate::operations::ServiceStatus;
use crate::sync::{Report, SkippedGroup};

pub(super) async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let services = shared.operations.status().await?.services;
    let left: Vec<(&ServiceStatus, &Report)> = services
        .iter()
        .filter_map(|service| Some((service, service.last_run.as_ref()?)))
        .filter(|(_, report)| !report.skipped_groups.is_empty())
        .collect();
    // The latest first: of each service the first is its last.
    let runs = shared.operations.runs(None).await?;
    let content = html! {
        (failures::lists(words, false))
        p.dim { (words.say("activity.skipped-help")) }
        @for (service, report) in &left {
            section.card {
                header {
                    (icon("cloud"))
                    h2 { (rows::name(&service.name)) }
                    span.dim.number { (words.files(report.skipped_total)) }
                    @if let Some(run) = runs.iter().find(|run| run.service == service.name) {
                        a.button href=(format!("activity/history/{}", run.id)) { (words.say("activity.all-of-run")) }
                    }
                }
                @for group in &report.skipped_groups { (self::group(words, group)) }
            }
        }
        @if left.is_empty() {
            section.card { (parts::empty("check-circle", words.say("activity.no-skipped"), words.say("activity.no-skipped-help"), &html! {})) }
        }
    };
    Ok(super::whole(&visit, Tab::Failures, &html! {}, &content))
}

fn group(words: Words, group: &SkippedGroup) -> Markup {
    let code = group.filter_code.as_ref().unwrap_or(&group.code);
    let known = words.known(&format!("activity.left-{}", code)).unwrap_or_else(|| words.say("activity.left-other"));
    let unnamed = group.files.saturating_sub(group.first.len() as u64);
    html! {
        details.group {
            summary { span { (known) } span.pill.number { (format::number(words.0, group.files)) } }
            @if let Some(filter) = &group.filter { p.detail lang="en" { (rows::name(filter)) } }
            ul.listed {
                @for noted in &group.first {
                    li {
                        (rows::path(&noted.path))
                        // Of a filter it stands above.
                        @if group.filter.is_none() { span.cause { span.detail lang="en" { (rows::name(&noted.reason)) } } }
                    }
                }
                @if unnamed > 0 && !group.first.is_empty() { li.dim { (words.count("activity.and-more", unnamed)) } }
            }
        }
    }
}
