//! The WebDAV client: requests, listings, transfers, and the proof that an upload arrived.
//!
//! Rank 2. It trusts no answer: credentials go only to the service's own origin, redirects are reported and never followed, listings
//! are bounded and must stay inside the folder that was asked for, and a success code is evidence, not proof ([`verify`]).

mod error;
mod forbidden;
mod http;
mod listing;
mod tls;
mod transfer;
mod write;

pub mod verify;

pub use error::ClientError;
pub use forbidden::NameRules;
pub use http::{Client, Endpoint};
pub use listing::{Listing, Member};
pub use tls::Fingerprint;
pub use transfer::{Download, Upload};
pub use verify::{NotProven, Verified};
