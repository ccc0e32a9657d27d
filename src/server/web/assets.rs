//! Styles, scripts and icons, embedded. Their addresses change with their contents, so that browsers may keep them for ever.
//!
//! `htmx.min.js` is htmx 4.0.1 as published (0BSD). The icons are of Lucide (ISC); `fixtures/make_icons.py` puts them together.

use std::sync::LazyLock;

use axum::extract::Path;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};

use super::page::Answer;
use super::refused::Refused;

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

const ALL: &[Asset] = &[
    Asset { name: "activity.js", kind: SCRIPT, bytes: include_bytes!("assets/activity.js") },
    Asset { name: "app.css", kind: STYLE, bytes: include_bytes!("assets/app.css") },
    Asset { name: "app.js", kind: SCRIPT, bytes: include_bytes!("assets/app.js") },
    Asset { name: "favicon.svg", kind: SVG, bytes: include_bytes!("assets/favicon.svg") },
    Asset { name: "htmx.min.js", kind: SCRIPT, bytes: include_bytes!("assets/htmx.min.js") },
    Asset { name: "icons.svg", kind: SVG, bytes: include_bytes!("assets/icons.svg") },
    Asset { name: "library.css", kind: STYLE, bytes: include_bytes!("assets/library.css") },
    Asset { name: "library.js", kind: SCRIPT, bytes: include_bytes!("assets/library.js") },
    Asset { name: "library-grid.js", kind: SCRIPT, bytes: include_bytes!("assets/library-grid.js") },
    Asset { name: "library-layout.js", kind: SCRIPT, bytes: include_bytes!("assets/library-layout.js") },
    Asset { name: "library-parts.js", kind: SCRIPT, bytes: include_bytes!("assets/library-parts.js") },
    Asset { name: "library-scrubber.js", kind: SCRIPT, bytes: include_bytes!("assets/library-scrubber.js") },
    Asset { name: "library-select.js", kind: SCRIPT, bytes: include_bytes!("assets/library-select.js") },
    Asset { name: "library-tile.js", kind: SCRIPT, bytes: include_bytes!("assets/library-tile.js") },
    Asset { name: "library-touch.js", kind: SCRIPT, bytes: include_bytes!("assets/library-touch.js") },
    Asset { name: "library-upload.js", kind: SCRIPT, bytes: include_bytes!("assets/library-upload.js") },
    Asset { name: "library-viewer.js", kind: SCRIPT, bytes: include_bytes!("assets/library-viewer.js") },
    Asset { name: "live.js", kind: SCRIPT, bytes: include_bytes!("assets/live.js") },
    Asset { name: "services.js", kind: SCRIPT, bytes: include_bytes!("assets/services.js") },
    Asset { name: "tree.js", kind: SCRIPT, bytes: include_bytes!("assets/tree.js") },
];

/// Of all of them together: scripts import one another by their names.
static VERSION: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = blake3::Hasher::new();
    for asset in ALL {
        hasher.update(asset.bytes);
    }
    hasher.finalize().to_hex().chars().take(12).collect()
});

/// Where a page finds it.
pub(super) fn href(name: &str) -> String {
    format!("assets/{}/{name}", *VERSION)
}

/// One of them. Under an older version's address the present one is found: a page that was open during an upgrade still works.
pub(super) async fn serve(Path((version, name)): Path<(String, String)>) -> Result<Answer, Refused> {
    let asset = ALL.iter().find(|asset| asset.name == name).ok_or_else(Refused::nothing_here)?;
    let mut answer = Response::new(axum::body::Body::from(asset.bytes));
    let headers = answer.headers_mut();
    let kept = if version == *VERSION { "public, max-age=31536000, immutable" } else { "no-store" };
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(asset.kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static(kept));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(answer)
}
