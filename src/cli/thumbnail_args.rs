//! The arguments of `serve` about small pictures.

use clap::{Args, ValueEnum};

use crate::node::ThumbnailSettings;

use super::front_args::size;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum When {
    Background,
    OnRequest,
}

#[derive(Args)]
pub(super) struct ThumbnailArgs {
    /// When thumbnails are made: in the background, before anybody asks, or only when somebody asks
    #[arg(
        long,
        env = "TWINLENS_THUMBNAILS",
        value_name = "background|on-request",
        default_value = "background",
        help_heading = "Thumbnails"
    )]
    thumbnails: When,
    /// How much of them is kept in the data folder; what was not looked at for longest goes first
    #[arg(long, env = "TWINLENS_THUMBNAIL_CACHE", value_name = "2G", default_value = "2G", value_parser = size, help_heading = "Thumbnails")]
    thumbnail_cache: u64,
}

impl ThumbnailArgs {
    pub(super) fn settings(&self) -> ThumbnailSettings {
        ThumbnailSettings { background: self.thumbnails == When::Background, cache: self.thumbnail_cache }
    }
}
