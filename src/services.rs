//! Remote accounts: where they are, how they are synced, their passwords.
//!
//! Rank 3. Passwords are encrypted at rest with the key in `secret.key` or TWINLENS_SECRET, and are handed out only inside an
//! [`Endpoint`](crate::client::Endpoint).

pub mod delivery;
pub mod discovery;
pub mod doctor;
mod findings;
mod kind;
mod portable;
mod registry;
mod secret;
mod service;
mod settings;
mod uploads;
mod window;

pub use findings::{Checksums, Findings, Reached, Way};
pub use kind::{Kind, Timeout};
pub use portable::{Carried, Imported, PortableError, export, read};
pub use registry::Services;
pub use secret::{SecretError, SecretKey};
pub use service::{Account, Origin, RETRIES_LIMIT, Service, ServiceError, check_name};
pub use settings::{SyncSettings, Trust, Verify};
pub use uploads::UploadSettings;
pub use window::Window;
