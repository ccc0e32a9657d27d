//! A sync that is killed after any of its effects: the next runs bring both sides in step, and nothing is lost or left behind.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime};

use crate::plain::PlainServer;
use crate::support::{Node, Sandbox, have, write};

/// What others can see, or what is there after the process: names on the disk, what is made durable, what is sent.
const EFFECTS: &str = "rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,fsync,fdatasync,sendto,writev";
/// Processes side by side.
const WORKERS: usize = 4;

/// A node and a service that were in step, and what their owners have done since.
struct Scene {
    sandbox: Sandbox,
    node: Node,
    server: PlainServer,
    there: BTreeMap<String, (String, u64)>,
}

/// Longer ago than anything that is still being written.
fn put_here(node: &Node, path: &str, content: &str, age: u64) {
    let place = node.library.join(path);
    write(&place, content.as_bytes());
    let time = SystemTime::now() - Duration::from_secs(1000 * age);
    File::options().write(true).open(place).unwrap().set_modified(time).unwrap();
}

impl Scene {
    fn new(checksums: bool) -> Self {
        let sandbox = Sandbox::new();
        let (node, server) = (sandbox.node("n"), PlainServer::start());
        server.state().tells_checksums = checksums;
        for name in ["keep", "moved here", "moved there", "deleted here", "deleted there", "edited here", "edited there", "both", "more"] {
            put_here(&node, &format!("{name}.jpg"), &format!("{name}, old"), 9);
        }
        node.connect("svc", &server.url, &["--deletes", "trash"]);
        node.sync();

        put_here(&node, "up.jpg", "up", 5);
        put_here(&node, "new here/up.jpg", "up, too", 6);
        put_here(&node, "edited here.jpg", "edited here, new", 5);
        put_here(&node, "both.jpg", "both, from here", 5);
        node.rename("moved here.jpg", "album/was moved here.jpg");
        node.remove("deleted here.jpg");
        let mut there = server.state();
        there.put("down.jpg", "down");
        there.put("new there/down.jpg", "down, too");
        there.put("edited there.jpg", "edited there, new");
        there.put("both.jpg", "both, from there");
        there.rename("moved there.jpg", "was moved there.jpg");
        there.remove("deleted there.jpg");
        let files = there.files.clone();
        drop(there);
        let scene = Self { sandbox, node, server, there: files };
        scene.copy("n", "before");
        scene
    }

    fn copy(&self, from: &str, to: &str) {
        let copied = Command::new("cp").arg("-a").arg(self.sandbox.path().join(from)).arg(self.sandbox.path().join(to)).status();
        assert!(copied.unwrap().success());
    }

    /// Everything as it was before the first run.
    fn restore(&self) {
        fs::remove_dir_all(self.sandbox.path().join("n")).unwrap();
        self.copy("before", "n");
        let mut there = self.server.state();
        there.remove("");
        there.files.clear();
        there.folders.clear();
        for (path, (content, version)) in &self.there {
            there.put(path, content);
            there.files.insert(path.clone(), (content.clone(), *version));
        }
    }

    /// Syncs, and is killed after so many effects. True when it came to its end before.
    fn sync_until(&self, effects: usize) -> bool {
        let sync = self.node.command(&["sync", "--json"]);
        let mut strace = Command::new("strace");
        strace.args(["-f", "-qq", "-e", &format!("trace={EFFECTS}"), "-e", &format!("inject={EFFECTS}:signal=STOP")]);
        strace.arg(sync.get_program()).args(sync.get_args());
        strace.envs(sync.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut strace = strace.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (mut done, mut pid) = (0, None);
        for line in BufReader::new(strace.stderr.take().unwrap()).lines() {
            // The whole process has stopped, whichever thread says so first; it goes on once for each time.
            if !line.unwrap().contains("--- SIGSTOP {") {
                continue;
            }
            let pid = pid.get_or_insert_with(|| child_of(strace.id()));
            done += 1;
            let signal = if done > effects { "KILL" } else { "CONT" };
            // It may have come to its end meanwhile.
            let _ = Command::new("kill").args([&format!("-{signal}"), &*pid]).stderr(Stdio::null()).status();
        }
        strace.wait().unwrap();
        done <= effects
    }
}

/// The process that a tracer started.
fn child_of(tracer: u32) -> String {
    fs::read_to_string(format!("/proc/{tracer}/task/{tracer}/children")).unwrap().trim().to_owned()
}

impl Scene {
    /// What is wrong after two more runs. None when all is well.
    fn wrong(&self) -> Option<String> {
        let untouched = self.node.command(&["sync", "--json"]).output().unwrap();
        if !untouched.status.success() {
            return Some(format!("the next run failed: {}", String::from_utf8_lossy(&untouched.stdout)));
        }
        self.node.sync();
        self.server.changes();
        self.node.sync();
        let changes = self.server.changes();
        if !changes.is_empty() {
            return Some(format!("it does not come to rest: {changes:?}"));
        }
        // Of ours, of which nothing may be left there, there would be more than here.
        let (here, there) = (self.node.files(), self.server.state().contents());
        if here != there {
            return Some(format!("{here:#?} here, {there:#?} there"));
        }
        let mut contents: Vec<&str> = here.values().map(String::as_str).collect();
        contents.sort_unstable();
        let expected = [
            "both, from here",
            "both, from there",
            "down",
            "down, too",
            "edited here, new",
            "edited there, new",
            "keep, old",
            "more, old",
            "moved here, old",
            "moved there, old",
            "up",
            "up, too",
        ];
        let names = ["album/was moved here.jpg", "was moved there.jpg", "both.jpg", "up.jpg", "new there/down.jpg"];
        if contents != expected || !names.iter().all(|name| here.contains_key(*name)) {
            return Some(format!("{here:#?}"));
        }
        let trashed = self.node.trashed();
        if !["deleted there, old", "edited there, old"].iter().all(|old| trashed.iter().any(|content| content == old)) {
            return Some(format!("the trash holds only {trashed:?}"));
        }
        let left = self.node.left_behind();
        (!left.is_empty()).then(|| format!("{left:?} is left behind"))
    }
}

#[test]
fn a_sync_that_is_killed_after_any_effect_is_made_good_by_the_next() {
    if !have("strace") {
        return;
    }
    let (next, whole) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
    let worker = |number: usize| {
        let scene = Scene::new(number.is_multiple_of(2));
        let mut wrong = Vec::new();
        loop {
            let effects = next.fetch_add(1, Ordering::Relaxed);
            if effects > whole.load(Ordering::Relaxed) {
                return wrong;
            }
            scene.restore();
            if scene.sync_until(effects) {
                whole.fetch_min(effects, Ordering::Relaxed);
            }
            wrong.extend(scene.wrong().map(|what| format!("killed after {} effects: {what}", effects + 1)));
        }
    };
    let wrong: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..WORKERS)
            .map(|number| {
                scope.spawn({
                    let worker = &worker;
                    move || worker(number)
                })
            })
            .collect();
        workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
    });
    println!("a whole sync has {} effects", whole.into_inner());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
