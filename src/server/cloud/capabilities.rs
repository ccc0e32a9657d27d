//! Who the server says that it is, and what it can.

use http::header::{ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue};
use http::{Response, StatusCode};
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

/// What the server can; to people who have not logged in, no more than where it is.
pub(super) fn capabilities(logged_in: bool) -> Value {
    let [major, minor, micro, _] = LIKE;
    let (_, short) = version();
    let core = json!({ "pollinterval": 60, "webdav-root": "remote.php/webdav", "status": status_value() });
    let capabilities = match logged_in {
        false => json!({ "core": core }),
        true => json!({
            "core": core,
            "dav": { "chunking": "1.0", "bulkupload": "1.0" },
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
