//! The inner loops: deciding rows, reading listings, knowing a client again. `cargo bench`, or `cargo bench -- --test` for a smoke run.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use twinlens::accounts::{Checked, Logins, Role, Users};
use twinlens::dav::multistatus;
use twinlens::reconcile::{Base, Policy, Row, Seen, decide};
use twinlens::store::Store;
use twinlens::types::{Digests, LocalVersion, Mtime, RemoteVersion};

fn rows() -> Vec<Row> {
    let local = |n: u32| LocalVersion { size: 4, mtime: Mtime(0), digests: Digests::of(&n.to_le_bytes()) };
    let remote = |n: u32| RemoteVersion { size: Some(4), digests: local(n).digests.into(), ..RemoteVersion::default() };
    (0..1000)
        .map(|n| {
            let base = Base { local: Some(local(n)), remote: Some(remote(n)) };
            Row { base: Some(base), local: Seen::File(local(n + n % 3)), remote: Seen::File(remote(n + n % 5)) }
        })
        .collect()
}

fn listing() -> String {
    let mut body = "<d:multistatus xmlns:d=\"DAV:\">".to_owned();
    for n in 0..1000 {
        let _ = write!(
            body,
            "<d:response><d:href>/originals/2020/IMG_{n}.jpg</d:href><d:propstat><d:prop><d:resourcetype/><d:getcontentlength>{n}\
             </d:getcontentlength><d:getetag>&quot;{n:032x}&quot;</d:getetag></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>"
        );
    }
    body + "</d:multistatus>"
}

fn benches(criterion: &mut Criterion) {
    let rows = rows();
    let mut group = criterion.benchmark_group("kernel");
    group.throughput(Throughput::Elements(1000));
    group.bench_function("decide 1,000 rows", |bench| {
        bench.iter(|| {
            rows.iter()
                .map(|row| decide(black_box(row), &Policy::TWO_WAY))
                .filter(|decision| !matches!(decision, twinlens::reconcile::Decision::Nothing))
                .count()
        });
    });
    let listing = listing();
    group.bench_function("read a listing of 1,000 files", |bench| {
        bench.iter(|| multistatus::parse(black_box(&listing)).map(|found| found.len()))
    });
    group.finish();
    logins(criterion);
}

/// What each request pays for its login: one that was right before.
fn logins(criterion: &mut Criterion) {
    let folder = tempfile::tempdir().unwrap_or_else(|error| fail(&error));
    let store = Store::open(&folder.path().join("state.redb")).unwrap_or_else(|error| fail(&error));
    let users = Users::new(store);
    users.add("anna", Role::User, "first password").unwrap_or_else(|error| fail(&error));
    let app = users.create_app_password("anna", "Phone").unwrap_or_else(|error| fail(&error)).password;
    let logins = Logins::new(users).unwrap_or_else(|error| fail(&error));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap_or_else(|error| fail(&error));
    let from = std::net::IpAddr::from([127, 0, 0, 1]);
    let mut group = criterion.benchmark_group("login");
    for (name, password) in [("password", "first password"), ("app password", &app)] {
        let check = || logins.check(black_box("anna"), black_box(password), from);
        assert!(matches!(runtime.block_on(check()), Ok(Checked::Welcome(_))));
        group.bench_function(format!("known by their {name}"), |bench| {
            // Polled once, as in a task that runs already: entering a runtime would cost as much again.
            bench.iter(|| futures_util::FutureExt::now_or_never(check()).is_some())
        });
    }
    group.finish();
}

fn fail(error: &dyn std::error::Error) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}

criterion_group!(kernel, benches);
criterion_main!(kernel);
