//! Choosing a folder of a service, one level at a time: a field that can be written into, and a list that opens below it.
//!
//! [`picker`] stands in a form. It renders itself anew for each step, so that nobody waits for folders that they do not look into.

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::api::Shared;
use super::form::{Form, Query};
use super::page::{self, Answer};
use super::parts::icon;
use super::refused::Refused;
use super::visit::Visit;
use super::words::Words;
use crate::operations::Folders;

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/settings/folders", get(open).post(make))
}

/// Which folder of which service, for which field.
#[derive(Debug, Clone, Default, Deserialize)]
struct At {
    service: String,
    field: String,
    #[serde(default)]
    path: String,
    /// Only the field is wanted.
    #[serde(default)]
    shut: bool,
}

/// What the field for a new folder says. The rest of the form that it stands in is none of ours.
#[derive(Debug, Deserialize)]
struct New {
    #[serde(default, rename = "new-folder")]
    name: String,
}

impl At {
    fn href(&self, path: &str) -> String {
        format!("settings/folders{}", page::query(&[("service", &self.service), ("field", &self.field), ("path", path)]))
    }
}

/// A field for a folder of this service. It is sent as `field`, with a slash at its beginning.
pub(super) fn picker(words: Words, service: &str, field: &str, label: &str, chosen: &str) -> Markup {
    let at = At { service: service.to_owned(), field: field.to_owned(), ..At::default() };
    whole(words, &at, label, chosen, &html! {})
}

/// The field, and what is below it.
fn whole(words: Words, at: &At, label: &str, chosen: &str, below: &Markup) -> Markup {
    let id = format!("field-{}", at.field);
    let shown = format!("/{}", chosen.trim_matches('/'));
    html! {
        div.field.picker data-label=(label) {
            label for=(id) { (label) }
            div.joined {
                input #(id) name=(at.field) value=(shown) autocomplete="off" autocapitalize="none" spellcheck="false";
                button.button type="button" hx-get=(at.href(&shown)) hx-target="closest .picker" hx-swap="outerHTML" { (icon("folder-open")) (words.say("folders.browse")) }
            }
            (below)
        }
    }
}

async fn open(visit: Visit, State(shared): State<Shared>, Query(at): Query<At>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    if at.shut {
        return Ok(page::part(whole(words, &at, words.say("folders.folder"), &at.path, &html! {})));
    }
    let folders = shared.operations.folders(at.service.clone(), at.path.clone(), false).await?;
    Ok(page::part(whole(words, &at, words.say("folders.folder"), folders.path.as_str(), &list(words, &at, &folders))))
}

/// Makes a folder in the one that is open, and opens it.
async fn make(visit: Visit, State(shared): State<Shared>, Query(at): Query<At>, Form(new): Form<New>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let name = new.name.trim();
    if name.is_empty() || name.contains('/') {
        return Err(Refused::bad("new-folder", "The name of a folder is missing, or has a slash in it."));
    }
    let path = format!("{}/{name}", at.path.trim_end_matches('/'));
    let folders = shared.operations.folders(at.service.clone(), path, true).await?;
    Ok(page::part(whole(words, &at, words.say("folders.folder"), folders.path.as_str(), &list(words, &at, &folders))))
}

fn list(words: Words, at: &At, folders: &Folders) -> Markup {
    let into = |path: &str| at.href(&format!("/{path}"));
    let shut = format!("{}&shut=true", into(folders.path.as_str()));
    html! {
        div.folders role="group" aria-label=(words.say("folders.choose")) hx-target:inherited="closest .picker" hx-swap:inherited="outerHTML" {
            p.help { (words.say("folders.help")) }
            ul {
                @if let Some(above) = folders.path.parent().filter(|_| !folders.path.is_root()) {
                    li { button.entry type="button" hx-get=(into(above.as_str())) { (icon("arrow-up")) (words.say("folders.up")) } }
                }
                @for name in &folders.folders {
                    @if let Ok(path) = folders.path.join(name) {
                        li { button.entry type="button" hx-get=(into(path.as_str())) { (icon("folder")) span { (name) } (icon("chevron-right")) } }
                    }
                }
                @if folders.folders.is_empty() { li.help { (words.count("folders.none", folders.files as u64)) } }
                @if folders.more { li.help { (words.say("folders.more")) } }
            }
            div.joined {
                input name="new-folder" aria-label=(words.say("folders.new")) placeholder=(words.say("folders.new")) autocomplete="off";
                button.button type="button" hx-post=(into(folders.path.as_str())) hx-include="closest .joined" { (icon("folder-plus")) (words.say("folders.make")) }
                button.button type="button" hx-get=(shut) { (icon("check")) (words.say("folders.done")) }
            }
        }
    }
}
