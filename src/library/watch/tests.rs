use std::fs;
use std::io::Write as _;
use std::path::Path;

use super::inotify::Inotify;
use super::*;
use crate::store::Store;
use crate::store::properties::Area;

fn path(text: &str) -> RelPath {
    RelPath::parse(text).unwrap()
}

fn tree(folder: &Path) -> Tree {
    fs::create_dir_all(folder.join("root/a/b")).unwrap();
    Tree::open(&folder.join("root"), Store::open(&folder.join("state.redb")).unwrap(), Area::Import).unwrap()
}

fn paths(found: &std::collections::BTreeSet<RelPath>) -> Vec<&str> {
    found.iter().map(RelPath::as_str).collect()
}

#[test]
fn events_become_folders_to_look_at_and_litter_none() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let (mut watch, _) = Watch::new().unwrap();
    watch.cover(&tree, &|| false);
    assert_eq!(watch.blind(), None);
    let place = |at: &str| tree.root().join(at);
    fs::write(place("a/b/one.jpg"), "1").unwrap();
    fs::write(place("a/two.jpg.part"), "2").unwrap();
    fs::write(place(".twinlens/incoming/x.part"), "own").unwrap();
    let noticed = watch.wait(None);
    assert_eq!((paths(&noticed.parts.members), paths(&noticed.parts.below), noticed.everything), (vec!["a/b"], vec![], false));
    // What is not synced is not looked at, but what says what is synced is.
    fs::write(place("a/.tlignore"), "*.gif").unwrap();
    assert_eq!(paths(&watch.look().parts.members), ["a"]);
    assert!(watch.look().parts.is_empty() && !watch.is_outdated(&tree));
    fs::rename(place("a/two.jpg.part"), place("a/two.jpg")).unwrap();
    assert_eq!(paths(&watch.wait(None).parts.members), ["a"]);
    fs::create_dir_all(place("new/deep")).unwrap();
    assert_eq!(paths(&watch.wait(None).parts.below), ["new"]);
    fs::write(place("new/deep/three.jpg"), "3").unwrap();
    assert_eq!(paths(&watch.wait(None).parts.members), ["new/deep"]);
}

#[test]
fn a_renamed_folder_is_watched_under_its_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let (mut watch, _) = Watch::new().unwrap();
    watch.cover(&tree, &|| false);
    fs::rename(tree.root().join("a"), tree.root().join("c")).unwrap();
    assert_eq!(paths(&watch.wait(None).parts.below), ["a", "c"]);
    fs::write(tree.root().join("c/b/one.jpg"), "1").unwrap();
    assert_eq!(paths(&watch.wait(None).parts.members), ["c/b"]);
    fs::rename(tree.root().join("c"), folder.path().join("outside")).unwrap();
    assert_eq!(paths(&watch.wait(None).parts.below), ["c"]);
    fs::write(folder.path().join("outside/b/two.jpg"), "2").unwrap();
    fs::write(tree.root().join("here.jpg"), "3").unwrap();
    assert_eq!(paths(&watch.wait(None).parts.members), [""]);
}

#[test]
fn a_file_is_being_written_until_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let (mut watch, _) = Watch::new().unwrap();
    watch.cover(&tree, &|| false);
    let mut file = fs::File::create(tree.root().join("a/one.jpg")).unwrap();
    file.write_all(b"half").unwrap();
    watch.wait(None);
    assert!(watch.is_being_written(&path("a/one.jpg")));
    drop(file);
    watch.wait(None);
    assert!(!watch.is_being_written(&path("a/one.jpg")));
}

#[test]
fn a_wait_ends_when_it_is_woken() {
    let (mut watch, waker) = Watch::new().unwrap();
    waker.wake();
    assert!(watch.wait(None).parts.is_empty());
}

#[test]
fn a_limit_of_watches_is_told_and_what_is_watched_stays_so() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let mut inotify = Inotify::new(&tree).unwrap();
    inotify.limit(Some(2));
    assert_eq!(inotify.cover(&RelPath::root(), &|| false), Some(Blind::Watches));
    assert!(Blind::Watches.to_string().contains("fs.inotify.max_user_watches"));
    fs::write(tree.root().join("one.jpg"), "1").unwrap();
    assert_eq!(paths(&inotify.drain().0.parts.members), [""]);
}

#[test]
fn a_root_that_goes_away_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let (mut watch, _) = Watch::new().unwrap();
    watch.cover(&tree, &|| false);
    fs::rename(tree.root(), folder.path().join("away")).unwrap();
    watch.wait(None);
    assert_eq!(watch.blind(), Some(Blind::Gone));
}

#[test]
fn lost_events_are_told_and_folders_made_meanwhile_are_watched_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let tree = tree(folder.path());
    let (mut watch, _) = Watch::new().unwrap();
    watch.cover(&tree, &|| false);
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    for number in 0..limit / 2 + 2 {
        // Two events each, of two files by turns: equal ones one after the other would be one.
        let place = tree.root().join(format!("a/{}.jpg", number % 2));
        fs::write(&place, "").unwrap();
        fs::remove_file(place).unwrap();
    }
    fs::create_dir(tree.root().join("late")).unwrap();
    assert!(watch.wait(None).everything);
    fs::write(tree.root().join("late/one.jpg"), "1").unwrap();
    assert_eq!(paths(&watch.wait(None).parts.members), ["late"]);
}
