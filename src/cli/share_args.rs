//! What is typed about sharing.

use clap::Args;

use crate::operations::UploadChange;
use crate::types::{Expires, Gps, Size, Unfit};

/// How files are sent; what is not said is as it was set up for the service.
#[derive(Args)]
pub(super) struct SendArgs {
    /// The folder on the service, below its WebDAV root; it is made when it is missing; at first /
    #[arg(long, value_name = "/F")]
    pub folder: Option<String>,
    /// The file as it is, or a JPEG that fits into a square of so many pixels: original, fit_720, fit_1280, fit_1920, fit_2048, fit_2560,
    /// fit_3840, fit_4096, fit_7680; at first original
    #[arg(long, value_name = "SIZE")]
    pub size: Option<Size>,
    /// When uploads are removed from the service again: never, 1d, 3d, 7d, 14d, 30d, 60d, 180d, 365d after they arrived; at first never
    #[arg(long, value_name = "never|7d")]
    pub expires: Option<Expires>,
    /// Files of which no JPEG can be made (RAW, HEIC, videos): send them as they are (original), send the JPEG that the camera put into a RAW
    /// file and leave out the others (jpeg), leave them all out (skip); at first original. Which ones is told
    #[arg(long, value_name = "original|jpeg|skip")]
    pub unfit: Option<Unfit>,
    /// Whether the JPEGs that are made tell where a picture was taken; at first keep
    #[arg(long, value_name = "keep|remove")]
    pub gps: Option<Gps>,
}

#[derive(Args)]
pub(super) struct ServiceUploadArgs {
    pub name: String,
    /// Files may be shared with it; that is so at first
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// No files may be shared with it
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    send: SendArgs,
}

impl ServiceUploadArgs {
    pub(super) fn change(self) -> UploadChange {
        let SendArgs { folder, size, expires, unfit, gps } = self.send;
        UploadChange { on: (self.on || self.off).then_some(self.on), folder, size, expires, unfit, gps }
    }
}
