//! The WebDAV client: requests, listings, transfers, and the proof that an upload arrived.
//!
//! Rank 2. It trusts no answer: credentials go only to the service's own origin, redirects are reported and never followed, listings
//! are bounded and must stay inside the folder that was asked for, and a success code is evidence, not proof ([`verify`]).

mod changes;
mod error;
mod http;
mod listing;
mod rate;
mod tls;
mod transfer;
mod write;

pub mod verify;

pub use changes::Changes;
pub use error::ClientError;
pub use http::{Client, Endpoint};
pub use listing::{Listing, Member};
pub use rate::{Flow, Rate};
pub use tls::Fingerprint;
pub use transfer::{Download, Upload};
pub use verify::{NotProven, Verified};
