//! Runs of many small rounds, through the library's own interface: they end as a run of one round does.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use tokio::runtime::Runtime;

use twinlens::client::{Client, Endpoint};
use twinlens::events::Events;
use twinlens::library;
use twinlens::reconcile::Deletes;
use twinlens::services::{Service, SyncSettings, Trust};
use twinlens::store::Store;
use twinlens::sync::{Monitor, Options, Report, Sync, SyncError};
use twinlens::types::ServiceId;

use crate::plain::PlainServer;
use crate::support;

/// A library and a plain service.
struct World {
    folder: TempDir,
    store: Store,
    server: PlainServer,
    trust: Trust,
    monitor: Monitor,
    runtime: Runtime,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("library")).unwrap();
        let store = Store::open(&folder.path().join("state.redb")).unwrap();
        let (server, monitor) = (PlainServer::start(), Monitor::default());
        Self { folder, store, server, trust: Trust::Samples, monitor, runtime: Runtime::new().unwrap() }
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("library")
    }

    fn put(&self, path: &str, content: &str) {
        support::write(&self.library().join(path), content.as_bytes());
    }

    fn rename(&self, from: &str, to: &str) {
        let to = self.library().join(to);
        std::fs::create_dir_all(to.parent().unwrap()).unwrap();
        std::fs::rename(self.library().join(from), to).unwrap();
    }

    fn remove(&self, path: &str) {
        std::fs::remove_file(self.library().join(path)).unwrap();
    }

    fn sync(&mut self, options: Options) -> Sync {
        let library = library::open_library(&self.library(), &self.store).unwrap();
        let url = self.server.url.clone();
        let endpoint = Endpoint { url, user: "u".into(), password: "p".into(), fingerprint: None, allow_http: false };
        let settings =
            SyncSettings { on: true, download: true, upload: true, deletes: Deletes::Trash, trust: self.trust, ..SyncSettings::default() };
        let service = Service { sync: settings, ..Service::new(ServiceId(1), "s", &endpoint) };
        let options = Options { parallel: 2, ..options };
        self.monitor = Monitor::default();
        let watched = (Events::default(), self.monitor.clone());
        Sync::new(library, self.store.clone(), Client::new(&endpoint).unwrap(), service, options, watched).unwrap()
    }

    fn run(&mut self, round: usize) -> Result<Report, SyncError> {
        let sync = self.sync(Options { round, ..Options::default() });
        self.runtime.block_on(sync.run())
    }

    /// What both sides have. The names of conflict copies have the time in them.
    fn files(&self) -> [BTreeMap<String, String>; 2] {
        let timeless = |(path, content): (String, String)| match path.split_once(" (conflict") {
            Some((stem, _)) => (format!("{stem} (conflict)"), content),
            None => (path, content),
        };
        let mut here = support::tree(&self.library());
        here.retain(|path, _| !path.starts_with(".twinlens"));
        [here, self.server.state().contents()].map(|files| files.into_iter().map(timeless).collect())
    }

    /// Both sides were in step, and then everything happens at once.
    fn eventful(tells_checksums: bool) -> Self {
        let mut world = Self::new();
        world.server.state().tells_checksums = tells_checksums;
        for path in ["a", "b", "c", "gone", "gone-there", "both", "renamed-there", "trip/1", "trip/2", "trip/3", "stay"] {
            world.put(&format!("{path}.jpg"), &format!("content of {path}"));
        }
        assert_eq!(world.run(Options::default().round).unwrap().uploaded, 11);
        for number in 0..7 {
            world.put(&format!("up/{number}.jpg"), &format!("new here, {number}"));
            world.server.state().put(&format!("down/{number}.jpg"), &format!("new there, the {number}"));
            world.put(&format!("equal/{number}.jpg"), &format!("new on both sides {number}"));
            world.server.state().put(&format!("equal/{number}.jpg"), &format!("new on both sides {number}"));
        }
        world.put("differ.jpg", "mine");
        world.server.state().put("differ.jpg", "of the other");
        if tells_checksums {
            // Without them it is seen only when both are of one round: the service then has it twice.
            world.put("one-name.jpg", "the same, elsewhere");
            world.server.state().put("other-name.jpg", "the same, elsewhere");
        }
        world.put("copy-of-stay.jpg", "content of stay");
        world.rename("a.jpg", "moved/to/a.jpg");
        world.rename("b.jpg", "x.jpg");
        world.rename("c.jpg", "b.jpg");
        world.rename("x.jpg", "c.jpg");
        world.rename("trip", "journey");
        world.server.state().rename("renamed-there.jpg", "new-name.jpg");
        world.remove("gone.jpg");
        world.server.state().remove("gone-there.jpg");
        world.put("both.jpg", "edited here");
        world.server.state().put("both.jpg", "edited there, too");
        world
    }
}

fn counts(report: &Report) -> [(&'static str, u64); 9] {
    [
        ("uploaded", report.uploaded),
        ("downloaded", report.downloaded),
        ("moved", report.moved),
        ("copied", report.copied),
        ("deleted", report.deleted),
        ("adopted", report.adopted),
        ("conflicts", report.conflicts.len() as u64),
        ("skipped", report.skipped_total),
        ("failed", report.failed.len() as u64),
    ]
}

#[test]
fn many_small_rounds_do_what_one_does() {
    for tells_checksums in [true, false] {
        let mut whole = World::eventful(tells_checksums);
        let expected = whole.run(Options::default().round).unwrap();
        assert!(expected.is_clean() && expected.uploaded >= 7 && expected.downloaded >= 7, "{expected:#?}");
        assert_eq!((expected.deleted, expected.conflicts.len()), (2, 2), "{expected:#?}");
        let steps = whole.monitor.progress().files;
        for round in [1, 2, 3, 8] {
            let mut world = World::eventful(tells_checksums);
            let report = world.run(round).unwrap();
            assert_eq!(counts(&report), counts(&expected), "rounds of {round}, checksums {tells_checksums}: {report:#?}");
            assert_eq!(world.files(), whole.files(), "rounds of {round}, checksums {tells_checksums}");
            // What was done is counted through all rounds.
            let progress = world.monitor.progress();
            assert_eq!((progress.files, progress.files_total), (steps, steps), "rounds of {round}: {progress:?}");
            world.server.changes();
            let again = world.run(round).unwrap();
            assert_eq!(again.uploaded + again.downloaded + again.moved + again.deleted + again.adopted, 0, "{again:#?}");
            assert_eq!(world.server.changes(), [] as [&str; 0]);
        }
    }
}

#[test]
fn what_was_planned_for_a_dry_run_has_each_file_once() {
    let mut world = World::eventful(true);
    let dry = |world: &mut World, round: usize| {
        let sync = world.sync(Options { dry_run: true, round, ..Options::default() });
        let report = world.runtime.block_on(sync.run()).unwrap();
        let mut plan: Vec<_> = report.plan.into_iter().map(|step| (step.path, step.action)).collect();
        plan.sort();
        plan
    };
    assert_eq!(dry(&mut world, 2), dry(&mut world, Options::default().round));
}

#[test]
fn a_run_that_is_killed_between_or_in_its_rounds_is_finished_by_the_next() {
    let mut whole = World::eventful(true);
    whole.run(Options::default().round).unwrap();
    let steps = whole.monitor.progress().files;
    for at in (0..steps).step_by(3) {
        let mut world = World::eventful(true);
        let sync = world.sync(Options { round: 2, ..Options::default() });
        let monitor = world.monitor.clone();
        world.runtime.block_on(async {
            let killed = async {
                while monitor.progress().files < at {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { _ = sync.run() => {}, () = killed => {} }
        });
        for _ in 0..3 {
            let report = world.run(2).unwrap();
            assert!(report.is_clean(), "killed at {at}: {report:#?}");
        }
        assert_eq!(world.files(), whole.files(), "killed at {at}");
    }
}

#[test]
fn a_file_that_fails_stops_no_later_round_and_is_told_once() {
    let mut world = World::new();
    (0..12).for_each(|number| world.put(&format!("new/{number:02}.jpg"), &format!("picture {number}")));
    world.server.state().refuses = Some(("PUT new/07.jpg", "403 Forbidden"));
    let report = world.run(2).unwrap();
    assert_eq!((report.uploaded, report.failed.len()), (11, 1), "{report:#?}");
    world.server.state().refuses = None;
    assert_eq!(world.run(2).unwrap().uploaded, 1);
}

#[test]
fn a_full_service_is_asked_in_one_round_only() {
    let mut world = World::new();
    (0..30).for_each(|number| world.put(&format!("new/{number:02}.jpg"), &format!("picture {number}")));
    (0..4).for_each(|number| world.server.state().put(&format!("there/{number}.jpg"), &format!("another {number}")));
    world.server.state().refuses = Some(("PUT new", "507 Insufficient Storage"));
    world.server.changes();
    let report = world.run(3).unwrap();
    assert_eq!(report.downloaded, 4, "{report:#?}");
    let tried = world.server.changes().iter().filter(|change| change.starts_with("refused")).count();
    assert!(tried <= 3, "{tried} uploads were tried");
    let left: Vec<_> = report.failed.iter().filter(|failed| failed.reason.contains("will be sent by a later run")).collect();
    // Those that were on their way then are named besides.
    assert!(left.len() == 1 && report.failed.len() <= 4, "{report:#?}");
    assert!(left[0].reason.contains(&format!("and {} more files", 30 - report.failed.len())), "{report:#?}");
    world.server.state().refuses = None;
    assert_eq!(world.run(3).unwrap().uploaded, 30);
}

#[test]
fn what_was_done_is_told_when_a_later_round_cannot_be_planned() {
    let mut world = World::new();
    // The service tells no checksums, and what both have must be read: of 6 files, 2 a round.
    world.trust = Trust::Full;
    (0..6).for_each(|number| {
        let content = format!("picture {number}");
        world.put(&format!("{number}.jpg"), &content);
        world.server.state().put(&format!("{number}.jpg"), &content);
    });
    world.put("up.jpg", "new");
    let oldest = std::fs::File::options().write(true).open(world.library().join("3.jpg")).unwrap();
    oldest.set_modified(std::time::UNIX_EPOCH).unwrap();
    world.server.state().refuses = Some(("GET 3.jpg", "401 Unauthorized"));
    let report = world.run(2).unwrap();
    assert_eq!((report.uploaded, report.adopted), (1, 4), "{report:#?}");
    assert!(report.refused && report.error.is_some(), "{report:#?}");
    world.server.state().refuses = None;
    assert_eq!(world.run(2).unwrap().adopted, 2);
}

#[test]
fn many_new_files_are_counted_when_some_are_deleted() {
    let mut world = World::new();
    (0..4).for_each(|number| world.put(&format!("{number}.jpg"), &format!("picture {number}")));
    world.run(1).unwrap();
    (0..3).for_each(|number| world.remove(&format!("{number}.jpg")));
    // Three of four would be a mass deletion, three of sixteen are none.
    (0..12).for_each(|number| {
        world.put(&format!("new/{number}.jpg"), &format!("new {number}"));
        world.server.state().put(&format!("there/{number}.jpg"), &format!("new there {number}"));
    });
    let report = world.run(1).unwrap();
    assert_eq!((report.deleted, report.uploaded, report.downloaded), (3, 12, 12), "{report:#?}");
}
