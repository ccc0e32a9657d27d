//! Chosen files on a service: as what they are sent, where to, for how long, and what is left there in the end.

mod api;
mod expiry;
mod killed;
pub mod photo;
mod queue;
mod service;
mod settings;
mod sizes;
