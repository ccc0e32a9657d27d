//! What is known of one file.

use axum::extract::State;
use jiff::civil::DateTime;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::{Entry, Shared, about, path_of};
use super::super::form::Query;
use super::super::format;
use super::super::page::{self, Answer};
use super::super::parts::{copyable, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use crate::operations::{BadgeState, OnService};

#[derive(Deserialize)]
pub(super) struct OfFile {
    path: String,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(asked): Query<OfFile>) -> Result<Answer, Refused> {
    let caller = visit.reader()?;
    let entry = about(&shared, caller, &asked.path).await?;
    // Services are for those who administer the node.
    let on = match visit.admin() {
        Ok(_) => shared.operations.on_services(path_of(caller, &asked.path)?).await?,
        Err(_) => Vec::new(),
    };
    Ok(page::part(panel(&visit, &entry, &on)))
}

fn panel(visit: &Visit, entry: &Entry, on: &[OnService]) -> Markup {
    let words = visit.words();
    let row = |key, value: Markup| html! { dt { (words.say(key)) } dd { (value) } };
    let modified = entry.modified.as_deref().and_then(|text| text.parse().ok());
    let taken = entry.taken.as_deref().and_then(|text| text.parse::<DateTime>().ok());
    let folder = entry.path.parent().unwrap_or_default();
    html! {
        dl.facts {
            (row("library.about-name", html! { (entry.name) }))
            (row("library.about-folder", html! { "/" (folder) }))
            (row("library.about-kind", html! { (words.known(&format!("library.js-kind-{}", entry.kind.name())).unwrap_or_default()) }))
            (row("library.about-size", html! { (format::size(words.0, entry.size)) }))
            @if let (Some(width), Some(height)) = (entry.width, entry.height) {
                (row("library.about-pixels", html! { (format!("{width} × {height}")) }))
            }
            @if let Some(lasts) = entry.lasts { (row("library.about-lasts", html! { (format::lasting(lasts)) })) }
            @if let Some(at) = taken {
                (row("library.about-taken", html! { (format::day(words.0, at.date())) ", " (at.strftime("%H:%M").to_string()) }))
            }
            @if let Some(at) = modified { (row("library.about-modified", html! { (format::moment(words.0, at)) })) }
        }
        @if !on.is_empty() {
            h3 { (words.say("common.services")) }
            ul.on { @for one in on { li { (on_service(words, one)) } } }
        }
        @if let Some(blake3) = &entry.blake3 {
            details.own {
                summary { (words.say("library.about-checksums")) }
                (copyable(words, "BLAKE3", blake3))
                @if let Some(sha1) = &entry.sha1 { (copyable(words, "SHA-1", sha1)) }
            }
        } @else {
            p.dim { (words.say("library.js-not-indexed")) }
        }
    }
}

/// A service, what there is of the file, and how that is known.
fn on_service(words: Words, one: &OnService) -> Markup {
    let (sign, tone, key) = match one.state {
        BadgeState::InStep => ("cloud-check", "good", "library.on-in-step"),
        BadgeState::Older => ("cloud", "warning", "library.on-older"),
        BadgeState::Shared => ("cloud-check", "good", "library.on-shared"),
        BadgeState::Waiting => ("cloud-up", "", "library.on-waiting"),
        BadgeState::Failed => ("alert", "bad", "library.on-failed"),
    };
    let proof = match one.proof {
        Some(proof) => words.known(&format!("library.proof-{}", proof.name())),
        None => (one.state == BadgeState::InStep).then(|| words.say("library.proof-equal")),
    };
    let time = |text: &Option<String>| text.as_deref().and_then(|text| text.parse().ok()).map(|at| format::moment(words.0, at));
    html! {
        span class=(format!("pill {tone}")) { (icon(sign)) (one.service) }
        p { (words.say(key)) }
        @if let Some(at) = &one.at { p.dim { "/" (at) } }
        @if let Some(proof) = proof { p.dim { (proof) } }
        @if let Some(at) = time(&one.expires) { p.dim { (words.fill("library.on-until", &[("time", &at)])) } }
        @if let Some(reason) = &one.reason { p.dim lang="en" { (reason) } }
        @if let Some(at) = time(&one.next) { p.dim { (words.fill("library.on-next", &[("time", &at)])) } }
    }
}
