//! Bulk upload: many small files in one request, each with a result of its own (`POST /remote.php/dav/bulk`, multipart/related).

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use md5::Digest as _;
use serde::Deserialize;
use uuid::Uuid;

use crate::dav::checksum::oc_checksum;
use crate::dav::etag;
use crate::types::{LocalVersion, RelPath};

use super::body::Payload;
use super::retry::Call;
use super::write::unexpected;
use super::{Client, ClientError};

/// The largest answer that is read, in MiB.
const LIMIT: usize = 16;

/// What became of one file of a bulk upload: the entity tag that it has now, if that was told; or why it was not stored.
pub type BulkResult = (RelPath, Result<Option<String>, ClientError>);

#[derive(Deserialize)]
struct Outcome {
    error: bool,
    #[serde(default)]
    etag: Option<String>,
    #[serde(default)]
    status: Option<u16>,
    #[serde(default)]
    message: Option<String>,
}

/// Whether a path can be written into the header of a part: no control characters, no spaces at its ends.
pub fn bulk_takes(path: &RelPath) -> bool {
    let text = path.as_str();
    !path.is_root() && !text.chars().any(char::is_control) && text.trim() == text && text.trim_end_matches('/') == text
}

impl Client {
    /// Sends new files, all in one request, into folders that are there. The results come in the order of the files. A success is not
    /// proof.
    ///
    /// A node takes each file only when nothing has its name; other servers replace what is there: look right before. Call it only where
    /// [`Capabilities::bulk`](super::Capabilities::bulk) says so, with paths that [`bulk_takes`] admits.
    ///
    /// When an error [may have arrived](ClientError::may_have_arrived), some of the files are there perhaps: look, and send the others again.
    pub async fn bulk(&self, files: Vec<(RelPath, LocalVersion, Bytes)>) -> Result<Vec<BulkResult>, ClientError> {
        let not_offered = || unexpected("POST", &RelPath::root(), StatusCode::NOT_IMPLEMENTED);
        let cloud = self.cloud().ok_or_else(not_offered)?;
        let is_node = self.capabilities().await?.node;
        let boundary = format!("twinlens-{}", Uuid::new_v4().simple());
        let mut body = BytesMut::with_capacity(files.iter().map(|(_, _, bytes)| bytes.len() + 512).sum());
        let mut names = Vec::with_capacity(files.len());
        for (path, version, bytes) in &files {
            let name = format!("/{}", cloud.in_home(path));
            let mut head = format!("--{boundary}\r\nX-File-Path: {name}\r\nOC-Checksum: {}\r\n", oc_checksum(&version.digests.sha1));
            match is_node {
                true => head += "If-None-Match: *\r\n",
                // Nextcloud's own check: without it the part is refused.
                false => {
                    let md5: String = md5::Md5::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect();
                    head += &format!("X-File-MD5: {md5}\r\n");
                }
            }
            if let Some(mtime) = version.mtime.to_oc_mtime() {
                head += &format!("X-OC-MTime: {mtime}\r\nX-File-Mtime: {mtime}\r\n");
            }
            head += &format!("Content-Length: {}\r\n\r\n", bytes.len());
            body.put_slice(head.as_bytes());
            body.put_slice(bytes);
            body.put_slice(b"\r\n");
            names.push(name);
        }
        body.put_slice(format!("--{boundary}--\r\n").as_bytes());
        let kind = HeaderValue::from_str(&format!("multipart/related; boundary={boundary}")).map_err(|_| not_offered())?;
        let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, kind)]);
        let call = Call::new(Method::POST, cloud.url("remote.php/dav/bulk"), headers, Payload::Whole(body.freeze()));
        self.flow.pass(call.payload.at_once(), || ()).await?;
        let answer = self.call(&call).await?;
        if !answer.status().is_success() {
            return Err(unexpected("POST", &RelPath::root(), answer.status()));
        }
        let text = self.text(answer, LIMIT).await?;
        let mut told: std::collections::HashMap<String, Outcome> = serde_json::from_str(&text)
            .map_err(|_| ClientError::Corrupt("the service answered a bulk upload with something that cannot be understood".into()))?;
        Ok(files.into_iter().zip(names).map(|((path, ..), name)| (path.clone(), judge(&path, told.remove(&name)))).collect())
    }
}

fn judge(path: &RelPath, told: Option<Outcome>) -> Result<Option<String>, ClientError> {
    let refused = |reason: String| ClientError::Refused { path: path.to_string(), reason };
    match told {
        // Some quote the tag and some do not.
        Some(Outcome { error: false, etag, .. }) => Ok(etag.map(|tag| etag::parse(&tag).unwrap_or(tag))),
        Some(Outcome { status: Some(status), message, .. }) => match StatusCode::from_u16(status) {
            Ok(StatusCode::PRECONDITION_FAILED) => Err(ClientError::Changed(path.to_string())),
            Ok(status) if status == StatusCode::INSUFFICIENT_STORAGE || message.is_none() => Err(unexpected("POST", path, status)),
            _ => Err(refused(message.unwrap_or_default())),
        },
        Some(Outcome { message, .. }) => Err(refused(message.unwrap_or_else(|| "it did not say why".into()))),
        None => Err(refused("it did not say what became of it".into())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_read_as_nextcloud_and_a_node_write_them() {
        let path = RelPath::parse("a.jpg").unwrap();
        let judged = |json: &str| judge(&path, serde_json::from_str(json).ok());
        assert_eq!(judged(r#"{"error":false,"etag":"\"abc\""}"#).unwrap().as_deref(), Some("abc"));
        assert_eq!(judged(r#"{"error":false,"etag":"abc","fileid":"1"}"#).unwrap().as_deref(), Some("abc"));
        assert!(matches!(judged(r#"{"error":true,"status":412,"message":"x"}"#), Err(ClientError::Changed(_))));
        assert!(judged(r#"{"error":true,"status":507,"message":"x"}"#).unwrap_err().is_full());
        assert!(judged(r#"{"error":true,"message":"md5 mismatch"}"#).unwrap_err().to_string().contains("md5 mismatch"));
        assert!(judged("nonsense").is_err());
    }

    #[test]
    fn a_name_that_a_header_cannot_carry_goes_another_way() {
        let takes = |text: &str| bulk_takes(&RelPath::parse(text).unwrap());
        assert!(takes("ä b/c: d.jpg") && !takes("a.jpg ") && !takes(" a.jpg"));
    }
}
