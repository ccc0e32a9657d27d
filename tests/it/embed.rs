//! Nodes inside another program.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use jiff::Timestamp;
use tokio::net::TcpListener;
use twinlens::events::Event;
use twinlens::node::{Builder, Node};
use twinlens::operations::{Command, NewService, SyncChange, SyncRequest};
use twinlens::types::Clock;

use crate::support::{PASSWORD, Sandbox, http};

fn builder(root: &Path) -> Builder {
    fs::create_dir_all(root.join("library")).unwrap();
    Node::builder(root.join("data")).library(Some(root.join("library"))).admin_password(Some(PASSWORD.into()))
}

fn new_service(url: String) -> NewService {
    NewService {
        name: "there".into(),
        url,
        user: "admin".into(),
        password: PASSWORD.into(),
        fingerprint: None,
        allow_http: false,
        kind: None,
    }
}

fn run<F: Future<Output = ()>>(work: F) {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap().block_on(work);
}

#[test]
fn two_nodes_live_in_one_process_and_one_of_them_in_the_callers_server() {
    let sandbox = Sandbox::new();
    let (a, b) = (sandbox.path().join("a"), sandbox.path().join("b"));
    run(async {
        // B has no listener of its own: it is what the caller's server answers with.
        let there = builder(&b).start().await.unwrap();
        assert_eq!(there.url(), None);
        let service = there.service().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service.clone();
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
                });
            }
        });
        let here = builder(&a).listener(TcpListener::bind("127.0.0.1:0").await.unwrap()).by_hand().start().await.unwrap();
        assert!(here.first_admin().is_some_and(|admin| admin.password.is_none()));
        fs::write(a.join("library/ours.jpg"), "ours").unwrap();
        fs::write(b.join("library/theirs.jpg"), vec![7; 3 << 20]).unwrap();
        there.index().await.unwrap();
        let mut events = here.events().stream();
        here.add_service(new_service(format!("http://{address}/originals/"))).await.unwrap();
        here.change_sync("there".into(), SyncChange { upload: Some(true), ..SyncChange::default() }).await.unwrap();
        let report = here.sync(SyncRequest::default()).await.unwrap().remove(0);
        assert_eq!((report.uploaded, report.downloaded, report.verified, report.failed.len()), (1, 1, 2, 0), "{report:?}");
        assert_eq!(fs::read(b.join("library/ours.jpg")).unwrap(), b"ours");
        assert_eq!(fs::read(a.join("library/theirs.jpg")).unwrap().len(), 3 << 20);
        let mut steps = Vec::new();
        while let Some(event) = events.next().await {
            match event {
                Event::Step { path, .. } => steps.push(path),
                Event::Ended { failure, .. } => {
                    assert_eq!(failure, None);
                    break;
                }
                _ => {}
            }
        }
        steps.sort();
        assert_eq!(steps, ["ours.jpg", "theirs.jpg"]);
        // The other surfaces are there too, and refuse whom they do not know.
        let url = format!("http://{address}");
        let answers = tokio::task::spawn_blocking(move || {
            let wrong = crate::support::http_as("admin", "wrong", "GET", &format!("{url}/originals/ours.jpg"), &[], b"");
            [http("GET", &format!("{url}/livez"), &[], b""), http("GET", &format!("{url}/originals/ours.jpg"), &[], b""), wrong]
        });
        assert_eq!(answers.await.unwrap().map(|answer| answer.status), [200, 200, 401]);
        // The same as commands.
        let status = here.execute(Command::Status).await.unwrap();
        assert_eq!((&status["files"], &status["services"][0]["last_run"]["uploaded"]), (&2.into(), &1.into()));
        here.stop().await;
        there.stop().await;
        server.abort();
    });
    for root in [&a, &b] {
        assert!(!root.join("data/control.sock").exists(), "the socket was left behind");
    }
}

#[test]
fn a_node_goes_by_the_callers_clock() {
    let sandbox = Sandbox::new();
    let (a, b) = (sandbox.path().join("a"), sandbox.path().join("b"));
    run(async {
        let there = builder(&b).listener(TcpListener::bind("127.0.0.1:0").await.unwrap()).start().await.unwrap();
        let ahead = Arc::new(AtomicI64::new(0));
        let told = Arc::clone(&ahead);
        let clock = Clock::new(move || Timestamp::now() + jiff::SignedDuration::from_secs(told.load(Ordering::Relaxed)));
        let here = builder(&a).clock(clock).start().await.unwrap();
        fs::write(a.join("library/first.jpg"), "first").unwrap();
        here.add_service(new_service(format!("{}/originals/", there.url().unwrap()))).await.unwrap();
        here.change_sync("there".into(), SyncChange { upload: Some(false), ..SyncChange::default() }).await.unwrap();
        // The first run comes by itself; from then on there is one a day.
        let now = Timestamp::now().to_string();
        let ended = async |after: &str| {
            for _ in 0..600 {
                let status = here.status().await.unwrap();
                if status.services[0].last_ended.as_deref().is_some_and(|last| last >= after) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            panic!("no run ended after {after}");
        };
        ended(&now[..10]).await;
        // A hundred years later: it is long due, and its date says so.
        ahead.store(100 * 366 * 86_400, Ordering::Relaxed);
        ended("2120").await;
        here.stop().await;
        there.stop().await;
    });
}
