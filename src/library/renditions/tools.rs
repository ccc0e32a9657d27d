//! Programs on this machine that can decode what is not decoded here: HEIC, AVIF and JPEG XL pictures, and videos.
//!
//! They are given the open file, never a name, so that no name means anything to them.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use super::boxes::Container;
use super::child::{self, Broken, Output};

/// Where the open file is, for whoever gets it as standard input.
const INPUT: &str = "/dev/fd/0";
/// What ffmpeg may take a file for. Nothing that names other files (playlists, lists, descriptions of streams) is among them.
const VIDEOS: &str =
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,mpegvideo,m4v,asf,flv,ogg,mxf,dv,h264,hevc,av1,obu,ivf,mjpeg,vc1";
const STILLS: &str = "mov,mp4,m4a,3gp,3g2,mj2,avif,jpegxl_pipe";

/// What was found on this machine.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tools {
    /// Of libheif.
    heif: Option<PathBuf>,
    /// Of libjxl.
    jxl: Option<PathBuf>,
    ffmpeg: Option<PathBuf>,
}

impl Tools {
    /// Looks for them in the folders of PATH that are absolute.
    pub fn find(path: Option<&OsStr>) -> Self {
        let folders: Vec<PathBuf> =
            path.map(|path| std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect()).unwrap_or_default();
        let find = |name: &str| folders.iter().map(|folder| folder.join(name)).find(|place| is_program(place));
        // The older name is a link to the newer one by now.
        Self { heif: find("heif-dec").or_else(|| find("heif-convert")), jxl: find("djxl"), ffmpeg: find("ffmpeg") }
    }

    fn all(&self) -> impl Iterator<Item = &PathBuf> {
        [&self.heif, &self.jxl, &self.ffmpeg].into_iter().flatten()
    }

    /// The names of those that are there.
    pub fn names(&self) -> Vec<String> {
        self.all().filter_map(|place| Some(place.file_name()?.to_string_lossy().into_owned())).collect()
    }

    /// Another one whenever a program came, went or was replaced.
    pub(in crate::library) fn stamp(&self) -> String {
        let stamps = self.all().map(|place| {
            let told = fs::metadata(place).map(|told| (told.mtime(), told.len())).unwrap_or_default();
            format!("{}@{}+{}", place.display(), told.0, told.1)
        });
        stamps.collect::<Vec<_>>().join(";")
    }

    /// A picture as a JPEG or bitmap, by the first program that can. None: there is no program for it. `scratch` is a private folder.
    pub(super) fn still(&self, kind: Container, file: &File, scratch: &Path, stop: &AtomicBool) -> Option<Result<Vec<u8>, Broken>> {
        let heif = self.heif.as_deref().filter(|_| kind != Container::JpegXl);
        let heif = heif.map(|program| (program, vec!["-q", "95", INPUT], Some("picture.jpg")));
        let jxl = self.jxl.as_deref().filter(|_| kind == Container::JpegXl).map(|program| (program, vec![INPUT], Some("picture.png")));
        // The one that is here often knows a HEIC picture by its first tile only.
        let ffmpeg = self.ffmpeg.as_deref().filter(|_| kind != Container::Heic).map(|program| (program, ffmpeg(STILLS, None), None));
        let mut last = None;
        for (program, arguments, into) in [heif, jxl, ffmpeg].into_iter().flatten() {
            let made = match into {
                Some(name) => {
                    Work::begin(scratch).and_then(|work| child::run(program, &arguments, file, Output::File(&work.0.join(name)), stop))
                }
                None => child::run(program, &arguments, file, Output::Pipe, stop),
            };
            match made {
                Ok(bytes) => return Some(Ok(bytes)),
                Err(Broken::Stopped) => return Some(Err(Broken::Stopped)),
                Err(broken) => last = Some(Err(broken)),
            }
        }
        last
    }

    /// A picture of a video, as a bitmap: that of its first second, which is more often a good one than the very first; of a shorter one the
    /// first. None: there is no program for it.
    pub(super) fn poster(&self, file: &File, stop: &AtomicBool) -> Option<Result<Vec<u8>, Broken>> {
        let program = self.ffmpeg.as_deref()?;
        let run = |at| child::run(program, &ffmpeg(VIDEOS, at), file, Output::Pipe, stop);
        Some(match run(Some("1")) {
            Err(Broken::Failed(_)) => run(None),
            made => made,
        })
    }
}

fn ffmpeg(formats: &'static str, at: Option<&'static str>) -> Vec<&'static str> {
    let mut arguments = vec!["-nostdin", "-hide_banner", "-loglevel", "quiet", "-max_alloc", "268435456", "-threads", "1"];
    arguments.extend(["-protocol_whitelist", "file", "-format_whitelist", formats]);
    arguments.extend(at.into_iter().flat_map(|at| ["-ss", at]));
    arguments.extend(["-i", "file:/dev/fd/0", "-map", "0:v:0", "-an", "-sn", "-dn", "-frames:v", "1"]);
    arguments.extend(["-pix_fmt", "bgr24", "-c:v", "bmp", "-f", "image2pipe", "pipe:1"]);
    arguments
}

fn is_program(place: &Path) -> bool {
    fs::metadata(place).is_ok_and(|told| told.is_file() && told.permissions().mode() & 0o111 != 0)
}

/// A private folder for what a program writes; removed when this is dropped.
struct Work(PathBuf);

impl Work {
    fn begin(scratch: &Path) -> Result<Self, Broken> {
        let place = scratch.join(format!("{}{}", super::WORK, uuid::Uuid::new_v4().simple()));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&place).map_err(|error| Broken::Failed(error.to_string()))?;
        Ok(Self(place))
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            tracing::warn!(%error, place = %self.0.display(), "a temporary folder could not be removed");
        }
    }
}
