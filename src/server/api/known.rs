//! Which content the library has: so that nobody sends what is there already.

use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};

use serde::Deserialize;
use serde_json::json;

use crate::accounts::Login;
use crate::library::{LibraryError, Tree};
use crate::types::{ContentHash, RelPath, Sha1};

use super::super::http::{Body, Incoming};
use super::problem::Problem;

/// The most digests in one request.
const LIMIT: usize = 10_000;
/// The largest body: so many digests, with room for spaces.
const BODY_LIMIT: usize = 1 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    #[serde(default)]
    content: Vec<String>,
    #[serde(default)]
    sha1: Vec<String>,
}

pub(super) async fn answer(originals: &Tree, request: Request<Incoming>, login: Login) -> Result<Response<Body>, Problem> {
    super::check(originals, &login)?;
    let body = Limited::new(request.into_body(), BODY_LIMIT).collect().await.map_err(|error| match error.is::<LengthLimitError>() {
        true => too_much(),
        false => Problem::new(StatusCode::BAD_REQUEST, "bad-body", "The request body did not come."),
    })?;
    let question: Question = serde_json::from_slice(&body.to_bytes()).map_err(|error| {
        Problem::new(StatusCode::BAD_REQUEST, "bad-body", format!("The request body is no question for digests: {error}."))
    })?;
    if question.content.len() + question.sha1.len() > LIMIT {
        return Err(too_much());
    }
    let content = parsed("content", &question.content, ContentHash::from_hex)?;
    let sha1 = parsed("sha1", &question.sha1, Sha1::from_hex)?;
    let tree = originals.clone();
    let looked_up = tokio::task::spawn_blocking(move || look_up(&tree, &tree.spelled(&login.folder), &content, &sha1));
    let (content, sha1) = looked_up.await.map_err(|error| Problem::failed(&error))?.map_err(|error| Problem::failed(&error))?;
    Ok(super::json(StatusCode::OK, "application/json", &json!({ "content": content, "sha1": sha1 })))
}

fn too_much() -> Problem {
    let detail = format!("At most {LIMIT} digests and {BODY_LIMIT} bytes in one request; please ask in parts.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-digests", detail)
}

fn parsed<T>(list: &str, texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
    let bad = |at: usize| Problem::new(StatusCode::BAD_REQUEST, "bad-digest", format!("{list}[{at}] is no such digest in hexadecimal."));
    texts.iter().enumerate().map(|(at, text)| parse(text).ok_or_else(|| bad(at))).collect()
}

/// One character for each digest. All are looked for in one state of the index.
fn look_up(tree: &Tree, folder: &RelPath, content: &[ContentHash], sha1: &[Sha1]) -> Result<(String, String), LibraryError> {
    let view = tree.view()?;
    let Some(index) = view.index() else { return Ok(("0".repeat(content.len()), "0".repeat(sha1.len()))) };
    let mark = |known: bool| if known { '1' } else { '0' };
    let content: Result<String, _> = content.iter().map(|digest| index.has_content(digest, folder).map(mark)).collect();
    let sha1: Result<String, _> = sha1.iter().map(|digest| index.has_sha1(digest, folder).map(mark)).collect();
    Ok((content?, sha1?))
}
