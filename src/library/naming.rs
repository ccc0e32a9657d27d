//! Names by capture date: YYYY/MM/YYYYMMDD_HHMMSS_CRC32C.EXT, as PhotoPrism's import makes them.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use jiff::civil::DateTime;

use crate::types::{Mtime, RelPath};

use super::pieces;
use super::taken::{Hints, taken, told};

/// A file that is to get a name.
#[derive(Debug, Clone)]
pub struct Untitled {
    /// Where its bytes are.
    pub place: PathBuf,
    /// What it was called.
    pub name: String,
    /// Last modified.
    pub mtime: Mtime,
}

/// The name, without an extension, for files that belong together. The main one comes first, and its bytes make the checksum.
///
/// The date is when it was taken, in the camera's time: as the file itself says, its sidecars, or another of the files; without one it is the
/// one in its name, or its `mtime` in UTC. None without files.
pub fn capture_stem(files: &[Untitled], sidecars: &[(PathBuf, String)]) -> io::Result<Option<RelPath>> {
    let Some(main) = files.first() else { return Ok(None) };
    let hints = |file: &'_ Untitled| told(&Hints { place: &file.place, name: &file.name, sidecars: &[], mtime: file.mtime });
    let own = Hints { place: &main.place, name: &main.name, sidecars, mtime: main.mtime };
    let when = told(&own).or_else(|| files.iter().skip(1).find_map(hints)).unwrap_or_else(|| taken(&own));
    dated(when, crc32c_of(&main.place)?, "").map(Some)
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
        let file = Untitled { place, name: sample.to_owned(), mtime: Mtime::from_seconds(86_400) };
        capture_stem(&[file], &[]).unwrap().unwrap().to_string()
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
