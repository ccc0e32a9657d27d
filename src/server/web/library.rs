//! The library: folders and pictures, for everybody who may read. Its script shows them; here is the frame, and what is said of one file.

mod about;
mod share;

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use maud::{Markup, html};

use super::super::api::{Shared, may};
use super::page::{self, Answer, Place};
use super::parts::{icon, refusal_words, script_words};
use super::refused::Refused;
use super::visit::Visit;

/// What its page needs besides what every page has.
const SCRIPTS: [&str; 2] = ["library.css", "library.js"];

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/library", get(show))
        .route("/library/about", get(about::show))
        .route("/library/share", get(share::ask).post(share::begin))
}

/// What somebody may do on the page.
struct Rights {
    add: bool,
    trash: bool,
    /// Files as zip: for people, not for everybody.
    zip: bool,
    share: bool,
}

impl Rights {
    fn of(visit: &Visit, shared: &Shared) -> Result<Self, Refused> {
        let rights = may(shared, visit.reader()?);
        let person = !visit.is_public;
        Ok(Self { add: person && rights.add, trash: person && rights.delete, zip: person, share: person && visit.is_admin() })
    }
}

/// The page is the same for every folder: which one it is stands in the address, and the script fetches it.
async fn show(visit: Visit, State(shared): State<Shared>) -> Result<Answer, Refused> {
    let rights = Rights::of(&visit, &shared)?;
    let words = visit.words();
    let title = words.say("common.library");
    let content = html! {
        div.page.library #library data-add[rights.add] data-trash[rights.trash] data-restore[rights.share] data-services[rights.share] {
            header.top {
                nav.crumbs aria-label=(words.say("library.path")) { h1 { (title) } }
                (tools(&visit, &rights))
            }
            div #said {}
            section.albums #folders aria-label=(words.say("library.folders")) hidden {}
            p.summary.dim #summary aria-live="polite" {}
            div #grid data-label=(words.say("library.pictures")) {}
            div.scrubber #scrubber aria-hidden="true" hidden {}
        }
        (selection(&visit, &rights))
        @if rights.add {
            div.drop #drop hidden { (icon("upload")) p { (words.say("library.drop")) } }
            section.uploads #uploads aria-label=(words.say("library.uploads")) hidden {}
        }
        (script_words(words, "library"))
        (refusal_words(words))
    };
    Ok(page::whole_with(&visit, Place::Library, title, &SCRIPTS, &content))
}

/// What stands at the right of the folder's name.
fn tools(visit: &Visit, rights: &Rights) -> Markup {
    let words = visit.words();
    let by = |value: &str, key| html! { option value=(value) { (words.say(key)) } };
    html! {
        div.tools {
            select.order #order aria-label=(words.say("library.order")) {
                (by("date", "library.by-date")) (by("oldest", "library.by-oldest")) (by("name", "library.by-name"))
            }
            button.quiet #all type="button" title=(words.say("library.select-all")) aria-label=(words.say("library.select-all")) { (icon("check-circle")) }
            @if rights.add {
                button.button #upload-files type="button" title=(words.say("library.upload")) { (icon("upload")) span { (words.say("library.upload")) } }
                button.quiet #upload-folder type="button" title=(words.say("library.upload-folder")) aria-label=(words.say("library.upload-folder")) { (icon("folder-up")) }
                input #files type="file" multiple hidden;
                input #folder type="file" webkitdirectory multiple hidden;
            }
        }
    }
}

/// The bar that is there while something is selected.
fn selection(visit: &Visit, rights: &Rights) -> Markup {
    let words = visit.words();
    let label = |key| html! { span { (words.say(key)) } };
    html! {
        div.selection #selection role="toolbar" aria-label=(words.say("library.selection")) hidden {
            button.quiet type="button" data-clear title=(words.say("library.clear")) aria-label=(words.say("library.clear")) { (icon("x")) }
            p role="status" { strong data-count {} " " span.dim data-bytes {} }
            @if rights.share {
                button.button.main type="button" hx-get="library/share" hx-target="#dialog" title=(words.say("library.to-service")) { (icon("cloud-up")) (label("library.to-service")) }
            }
            @if rights.zip {
                button.button type="button" data-zip title=(words.say("library.zip")) { (icon("download")) (label("library.zip")) }
            }
            @if rights.trash {
                button.button.danger type="button" data-trash title=(words.say("library.to-trash")) { (icon("trash")) (label("library.to-trash")) }
            }
        }
    }
}
