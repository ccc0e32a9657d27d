//! One case: two sides that were in step, a dozen changes by their owners, a run in which something goes wrong, and what must be true then.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use tokio::task::JoinSet;

use twinlens::client::{Client, Endpoint, Waits};
use twinlens::events::Events;
use twinlens::library;
use twinlens::reconcile::Deletes;
use twinlens::services::{Service as Remote, SyncSettings, Verify};
use twinlens::store::baseline::{BaseRow, Baseline};
use twinlens::store::{Store, documents};
use twinlens::sync::{Monitor, Options, Report, Sync, SyncError};
use twinlens::types::{Digests, RelPath, ServiceId};

use crate::plain::State;
use crate::support;

use super::fault::{Fault, Listed, Sent, Stored};
use super::wire::{self, Fate, SOMEBODY_ELSES, Service, Step};
use super::world::{Habits, Kind, World};

pub type Files = BTreeMap<String, String>;

const SERVICE: ServiceId = ServiceId(1);
/// All the waiting that a run may do takes less.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

/// A service as it is while nothing goes wrong, and how its owner syncs with it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    pub name: &'static str,
    pub kind: Kind,
    pub habits: Habits,
    pub verify: Verify,
    /// Everything goes in pieces.
    pub in_pieces: bool,
}

impl Setting {
    pub fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, habits: Habits::default(), verify: Verify::default(), in_pieces: false }
    }

    /// Whether anything tells what is stored wrong, or sent wrong, with the right length. What its owner put on a cloud has no checksum.
    pub fn tells(&self) -> (bool, bool) {
        (self.kind != Kind::Plain || self.verify == Verify::Full, self.kind == Kind::Verifying)
    }
}

/// What goes wrong, and when.
#[derive(Debug, Clone)]
pub struct Plan {
    pub fault: Option<Fault>,
    pub step: Step,
    /// Not only this once, but with every request like it.
    pub lasts: bool,
}

impl std::fmt::Display for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.fault {
            Some(fault) => write!(f, "{} {}{}", self.step, fault, if self.lasts { " lasting" } else { "" }),
            None => f.write_str("no fault"),
        }
    }
}

impl Fate for Plan {
    fn of(&mut self, step: &Step) -> Option<Fault> {
        let same = (&step.method, &step.target) == (&self.step.method, &self.step.target);
        self.fault.filter(|_| same && (step.nth == self.step.nth || (self.lasts && step.nth > self.step.nth)))
    }
}

/// Both sides in step, and both with changes since.
pub struct Template {
    pub setting: Setting,
    root: PathBuf,
    world: World,
    earlier: State,
    /// What both sides have in the end.
    wanted: Files,
    /// Contents that an owner gave up.
    given_up: BTreeSet<String>,
    known: BTreeSet<String>,
}

fn long_ago(file: &Path, seconds: u64) {
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(1_500_000_000 + seconds);
    std::fs::File::options().write(true).open(file).unwrap().set_modified(time).unwrap();
}

fn own(path: &str) -> bool {
    path.split('/').any(|name| name.starts_with(".twinlens") || name.starts_with("twinlens-probe-"))
}

fn local_files(root: &Path) -> Files {
    let mut files = support::tree(root);
    files.retain(|path, _| !own(path));
    files
}

impl Template {
    /// Brings both sides in step and lets their owners change them.
    pub async fn make(setting: Setting, root: PathBuf) -> Self {
        let library = root.join("library");
        let mut world = World::new(setting.kind, setting.habits);
        let both = ["keep.jpg", "edit here.jpg", "edit+there.jpg", "gone-here.jpg", "gone-there.jpg", "old-here.jpg", "old-there.jpg"];
        for path in both.iter().copied().chain(["sub/50%.jpg", "sub/Ü#2.jpg"]) {
            world.files.put(path, &format!("{path}: the first version"));
        }
        std::fs::create_dir_all(&library).unwrap();
        let mut template = Self {
            setting,
            root: root.clone(),
            world: world.clone(),
            earlier: world.files.clone(),
            wanted: Files::new(),
            given_up: BTreeSet::new(),
            known: BTreeSet::new(),
        };
        let mut first = Case::of(&template, no_fault(), root.clone()).await;
        let report = first.run().await.unwrap().unwrap();
        assert!(report.is_clean() && report.downloaded == 9, "{}: {report:?}", setting.name);
        template.world = first.service.lock().unwrap().world.clone();
        template.earlier = template.world.files.clone();
        template.owners_act(&library);
        template
    }

    fn owners_act(&mut self, library: &Path) {
        let mut clock = 0;
        let mut write = |path: &str, content: &str| {
            clock += 1;
            support::write(&library.join(path), content.as_bytes());
            long_ago(&library.join(path), clock);
        };
        write("new & here.jpg", "new here, a few bytes more");
        write("album/one.jpg", "the first of an album");
        write("album/two.jpg", "the second of an album");
        // As long as the first one: its size tells nothing.
        write("edit here.jpg", "edit here.jpg: the other version");
        std::fs::remove_file(library.join("gone-here.jpg")).unwrap();
        std::fs::create_dir_all(library.join("moved")).unwrap();
        std::fs::rename(library.join("old-here.jpg"), library.join("moved/here.jpg")).unwrap();
        let there = &mut self.world.files;
        there.put("new there.jpg", "new there, some bytes");
        there.put("there/x.jpg", "in a new folder there");
        there.put("edit+there.jpg", "edited there: the second version, longer");
        there.remove("gone-there.jpg");
        there.rename("old-there.jpg", "moved there.jpg");
        let (here, there) = (local_files(library), self.world.files.contents());
        self.known = here.values().chain(there.values()).cloned().collect();
        for path in ["edit here.jpg", "edit+there.jpg", "gone-here.jpg", "gone-there.jpg"] {
            self.given_up.insert(format!("{path}: the first version"));
        }
        self.wanted = here.into_iter().chain(there).filter(|(_, content)| !self.given_up.contains(content)).collect();
        self.wanted.retain(|path, _| path != "old-here.jpg" && path != "old-there.jpg");
    }
}

pub fn no_fault() -> Plan {
    Plan { fault: None, step: Step { method: String::new(), target: String::new(), nth: 0 }, lasts: false }
}

/// One case.
pub struct Case {
    wanted: Files,
    given_up: BTreeSet<String>,
    known: BTreeSet<String>,
    root: PathBuf,
    store: Store,
    pub service: Arc<Mutex<Service<Plan>>>,
    /// Another origin, to which nothing may ever go.
    elsewhere: TcpListener,
    remote: Remote,
    plan: Plan,
    told: Vec<String>,
    /// Every request of the last run.
    steps: Vec<Step>,
    _tasks: JoinSet<()>,
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
            let time = entry.metadata().unwrap().modified().unwrap();
            std::fs::File::options().write(true).open(&target).unwrap().set_modified(time).unwrap();
        }
    }
}

impl Case {
    async fn of(template: &Template, plan: Plan, root: PathBuf) -> Self {
        let setting = template.setting;
        let mut service = Service::new(template.world.clone(), plan.clone());
        service.earlier = template.earlier.clone();
        let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
        elsewhere.set_nonblocking(true).unwrap();
        service.foreign = format!("http://{}/", elsewhere.local_addr().unwrap());
        let service = Arc::new(Mutex::new(service));
        let mut tasks = JoinSet::new();
        let url = wire::serve(Arc::clone(&service), &mut tasks).await;
        let sync = SyncSettings {
            on: true,
            download: true,
            upload: true,
            deletes: Deletes::Trash,
            verify: setting.verify,
            ..SyncSettings::default()
        };
        let endpoint = Endpoint { url, user: "u".into(), password: "p".into(), fingerprint: None, allow_http: false };
        let remote = Remote { sync, ..Remote::new(SERVICE, "liar", &endpoint) };
        let store = Store::open(&root.join("state.redb")).unwrap();
        if setting.in_pieces {
            store.write_soon(|tx| documents::UPLOAD_WAYS.put(tx, "1", &"chunks")).unwrap();
        }
        let (wanted, given_up, known) = (template.wanted.clone(), template.given_up.clone(), template.known.clone());
        Self { wanted, given_up, known, root, store, service, elsewhere, remote, plan, told: Vec::new(), steps: Vec::new(), _tasks: tasks }
    }

    async fn run(&mut self) -> Result<Result<Report, SyncError>, String> {
        let library = library::open_library(&self.root.join("library"), &self.store).unwrap();
        let endpoint =
            Endpoint { url: self.remote.url.clone(), user: "u".into(), password: "p".into(), fingerprint: None, allow_http: false };
        let ms = Duration::from_millis;
        let waits = Waits { first: ms(1), longest: ms(5), busy: ms(200), locked: ms(20), idle: Duration::from_secs(2), broken: 3 };
        let client = Client::new(&endpoint).unwrap().with_waits(waits);
        let options = Options { parallel: 1, ..Options::default() };
        let watched = (Events::default(), Monitor::default());
        let sync =
            Sync::new(library, self.store.clone(), client, self.remote.clone(), options, watched).map_err(|error| error.to_string())?;
        let outcome = tokio::time::timeout(ENDS_WITHIN, sync.run()).await;
        let log = std::mem::take(&mut self.service.lock().unwrap().log);
        for (step, fault, status) in &log {
            let fault = fault.map(|fault| format!("  <- {fault}")).unwrap_or_default();
            self.told.push(format!("    {step}: {status}{fault}"));
        }
        self.steps = log.into_iter().map(|(step, ..)| step).collect();
        let outcome = outcome.map_err(|_| "the run does not end".to_owned())?;
        self.told.push(match &outcome {
            Ok(report) => format!("  {report:?}"),
            Err(error) => format!("  stopped: {error}"),
        });
        // As a node does it.
        let report = match &outcome {
            Ok(report) => report.clone(),
            Err(error) => Report { error: Some(error.to_string()), ..Report::default() },
        };
        self.store.write_soon(move |tx| documents::RUNS.put(tx, "1", &report)).unwrap();
        Ok(outcome)
    }

    fn here(&self) -> Files {
        local_files(&self.root.join("library"))
    }

    fn there(&self) -> Files {
        let mut files = self.service.lock().unwrap().world.files.contents();
        files.retain(|path, _| !own(path));
        files
    }

    fn rows(&self) -> BTreeMap<String, BaseRow> {
        let tx = self.store.read().unwrap();
        Baseline::open(&tx, SERVICE).unwrap().all().unwrap().map(Result::unwrap).map(|(path, row)| (path.to_string(), row)).collect()
    }

    /// Plays a case to its end. An error says what is wrong.
    pub async fn play(template: &Template, plan: Plan, root: PathBuf) -> Result<(), String> {
        copy(&template.root, &root);
        let mut case = Self::of(template, plan, root.clone()).await;
        let played = case.through().await;
        let told = std::mem::take(&mut case.told);
        drop(case);
        std::fs::remove_dir_all(&root).unwrap();
        played.map_err(|wrong| format!("{}\n  WRONG: {wrong}", told.join("\n")))
    }

    async fn through(&mut self) -> Result<(), String> {
        let before = self.rows();
        let outcome = self.run().await?;
        self.nothing_is_lost()?;
        self.nothing_is_falsely_green(&before, &outcome)?;
        // The fault is gone.
        {
            let mut service = self.service.lock().unwrap();
            service.fate.fault = None;
            service.world.hidden.clear();
            service.world.listed_empty.clear();
        }
        let outcome = self.run().await?.map_err(|error| format!("without the fault the run stops: {error}"))?;
        self.nothing_is_lost()?;
        if !outcome.is_clean() {
            return Err("without the fault the run is not green".into());
        }
        self.is_equal(false)?;
        let outcome = self.run().await?.map_err(|error| format!("the third run stops: {error}"))?;
        // An upload in pieces that nobody goes on with is removed by the run after that in which its file arrived.
        let ours = |step: &Step| step.method == "DELETE" && step.target.contains("uploads/");
        if let Some(step) = self.steps.iter().find(|step| step.writes() && !ours(step)) {
            return Err(format!("the third run does something: {step}"));
        }
        if !outcome.is_clean() {
            return Err("the third run is not green".into());
        }
        // Whoever came waits to be let in.
        if self.elsewhere.accept().is_ok() {
            return Err("it went to another origin, where it had been sent to".into());
        }
        let uploads = &self.service.lock().unwrap().world.uploads;
        match uploads.is_empty() {
            true => Ok(()),
            false => Err(format!("unfinished uploads were left there: {:?}", uploads.keys())),
        }
    }

    /// Somebody else wrote something, or the server gave a file another name: the names are not those that are wanted.
    fn renames(&self) -> bool {
        matches!(self.plan.fault, Some(Fault::Sends(Sent::Changed) | Fault::Stores(Stored::Elsewhere)))
    }

    /// The contents that must be there in the end.
    fn wanted_contents(&self) -> BTreeSet<String> {
        let overwritten = &self.service.lock().unwrap().overwritten;
        self.wanted.values().filter(|content| !overwritten.contains(*content)).cloned().collect()
    }

    /// Both sides have what is wanted; if it may be so, a file under its old name besides.
    fn is_equal(&self, copies: bool) -> Result<(), String> {
        let sides = [self.here(), self.there()];
        for (name, side) in ["here", "there"].iter().zip(&sides) {
            if self.renames() {
                let found: BTreeSet<String> = side.values().cloned().collect();
                if let Some(lacks) = self.wanted_contents().difference(&found).next() {
                    return Err(format!("{name} lacks {lacks:?} in the end: {side:?}"));
                }
                continue;
            }
            let is_more = |(path, content): &(&String, &String)| self.wanted.get(*path) != Some(content);
            let more: Vec<_> =
                side.iter().filter(is_more).filter(|(_, content)| !copies || !self.wanted_contents().contains(*content)).collect();
            let less: Vec<_> = self.wanted.iter().filter(|(path, content)| side.get(*path) != Some(content)).collect();
            if !more.is_empty() || !less.is_empty() {
                return Err(format!("{name} differs in the end: has {more:?}, lacks {less:?}"));
            }
        }
        let [here, there] = sides.map(|side| side.into_values().collect::<BTreeSet<_>>());
        if here != there {
            return Err(format!("the sides differ: {:?}", here.symmetric_difference(&there)));
        }
        if copies {
            return Ok(());
        }
        let service = self.service.lock().unwrap();
        let elsewhere = |path: &&String| self.plan.fault == Some(Fault::Stores(Stored::Elsewhere)) && path.ends_with(".1");
        if let Some(left) = service.world.files.files.keys().filter(|path| !elsewhere(path)).find(|path| own(path)) {
            return Err(format!("{left} was left there"));
        }
        let incoming = support::tree(&self.root.join("library/.twinlens/incoming"));
        if !incoming.is_empty() {
            return Err(format!("was left here: {incoming:?}"));
        }
        Ok(())
    }

    fn nothing_is_lost(&self) -> Result<(), String> {
        let (here, there, earlier) = {
            let service = self.service.lock().unwrap();
            (self.here(), service.world.files.contents(), service.earlier.contents())
        };
        let trash = support::tree(&self.root.join("library/.twinlens/trash"));
        let kept: BTreeSet<&String> = here.values().chain(there.values()).chain(trash.values()).collect();
        let overwritten = &self.service.lock().unwrap().overwritten;
        let given_up = |content: &String| self.given_up.contains(content) || overwritten.contains(content);
        if let Some(lost) = self.known.iter().find(|content| !kept.contains(content) && !given_up(content)) {
            return Err(format!("{lost:?} is lost"));
        }
        let is_known = |content: &String| self.known.contains(content) || content == SOMEBODY_ELSES;
        if let Some((path, content)) = here.iter().find(|(_, content)| !is_known(content)) {
            return Err(format!("{path} holds {content:?} here, which nobody wrote"));
        }
        // What was there before is whole, whatever becomes of new names.
        for path in earlier.keys() {
            if let Some(content) = there.get(path).filter(|content| !is_known(content)) {
                return Err(format!("{path} was good there and holds {content:?} now"));
            }
        }
        Ok(())
    }

    fn nothing_is_falsely_green(&self, before: &BTreeMap<String, BaseRow>, outcome: &Result<Report, SyncError>) -> Result<(), String> {
        let (here, there) = (self.here(), self.there());
        for (path, row) in self.rows() {
            if before.get(&path) == Some(&row) || row.is_tombstone() {
                continue;
            }
            let local = RelPath::parse(&path).unwrap();
            let remote = row.remote_path(&local).to_string();
            let base = row.base();
            let claimed = base.local.unwrap().digests;
            let is = |content: Option<&String>| content.is_some_and(|content| Digests::of(content.as_bytes()) == claimed);
            if !is(here.get(&path)) {
                return Err(format!("recorded: {path} is in step; here it is {:?}", here.get(&path)));
            }
            if !is(there.get(&remote)) {
                return Err(format!("recorded: {path} is in step; there it is {:?}", there.get(&remote)));
            }
        }
        let Ok(report) = outcome else { return Ok(()) };
        if report.is_clean() && report.skipped.is_empty() && self.plan.fault.is_none_or(|fault| !hides(fault)) {
            // Where a rename is refused the old name goes with the next run.
            self.is_equal(true).map_err(|wrong| format!("the run with the fault was green, but {wrong}"))?;
        }
        // What is not as it should be is named.
        let named: BTreeSet<&str> = report.failed.iter().chain(&report.skipped).map(|noted| noted.path.as_str()).collect();
        let ruin = there
            .iter()
            .find(|(path, content)| !self.known.contains(*content) && *content != SOMEBODY_ELSES && !named.contains(path.as_str()));
        match ruin {
            Some((path, content)) if report.error.is_none() => Err(format!("{path} holds {content:?} there, and nothing is said of it")),
            _ => Ok(()),
        }
    }

    /// The requests of a run in which nothing goes wrong.
    pub async fn steps(template: &Template, root: PathBuf) -> Vec<Step> {
        copy(&template.root, &root);
        let mut case = Self::of(template, no_fault(), root.clone()).await;
        let report = case.run().await.unwrap().unwrap();
        let equal = if report.is_clean() { case.is_equal(false) } else { Err("it is not green".into()) };
        equal.unwrap_or_else(|wrong| panic!("{}: {wrong}\n{}", template.setting.name, case.told.join("\n")));
        let steps = std::mem::take(&mut case.steps);
        drop(case);
        std::fs::remove_dir_all(root).unwrap();
        steps
    }
}

/// Nobody can notice in this run that something is missing, and nothing is said to be in step that is not.
fn hides(fault: Fault) -> bool {
    matches!(fault, Fault::Lists(Listed::Stale | Listed::OnlyItself))
}
