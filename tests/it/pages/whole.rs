//! The whole way of an owner, by hand and eye only: from signing in to signing out, with a second node as the service.

mod pictures;
mod service;

use std::collections::BTreeMap;

use super::account::sign_in;
use crate::chromium::{Browser, DESKTOP, Look, PHONE, Page, named, saying};
use crate::schedule::latest;
use crate::support::{Node, Sandbox, eventually, sample, write};

/// What the owner decides about a conflict.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Decision {
    This,
    That,
    Both,
    /// Deletions are not followed: the copy stays on the service.
    ThisHereOnly,
}

#[test]
fn in_english_on_a_desktop() {
    whole(DESKTOP, Decision::Both);
}

#[test]
fn in_english_on_a_phone() {
    whole(PHONE.dark(), Decision::This);
}

#[test]
fn in_german_on_a_desktop() {
    whole(DESKTOP.german().dark(), Decision::That);
}

#[test]
fn in_german_on_a_phone() {
    whole(PHONE.german(), Decision::ThisHereOnly);
}

fn whole(look: Look, decision: Decision) {
    let Some(browser) = Browser::start() else { return };
    let sandbox = Sandbox::new();
    let (mut home, mut attic) = (sandbox.node("home"), sandbox.node("attic"));
    for name in ["beach.jpg", "cake.jpg", "cat.jpg", "parade.mp4", "ridge.dng", "ridge.jpg"] {
        write(&home.library.join("Autumn").join(name), &sample(name));
    }
    // Large enough to look on while they travel; what follows the end of a picture is not looked at.
    for (name, end) in [("bridge.jpg", 1), ("lake.jpg", 2), ("skyline.jpg", 3)] {
        write(&home.library.join("Autumn").join(name), &[sample(name), vec![end; LARGE]].concat());
    }
    for name in ["blossom.jpg", "tulips.jpg"] {
        write(&attic.library.join("Photos/Spring").join(name), &sample(name));
    }
    write(&attic.library.join("Albums/Old/moon.jpg"), &sample("moon.jpg"));
    home.serve();
    attic.serve();
    let page = browser.page(look);
    let owner = Owner { browser: &browser, page: &page, look, home: &home, attic: &attic };
    owner.signs_in();
    owner.connects();
    owner.chooses_a_folder(decision);
    owner.previews_and_starts();
    owner.looks_on();
    owner.finds_it_proven();
    owner.uploads_chosen_pictures();
    owner.decides_a_conflict(decision);
    owner.takes_a_picture_back_from_the_trash(decision);
    owner.signs_out();
}

/// Bytes of padding, and how many a second may travel: twenty seconds to look on.
const LARGE: usize = 2_600_000;
const LIMIT: &str = "400K";
/// Files of the library at first, and of the service's folder.
const MINE: usize = 9;
const THEIRS: usize = 2;

/// Somebody at a page of their node, `home`, whose service is `attic`.
struct Owner<'a> {
    browser: &'a Browser,
    page: &'a Page,
    look: Look,
    home: &'a Node,
    attic: &'a Node,
}

impl Owner<'_> {
    fn signs_in(&self) {
        self.page.goto(&self.home.url());
        self.page.wait_url("signin?next=library");
        self.looks_at("signin");
        sign_in(self.page, self.look, self.home, "library");
        self.page.wait_for(saying("Autumn").within("#folders"));
        self.looks_at("library");
    }

    fn signs_out(&self) {
        let (page, look) = (self.page, self.look);
        if look.phone {
            self.goes_to(look.pick("Account", "Konto"));
        }
        let behind = page.url();
        page.click(named(look.pick("Sign out", "Abmelden")));
        page.wait_url("signin");
        self.looks_at("signed-out");
        // Going back shows nothing of what was there.
        page.eval("history.back()");
        page.wait_url(&behind.replace(&self.home.url(), "signin?next=").replace("next=/", "next="));
        assert!(!page.text().contains("Attic"), "{}", page.text());
        page.goto(&format!("{}/library?folder=Autumn", self.home.url()));
        page.wait_url("signin?next=library");
    }

    fn goes_to(&self, place: &str) {
        self.page.click(named(place).within("nav.places"));
    }

    /// Syncs with the service and looks on.
    fn syncs(&self) {
        let before = latest(self.home);
        self.page.click(named(self.look.pick("Sync with Attic now", "Jetzt mit Attic synchronisieren")));
        // What is told on the page may still be the end of the sync before.
        eventually("the sync is over", || latest(self.home) > before);
        self.waits_for_the_end();
    }

    /// Nobody has to reload: the end comes by itself.
    fn waits_for_the_end(&self) {
        let end = self.look.pick("Sync with Attic is done.", "Synchronisation mit Attic ist fertig.");
        self.page.until("the end is told", || match self.page.eval("document.querySelector('#told').textContent").as_str() {
            Some(told) if told == end => Ok(()),
            told => Err(format!("{told:?}")),
        });
        self.page.wait_for(named(self.look.pick("Sync with Attic now", "Jetzt mit Attic synchronisieren")));
    }

    /// What the disk has below here.
    fn below(&self, start: &str) -> BTreeMap<String, String> {
        self.home.files().into_iter().filter_map(|(path, bytes)| Some((path.strip_prefix(start)?.to_owned(), bytes))).collect()
    }

    /// Both disks hold the same, each in its folder.
    #[track_caller]
    fn are_the_same(&self) {
        let there: BTreeMap<_, _> =
            self.attic.files().into_iter().filter_map(|(path, bytes)| Some((path.strip_prefix("Photos/")?.to_owned(), bytes))).collect();
        assert!(self.home.files() == there, "{:?} and {:?}", self.home.files().keys(), there.keys());
    }

    /// Everybody can use what is here, nothing jumps or is wider than the screen, and there is a picture of it.
    #[track_caller]
    fn looks_at(&self, story: &str) {
        self.page.axe();
        assert!(self.page.layout_shift() < 0.1, "{story}: {}", self.page.layout_shift());
        assert_eq!(self.page.eval("document.documentElement.scrollWidth - innerWidth"), 0, "{story} is too wide");
        self.page.screenshot(&format!("whole-{story}"));
    }
}
