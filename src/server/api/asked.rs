//! What a request says, read strictly: every part that cannot be used is named, and nothing unknown is passed over.

use axum::extract::{FromRequest, FromRequestParts};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// The largest document that is read.
const BODY_LIMIT: usize = 1 << 20;

/// A body in JSON. One that is missing is an empty object.
pub(super) struct Json<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request<axum::body::Body>, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let body = whole(body).await?;
        if body.is_empty() && !parts.headers.contains_key(CONTENT_TYPE) {
            return parsed(b"{}").map(Self);
        }
        if !is_json(&parts.headers) {
            let detail = "The body must be a document in JSON, with `Content-Type: application/json`.";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", detail).about("Content-Type", detail));
        }
        parsed(&body).map(Self)
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    kind.is_some_and(|kind| kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")))
}

/// All of a body that is no file.
pub(in super::super) async fn whole(body: axum::body::Body) -> Result<Bytes, Problem> {
    match Limited::new(body, BODY_LIMIT).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(_) => Err(Problem::bad("bad-body", "The request body did not come.")),
    }
}

fn too_large() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", format!("A document may have {BODY_LIMIT} bytes here."))
}

/// A document.
pub(super) fn parsed<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    // A list would be taken for the members in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Problem::bad("bad-body", "The body must be an object in JSON."));
    }
    let mut document = serde_json::Deserializer::from_slice(body);
    let value = serde_path_to_error::deserialize(&mut document).map_err(|error| {
        let is_syntax = error.inner().is_syntax() || error.inner().is_eof();
        let (field, message) = (error.path().to_string(), error.inner().to_string());
        let detail = format!("The body cannot be used: {message}.");
        // What is no JSON at all has no fields.
        if is_syntax {
            Problem::bad("bad-body", detail)
        } else {
            Problem::bad("bad-request", detail).about(name(&field, &message), message)
        }
    })?;
    document.end().map_err(|error| Problem::bad("bad-body", format!("The body cannot be used: {error}.")))?;
    Ok(value)
}

/// The name of what an error is about: a member that is missing or unknown is not part of the path to it.
fn name(path: &str, message: &str) -> String {
    let of_member = message.strip_prefix("missing field `").or_else(|| message.strip_prefix("unknown field `"));
    let member = of_member.or_else(|| message.strip_prefix("duplicate field `")).and_then(|rest| rest.split('`').next());
    match (member, path) {
        (None, _) => path.to_owned(),
        (Some(member), ".") => member.to_owned(),
        // For an unknown one the path ends with it.
        (Some(member), path) if path == member || path.ends_with(&format!(".{member}")) => path.to_owned(),
        (Some(member), path) => format!("{path}.{member}"),
    }
}

/// The query. Percent signs and plus signs are decoded, as forms write them.
pub(super) struct Query<T>(pub T);

impl<S: Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        // What is no text after decoding would be read as something that nobody wrote.
        if percent_encoding::percent_decode_str(query).decode_utf8().is_err() {
            return Err(Problem::bad("bad-query", "The query is not UTF-8."));
        }
        let pairs = serde_urlencoded::Deserializer::new(form_pairs(query));
        match serde_path_to_error::deserialize(pairs) {
            Ok(query) => Ok(Self(query)),
            Err(error) => {
                let (path, message) = (error.path().to_string(), error.inner().to_string());
                let field = name(&path, &message);
                Err(Problem::bad("bad-query", format!("The query's `{field}` cannot be used: {message}.")).about(field, message))
            }
        }
    }
}

fn form_pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

/// The parts of the path that are names.
pub(super) struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Whatever is no such name names nothing.
        axum::extract::Path::from_request_parts(parts, state).await.map(|path| Self(path.0)).map_err(|_| Problem::nothing_here())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Asked {
        name: String,
        #[serde(default)]
        inner: Vec<Inner>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read into")]
    struct Inner {
        count: u8,
    }

    #[test]
    fn what_is_wrong_is_named() {
        let of = |text: &str| {
            let problem = parsed::<Asked>(text.as_bytes()).unwrap_err();
            format!("{problem:?}").split("field: \"").nth(1).map(|rest| rest.split('"').next().unwrap().to_owned())
        };
        assert_eq!(of("{}").as_deref(), Some("name"));
        assert_eq!(of(r#"{"name": 1}"#).as_deref(), Some("name"));
        assert_eq!(of(r#"{"name": "x", "other": 1}"#).as_deref(), Some("other"));
        assert_eq!(of(r#"{"name": "x", "name": "y"}"#).as_deref(), Some("name"));
        assert_eq!(of(r#"{"name": "x", "inner": [{"count": 256}]}"#).as_deref(), Some("inner[0].count"));
        assert_eq!(of(r#"{"name": "x", "inner": [{}]}"#).as_deref(), Some("inner[0].count"));
        assert_eq!(of(r#"{"name": "x", "inner": [{"count": 1, "more": 1}]}"#).as_deref(), Some("inner[0].more"));
        assert_eq!(of(r#"{"name": "x"} more"#), None);
        assert_eq!(of(&"[".repeat(100_000)), None);
    }
}
