//! The WebDAV client: requests, listings, transfers, and the proof that an upload arrived.
//!
//! Rank 2. It trusts no answer: credentials go only to the service's own origin, redirects are reported and never followed, listings
//! are bounded and must stay inside the folder that was asked for, and a success code is evidence, not proof ([`verify`]).

mod body;
mod bulk;
mod capabilities;
mod certificate;
mod changes;
mod cloud;
mod connect;
mod cookies;
mod doubt;
mod error;
mod forbidden;
mod gate;
mod greeting;
mod hook;
mod http;
mod knock;
mod known;
mod listing;
mod login_flow;
mod members;
mod page;
mod part;
mod plain_http;
mod probe;
mod rate;
mod reason;
mod recalculate;
mod retry;
mod session;
mod source;
mod tls;
mod transfer;
mod typed;
mod write;

pub mod verify;

pub use body::{Payload, PieceStream};
pub use bulk::{BulkResult, bulk_takes};
pub use capabilities::Capabilities;
pub use certificate::Certificate;
pub use changes::Changes;
pub use connect::Handshake;
pub use error::ClientError;
pub use forbidden::NameRules;
pub use greeting::{Greeting, Product};
pub use hook::{Hook, HookError};
pub use http::{Client, Endpoint};
pub use knock::Knock;
pub use listing::{Listing, Member, Root};
pub use login_flow::{BrowserLogin, Granted};
pub use members::{Members, Told};
pub use probe::Quota;
pub use rate::{Flow, Rate};
pub use retry::{Patience, Waits};
pub use session::{Begun, Session};
pub use source::{Opened, Source, SourceError};
pub use tls::{Fingerprint, Roots};
pub use transfer::Download;
pub use typed::{Typed, site_of};
pub use verify::{NotProven, Receipt, Verified};
