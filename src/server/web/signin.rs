//! Signing in and out.

use axum::extract::State;
use axum::response::IntoResponse as _;
use http::header::SET_COOKIE;
use http::{Extensions, HeaderMap, StatusCode};
use maud::html;
use serde::Deserialize;

use super::super::api::{From, Shared, begin_session, end_session};
use super::form::{Form, Query};
use super::page::{self, Answer, Place};
use super::parts::{self, Field, Tone, icon};
use super::refused::Refused;
use super::visit::Visit;

/// Where to go afterwards.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    #[serde(default)]
    next: String,
    /// The session has ended.
    ended: Option<String>,
}

impl Next {
    /// A page of ours, whatever an address says: it is put behind our own base, and begins with one of our places.
    fn place(&self) -> &str {
        let is_ours = ["library", "activity", "settings"].iter().any(|place| match self.next.strip_prefix(place) {
            Some(rest) => rest.is_empty() || rest.starts_with(['/', '?']),
            None => false,
        });
        // A path that climbs would leave the base.
        if is_ours && !self.next.contains("..") && !self.next.contains('\\') { &self.next } else { "library" }
    }
}

#[derive(Deserialize)]
pub(super) struct Start {
    #[serde(default)]
    user: String,
    #[serde(default)]
    password: String,
    #[serde(flatten)]
    next: Next,
}

/// The page on which somebody signs in.
pub(super) async fn show(visit: Visit, Query(next): Query<Next>) -> Answer {
    if visit.caller.is_some() {
        return page::go(&visit, next.place());
    }
    form(&visit, "", &next, None)
}

/// Signs somebody in.
pub(super) async fn begin(
    visit: Visit,
    State(shared): State<Shared>,
    From(from): From,
    headers: HeaderMap,
    extensions: Extensions,
    Form(start): Form<Start>,
) -> Result<Answer, Refused> {
    match begin_session(&shared, from, &headers, &extensions, &start.user, &start.password).await {
        Ok((_, cookie)) => {
            let mut answer = page::go(&visit, start.next.place());
            answer.headers_mut().append(SET_COOKIE, cookie);
            Ok(answer)
        }
        Err(problem) => {
            let refused = Refused::from(problem);
            match refused.code {
                "wrong-login" | "too-often" => Ok(form(&visit, &start.user, &start.next, Some(&refused))),
                _ => Err(refused),
            }
        }
    }
}

/// Signs somebody out. What the browser keeps of this site goes too.
pub(super) async fn end(visit: Visit, State(shared): State<Shared>, extensions: Extensions) -> Result<Answer, Refused> {
    let caller = visit.person()?;
    let cookie = end_session(&shared, caller, &extensions).await?;
    let mut answer = page::go(&visit, "signin");
    answer.headers_mut().append(SET_COOKIE, cookie);
    answer.headers_mut().insert("clear-site-data", http::HeaderValue::from_static("\"cache\""));
    Ok(answer.into_response())
}

fn form(visit: &Visit, user: &str, next: &Next, refused: Option<&Refused>) -> Answer {
    let words = visit.words();
    let content = html! {
        section.stage {
            form.card method="post" action="signin" {
                div.brand { (icon("twinlens")) span { "Twinlens" } }
                h1 { (words.say("signin.title")) }
                @if let Some(refused) = refused { (parts::refusal(words, &refused.clone().without_detail())) }
                @else if next.ended.is_some() { (parts::notice(Tone::Info, &parts::with_advice(words.say("problem.login-needed")))) }
                input type="hidden" name="next" value=(next.place());
                (parts::field(&Field {
                    name: "user", label: words.say("signin.user"), value: user, autocomplete: "username", is_required: true,
                    is_first: user.is_empty(), ..Field::default()
                }))
                (parts::field(&Field {
                    name: "password", label: words.say("signin.password"), kind: "password", autocomplete: "current-password", is_required: true,
                    is_first: !user.is_empty(), ..Field::default()
                }))
                button.button.main type="submit" { (words.say("signin.enter")) }
            }
        }
    };
    let mut answer = page::whole(visit, Place::None, words.say("signin.title"), &content);
    if let Some(refused) = refused {
        *answer.status_mut() = if refused.status == StatusCode::UNAUTHORIZED { StatusCode::UNPROCESSABLE_ENTITY } else { refused.status };
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere_after_signing_in() {
        let place = |next: &str| Next { next: next.to_owned(), ended: None }.place().to_owned();
        assert_eq!(place("settings/services?x=1"), "settings/services?x=1");
        for evil in
            ["//evil.example", "https://evil.example", "/\\evil", "library/../../evil", "libraryevil", "library\\..\\x", "javascript:x", ""]
        {
            assert_eq!(place(evil), "library", "{evil}");
        }
    }
}
