//! Twinlens keeps photo libraries in step over WebDAV.
//!
//! The map, from the ground up. A room imports only rooms of lower rank (a test holds that):
//!
//! | rank | room | owns |
//! | --- | --- | --- |
//! | 0 | [`types`] | paths, digests, versions, expectations |
//! | 1 | [`config`] | settings as they are written |
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
//!
//! # In another program
//!
//! A [`Node`](node::Node) is a library, its index, its services, and what it serves. Several can live in one process. It needs a tokio
//! runtime of several threads; everything that the command line and the API can do is a method of its
//! [`Operations`](operations::Operations), which it lends.
//!
//! ```
//! use futures_util::StreamExt as _;
//! use twinlens::node::Node;
//! use twinlens::operations::{NewService, SyncChange, SyncRequest};
//!
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let path = |name: &str| folder.path().join(name);
//! # for library in ["photos", "copies"] { std::fs::create_dir(path(library))?; }
//! # std::fs::write(path("photos/beach.jpg"), "a picture")?;
//! // The caller brings the listener; on port 0 the system chooses.
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let attic = Node::builder(path("attic"))
//!     .library(Some(path("copies")))
//!     .admin_password(Some("a good password".into()))
//!     .listener(listener)
//!     .start()
//!     .await?;
//!
//! // Another one, in the same process; it takes no connections and is driven by calls.
//! let desk = Node::builder(path("desk")).library(Some(path("photos"))).by_hand().start().await?;
//! let mut events = desk.events().stream();
//! desk.add_service(NewService {
//!     name: "attic".into(),
//!     url: format!("{}/originals/", attic.url().unwrap_or_default()),
//!     user: "admin".into(),
//!     password: "a good password".into(),
//!     fingerprint: None,
//!     allow_http: false,
//!     kind: None,
//! })
//! .await?;
//! desk.change_sync("attic".into(), SyncChange { upload: Some(true), ..SyncChange::default() }).await?;
//! let reports = desk.sync(SyncRequest::default()).await?;
//! assert_eq!((reports[0].uploaded, reports[0].verified), (1, 1));
//! assert_eq!(std::fs::read(path("copies/beach.jpg"))?, b"a picture");
//! println!("{:?}", events.next().await);
//!
//! // In order: no new requests, those under way may end, the state is closed.
//! desk.stop().await;
//! attic.stop().await;
//! # Ok(())
//! # }
//! ```
//!
//! [`Node::service`](node::Node::service) is everything that a node serves, as a service of tower and hyper, to be mounted into a server
//! of the caller's. [`Builder::clock`](node::Builder::clock) takes the time from the caller.

pub mod accounts;
pub mod cli;
pub mod client;
pub mod config;
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
