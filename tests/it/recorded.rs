//! The client against what a real Nextcloud 24 was recorded to answer (fixtures/nextcloud-24).

mod replay;

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use twinlens::client::{Begun, Client, ClientError, Endpoint, Member, Payload};
use twinlens::dav::{href, multistatus};
use twinlens::types::{Digests, Expect, LocalVersion, Mtime, RelPath, RemoteVersion, Sha1};

use crate::support::{read_request, serve_state};

use replay::{Replay, recorded};

fn run<R>(work: impl Future<Output = R>) -> R {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

/// A file of this content, from this second.
fn version(content: &[u8], seconds: i64) -> LocalVersion {
    LocalVersion { size: content.len() as u64, mtime: Mtime::from_seconds(seconds), digests: Digests::of(content) }
}

fn with_sha1(version: LocalVersion, hex: &str) -> LocalVersion {
    LocalVersion { digests: Digests { sha1: Sha1::from_hex(hex).unwrap(), ..version.digests }, ..version }
}

fn whole(content: &[u8]) -> Payload {
    Payload::Whole(Bytes::copy_from_slice(content))
}

fn etag(tag: &str) -> Expect<RemoteVersion> {
    Expect::Version(RemoteVersion { etag: Some(tag.into()), ..RemoteVersion::default() })
}

/// Sends a file; what goes wrong, if it does.
async fn put(client: &Client, name: &str, content: &[u8], expect: &Expect<RemoteVersion>) -> Option<ClientError> {
    client.put(&path(name), &version(content, 0), expect, whole(content)).await.err()
}

fn status(error: Option<ClientError>) -> u16 {
    match error {
        Some(ClientError::Status { status, .. }) => status.as_u16(),
        other => panic!("{other:?}"),
    }
}

const HELLO: &[u8] = b"hello checksum\n";

#[test]
fn the_hash_of_what_was_received_is_believed_and_nothing_else() {
    let replay = Replay::of("put-hash");
    assert!(run(put(&replay.client("put"), "f.txt", HELLO, &Expect::Anything)).is_none());
    replay.ends();
    let replay = Replay::of("put-hash");
    let lost = LocalVersion { digests: Digests::of(b"hello, CHECKSUM"), ..version(HELLO, 0) };
    let error = run(replay.client("put").put(&path("f.txt"), &lost, &Expect::Anything, whole(HELLO))).err();
    assert!(matches!(error, Some(ClientError::OtherBytes { .. })), "{error:?}");
    replay.ends();
}

#[test]
fn an_empty_body_is_refused_where_its_length_was_told() {
    let replay = Replay::of("put-expected-length");
    assert_eq!(status(run(put(&replay.client("ck"), "xe.bin", &[b'x'; 20_000], &Expect::Anything))), 403);
    replay.ends();
}

#[test]
fn a_checksum_that_was_sent_along_comes_back_whatever_the_bytes_are() {
    let replay = Replay::of("put-echoes-checksum");
    let client = replay.client("put");
    run(async {
        let wrong = with_sha1(version(HELLO, 0), &"0".repeat(40));
        client.put(&path("c.txt"), &wrong, &Expect::Anything, whole(HELLO)).await.unwrap();
        let found = client.look(&path("c.txt")).await.unwrap().unwrap();
        assert_eq!(found.digests.sha1.unwrap().to_string(), "0".repeat(40), "it only repeats what it was told");
    });
    replay.ends();
}

#[test]
fn what_is_stored_is_hashed_on_request() {
    let replay = Replay::of("recalculate");
    let client = replay.client("mi");
    run(async {
        assert!(put(&client, "h.txt", b"hash me", &Expect::Anything).await.is_none());
        assert_eq!(client.recalculate(&path("h.txt")).await.unwrap(), Some(Digests::of(b"hash me").sha1));
    });
    replay.ends();
}

#[test]
fn refusals_are_told_apart() {
    let replay = Replay::of("put-refusals");
    let client = replay.client("");
    run(async {
        let missing = put(&client, "put/newdir/x.txt", HELLO, &Expect::Anything).await;
        assert!(matches!(missing, Some(ClientError::NotFound(_))), "{missing:?}");
        assert_eq!(status(put(&client, "put", HELLO, &Expect::Anything).await), 409);
        assert!(put(&client, "q/big.bin", &vec![b'x'; 3_000_000], &Expect::Anything).await.unwrap().is_full());
    });
    replay.ends();
}

#[test]
fn conditions_hold_on_put_delete_and_move() {
    let replay = Replay::of("conditions");
    let client = replay.client("cond");
    run(async {
        let changed = |error: Option<ClientError>| matches!(error, Some(ClientError::Changed(_)));
        assert!(changed(put(&client, "a.txt", b"v2", &Expect::Absent).await));
        assert!(put(&client, "new.txt", b"v1", &Expect::Absent).await.is_none());
        assert!(changed(put(&client, "a.txt", b"v2", &etag("deadbeef")).await));
        assert!(put(&client, "a.txt", b"v2", &etag("be5c102e3590351f0c1ae4ce561edf7e")).await.is_none());
        assert!(changed(client.delete(&path("a.txt"), &etag("x")).await.err()));
        assert!(client.delete(&path("a.txt"), &etag("2143f867aac60a53b679e859ea240f2b")).await.is_ok());
    });
    replay.ends();
}

#[test]
fn an_upload_in_chunks_goes_as_recorded() {
    let replay = Replay::of("chunks");
    let client = replay.client("up");
    run(async {
        let film = vec![b'x'; 152_345];
        let file = with_sha1(version(&film, 1_577_934_245), "83042a9c1887baa25fa32d9f9745fc7f3d5fe17b");
        let session = client.session("tid1", &path("big.bin"), 152_345).unwrap();
        assert!(matches!(session.begin().await.unwrap(), Begun::Now));
        for (name, chunk) in ["00001", "00002", "00003"].iter().zip(film.chunks(70_000)) {
            session.put(name, whole(chunk), Some(Digests::of(chunk).sha1)).await.unwrap();
        }
        let there = session.chunks().await.unwrap().unwrap();
        assert_eq!((there["00001"], there["00002"], there["00003"]), (70_000, 70_000, 12_345), "{there:?}");
        let tag = session.finish(&file, &Expect::Anything, false).await.unwrap();
        assert!(format!("{tag:?}").contains("107da3b2a23689cffcf929b70da13f03"));
        let found = client.look(&path("big.bin")).await.unwrap().unwrap();
        assert_eq!((found.size, found.modified), (Some(152_345), Some(1_577_934_245)));
        assert_eq!(found.etag.as_deref(), Some("107da3b2a23689cffcf929b70da13f03"));
        assert_eq!(session.chunks().await.unwrap(), None, "it is gone once it was put together");
    });
    replay.ends();
}

#[test]
fn an_upload_in_chunks_is_refused_when_a_chunk_or_a_condition_is_missed() {
    let replay = Replay::of("chunks-refused");
    let client = replay.client("up");
    run(async {
        let of = |id: &str, name: &str, total: u64| client.session(id, &path(name), total).unwrap();
        let file = version(&vec![b'x'; 152_345], 0);
        let begun = of("tid4", "sum.bin", 12_345).begin().await.unwrap();
        assert!(!matches!(begun, Begun::Now), "it was begun before");
        let lost = of("nofolder", "x.bin", 5).put("1", whole(b"x"), None).await;
        assert!(matches!(lost, Err(ClientError::NotFound(_))), "{lost:?}");
        let short = of("tid2", "miss.bin", 152_345).finish(&file, &Expect::Anything, false).await;
        assert_eq!(status(short.err()), 400, "the total length tells that a chunk is missing");
        let changed = of("tid3", "big.bin", 152_345).finish(&file, &etag("wrong"), false).await;
        assert!(matches!(changed, Err(ClientError::Changed(_))), "{changed:?}");
        let there = of("tid3", "big.bin", 152_345).finish(&file, &Expect::Absent, false).await;
        assert!(matches!(there, Err(ClientError::Changed(_))), "{there:?}");
        of("tid5", "x.bin", 1).abort().await.unwrap();
    });
    replay.ends();
    let replay = Replay::of("chunks-full");
    let client = replay.client("q");
    run(async {
        let session = client.session("q1", &path("asm.bin"), 3_000_000).unwrap();
        let full = session.finish(&version(&[], 0), &Expect::Anything, false).await;
        assert!(full.unwrap_err().is_full(), "the quota is looked at only now");
        session.abort().await.unwrap();
    });
    replay.ends();
}

#[test]
fn many_files_in_one_request_go_as_recorded() {
    let replay = Replay::of("bulk");
    let client = replay.client("bulk");
    let file = |name: &str, content: &'static [u8]| (path(name), version(content, 1_577_934_245), Bytes::from_static(content));
    run(async {
        let results = client.bulk(vec![file("one.txt", b"one"), file("zw ei ä#.txt", b"zwei")]).await.unwrap();
        assert!(results.iter().all(|(_, result)| result.is_ok()), "{results:?}");
        assert!(format!("{results:?}").contains("b9f2edee1236e3efa91da23fc855638f"));
        let all = client.bulk(vec![file("bad.txt", b"bad"), file("after.txt", b"after")]).await;
        assert_eq!(status(all.err()), 400, "one wrong checksum fails all");
        let results = client.bulk(vec![file("nodir/x.txt", b"x"), file("ok.txt", b"ok")]).await.unwrap();
        assert!(matches!(&results[0].1, Err(ClientError::Refused { reason, .. }) if reason.contains("create path")), "{results:?}");
        assert!(results[1].1.is_ok(), "{results:?}");
    });
    replay.ends();
}

#[test]
fn a_time_is_kept_and_one_that_breaks_a_put_is_never_sent() {
    let replay = Replay::of("mtime");
    let client = replay.client("put");
    run(async {
        client.put(&path("m.txt"), &version(HELLO, 1_577_934_245), &Expect::Anything, whole(HELLO)).await.unwrap();
        assert_eq!(client.look(&path("m.txt")).await.unwrap().unwrap().modified, Some(1_577_934_245));
    });
    replay.ends();
    let (mut fine, mut broken) = (0, 0);
    for exchange in recorded("mtime-edge") {
        let told = &exchange.asked["x-oc-mtime"];
        let Ok(seconds) = told.parse::<i64>() else { continue };
        match exchange.status {
            500 => {
                assert_eq!(
                    Mtime::from_seconds(seconds).to_oc_mtime(),
                    None,
                    "{told} breaks a PUT, and what was sent is stored all the same"
                );
                broken += 1;
            }
            status => {
                assert!((200..300).contains(&status), "{exchange:?}");
                fine += i32::from(Mtime::from_seconds(seconds).to_oc_mtime().as_ref() == Some(told));
            }
        }
    }
    assert!(fine >= 2 && broken >= 4, "{fine} {broken}");
}

#[test]
fn an_equal_entity_tag_does_not_mean_equal_bytes_and_the_folder_tells() {
    let replay = Replay::of("etags");
    let client = replay.client("eg");
    let sent: Vec<Vec<u8>> = recorded("etags").into_iter().filter(|exchange| exchange.method == "PUT").map(|put| put.sent).collect();
    assert_ne!(sent[0], sent[1]);
    run(async {
        let mut tags = BTreeSet::new();
        for content in &sent {
            let receipt = client.put(&path("m.txt"), &version(content, 1_600_000_000), &Expect::Anything, whole(content)).await.unwrap();
            tags.insert(format!("{receipt:?}"));
        }
        assert_eq!(tags.len(), 1, "{tags:?}");
    });
    replay.ends();
    let listed = recorded("etags-listed");
    let listed: Vec<_> = listed.iter().map(|exchange| multistatus::parse(std::str::from_utf8(&exchange.body).unwrap()).unwrap()).collect();
    let of = |at: usize, end: &str| listed[at].iter().find(|resource| resource.href.ends_with(end)).unwrap();
    let seen = |at: usize| (&of(at, "/m.txt").etag, of(at, "/m.txt").modified);
    assert_eq!(seen(0), seen(1), "nothing that is listed of the file differs");
    assert_ne!(of(0, "/eg/").etag, of(1, "/eg/").etag, "its folder says that something happened");
}

#[test]
fn the_ruin_of_a_cut_overwrite_is_seen_by_its_checksum_alone() {
    let replay = Replay::of("cut-overwrite");
    let client = replay.client("int");
    run(async {
        let file = path("existing.bin");
        let before = client.look(&file).await.unwrap().unwrap();
        let after = client.look(&file).await.unwrap().unwrap();
        assert_eq!(before, after, "the listing tells nothing of it");
        let mut download = client.get(&file, &after).await.unwrap();
        let mut bytes = Vec::new();
        while let Some(piece) = download.next().await.unwrap() {
            bytes.extend_from_slice(&piece);
        }
        assert_eq!(bytes.len() as u64, after.size.unwrap(), "nor does the length");
        assert_eq!(download.digests.agree(&Digests::of(&bytes).into()), Some(false));
    });
    replay.ends();
}

const NAMES: [&str; 3] = ["hash #1 50% + & done.txt", "per%20cent+plus&amp;.jpg", "sub dir ä"];

#[test]
fn a_folder_is_listed_with_every_name() {
    let replay = Replay::of("listed");
    let listing = run(replay.client("names").list(&RelPath::root())).unwrap().unwrap();
    replay.ends();
    assert!(listing.etag.is_some() && listing.unusable.is_empty() && listing.unnamable.is_empty(), "{listing:?}");
    let mut names = BTreeSet::new();
    for member in listing.members {
        match member {
            Member::Folder(path, etag) => {
                assert!(etag.is_some());
                names.insert(path.to_string());
            }
            Member::File(path, version) => {
                assert!(version.size.is_some() && version.etag.is_some() && version.modified.is_some(), "{path}: {version:?}");
                names.insert(path.to_string());
            }
        }
    }
    assert!(NAMES.iter().all(|name| names.contains(*name)), "{names:?}");
}

/// What an answer about many things tells of: decoded names below alice's files.
fn told_of(name: &str) -> BTreeSet<String> {
    let exchange = &recorded(name)[0];
    let found = multistatus::parse(std::str::from_utf8(&exchange.body).unwrap()).unwrap();
    assert!(found.iter().all(|resource| resource.etag.is_some() && resource.modified.is_some()));
    let hrefs = found.iter().map(|resource| href::decode(&resource.href).unwrap());
    hrefs.map(|href| href.strip_prefix("/remote.php/dav/files/alice/names/").unwrap().trim_end_matches('/').to_owned()).collect()
}

#[test]
fn infinity_and_a_search_tell_of_everything_at_once() {
    let everything = told_of("infinity");
    assert!(NAMES.iter().all(|name| everything.contains(*name)) && everything.contains("sub dir ä/inner.txt"), "{everything:?}");
    let found = told_of("search");
    assert!(found.is_subset(&everything) && found.contains("sub dir ä/inner.txt"), "{found:?}");
}

#[test]
fn another_users_home_looks_empty_and_is_no_folder() {
    let replay = Replay::of("another-user");
    let error = run(replay.client_at("files/admin").look_at_root()).unwrap_err();
    assert!(matches!(&error, ClientError::NotDav { found, .. } if found.contains("not this user's")), "{error}");
    let error = run(replay.client("").look_at_root()).unwrap_err();
    assert!(matches!(error, ClientError::Unauthorized), "{error}");
    replay.ends();
}

#[test]
fn folders_are_made_and_files_deleted_as_recorded() {
    let replay = Replay::of("folders");
    let client = replay.client("");
    run(async {
        client.create_folder(&path("mk")).await.unwrap();
        assert_eq!(status(client.create_folder(&path("mk/a/b/c")).await.err()), 409);
        client.delete(&path("del/a"), &Expect::Anything).await.unwrap();
        client.delete(&path("del/a"), &Expect::Anything).await.unwrap();
    });
    replay.ends();
}

#[test]
fn names_with_every_special_character_are_sent_and_refused_as_recorded() {
    let replay = Replay::of("names");
    let client = replay.client("nm");
    for exchange in recorded("names") {
        let name = href::decode(exchange.target.strip_prefix("/remote.php/dav/files/alice/nm/").unwrap()).unwrap();
        let error = run(put(&client, &name, b"x", &Expect::Anything));
        match exchange.status {
            201 => assert!(error.is_none(), "{name}: {error:?}"),
            refused => assert_eq!(status(error), refused, "{name}"),
        }
    }
    replay.ends();
}

#[test]
fn what_it_can_is_understood() {
    let replay = Replay::of("capabilities");
    let client = replay.client("");
    run(async {
        let can = client.capabilities().await.unwrap();
        assert!(can.chunking && !can.bulk && !can.node, "{can:?}");
        assert!(can.names.refusal(&path("a/.htaccess")).is_some());
    });
    replay.ends();
}

#[test]
fn properties_are_understood_in_every_form() {
    for exchange in recorded("properties") {
        let found = multistatus::parse(std::str::from_utf8(&exchange.body).unwrap());
        let found = found.unwrap_or_else(|error| panic!("{}: {error}", exchange.target));
        assert!(!found.is_empty() && found.iter().all(|resource| resource.href.starts_with("/remote.php/dav/files/alice/")));
    }
}

/// The cookies of each request, and whether a session is given out.
#[derive(Default)]
struct Door {
    cookies: Vec<Option<String>>,
}

fn open_door(stream: &TcpStream, state: &Mutex<Door>) -> std::io::Result<bool> {
    let Some(request) = read_request(stream)? else { return Ok(false) };
    let mut door = state.lock().unwrap();
    door.cookies.push(request.headers.get("cookie").cloned());
    let session =
        if door.cookies.len() == 1 { "Set-Cookie: oc_session=abc; path=/; HttpOnly\r\nSet-Cookie: lax=true; path=/\r\n" } else { "" };
    let mut stream = stream;
    stream.write_all(format!("HTTP/1.1 404 none\r\n{session}Content-Length: 0\r\n\r\n").as_bytes())?;
    Ok(true)
}

#[test]
fn a_session_is_brought_back_so_that_the_password_is_not_checked_each_time() {
    let state = Arc::new(Mutex::new(Door::default()));
    let url = format!("http://{}/remote.php/dav/files/alice/", serve_state(&state, open_door));
    let endpoint = Endpoint { url, user: "alice".into(), password: "secret".into(), fingerprint: None, allow_http: false };
    let client = Client::new(&endpoint).unwrap();
    run(async {
        assert_eq!(client.look(&path("a")).await.unwrap(), None);
        assert_eq!(client.at(&path("below")).unwrap().look(&path("b")).await.unwrap(), None);
        assert_eq!(client.on_fresh_connections().unwrap().look(&path("c")).await.unwrap(), None);
        assert_eq!(Client::new(&endpoint).unwrap().look(&path("d")).await.unwrap(), None);
    });
    let session = Some("lax=true; oc_session=abc".to_owned());
    assert_eq!(state.lock().unwrap().cookies, [None, session.clone(), session, None]);
}
