//! The node's face to the network: HTTP, login, WebDAV, the API, the pages.
//!
//! Rank 7. The caller brings the listener and says when to stop; what is under way then may end, and what does not end in time leaves no
//! trace. Unknown places answer 404, never 200: a client that uploads to the wrong path must notice.

mod api;
mod cloud;
mod http;
mod language;
mod tls;
mod web;
mod webdav;

pub use api::Call;
pub use http::{App, Body, ExternalUrl, Front, Limits, Mounted, Network, Outside, Prefix, Running, StartError, listen, start};
pub use tls::{TlsError, TlsFiles};
pub use webdav::{Roots, Rules};
