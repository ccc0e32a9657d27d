//! What is selected is sent to a service: the guide's dialog, with what was set up for the service already chosen.

use axum::extract::State;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::super::super::api::{Shared, path_of};
use super::super::form::{Form, Query};
use super::super::page::{self, Answer};
use super::super::parts::{self, icon};
use super::super::refused::Refused;
use super::super::services::{folders, size_name, term_name};
use super::super::visit::Visit;
use super::super::words::Words;
use crate::operations::ShareRequest;
use crate::services::{Service, UploadSettings};
use crate::types::{Expires, Size, Unfit};

/// For which service the dialog is; the first when there is none.
#[derive(Deserialize)]
pub(super) struct For {
    #[serde(default)]
    service: String,
}

/// What the dialog says.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Wanted {
    service: String,
    /// A list of paths, in JSON.
    paths: String,
    #[serde(default)]
    folder: String,
    #[serde(default)]
    size: String,
    #[serde(default)]
    expires: String,
    #[serde(default)]
    unfit: String,
}

pub(super) async fn ask(visit: Visit, State(shared): State<Shared>, Query(asked): Query<For>) -> Result<Answer, Refused> {
    visit.admin()?;
    let services = offered(&shared).await?;
    let words = visit.words();
    let title = words.say("library.to-service");
    let Some(service) = services.iter().find(|service| service.name == asked.service).or(services.first()) else {
        let way = html! { a.button.main href="settings/services" { (words.say("library.share-connect")) } };
        let empty = parts::empty("cloud-off", words.say("library.share-none"), words.say("library.share-none-help"), &way);
        return Ok(page::part(parts::dialog(words, title, &html! {}, &empty)));
    };
    // The script fills in what is selected: it may be too much for an address.
    let shown = form(words, &services, service, &service.upload, "", None);
    Ok(page::part(parts::dialog(words, title, &html! {}, &shown)))
}

/// The services that things may be sent to.
async fn offered(shared: &Shared) -> Result<Vec<Service>, Refused> {
    Ok(shared.operations.services().await?.into_iter().filter(|service| service.upload.on).collect())
}

fn form(words: Words, services: &[Service], service: &Service, set: &UploadSettings, paths: &str, refused: Option<&Refused>) -> Markup {
    let names = services.iter().map(|service| (service.name.as_str(), service.name.clone()));
    let sizes: Vec<(String, String)> = Size::all().map(|size| (size.to_string(), size_name(words, size))).collect();
    let spans: Vec<(String, String)> = Expires::all().map(|span| (span.to_string(), term_name(words, span).to_owned())).collect();
    let unfit =
        Unfit::ALL.map(|unfit| (unfit.name(), words.known(&format!("services.unfit-{}", unfit.name())).unwrap_or_default().to_owned()));
    html! {
        form.share hx-post="library/share" hx-swap="outerHTML" {
            @if let Some(refused) = refused { (parts::refusal(words, refused)) }
            p.dim data-chosen {}
            textarea name="paths" hidden { (paths) }
            div hx-get="library/share" hx-trigger="change" hx-include="find select" hx-target="#dialog" {
                (parts::select("service", words.say("library.share-service"), "", &service.name, names))
            }
            (folders::picker(words, &service.name, &format!("/{}", set.folder), "", None))
            div.pair {
                (parts::select("size", words.say("library.share-size"), "", &set.size.to_string(), each(&sizes)))
                (parts::select("expires", words.say("library.share-expires"), words.say("library.share-expires-help"), &set.expires.to_string(), each(&spans)))
            }
            div.unfit { (parts::select("unfit", words.say("library.share-unfit"), words.say("library.share-unfit-help"), set.unfit.name(), unfit)) }
            (parts::actions(words, &html! { button.button.main type="submit" { (icon("upload")) (words.say("library.upload")) } }))
        }
    }
}

fn each(all: &[(String, String)]) -> impl Iterator<Item = (&str, String)> {
    all.iter().map(|(value, shown)| (value.as_str(), shown.clone()))
}

pub(super) async fn begin(visit: Visit, State(shared): State<Shared>, Form(wanted): Form<Wanted>) -> Result<Answer, Refused> {
    let caller = visit.admin()?;
    let words = visit.words();
    let chosen: Vec<String> = serde_json::from_str(&wanted.paths).map_err(|_| Refused::bad("paths", "It is no list of paths in JSON."))?;
    // What somebody sees lies below their own folder.
    let paths = chosen.iter().map(|path| path_of(caller, path).map(|path| path.to_string())).collect::<Result<Vec<_>, _>>()?;
    let count = paths.len() as u64;
    let request = ShareRequest {
        paths,
        to: wanted.service.clone(),
        folder: Some(wanted.folder.clone()),
        size: Some(wanted.size.parse().map_err(|why: String| Refused::bad("size", why))?),
        expires: Some(wanted.expires.parse().map_err(|why: String| Refused::bad("expires", why))?),
        unfit: Some(
            Unfit::ALL
                .into_iter()
                .find(|unfit| unfit.name() == wanted.unfit)
                .ok_or_else(|| Refused::bad("unfit", "It is original, jpeg or skip."))?,
        ),
        background: true,
        ..ShareRequest::default()
    };
    let settings = UploadSettings {
        size: request.size.unwrap_or_default(),
        expires: request.expires.unwrap_or_default(),
        unfit: request.unfit.unwrap_or_default(),
        ..UploadSettings::default()
    };
    match shared.operations.share(request).await {
        Ok(report) => {
            let text = words.count_with("library.shared", count, &[("service", &report.service)]);
            let warning = report.warning.as_ref().map(|_| words.say("library.shared-comes-back"));
            let shared = json!({ "text": text, "warning": warning, "share": report.share });
            Ok(page::done(&json!({ "close-dialog": true, "shared": shared })))
        }
        Err(failure) => {
            let refused = Refused::from(failure);
            let services = offered(&shared).await?;
            let Some(service) = services.iter().find(|service| service.name == wanted.service) else { return Err(refused) };
            let mut settings = settings;
            if let Ok(folder) = crate::types::RelPath::parse_lenient(&wanted.folder) {
                settings.folder = folder;
            }
            let mut answer = page::part(form(words, &services, service, &settings, &wanted.paths, Some(&refused)));
            *answer.status_mut() = refused.status;
            Ok(answer)
        }
    }
}
