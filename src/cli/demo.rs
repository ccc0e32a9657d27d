//! `twinlens demo`: two paired nodes over the sample library.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tokio::net::TcpListener;
use uuid::Uuid;

use crate::node::Node;
use crate::operations::{ExitCode, Failure, NewService, SyncChange, SyncRequest};
use crate::sync::Report;
use crate::types::ContentHash;
use crate::types::media::is_junk;

use super::args::{DemoArgs, Global};
use super::output;
use super::progress::Progress;
use super::run::print;
use super::sample::placements;
use super::serve::stop_signal;

/// One of the two nodes.
struct DemoNode {
    node: Node,
    library: PathBuf,
    url: String,
    password: String,
}

/// The demo's folder. A temporary one is removed when this is dropped.
struct Place {
    folder: PathBuf,
    temporary: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.temporary
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::warn!(%error, folder = %self.folder.display(), "the demo's folder could not be removed");
        }
    }
}

pub(super) async fn run(global: &Global, args: DemoArgs) -> Result<ExitCode, Failure> {
    let mut stop = std::pin::pin!(stop_signal()?);
    let place = Place::new(args.dir)?;
    let (a, b, code) = tokio::select! {
        shown = show(global, &place.folder) => shown?,
        () = stop.as_mut() => return Ok(ExitCode::Failures),
    };
    if !args.once {
        a.node.schedule()?;
        if !global.json {
            for (name, node) in [("A", &a), ("B", &b)] {
                let (url, password, library) = (&node.url, &node.password, node.library.display());
                print(&format!("\n{name}: {url}/originals/  user admin, password {password}\n   {library}"));
            }
            print("\n\nBoth nodes are running, and what changes in one is in the other a few seconds later; Ctrl-C ends them.\n");
        }
        stop.await;
    }
    a.node.stop().await;
    b.node.stop().await;
    Ok(code)
}

/// Builds both nodes, syncs them, proves the result.
async fn show(global: &Global, folder: &Path) -> Result<(DemoNode, DemoNode, ExitCode), Failure> {
    let say = |text: &str| {
        if !global.json {
            print(text);
        }
    };
    say(&format!("Two libraries of sample photos are built in {}\n", folder.display()));
    let a = DemoNode::start(folder, "a").await?;
    let b = DemoNode::start(folder, "b").await?;
    say(&format!("  A has {} files, B has {}\n\n", files(&a.library)?.len(), files(&b.library)?.len()));

    let new = NewService {
        name: "b".into(),
        url: format!("{}/originals/", b.url),
        user: "admin".into(),
        password: b.password.clone(),
        fingerprint: None,
        allow_http: false,
        kind: None,
    };
    a.node.add_service(new).await?;
    let both_ways = SyncChange { download: Some(true), upload: Some(true), ..SyncChange::default() };
    a.node.change_sync("b".into(), both_ways).await?;
    say("A is connected to B; syncing both ways ...\n");
    let first = sync(&a.node, global.json).await?;
    say(&output::report(&first));
    let second = sync(&a.node, global.json).await?;
    say(&format!("\nOnce more, with nothing changed:\n{}", output::report(&second)));

    let proof = Proof::of(&a.library, &b.library)?;
    say(&proof.text());
    let proven = proof.holds() && first.is_clean() && second.is_clean();
    if global.json {
        let node = |node: &DemoNode| json!({ "url": node.url, "library": node.library, "password": node.password });
        let document = json!({
            "proven": proven, "contents": proof.contents, "only_a": proof.only_a, "only_b": proof.only_b,
            "a": node(&a), "b": node(&b), "runs": [first, second],
        });
        print(&format!("{document}\n"));
    }
    Ok((a, b, if proven { ExitCode::Done } else { ExitCode::Failures }))
}

async fn sync(node: &Node, json: bool) -> Result<Report, Failure> {
    let progress = Progress::new(json);
    let mut events = node.events().subscribe();
    let mut work = std::pin::pin!(node.sync(SyncRequest::default()));
    let reports = loop {
        tokio::select! {
            reports = &mut work => break reports?,
            Ok(event) = events.recv() => progress.show(&event),
        }
    };
    progress.end();
    reports.into_iter().next().ok_or_else(|| Failure::unreachable("the demo's service is gone"))
}

impl Place {
    fn new(dir: Option<PathBuf>) -> Result<Self, Failure> {
        let temporary = dir.is_none();
        let folder = dir.unwrap_or_else(|| {
            let token = Uuid::new_v4().simple().to_string();
            std::env::temp_dir().join(format!("twinlens-demo-{}", &token[..8]))
        });
        let failed = |error| Failure::unreachable(format!("the demo's folder {} cannot be used: {error}", folder.display()));
        fs::create_dir_all(&folder).map_err(failed)?;
        if fs::read_dir(&folder).map_err(failed)?.next().is_some() {
            return Err(Failure::usage(format!(
                "{} is not empty; the demo builds two libraries there and wants it empty",
                folder.display()
            )));
        }
        Ok(Self { folder, temporary })
    }
}

impl DemoNode {
    /// Builds the library of this node and serves it.
    async fn start(folder: &Path, name: &str) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| Failure::unreachable(format!("the demo's library cannot be built: {error}"));
        let (library, data) = (folder.join(name).join("library"), folder.join(name).join("data"));
        for placement in placements().filter(|placement| placement.node == name) {
            let path = library.join(placement.path);
            fs::create_dir_all(path.parent().unwrap_or(&library)).map_err(failed)?;
            fs::write(path, placement.bytes).map_err(failed)?;
        }
        let listener = TcpListener::bind("127.0.0.1:0").await.map_err(failed)?;
        let node = Node::builder(data).library(Some(library.clone())).listener(listener).by_hand().start().await?;
        node.index().await?;
        let password = node.first_admin().and_then(|admin| admin.password.clone()).unwrap_or_default();
        let url = node.url().unwrap_or_default();
        Ok(Self { node, library, url, password })
    }
}

/// The contents of both libraries, hashed anew from the disk.
struct Proof {
    contents: usize,
    only_a: Vec<String>,
    only_b: Vec<String>,
}

impl Proof {
    fn of(a: &Path, b: &Path) -> Result<Self, Failure> {
        let (a, b) = (contents(a)?, contents(b)?);
        let missing = |from: &BTreeMap<ContentHash, String>, to: &BTreeMap<ContentHash, String>| {
            from.iter().filter(|(hash, _)| !to.contains_key(*hash)).map(|(_, path)| path.clone()).collect::<Vec<_>>()
        };
        Ok(Self { contents: a.len(), only_a: missing(&a, &b), only_b: missing(&b, &a) })
    }

    fn holds(&self) -> bool {
        self.contents > 0 && self.only_a.is_empty() && self.only_b.is_empty()
    }

    fn text(&self) -> String {
        if self.holds() {
            return format!("\nProven by hashing both libraries: all {} contents are on both nodes.\n", self.contents);
        }
        let mut text = "\nNOT in step:\n".to_owned();
        for (name, list) in [("A", &self.only_a), ("B", &self.only_b)] {
            text.extend(list.iter().map(|path| format!("  only on {name}: {path}\n")));
        }
        text
    }
}

/// Every content below a folder with one of its paths. Reads the files themselves: a proof must not believe the index.
fn contents(root: &Path) -> Result<BTreeMap<ContentHash, String>, Failure> {
    let mut found = BTreeMap::new();
    for path in files(root)? {
        let bytes = fs::read(&path).map_err(|error| Failure::unreachable(format!("{}: {error}", path.display())))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        found.insert(ContentHash(*blake3::hash(&bytes).as_bytes()), shown);
    }
    Ok(found)
}

/// The photos below a folder: everything but litter and what is Twinlens's own.
fn files(root: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut files = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error: std::io::Error| Failure::unreachable(format!("{}: {error}", folder.display()));
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if is_junk(&entry.file_name().to_string_lossy()) {
                continue;
            }
            match entry.file_type().map_err(failed)?.is_dir() {
                true => folders.push(entry.path()),
                false => files.push(entry.path()),
            }
        }
    }
    Ok(files)
}
