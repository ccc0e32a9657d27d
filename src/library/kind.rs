//! What kind of file lies at a path: by its name, and where the name means several things by its first bytes.

use std::io::Read as _;

use crate::types::{MediaKind, RelPath, magic};

use super::{LibraryError, Tree};

impl Tree {
    /// What a file is. Most names tell it without a look.
    pub fn kind(&self, path: &RelPath) -> Result<MediaKind, LibraryError> {
        let (_, extension) = path.stem_and_extension();
        if !MediaKind::is_ambiguous(extension) {
            return Ok(MediaKind::of_extension(extension));
        }
        let mut head = Vec::new();
        let read = self.open_file(path)?.file.take(magic::ENOUGH as u64).read_to_end(&mut head);
        read.map_err(|error| LibraryError::io(path, error))?;
        Ok(magic::kind(extension, &head))
    }
}
