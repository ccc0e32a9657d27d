//! How a running node is set up, where each setting comes from, and changing those that can be changed while it runs.

use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use utoipa::ToSchema;

use crate::config::{self, SettingsFile};

use super::blocking::blocking;
use super::{Failure, Operations};

/// The settings that a node heeds while it runs. All others count from its next start.
pub const LIVE: [&str; 3] = ["scan_interval", "trash_days", "verify_interval"];

/// How a running node is set up. Secrets are not among it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Settings {
    /// The version of the program.
    pub version: String,
    /// The library.
    pub library: String,
    /// The import folder.
    pub import: String,
    /// Where the state is.
    pub data: String,
    /// The address that the node serves on; none inside another server.
    pub url: Option<String>,
    /// SHA-256 of the certificate, when it serves TLS.
    pub fingerprint: Option<String>,
    /// Nobody logs in.
    pub public: bool,
    /// Nothing is changed over HTTP.
    pub read_only: bool,
    /// Services are synced only when somebody says so.
    pub by_hand: bool,
    /// Transfers at the same time.
    pub parallel: usize,
    /// How many seconds the trash keeps what was put there; none: for ever.
    pub keep_trash: Option<u64>,
    /// After how many seconds every file is read again; none: never.
    pub verify_interval: Option<u64>,
    /// After how many seconds the whole library is looked at; none: never.
    pub scan_interval: Option<u64>,
    /// For how many seconds a dropped file must be left in peace before it is imported; none: nothing is imported.
    pub import_quiet: Option<u64>,
    /// Thumbnails are made before anybody asks for them.
    pub thumbnails_in_background: bool,
    /// How many bytes of thumbnails are kept.
    pub thumbnail_cache: u64,
    /// The programs that decode HEIC, AVIF and JPEG XL pictures and videos, as far as they were found.
    pub decoders: Vec<String>,
    /// The bytes that a body may have; none: unlimited.
    pub max_upload: Option<u64>,
    /// Every setting of `twinlens serve`, and where its value comes from; none of them where the node is a part of another program.
    pub values: Vec<Setting>,
}

/// Where a value comes from; what stands first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SettingFrom {
    /// It was said when the node was started.
    Flag,
    /// Of the environment.
    Variable,
    /// `twinlens.toml` in the data folder.
    File,
    /// Nobody has said anything.
    Default,
}

/// One setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Setting {
    /// Its name in `twinlens.toml`.
    pub key: String,
    /// Its value as it would be typed; none where there is none.
    pub value: Option<String>,
    /// Where that comes from.
    pub from: SettingFrom,
    /// The flag of `twinlens serve`.
    pub flag: String,
    /// The variable.
    pub variable: String,
    /// It can be changed while the node runs.
    pub changeable: bool,
}

/// Settings to be written into `twinlens.toml`. Those that are none stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SettingsChange {
    /// For how many days the trash keeps what was replaced or removed, or `off`: for ever.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 32)]
    pub trash_days: Option<String>,
    /// How often every file is read again to find damage: `30d`, `12h`, `off`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 32)]
    pub verify_interval: Option<String>,
    /// How often the whole library is looked at: `1h`, `1d`, `off`.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 32)]
    pub scan_interval: Option<String>,
}

/// What a running node heeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Live {
    pub keep_trash: Option<Duration>,
    pub verify: Option<Duration>,
    pub scan_interval: Option<Duration>,
}

/// The settings of a running node.
#[derive(Default)]
pub(super) struct Setup(Mutex<Option<Settings>>, watch::Sender<Live>);

impl Setup {
    fn lock(&self) -> MutexGuard<'_, Option<Settings>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Operations {
    /// How the running node is set up; none when it does not run.
    pub fn settings(&self) -> Option<Settings> {
        self.setup.lock().clone()
    }

    /// The node runs like this from now on.
    pub(crate) fn runs_with(&self, settings: Settings, live: Live) {
        *self.setup.lock() = Some(settings);
        self.setup.1.send_replace(live);
    }

    /// What the node heeds while it runs, as it is at any moment.
    pub(crate) fn live(&self) -> watch::Receiver<Live> {
        self.setup.1.subscribe()
    }

    /// Changes settings of the running node, and writes them into `twinlens.toml`, so that they count after its next start too. All of them or
    /// none. What a flag or a variable says cannot be changed in the file.
    pub async fn change_settings(&self, change: SettingsChange) -> Result<Settings, Failure> {
        let Some(settings) = self.settings() else { return Err(Failure::wrong_state("the node does not run")) };
        let SettingsChange { trash_days, verify_interval, scan_interval } = change;
        let said: Vec<(&str, String)> =
            [("trash_days", trash_days), ("verify_interval", verify_interval), ("scan_interval", scan_interval)]
                .into_iter()
                .filter_map(|(key, value)| Some((key, value?)))
                .collect();
        let mut live = *self.setup.1.borrow();
        for (key, value) in &said {
            let bad = |reason: String| Failure::usage(format!("{key}: {reason}")).about(*key);
            match *key {
                "trash_days" => live.keep_trash = config::days(value).map_err(bad)?,
                "verify_interval" => live.verify = config::interval(value).map_err(bad)?,
                _ => live.scan_interval = config::pause(value).map_err(bad)?,
            }
            may_be_changed(&settings, key)?;
        }
        let (path, changes): (PathBuf, Vec<_>) = (self.data.join(config::FILE), said.clone());
        blocking(move || {
            let failed = |error: config::ConfigError| Failure::wrong_state(error.to_string());
            let mut file = SettingsFile::read(&path).map_err(failed)?;
            for (key, value) in changes {
                file = file.set(key, Some(&value)).map_err(failed)?;
            }
            Ok(())
        })
        .await?;
        let seconds = |time: Option<Duration>| time.map(|time| time.as_secs());
        let mut lock = self.setup.lock();
        let Some(settings) = &mut *lock else { return Err(Failure::wrong_state("the node does not run")) };
        for setting in &mut settings.values {
            if let Some((_, value)) = said.iter().find(|(key, _)| *key == setting.key) {
                (setting.value, setting.from) = (Some(value.clone()), SettingFrom::File);
            }
        }
        settings.keep_trash = seconds(live.keep_trash);
        (settings.verify_interval, settings.scan_interval) = (seconds(live.verify), seconds(live.scan_interval));
        self.setup.1.send_replace(live);
        Ok(settings.clone())
    }
}

/// Whether the file decides about a setting.
fn may_be_changed(settings: &Settings, key: &str) -> Result<(), Failure> {
    let Some(setting) = settings.values.iter().find(|setting| setting.key == key) else {
        return Err(Failure::wrong_state("this node is a part of another program, which sets it up").about(key));
    };
    let by = match setting.from {
        SettingFrom::Flag => format!("the flag {}", setting.flag),
        SettingFrom::Variable => format!("the variable {}", setting.variable),
        SettingFrom::File | SettingFrom::Default => return Ok(()),
    };
    Err(Failure::wrong_state(format!("{by} says what {key} is, and counts before the file; start the node without it")).about(key))
}
