//! Which content the library has: so that nobody sends what is there already.

use axum::extract::State;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::library::{LibraryError, Tree};
use crate::types::{ContentHash, RelPath, Sha1};

use super::caller::Person;
use super::problem::Problem;
use super::{Shared, Told, asked, blocking, told};

/// The most digests in one request.
const LIMIT: usize = 10_000;

/// Digests in hexadecimal, up to 10,000 together.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// BLAKE3-256.
    #[serde(default)]
    content: Vec<String>,
    /// SHA-1.
    #[serde(default)]
    sha1: Vec<String>,
}

/// A text for each list, with `1` for a digest that is known and `0` for one that is not.
#[derive(Serialize, ToSchema)]
pub(super) struct Known {
    content: String,
    sha1: String,
}

/// Which content the library has, as the user sees it: below the folder that is their root.
#[utoipa::path(
    post, path = "/known", tag = "peers", request_body = Question,
    responses((status = 200, description = "Which of them the library has.", body = Known))
)]
pub(super) async fn ask(Person(caller): Person, State(shared): State<Shared>, body: axum::body::Body) -> Result<Told<Known>, Problem> {
    super::check(&shared.originals, &caller.login)?;
    // Older nodes send no Content-Type.
    let question: Question = asked::parsed(&asked::whole(body).await?)?;
    if question.content.len() + question.sha1.len() > LIMIT {
        return Err(too_much());
    }
    let content = parsed("content", &question.content, ContentHash::from_hex)?;
    let sha1 = parsed("sha1", &question.sha1, Sha1::from_hex)?;
    let tree = shared.originals.clone();
    let (content, sha1) = blocking(move || Ok(look_up(&tree, &tree.spelled(&caller.login.folder), &content, &sha1)?)).await?;
    told(Known { content, sha1 })
}

fn too_much() -> Problem {
    let detail = format!("At most {LIMIT} digests in one request; please ask in parts.");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-many-digests", detail)
}

fn parsed<T>(list: &str, texts: &[String], parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, Problem> {
    let bad = |at: usize| {
        let detail = format!("{list}[{at}] is no such digest in hexadecimal.");
        Problem::bad("bad-digest", detail).about(format!("{list}[{at}]"), "it is no such digest in hexadecimal")
    };
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
