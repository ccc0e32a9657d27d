//! Asking a node which contents its library has: so that nobody sends what is there already (`POST /api/v1/known`).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;
use serde_json::json;

use crate::types::{ContentHash, RelPath};

use super::body::Payload;
use super::retry::Call;
use super::write::unexpected;
use super::{Client, ClientError};

/// The most that a node answers at once.
const AT_ONCE: usize = 10_000;
/// The largest answer that is read, in MiB.
const LIMIT: usize = 1;

#[derive(Deserialize)]
struct Known {
    content: String,
}

impl Client {
    /// For each content, whether a file in the folder of our account on the node holds it, wherever in it. Any number of them: they are
    /// asked for in parts.
    pub async fn known(&self, contents: &[ContentHash]) -> Result<Vec<bool>, ClientError> {
        let mut known = Vec::with_capacity(contents.len());
        for part in contents.chunks(AT_ONCE) {
            let not_offered = |status| unexpected("POST", &RelPath::root(), status);
            let url = self.cloud().ok_or_else(|| not_offered(StatusCode::NOT_FOUND))?.url("api/v1/known");
            let question = json!({ "content": part.iter().map(ToString::to_string).collect::<Vec<_>>() }).to_string();
            let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]);
            let answer = self.call(&Call::new(Method::POST, url, headers, Payload::Whole(question.into())).harmless()).await?;
            if answer.status() != StatusCode::OK {
                return Err(not_offered(answer.status()));
            }
            let told: Option<Known> = serde_json::from_str(&self.text(answer, LIMIT).await?).ok();
            let told = told.filter(|told| told.content.len() == part.len());
            let told = told.ok_or_else(|| ClientError::Corrupt("the node's answer about known contents cannot be understood".into()))?;
            known.extend(told.content.bytes().map(|mark| mark == b'1'));
        }
        Ok(known)
    }
}
