//! The trash: what was removed or replaced, by day, and the way back.

use axum::extract::State;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::Shared;
use super::super::form::{Form, Query};
use super::super::format;
use super::super::page::{self, Answer, query};
use super::super::parts::{self, Tone, icon};
use super::super::refused::Refused;
use super::super::visit::Visit;
use super::super::words::Words;
use super::{Tab, rows};
use crate::operations::{Restored, TrashFile, TrashList};

/// So many are on a page.
const ROWS: usize = 60;
const DAY: u64 = 86_400;

#[derive(Deserialize)]
pub(super) struct From {
    #[serde(default)]
    page: usize,
}

pub(super) async fn show(visit: Visit, State(shared): State<Shared>, Query(from): Query<From>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let TrashList { files, bytes } = shared.operations.list_trash().await?;
    let kept = shared.operations.settings().and_then(|settings| settings.keep_trash);
    let at = from.page.min(files.len().saturating_sub(1) / ROWS);
    let href = |page: usize| format!("activity/trash?page={page}");
    let shown: Vec<&TrashFile> = files.iter().skip(at * ROWS).take(ROWS).collect();
    let list = html! {
        @if files.is_empty() {
            section.card { (parts::empty("trash", words.say("activity.no-trash"), words.say("activity.no-trash-help"), &html! {})) }
        } @else {
            p.dim.number {
                (words.count_with("activity.trash-holds", files.len() as u64, &[("size", &format::size(words.0, bytes))])) " "
                @match kept { Some(seconds) => { (words.count("activity.trash-kept", seconds.div_ceil(DAY))) } None => { (words.say("activity.trash-for-ever")) } }
            }
            form.trash #chosen hx-post="activity/trash/restore" hx-swap="none" {
                @for files in shown.chunk_by(|one, other| day(one) == day(other)) { (of_day(words, files, kept)) }
                div.chosen {
                    span.number #chosen-count role="status" {}
                    button.button.main type="submit" { (icon("undo")) (words.say("activity.restore-chosen")) }
                }
            }
        }
        (super::rows::turning(words, at, files.len().div_ceil(ROWS), href))
    };
    if visit.is_part {
        return Ok(page::part(list));
    }
    let beside = html! {
        @if !files.is_empty() {
            button.button.danger hx-get="activity/trash/empty" hx-target="#dialog" { (icon("trash")) (words.say("activity.empty")) }
        }
    };
    let content = html! { div.stack hx-get=(href(at)) hx-trigger="trash-changed from:body" hx-swap="innerHTML" { (list) } };
    Ok(super::whole(&visit, Tab::Trash, &beside, &content))
}

/// The day on which a file came into the trash, where the node is.
fn day(file: &TrashFile) -> Option<jiff::civil::Date> {
    file.trashed.parse::<Timestamp>().ok().map(|at| at.to_zoned_datetime(TimeZone::system()).date())
}

fn of_day(words: Words, files: &[&TrashFile], kept: Option<u64>) -> Markup {
    html! {
        fieldset.card {
            legend.hidden { (title(words, files)) }
            h2 aria-hidden="true" { (title(words, files)) }
            ul.items { @for file in files { (item(words, file, kept)) } }
        }
    }
}

fn title(words: Words, files: &[&TrashFile]) -> String {
    files.first().and_then(|file| day(file)).map_or_else(|| words.say("activity.unknown").to_owned(), |day| format::day(words.0, day))
}

fn item(words: Words, file: &TrashFile, kept: Option<u64>) -> Markup {
    let what = format!("{}/{}", file.id, file.path);
    let why = match file.why {
        Some(why) => words.known(&format!("activity.why-{}", json!(why).as_str().unwrap_or_default())),
        None => None,
    };
    html! {
        li {
            label {
                input type="checkbox" name="what" value=(what) aria-label=(words.fill("activity.choose", &[("path", &file.path)]));
                (rows::picture(&file.path, Some(&format!("activity/trash/picture{}", query(&[("what", &what)])))))
                (rows::path(&file.path))
            }
            p.dim.number {
                (format::size(words.0, file.size)) @if let Some(why) = why { " · " (why) } " · " (days_left(words, file, kept))
            }
            button.quiet type="submit" name="only" value=(what) title=(words.say("activity.restore"))
                aria-label=(words.fill("activity.restore-named", &[("path", &file.path)])) { (icon("undo")) }
        }
    }
}

/// How long it will still be there.
fn days_left(words: Words, file: &TrashFile, kept: Option<u64>) -> String {
    let Some((kept, at)) = kept.zip(file.trashed.parse::<Timestamp>().ok()) else { return words.say("activity.stays").to_owned() };
    let left = at.as_second().saturating_add_unsigned(kept).saturating_sub(Timestamp::now().as_second()).max(0);
    match u64::try_from(left).unwrap_or(0).div_ceil(DAY) {
        0 => words.say("activity.goes-today").to_owned(),
        days => words.count("activity.days-left", days),
    }
}

#[derive(Deserialize)]
pub(super) struct OfPicture {
    #[serde(default)]
    what: String,
}

/// A small picture of a file in the trash.
pub(super) async fn picture(visit: Visit, State(shared): State<Shared>, Query(of): Query<OfPicture>) -> Result<Answer, Refused> {
    visit.admin()?;
    let jpeg = shared.operations.trash_picture(of.what).await?;
    let mut answer = Response::new(axum::body::Body::from(jpeg));
    let headers = answer.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("image/jpeg"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // What one removal put there is never another thing.
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, max-age=3600"));
    Ok(answer)
}

/// Brings back the one whose button was pressed, or else all that were chosen.
pub(super) async fn restore(
    visit: Visit,
    State(shared): State<Shared>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let named = |wanted: &str| pairs.iter().filter(|(name, _)| name == wanted).map(|(_, value)| value.clone()).collect::<Vec<_>>();
    let what = Some(named("only")).filter(|only| !only.is_empty()).unwrap_or_else(|| named("what"));
    if what.is_empty() {
        return Err(Refused::bad("what", "Nothing was chosen."));
    }
    let Restored { restored, kept, failed } = shared.operations.restore_from_trash(what, None).await?;
    let mut said = match restored.as_slice() {
        [one] => words.fill("activity.restored-one", &[("path", &one.path)]),
        all => words.count("activity.restored", all.len() as u64),
    };
    if let Some(first) = kept.iter().chain(&failed).next() {
        said.push(' ');
        said.push_str(&words.count_with(
            "activity.not-restored",
            (kept.len() + failed.len()) as u64,
            &[("path", &first.path), ("reason", &first.reason)],
        ));
    }
    Ok(page::done(&json!({ "trash-changed": true, "amounts-changed": true, "said": said })))
}

#[derive(Deserialize)]
pub(super) struct Empty {
    /// When the latest that was shown came: what came later stays.
    until: Option<String>,
}

impl Empty {
    fn until(&self) -> Result<Option<Timestamp>, Refused> {
        let until = self.until.as_deref().map(str::parse);
        until.transpose().map_err(|_| Refused::bad("until", "It is not a moment."))
    }
}

/// Asks, and then asks again.
pub(super) async fn ask_empty(visit: Visit, State(shared): State<Shared>, Query(asked): Query<Empty>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let TrashList { mut files, .. } = shared.operations.list_trash().await?;
    let asked = asked.until()?;
    let is_sure = asked.is_some();
    let at = |file: &TrashFile| file.trashed.parse::<Timestamp>().ok();
    let until = asked.or_else(|| files.iter().filter_map(at).max()).ok_or_else(Refused::nothing_here)?;
    files.retain(|file| at(file).is_some_and(|at| at <= until));
    let bytes: u64 = files.iter().map(|file| file.size).sum();
    let places: [(&str, &dyn std::fmt::Display); 1] = [("size", &format::size(words.0, bytes))];
    let count = files.len() as u64;
    let href = format!("activity/trash/empty{}", query(&[("until", &until.to_string())]));
    let content = html! {
        @if is_sure {
            form hx-post="activity/trash/empty" {
                input type="hidden" name="until" value=(until);
                (parts::notice(Tone::Warning, &html! { p { strong { (words.count_with("activity.empty-sure", count, &places)) } } p { (words.say("activity.no-way-back")) } }))
                (parts::actions(words, &html! { button.button.danger type="submit" { (icon("trash")) (words.count("activity.empty-do", count)) } }))
            }
        } @else {
            div.body {
                p { (words.count_with("activity.empty-ask", count, &places)) }
                (parts::actions(words, &html! { button.button.danger type="button" hx-get=(href) hx-target="#dialog" { (words.say("activity.empty-go")) } }))
            }
        }
    };
    Ok(page::part(parts::dialog(words, words.say("activity.empty"), &html! {}, &content)))
}

pub(super) async fn empty(visit: Visit, State(shared): State<Shared>, Form(asked): Form<Empty>) -> Result<Answer, Refused> {
    visit.admin()?;
    let words = visit.words();
    let until = asked.until()?.ok_or_else(|| Refused::bad("until", "It is not said what is to go."))?;
    let before = until.checked_add(SignedDuration::from_nanos(1)).unwrap_or(Timestamp::MAX);
    let emptied = shared.operations.empty_trash_before(before).await?;
    let mut said = words.count_with("activity.emptied", emptied.removed, &[("size", &format::size(words.0, emptied.bytes))]);
    if let Some(first) = emptied.failed.first() {
        said.push(' ');
        said.push_str(&words.count_with(
            "activity.not-emptied",
            emptied.failed.len() as u64,
            &[("path", &first.path), ("reason", &first.reason)],
        ));
    }
    Ok(page::done(&json!({ "close-dialog": true, "trash-changed": true, "amounts-changed": true, "said": said })))
}
