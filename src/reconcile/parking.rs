//! The names of ours under which files wait while others exchange their places.
//!
//! Such a file is indexed and listed like any other, so that a run which broke off is seen by the next one. It is no file of the owner's: it
//! is never sent or fetched, only put in its place when that is still wanted. Its name tells its content, because not every service does.

use crate::types::media::PARKED_PREFIX as PREFIX;
use crate::types::{ContentHash, KnownDigests, RelPath};

/// The name beside `path` under which a file of this content waits; none when it would be too long.
pub fn beside(path: &RelPath, content: &ContentHash) -> Option<RelPath> {
    let (_, extension) = path.stem_and_extension();
    let name = if extension.is_empty() { format!("{PREFIX}{content}") } else { format!("{PREFIX}{content}.{extension}") };
    // An extension may be as long as a name.
    path.with_name(&name).or_else(|_| path.with_name(&format!("{PREFIX}{content}"))).ok()
}

/// The content of the file that waits under this name; none for every other name.
pub fn content_of(path: &RelPath) -> Option<KnownDigests> {
    let content = path.name().strip_prefix(PREFIX)?.get(..64)?;
    ContentHash::from_hex(content).map(|content| KnownDigests { content: Some(content), sha1: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Digests;

    #[test]
    fn the_name_tells_the_content() {
        let content = Digests::of(b"x").content;
        for name in ["a/b.jpg", "c", &format!("d.{}", "e".repeat(250))] {
            let parked = beside(&RelPath::parse(name).unwrap(), &content).unwrap();
            assert_eq!(content_of(&parked).unwrap().content, Some(content), "{parked}");
            assert!(!crate::types::media::is_junk(parked.name()), "the index must know {parked}");
        }
        assert_eq!(content_of(&RelPath::parse(".twinlens-moving-abc").unwrap()), None);
    }
}
