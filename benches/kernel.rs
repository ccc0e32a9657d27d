//! The inner loops: deciding rows and reading listings. `cargo bench`, or `cargo bench -- --test` for a smoke run.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use twinlens::dav::multistatus;
use twinlens::reconcile::{Base, Policy, Row, Seen, decide};
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
}

criterion_group!(kernel, benches);
criterion_main!(kernel);
