//! The protocol without I/O: what server, client and fixtures must agree on.
//!
//! Rank 1. Bytes in, values out, and the reverse. Input is hostile until shown otherwise: no DTD, no entities beyond
//! XML's own five, bounded depth, and a document that ends early is an error, never a shorter list.

pub mod checksum;
pub mod conditions;
pub mod etag;
pub mod href;
pub mod if_header;
pub mod lockinfo;
pub mod multistatus;
pub mod names;
pub mod propfind;
pub mod proppatch;
pub mod sync;
pub mod xml;

pub use names::PropName;
