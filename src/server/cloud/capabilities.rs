//! Who the server says that it is, and what it can.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue, USER_AGENT};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::super::http::Body;
use super::answers;

/// The Nextcloud whose ways with files are those of this node. Clients read more into the number than into the capabilities: below 26 they
/// do not send the Destination with every chunk, some refuse servers that are out of support, and from 30 on they expect apps that are not
/// here.
const LIKE: [u32; 4] = [28, 0, 14, 1];

/// Clients show it to people; none asks for a certain one.
const PRODUCT: &str = "Twinlens";

fn version() -> (String, String) {
    let [major, minor, micro, patch] = LIKE;
    (format!("{major}.{minor}.{micro}.{patch}"), format!("{major}.{minor}.{micro}"))
}

fn status_value() -> Value {
    let (version, short) = version();
    json!({
        "installed": true,
        "maintenance": false,
        "needsDbUpgrade": false,
        "version": version,
        "versionstring": short,
        "edition": "",
        "productname": PRODUCT,
        "extendedSupport": false,
    })
}

/// `/status.php`.
pub(super) fn status() -> Response<Body> {
    let mut answer = answers::json(StatusCode::OK, &status_value());
    answer.headers_mut().insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    answer
}

/// Who asks, as far as the answer depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// Nobody has logged in.
    Stranger,
    /// A client.
    Client,
    /// A Nextcloud desktop client that cannot send an empty file in a bulk upload: one such file keeps the others with it from being uploaded,
    /// in each sync anew (before version 3.10; nextcloud/desktop#5824).
    WithoutBulk,
}

impl Asker {
    /// Somebody who is logged in.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let agent = headers.get(USER_AGENT).map(|value| String::from_utf8_lossy(value.as_bytes())).unwrap_or_default();
        let version = agent.split_once("mirall/").map(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()));
        let mut numbers = version.into_iter().flatten().map_while(|number| number.parse::<u32>().ok());
        match (numbers.next(), numbers.next()) {
            (Some(3), Some(minor)) if minor < 10 => Self::WithoutBulk,
            _ => Self::Client,
        }
    }
}

/// What the server can; to people who have not logged in, no more than where it is.
pub(super) fn capabilities(asker: Asker) -> Value {
    let [major, minor, micro, _] = LIKE;
    let (_, short) = version();
    let core = json!({ "pollinterval": 60, "webdav-root": "remote.php/webdav", "status": status_value() });
    let dav = match asker {
        Asker::WithoutBulk => json!({ "chunking": "1.0" }),
        _ => json!({ "chunking": "1.0", "bulkupload": "1.0" }),
    };
    let capabilities = match asker {
        Asker::Stranger => json!({ "core": core }),
        Asker::Client | Asker::WithoutBulk => json!({
            "core": core,
            "dav": dav,
            "checksums": { "supportedTypes": ["SHA1", "MD5", "SHA256", "ADLER32"], "preferredUploadType": "SHA1" },
            "files": {
                "bigfilechunking": true,
                "undelete": false,
                "versioning": false,
                "comments": false,
                "blacklisted_files": [crate::types::media::OWN_FOLDER],
            },
            "files_sharing": { "api_enabled": false },
        }),
    };
    json!({
        "version": { "major": major, "minor": minor, "micro": micro, "string": short, "edition": "", "extendedSupport": false },
        "capabilities": capabilities,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_clients_that_can_are_told_of_bulk_uploads() {
        let asker = |agent: &'static str| Asker::of(&HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]));
        assert_eq!(asker("Mozilla/5.0 (Linux) mirall/3.7.3git (nextcloudcmd, debian)"), Asker::WithoutBulk);
        assert_eq!(asker("Mozilla/5.0 (Windows) mirall/3.9.50git (Nextcloud)"), Asker::WithoutBulk);
        for others in
            ["Mozilla/5.0 (Linux) mirall/3.10.0 (Nextcloud)", "mirall/4.0.1stable-Win64 (build 20250930)", "mirall/2.11.0", "curl/8"]
        {
            assert_eq!(asker(others), Asker::Client, "{others}");
        }
        assert_eq!(capabilities(Asker::Client)["capabilities"]["dav"]["bulkupload"], "1.0");
        assert!(capabilities(Asker::WithoutBulk)["capabilities"]["dav"]["bulkupload"].is_null());
    }
}
