//! *Sync*: whether, how often, in which direction and with what a service is synced.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query, is_on};
use super::super::page::{self, Answer};
use super::super::parts::{self, Field, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Named, again, at, closed, dialog_switch, failed, folders, preview, table, wrong};
use crate::client::Rate;
use crate::operations::{Failure, Limit, SyncChange};
use crate::reconcile::Deletes;
use crate::services::{SyncSettings, Trust, Verify, Window};

/// Usual intervals, in minutes.
const INTERVALS: [u32; 9] = [5, 15, 30, 60, 180, 360, 720, 1440, 10080];
/// The fields that say themselves what is wrong with them.
const FIELDS: [&str; 7] = ["folder", "interval_minutes", "download", "rate", "window", "include", "exclude"];

const TRUSTS: [Trust; 3] = [Trust::Samples, Trust::Checksum, Trust::Full];

/// As it is sent.
fn trust_word(trust: Trust) -> &'static str {
    match trust {
        Trust::Samples => "samples",
        Trust::Checksum => "checksum",
        Trust::Full => "full",
    }
}

/// As the form has it.
#[derive(Deserialize)]
pub(super) struct SyncForm {
    on: Option<String>,
    folder: String,
    /// One of the usual ones, or `other`.
    interval: String,
    #[serde(default)]
    minutes: String,
    download: Option<String>,
    upload: Option<String>,
    keep_names: Option<String>,
    raw_and_video: Option<String>,
    deletes: String,
    #[serde(default)]
    trust: String,
    verify: String,
    #[serde(default)]
    rate: String,
    #[serde(default)]
    window: String,
    #[serde(default)]
    include: String,
    #[serde(default)]
    exclude: String,
    /// What follows.
    then: Option<String>,
}

impl From<&SyncSettings> for SyncForm {
    fn from(set: &SyncSettings) -> Self {
        let on = |is: bool| is.then(|| "on".to_owned());
        let minutes = set.interval_minutes.to_string();
        Self {
            on: on(set.on),
            folder: format!("/{}", set.folder),
            interval: if INTERVALS.contains(&set.interval_minutes) { minutes.clone() } else { "other".into() },
            minutes,
            download: on(set.download),
            upload: on(set.upload),
            keep_names: on(set.keep_names),
            raw_and_video: on(set.raw_and_video),
            deletes: if set.deletes == Deletes::Trash { "trash" } else { "ignore" }.into(),
            trust: trust_word(set.trust).into(),
            verify: if set.verify == Verify::Full { "full" } else { "auto" }.into(),
            rate: set.rate.map(|rate| rate.to_string()).unwrap_or_default(),
            window: set.window.map(|window| window.to_string()).unwrap_or_default(),
            include: set.include.join("\n"),
            exclude: set.exclude.join("\n"),
            then: None,
        }
    }
}

impl SyncForm {
    fn change(&self) -> Result<SyncChange, Failure> {
        let minutes = if self.interval == "other" { &self.minutes } else { &self.interval };
        let bad_interval = |_| Failure::usage(format!("{minutes} is no number of minutes")).about("interval_minutes");
        let rate = match self.rate.trim() {
            "" => Limit::Off,
            text => Limit::To(text.parse::<Rate>().map_err(|error| Failure::usage(error).about("rate"))?),
        };
        let window = match self.window.trim() {
            "" => Limit::Off,
            text => Limit::To(text.parse::<Window>().map_err(|error| Failure::usage(error).about("window"))?),
        };
        let on = |value: &Option<String>| Some(is_on(value.as_deref()));
        // No pattern at all clears the list.
        let lines = |text: &str| Some(text.lines().map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned).collect());
        Ok(SyncChange {
            on: on(&self.on),
            folder: Some(self.folder.trim().to_owned()),
            interval_minutes: Some(minutes.trim().parse().map_err(bad_interval)?),
            download: on(&self.download),
            upload: on(&self.upload),
            keep_names: on(&self.keep_names),
            raw_and_video: on(&self.raw_and_video),
            deletes: Some(if self.deletes == "trash" { Deletes::Trash } else { Deletes::Ignore }),
            // A form that says nothing of it changes nothing of it.
            trust: TRUSTS.into_iter().find(|trust| trust_word(*trust) == self.trust),
            verify: Some(if self.verify == "full" { Verify::Full } else { Verify::Auto }),
            rate: Some(rate),
            window: Some(window),
            include: lines(&self.include),
            exclude: lines(&self.exclude),
        })
    }

    /// Something of what is folded away is not as usual, or wrong.
    fn is_special(&self, failure: Option<&Failure>) -> bool {
        let folded = ["rate", "window", "include", "exclude"];
        let wrong = failure.and_then(|failure| failure.field.as_deref()).is_some_and(|field| folded.contains(&field));
        let texts = [&self.rate, &self.window, &self.include, &self.exclude];
        wrong
            || self.deletes == "trash"
            || self.verify == "full"
            || self.trust != trust_word(Trust::default())
            || texts.into_iter().any(|text| !text.trim().is_empty())
    }
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(Named { name }): Query<Named>) -> Result<Answer, Refused> {
    visit.admin()?;
    let service = shared.operations.service(name).await?;
    Ok(page::part(form(visit.words(), &service.name, &(&service.sync).into(), None)))
}

pub(super) async fn save(
    visit: Visit,
    State(shared): State<Shared>,
    Query(Named { name }): Query<Named>,
    Form(sent): Form<SyncForm>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let old = shared.operations.service(name.clone()).await?;
    let previews = sent.then.as_deref() == Some("preview");
    let changed = match sent.change() {
        // Nothing begins by itself before its owner has seen the preview.
        Ok(change) if previews => {
            let on = Some(old.sync.on && change.on == Some(true));
            shared.operations.change_sync(name.clone(), SyncChange { on, ..change }).await
        }
        Ok(change) => shared.operations.change_sync(name.clone(), change).await,
        Err(failure) => Err(failure),
    };
    match changed {
        Ok(_) if previews => {
            let begun = shared.operations.begin_preview(name, None).await?;
            let answer = page::into_dialog(preview::dialog(words, &begun, is_on(sent.on.as_deref())));
            Ok(page::telling(answer, &json!({ "services-changed": true })))
        }
        Ok(_) => {
            let said = words.fill("services.saved", &[("name", &name)]);
            Ok(closed(&said))
        }
        Err(failure) => Ok(again(form(words, &name, &sent, Some(&failure)))),
    }
}

fn form(words: Words, name: &str, set: &SyncForm, failure: Option<&Failure>) -> Markup {
    let wrong_at = |field| wrong(words, failure, field);
    let is_elsewhere = failure.filter(|failure| !failure.field.as_deref().is_some_and(|field| FIELDS.contains(&field)));
    let on = |value: &Option<String>| is_on(value.as_deref());
    let content = html! {
        form #sync-form data-tall hx-post=(at("sync", name)) hx-target="#dialog" {
            @if let Some(failure) = is_elsewhere { (failed(words, failure)) }
            (folders::picker(words, name, &set.folder, words.say("services.sync-folder-help"), wrong_at("folder")))
            (intervals(words, set, wrong_at("interval_minutes")))
            fieldset.options {
                legend.hidden { (words.say("services.options")) }
                (parts::switch("download", words.say("services.download"), words.say("services.download-help"), on(&set.download)))
                (parts::switch("upload", words.say("services.upload-files"), words.say("services.upload-files-help"), on(&set.upload)))
                @if let Some(text) = wrong_at("download") { p.wrong role="alert" { (icon("alert")) (text) } }
                (parts::switch("keep_names", words.say("services.keep-names"), words.say("services.keep-names-help"), on(&set.keep_names)))
                (parts::switch("raw_and_video", words.say("services.raw-video"), words.say("services.raw-video-help"), on(&set.raw_and_video)))
            }
            details.own.more-options open[set.is_special(failure)] {
                summary { (words.say("services.more-options")) }
                div.fields { (more(words, set, &wrong_at)) }
            }
            footer {
                button.button type="button" data-close { (words.say("common.cancel")) }
                button.button type="submit" name="then" value="preview" { (icon("eye")) (words.say("services.preview")) }
                button.button.main type="submit" { (words.say("services.save")) }
            }
        }
    };
    let beside = dialog_switch("sync-form", words.say("services.sync-on"), on(&set.on));
    parts::dialog(words, &words.fill("services.sync-with", &[("name", &name)]), &beside, &content)
}

fn intervals(words: Words, set: &SyncForm, wrong: Option<&str>) -> Markup {
    let mut all: Vec<(String, String)> = INTERVALS.iter().map(|minutes| (minutes.to_string(), table::every(words, *minutes))).collect();
    all.push(("other".into(), words.say("services.interval-other").into()));
    html! {
        div.pair.intervals {
            (parts::select("interval", words.say("services.interval"), "", &set.interval, all.iter().map(|(value, text)| (value.as_str(), text.clone()))))
            div.other {
                (parts::field(&Field { name: "minutes", label: words.say("services.minutes"), value: &set.minutes, kind: "number", wrong, ..Field::default() }))
            }
        }
        @if let Some(text) = wrong.filter(|_| set.interval != "other") { p.wrong role="alert" { (icon("alert")) (text) } }
    }
}

fn more(words: Words, set: &SyncForm, wrong_at: &dyn Fn(&'static str) -> Option<&'static str>) -> Markup {
    let choice = |name: &'static str, value: &'static str, chosen: &str, label: &'static str, help: &'static str| {
        html! {
            label.choice-of {
                input type="radio" name=(name) value=(value) checked[value == chosen];
                span { strong { (words.say(label)) } span.help { (words.say(help)) } }
            }
        }
    };
    html! {
        fieldset {
            legend.legend { (words.say("services.deletes")) }
            (choice("deletes", "ignore", &set.deletes, "services.deletes-ignore", "services.deletes-ignore-help"))
            (choice("deletes", "trash", &set.deletes, "services.deletes-trash", "services.deletes-trash-help"))
        }
        fieldset {
            legend.legend { (words.say("services.verify")) }
            (choice("verify", "auto", &set.verify, "services.verify-auto", "services.verify-auto-help"))
            (choice("verify", "full", &set.verify, "services.verify-full", "services.verify-full-help"))
        }
        fieldset {
            legend.legend { (words.say("services.same")) }
            (choice("trust", "samples", &set.trust, "services.same-samples", "services.same-samples-help"))
            (choice("trust", "checksum", &set.trust, "services.same-checksum", "services.same-checksum-help"))
            (choice("trust", "full", &set.trust, "services.same-full", "services.same-full-help"))
        }
        (patterns(words, "exclude", "services.exclude", "services.exclude-help", &set.exclude, wrong_at("exclude")))
        (patterns(words, "include", "services.include", "services.include-help", &set.include, wrong_at("include")))
        div.pair {
            (parts::field(&Field {
                name: "rate", label: words.say("services.rate"), value: &set.rate, example: "2M", help: words.say("services.rate-help"),
                autocomplete: "off", wrong: wrong_at("rate"), ..Field::default()
            }))
            (parts::field(&Field {
                name: "window", label: words.say("services.window"), value: &set.window, example: "22:00-06:00", help: words.say("services.window-help"),
                autocomplete: "off", wrong: wrong_at("window"), ..Field::default()
            }))
        }
    }
}

/// Patterns, one a line.
fn patterns(words: Words, name: &str, label: &'static str, help: &'static str, value: &str, wrong: Option<&str>) -> Markup {
    let id = format!("field-{name}");
    html! {
        div.field {
            label for=(id) { (words.say(label)) }
            textarea #(id) name=(name) rows="2" spellcheck="false" autocapitalize="none" aria-describedby=(format!("{id}-help")) aria-invalid=[wrong.map(|_| "true")] { (value) }
            p.help #(format!("{id}-help")) { (words.say(help)) }
            @if let Some(text) = wrong { p.wrong { (icon("alert")) (text) } }
        }
    }
}
