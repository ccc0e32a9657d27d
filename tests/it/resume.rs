//! Transfers over a bad line: what was lost on the way is not sent twice, what broke goes on where it broke, and a service that is busy or
//! full is treated accordingly.

use bytes::Bytes;
use twinlens::client::{Client, ClientError, Endpoint};
use twinlens::types::{ContentHash, Digests, LocalVersion, Mtime, RelPath};

use crate::support::{Node, PASSWORD, Sandbox};

fn client(node: &Node, folder: &str) -> Client {
    let endpoint = Endpoint { url: node.originals(), user: "admin".into(), password: PASSWORD.into(), fingerprint: None };
    Client::new(&endpoint).unwrap().at(&RelPath::parse(folder).unwrap()).unwrap()
}

fn run<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn small(path: &str, content: &str) -> (RelPath, LocalVersion, Bytes) {
    let version =
        LocalVersion { size: content.len() as u64, mtime: Mtime::from_seconds(1_600_000_000), digests: Digests::of(content.as_bytes()) };
    (RelPath::parse(path).unwrap(), version, content.to_owned().into())
}

#[test]
fn a_node_takes_many_small_files_in_one_request_and_says_what_it_has() {
    let sandbox = Sandbox::new();
    let mut node = sandbox.node("n");
    node.serve();
    node.put("sub/there.jpg", "there before");
    let client = client(&node, "sub");
    run(async {
        let can = client.capabilities().await.unwrap();
        assert!(can.node && can.bulk && can.chunking);
        let before = client.requests();
        let files =
            vec![small("a & ü.jpg", "a"), small("there.jpg", "other bytes"), small("empty.jpg", ""), small("no/such/folder.jpg", "x")];
        let results = client.bulk(files).await.unwrap();
        assert_eq!(client.requests(), before + 1);
        assert_eq!(
            results.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(),
            ["a & ü.jpg", "there.jpg", "empty.jpg", "no/such/folder.jpg"]
        );
        assert_eq!(results[0].1.as_ref().unwrap().as_deref(), Some(Digests::of(b"a").content.etag().as_str()));
        assert!(matches!(results[1].1, Err(ClientError::Changed(_))), "{results:?}");
        assert!(results[2].1.is_ok() && results[3].1.is_err(), "{results:?}");
        let asked: Vec<ContentHash> = ["a", "never seen"].iter().map(|text| Digests::of(text.as_bytes()).content).collect();
        assert_eq!(client.known(&asked).await.unwrap(), [true, false]);
    });
    assert_eq!(node.files()["sub/there.jpg"], "there before");
    assert_eq!(node.files()["sub/a & ü.jpg"], "a");
}
