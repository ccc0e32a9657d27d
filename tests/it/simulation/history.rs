//! One history: two owners, some syncs over a bad network, then peace, and what must be true then.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::task::JoinSet;

use twinlens::client::{Client, Endpoint, Waits};
use twinlens::events::Events;
use twinlens::library;
use twinlens::reconcile::Deletes;
use twinlens::services::{Service as Remote, SyncSettings, Trust};
use twinlens::store::Store;
use twinlens::store::documents;
use twinlens::sync::{Monitor, Options, Report, Sync, SyncError};
use twinlens::types::ServiceId;

use crate::liar::wire;
use crate::plain::State;
use crate::support;

use super::chance::Chance;
use super::network::{Service, service};
use super::owners::{Contents, Files, Place, act, is_own};

/// So many runs without trouble bring both sides to rest.
const RUNS: usize = 8;
/// All the waiting that a run may do takes less.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// What both went through, told line by line.
pub struct History {
    chance: Chance,
    root: PathBuf,
    store: Option<Store>,
    service: Arc<Mutex<Service>>,
    remote: Remote,
    parallel: usize,
    /// New files that are planned at once.
    round: usize,
    /// The owners' places: the library and the service.
    sides: [Place; 2],
    contents: Contents,
    /// What the last run reported.
    last: Report,
    /// Something failed since both sides were at rest.
    unproven: bool,
    pub told: Vec<String>,
}

/// Plays a history to its end. An error says what is wrong in the end, after all that led there.
pub async fn play(seed: u64, folder: &Path) -> Result<(), String> {
    let mut chance = Chance::new(seed);
    let root = folder.join(seed.to_string());
    std::fs::create_dir_all(root.join("library")).unwrap();
    let state = State { tells_checksums: chance.one_in(2), tells_dates: chance.one_in(3), ..State::default() };
    let settings = settings(&mut chance);
    let mut told = vec![format!(
        "seed {seed}: download {}, upload {}, deletes {:?}, trust {:?}; the service tells {} and {}",
        settings.download,
        settings.upload,
        settings.deletes,
        settings.trust,
        if state.tells_checksums { "checksums" } else { "no checksums" },
        if state.tells_dates { "dates" } else { "entity tags" },
    )];
    let service = Arc::new(Mutex::new(service(seed, state)));
    let mut tasks = JoinSet::new();
    let url = wire::serve(Arc::clone(&service), &mut tasks).await;
    let endpoint = Endpoint { url, user: "u".into(), password: "p".into(), fingerprint: None, allow_http: false };
    let remote = Remote { sync: settings, ..Remote::new(ServiceId(1), "sim", &endpoint) };
    let sides = [Place::Library { root: root.join("library"), clock: 0 }, Place::Service(Arc::clone(&service))];
    let parallel = *chance.pick(&[1, 1, 2, 8]);
    // Of its own: the histories before there were rounds stay what they are.
    let round = *Chance::of(seed, "round").pick(&[1, 1, 2, 3, 5, Options::default().round]);
    told.push(format!("  {parallel} transfers at a time, rounds of {round}"));
    let (store, contents, last) = (None, Contents::default(), Report::default());
    let mut history =
        History { chance, root: root.clone(), store, service, remote, parallel, round, sides, contents, last, unproven: false, told };
    let played = history.play().await;
    drop(history.store.take());
    std::fs::remove_dir_all(&root).unwrap();
    played.map_err(|wrong| format!("{}\n  WRONG: {wrong}", history.told.join("\n")))
}

fn settings(chance: &mut Chance) -> SyncSettings {
    let (download, upload) = *chance.pick(&[(true, true), (true, true), (true, true), (true, true), (true, false), (false, true)]);
    let deletes = *chance.pick(&[Deletes::Trash, Deletes::Trash, Deletes::Trash, Deletes::Ignore]);
    let trust = *chance.pick(&[Trust::Samples, Trust::Checksum, Trust::Full]);
    SyncSettings { on: true, download, upload, deletes, trust, ..SyncSettings::default() }
}

impl History {
    async fn play(&mut self) -> Result<(), String> {
        let alone = self.chance.one_in(2);
        for _ in 0..1 + self.chance.below(3) {
            // Who acts alone gets exactly what he has.
            self.unproven = false;
            let is_equal = self.sides[0].files() == self.sides[1].files();
            let only = (alone && is_equal).then(|| self.chance.below(2));
            for _ in 0..1 + self.chance.below(3) {
                self.owners_act(only);
                let failing = *self.chance.pick(&[0, 50, 150, 300]);
                let _ = self.sync(failing).await?;
            }
            let wanted = only.map(|side| self.sides[side].files());
            self.come_to_rest().await?;
            self.check_agreement()?;
            if let Some(wanted) = wanted.filter(|_| self.is_mirror()) {
                self.check_is(&wanted)?;
            }
        }
        Ok(())
    }

    /// Every change on one side is made on the other.
    fn is_mirror(&self) -> bool {
        let sync = &self.remote.sync;
        sync.download && sync.upload && sync.deletes == Deletes::Trash
    }

    fn owners_act(&mut self, only: Option<usize>) {
        for _ in 0..1 + self.chance.below(4) {
            let side = only.unwrap_or_else(|| self.chance.below(2));
            let what = act(&mut self.sides[side], &mut self.contents, &mut self.chance);
            self.told.extend(what.map(|what| format!("  {what}")));
        }
    }

    /// One run, of which so many requests in a thousand fail. What must be true at any time is looked at afterwards.
    async fn sync(&mut self, failing: usize) -> Result<Result<Report, SyncError>, String> {
        if self.chance.one_in(4) {
            self.store = None;
        }
        let before = self.sides.each_ref().map(Place::files);
        self.told.push(format!("  sync, {failing} of 1000 requests fail"));
        let mut outcome = self.run(failing, false).await?;
        if let Err(SyncError::Halted(halt)) = &outcome {
            self.told.push(format!("    halted: {halt}"));
            outcome = self.run(failing, true).await?;
        }
        self.told.push(match &outcome {
            Ok(report) => format!("    {}", summary(report)),
            Err(error) => format!("    stopped: {error}"),
        });
        let after = self.sides.each_ref().map(Place::files);
        for (side, (before, after)) in self.sides.iter().zip(before.iter().zip(&after)) {
            self.told.extend((before != after).then(|| format!("    {}: {after:?}", side.name())));
        }
        self.check_always(&before, &after)?;
        self.unproven |= !outcome.as_ref().is_ok_and(Report::is_clean);
        if let Ok(report) = &outcome {
            self.last = report.clone();
        }
        Ok(outcome)
    }

    async fn run(&mut self, failing: usize, force: bool) -> Result<Result<Report, SyncError>, String> {
        self.service.lock().unwrap().fate.failing = failing;
        let store = match &self.store {
            Some(store) => store.clone(),
            None => self.store.insert(Store::open(&self.root.join("state.redb")).unwrap()).clone(),
        };
        let library = library::open_library(&self.root.join("library"), &store).unwrap();
        let endpoint =
            Endpoint { url: self.remote.url.clone(), user: "u".into(), password: "p".into(), fingerprint: None, allow_http: false };
        let ms = Duration::from_millis;
        let waits = Waits { first: ms(2), longest: ms(20), busy: ms(500), locked: ms(100), idle: Duration::from_secs(60), broken: 3 };
        let client = Client::new(&endpoint).unwrap().with_waits(waits);
        let options = Options { force, parallel: self.parallel, round: self.round, ..Options::default() };
        let watched = (Events::default(), Monitor::default());
        let sync = Sync::new(library, store.clone(), client, self.remote.clone(), options, watched).map_err(|error| error.to_string())?;
        let outcome = tokio::time::timeout(ENDS_WITHIN, sync.run()).await;
        let log = std::mem::take(&mut self.service.lock().unwrap().log);
        // What changed something, and what failed.
        let telling = log.iter().filter(|(step, fault, _)| step.writes() || fault.is_some());
        self.told.extend(
            telling.map(|(step, fault, status)| {
                format!("    {step}: {status}{}", fault.map(|fault| format!(" ({fault})")).unwrap_or_default())
            }),
        );
        let outcome = outcome.map_err(|_| "the run does not end".to_owned())?;
        // As a node does it: a later run says again what is left as it is.
        let report = match &outcome {
            Ok(report) => report.clone(),
            Err(error) => Report { error: Some(error.to_string()), ..Report::default() },
        };
        store.write_soon(move |tx| documents::RUNS.put(tx, "1", &report)).unwrap();
        Ok(outcome)
    }

    async fn come_to_rest(&mut self) -> Result<(), String> {
        for _ in 0..RUNS {
            let writes = self.writes();
            let report = self.sync(0).await?.map_err(|error| format!("without trouble the sync stops: {error}"))?;
            let did = report.uploaded + report.downloaded + report.moved + report.copied + report.deleted + report.adopted;
            if did == 0 && report.failed.is_empty() && self.writes() == writes {
                // What waits for its place is the owner's, and told.
                let left = self
                    .service
                    .lock()
                    .unwrap()
                    .world
                    .files
                    .contents()
                    .into_keys()
                    .find(|path| is_own(path) && !path.contains(".twinlens-moving-"));
                return left.map_or(Ok(()), |path| Err(format!("{path} was left there")));
            }
        }
        Err(format!("it does not come to rest in {RUNS} runs"))
    }

    fn writes(&self) -> usize {
        self.service.lock().unwrap().writes
    }

    /// Nothing is lost, nothing half is seen, and no side is changed that must not be.
    fn check_always(&self, before: &[Files; 2], after: &[Files; 2]) -> Result<(), String> {
        let known = |content: &&String| self.contents.made.contains(*content);
        for (side, files) in self.sides.iter().zip(after) {
            if let Some((path, content)) = files.iter().find(|(_, content)| !known(content)) {
                return Err(format!("{} {path} holds {content:?}, which nobody wrote", side.name()));
            }
        }
        let trash = support::tree(&self.root.join("library/.twinlens/trash"));
        let there = self.service.lock().unwrap().world.files.contents();
        let kept: BTreeSet<&String> = after[0].values().chain(there.values()).chain(trash.values()).collect();
        let lost = before.iter().flatten().find(|(_, content)| !kept.contains(content) && !self.contents.given_up.contains(*content));
        if let Some((path, content)) = lost {
            return Err(format!("{content} is lost, which was {path}"));
        }
        let sync = &self.remote.sync;
        for (may, at) in [(sync.download, 0), (sync.upload, 1)] {
            if !may && before[at] != after[at] {
                return Err(format!("{} was changed", self.sides[at].name()));
            }
        }
        Ok(())
    }

    /// Both sides have the same contents, if under different names, but for what the last report says.
    fn check_agreement(&self) -> Result<(), String> {
        if !self.is_mirror() {
            return Ok(());
        }
        let sides = self.sides.each_ref().map(Place::files);
        if let Some(noted) = self.last.skipped.iter().find(|noted| noted.reason.contains("uses this name")) {
            return Err(format!("{} never comes: {}", noted.path, noted.reason));
        }
        let named = |path: &str| self.last.skipped.iter().any(|noted| noted.path == path);
        for (side, files, other) in [(&self.sides[0], &sides[0], &sides[1]), (&self.sides[1], &sides[1], &sides[0])] {
            // A picture that is there under another name is not needed twice.
            let lacks = |content: &String| !other.values().any(|there| there == content);
            if let Some((path, content)) = files.iter().find(|(path, content)| lacks(content) && !named(path)) {
                return Err(format!("{path} = {content} is only {}, and nothing is said of it", side.name()));
            }
        }
        Ok(())
    }

    /// Both sides have what the only owner who acted has. A version whose arrival could not be proven, and that was edited or deleted
    /// before the next look, counts as a change of the other side: it may be there besides.
    fn check_is(&self, wanted: &Files) -> Result<(), String> {
        let contents = |files: &Files| files.values().cloned().collect::<BTreeSet<_>>();
        // What the last report names was left out on purpose.
        let carried = wanted.iter().filter(|(path, _)| !self.last.skipped.iter().any(|noted| noted.path == **path));
        let carried: BTreeSet<String> = carried.map(|(_, content)| content.clone()).collect();
        let wanted_contents = contents(wanted);
        for side in &self.sides {
            let files = side.files();
            let found = contents(&files);
            let may_be_there = |content: &String| self.unproven && self.contents.given_up.contains(content);
            if !found.is_superset(&carried) || !found.difference(&wanted_contents).all(may_be_there) {
                return Err(format!("{} has {files:?} instead of {wanted:?}", side.name()));
            }
        }
        Ok(())
    }
}

fn summary(report: &Report) -> String {
    let counts = [
        ("up", report.uploaded),
        ("down", report.downloaded),
        ("moved", report.moved),
        ("copied", report.copied),
        ("deleted", report.deleted),
        ("adopted", report.adopted),
    ];
    let mut text = "done:".to_owned();
    counts.iter().filter(|(_, count)| *count > 0).for_each(|(name, count)| text += &format!(" {count} {name}"));
    for (name, noted) in [("conflict", &report.conflicts), ("skipped", &report.skipped), ("failed", &report.failed)] {
        noted.iter().for_each(|noted| text += &format!("\n      {name} {}: {}", noted.path, noted.reason));
    }
    report.error.iter().for_each(|error| text += &format!("\n      {error}"));
    text
}
