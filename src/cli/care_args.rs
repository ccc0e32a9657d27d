//! The arguments of `trash`, `conflicts` and `tombstones`, and those of `serve` about it.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};

use crate::config::{self, span};
use crate::operations::{Care, Command, Keep, TRASH_DAYS};
use crate::types::RelPath;

use super::args::Pause;

#[derive(Subcommand)]
pub(super) enum TrashCmd {
    /// List what was replaced or removed, the latest first
    List,
    /// Put files back; what is in their place by now stays, and they get a name beside it
    Restore {
        /// Where it was, a file or a folder, or the id of a removal
        #[arg(required = true, value_name = "PATH|ID")]
        what: Vec<String>,
        /// Another place for one file
        #[arg(long, value_name = "PATH", value_parser = path)]
        to: Option<RelPath>,
    },
    /// Let go for good of what has been there for longer than 30 days
    Empty(EmptyArgs),
}

#[derive(Args)]
pub(super) struct EmptyArgs {
    /// Of what has been there for longer than this: 30d, 12h, ...
    #[arg(long, value_name = "30d", value_parser = span)]
    older_than: Option<Duration>,
    /// Of everything
    #[arg(long, conflicts_with = "older_than")]
    all: bool,
}

impl TrashCmd {
    pub(super) fn care(self) -> Care {
        match self {
            Self::List => Care::TrashList,
            Self::Restore { what, to } => Care::TrashRestore { what, to },
            Self::Empty(EmptyArgs { all: true, .. }) => Care::TrashEmpty { older_than: Duration::ZERO },
            Self::Empty(EmptyArgs { older_than, .. }) => {
                Care::TrashEmpty { older_than: older_than.unwrap_or(Duration::from_secs(TRASH_DAYS * 86_400)) }
            }
        }
    }
}

#[derive(Args)]
pub(super) struct IndexArgs {
    /// Read every file again; what was damaged is fetched back from a service that has it
    #[arg(long, conflicts_with = "accept")]
    verify: bool,
    /// Take a damaged file, or all in a folder, as it is: an edit
    #[arg(long, value_name = "PATH", value_parser = path)]
    accept: Vec<RelPath>,
}

impl IndexArgs {
    pub(super) fn command(self) -> Command {
        match self {
            Self { verify: true, .. } => Command::Care(Care::Verify),
            Self { accept, .. } if !accept.is_empty() => Command::Care(Care::Accept { paths: accept }),
            _ => Command::Index,
        }
    }
}

#[derive(Args)]
pub(super) struct ConflictsArgs {
    #[command(subcommand)]
    command: Option<ConflictsCmd>,
}

#[derive(Subcommand)]
enum ConflictsCmd {
    /// List the copies that exist now (as without a subcommand)
    List,
    /// Decide about one; what is given up goes to the trash, and the next sync carries it over
    Resolve {
        /// The file, or its conflict copy
        #[arg(value_name = "PATH", value_parser = path)]
        path: RelPath,
        /// this: what has the name; other: the copy; both: the copy gets a plain name
        #[arg(long, value_name = "this|other|both")]
        keep: KeepArg,
    },
}

#[derive(Clone, Copy, ValueEnum)]
enum KeepArg {
    This,
    Other,
    Both,
}

impl ConflictsArgs {
    pub(super) fn care(self) -> Care {
        match self.command {
            None | Some(ConflictsCmd::List) => Care::Conflicts,
            Some(ConflictsCmd::Resolve { path, keep }) => {
                let keep = match keep {
                    KeepArg::This => Keep::This,
                    KeepArg::Other => Keep::Other,
                    KeepArg::Both => Keep::Both,
                };
                Care::Resolve { path, keep }
            }
        }
    }
}

#[derive(Subcommand)]
pub(super) enum TombstonesCmd {
    /// List them
    List {
        /// Of this service only
        service: Option<String>,
    },
    /// Forget some: what was deleted may come back with the next sync
    Forget(ForgetArgs),
}

#[derive(Args)]
#[group(skip)]
pub(super) struct ForgetArgs {
    /// The service
    service: String,
    /// A file, or a folder with everything below it
    #[arg(value_name = "PATH|FOLDER", value_parser = path, required_unless_present = "all")]
    path: Option<RelPath>,
    /// All of this service
    #[arg(long, conflicts_with = "path")]
    all: bool,
}

impl TombstonesCmd {
    pub(super) fn care(self) -> Care {
        match self {
            Self::List { service } => Care::Tombstones { service },
            Self::Forget(ForgetArgs { service, path, .. }) => Care::ForgetTombstones { service, at: path.unwrap_or_default() },
        }
    }
}

/// How a serving node looks after the library.
#[derive(Args)]
pub(super) struct CareArgs {
    /// For how many days the trash keeps what was replaced or removed; off: for ever
    #[arg(long, env = "TWINLENS_TRASH_DAYS", default_value = "30", value_name = "30|off", value_parser = days)]
    pub trash_days: Pause,
    /// How often every file is read again, at a polite pace, to find damage: 30d, 12h, ...; off: never
    #[arg(long, env = "TWINLENS_VERIFY_INTERVAL", default_value = "30d", value_name = "30d|off", value_parser = interval)]
    pub verify_interval: Pause,
}

fn days(text: &str) -> Result<Pause, String> {
    config::days(text).map(Pause)
}

fn interval(text: &str) -> Result<Pause, String> {
    config::interval(text).map(Pause)
}

pub(super) fn path(text: &str) -> Result<RelPath, String> {
    RelPath::parse_lenient(text).map_err(|error| format!("it cannot be a path of the library: {error}"))
}
