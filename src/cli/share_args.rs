//! What is typed about sharing.

use clap::{Args, Subcommand};

use std::io::Read as _;
use std::path::PathBuf;

use crate::operations::{Command, Failure, ShareRequest, UploadChange};
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
    /// No more files may be shared with it; what waits is still sent, or can be cancelled
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

/// A file or folder that is called like a command is written `./list`.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(super) struct ShareArgs {
    #[command(subcommand)]
    command: Option<ShareCmd>,
    /// Files and folders of the library, absolute, or relative to the library or else to this folder; one that is called list, retry or cancel
    /// is written ./list
    #[arg(value_name = "PATH", required_unless_present = "list")]
    paths: Vec<String>,
    /// An album as a list: a text file with a path on each line; - for standard input
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// The service
    #[arg(long, value_name = "NAME", required = true)]
    to: Option<String>,
    #[command(flatten)]
    send: SendArgs,
    /// Do not wait: a serving node sends them
    #[arg(long)]
    background: bool,
}

#[derive(Subcommand)]
pub(super) enum ShareCmd {
    /// Show what was shared, and how far it is
    List {
        /// One share, with its files
        #[arg(value_name = "ID")]
        share: Option<u64>,
    },
    /// Try again what failed, and wait
    Retry {
        /// Of one share only
        #[arg(value_name = "ID")]
        share: Option<u64>,
    },
    /// Send no more of what was not sent yet; what is on the service stays until it expires
    Cancel {
        /// Of one share only
        #[arg(value_name = "ID")]
        share: Option<u64>,
    },
}

/// A list of paths that is longer than this, in bytes, is none.
const LIST: u64 = 16 << 20;

impl ShareArgs {
    pub(super) fn command(self) -> Result<Command, Failure> {
        match self.command {
            Some(ShareCmd::List { share }) => return Ok(Command::ShareList { share }),
            Some(ShareCmd::Retry { share }) => return Ok(Command::ShareRetry { share }),
            Some(ShareCmd::Cancel { share }) => return Ok(Command::ShareCancel { share }),
            None => {}
        }
        let mut paths = self.paths;
        if let Some(list) = &self.list {
            paths.extend(read_list(list)?);
        }
        let SendArgs { folder, size, expires, unfit, gps } = self.send;
        let (from, to, background) =
            (std::env::current_dir().ok().and_then(|here| here.to_str().map(str::to_owned)), self.to.unwrap_or_default(), self.background);
        Ok(Command::Share(ShareRequest { paths, from, to, folder, size, expires, unfit, gps, background }))
    }
}

fn read_list(list: &std::path::Path) -> Result<Vec<String>, Failure> {
    let mut text = String::new();
    let read = match list.to_str() {
        Some("-") => std::io::stdin().take(LIST).read_to_string(&mut text),
        _ => std::fs::File::open(list).and_then(|file| file.take(LIST).read_to_string(&mut text)),
    };
    match read {
        Ok(read) if read as u64 == LIST => Err(Failure::usage(format!("the list {} is too long; share it in parts", list.display()))),
        Ok(_) => Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()),
        Err(error) => Err(Failure::usage(format!("the list {} cannot be read: {error}", list.display()))),
    }
}
