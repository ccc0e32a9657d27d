//! Names by capture date: YYYY/MM/YYYYMMDD_HHMMSS_CRC32C.EXT, as PhotoPrism's import makes them.

use std::fs::File;
use std::io;
use std::path::Path;

use jiff::civil::DateTime;

use crate::types::{Mtime, RelPath};

use super::pieces;
use super::taken::{Hints, taken};

/// The name for a file whose bytes are at `place`, which was called `original` and last modified at `mtime`.
/// The date is when the picture was taken, in the camera's time; without one it is the one in its name, or `mtime` in UTC.
pub fn capture_name(place: &Path, original: &RelPath, mtime: Mtime) -> io::Result<RelPath> {
    let taken = taken(&Hints { place, name: original.name(), sidecars: &[], mtime });
    let (_, extension) = original.stem_and_extension();
    dated(taken, crc32c_of(place)?, extension)
}

/// The name for a moment, a checksum and an extension.
pub(super) fn dated(taken: DateTime, checksum: u32, extension: &str) -> io::Result<RelPath> {
    let dot = if extension.is_empty() { "" } else { "." };
    let name = format!("{}_{checksum:08X}{dot}{}", taken.strftime("%Y/%m/%Y%m%d_%H%M%S"), extension.to_lowercase());
    RelPath::parse(&name).map_err(io::Error::other)
}

fn crc32c_of(place: &Path) -> io::Result<u32> {
    let mut file = File::open(place)?;
    let (size, mut checksum) = (file.metadata()?.len(), 0);
    pieces::each(&mut file, size, |piece| {
        checksum = crc32c::crc32c_append(checksum, piece);
        Ok(())
    })?;
    Ok(checksum)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_of(sample: &str) -> String {
        let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sample").join(sample);
        let original = RelPath::parse(sample).unwrap();
        capture_name(&place, &original, Mtime::from_seconds(86_400)).unwrap().to_string()
    }

    #[test]
    fn dates_come_out_of_every_kind_of_file() {
        for (sample, month) in [
            ("lake.jpg", "2019/07/2019"),
            ("valley.heic", "2020/09/2020"),
            ("canyon.dng", "2017/05/20170520_192240_"),
            ("parade.mp4", "2022/06/2022"),
            ("fireworks.mov", "2024/01/20240101_000309_"),
        ] {
            let name = name_of(sample);
            assert!(name.starts_with(month), "{sample}: {name}");
        }
    }

    #[test]
    fn without_a_date_the_mtime_counts() {
        assert!(name_of("badge.png").starts_with("1970/01/19700102_000000_"), "{}", name_of("badge.png"));
    }
}
