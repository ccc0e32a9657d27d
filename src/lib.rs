//! Twinlens keeps photo libraries in step over WebDAV.
//!
//! The map, from the ground up. A room imports only rooms of lower rank (a test holds that):
//!
//! | rank | room | owns |
//! | --- | --- | --- |
//! | 0 | [`types`] | paths, digests, versions, expectations |
//! | 1 | [`dav`] | the protocol without I/O |
//! | 1 | [`events`] | the in-process event bus |
//! | 1 | [`reconcile`] | the pure merge kernel |
//! | 2 | [`store`] | redb tables and typed rows |
//! | 2 | [`client`] | the WebDAV client, and the proof that an upload arrived |
//! | 3 | [`library`] | the one door to photos on disk |
//! | 3 | [`accounts`] | people, passwords, logins |
//! | 3 | [`services`] | remote accounts and their secrets |
//! | 4 | [`sync`] | two-way sync with one service |
//! | 4 | [`share`] | the queue of chosen files, with size and expiry |
//! | 5 | [`scheduler`] | when which service is synced |
//! | 6 | [`operations`] | everything a node can do, as typed calls |
//! | 7 | [`server`] | HTTP and its limits, login, WebDAV, the surface of Nextcloud and ownCloud, the API |
//! | 8 | [`node`] | the composition root and embedding API |
//! | 9 | [`cli`] | the command line |

pub mod accounts;
pub mod cli;
pub mod client;
pub mod dav;
pub mod events;
pub mod library;
pub mod node;
pub mod operations;
pub mod reconcile;
pub mod scheduler;
pub mod server;
pub mod services;
pub mod share;
pub mod store;
pub mod sync;
pub mod types;
