//! What a node can do, as typed calls, and each of them as a [`Command`].
//!
//! Rank 6. The command line, the control socket, the API and the pages all come through here: none of them has a logic of its own. It
//! knows nothing of HTTP and starts nothing by itself; [`Node`](crate::node::Node) does.

mod backup;
mod badges;
mod blocking;
mod care;
mod carry_out;
mod chosen;
mod command;
mod conflicts;
mod connecting;
mod ended;
mod exporting;
mod failure;
mod folders;
mod index;
mod library;
mod logging_in;
mod metrics;
mod previewing;
mod removing;
mod restored;
mod retrying;
mod runs;
mod sending;
mod services;
mod settings;
mod shares;
mod standings;
mod status;
mod syncing;
mod thumbnails;
mod tombstones;
mod trash_pictures;
mod uploads;
mod users;
mod verify;
mod watching;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};

use tokio::sync::broadcast;

use crate::accounts::{Logins, Users};
use crate::client::Fingerprint;
use crate::events::Events;
use crate::library::{Thumbnails, Tree};
use crate::services::Services;
use crate::store::Store;
use crate::types::LibraryId;

pub(crate) use self::backup::private_folder;
pub use self::backup::restore;
pub use self::badges::{About, Badge, BadgeState, Badges, OnService, StackBadge, StackKind};
pub(crate) use self::blocking::blocking;
pub(crate) use self::care::moment;
pub use self::care::{Back, Care, NotDone, Restored, TRASH_DAYS, TrashEmptied, TrashFile, TrashList};
pub(crate) use self::command::PUBLIC;
pub use self::command::{AccountChange, Command, Limit, NewService, NewUser, SyncChange, SyncRequest, UploadChange};
pub use self::conflicts::{CameFrom, ConflictList, Keep, RemoteCopy, Resolved, ToldConflict, ToldVersion};
pub use self::connecting::{Connected, Discovered, Edited};
pub use self::ended::Ended;
pub use self::exporting::NewImport;
pub use self::failure::{Cause, ExitCode, Failure, Kind};
pub use self::folders::Folders;
pub use self::index::IndexReport;
pub use self::logging_in::{BegunLogin, LoginState, NewLogin};
pub(crate) use self::metrics::Metrics;
pub use self::previewing::{Preview, PreviewState};
pub use self::removing::{GivenBack, RemovedService};
pub use self::retrying::{RetryRequest, Retrying};
pub(crate) use self::runs::{Note, Runs};
pub use self::sending::Sending;
pub use self::services::{Tested, ToldService};
pub(crate) use self::settings::Live;
pub use self::settings::{LIVE, Setting, SettingFrom, Settings, SettingsChange};
pub(crate) use self::shares::Sharing;
pub use self::shares::{ShareList, ShareReport, ShareRequest, SharedName, SharedNote, ToldFile, ToldShare};
pub(crate) use self::standings::{now, setting};
pub use self::status::{Going, OneRun, RunFile, ServiceStatus, SkippedOfRun, Status, SyncState, ToldRun, Waiting, WaitingFile, WaitingOf};
pub use self::thumbnails::ThumbnailStatus;
pub use self::tombstones::{Deleted, Forgotten, Tombstone, TombstoneList};
pub use self::verify::{Accepted, Damaged, Hurt, VerifyReport};
pub use self::watching::{Attempt, AttemptState, Examination, ExaminationState};

/// So many ended runs are kept for who listens slowly.
const ENDS: usize = 256;

/// The state of a node, and everything that can be done with it.
pub struct Operations {
    pub(crate) data: PathBuf,
    setup: settings::Setup,
    library_path: Option<PathBuf>,
    library: OnceLock<(Tree, LibraryId)>,
    opening: Mutex<()>,
    pub(crate) store: Store,
    pub(crate) users: Users,
    pub(crate) logins: Logins,
    pub(crate) metrics: Metrics,
    pub(crate) services: Services,
    events: Events,
    pub(crate) parallel: usize,
    public: bool,
    pub(crate) runs: Arc<Runs>,
    pub(crate) sharing: Arc<Sharing>,
    ended: broadcast::Sender<Arc<Ended>>,
    browser_logins: logging_in::BrowserLogins,
    watching: watching::Watching,
    previews: previewing::Previews,
    pub(crate) thumbnails: Arc<Thumbnails>,
    serving: OnceLock<(String, Option<Fingerprint>)>,
}

/// How they are set up.
pub(crate) struct Setup {
    pub data: PathBuf,
    pub library_path: Option<PathBuf>,
    pub store: Store,
    pub logins: Logins,
    pub services: Services,
    /// Transfers at the same time.
    pub parallel: usize,
    /// Nobody logs in.
    pub public: bool,
    /// What may be kept of small pictures, in bytes.
    pub thumbnail_cache: u64,
}

impl Operations {
    pub(crate) fn new(setup: Setup) -> Self {
        let Setup { data, library_path, store, logins, services, parallel, public, thumbnail_cache } = setup;
        let thumbnails = Arc::new(Thumbnails::new(&data.join("thumbnails"), thumbnail_cache));
        Self {
            data,
            setup: settings::Setup::default(),
            library_path,
            library: OnceLock::new(),
            opening: Mutex::default(),
            users: logins.users().clone(),
            logins,
            metrics: Metrics::default(),
            services,
            store,
            events: Events::default(),
            parallel,
            public,
            runs: Arc::default(),
            sharing: Arc::default(),
            ended: broadcast::Sender::new(ENDS),
            browser_logins: Default::default(),
            watching: Default::default(),
            previews: Default::default(),
            thumbnails,
            serving: OnceLock::new(),
        }
    }

    /// Whether the node serves without a login, and therefore without what is only for people who log in.
    pub fn is_public(&self) -> bool {
        self.public
    }

    /// The address that the node serves on, if it does.
    pub fn url(&self) -> Option<String> {
        self.serving.get().map(|(url, _)| url.clone())
    }

    /// The fingerprint of the certificate that the node serves with, if it does.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        self.serving.get().and_then(|(_, fingerprint)| *fingerprint)
    }

    /// The node serves from now on.
    pub(crate) fn serves(&self, url: String, fingerprint: Option<Fingerprint>) {
        let _ = self.serving.set((url, fingerprint));
    }

    /// Every run that ends from now on. Who listens too slowly misses some.
    pub fn listen_to_ends(&self) -> broadcast::Receiver<Arc<Ended>> {
        self.ended.subscribe()
    }

    /// What happens, from now on.
    pub fn events(&self) -> &Events {
        &self.events
    }
}
