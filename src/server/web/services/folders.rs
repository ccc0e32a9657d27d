//! Choosing a folder of a service: its tree, one level at a time, and a new folder in it.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::Shared;
use super::super::form::{Form, Query};
use super::super::page::{self, Answer};
use super::super::parts::icon;
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use crate::operations::Folders;

/// So many folders that cannot be used are named.
const STRANGE: usize = 20;

/// The field of a folder, as a text that may be typed, with a tree that may be opened.
pub(in super::super) fn picker(words: Words, service: &str, value: &str, help: &str, wrong: Option<&str>) -> Markup {
    html! {
        div.field.picker {
            label for="field-folder" { (words.say("services.folder")) }
            div.joined {
                input #field-folder name="folder" type="text" value=(value) autocomplete="off" spellcheck="false" autocapitalize="none"
                    aria-invalid=[wrong.map(|_| "true")] aria-describedby=(if wrong.is_some() { "field-folder-help field-folder-wrong" } else { "field-folder-help" });
                button.button type="button" hx-get=(address(service, "", true)) hx-target="next .tree-box" aria-expanded="false" data-tree {
                    (icon("folder-open")) (words.say("services.choose"))
                }
            }
            div.tree-box hidden {}
            p.help #field-folder-help { (help) }
            @if let Some(text) = wrong { p.wrong #field-folder-wrong { (icon("alert")) (text) } }
        }
    }
}

fn address(service: &str, path: &str, whole: bool) -> String {
    let mut pairs = vec![("name", service), ("path", path)];
    if whole {
        pairs.push(("whole", "on"));
    }
    format!("settings/services/folders{}", page::query(&pairs))
}

#[derive(Deserialize)]
pub(super) struct Level {
    name: String,
    #[serde(default)]
    path: String,
    /// With the root and everything around it.
    whole: Option<String>,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(level): Query<Level>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let folders = shared.operations.folders(level.name, level.path, false).await?;
    Ok(page::part(if level.whole.is_some() { tree(words, &folders) } else { members(words, &folders) }))
}

#[derive(Deserialize)]
pub(super) struct Service {
    name: String,
}

#[derive(Deserialize)]
pub(super) struct NewFolder {
    #[serde(default)]
    parent: String,
    #[serde(default)]
    folder: String,
}

/// Makes a folder, and tells those of the folder that it is in.
pub(super) async fn make(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Service { name }): Query<Service>,
    Form(NewFolder { parent, folder }): Form<NewFolder>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let made = folder.trim();
    if made.is_empty() {
        return Err(Refused::bad("folder", "A folder needs a name."));
    }
    shared.operations.folders(name.clone(), format!("{parent}/{made}"), true).await?;
    Ok(page::part(members(visit.words(), &shared.operations.folders(name, parent, false).await?)))
}

/// The root, open, and what is needed to make a folder.
fn tree(words: Words, folders: &Folders) -> Markup {
    html! {
        ul.tree role="tree" aria-label=(words.say("services.folders")) {
            li role="treeitem" aria-expanded="true" aria-selected="false" tabindex="0" data-path="" {
                span.row { (icon("cloud")) span.name { (folders.name) } }
                ul role="group" { (members(words, folders)) }
            }
        }
        div.new-folder {
            input type="text" data-new-folder placeholder=(words.say("services.new-folder")) aria-label=(words.say("services.new-folder")) autocomplete="off";
            button.button type="button" data-make=(format!("settings/services/folders{}", page::query(&[("name", &folders.name)]))) {
                (icon("folder-plus")) (words.say("services.make"))
            }
        }
    }
}

fn members(words: Words, folders: &Folders) -> Markup {
    html! {
        @for name in &folders.folders {
            @let path = folders.path.join(name).map(|path| path.to_string()).unwrap_or_default();
            @if !path.is_empty() {
                li role="treeitem" aria-expanded="false" aria-selected="false" tabindex="-1" data-path=(path) {
                    span.row { span.twig { (icon("chevron-right")) } (icon("folder")) span.name { (name) } }
                    ul role="group" hx-get=(address(&folders.name, &path, false)) hx-trigger="unfold" hx-target="this" hidden {}
                }
            }
        }
        @if folders.folders.is_empty() { li.dim role="none" { span.row { (words.say("services.no-folders")) } } }
        @if folders.more { li.dim role="none" { span.row { (words.say("services.more-folders")) } } }
        @for (name, why) in folders.unusable.iter().take(STRANGE) {
            li.dim role="none" { span.row { (icon("ban")) span.name { (name) } span lang="en" { (why) } } }
        }
    }
}
