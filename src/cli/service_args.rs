//! The arguments of `twinlens service`.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use serde_json::Value;

use crate::client::{Fingerprint, Typed};
use crate::operations::{AccountChange, Command, Failure, NewImport, NewLogin, NewService};
use crate::services::{Kind, Timeout};

use super::args::{PasswordArgs, ServiceSyncArgs, YesNo};
use super::password;
use super::share_args::ServiceUploadArgs;

/// Thousands of services fit; a running node takes no larger command.
const DOCUMENT_LIMIT: u64 = 900 << 10;

#[derive(Subcommand)]
pub(super) enum ServiceCmd {
    /// Connect a service, after finding and trying it
    Add(AddArgs),
    /// List services
    List,
    /// Show a service
    Show { name: String },
    /// Examine a service: connection, login, what it can, how uploads to it work
    Test {
        name: String,
        /// Write a small file there and remove it, although nothing is uploaded to this service by itself
        #[arg(long, conflicts_with = "no_write")]
        write: bool,
        /// Write nothing, although this service is uploaded to
        #[arg(long)]
        no_write: bool,
    },
    /// Show the folders of a service, one level
    Folders {
        name: String,
        /// The folder whose folders are shown, below the service's WebDAV root
        #[arg(default_value = "/")]
        path: String,
        /// Make it first, if it is not there
        #[arg(long)]
        create: bool,
    },
    /// Change a service's name, address, account, password or patience, after trying it
    Edit(EditArgs),
    /// Print services as one document: settings in clear, passwords sealed with a passphrase
    Export {
        /// Services; all when none is named
        names: Vec<String>,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Take over the services of a document that `export` made, all or none
    Import {
        /// The document
        file: PathBuf,
        /// Replace services of the same names
        #[arg(long)]
        replace: bool,
        #[command(flatten)]
        passphrase: PassphraseArgs,
    },
    /// Seal all passwords anew, after TWINLENS_SECRET was set, changed (the old one in TWINLENS_OLD_SECRET) or taken away
    Reseal,
    /// Remove a service; photos stay where they are
    Remove { name: String },
    /// Set up how a service is synced; setting anything switches it on
    Sync(ServiceSyncArgs),
    /// Set up what `twinlens share` does with a service
    Upload(ServiceUploadArgs),
}

#[derive(Args)]
pub(super) struct PassphraseArgs {
    /// Read the passphrase from standard input instead of asking
    #[arg(long)]
    passphrase_stdin: bool,
}

impl PassphraseArgs {
    fn read(&self, twice: bool) -> Result<String, Failure> {
        password::read(&PasswordArgs { password_stdin: self.passphrase_stdin }, "Passphrase of the document: ", twice)
    }
}

#[derive(Args)]
pub(super) struct AddArgs {
    /// Your name for it
    name: String,
    /// Its address: a host, the address of a Nextcloud, or a WebDAV address such as https://photos.example.org/originals/
    url: String,
    /// The account there
    #[arg(long, value_name = "U")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Trust only the certificate with this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Let the password travel over plain http through networks that are not private
    #[arg(long)]
    allow_http: bool,
    /// Log in with a browser, where the server is a Nextcloud or a node: it makes an app password, and none is typed
    #[arg(long, conflicts_with_all = ["user", "password_stdin", "kind"])]
    browser: bool,
    /// What kind of server it is, where that is not found out; webdav: only the address itself is tried
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<KindArg>,
}

#[derive(Args)]
pub(super) struct EditArgs {
    name: String,
    /// Take the last edit back
    #[arg(long, conflicts_with_all = ["new_name", "url", "user", "password_stdin", "fingerprint", "allow_http", "kind", "timeout", "retries", "keep", "browser"])]
    undo: bool,
    /// Another name for it
    #[arg(long = "name", value_name = "NEW")]
    new_name: Option<String>,
    /// Another address
    #[arg(long)]
    url: Option<String>,
    /// The account there
    #[arg(long, value_name = "U")]
    user: Option<String>,
    #[command(flatten)]
    password: PasswordArgs,
    /// Trust only the certificate with this SHA-256 fingerprint
    #[arg(long, value_name = "SHA256")]
    fingerprint: Option<Fingerprint>,
    /// Whether the password may travel over plain http through networks that are not private
    #[arg(long, value_name = "yes|no", num_args = 0..=1, default_missing_value = "yes")]
    allow_http: Option<YesNo>,
    /// What kind of server it is
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<KindArg>,
    /// How long it may be silent: high (120 s), default (60 s), low (30 s), none, or seconds
    #[arg(long, value_name = "high|default|low|none|SECONDS")]
    timeout: Option<Timeout>,
    /// How often a request is sent again that broke; at first 3
    #[arg(long, value_name = "N")]
    retries: Option<u32>,
    /// Keep the change although it does not work
    #[arg(long)]
    keep: bool,
    /// Log in again with a browser: another app password is made
    #[arg(long, conflicts_with_all = ["new_name", "user", "password_stdin", "kind", "timeout", "retries", "keep"])]
    browser: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum KindArg {
    Twinlens,
    Photoprism,
    Nextcloud,
    Owncloud,
    Webdav,
}

impl From<KindArg> for Kind {
    fn from(kind: KindArg) -> Self {
        match kind {
            KindArg::Twinlens => Self::Twinlens,
            KindArg::Photoprism => Self::PhotoPrism,
            KindArg::Nextcloud => Self::Nextcloud,
            KindArg::Owncloud => Self::OwnCloud,
            KindArg::Webdav => Self::WebDav,
        }
    }
}

impl ServiceCmd {
    pub(super) fn command(self) -> Result<Command, Failure> {
        Ok(match self {
            Self::Add(add) => add.command()?,
            Self::List => Command::ServiceList,
            Self::Show { name } => Command::ServiceShow { name },
            Self::Test { name, write, no_write } => Command::ServiceTest { name, write: (write || no_write).then_some(write) },
            Self::Folders { name, path, create } => Command::ServiceFolders { name, path, create },
            Self::Edit(edit) => edit.command()?,
            Self::Export { names, passphrase } => Command::ServiceExport { names, passphrase: passphrase.read(true)? },
            Self::Import { file, replace, passphrase } => {
                let document = document(&file)?;
                Command::ServiceImport(NewImport { document, passphrase: passphrase.read(false)?, replace })
            }
            Self::Reseal => {
                let old = std::env::var("TWINLENS_OLD_SECRET").ok().filter(|old| !old.is_empty());
                Command::ServiceReseal { old }
            }
            Self::Remove { name } => Command::ServiceRemove { name },
            Self::Sync(args) => Command::ServiceSync { change: args.change(), name: args.name },
            Self::Upload(args) => Command::ServiceUpload { name: args.name.clone(), change: args.change() },
        })
    }
}

impl AddArgs {
    fn command(self) -> Result<Command, Failure> {
        let Self { name, url, user, password, fingerprint, allow_http, browser, kind } = self;
        let typed = Typed::parse(&url)?;
        warn_of_password(&typed);
        let login =
            || Command::ServiceLogin(NewLogin { name: name.clone(), url: Some(url.clone()), fingerprint, allow_http, again: false });
        if browser {
            return Ok(login());
        }
        let user = user.or_else(|| typed.user.clone()).unwrap_or_default();
        let anonymous = user.is_empty() && !password.password_stdin;
        let password = match typed.password.clone().filter(|_| !password.password_stdin) {
            Some(password) => password,
            None if anonymous => String::new(),
            None => {
                let asked = !password.password_stdin;
                let password = password::read(&password, &format!("Password of {user} there (nothing: log in with a browser): "), false)?;
                if asked && password.is_empty() {
                    return Ok(login());
                }
                password
            }
        };
        Ok(Command::ServiceAdd(NewService { name, url, user, password, fingerprint, allow_http, kind: kind.map(Kind::from) }))
    }
}

impl EditArgs {
    fn command(self) -> Result<Command, Failure> {
        let Self { name, undo, new_name, url, user, password, fingerprint, allow_http, kind, timeout, retries, keep, browser } = self;
        if undo {
            return Ok(Command::ServiceUndo { name });
        }
        if browser {
            let allow_http = matches!(allow_http, Some(YesNo::Yes));
            return Ok(Command::ServiceLogin(NewLogin { name, url, fingerprint, allow_http, again: true }));
        }
        let typed = url.as_deref().map(Typed::parse).transpose()?;
        typed.iter().for_each(warn_of_password);
        let in_url = typed.and_then(|typed| typed.password);
        let nothing_else = new_name.is_none()
            && url.is_none()
            && fingerprint.is_none()
            && allow_http.is_none()
            && kind.is_none()
            && timeout.is_none()
            && retries.is_none();
        // Another certificate alone needs no other password; another address may.
        let asks = password.password_stdin
            || (in_url.is_none() && (user.is_some() || nothing_else || (url.is_some() && std::io::stdin().is_terminal())));
        let password = if asks { Some(password::read(&password, "The password there: ", false)?) } else { in_url };
        let allow_http = allow_http.map(|choice| matches!(choice, YesNo::Yes));
        let kind = kind.map(Kind::from);
        let change = AccountChange { name: new_name, url, user, password, fingerprint, allow_http, kind, timeout, retries, keep };
        Ok(Command::ServiceEdit { name, change })
    }
}

/// A document in a file.
fn document(path: &Path) -> Result<Value, Failure> {
    let failed = |reason: String| Failure::usage(format!("{} cannot be read: {reason}", path.display()));
    let file = File::open(path).map_err(|error| failed(error.to_string()))?;
    let mut text = String::new();
    file.take(DOCUMENT_LIMIT + 1).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
    if text.len() as u64 > DOCUMENT_LIMIT {
        return Err(failed("it is larger than any document of services".into()));
    }
    serde_json::from_str(&text).map_err(|_| failed("it is no document of `twinlens service export`".into()))
}

/// Arguments are seen by everybody on the machine.
fn warn_of_password(typed: &Typed) {
    if typed.password.is_some() {
        eprintln!(
            "twinlens: a password in an address can be seen by other users of this machine while the command runs, and stays in the history of \
             the shell; --password-stdin is safer"
        );
    }
}
