//! Refusals as people see them: a page, or a notice where a part was asked for.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::IntoResponse;
use http::header::LOCATION;
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use maud::html;

use super::super::api::{FieldError, Problem, Shared};
use super::page::{self, Place};
use super::parts;
use super::visit::Visit;
use crate::operations::Failure;

/// Why somebody does not get what they asked for.
#[derive(Debug, Clone)]
pub(super) struct Refused {
    pub(super) status: StatusCode,
    /// As in the API: it chooses the words.
    pub(super) code: &'static str,
    /// What happened, in English: names and causes that no catalogue can know.
    pub(super) detail: String,
    pub(super) errors: Vec<FieldError>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str) -> Self {
        Self { status, code, detail: String::new(), errors: Vec::new(), headers: Vec::new() }
    }

    /// Whoever asks must sign in first.
    pub(super) fn sign_in() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "login-needed")
    }

    /// There is no such thing in public mode.
    pub(super) fn public() -> Self {
        Self::new(StatusCode::FORBIDDEN, "public-mode")
    }

    pub(super) fn not_admin() -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-admin")
    }

    pub(super) fn nothing_here() -> Self {
        Self::new(StatusCode::NOT_FOUND, "nothing-here")
    }

    /// A part of what was sent cannot be used.
    pub(super) fn bad(field: &str, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        let errors = vec![FieldError { field: field.to_owned(), message: detail.clone() }];
        Self { detail, errors, ..Self::new(StatusCode::UNPROCESSABLE_ENTITY, "bad-input") }
    }

    /// The same, without what the program says of the cause.
    pub(super) fn without_detail(self) -> Self {
        Self { detail: String::new(), ..self }
    }

    /// What is wrong with this field, if that is why.
    pub(super) fn about(&self, field: &str) -> Option<&str> {
        self.errors.iter().find(|error| error.field == field).map(|error| error.message.as_str())
    }
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let Problem { status, code, detail, errors, headers, .. } = problem;
        Self { status, code, detail, errors, headers }
    }
}

impl From<Failure> for Refused {
    fn from(failure: Failure) -> Self {
        Problem::from(failure).into()
    }
}

impl IntoResponse for Refused {
    /// Without words, which depend on who asks: [`shown`] adds them.
    fn into_response(self) -> Response<axum::body::Body> {
        let mut answer = self.status.into_response();
        answer.extensions_mut().insert(self);
        answer
    }
}

/// What was decided before a router saw the request.
#[derive(Debug, Clone)]
pub(super) struct Beforehand(Refused);

impl From<Problem> for Beforehand {
    fn from(problem: Problem) -> Self {
        Self(problem.into())
    }
}

/// Shows refusals in words.
pub(super) async fn shown(State(shared): State<Shared>, request: Request, next: Next) -> Response<axum::body::Body> {
    let (parts, body) = request.into_parts();
    let visit = Visit::of(&parts, &shared);
    let answer = match parts.extensions.get::<Beforehand>() {
        Some(Beforehand(refused)) => refused.clone().into_response(),
        None => next.run(Request::from_parts(parts, body)).await,
    };
    match answer.extensions().get::<Refused>() {
        Some(refused) => refused.show(&visit),
        None => answer,
    }
}

pub(super) async fn nothing_here() -> Refused {
    Refused::nothing_here()
}

pub(super) async fn wrong_method(method: Method) -> Refused {
    Problem::wrong_method(&method).into()
}

impl Refused {
    fn show(&self, visit: &Visit) -> Response<axum::body::Body> {
        let words = visit.words();
        if self.code == "login-needed" {
            // Whoever has a page has been signed in: the session has ended meanwhile.
            let next = match (visit.is_part, &visit.page) {
                (false, _) => page::query(&[("next", &visit.here)]),
                (true, Some(page)) => page::query(&[("next", page), ("ended", "on")]),
                (true, None) => String::new(),
            };
            return page::go(visit, &format!("signin{next}"));
        }
        let notice = parts::refusal(words, self);
        let mut answer = if visit.is_part {
            page::part(notice)
        } else {
            let (place, title) = (Place::None, words.say("problem.title"));
            let content = html! {
                section.stage {
                    h1 { (title) }
                    (notice)
                    p { a.button href="library" { (words.say("problem.home")) } }
                }
            };
            page::whole(visit, place, title, &content)
        };
        *answer.status_mut() = self.status;
        answer.headers_mut().extend(self.headers.iter().cloned());
        if visit.is_part {
            // Where the part was to go there is something that is still needed.
            answer.headers_mut().insert("hx-retarget", HeaderValue::from_static("#notices"));
            answer.headers_mut().insert("hx-reswap", HeaderValue::from_static("beforeend"));
        }
        answer.headers_mut().remove(LOCATION);
        answer
    }
}
