//! *Upload*: what is done with chosen files that are shared with a service.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;

use super::super::super::api::Shared;
use super::super::form::{Form, Query, is_on};
use super::super::page::{self, Answer};
use super::super::parts;
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Named, again, at, closed, dialog_switch, failed, folders, wrong};
use crate::operations::{Failure, UploadChange};
use crate::services::UploadSettings;
use crate::types::{Expires, Gps, Size, Unfit};

/// As the form has it.
#[derive(Deserialize)]
pub(super) struct UploadForm {
    on: Option<String>,
    folder: String,
    size: String,
    expires: String,
    unfit: String,
    no_gps: Option<String>,
}

impl From<&UploadSettings> for UploadForm {
    fn from(set: &UploadSettings) -> Self {
        let on = |is: bool| is.then(|| "on".to_owned());
        Self {
            on: on(set.on),
            folder: format!("/{}", set.folder),
            size: set.size.to_string(),
            expires: set.expires.to_string(),
            unfit: set.unfit.name().to_owned(),
            no_gps: on(set.gps == Gps::Remove),
        }
    }
}

impl UploadForm {
    fn change(&self) -> Result<UploadChange, Failure> {
        fn read<T: std::str::FromStr<Err = String>>(field: &str, text: &str) -> Result<T, Failure> {
            text.parse().map_err(|error: String| Failure::usage(error).about(field))
        }
        Ok(UploadChange {
            on: Some(is_on(self.on.as_deref())),
            folder: Some(self.folder.trim().to_owned()),
            size: Some(read("size", &self.size)?),
            expires: Some(read("expires", &self.expires)?),
            unfit: Some(read("unfit", &self.unfit)?),
            gps: Some(if is_on(self.no_gps.as_deref()) { Gps::Remove } else { Gps::Keep }),
        })
    }
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    let service = shared.operations.service(name).await?;
    Ok(page::part(form(visit.words(), &service.name, &(&service.upload).into(), None)))
}

pub(super) async fn save(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Named { name }): Query<Named>,
    Form(sent): Form<UploadForm>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let changed = match sent.change() {
        Ok(change) => shared.operations.change_upload(name.clone(), change).await,
        Err(failure) => Err(failure),
    };
    match changed {
        Ok(_) => {
            let said = words.fill("services.saved", &[("name", &name)]);
            Ok(closed(&said))
        }
        Err(failure) => Ok(again(form(words, &name, &sent, Some(&failure)))),
    }
}

fn form(words: Words, name: &str, set: &UploadForm, failure: Option<&Failure>) -> Markup {
    let wrong_at = |field| wrong(words, failure, field);
    let is_elsewhere = failure.filter(|failure| !matches!(failure.field.as_deref(), Some("folder" | "gps")));
    let sizes: Vec<(String, String)> = Size::all().map(|size| (size.to_string(), size_name(words, size))).collect();
    let terms: Vec<(String, &str)> = Expires::all().map(|term| (term.to_string(), term_name(words, term))).collect();
    let unfits =
        Unfit::ALL.map(|unfit| (unfit.name(), words.known(&format!("services.unfit-{}", unfit.name())).unwrap_or_default().to_owned()));
    let content = html! {
        form #upload-form data-tall hx-post=(at("upload", name)) hx-target="#dialog" {
            p.dim { (words.say("services.upload-help")) }
            @if let Some(failure) = is_elsewhere { (failed(words, failure)) }
            (folders::picker(words, name, &set.folder, words.say("services.upload-folder-help"), wrong_at("folder")))
            div.pair {
                (parts::select("size", words.say("services.size"), words.say("services.size-help"), &set.size, sizes.iter().map(|(value, text)| (value.as_str(), text.clone()))))
                (parts::select("expires", words.say("services.expires"), words.say("services.expires-help"), &set.expires, terms.iter().map(|(value, text)| (value.as_str(), (*text).to_owned()))))
            }
            // There is no question of it with originals.
            div.of-size { (parts::select("unfit", words.say("services.unfit"), "", &set.unfit, unfits)) }
            div {
                (parts::switch("no_gps", words.say("services.no-gps"), words.say("services.no-gps-help"), is_on(set.no_gps.as_deref())))
                @if let Some(text) = wrong_at("gps") { p.wrong role="alert" { (parts::icon("alert")) (text) } }
            }
            (parts::actions(words, &html! { button.button.main type="submit" { (words.say("services.save")) } }))
        }
    };
    let beside = dialog_switch("upload-form", words.say("services.upload-on"), is_on(set.on.as_deref()));
    parts::dialog(words, &words.fill("services.upload-to", &[("name", &name)]), &beside, &content)
}

pub(in super::super) fn size_name(words: Words, size: Size) -> String {
    match size.pixels() {
        None => words.say("services.size-original").to_owned(),
        Some(pixels) => {
            let use_for = words.known(&format!("services.size-{}", pixels)).unwrap_or_default();
            format!("{pixels} px{}{use_for}", if use_for.is_empty() { "" } else { " – " })
        }
    }
}

pub(in super::super) fn term_name(words: Words, term: Expires) -> &'static str {
    words.known(&format!("services.expires-{}", term)).unwrap_or_default()
}
