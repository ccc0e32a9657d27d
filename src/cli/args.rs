//! Arguments, as typed. The names are fixed: scripts depend on them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::accounts::{Given, Grant, GrantChange, Role};
use crate::client::Rate;
use crate::config;
use crate::operations::{Limit, SyncChange};
use crate::reconcile::Deletes;
use crate::services::{Trust, Verify, Window};
use crate::types::RelPath;

use super::care_args::{CareArgs, ConflictsArgs, IndexArgs, TombstonesCmd, TrashCmd};
use super::front_args::FrontArgs;
use super::hook_args::HookArgs;
use super::service_args::ServiceCmd;
use super::share_args::ShareArgs;
use super::thumbnail_args::ThumbnailArgs;

/// Keeps photo libraries in step over WebDAV.
#[derive(Parser)]
#[command(name = "twinlens", version, about, propagate_version = true)]
pub(super) struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Cmd,
}

/// What every command takes.
#[derive(Args, Clone)]
pub(super) struct Global {
    /// Where state and settings are kept [default: twinlens in the user's data directory]
    #[arg(long, global = true, env = "TWINLENS_DATA", value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// The library; remembered by the first `serve`
    #[arg(long, global = true, env = "TWINLENS_LIBRARY", value_name = "DIR")]
    pub library: Option<PathBuf>,
    /// Print one JSON document on standard output
    #[arg(long, global = true)]
    pub json: bool,
    /// How the log on standard error is written: lines for people, or one JSON object a line
    #[arg(long, global = true, env = "TWINLENS_LOG_FORMAT", value_name = "text|json", default_value = "text")]
    pub log_format: LogFormat,
    /// Say more on standard error; twice for even more
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The file of settings says that the node is to be served in public mode.
    #[arg(skip)]
    pub public_by_file: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum LogFormat {
    Text,
    Json,
}

#[derive(Subcommand)]
pub(super) enum Cmd {
    /// Show two paired nodes that sync a sample library
    Demo(DemoArgs),
    /// Serve the library over WebDAV
    Serve(Box<ServeArgs>),
    /// Who may log in
    #[command(subcommand)]
    User(UserCmd),
    /// Remote accounts: other nodes, Nextcloud, ownCloud, any WebDAV server
    #[command(subcommand)]
    Service(ServiceCmd),
    /// Send chosen files to a service, and show, retry or cancel what is sent
    Share(ShareArgs),
    /// Sync now and wait
    Sync(SyncArgs),
    /// Sync no more by itself, until resumed
    Pause(OneOrAll),
    /// Sync by itself again
    Resume(OneOrAll),
    /// Stop the sync that goes on; what is done stays done, the next one does the rest
    Cancel(OneOrAll),
    /// Show the syncs that were
    History {
        /// Of this service only
        name: Option<String>,
        /// One of them, with what became of its files
        #[arg(long, value_name = "ID")]
        run: Option<u64>,
    },
    /// Bring the index up to date with the library
    Index(IndexArgs),
    /// Show the library, the services and their last runs
    Status,
    /// Back up the state, the key and the settings, while the node runs; photos are not in it
    Backup {
        /// A new file; it holds secrets, and only you can read it
        file: PathBuf,
    },
    /// Put a backup of the state back; the node must not run
    Restore {
        /// What `twinlens backup` wrote
        file: PathBuf,
        /// Move aside what is there now
        #[arg(long)]
        replace: bool,
    },
    /// What was replaced or removed: list it, put it back, let it go
    #[command(subcommand)]
    Trash(TrashCmd),
    /// Files that were changed on both sides: both versions, and what shall become of them
    Conflicts(ConflictsArgs),
    /// Deletions that are remembered, so that what was deleted does not come back
    #[command(subcommand)]
    Tombstones(TombstonesCmd),
}

impl Cmd {
    /// Whether it heeds the settings of the data folder.
    pub(super) fn reads_settings(&self) -> bool {
        !matches!(self, Self::Demo(_) | Self::Restore { .. })
    }
}

#[derive(Args)]
pub(super) struct OneOrAll {
    /// The service; all when none is named
    pub name: Option<String>,
}

#[derive(Args)]
pub(super) struct DemoArgs {
    /// Where the two nodes are built; must be empty or missing [default: a temporary folder, removed at the end]
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
    /// Sync, prove by hashing both libraries, and exit
    #[arg(long)]
    pub once: bool,
}

#[derive(Args)]
pub(super) struct ServeArgs {
    /// Where clients may drop files [default: import in the data folder]
    #[arg(long, env = "TWINLENS_IMPORT", value_name = "DIR")]
    pub import: Option<PathBuf>,
    /// Address and port
    #[arg(long, env = "TWINLENS_LISTEN", default_value = "127.0.0.1:2342", value_name = "ADDRESS:PORT")]
    pub listen: SocketAddr,
    /// Refuse every change through the server
    #[arg(long, env = "TWINLENS_READ_ONLY")]
    pub read_only: bool,
    /// Serve without a login; WebDAV, services and users are off then
    #[arg(long, env = "TWINLENS_PUBLIC")]
    pub public: bool,
    /// Refuse to list everything at once (PROPFIND with Depth: infinity)
    #[arg(long, env = "TWINLENS_FINITE_DEPTH")]
    pub finite_depth: bool,
    /// How long a dropped file must be left in peace before it is imported: 60s, 5m, ...; off: nothing is imported
    #[arg(long, env = "TWINLENS_IMPORT_QUIET", default_value = "60s", value_name = "60s|off", value_parser = pause)]
    pub import_quiet: Pause,
    /// How often the whole library is looked at for changes by other programs, besides the watching: 1h, 1d, ...; off: never
    #[arg(long, env = "TWINLENS_SCAN_INTERVAL", default_value = "1h", value_name = "1h|off", value_parser = pause)]
    pub scan_interval: Pause,
    #[command(flatten)]
    pub care: CareArgs,
    #[command(flatten)]
    pub hook: HookArgs,
    #[command(flatten)]
    pub thumbnails: ThumbnailArgs,
    #[command(flatten)]
    pub front: FrontArgs,
}

#[derive(Subcommand)]
pub(super) enum UserCmd {
    /// Add a user
    Add {
        name: String,
        /// admin, user or viewer
        #[arg(long, default_value = "user")]
        role: Role,
        #[command(flatten)]
        limits: LimitArgs,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Change a user's role, root or rights; what is not named stays
    Edit {
        name: String,
        /// admin, user or viewer
        #[arg(long)]
        role: Option<Role>,
        #[command(flatten)]
        limits: LimitArgs,
    },
    /// List users
    List,
    /// Change a user's password
    Passwd {
        name: String,
        #[command(flatten)]
        password: PasswordArgs,
    },
    /// Remove a user and their app passwords
    Remove { name: String },
    /// Make a password for one device or program of a user, and show it once
    AppPassword {
        name: String,
        /// The device or program
        label: String,
    },
    /// List a user's app passwords
    AppPasswords { name: String },
    /// Take an app password back; it is refused from then on
    Revoke {
        name: String,
        /// Its id, or its label if there is only one of it
        #[arg(value_name = "ID|LABEL")]
        app: String,
    },
}

/// What somebody may do besides what the role says.
#[derive(Args)]
pub(super) struct LimitArgs {
    /// The folder of the library that is their root; / for the whole library
    #[arg(long, value_name = "F", value_parser = folder)]
    folder: Option<RelPath>,
    /// Rights in the library: all, none, some of read,add,change,delete, or default for what the role gives
    #[arg(long, value_name = "RIGHTS")]
    originals: Option<Given>,
    /// Rights in the import folder, in the same words
    #[arg(long, value_name = "RIGHTS")]
    import: Option<Given>,
}

impl LimitArgs {
    pub(super) fn grant(self, role: Role) -> Grant {
        Grant::from(role).changed(&self.change(None))
    }

    pub(super) fn change(self, role: Option<Role>) -> GrantChange {
        GrantChange { role, folder: self.folder, originals: self.originals, import: self.import }
    }
}

fn folder(text: &str) -> Result<RelPath, String> {
    RelPath::parse_lenient(text).map_err(|error| format!("it cannot be a folder: {error}"))
}

#[derive(Args)]
pub(super) struct PasswordArgs {
    /// Read the password from standard input instead of asking
    #[arg(long)]
    pub password_stdin: bool,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum YesNo {
    Yes,
    No,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum DeletesArg {
    /// A deletion on one side does nothing on the other
    Ignore,
    /// A deletion is followed; local files go to the trash
    Trash,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum TrustArg {
    Samples,
    Checksum,
    Full,
}

#[derive(Clone, Copy, ValueEnum)]
pub(super) enum VerifyArg {
    Auto,
    Full,
}

#[derive(Args)]
pub(super) struct ServiceSyncArgs {
    pub name: String,
    /// Take part in a sync of all services
    #[arg(long, conflicts_with = "off")]
    on: bool,
    /// Take no part
    #[arg(long)]
    off: bool,
    /// The folder on the service, below its WebDAV root; at first /
    #[arg(long, value_name = "/F")]
    folder: Option<String>,
    /// How often a serving node syncs it: 15m, 1h, 1d, ...; at first 1d
    #[arg(long, value_name = "1h", value_parser = minutes)]
    interval: Option<u32>,
    /// Fetch what is new there; at first yes
    #[arg(long, value_name = "yes|no")]
    download: Option<YesNo>,
    /// Send what is new here; at first no
    #[arg(long, value_name = "yes|no")]
    upload: Option<YesNo>,
    /// Keep file names, at first yes; otherwise downloads are named by capture date
    #[arg(long, value_name = "yes|no")]
    keep_names: Option<YesNo>,
    /// RAW files and videos too; at first yes
    #[arg(long, value_name = "yes|no")]
    raw_and_video: Option<YesNo>,
    /// What a deletion on one side does on the other; at first ignore
    #[arg(long, value_name = "ignore|trash")]
    deletes: Option<DeletesArg>,
    /// What is enough to know that a file there is one that is here: the checksum that the service tells, else bytes at four places
    /// (samples) or every byte (checksum); every byte always (full); at first samples
    #[arg(long, value_name = "samples|checksum|full")]
    trust: Option<TrustArg>,
    /// How an upload is proven: by what the service hashed or compared itself, else by the size (auto); by reading every byte back (full);
    /// at first auto
    #[arg(long, value_name = "auto|full")]
    verify: Option<VerifyArg>,
    /// How many bytes a second all its transfers together may take: 500K, 2M, ...
    #[arg(long, value_name = "2M|off", value_parser = limit::<Rate>)]
    rate: Option<Limit<Rate>>,
    /// The hours in which it is synced by itself, by the clock of this machine
    #[arg(long, value_name = "22:00-06:00|off", value_parser = limit::<Window>)]
    window: Option<Limit<Window>>,
    /// Leave out what matches, as in .gitignore: '*.psd', 'Private/', '/Top/*.tif'; may be repeated; replaces those set before, "" clears
    #[arg(long, value_name = "GLOB")]
    exclude: Vec<String>,
    /// Leave nothing out
    #[arg(long, conflicts_with = "exclude")]
    no_exclude: bool,
    /// Sync only what matches; may be repeated; replaces those set before, "" clears
    #[arg(long, value_name = "GLOB")]
    include: Vec<String>,
    /// Sync everything that is not left out
    #[arg(long, conflicts_with = "include")]
    no_include: bool,
}

impl ServiceSyncArgs {
    pub(super) fn change(&self) -> SyncChange {
        let yes = |choice: Option<YesNo>| choice.map(|choice| matches!(choice, YesNo::Yes));
        SyncChange {
            on: (self.on || self.off).then_some(self.on),
            folder: self.folder.clone(),
            interval_minutes: self.interval,
            download: yes(self.download),
            upload: yes(self.upload),
            keep_names: yes(self.keep_names),
            raw_and_video: yes(self.raw_and_video),
            deletes: self.deletes.map(|deletes| match deletes {
                DeletesArg::Ignore => Deletes::Ignore,
                DeletesArg::Trash => Deletes::Trash,
            }),
            trust: self.trust.map(|trust| match trust {
                TrustArg::Samples => Trust::Samples,
                TrustArg::Checksum => Trust::Checksum,
                TrustArg::Full => Trust::Full,
            }),
            verify: self.verify.map(|verify| match verify {
                VerifyArg::Auto => Verify::Auto,
                VerifyArg::Full => Verify::Full,
            }),
            rate: self.rate,
            window: self.window,
            include: (self.no_include || !self.include.is_empty()).then(|| self.include.clone()),
            exclude: (self.no_exclude || !self.exclude.is_empty()).then(|| self.exclude.clone()),
        }
    }
}

/// A limit, or off.
fn limit<T: FromStr<Err = String>>(text: &str) -> Result<Limit<T>, String> {
    if text == "off" { Ok(Limit::Off) } else { text.parse().map(Limit::To) }
}

/// `90`, `90m`, `2h`, `1d`, `1w` in minutes.
fn minutes(text: &str) -> Result<u32, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let factor = match unit {
        "" | "m" => 1,
        "h" => 60,
        "d" => 24 * 60,
        "w" => 7 * 24 * 60,
        _ => return Err("write it like 15m, 1h, 1d or 1w".into()),
    };
    let number: u32 = number.parse().map_err(|_| "write it like 15m, 1h, 1d or 1w".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "that is too long".to_owned())
}

/// A time span, or off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pause(pub Option<Duration>);

fn pause(text: &str) -> Result<Pause, String> {
    config::pause(text).map(Pause)
}

#[derive(Args)]
pub(super) struct SyncArgs {
    /// Services; all that are switched on when none is named
    pub names: Vec<String>,
    /// Show what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Go past the guard that halts what looks like an accident
    #[arg(long)]
    pub force: bool,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn intervals() {
        assert_eq!(minutes("90"), Ok(90));
        assert_eq!(minutes("1h"), Ok(60));
        assert_eq!(minutes("2d"), Ok(2880));
        assert!(minutes("h").is_err() && minutes("1y").is_err() && minutes("").is_err() && minutes("99999999w").is_err());
    }

    #[test]
    fn pauses() {
        let of = |text| pause(text).map(|pause| pause.0.map(|span| span.as_millis()));
        assert_eq!(of("90"), Ok(Some(90_000)));
        assert_eq!((of("60s"), of("500ms"), of("1h 30m")), (Ok(Some(60_000)), Ok(Some(500)), Ok(Some(5_400_000))));
        assert_eq!((of("off"), of("0"), of("0s")), (Ok(None), Ok(None), Ok(None)));
        assert!(of("soon").is_err() && of("-5s").is_err() && of("").is_err());
    }
}
