//! Opening, starting and stopping a node.

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use std::{fmt, fs};

use tokio::net::TcpListener;
use tokio::sync::watch;
use zeroize::Zeroizing;

use crate::accounts::{Logins, Role, Users, random_password};
use crate::library::Tree;
use crate::operations::{Failure, Live, NewUser, Operations, Setting, Settings, Setup, blocking, private_folder};
use crate::server::{self, App, Front, Mounted, Roots, Rules, Running};
use crate::services::{SecretKey, Services};
use crate::store::Store;
use crate::store::meta::{self, Places};
use crate::store::outbox;
use crate::store::properties::Area;
use crate::types::Clock;

use super::caretaker::Caretaker;
use super::control::ControlServer;
use super::painter::Painter;
use super::schedule::Schedule;
use super::sharing::Sharing;
use super::upkeep::Upkeep;
use super::webhook::Webhook;
use super::{CareSettings, Control, HookSettings, ThumbnailSettings, UpkeepSettings};

/// The first user of a node.
const ADMIN: &str = "admin";

/// Is never shown.
#[derive(Clone)]
struct Secret(Zeroizing<String>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// How a node is to be opened.
#[derive(Debug, Default)]
pub struct Builder {
    data: PathBuf,
    library: Option<PathBuf>,
    import: Option<PathBuf>,
    admin_password: Option<String>,
    rules: Rules,
    parallel: Option<usize>,
    front: Front,
    upkeep: UpkeepSettings,
    care: CareSettings,
    thumbnails: ThumbnailSettings,
    secret: Option<Secret>,
    by_hand: bool,
    clock: Clock,
    hook: Option<HookSettings>,
    values: Vec<Setting>,
    listener: Option<TcpListener>,
}

impl Builder {
    /// The library; without it the one that was served before.
    pub fn library(mut self, path: Option<PathBuf>) -> Self {
        self.library = path;
        self
    }

    /// The import folder; without it the one that was served before, or one inside the data folder.
    pub fn import(mut self, path: Option<PathBuf>) -> Self {
        self.import = path;
        self
    }

    /// The password of the first admin; without it a random one is made.
    pub fn admin_password(mut self, password: Option<String>) -> Self {
        self.admin_password = password;
        self
    }

    /// What the server does not do.
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// TLS, proxies in front, and what a client may take.
    pub fn front(mut self, front: Front) -> Self {
        self.front = front;
        self
    }

    /// When a serving node imports and looks for changes.
    pub fn upkeep(mut self, upkeep: UpkeepSettings) -> Self {
        self.upkeep = upkeep;
        self
    }

    /// Services are synced only when somebody says so, until [`Node::schedule`] is called.
    pub fn by_hand(mut self) -> Self {
        self.by_hand = true;
        self
    }

    /// How a serving node looks after the library.
    pub fn care(mut self, care: CareSettings) -> Self {
        self.care = care;
        self
    }

    /// When small pictures are made, and how many are kept.
    pub fn thumbnails(mut self, thumbnails: ThumbnailSettings) -> Self {
        self.thumbnails = thumbnails;
        self
    }

    /// What tells the time: for schedules, back-off, expiry, retention and every date that is written down. The system's clock unless said
    /// otherwise.
    pub fn clock(mut self, clock: Clock) -> Self {
        self.clock = clock;
        self
    }

    /// Where a node serves from [`Builder::start`] on. Without one it takes no connections of its own: see [`Node::service`].
    pub fn listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Whom a serving node tells when a sync has ended.
    pub fn webhook(mut self, hook: Option<HookSettings>) -> Self {
        self.hook = hook;
        self
    }

    /// Where the settings come from, for whoever asks; it changes nothing.
    pub fn values(mut self, values: Vec<Setting>) -> Self {
        self.values = values;
        self
    }

    /// What the passwords of services are sealed with instead of the key file: 32 bytes in hexadecimal or base64, or a passphrase of at least
    /// 12 characters.
    pub fn secret(mut self, secret: Option<String>) -> Self {
        self.secret = secret.map(|secret| Secret(secret.into()));
        self
    }

    /// Transfers at the same time; 8 unless said otherwise.
    pub fn parallel(mut self, parallel: usize) -> Self {
        self.parallel = Some(parallel);
        self
    }

    /// Opens the node and starts it: it serves on the listener, if there is one, answers the commands of the command line, keeps the index
    /// in step with the library, imports, and syncs by itself. Places are remembered for later commands.
    pub async fn start(mut self) -> Result<Node, Failure> {
        let listener = self.listener.take();
        let node = self.open().await?;
        node.run(listener).await?;
        Ok(node)
    }

    /// Opens the state without starting anything. The library is opened when something needs it.
    pub async fn open(self) -> Result<Node, Failure> {
        let (data, clock, secret) = (self.data.clone(), self.clock, self.secret.clone());
        let (store, key) = blocking(move || {
            // Hashes of passwords and the key are in it: for nobody else to read.
            private_folder(&data)
                .map_err(|error| Failure::unreachable(format!("the data folder {} cannot be created: {error}", data.display())))?;
            let store = Store::open(&data.join("state.redb"))?.with_clock(clock);
            let key = SecretKey::open(&store, &data.join("secret.key"), secret.as_ref().map(|secret| secret.0.as_str()))?;
            Ok((store, key))
        })
        .await?;
        let remembered = meta::places(&store.read()?)?;
        // Others have another working directory.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let pick = |given: Option<PathBuf>, remembered: Option<String>| given.map(whole).or_else(|| remembered.map(PathBuf::from));
        let logins = Logins::new(Users::new(store.clone()))?.closed(self.rules.public);
        let operations = Operations::new(Setup {
            data: self.data.clone(),
            logins,
            library_path: pick(self.library, remembered.library),
            services: Services::new(store.clone(), key),
            store,
            parallel: self.parallel.unwrap_or(8),
            public: self.rules.public,
            thumbnail_cache: self.thumbnails.cache,
        });
        Ok(Node {
            import_path: pick(self.import, remembered.import),
            data: self.data,
            operations: Arc::new(operations),
            rules: self.rules,
            front: self.front,
            upkeep: self.upkeep,
            care: self.care,
            thumbnails: self.thumbnails,
            admin_password: self.admin_password,
            by_hand: self.by_hand,
            hook: self.hook,
            values: self.values,
            indexed: watch::Sender::new(false),
            scheduling: Mutex::default(),
            first_admin: OnceLock::new(),
            surface: OnceLock::new(),
            running: Mutex::default(),
        })
    }
}

/// A node, open and perhaps serving. What can be done with it are its [`Operations`], which it lends.
pub struct Node {
    operations: Arc<Operations>,
    data: PathBuf,
    import_path: Option<PathBuf>,
    rules: Rules,
    front: Front,
    upkeep: UpkeepSettings,
    care: CareSettings,
    thumbnails: ThumbnailSettings,
    admin_password: Option<String>,
    by_hand: bool,
    hook: Option<HookSettings>,
    values: Vec<Setting>,
    /// The first look at the library is over.
    indexed: watch::Sender<bool>,
    scheduling: Mutex<Option<(Schedule, Sharing)>>,
    first_admin: OnceLock<FirstAdmin>,
    surface: OnceLock<Mounted>,
    running: Mutex<Option<Parts>>,
}

/// What a started node consists of.
struct Parts {
    server: Option<Running>,
    control: ControlServer,
    upkeep: Upkeep,
    caretaker: Caretaker,
    painter: Painter,
    webhook: Option<Webhook>,
}

impl Deref for Node {
    type Target = Arc<Operations>;

    fn deref(&self) -> &Self::Target {
        &self.operations
    }
}

/// What was made when a node was served for the first time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstAdmin {
    /// The user.
    pub name: &'static str,
    /// The random password, to be shown once; none when it was given.
    pub password: Option<String>,
}

impl Node {
    /// Begins to open a node whose state is in `data`.
    pub fn builder(data: impl Into<PathBuf>) -> Builder {
        Builder { data: data.into(), ..Builder::default() }
    }

    async fn run(&self, listener: Option<TcpListener>) -> Result<(), Failure> {
        let operations = Arc::clone(&self.operations);
        if !self.is_public() {
            // Better no start than syncs that all fail.
            let services = self.services.clone();
            blocking(move || Ok(services.check_key()?)).await?;
        }
        let import_path = self.import_path.clone().unwrap_or_else(|| self.data.join("import"));
        let roots = blocking(move || {
            let (originals, library_id) = operations.library()?;
            let unusable = |error: std::io::Error| {
                Failure::unreachable(format!("the import folder {} cannot be used: {error}", import_path.display()))
            };
            fs::create_dir_all(&import_path).map_err(unusable)?;
            let import = Tree::open(&import_path, operations.store.clone(), Area::Import).map_err(unusable)?;
            let text = |path: &Path| path.to_str().map(str::to_owned);
            let places = Places { library: text(originals.root()), import: text(import.root()) };
            operations.store.write(move |tx| meta::set_places(tx, &places))?;
            Ok(Roots { originals, library_id, import: Some(import) })
        })
        .await?;
        self.make_first_admin().await?;
        let (originals, library_id, import) = (roots.originals.clone(), roots.library_id, roots.import.clone());
        let webhook = match &self.hook {
            Some(hook) => Some(Webhook::start(self, hook)?),
            None => {
                let store = self.store.clone();
                blocking(move || Ok(store.write(outbox::clear)?)).await?;
                None
            }
        };
        let app = App::open(Arc::clone(&self.operations), self.logins.clone(), roots, self.store.clone(), self.rules)?;
        let control = ControlServer::start(&self.data, app.clone())?;
        let _ = self.surface.set(Mounted::new(app.clone(), &self.front));
        let serve = |listener| server::start(listener, app, self.front.clone()).map_err(|error| Failure::unreachable(error.to_string()));
        let server = listener.map(serve).transpose()?;
        if let Some(server) = &server {
            self.operations.serves(server.url(), server.fingerprint());
        }
        let live = Live { keep_trash: self.care.keep_trash, verify: self.care.verify, scan_interval: self.upkeep.scan_interval };
        self.operations.runs_with(self.settings(&originals, import.as_ref()), live);
        let import = import.filter(|_| !self.rules.read_only);
        let caretaker = Caretaker::start(&self.operations, originals.clone(), library_id, import.clone());
        if !self.by_hand {
            self.schedule()?;
        }
        let painter = Painter::start(&self.operations, originals.clone(), self.indexed.subscribe(), self.thumbnails)?;
        let upkeep =
            Upkeep::start((originals, library_id), import, self.events(), self.indexed.clone(), (self.upkeep.import_quiet, self.live()))?;
        let parts = Parts { server, control, upkeep, caretaker, painter, webhook };
        *self.running.lock().unwrap_or_else(PoisonError::into_inner) = Some(parts);
        Ok(())
    }

    fn settings(&self, originals: &Tree, import: Option<&Tree>) -> Settings {
        let text = |path: &Path| path.display().to_string();
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        Settings {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            library: text(originals.root()),
            import: import.map(|import| text(import.root())).unwrap_or_default(),
            data: text(&self.data),
            url: self.url(),
            fingerprint: self.fingerprint().map(|fingerprint| fingerprint.to_string()),
            public: self.rules.public,
            read_only: self.rules.read_only,
            by_hand: self.by_hand,
            parallel: self.parallel,
            keep_trash: seconds(self.care.keep_trash),
            verify_interval: seconds(self.care.verify),
            scan_interval: seconds(self.upkeep.scan_interval),
            import_quiet: seconds(self.upkeep.import_quiet),
            thumbnails_in_background: self.thumbnails.background,
            thumbnail_cache: self.thumbnails.cache,
            decoders: self.operations.thumbnails.tools().names(),
            max_upload: Some(self.front.limits.max_upload).filter(|bytes| *bytes > 0),
            values: self.values.clone(),
        }
    }

    /// What the node serves, to be mounted into a server of the caller's; none before it was started.
    pub fn service(&self) -> Option<Mounted> {
        self.surface.get().cloned()
    }

    /// The user that was made when the node was started for the first time, in this very start.
    pub fn first_admin(&self) -> Option<&FirstAdmin> {
        self.first_admin.get()
    }

    /// From now on a serving node syncs by itself. A node in public mode has no services.
    pub fn schedule(&self) -> Result<(), Failure> {
        let mut scheduling = self.scheduling.lock().unwrap_or_else(PoisonError::into_inner);
        if scheduling.is_none() && !self.is_public() {
            let schedule = Schedule::start(&self.operations, self.indexed.subscribe())?;
            *scheduling = Some((schedule, Sharing::start(&self.operations, self.indexed.subscribe())));
        }
        Ok(())
    }

    /// Makes the first user, unless there is one or nobody logs in.
    async fn make_first_admin(&self) -> Result<(), Failure> {
        if self.is_public() || !self.users().await?.is_empty() {
            return Ok(());
        }
        let (password, shown) = match &self.admin_password {
            Some(password) => (password.clone(), None),
            None => {
                let password = random_password()?;
                (password.clone(), Some(password))
            }
        };
        self.add_user(NewUser { name: ADMIN.to_owned(), grant: Role::Admin.into(), password }).await?;
        let _ = self.first_admin.set(FirstAdmin { name: ADMIN, password: shown });
        Ok(())
    }

    /// Stops in order: no new requests, those under way may end; runs are suspended and go on after the next start.
    pub async fn stop(&self) {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(Parts { server, control, upkeep, caretaker, painter, webhook }) = running {
            drop(caretaker);
            control.stop();
            let scheduling = self.scheduling.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some((schedule, sharing)) = scheduling {
                tokio::join!(schedule.stop(&self.runs), sharing.stop(&self.sharing));
            }
            self.logins.release();
            if let Some(server) = server {
                server.stop().await;
            }
            if let Some(webhook) = webhook {
                webhook.stop().await;
            }
            let stopped = blocking(move || {
                painter.stop();
                upkeep.stop();
                Ok(())
            });
            if let Err(error) = stopped.await {
                tracing::error!(%error, "the upkeep did not end well");
            }
        }
    }

    /// Everything that can be done with it.
    pub fn operations(&self) -> &Arc<Operations> {
        &self.operations
    }

    /// The control socket of the node whose state is in `data`, if one is running.
    pub async fn control(data: &Path) -> Result<Option<Control>, Failure> {
        Control::connect(data).await
    }
}
