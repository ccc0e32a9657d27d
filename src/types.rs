//! The words everything else is written in: paths, digests, versions, expectations.
//!
//! Rank 0. No I/O and no policy. A value of these types is already valid: what comes from outside is parsed
//! at the border ([`RelPath::parse`], [`ContentHash::from_hex`], ...) and never checked again further in.

pub mod backoff;
pub mod clock;
pub mod copy_name;
pub mod digest;
pub mod evidence;
pub mod expect;
pub mod expiry;
pub mod id;
pub mod magic;
pub mod media;
pub mod path;
pub mod rendition;
pub mod side;
pub mod stack;
pub mod time;
pub mod version;

pub use clock::Clock;
pub use copy_name::CopyName;
pub use digest::{ContentHash, Digests, Hasher, KnownDigests, Sha1};
pub use evidence::Evidence;
pub use expect::Expect;
pub use expiry::Expires;
pub use id::{LibraryId, ServiceId};
pub use media::MediaKind;
pub use path::{PathError, RelPath};
pub use rendition::{Gps, Size, Unfit};
pub use side::Side;
pub use time::Mtime;
pub use version::{LocalVersion, RemoteVersion};
