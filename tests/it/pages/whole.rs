//! The whole way of an owner, by hand and eye only: from signing in to signing out, with a second node as the service.

use std::collections::BTreeMap;

use serde_json::json;

use super::account::sign_in;
use super::library::tiles;
use crate::chromium::{Browser, DESKTOP, Look, PHONE, Page, named, saying};
use crate::support::{Node, Sandbox, sample, tree, write};

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
    let owner = Owner { page: &page, look, home: &home, attic: &attic };
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

    fn connects(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Services", "Dienste"));
        page.wait_text(look.pick("No services yet", "Noch keine Dienste"));
        self.looks_at("services-none");
        page.click(named(look.pick("Connect", "Verbinden")).within(".top"));
        page.fill(named(look.pick("Server URL", "Server-URL")), &self.attic.url().replace("http://", ""));
        page.fill(named(look.pick("User name", "Nutzername")), "admin");
        page.fill(named(look.pick("Password", "Passwort")), crate::support::PASSWORD);
        page.fill(named(look.pick("Name (optional)", "Name (optional)")), "Attic");
        self.looks_at("connect");
        page.click(named(look.pick("Connect", "Verbinden")).within("dialog footer"));
        page.wait_text(look.pick("“Attic” is connected.", "„Attic“ ist verbunden."));
        // The checks come one by one, and all of them are well.
        page.wait_for(".examination[aria-busy=false]");
        page.wait_text(look.pick("Free space", "Freier Platz"));
        page.wait_text(look.pick("Everything is well.", "Alles in Ordnung."));
        page.click(named(look.pick("Test uploading too", "Auch das Hochladen testen")));
        page.wait_for(saying(look.pick("Arrival can be proven", "Ankunft lässt sich beweisen")).within(".checks"));
        page.wait_for(".examination[aria-busy=false]");
        let checks = "['ok', 'warning', 'failed'].map(kind => document.querySelectorAll(`.checks li.${kind}`).length)";
        let checks = page.eval(checks);
        assert!(checks[0].as_u64() >= Some(15) && checks[1] == 0 && checks[2] == 0, "{checks}");
        self.looks_at("connected");
    }

    fn chooses_a_folder(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        page.click(named(look.pick("Set up sync", "Sync einrichten")));
        page.click(named(look.pick("Choose", "Wählen")));
        page.click("[data-path='Photos'] .twig");
        page.wait_for("[data-path='Photos/Spring']");
        page.click(saying("Photos").within(".tree"));
        page.fill(named(look.pick("New folder", "Neuer Ordner")), "Autumn");
        page.click(named(look.pick("Create", "Anlegen")));
        page.wait_for("[data-path='Photos/Autumn'][aria-selected=true]");
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Photos/Autumn");
        assert!(self.attic.library.join("Photos/Autumn").is_dir());
        self.looks_at("folders");
        page.click(saying("Photos").within(".tree"));
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Photos");

        page.click(named(look.pick("Sync is on", "Sync ist an")));
        page.click(named(look.pick("Upload files", "Dateien hochladen")));
        page.click(saying(look.pick("More", "Mehr")).within(".more-options"));
        if decision != Decision::ThisHereOnly {
            page.click(saying(look.pick("Delete on the other side too", "Auch auf der anderen Seite löschen")));
        }
        page.fill(named(look.pick("Bandwidth limit", "Grenze der Bandbreite")), LIMIT);
        self.looks_at("sync");
    }

    fn previews_and_starts(&self) {
        let (page, look) = (self.page, self.look);
        let before = (self.home.files(), self.attic.files());
        page.click(named(look.pick("Preview", "Vorschau")));
        page.wait_for(".preview[aria-busy=false] .plan");
        page.wait_text(look.pick("11 changes, 8.0\u{a0}MB to transfer", "11 Änderungen, 8,0\u{a0}MB zu übertragen"));
        let groups = page.text_of(".plan");
        let group = |word: &str| groups.lines().find(|line| line.starts_with(word)).map(str::to_owned);
        assert!(group(look.pick("Upload", "Hochladen")).is_some(), "{groups}");
        page.click(saying(look.pick("Download", "Herunterladen")).within(".plan"));
        page.wait_text("Spring/tulips.jpg");
        self.looks_at("preview");
        assert_eq!((self.home.files(), self.attic.files()), before, "a preview changes nothing");
        page.click(named(look.pick("Start sync now", "Sync jetzt starten")));
        page.wait_gone("dialog");
        page.wait_text(look.pick("Syncing with “Attic” now.", "Jetzt wird mit „Attic“ synchronisiert."));
    }

    fn looks_on(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Activity", "Aktivität"));
        let amount = || {
            let text = page.text();
            let line = text.lines().find(|line| line.ends_with(look.pick(" of 8.0\u{a0}MB", " von 8,0\u{a0}MB")));
            line.map(str::to_owned).ok_or(text)
        };
        let first = page.until("the amount", amount);
        page.until("the amount grows", || amount().and_then(|now| if now == first { Err(now) } else { Ok(()) }));
        page.wait_for(".moving li");
        page.screenshot("whole-running");
        self.waits_for_the_end();
        self.are_the_same();
        assert_eq!(self.home.files().len(), MINE + THEIRS);
        self.looks_at("synced");
        page.click(named(look.pick("History", "Verlauf")).within(".tabs"));
        page.wait_text(look.pick("9 uploaded", "9 hochgeladen"));
        page.wait_text(look.pick("2 downloaded", "2 heruntergeladen"));
        self.looks_at("history");
    }

    fn finds_it_proven(&self) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Library", "Bibliothek"));
        page.wait_for(saying("Spring").within("#folders"));
        page.click(saying("Autumn").within("#folders"));
        page.wait_url("library?folder=Autumn");
        page.select(named(look.pick("Order", "Reihenfolge")), look.pick("By name", "Nach Namen"));
        // A RAW file and its JPEG are one.
        tiles(page, MINE as u64 - 1);
        page.until("the pictures", || {
            let loaded =
                page.eval("[...document.querySelectorAll('.tile:not([hidden])')].filter(tile => tile.matches('.loaded, .bare')).length");
            if loaded == MINE - 1 { Ok(()) } else { Err(loaded.to_string()) }
        });
        // Each is the picture of what it is called.
        let strangers = "[...document.querySelectorAll('.tile.loaded:not([hidden])')].filter(tile => \
             !tile.querySelector('img').src.includes(`/${tile.ariaLabel.split(',')[0]}&`)).map(tile => tile.ariaLabel)";
        assert_eq!(page.eval(strangers), json!([]));
        let signs = "[...document.querySelectorAll('.tile:not([hidden])')].map(tile => \
             [tile.ariaLabel, tile.querySelector('.badges .there use')?.getAttribute('href').split('#')[1]].join('; '))";
        page.until("every picture is marked as proven", || {
            let all: Vec<String> = serde_json::from_value(page.eval(signs)).unwrap();
            let is_proven = |sign: &String| sign.contains(look.pick("on Attic", "auf Attic")) && sign.ends_with("cloud-check");
            if all.iter().all(is_proven) { Ok(()) } else { Err(format!("{all:?}")) }
        });
        self.looks_at("folder");
        page.click(".tile[aria-label^='cat.jpg']");
        page.wait_for("dialog.viewer[open] .high.loaded");
        page.click(named(look.pick("Information", "Informationen")).within("dialog.viewer"));
        page.wait_text(look.pick("It is there as it is here.", "Ist dort so wie hier."));
        page.wait_text(look.pick("Proven: ", "Bewiesen: "));
        self.looks_at("proven");
        page.click(named(look.pick("Close", "Schließen")).within("dialog.viewer"));
        page.wait_gone("dialog.viewer");
    }

    fn uploads_chosen_pictures(&self) {
        let (page, look) = (self.page, self.look);
        if look.phone {
            page.long_press(".tile[aria-label^='beach.jpg']");
            page.wait_text(look.pick("1 selected", "1 ausgewählt"));
            for name in ["bridge.jpg", "cake.jpg"] {
                page.click(&format!(".tile[aria-label^='{name}']"));
            }
        } else {
            page.hover(".tile[aria-label^='beach.jpg']");
            page.click(".tile[aria-label^='beach.jpg'] .check");
            page.click_holding("Shift", ".tile[aria-label^='cake.jpg']");
        }
        page.wait_text(look.pick("3 selected", "3 ausgewählt"));
        self.looks_at("selected");
        page.click(named(look.pick("Upload to service", "Auf Dienst hochladen")));
        page.click(named(look.pick("Choose", "Wählen")));
        page.click(saying("Albums").within(".tree"));
        page.fill(named(look.pick("New folder", "Neuer Ordner")), "For Anna");
        page.click(named(look.pick("Create", "Anlegen")));
        page.wait_for("[data-path='Albums/For Anna'][aria-selected=true]");
        assert_eq!(page.value_of(named(look.pick("Folder", "Ordner")).within("dialog")), "/Albums/For Anna");
        self.looks_at("share");
        page.click(named(look.pick("Upload", "Hochladen")).within("dialog"));
        page.wait_text(look.pick("3 files are on their way to Attic.", "3 Dateien sind unterwegs zu Attic."));
        page.wait_gone("#selection");
        page.click(named(look.pick("Show activity", "Aktivität anzeigen")));
        page.wait_url("activity/uploads");
        page.wait_text(look.pick("3 uploaded", "3 hochgeladen"));
        self.looks_at("uploads");
        let sent = tree(&self.attic.library.join("Albums/For Anna"));
        let mine = self.below("Autumn/");
        assert_eq!(sent.keys().collect::<Vec<_>>(), ["beach.jpg", "bridge.jpg", "cake.jpg"]);
        assert!(sent.iter().all(|(name, bytes)| mine[name] == *bytes));
    }

    /// Both sides edit a picture while nothing is synced.
    fn decides_a_conflict(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Services", "Dienste"));
        page.wait_text(look.pick("Both ways · /Photos", "In beide Richtungen · /Photos"));
        self.looks_at("services");
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(named(look.pick("Pause the sync with Attic", "Synchronisation mit Attic pausieren")));
        page.wait_text(look.pick("Paused", "Pausiert"));
        let [mine, theirs] = [sample("balloons.jpg"), sample("rainbow.jpg")];
        write(&self.home.library.join("Autumn/cat.jpg"), &mine);
        write(&self.attic.library.join("Photos/Autumn/cat.jpg"), &theirs);
        self.attic.run(&["index"]);
        self.syncs();
        page.click(saying(look.pick("Conflicts", "Konflikte")).within(".tabs"));
        page.wait_text(look.pick("With Attic, ", "Mit Attic, "));
        page.until("both pictures", || {
            match page.eval("[...document.querySelectorAll('.version img')].filter(image => image.naturalWidth).length").as_u64() {
                Some(2) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        });
        self.looks_at("conflict");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let both = self.below("Autumn/cat");
        assert_eq!(both.len(), 2, "{:?}", both.keys());
        let (this, that) = (both[".jpg"].clone(), both.values().find(|bytes| **bytes != both[".jpg"]).unwrap().clone());
        assert!([text(&mine), text(&theirs)].iter().all(|version| [&this, &that].contains(&version)), "both versions are here");

        let (button, said) = match decision {
            Decision::This | Decision::ThisHereOnly => {
                (look.pick("Keep this", "Diese behalten"), look.pick("Kept this one: Autumn/cat.jpg", "Diese behalten: Autumn/cat.jpg"))
            }
            Decision::That => (
                look.pick("Keep that", "Jene behalten"),
                look.pick("Kept that one, as Autumn/cat.jpg", "Jene behalten, als Autumn/cat.jpg"),
            ),
            Decision::Both => {
                (look.pick("Keep both", "Beide behalten"), look.pick("Kept both: Autumn/cat.jpg", "Beide behalten: Autumn/cat.jpg"))
            }
        };
        page.click(named(button));
        page.wait_text(said);
        page.wait_text(look.pick("No conflicts", "Keine Konflikte"));
        page.wait_gone(saying(look.pick("What you give up goes to the trash", "Was du aufgibst, kommt in den Papierkorb")));
        self.looks_at("decided");
        self.goes_to(look.pick("Activity", "Aktivität"));
        self.syncs();
        let kept = match decision {
            Decision::Both => BTreeMap::from([(".jpg".to_owned(), this), (" (2).jpg".to_owned(), that)]),
            Decision::That => BTreeMap::from([(".jpg".to_owned(), that)]),
            Decision::This | Decision::ThisHereOnly => BTreeMap::from([(".jpg".to_owned(), this)]),
        };
        assert_eq!(self.below("Autumn/cat"), kept);
        if decision != Decision::ThisHereOnly {
            return self.are_the_same();
        }
        let mut there = self.attic.files();
        there.retain(|path, _| path.starts_with("Photos/Autumn/cat"));
        assert_eq!((there.len(), &there["Photos/Autumn/cat.jpg"]), (2, &kept[".jpg"]), "a deletion is not followed");
    }

    fn takes_a_picture_back_from_the_trash(&self, decision: Decision) {
        let (page, look) = (self.page, self.look);
        self.goes_to(look.pick("Library", "Bibliothek"));
        page.click(saying("Autumn").within("#folders"));
        let before = self.below("Autumn/");
        if look.phone {
            page.long_press(".tile[aria-label^='cake.jpg']");
        } else {
            page.hover(".tile[aria-label^='cake.jpg']");
            page.click(".tile[aria-label^='cake.jpg'] .check");
        }
        page.click(named(look.pick("Move to trash", "In den Papierkorb")));
        page.wait_text(look.pick("Move “cake.jpg” to the trash?", "„cake.jpg“ in den Papierkorb verschieben?"));
        self.looks_at("discard");
        page.click(named(look.pick("Move to trash", "In den Papierkorb")).within("dialog"));
        page.wait_gone(".tile[aria-label^='cake.jpg']");
        assert!(!self.home.library.join("Autumn/cake.jpg").exists());
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(saying(look.pick("Trash", "Papierkorb")).within(".tabs"));
        page.wait_text("cake.jpg");
        self.looks_at("trash");
        page.click(named(look.pick("Restore Autumn/cake.jpg", "Autumn/cake.jpg wiederherstellen")));
        page.wait_text(look.pick("Restored: Autumn/cake.jpg", "Wiederhergestellt: Autumn/cake.jpg"));
        assert_eq!(self.below("Autumn/"), before);
        self.looks_at("restored");

        // Nothing of it is missing on the other side either, once it is synced again.
        self.goes_to(look.pick("Activity", "Aktivität"));
        page.click(named(look.pick("Resume the sync with Attic", "Synchronisation mit Attic fortsetzen")));
        page.wait_gone(saying(look.pick("Paused", "Pausiert")));
        page.wait_for(named(look.pick("Sync with Attic now", "Jetzt mit Attic synchronisieren")));
        if decision != Decision::ThisHereOnly {
            self.are_the_same();
        }
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
        self.page.click(named(self.look.pick("Sync with Attic now", "Jetzt mit Attic synchronisieren")));
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
