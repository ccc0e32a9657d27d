//! What takes part in a sync. The same filter for both sides.

use crate::store::StoreError;
use crate::store::index::Index;
use crate::store::remote::RemoteView;
use crate::types::media::is_junk;
use crate::types::{MediaKind, RelPath, Side};

/// Whether RAW files and videos take part, and which files belong together.
pub(super) struct Filter<'a> {
    pub raw_and_video: bool,
    pub index: &'a Index,
    pub view: &'a RemoteView,
}

impl Filter<'_> {
    /// Whether the file at `path`, seen on `side`, takes part. A video beside a still picture of the same stem is the moving half of a
    /// Live Photo and counts as part of the picture; a sidecar goes with the file that it describes.
    pub(super) fn admits(&self, side: Side, path: &RelPath) -> Result<bool, StoreError> {
        if self.raw_and_video {
            return Ok(true);
        }
        let (stem, extension) = path.stem_and_extension();
        Ok(match MediaKind::of_extension(extension) {
            MediaKind::Image | MediaKind::Vector => true,
            MediaKind::Raw => false,
            MediaKind::Video => self.companions(side, path, stem)?.contains(&MediaKind::Image),
            MediaKind::Sidecar => {
                // `IMG_1.MOV.xmp` describes one file, `IMG_1.xmp` the whole stack of that stem.
                let described = RelPath::parse(stem).map(|path| path.stem_and_extension().1.to_owned()).unwrap_or_default();
                let main_stem = stem.strip_suffix(&format!(".{described}")).unwrap_or(stem);
                let companions = self.companions(side, path, main_stem)?;
                companions.is_empty() || companions.contains(&MediaKind::Image)
            }
        })
    }

    /// The kinds of the pictures and videos in the same folder whose names are `stem` and an extension.
    fn companions(&self, side: Side, path: &RelPath, stem: &str) -> Result<Vec<MediaKind>, StoreError> {
        let folder = path.parent().unwrap_or_default();
        let prefix = format!("{stem}.");
        let names: Vec<RelPath> = match side {
            Side::Local => self.index.members(&folder, &prefix)?.map(|item| Ok(item?.0)).collect::<Result<_, StoreError>>()?,
            Side::Remote => self.view.members(&folder, &prefix)?.map(|item| Ok(item?.0)).collect::<Result<_, StoreError>>()?,
        };
        let kinds = names.iter().map(RelPath::stem_and_extension).filter(|(own, _)| *own == stem);
        Ok(kinds.map(|(_, extension)| MediaKind::of_extension(extension)).filter(|kind| kind.is_media()).collect())
    }
}

/// Whether a path can take part at all.
pub(super) fn is_litter(path: &RelPath) -> bool {
    path.segments().any(is_junk)
}
