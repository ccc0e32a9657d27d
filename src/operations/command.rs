//! What a node can be told to do: the same value from the command line, through the control socket, and in tests.

use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::openapi::{ObjectBuilder, OneOfBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

use crate::accounts::{Grant, GrantChange};
use crate::client::{Fingerprint, Rate};
use crate::reconcile::Deletes;
use crate::services::{self, Timeout, Trust, Verify, Window};
use crate::sync::Report;
use crate::types::{Expires, Gps, Size, Unfit};

use super::shares::{ShareReport, ShareRequest};
use super::{Care, ExitCode, Failure, Kind, NewImport, NewLogin, Operations};

/// A service to be added. Holds a password, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewService {
    /// The owner's name for it.
    pub name: String,
    /// Its address, as a person types it: a host, the address of a Nextcloud, a WebDAV address. A user and a password in it count where
    /// `user` and `password` are empty.
    pub url: String,
    /// The account there; empty for none.
    #[serde(default)]
    pub user: String,
    /// Its password.
    #[serde(default)]
    #[schema(format = "password", write_only)]
    pub password: String,
    /// The certificate to trust.
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks.
    #[serde(default)]
    pub allow_http: bool,
    /// What kind of server it is; without it that is found out.
    #[serde(default, rename = "type")]
    pub kind: Option<services::Kind>,
}

/// Changes to a service's account; what is none stays. Holds a password, so it has no `Debug`.
#[derive(Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AccountChange {
    /// Another name for it.
    #[serde(default)]
    pub name: Option<String>,
    /// Another address, as a person types it. Another host gets the password only when it is given again.
    #[serde(default)]
    pub url: Option<String>,
    /// The account there.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<String>,
    /// The certificate to trust.
    pub fingerprint: Option<Fingerprint>,
    /// The password may travel over plain http through public networks, or not any more.
    #[serde(default)]
    pub allow_http: Option<bool>,
    /// What kind of server it is.
    #[serde(default, rename = "type")]
    pub kind: Option<services::Kind>,
    /// How long it may be silent.
    #[serde(default)]
    pub timeout: Option<Timeout>,
    /// How often a request is sent again that broke, 0 to 20.
    #[serde(default)]
    pub retries: Option<u32>,
    /// Keep the change although it does not work.
    #[serde(default)]
    pub keep: bool,
}

/// A user to be added. Holds a password, so it has no `Debug`.
#[derive(Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// The name to log in with.
    pub name: String,
    /// What they may do.
    pub grant: Grant,
    /// Their password.
    pub password: String,
}

/// A limit, or none: in JSON `"off"`. (A missing limit that was meant and one that was not said would look the same there.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Said<T>", into = "Said<T>", bound(serialize = "T: Clone + Serialize", deserialize = "T: Deserialize<'de>"))]
pub enum Limit<T> {
    /// No limit.
    Off,
    /// This one.
    To(T),
}

/// How a limit is written.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Said<T> {
    Off(Off),
    To(T),
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Off {
    Off,
}

impl<T> From<Said<T>> for Limit<T> {
    fn from(said: Said<T>) -> Self {
        match said {
            Said::Off(Off::Off) => Self::Off,
            Said::To(limit) => Self::To(limit),
        }
    }
}

impl<T> From<Limit<T>> for Said<T> {
    fn from(limit: Limit<T>) -> Self {
        match limit {
            Limit::Off => Self::Off(Off::Off),
            Limit::To(limit) => Self::To(limit),
        }
    }
}

/// The schema of a limit of this type.
struct LimitOf<T>(PhantomData<T>);

impl<T: PartialSchema> PartialSchema for LimitOf<T> {
    fn schema() -> RefOr<Schema> {
        let off = ObjectBuilder::new().schema_type(Type::String).enum_values(Some(["off"]));
        OneOfBuilder::new().item(off).item(T::schema()).into()
    }
}

impl<T: ToSchema> ToSchema for LimitOf<T> {}

impl<T> From<Limit<T>> for Option<T> {
    fn from(limit: Limit<T>) -> Self {
        match limit {
            Limit::Off => None,
            Limit::To(limit) => Some(limit),
        }
    }
}

/// Changes to a service's sync settings; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncChange {
    /// Takes part in a sync of all services.
    pub on: Option<bool>,
    /// The folder on the service.
    pub folder: Option<String>,
    /// Minutes between runs.
    pub interval_minutes: Option<u32>,
    /// Fetch what is new there.
    pub download: Option<bool>,
    /// Send what is new here.
    pub upload: Option<bool>,
    /// Keep remote paths.
    pub keep_names: Option<bool>,
    /// RAW files and videos too.
    pub raw_and_video: Option<bool>,
    /// What a deletion on one side does on the other.
    pub deletes: Option<Deletes>,
    /// How much is compared before two files count as the same.
    #[serde(default)]
    pub trust: Option<Trust>,
    /// How far the proof of an upload goes.
    #[serde(default)]
    pub verify: Option<Verify>,
    /// How fast files may travel.
    #[schema(schema_with = LimitOf::<Rate>::schema)]
    pub rate: Option<Limit<Rate>>,
    /// The hours in which it is synced by itself.
    #[schema(schema_with = LimitOf::<Window>::schema)]
    pub window: Option<Limit<Window>>,
    /// Sync only what matches one of these; none of them: everything.
    #[serde(default)]
    pub include: Option<Vec<String>>,
    /// Do not sync what matches one of these.
    #[serde(default)]
    pub exclude: Option<Vec<String>>,
}

/// Changes to what is done with files that are shared with a service; what is none stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct UploadChange {
    /// Files may be shared with it.
    pub on: Option<bool>,
    /// The folder on the service.
    pub folder: Option<String>,
    /// How large pictures are sent.
    pub size: Option<Size>,
    /// How long they stay.
    pub expires: Option<Expires>,
    /// What becomes of files that cannot be sent in that size.
    pub unfit: Option<Unfit>,
    /// Whether the JPEGs that are made tell where a picture was taken.
    pub gps: Option<Gps>,
}

/// A sync to be run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SyncRequest {
    /// The services; all that are switched on when empty.
    #[serde(default)]
    pub names: Vec<String>,
    /// Only plan.
    #[serde(default)]
    pub dry_run: bool,
    /// Go past the guard.
    #[serde(default)]
    pub force: bool,
}

/// Everything that the command line asks of a node.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "kebab-case")]
pub enum Command {
    /// Add a service, after trying it.
    ServiceAdd(NewService),
    /// Add a service, or give one another password, by logging in with a browser; waits until it is done.
    ServiceLogin(NewLogin),
    /// Begin a login with a browser.
    LoginBegin(NewLogin),
    /// Ask what came of a login.
    LoginPoll {
        /// Which.
        token: String,
    },
    /// Give a login up.
    LoginCancel {
        /// Which.
        token: String,
    },
    /// All services.
    ServiceList,
    /// One service.
    ServiceShow {
        /// Its name.
        name: String,
    },
    /// Examine a service.
    ServiceTest {
        /// Its name.
        name: String,
        /// Whether something may be written there for it; by itself only where the service is uploaded to.
        #[serde(default)]
        write: Option<bool>,
    },
    /// Change a service's account, after trying it.
    ServiceEdit {
        /// Its name.
        name: String,
        /// What to change.
        change: AccountChange,
    },
    /// Take the last edit of a service's account back.
    ServiceUndo {
        /// Its name.
        name: String,
    },
    /// The folders of a service, one level.
    ServiceFolders {
        /// Its name.
        name: String,
        /// The folder whose folders are told, below the service's WebDAV root.
        #[serde(default)]
        path: String,
        /// Make it first, if it is not there.
        #[serde(default)]
        create: bool,
    },
    /// Services as one document, with their passwords sealed. Holds a passphrase.
    ServiceExport {
        /// The services; all when none is named.
        names: Vec<String>,
        /// With it the passwords are sealed.
        passphrase: String,
    },
    /// Take over the services of a document.
    ServiceImport(NewImport),
    /// Put all passwords under the key that is given now.
    ServiceReseal {
        /// TWINLENS_SECRET as it was.
        old: Option<String>,
    },
    /// Remove a service.
    ServiceRemove {
        /// Its name.
        name: String,
    },
    /// Change how a service is synced.
    ServiceSync {
        /// Its name.
        name: String,
        /// What to change.
        change: SyncChange,
    },
    /// Change what is done with files that are shared with a service.
    ServiceUpload {
        /// Its name.
        name: String,
        /// What to change.
        change: UploadChange,
    },
    /// Send files to a service.
    Share(ShareRequest),
    /// What was shared.
    ShareList {
        /// One share, with its files.
        share: Option<u64>,
    },
    /// Try again what failed.
    ShareRetry {
        /// Of one share only.
        share: Option<u64>,
    },
    /// Send no more.
    ShareCancel {
        /// Of one share only.
        share: Option<u64>,
    },
    /// Sync now.
    Sync(SyncRequest),
    /// Sync no more by itself, until it is resumed; all services when none is named.
    Pause {
        /// The service.
        name: Option<String>,
    },
    /// Sync by itself again.
    Resume {
        /// The service.
        name: Option<String>,
    },
    /// Stop the run that goes on; all runs when no service is named.
    Cancel {
        /// The service.
        name: Option<String>,
    },
    /// The runs that were.
    History {
        /// Of one service only.
        name: Option<String>,
        /// One run, with what became of its files.
        run: Option<u64>,
    },
    /// Scan the library.
    Index,
    /// How things are.
    Status,
    /// The trash, conflicts, what was deleted, damage.
    Care(Care),
    /// Back up the state, the key and the settings.
    Backup {
        /// A new file, by its absolute path.
        to: PathBuf,
    },
    /// Add a user.
    UserAdd(NewUser),
    /// All users.
    UserList,
    /// Give a user another password.
    UserPassword {
        /// The user.
        name: String,
        /// The new password.
        password: String,
    },
    /// Change what a user may do.
    UserEdit {
        /// The user.
        name: String,
        /// What to change.
        change: GrantChange,
    },
    /// Remove a user.
    UserRemove {
        /// The user.
        name: String,
    },
    /// Make an app password for a user.
    AppPasswordAdd {
        /// The user.
        name: String,
        /// The device or program.
        label: String,
    },
    /// The app passwords of a user.
    AppPasswordList {
        /// The user.
        name: String,
    },
    /// Take an app password back.
    AppPasswordRevoke {
        /// The user.
        name: String,
        /// Its id, or its label if there is only one of it.
        app: String,
    },
}

impl Operations {
    /// Carries out a command. The answer is the document that `--json` prints.
    pub async fn execute(self: &Arc<Self>, command: Command) -> Result<Value, Failure> {
        if self.is_public() && command.needs_login() {
            return Err(Failure::usage(PUBLIC).of_kind(Kind::PublicMode));
        }
        Ok(match command {
            Command::ServiceAdd(new) => document(&self.add_service(new).await?)?,
            Command::ServiceLogin(new) => document(&self.log_in(new).await?)?,
            Command::LoginBegin(new) => document(&self.begin_login(new).await?)?,
            Command::LoginPoll { token } => document(&self.poll_login(&token).await?)?,
            Command::LoginCancel { token } => json!({ "cancelled": self.cancel_login(&token) }),
            Command::ServiceList => json!({ "services": document(&self.told_services().await?)? }),
            Command::ServiceShow { name } => document(&self.told_service(self.service(name).await?).await?)?,
            Command::ServiceTest { name, write } => document(&self.test_service(name, write).await?)?,
            Command::ServiceEdit { name, change } => document(&self.edit_service(name, change).await?)?,
            Command::ServiceUndo { name } => document(&self.undo_edit(name).await?)?,
            Command::ServiceFolders { name, path, create } => document(&self.folders(name, path, create).await?)?,
            Command::ServiceExport { names, passphrase } => self.export_services(names, passphrase).await?,
            Command::ServiceImport(new) => document(&self.import_services(new).await?)?,
            Command::ServiceReseal { old } => {
                let (passwords, key) = self.reseal(old).await?;
                json!({ "passwords": passwords, "key": key })
            }
            Command::ServiceRemove { name } => document(&self.remove_service(name).await?)?,
            Command::ServiceSync { name, change } => document(&self.told_service(self.change_sync(name, change).await?).await?)?,
            Command::ServiceUpload { name, change } => document(&self.told_service(self.change_upload(name, change).await?).await?)?,
            Command::Share(request) => document(&self.share(request).await?)?,
            Command::ShareList { share: None } => document(&self.shares().await?)?,
            Command::ShareList { share: Some(share) } => document(&self.told_share(share).await?)?,
            Command::ShareRetry { share } => json!({ "shares": document(&self.retry_shares(share).await?)? }),
            Command::ShareCancel { share } => json!({ "cancelled": self.cancel_shares(share).await? }),
            Command::Sync(request) => json!({ "services": document(&self.sync(request).await?)? }),
            Command::Pause { name } => json!({ "paused": self.pause(name).await? }),
            Command::Resume { name } => json!({ "resumed": self.resume(name).await? }),
            Command::Cancel { name } => json!({ "cancelled": self.cancel(name).await? }),
            Command::History { name, run: None } => json!({ "runs": document(&self.runs(name).await?)? }),
            Command::History { name, run: Some(run) } => document(&self.run(name, run).await?)?,
            Command::Index => document(&self.index().await?)?,
            Command::Status => document(&self.status().await?)?,
            Command::Care(care) => self.care(care).await?,
            Command::Backup { to } => self.backup(to).await?,
            Command::UserAdd(new) => document(&self.add_user(new).await?)?,
            Command::UserList => json!({ "users": document(&self.users().await?)? }),
            Command::UserPassword { name, password } => {
                self.set_password(name.clone(), password).await?;
                json!({ "changed": name })
            }
            Command::UserEdit { name, change } => document(&self.edit_user(name, change).await?)?,
            Command::UserRemove { name } => {
                self.remove_user(name.clone()).await?;
                json!({ "removed": name })
            }
            Command::AppPasswordAdd { name, label } => document(&self.create_app_password(name, label).await?)?,
            Command::AppPasswordList { name } => {
                let all = document(&self.app_passwords(name.clone()).await?)?;
                json!({ "user": name, "app_passwords": all })
            }
            Command::AppPasswordRevoke { name, app } => {
                let revoked = self.revoke_app_password(name.clone(), app).await?;
                json!({ "user": name, "revoked": revoked.id, "label": revoked.label })
            }
        })
    }
}

pub(crate) fn document<T: Serialize>(value: &T) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::unreachable(format!("the answer could not be written: {error}")))
}

/// The exit code for the reports of a sync: failures of files or of some services are 1; when no service could be reached it is 3.
pub(crate) fn exit_code(reports: &[Report]) -> ExitCode {
    if reports.iter().all(Report::is_clean) {
        ExitCode::Done
    } else if reports.iter().all(|report| report.unreachable) {
        ExitCode::Unreachable
    } else {
        ExitCode::Failures
    }
}

/// Why a node in public mode refuses.
pub(crate) const PUBLIC: &str = "this node runs in public mode, without a login: users, services and WebDAV would not be safe and are off; start it without \
                      --public to use them";

impl Command {
    /// Whether this is about what a node has only for people who log in: users, services, and what is kept secret for them.
    pub fn needs_login(&self) -> bool {
        match self {
            Command::Index | Command::Status | Command::Care(_) => false,
            Command::ServiceAdd(_)
            | Command::ServiceLogin(_)
            | Command::LoginBegin(_)
            | Command::LoginPoll { .. }
            | Command::LoginCancel { .. }
            | Command::ServiceList
            | Command::ServiceShow { .. }
            | Command::ServiceTest { .. }
            | Command::ServiceEdit { .. }
            | Command::ServiceUndo { .. }
            | Command::ServiceFolders { .. }
            | Command::ServiceExport { .. }
            | Command::ServiceImport(_)
            | Command::ServiceReseal { .. }
            | Command::ServiceRemove { .. }
            | Command::ServiceSync { .. }
            | Command::ServiceUpload { .. }
            | Command::Share(_)
            | Command::ShareList { .. }
            | Command::ShareRetry { .. }
            | Command::ShareCancel { .. }
            | Command::Sync(_)
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Cancel { .. }
            | Command::History { .. }
            | Command::Backup { .. }
            | Command::UserAdd(_)
            | Command::UserList
            | Command::UserPassword { .. }
            | Command::UserEdit { .. }
            | Command::UserRemove { .. }
            | Command::AppPasswordAdd { .. }
            | Command::AppPasswordList { .. }
            | Command::AppPasswordRevoke { .. } => true,
        }
    }

    /// The exit code that an answer to this command means.
    pub fn exit_code(&self, answer: &Value) -> ExitCode {
        let any = |key: &str| answer[key].as_array().is_some_and(|list| !list.is_empty());
        // Damage that was mended is told too: a disk that lost bytes once will do so again.
        if matches!(self, Command::Care(_)) && (any("failed") || any("damaged")) {
            return ExitCode::Failures;
        }
        if matches!(self, Command::ServiceTest { .. }) {
            return match (answer["connected"].as_bool(), answer["ok"].as_bool()) {
                (Some(false), _) => ExitCode::Unreachable,
                (_, Some(false)) => ExitCode::Failures,
                _ => ExitCode::Done,
            };
        }
        if matches!(self, Command::Share(ShareRequest { background: true, .. })) {
            return ExitCode::Done;
        }
        if let Command::Share(_) | Command::ShareRetry { .. } = self {
            let told = answer["shares"].as_array().cloned().unwrap_or_else(|| vec![answer.clone()]);
            let codes = told.into_iter().filter_map(|one| serde_json::from_value::<ShareReport>(one).ok()).map(|one| one.exit_code());
            return codes.max_by_key(|code| *code as u8).unwrap_or(ExitCode::Done);
        }
        let reports = match self {
            Command::Sync(_) => answer.get("services").cloned(),
            _ => None,
        };
        let reports = reports.and_then(|reports| serde_json::from_value::<Vec<Report>>(reports).ok());
        reports.map_or(ExitCode::Done, |reports| exit_code(&reports))
    }
}
