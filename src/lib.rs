//! Twinlens keeps photo libraries in step over WebDAV.
//!
//! The map, from the ground up. A room imports only rooms of lower rank (a test holds that):
//!
//! | rank | room | owns |
//! | --- | --- | --- |
//! | 0 | [`types`] | paths, digests, versions, expectations |
//! | 1 | [`dav`] | the protocol without I/O |
//! | 1 | [`reconcile`] | the pure merge kernel |
//! | 2 | [`store`] | redb tables and typed rows |
//! | 2 | [`client`] | the WebDAV client, and the proof that an upload arrived |
//! | 3 | [`library`] | the one door to photos on disk |

pub mod client;
pub mod dav;
pub mod library;
pub mod reconcile;
pub mod store;
pub mod types;
