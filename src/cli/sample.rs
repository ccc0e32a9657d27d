//! The sample library, built into the program so that the demo needs no files beside it.
//!
//! `fixtures/make_sample.py` makes the files; `fixtures/sample.tsv` says which lies where on which node.

/// The bytes of each file, by its name in `fixtures/sample/`.
#[rustfmt::skip]
const FILES: &[(&str, &[u8])] = &[
    ("aurora.jpg", include_bytes!("../../fixtures/sample/aurora.jpg")),
    ("autumn.jpg", include_bytes!("../../fixtures/sample/autumn.jpg")),
    ("badge.png", include_bytes!("../../fixtures/sample/badge.png")),
    ("balloons.jpg", include_bytes!("../../fixtures/sample/balloons.jpg")),
    ("beach.jpg", include_bytes!("../../fixtures/sample/beach.jpg")),
    ("beach.jpg.supplemental-metadata.json", include_bytes!("../../fixtures/sample/beach.jpg.supplemental-metadata.json")),
    ("blossom.jpg", include_bytes!("../../fixtures/sample/blossom.jpg")),
    ("bridge.jpg", include_bytes!("../../fixtures/sample/bridge.jpg")),
    ("cake.jpg", include_bytes!("../../fixtures/sample/cake.jpg")),
    ("campfire.gif", include_bytes!("../../fixtures/sample/campfire.gif")),
    ("canyon.dng", include_bytes!("../../fixtures/sample/canyon.dng")),
    ("canyon.xmp", include_bytes!("../../fixtures/sample/canyon.xmp")),
    ("cat.jpg", include_bytes!("../../fixtures/sample/cat.jpg")),
    ("cat.jpg.suppl.json", include_bytes!("../../fixtures/sample/cat.jpg.suppl.json")),
    ("coast.aae", include_bytes!("../../fixtures/sample/coast.aae")),
    ("coast.heic", include_bytes!("../../fixtures/sample/coast.heic")),
    ("dunes.jpg", include_bytes!("../../fixtures/sample/dunes.jpg")),
    ("dunes.yml", include_bytes!("../../fixtures/sample/dunes.yml")),
    ("fireworks.mov", include_bytes!("../../fixtures/sample/fireworks.mov")),
    ("glacier.heic", include_bytes!("../../fixtures/sample/glacier.heic")),
    ("harbor-live.heic", include_bytes!("../../fixtures/sample/harbor-live.heic")),
    ("harbor-live.mov", include_bytes!("../../fixtures/sample/harbor-live.mov")),
    ("junk-ds_store.bin", include_bytes!("../../fixtures/sample/junk-ds_store.bin")),
    ("junk-part.bin", include_bytes!("../../fixtures/sample/junk-part.bin")),
    ("junk-thumbs.bin", include_bytes!("../../fixtures/sample/junk-thumbs.bin")),
    ("kite-1.jpg", include_bytes!("../../fixtures/sample/kite-1.jpg")),
    ("kite-2.jpg", include_bytes!("../../fixtures/sample/kite-2.jpg")),
    ("lake.jpg", include_bytes!("../../fixtures/sample/lake.jpg")),
    ("lighthouse.jpg", include_bytes!("../../fixtures/sample/lighthouse.jpg")),
    ("lighthouse.jpg.xmp", include_bytes!("../../fixtures/sample/lighthouse.jpg.xmp")),
    ("map.png", include_bytes!("../../fixtures/sample/map.png")),
    ("meadow.webp", include_bytes!("../../fixtures/sample/meadow.webp")),
    ("moon.jpg", include_bytes!("../../fixtures/sample/moon.jpg")),
    ("parade.mp4", include_bytes!("../../fixtures/sample/parade.mp4")),
    ("pattern.png", include_bytes!("../../fixtures/sample/pattern.png")),
    ("pines.jpg", include_bytes!("../../fixtures/sample/pines.jpg")),
    ("rainbow.jpg", include_bytes!("../../fixtures/sample/rainbow.jpg")),
    ("ridge.dng", include_bytes!("../../fixtures/sample/ridge.dng")),
    ("ridge.jpg", include_bytes!("../../fixtures/sample/ridge.jpg")),
    ("ridge.xmp", include_bytes!("../../fixtures/sample/ridge.xmp")),
    ("sailboat.jpg", include_bytes!("../../fixtures/sample/sailboat.jpg")),
    ("screenshot.png", include_bytes!("../../fixtures/sample/screenshot.png")),
    ("skyline.jpg", include_bytes!("../../fixtures/sample/skyline.jpg")),
    ("snow.jpg", include_bytes!("../../fixtures/sample/snow.jpg")),
    ("summit.jpg", include_bytes!("../../fixtures/sample/summit.jpg")),
    ("tower.jpg", include_bytes!("../../fixtures/sample/tower.jpg")),
    ("train.mov", include_bytes!("../../fixtures/sample/train.mov")),
    ("tulips.jpg", include_bytes!("../../fixtures/sample/tulips.jpg")),
    ("valley.heic", include_bytes!("../../fixtures/sample/valley.heic")),
    ("waterfall.jpg", include_bytes!("../../fixtures/sample/waterfall.jpg")),
    ("waves.mp4", include_bytes!("../../fixtures/sample/waves.mp4")),
];

/// One file in one library.
pub(super) struct Placement {
    /// `a` or `b`.
    pub node: &'static str,
    /// The path in that library.
    pub path: &'static str,
    /// Its bytes.
    pub bytes: &'static [u8],
}

/// Where everything lies; a line of the table that names no file is left out (a test looks for such lines).
pub(super) fn placements() -> impl Iterator<Item = Placement> {
    include_str!("../../fixtures/sample.tsv").lines().filter_map(placement)
}

fn placement(line: &'static str) -> Option<Placement> {
    let mut columns = line.split('\t');
    let (name, node, path) = (columns.next()?, columns.next()?, columns.next()?);
    let (_, bytes) = FILES.iter().find(|(file, _)| *file == name)?;
    Some(Placement { node, path, bytes })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_names_a_file_and_a_usable_path() {
        for line in include_str!("../../fixtures/sample.tsv").lines() {
            let placement = placement(line).unwrap_or_else(|| panic!("{line}"));
            assert!(matches!(placement.node, "a" | "b"));
            assert!(crate::types::RelPath::parse(placement.path).is_ok(), "{line}");
        }
        assert!(FILES.len() >= 40);
    }
}
