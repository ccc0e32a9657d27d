//! What is known of one file.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::{Entry, Shared, about};
use super::super::form::Query;
use super::super::format;
use super::super::page::{self, Answer};
use super::super::parts::copyable;
use super::super::refused::Refused;
use super::super::visit::Visit;

#[derive(Deserialize)]
pub(super) struct OfFile {
    path: String,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(asked): Query<OfFile>) -> Result<Answer, Refused> {
    let entry = about(&shared, visit.reader()?, &asked.path).await?;
    Ok(page::part(panel(&visit, &entry)))
}

fn panel(visit: &Visit, entry: &Entry) -> Markup {
    let words = visit.words();
    let row = |key, value: Markup| html! { dt { (words.say(key)) } dd { (value) } };
    let modified = entry.modified.as_deref().and_then(|text| text.parse().ok());
    let folder = entry.path.parent().unwrap_or_default();
    html! {
        dl.facts {
            (row("library.about-name", html! { (entry.name) }))
            (row("library.about-folder", html! { "/" (folder) }))
            (row("library.about-kind", html! { (words.known(&format!("library.js-kind-{}", entry.kind.name())).unwrap_or_default()) }))
            (row("library.about-size", html! { (format::size(words.0, entry.size)) }))
            @if let Some(at) = modified { (row("library.about-modified", html! { (format::moment(words.0, at)) })) }
        }
        @if let Some(blake3) = &entry.blake3 {
            (copyable(words, "BLAKE3", blake3))
        } @else {
            p.dim { (words.say("library.js-not-indexed")) }
        }
        @if let Some(sha1) = &entry.sha1 { (copyable(words, "SHA-1", sha1)) }
    }
}
